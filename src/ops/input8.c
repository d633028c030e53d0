#include "ops/input8.h"

#include "gpu/device.h"

uint64_t vklm_op_input8_bytes(uint64_t n)
{
    return n / 4 * 5;
}

vklm_op_input vklm_op_input_select(const vklm_gpu_cmd *cmd, vklm_family family, vklm_format format,
                                   uint32_t n_cols, vklm_gpu_view x, vklm_gpu_view x8)
{
    const vklm_gpu_caps *caps = vklm_gpu_device_caps(vklm_gpu_cmd_device(cmd));
    if (x8.buffer && vklm_tune_dot8(caps, format, n_cols))
        return (vklm_op_input){.shader = vklm_tune_shader_dot8(family, format), .x = x8};
    return (vklm_op_input){.shader = vklm_tune_shader(family, format), .x = x};
}

void vklm_op_input8_record(vklm_gpu_cmd *cmd, const vklm_op_input8 *op)
{
    if (op->n_cols % 64 != 0 || op->n_rows == 0 || op->terms < 1 || op->terms > 2) {
        vklm_gpu_cmd_fail(cmd, VKLM_UNSUPPORTED, "input8: %u rows of %u columns in %u terms",
                          op->n_rows, op->n_cols, op->terms);
        return;
    }
    vklm_tuning tuning = vklm_tune_select(vklm_gpu_device_caps(vklm_gpu_cmd_device(cmd)));
    struct vklm_args_input8 args = {
        .x = vklm_gpu_view_address(op->x),
        .y = vklm_gpu_view_address(op->y),
        .n_rows = op->n_rows,
        .n_cols = op->n_cols,
    };
    const uint32_t blocks = op->n_rows * (op->n_cols / 32);
    vklm_gpu_cmd_dispatch(
        cmd, &(vklm_gpu_dispatch){
                 .label = "input8",
                 .shader = "input8",
                 .constants = {tuning.element_lanes, [5] = op->terms},
                 .args = &args,
                 .args_bytes = sizeof args,
                 .groups = {(blocks + tuning.element_lanes - 1) / tuning.element_lanes},
                 .reads = {op->x},
                 .writes = {op->y},
             });
}

vklm_gpu_address vklm_op_optional_address(vklm_gpu_view view)
{
    return view.buffer ? vklm_gpu_view_address(view) : (vklm_gpu_address){0};
}
