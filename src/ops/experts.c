#include "ops/experts.h"

#include <string.h>

#include "gpu/device.h"
#include "ops/input8.h"
#include "ops/router.h"

static vklm_tuning tuning_of(const vklm_gpu_cmd *cmd)
{
    return vklm_tune_select(vklm_gpu_device_caps(vklm_gpu_cmd_device(cmd)));
}

static vklm_tune_tile tile_of(const vklm_gpu_cmd *cmd)
{
    return vklm_tune_expert_matmul(vklm_gpu_device_caps(vklm_gpu_cmd_device(cmd)));
}

static uint32_t ceil_div(uint32_t a, uint32_t b)
{
    return (a + b - 1) / b;
}

static bool check(vklm_gpu_cmd *cmd, const vklm_experts *e)
{
    if (!vklm_router_check(cmd, e->n_experts, e->top_k))
        return false;
    if (e->n_hidden > 0 && e->n_hidden % vklm_format_group(e->gate_up_format) == 0 &&
        e->n_intermediate > 0 && e->n_intermediate % vklm_format_group(e->down_format) == 0)
        return true;
    vklm_gpu_cmd_fail(cmd, VKLM_UNSUPPORTED,
                      "experts of %u rows and %u columns, in %s and %s: not a shape that they take",
                      e->n_intermediate, e->n_hidden, vklm_format_name(e->gate_up_format),
                      vklm_format_name(e->down_format));
    return false;
}

void vklm_op_expert_swiglu_record(vklm_gpu_cmd *cmd, const vklm_op_expert_swiglu *op)
{
    const vklm_experts *e = op->experts;
    if (!check(cmd, e))
        return;
    vklm_tuning tuning = tuning_of(cmd);
    vklm_op_input in = vklm_op_input_select(cmd, VKLM_FAMILY_EXPERT_SWIGLU, e->gate_up_format,
                                            e->n_hidden, op->x, op->x8);
    struct vklm_args_expert_swiglu args = {
        .table = vklm_gpu_view_address(e->table),
        .routes = vklm_gpu_view_address(op->routes),
        .x = vklm_gpu_view_address(in.x),
        .y = vklm_gpu_view_address(op->y),
        .y8 = vklm_op_optional_address(op->y8),
        .counters = vklm_op_optional_address(op->counters),
        .n_rows = e->n_intermediate,
        .n_cols = e->n_hidden,
    };
    vklm_gpu_cmd_dispatch(
        cmd,
        &(vklm_gpu_dispatch){
            .label = "experts gate up",
            .shader = in.shader,
            .smallest_subgroups = tuning.matvec_smallest,
            .constants = {tuning.matvec_lanes, 0, tuning.matvec_rows, [7] = op->y8.buffer != NULL},
            .args = &args,
            .args_bytes = sizeof args,
            .groups = {ceil_div(args.n_rows, tuning.matvec_rows / 2), e->top_k},
            .reads = {e->table, op->routes, in.x},
            .writes = {op->y, op->y8, op->counters},
            .bytes_read = e->top_k * vklm_format_bytes(e->gate_up_format, 2 * e->n_intermediate,
                                                       e->n_hidden) +
                          e->table.bytes + op->routes.bytes + in.x.bytes,
        });
}

