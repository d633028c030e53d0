#include "ops/matmul.h"

#include "gpu/device.h"
#include "ops/tune.h"

static uint32_t ceil_div(uint32_t a, uint32_t b)
{
    return (a + b - 1) / b;
}

// Of the base tier, or of the dot8 tier.
static void record_tiles(vklm_gpu_cmd *cmd, const vklm_op_matmul *op,
                         const struct vklm_args_matmul *args, vklm_tune_tile tile, vklm_gpu_view x,
                         const char *shader)
{
    const vklm_weight *w = op->weight;
    vklm_gpu_cmd_dispatch(cmd, &(vklm_gpu_dispatch){
                                   .label = op->label,
                                   .shader = shader,
                                   .constants = {tile.lanes, 0, tile.tile_tokens, tile.tile_rows,
                                                 op->add, op->x8.buffer ? op->x8_terms : 0},
                                   .args = args,
                                   .args_bytes = sizeof *args,
                                   .groups = {ceil_div(op->n_tokens, tile.tile_tokens),
                                              ceil_div(w->n_rows, tile.tile_rows)},
                                   .reads = {w->data, x},
                                   .writes = {op->y},
                               });
}

// Of the base tier, or of the dot8 tier.
static void record_columns(vklm_gpu_cmd *cmd, const vklm_op_matmul *op,
                           const struct vklm_args_matmul *args, vklm_gpu_view x, const char *shader)
{
    const vklm_weight *w = op->weight;
    vklm_tuning tuning = vklm_tune_select(vklm_gpu_device_caps(vklm_gpu_cmd_device(cmd)));
    // More workgroups than one dimension has (65535 is the guaranteed least).
    uint32_t workgroups = ceil_div(w->n_rows, tuning.columns_rows),
             height = ceil_div(workgroups, 65535);
    vklm_gpu_cmd_dispatch(
        cmd, &(vklm_gpu_dispatch){
                 .label = op->label,
                 .shader = shader,
                 .smallest_subgroups = tuning.matvec_smallest,
                 .constants = {tuning.matvec_lanes, 0, tuning.columns_rows, op->n_tokens, op->add,
                               op->x8.buffer ? op->x8_terms : 0},
                 .args = args,
                 .args_bytes = sizeof *args,
                 .groups = {ceil_div(workgroups, height), height},
                 .reads = {w->data, x},
                 .writes = {op->y},
             });
}

static void record_coop(vklm_gpu_cmd *cmd, const vklm_op_matmul *op,
                        const struct vklm_args_matmul *args, const vklm_tune_coop *t)
{
    vklm_gpu_cmd_dispatch(cmd, &(vklm_gpu_dispatch){
                                   .label = op->label,
                                   .shader = t->shader,
                                   .constants = {t->lanes, 0, t->tile_tokens, t->tile_rows, op->add,
                                                 t->ahead, [7] = t->m, t->n, t->k,
                                                 t->subgroups_tokens, t->subgroups_rows},
                                   .smallest_subgroups = true,
                                   .args = args,
                                   .args_bytes = sizeof *args,
                                   .groups = {ceil_div(op->n_tokens, t->tile_tokens),
                                              ceil_div(op->weight->n_rows, t->tile_rows)},
                                   .reads = {op->weight->data, op->x16},
                                   .writes = {op->y},
                               });
}

static bool are_columns(uint32_t n_tokens, bool alone)
{
    return alone && n_tokens <= VKLM_OP_MATMUL_FEW;
}

bool vklm_op_matmul_takes8(const vklm_gpu_cmd *cmd, const vklm_weight *weight, uint32_t n_tokens,
                           bool alone)
{
    const vklm_gpu_caps *caps = vklm_gpu_device_caps(vklm_gpu_cmd_device(cmd));
    return are_columns(n_tokens, alone)
               ? vklm_tune_dot8(caps, weight->format, weight->n_cols)
               : vklm_tune_prompt_dot8(caps, weight->format, weight->n_cols);
}

// No shader: the other tiers.
static vklm_tune_coop select_coop(const vklm_gpu_cmd *cmd, const vklm_weight *w, uint32_t n_tokens,
                                  bool alone)
{
    if (are_columns(n_tokens, alone))
        return (vklm_tune_coop){0};
    return vklm_tune_matmul_coop(vklm_gpu_device_caps(vklm_gpu_cmd_device(cmd)), w->format,
                                 w->n_rows, n_tokens);
}

bool vklm_op_matmul_takes16(const vklm_gpu_cmd *cmd, const vklm_weight *weight, uint32_t n_tokens,
                            bool alone)
{
    return select_coop(cmd, weight, n_tokens, alone).shader != NULL;
}

void vklm_op_matmul_record(vklm_gpu_cmd *cmd, const vklm_op_matmul *op)
{
    const vklm_weight *w = op->weight;
    if (w->n_cols % vklm_format_group(w->format) != 0 || w->n_rows == 0 || op->n_tokens == 0) {
        vklm_gpu_cmd_fail(cmd, VKLM_UNSUPPORTED,
                          "%s: %u tokens, a matrix of %u rows and %u columns", op->label,
                          op->n_tokens, w->n_rows, w->n_cols);
        return;
    }
    struct vklm_args_matmul args = {
        .weight = vklm_gpu_view_address(w->data),
        .y = vklm_gpu_view_address(op->y),
        .n_rows = w->n_rows,
        .n_cols = w->n_cols,
        .n_tokens = op->n_tokens,
    };
    const vklm_gpu_caps *caps = vklm_gpu_device_caps(vklm_gpu_cmd_device(cmd));
    const bool columns = are_columns(op->n_tokens, op->alone),
               dot8 = op->x8.buffer && vklm_op_matmul_takes8(cmd, w, op->n_tokens, op->alone);
    const vklm_tune_coop coop =
        op->x16.buffer ? select_coop(cmd, w, op->n_tokens, op->alone) : (vklm_tune_coop){0};
    const vklm_tune_tile tile = dot8 ? vklm_tune_matmul_dot8(caps) : vklm_tune_matmul(caps);
    const vklm_family family = columns ? VKLM_FAMILY_MATVEC_COLUMNS : tile.family;
    const char *shader =
        dot8 ? vklm_tune_shader_dot8(family, w->format) : vklm_tune_shader(family, w->format);
    const vklm_gpu_view x = coop.shader ? op->x16 : dot8 ? op->x8 : op->x;
    args.x = vklm_gpu_view_address(x);
    if (columns)
        record_columns(cmd, op, &args, x, shader);
    else if (coop.shader)
        record_coop(cmd, op, &args, &coop);
    else
        record_tiles(cmd, op, &args, tile, x, shader);
}
