#include "ops/rmsnorm.h"

#include "gpu/device.h"
#include "ops/tune.h"

void vklm_op_rmsnorm_record(vklm_gpu_cmd *cmd, const vklm_op_rmsnorm *op)
{
    if (op->n_cols % 4 != 0 || op->n_rows == 0) {
        vklm_gpu_cmd_fail(cmd, VKLM_UNSUPPORTED, "rmsnorm: %u rows of %u columns", op->n_rows,
                          op->n_cols);
        return;
    }
    vklm_tuning tuning = vklm_tune_select(vklm_gpu_device_caps(vklm_gpu_cmd_device(cmd)));
    struct vklm_args_rmsnorm args = {
        .x = vklm_gpu_view_address(op->x),
        .norm = vklm_gpu_view_address(op->norm),
        .y = vklm_gpu_view_address(op->y),
        .n_cols = op->n_cols,
        .eps = op->eps,
    };
    vklm_gpu_cmd_dispatch(cmd, &(vklm_gpu_dispatch){
                                   .label = "rmsnorm",
                                   .shader = "rmsnorm",
                                   .constants = {tuning.row_lanes},
                                   .args = &args,
                                   .args_bytes = sizeof args,
                                   .groups = {op->n_rows},
                                   .reads = {op->x, op->norm},
                                   .writes = {op->y},
                               });
}
