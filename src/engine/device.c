// vklm/device.h: the devices as the public sees them.
#include "engine/engine_private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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
        .accelerated_dot8_mixed = caps->int8_dot && caps->int8_dot_mixed,
        .has_float16 = caps->float16,
        .has_storage16 = caps->storage16,
        .has_storage8 = caps->storage8,
        .has_int64 = caps->int64,
        .driver_id = caps->driver_id,
        .driver_version = caps->driver_version,
        .max_workgroup_invocations = caps->max_workgroup_invocations,
        .max_shared_bytes = caps->max_shared_bytes,
        .max_push_bytes = caps->max_push_bytes,
        .max_allocation_bytes = caps->max_allocation_bytes,
        .max_buffer_bytes = caps->max_buffer_bytes,
        .n_heaps = caps->n_heaps,
    };
    memcpy(out->coop_shapes, caps->coop_shapes, sizeof out->coop_shapes);
    for (uint32_t i = 0; i < caps->n_heaps; i++)
        out->heaps[i] = (vklm_device_heap){.bytes = caps->heaps[i].bytes,
                                           .device_local = caps->heaps[i].device_local,
                                           .host_visible = caps->heaps[i].host_visible};
    snprintf(out->name, sizeof out->name, "%s", caps->name);
    snprintf(out->driver, sizeof out->driver, "%.250s%s%.250s", caps->driver_name,
             caps->driver_info[0] ? " " : "", caps->driver_info);
    vklm_gpu_caps_memory(caps, &out->memory_budget_bytes, &out->memory_bytes);
    vklm_gpu_caps_tiers(caps, &out->unusable);
}

// A whole number with k, m or g behind it.
static bool read_size(const char *text, size_t len, uint64_t *out)
{
    static const char units[] = "kmg";
    size_t i = 0;
    *out = 0;
    for (; i < len && text[i] >= '0' && text[i] <= '9'; i++) {
        if (*out > UINT64_MAX / 20)
            return false;
        *out = *out * 10 + (uint64_t)(text[i] - '0');
    }
    const char *unit = i + 1 == len ? strchr(units, text[i] | 0x20) : NULL;
    if (unit) {
        unsigned shift = 10 * (unsigned)(unit - units + 1);
        if (*out > UINT64_MAX >> shift)
            return false;
        *out <<= shift;
    }
    return i > 0 && *out > 0 && (i == len || unit);
}

vklm_status vklm_device_limits_parse(const char *text, vklm_device_limits *out)
{
    *out = (vklm_device_limits){0};
    const struct {
        const char *name;
        uint32_t *small;
    } limits[] = {{"subgroup=", &out->subgroup_size},
                  {"shared=", &out->shared_bytes},
                  {"workgroup=", &out->workgroup_invocations},
                  {"push=", &out->push_bytes},
                  {"alloc=", NULL}};
    const size_t n = sizeof limits / sizeof *limits;
    for (const char *at = text;; at++) {
        size_t i = 0, len = strcspn(at, ","), name;
        uint64_t value;
        while (i < n && strncmp(at, limits[i].name, strlen(limits[i].name)) != 0)
            i++;
        if (i == n)
            return vklm_fail(VKLM_INVALID_ARGUMENT,
                             "'%.40s' is no limit; there are subgroup=, shared=, workgroup=, push= "
                             "and alloc=",
                             at);
        name = strlen(limits[i].name);
        if (!read_size(at + name, len - name, &value) || (limits[i].small && value > UINT32_MAX) ||
            (i == 0 && (value < 4 || value & (value - 1))))
            return vklm_fail(VKLM_INVALID_ARGUMENT, "'%.*s': wanted %s", (int)(len < 40 ? len : 40),
                             at, i == 0 ? "a power of two from 4 on" : "a number above 0");
        if (limits[i].small)
            *limits[i].small = (uint32_t)value;
        else
            out->allocation_bytes = value;
        at += len;
        if (!*at)
            return VKLM_OK;
    }
}

static vklm_status list_devices(bool no_quirks, vklm_device_info **out_devices, size_t *out_n)
{
    *out_devices = NULL;
    *out_n = 0;
    vklm_gpu_instance *instance;
    vklm_status status =
        vklm_gpu_instance_create(&(vklm_gpu_instance_params){.no_quirks = no_quirks}, &instance);
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

vklm_status vklm_device_list(vklm_device_info **out_devices, size_t *out_n)
{
    return list_devices(false, out_devices, out_n);
}

vklm_status vklm_device_list_as_reported(vklm_device_info **out_devices, size_t *out_n)
{
    return list_devices(true, out_devices, out_n);
}
