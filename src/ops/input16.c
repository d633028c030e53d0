#include "ops/input16.h"

#include "gpu/device.h"
#include "ops/tune.h"

uint64_t vklm_op_input16_bytes(uint64_t n)
{
    return n * 2 + 16;
}

void vklm_op_input16_record(vklm_gpu_cmd *cmd, const vklm_op_input16 *op)
{
    if (op->n_cols % 8 != 0 || op->n_rows == 0) {
        vklm_gpu_cmd_fail(cmd, VKLM_UNSUPPORTED, "input16: %u rows of %u columns", op->n_rows,
                          op->n_cols);
        return;
    }
    vklm_tuning tuning = vklm_tune_select(vklm_gpu_device_caps(vklm_gpu_cmd_device(cmd)));
    struct vklm_args_input16 args = {
        .x = vklm_gpu_view_address(op->x),
        .y = vklm_gpu_view_address(op->y),
        .n_cols = op->n_cols,
    };
    vklm_gpu_cmd_dispatch(cmd, &(vklm_gpu_dispatch){
                                   .label = "input16",
                                   .shader = "input16",
                                   .constants = {tuning.row_lanes},
                                   .args = &args,
                                   .args_bytes = sizeof args,
                                   .groups = {op->n_rows},
                                   .reads = {op->x},
                                   .writes = {op->y},
                               });
}
