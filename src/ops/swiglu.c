#include "ops/swiglu.h"

#include "gpu/device.h"
#include "ops/tune.h"

void vklm_op_swiglu_record(vklm_gpu_cmd *cmd, const vklm_op_swiglu *op)
{
    vklm_tuning tuning = vklm_tune_select(vklm_gpu_device_caps(vklm_gpu_cmd_device(cmd)));
    struct vklm_args_swiglu args = {
        .gate_up = vklm_gpu_view_address(op->gate_up),
        .y = vklm_gpu_view_address(op->y),
        .n_tokens = op->n_tokens,
        .n_cols = op->n_cols,
    };
    vklm_gpu_cmd_dispatch(
        cmd, &(vklm_gpu_dispatch){
                 .label = "swiglu",
                 .shader = "swiglu",
                 .constants = {tuning.element_lanes},
                 .args = &args,
                 .args_bytes = sizeof args,
                 .groups = {(op->n_cols + tuning.element_lanes - 1) / tuning.element_lanes,
                            op->n_tokens},
                 .reads = {op->gate_up},
                 .writes = {op->y},
             });
}