void vklm_op_expert_down_record(vklm_gpu_cmd *cmd, const vklm_op_expert_down *op)
{
    const vklm_experts *e = op->experts;
    if (!check(cmd, e))
        return;
    vklm_tuning tuning = tuning_of(cmd);
    vklm_op_input in = vklm_op_input_select(cmd, VKLM_FAMILY_EXPERT_DOWN, e->down_format,
                                            e->n_intermediate, op->x, op->x8);
    struct vklm_args_expert_down args = {
        .table = vklm_gpu_view_address(e->table),
        .routes = vklm_gpu_view_address(op->routes),
        .x = vklm_gpu_view_address(in.x),
        .y = vklm_gpu_view_address(op->y),
        .norm = vklm_gpu_view_address(op->norm),
        .yn = vklm_gpu_view_address(op->yn),
        .yn8 = vklm_op_optional_address(op->yn8),
        .counter = vklm_gpu_view_address(op->counter),
        .n_rows = e->n_hidden,
        .n_cols = e->n_intermediate,
        .eps = op->eps,
    };
    vklm_gpu_cmd_dispatch(
        cmd, &(vklm_gpu_dispatch){
                 .label = "experts down",
                 .shader = in.shader,
                 .smallest_subgroups = tuning.matvec_smallest,
                 .constants = {tuning.matvec_lanes, 0, tuning.matvec_rows, 0, 0, 0, e->top_k,
                               op->yn8.buffer != NULL},
                 .args = &args,
                 .args_bytes = sizeof args,
                 .groups = {ceil_div(args.n_rows, tuning.matvec_rows)},
                 .reads = {e->table, op->routes, in.x, op->norm},
                 .writes = {op->y, op->yn, op->counter, op->yn8},
                 .bytes_read =
                     e->top_k * vklm_format_bytes(e->down_format, e->n_hidden, e->n_intermediate) +
                     e->table.bytes + op->routes.bytes + in.x.bytes + op->norm.bytes,
             });
}

uint32_t vklm_op_expert_tiles(const vklm_gpu_caps *caps, uint32_t n_tokens, uint32_t n_experts,
                              uint32_t top_k)
{
    // every expert may have one tile that is not full
    return n_tokens * top_k / vklm_tune_expert_matmul(caps).tile_tokens + n_experts;
}

void vklm_op_expert_group_record(vklm_gpu_cmd *cmd, const vklm_op_expert_group *op)
{
    const vklm_experts *e = op->experts;
    const vklm_expert_groups *g = op->groups;
    if (!check(cmd, e))
        return;
    vklm_tuning tuning = tuning_of(cmd);
    vklm_tune_tile tile = tile_of(cmd);
    if (op->n_tokens == 0 || op->n_tokens > tuning.prefill_tokens) {
        vklm_gpu_cmd_fail(cmd, VKLM_UNSUPPORTED,
                          "experts: %u tokens at once; 1 to %u are supported", op->n_tokens,
                          tuning.prefill_tokens);
        return;
    }
    struct vklm_args_expert_group args = {
        .routes = vklm_gpu_view_address(op->routes),
        .dispatch = vklm_gpu_view_address(g->dispatch),
        .tiles = vklm_gpu_view_address(g->tiles),
        .entries = vklm_gpu_view_address(g->entries),
        .places = vklm_gpu_view_address(g->places),
        .n_tokens = op->n_tokens,
        .gate_up_workgroups = ceil_div(2 * e->n_intermediate, tile.tile_rows),
        .down_workgroups = ceil_div(e->n_hidden, tile.tile_rows),
    };
    const uint32_t mask_words = ceil_div(tuning.prefill_tokens, 32);
    vklm_gpu_cmd_dispatch(cmd, &(vklm_gpu_dispatch){
                                   .label = "experts group",
                                   .shader = "expert_group",
                                   .constants = {tuning.element_lanes, 0, tile.tile_tokens,
                                                 mask_words, 0, e->n_experts, e->top_k},
                                   .args = &args,
                                   .args_bytes = sizeof args,
                                   .reads = {op->routes},
                                   .writes = {g->dispatch, g->tiles, g->entries, g->places},
                               });
}

static vklm_tune_coop select_coop(const vklm_gpu_cmd *cmd, const vklm_experts *e, bool down)
{
    return vklm_tune_expert_matmul_coop(vklm_gpu_device_caps(vklm_gpu_cmd_device(cmd)),
                                        down ? e->down_format : e->gate_up_format);
}

bool vklm_op_expert_matmul_takes16(const vklm_gpu_cmd *cmd, const vklm_experts *e, bool down)
{
    return select_coop(cmd, e, down).shader != NULL;
}

