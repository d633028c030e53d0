// gpu/instance_private.h: the instance as the other files of this folder see it.
#ifndef VKLM_GPU_INSTANCE_PRIVATE_H
#define VKLM_GPU_INSTANCE_PRIVATE_H

#include <stdatomic.h>

#include "gpu/instance.h"
#include "gpu/vk.h"

struct vklm_gpu_instance {
    VkInstance vk;
    VkDebugUtilsMessengerEXT messenger;
    atomic_uint n_messages;
    size_t n_devices;
    VkPhysicalDevice *devices; // [n_devices]
    vklm_gpu_caps *caps;       // [n_devices]
};

#endif
