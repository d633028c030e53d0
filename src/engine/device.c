// vklm/device.h: the devices as the public sees them.
#include "engine/engine_private.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/array.h"

const char *vklm_device_type_name(vklm_device_type type)
{
    static const char *const names[] = {
        [VKLM_DEVICE_DISCRETE] = "discrete",
        [VKLM_DEVICE_INTEGRATED] = "integrated",
        [VKLM_DEVICE_VIRTUAL] = "virtual",
        [VKLM_DEVICE_CPU] = "cpu",
    };
    return (size_t)type < sizeof names / sizeof *names ? names[type] : "unknown";
}

void vklm_device_info_fill(const vklm_gpu_caps *caps, uint32_t index, vklm_device_info *out)
{
    *out = (vklm_device_info){
        .index = index,
        .type = caps->type,
        .vendor_id = caps->vendor_id,
        .device_id = caps->device_id,
        .vulkan_major = caps->api_version >> 22 & 0x7F, // VK_API_VERSION_MAJOR and so on
        .vulkan_minor = caps->api_version >> 12 & 0x3FF,
        .vulkan_patch = caps->api_version & 0xFFF,
        .subgroup_size = caps->subgroup_size,
        .min_subgroup_size = caps->min_subgroup_size,
        .max_subgroup_size = caps->max_subgroup_size,
        .tiers = caps->tiers,
        .n_coop_shapes = caps->n_coop_shapes,
        .accelerated_dot8 = caps->int8_dot && caps->int8_dot_accelerated,
        .has_float16 = caps->float16,
        .has_storage16 = caps->storage16,
        .has_storage8 = caps->storage8,
        .has_int64 = caps->int64,
    };
    snprintf(out->name, sizeof out->name, "%s", caps->name);
    snprintf(out->driver, sizeof out->driver, "%.250s%s%.250s", caps->driver_name,
             caps->driver_info[0] ? " " : "", caps->driver_info);
    vklm_gpu_caps_memory(caps, &out->memory_budget_bytes, &out->memory_bytes);
    vklm_gpu_caps_tiers(caps, &out->unusable);
}

vklm_status vklm_device_list(vklm_device_info **out_devices, size_t *out_n)
{
    *out_devices = NULL;
    *out_n = 0;
    vklm_gpu_instance *instance;
    vklm_status status = vklm_gpu_instance_create(&(vklm_gpu_instance_params){0}, &instance);
    if (status != VKLM_OK)
        return status;
    size_t n = vklm_gpu_instance_count(instance);
    vklm_device_info *list = vklm_alloc(n, sizeof *list);
    for (size_t i = 0; i < n && list; i++)
        vklm_device_info_fill(vklm_gpu_instance_caps(instance, i), (uint32_t)i, &list[i]);
    vklm_gpu_instance_destroy(instance);
    if (!list)
        return vklm_fail_memory("the device list");
    *out_devices = list;
    *out_n = n;
    return VKLM_OK;
}
