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

vklm_gpu_address vklm_op_optional_address(vklm_gpu_view view)
{
    return view.buffer ? vklm_gpu_view_address(view) : (vklm_gpu_address){0};
}
