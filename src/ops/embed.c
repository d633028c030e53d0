#include "ops/embed.h"

#include "gpu/device.h"
#include "ops/input8.h"

void vklm_op_embed_record(vklm_gpu_cmd *cmd, const vklm_op_embed *op)
{
    const vklm_weight *table = op->table;
    if (table->n_cols % vklm_format_group(table->format) != 0 || op->n_rows == 0) {
        vklm_gpu_cmd_fail(cmd, VKLM_UNSUPPORTED, "embed: %u rows of %u columns", op->n_rows,
                          table->n_cols);
        return;
    }
    vklm_tuning tuning = vklm_tune_select(vklm_gpu_device_caps(vklm_gpu_cmd_device(cmd)));
    struct vklm_args_embed args = {
        .table = vklm_gpu_view_address(table->data),
        .tokens = vklm_gpu_view_address(op->tokens),
        .norm = vklm_gpu_view_address(op->norm),
        .x = vklm_gpu_view_address(op->x),
        .xn = vklm_gpu_view_address(op->xn),
        .xn8 = vklm_op_optional_address(op->xn8),
        .n_vocab = table->n_rows,
        .n_cols = table->n_cols,
        .eps = op->eps,
    };
    uint64_t row = vklm_format_bytes(table->format, 1, table->n_cols);
    vklm_gpu_cmd_dispatch(
        cmd, &(vklm_gpu_dispatch){
                 .label = "embed",
                 .shader = vklm_tune_shader(VKLM_FAMILY_EMBED, table->format),
                 .constants = {tuning.row_lanes, [7] = op->xn8.buffer != NULL},
                 .args = &args,
                 .args_bytes = sizeof args,
                 .groups = {op->n_rows},
                 // which rows is known on the device only: as many bytes as they are
                 .reads = {vklm_gpu_view_part(table->data, 0, row), op->tokens, op->norm},
                 .writes = {op->x, op->xn, op->xn8},
             });
}
