#include "ops/matmul.h"

#include "gpu/device.h"
#include "ops/tune.h"

void vklm_op_matmul_record(vklm_gpu_cmd *cmd, const vklm_op_matmul *op)
{
    const vklm_weight *w = op->weight;
    if (w->n_cols % vklm_format_group(w->format) != 0 || w->n_rows == 0 || op->n_tokens == 0) {
        vklm_gpu_cmd_fail(cmd, VKLM_UNSUPPORTED,
                          "%s: %u tokens, a matrix of %u rows and %u columns", op->label,
                          op->n_tokens, w->n_rows, w->n_cols);
        return;
    }
    vklm_tuning tuning = vklm_tune_select(vklm_gpu_device_caps(vklm_gpu_cmd_device(cmd)));
    struct vklm_args_matmul args = {
        .weight = vklm_gpu_view_address(w->data),
        .x = vklm_gpu_view_address(op->x),
        .y = vklm_gpu_view_address(op->y),
        .n_rows = w->n_rows,
        .n_cols = w->n_cols,
        .n_tokens = op->n_tokens,
    };
    vklm_gpu_cmd_dispatch(
        cmd, &(vklm_gpu_dispatch){
                 .label = op->label,
                 .shader = vklm_tune_shader(VKLM_FAMILY_MATMUL, w->format),
                 .constants = {256, 0, tuning.tile_tokens, tuning.tile_rows, op->add},
                 .args = &args,
                 .args_bytes = sizeof args,
                 .groups = {(w->n_rows + tuning.tile_rows - 1) / tuning.tile_rows,
                            (op->n_tokens + tuning.tile_tokens - 1) / tuning.tile_tokens},
                 .reads = {w->data, op->x},
                 .writes = {op->y},
             });
}
