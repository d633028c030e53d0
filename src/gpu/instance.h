// gpu/instance.h: the Vulkan instance: the loader, validation messages, and the choice of a device.
#ifndef VKLM_GPU_INSTANCE_H
#define VKLM_GPU_INSTANCE_H

#include <stddef.h>

#include "base/status.h"
#include "gpu/caps.h"

typedef struct vklm_gpu_instance vklm_gpu_instance;

typedef struct {
    bool no_quirks;  // trust drivers: gpu/quirks.c corrects nothing
    bool validation; // load VK_LAYER_KHRONOS_validation; a failure when it is not installed
} vklm_gpu_instance_params;

// VKLM_NO_DEVICE, with what to install, when there is no Vulkan loader or no device.
vklm_status vklm_gpu_instance_create(const vklm_gpu_instance_params *params,
                                     vklm_gpu_instance **out_instance);
void vklm_gpu_instance_destroy(vklm_gpu_instance *instance); // takes NULL

size_t vklm_gpu_instance_count(const vklm_gpu_instance *instance);
const vklm_gpu_caps *vklm_gpu_instance_caps(const vklm_gpu_instance *instance, size_t index);

// Warnings and errors that validation layers and drivers have reported since creation; each is also
// in the log.
unsigned vklm_gpu_instance_messages(const vklm_gpu_instance *instance);

// Picks a device: `wanted` is its index ("0"), a part of its name (any case), or NULL for the best
// one: discrete before integrated before virtual before CPU, then more memory. VKLM_NOT_FOUND lists
// what there is; VKLM_UNSUPPORTED says what the device lacks.
vklm_status vklm_gpu_instance_select(const vklm_gpu_instance *instance, const char *wanted,
                                     size_t *out_index);

// The same choice on a bare list: what tests drive with tables of devices.
vklm_status vklm_gpu_select(const vklm_gpu_caps *const *devices, size_t n, const char *wanted,
                            size_t *out_index);

#endif