bool vklm_op_expert_matmul_takes8(const vklm_gpu_cmd *cmd, const vklm_experts *e, bool down)
{
    return vklm_tune_prompt_dot8(vklm_gpu_device_caps(vklm_gpu_cmd_device(cmd)),
                                 down ? e->down_format : e->gate_up_format,
                                 down ? e->n_intermediate : e->n_hidden);
}

void vklm_op_expert_matmul_record(vklm_gpu_cmd *cmd, const vklm_op_expert_matmul *op)
{
    const vklm_experts *e = op->experts;
    const vklm_expert_groups *g = op->groups;
    if (!check(cmd, e))
        return;
    vklm_tune_tile tile = tile_of(cmd);
    struct vklm_args_expert_matmul args = {
        .table = vklm_gpu_view_address(e->table),
        .tiles = vklm_gpu_view_address(g->tiles),
        .entries = vklm_gpu_view_address(g->entries),
        .y = vklm_gpu_view_address(op->y),
        .n_rows = op->down ? e->n_hidden : 2 * e->n_intermediate,
        .n_cols = op->down ? e->n_intermediate : e->n_hidden,
    };
    const uint64_t row = 3 * sizeof(uint32_t); // of g->dispatch
    const vklm_format format = op->down ? e->down_format : e->gate_up_format;
    const bool dot8 = op->x8.buffer && vklm_op_expert_matmul_takes8(cmd, e, op->down);
    const vklm_tune_coop coop =
        op->x16.buffer ? select_coop(cmd, e, op->down) : (vklm_tune_coop){0};
    const vklm_gpu_view x = coop.shader ? op->x16 : dot8 ? op->x8 : op->x;
    args.x = vklm_gpu_view_address(x);
    vklm_gpu_dispatch dispatch = {
        .label = op->down ? "experts down" : "experts gate up",
        .shader = dot8 ? vklm_tune_shader_dot8(tile.family, format)
                       : vklm_tune_shader(tile.family, format),
        .constants = {tile.lanes, 0, tile.tile_tokens, tile.tile_rows, op->down,
                      dot8 ? op->x8_terms : 0, e->top_k},
        .args = &args,
        .args_bytes = sizeof args,
        .indirect = vklm_gpu_view_part(g->dispatch, op->down ? row : 0, row),
        .reads = {e->table, g->tiles, g->entries, x},
        .writes = {op->y},
    };
    if (coop.shader) { // with the same tiles
        const uint32_t shape[] = {coop.m, coop.n, coop.k, coop.subgroups_tokens,
                                  coop.subgroups_rows};
        dispatch.shader = coop.shader;
        dispatch.constants[0] = coop.lanes;
        dispatch.constants[5] = coop.ahead;
        memcpy(dispatch.constants + 7, shape, sizeof shape);
        dispatch.smallest_subgroups = true;
    }
    vklm_gpu_cmd_dispatch(cmd, &dispatch);
}

void vklm_op_expert_combine_record(vklm_gpu_cmd *cmd, const vklm_op_expert_combine *op)
{
    const vklm_experts *e = op->experts;
    if (!check(cmd, e))
        return;
    vklm_tuning tuning = tuning_of(cmd);
    struct vklm_args_expert_combine args = {
        .rows = vklm_gpu_view_address(op->rows),
        .places = vklm_gpu_view_address(op->groups->places),
        .routes = vklm_gpu_view_address(op->routes),
        .x = vklm_gpu_view_address(op->x),
        .n_cols = e->n_hidden,
    };
    vklm_gpu_cmd_dispatch(
        cmd, &(vklm_gpu_dispatch){
                 .label = "experts combine",
                 .shader = "expert_combine",
                 .constants = {tuning.element_lanes, 0, 0, 0, 0, 0, e->top_k},
                 .args = &args,
                 .args_bytes = sizeof args,
                 .groups = {ceil_div(e->n_hidden / 4, tuning.element_lanes), op->n_tokens},
                 .reads = {op->rows, op->groups->places, op->routes},
                 .writes = {op->x},
             });
}
