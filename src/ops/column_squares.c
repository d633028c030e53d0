#include "ops/column_squares.h"

#include "gpu/device.h"
#include "ops/tune.h"

void vklm_op_column_squares_record(vklm_gpu_cmd *cmd, const vklm_op_column_squares *op)
{
    vklm_tuning tuning = vklm_tune_select(vklm_gpu_device_caps(vklm_gpu_cmd_device(cmd)));
    struct vklm_args_column_squares args = {
        .x = vklm_gpu_view_address(op->x),
        .sums = vklm_gpu_view_address(op->sums),
        .n_rows = op->n_rows,
        .n_cols = op->n_cols,
    };
    const uint32_t lanes = tuning.element_lanes;
    vklm_gpu_cmd_dispatch(cmd, &(vklm_gpu_dispatch){
                                   .label = "column squares",
                                   .shader = "column_squares",
                                   .constants = {lanes},
                                   .args = &args,
                                   .args_bytes = sizeof args,
                                   .groups = {(op->n_cols + lanes - 1) / lanes},
                                   .reads = {op->x},
                                   .writes = {op->sums},
                               });
}
