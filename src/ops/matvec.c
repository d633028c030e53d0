#include "ops/matvec.h"

#include "gpu/device.h"
#include "ops/input8.h"

static vklm_tuning tuning_of(const vklm_gpu_cmd *cmd)
{
    return vklm_tune_select(vklm_gpu_device_caps(vklm_gpu_cmd_device(cmd)));
}

static uint32_t ceil_div(uint32_t a, uint32_t b)
{
    return (a + b - 1) / b;
}

static bool check_weight(vklm_gpu_cmd *cmd, const char *label, const vklm_weight *w)
{
    if (w->n_cols % vklm_format_group(w->format) == 0 && w->n_rows > 0 && w->n_cols > 0)
        return true;
    vklm_gpu_cmd_fail(cmd, VKLM_UNSUPPORTED,
                      "%s: a matrix of %u rows and %u columns; columns must "
                      "be a multiple of %u",
                      label, w->n_rows, w->n_cols, vklm_format_group(w->format));
    return false;
}

void vklm_op_matvec_record(vklm_gpu_cmd *cmd, const vklm_op_matvec *op)
{
    const vklm_weight *w = op->weight;
    if (!check_weight(cmd, op->label, w))
        return;
    vklm_tuning tuning = tuning_of(cmd);
    vklm_op_input in =
        vklm_op_input_select(cmd, VKLM_FAMILY_MATVEC, w->format, w->n_cols, op->x, op->x8);
    struct vklm_args_matvec args = {
        .weight = vklm_gpu_view_address(w->data),
        .x = vklm_gpu_view_address(in.x),
        .y = vklm_gpu_view_address(op->y),
        .n_rows = w->n_rows,
        .n_cols = w->n_cols,
    };
    // The vocabulary may need more workgroups than one dimension has (65535 is the guaranteed
    // least).
    uint32_t workgroups = ceil_div(w->n_rows, tuning.matvec_rows),
             height = ceil_div(workgroups, 65535);
    vklm_gpu_cmd_dispatch(cmd, &(vklm_gpu_dispatch){
                                   .label = op->label,
                                   .shader = in.shader,
                                   .smallest_subgroups = tuning.matvec_smallest,
                                   .constants = {tuning.matvec_lanes, 0, tuning.matvec_rows},
                                   .args = &args,
                                   .args_bytes = sizeof args,
                                   .groups = {ceil_div(workgroups, height), height},
                                   .reads = {w->data, in.x},
                                   .writes = {op->y},
                               });
}

void vklm_op_matvec_swiglu_record(vklm_gpu_cmd *cmd, const vklm_op_matvec_swiglu *op)
{
    const vklm_weight *w = op->weight;
    if (!check_weight(cmd, op->label, w))
        return;
    vklm_tuning tuning = tuning_of(cmd);
    vklm_op_input in =
        vklm_op_input_select(cmd, VKLM_FAMILY_MATVEC_SWIGLU, w->format, w->n_cols, op->x, op->x8);
    struct vklm_args_matvec_swiglu args = {
        .weight = vklm_gpu_view_address(w->data),
        .x = vklm_gpu_view_address(in.x),
        .y = vklm_gpu_view_address(op->y),
        .y8 = vklm_op_optional_address(op->y8),
        .counters = vklm_op_optional_address(op->counters),
        .n_rows = w->n_rows / 2,
        .n_cols = w->n_cols,
    };
    vklm_gpu_cmd_dispatch(cmd, &(vklm_gpu_dispatch){
                                   .label = op->label,
                                   .shader = in.shader,
                                   .smallest_subgroups = tuning.matvec_smallest,
                                   .constants = {tuning.matvec_lanes, 0,
                                                 tuning.matvec_rows, [7] = op->y8.buffer != NULL},
                                   .args = &args,
                                   .args_bytes = sizeof args,
                                   .groups = {ceil_div(args.n_rows, tuning.matvec_rows / 2)},
                                   .reads = {w->data, in.x},
                                   .writes = {op->y, op->y8, op->counters},
                               });
}

