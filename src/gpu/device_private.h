// gpu/device_private.h: the device as the other files of this folder see it.
#ifndef VKLM_GPU_DEVICE_PRIVATE_H
#define VKLM_GPU_DEVICE_PRIVATE_H

#include "gpu/device.h"
#include "gpu/pipeline.h"
#include "gpu/vk.h"

struct vklm_gpu_device {
    vklm_gpu_instance *instance;
    VkPhysicalDevice physical;
    VkDevice vk;
    VkQueue queue;
    uint32_t queue_family;
    VkCommandPool pool;
    VkSemaphore timeline;    // counts submissions
    uint64_t last_submitted; // the timeline's value when everything is done
    bool serial;
    bool dry;        // no queue is used
    bool statistics; // pipelines are built so that the driver tells about them
    bool lost;
    uint64_t device_bytes, device_bytes_peak; // of the device class
    VkPhysicalDeviceMemoryProperties memory;
    vklm_gpu_caps caps;
    vklm_gpu_pipelines pipelines;
};

struct vklm_gpu_buffer {
    vklm_gpu_device *device;
    VkBuffer vk;
    VkDeviceMemory memory;
    VkDeviceAddress address;
    uint64_t bytes;
    uint64_t device_bytes; // counted in the device's
    void *map;             // NULL for the device class
};

// Submits n batches of one command buffer each, in one call to the driver; *out_ticket is the
// timeline value that marks the end of the last one, those before it count up to it.
enum { VKLM_GPU_MAX_BATCHES = 32 };
vklm_status vklm_gpu_device_submit(vklm_gpu_device *device, const VkCommandBuffer *batches,
                                   uint32_t n, uint64_t *out_ticket);
vklm_status vklm_gpu_device_wait(vklm_gpu_device *device, uint64_t ticket);

#endif