void vklm_op_matvec_residual_record(vklm_gpu_cmd *cmd, const vklm_op_matvec_residual *op)
{
    const vklm_weight *w = op->weight;
    if (!check_weight(cmd, op->label, w))
        return;
    vklm_tuning tuning = tuning_of(cmd);
    vklm_op_input in =
        vklm_op_input_select(cmd, VKLM_FAMILY_MATVEC_RESIDUAL, w->format, w->n_cols, op->x, op->x8);
    struct vklm_args_matvec_residual args = {
        .weight = vklm_gpu_view_address(w->data),
        .x = vklm_gpu_view_address(in.x),
        .y = vklm_gpu_view_address(op->y),
        .norm = vklm_gpu_view_address(op->norm),
        .yn = vklm_gpu_view_address(op->yn),
        .yn8 = vklm_op_optional_address(op->yn8),
        .counter = vklm_gpu_view_address(op->counter),
        .n_rows = w->n_rows,
        .n_cols = w->n_cols,
        .eps = op->eps,
    };
    vklm_gpu_dispatch dispatch = {
        .label = op->label,
        .shader = in.shader,
        .smallest_subgroups = tuning.matvec_smallest,
        .constants = {tuning.matvec_lanes, 0, tuning.matvec_rows, op->router != NULL, 0, 1, 1,
                      op->yn8.buffer != NULL},
        .args = &args,
        .args_bytes = sizeof args,
        .groups = {ceil_div(w->n_rows, tuning.matvec_rows)},
        .reads = {w->data, in.x, op->norm},
        .writes = {op->y, op->yn, op->counter, op->yn8},
    };
    const vklm_router *router = op->router;
    if (router) {
        if (!vklm_router_check(cmd, router->n_experts, router->top_k))
            return;
        args.router = vklm_gpu_view_address(router->weight);
        args.routes = vklm_gpu_view_address(router->routes);
        args.status = vklm_gpu_view_address(router->status);
        args.layer = router->layer;
        dispatch.constants[5] = router->n_experts;
        dispatch.constants[6] = router->top_k;
        dispatch.reads[3] = router->weight;
        size_t n = op->yn8.buffer ? 4 : 3;
        dispatch.writes[n] = router->routes;
        dispatch.writes[n + 1] = router->status;
    }
    vklm_gpu_cmd_dispatch(cmd, &dispatch);
}

void vklm_op_matvec_qkv_record(vklm_gpu_cmd *cmd, const vklm_op_matvec_qkv *op)
{
    const vklm_weight *w = op->weight;
    if (!check_weight(cmd, op->label, w))
        return;
    const uint32_t n_all = op->n_heads + 2 * op->n_kv_heads;
    if (op->head_dim % (op->kv_q8 ? 64 : 4) != 0 || op->head_dim > 256 ||
        w->n_rows != n_all * op->head_dim) {
        vklm_gpu_cmd_fail(cmd, VKLM_UNSUPPORTED, "%s: %u rows for %u heads of %u", op->label,
                          w->n_rows, n_all, op->head_dim);
        return;
    }
    vklm_tuning tuning = tuning_of(cmd);
    const vklm_family family = op->kv_q8 ? VKLM_FAMILY_MATVEC_QKV_KVQ8 : VKLM_FAMILY_MATVEC_QKV;
    vklm_op_input in = vklm_op_input_select(cmd, family, w->format, w->n_cols, op->x, op->x8);
    struct vklm_args_matvec_qkv args = {
        .weight = vklm_gpu_view_address(w->data),
        .x = vklm_gpu_view_address(in.x),
        .step = vklm_gpu_view_address(op->step),
        .rope = vklm_gpu_view_address(op->rope),
        .q = vklm_gpu_view_address(op->q),
        .k = vklm_gpu_view_address(op->k),
        .v = vklm_gpu_view_address(op->v),
        .scratch = op->kv_q8 ? vklm_gpu_view_address(op->scratch) : (vklm_gpu_address){0},
        .counters = op->kv_q8 ? vklm_gpu_view_address(op->counters) : (vklm_gpu_address){0},
        .n_cols = w->n_cols,
        .n_heads = op->n_heads,
        .n_kv_heads = op->n_kv_heads,
        .head_dim = op->head_dim,
        .n_ctx = op->n_ctx,
    };
    vklm_gpu_cmd_dispatch(
        cmd, &(vklm_gpu_dispatch){
                 .label = op->label,
                 .shader = in.shader,
                 .smallest_subgroups = tuning.matvec_smallest,
                 .constants = {tuning.matvec_lanes, 0, 4},
                 .args = &args,
                 .args_bytes = sizeof args,
                 .groups = {w->n_rows / 4},
                 .reads = {w->data, in.x, op->step, op->rope},
                 .writes = {op->q, op->k, op->v, op->scratch, op->counters},
                 // of rope one row, of the cache one position
                 .bytes_read =
                     w->data.bytes + in.x.bytes + op->step.bytes + op->head_dim * sizeof(float),
                 .bytes_written = op->q.bytes + (op->k.bytes + op->v.bytes) / op->n_ctx +
                                  op->scratch.bytes + op->counters.bytes,
             });
}
