#include "gpu/device_private.h"

#include <assert.h>
#include <stdlib.h>

#include "base/array.h"
#include "gpu/caps_read.h"
#include "gpu/coop_matrix.h"
#include "gpu/instance_private.h"

// A family with compute, without graphics if there is one: it is less likely to wait for the
// desktop.
static bool find_queue_family(vklm_gpu_device *d)
{
    VkQueueFamilyProperties families[32];
    uint32_t n = 32;
    bool found = false;
    vkGetPhysicalDeviceQueueFamilyProperties(d->physical, &n, families);
    for (uint32_t i = 0; i < n; i++) {
        VkQueueFlags flags = families[i].queueFlags;
        if (!(flags & VK_QUEUE_COMPUTE_BIT) || (found && flags & VK_QUEUE_GRAPHICS_BIT))
            continue;
        d->queue_family = i;
        d->caps.timestamp_bits = families[i].timestampValidBits;
        d->caps.timestamps = d->caps.timestamp_ns > 0 && d->caps.timestamp_bits > 0;
        found = true;
        if (!(flags & VK_QUEUE_GRAPHICS_BIT))
            break;
    }
    return found;
}

static vklm_status create_device(vklm_gpu_device *d)
{
    if (!find_queue_family(d))
        return vklm_fail(VKLM_UNSUPPORTED, "device %s has no compute queue", d->caps.name);
    float priority = 1;
    VkDeviceQueueCreateInfo queue = {
        .sType = VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO,
        .queueFamilyIndex = d->queue_family,
        .queueCount = 1,
        .pQueuePriorities = &priority,
    };
    // Beyond the base tier: what the device has, so that a kernel that needs it finds it enabled.
    vklm_coop_features coop = {.sType = (VkStructureType)VKLM_COOP_FEATURES_STYPE,
                               .cooperativeMatrix = VK_TRUE};
    VkPhysicalDevicePipelineExecutablePropertiesFeaturesKHR statistics = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PIPELINE_EXECUTABLE_PROPERTIES_FEATURES_KHR,
        .pipelineExecutableInfo = VK_TRUE,
    };
    const char *extensions[2];
    uint32_t n_extensions = 0;
    void *next = NULL;
    if (d->caps.coop_matrix) {
        extensions[n_extensions++] = VKLM_COOP_MATRIX_EXTENSION;
        coop.pNext = next;
        next = &coop;
    }
    if (d->statistics) {
        extensions[n_extensions++] = VK_KHR_PIPELINE_EXECUTABLE_PROPERTIES_EXTENSION_NAME;
        statistics.pNext = next;
        next = &statistics;
    }
    VkPhysicalDeviceVulkan13Features f13 = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_3_FEATURES,
        .pNext = next,
        .subgroupSizeControl = d->caps.subgroup_size_control,
        .computeFullSubgroups = d->caps.full_subgroups,
        .synchronization2 = VK_TRUE,
        .shaderIntegerDotProduct = d->caps.int8_dot,
    };
    VkPhysicalDeviceVulkan12Features f12 = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_2_FEATURES,
        .pNext = &f13,
        .bufferDeviceAddress = VK_TRUE,
        .timelineSemaphore = VK_TRUE,
        .shaderFloat16 = d->caps.float16,
        .shaderInt8 = d->caps.int8,
        .storageBuffer8BitAccess = d->caps.storage8,
        .vulkanMemoryModel = d->caps.memory_model, // the coop tier's shaders are written in it,
        .vulkanMemoryModelDeviceScope = d->caps.memory_model, // the others' atomics have that scope
    };
    VkPhysicalDeviceVulkan11Features f11 = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_1_FEATURES,
        .pNext = &f12,
        .storageBuffer16BitAccess = d->caps.storage16,
    };
    VkDeviceCreateInfo info = {
        .sType = VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO,
        .pNext = &f11,
        .queueCreateInfoCount = 1,
        .pQueueCreateInfos = &queue,
        .enabledExtensionCount = n_extensions,
        .ppEnabledExtensionNames = extensions,
    };
    vklm_status status =
        vklm_vk_check(vkCreateDevice(d->physical, &info, NULL, &d->vk), "vkCreateDevice");
    if (status != VKLM_OK)
        return vklm_fail_prefix(status, "device %s", d->caps.name);
    vkGetDeviceQueue(d->vk, d->queue_family, 0, &d->queue);
    vkGetPhysicalDeviceMemoryProperties(d->physical, &d->memory);
    if (d->dry)
        return VKLM_OK;

    VkCommandPoolCreateInfo pool = {
        .sType = VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO,
        .flags = VK_COMMAND_POOL_CREATE_RESET_COMMAND_BUFFER_BIT,
        .queueFamilyIndex = d->queue_family,
    };
    status =
        vklm_vk_check(vkCreateCommandPool(d->vk, &pool, NULL, &d->pool), "vkCreateCommandPool");
    if (status != VKLM_OK)
        return status;
    VkSemaphoreTypeCreateInfo timeline = {
        .sType = VK_STRUCTURE_TYPE_SEMAPHORE_TYPE_CREATE_INFO,
        .semaphoreType = VK_SEMAPHORE_TYPE_TIMELINE,
    };
    VkSemaphoreCreateInfo semaphore = {.sType = VK_STRUCTURE_TYPE_SEMAPHORE_CREATE_INFO,
                                       .pNext = &timeline};
    return vklm_vk_check(vkCreateSemaphore(d->vk, &semaphore, NULL, &d->timeline),
                         "vkCreateSemaphore");
}

vklm_status vklm_gpu_device_open(vklm_gpu_instance *instance, size_t index,
                                 const vklm_gpu_device_params *params, vklm_gpu_device **out_device)
{
    *out_device = NULL;
    vklm_gpu_device *d = vklm_alloc(1, sizeof *d);
    if (!d)
        return vklm_fail_memory("the device");
    d->instance = instance;
    d->physical = instance->devices[index];
    d->caps = instance->caps[index];
    d->serial = params->serial;
    d->dry = params->dry;
    d->statistics = d->dry && d->caps.pipeline_statistics;
    if (params->tune_as_gpu && d->caps.type == VKLM_DEVICE_CPU)
        d->caps.type = VKLM_DEVICE_DISCRETE;
    if (params->tiers)
        d->caps.tiers = vklm_gpu_caps_runnable_tiers(&d->caps) & (params->tiers | VKLM_TIER_BASE);
    vklm_status status = vklm_gpu_caps_limit(&d->caps, &params->limits);
    if (status == VKLM_OK)
        status = create_device(d);
    if (status == VKLM_OK)
        status = vklm_gpu_pipelines_init(d, params->cache_folder);
    if (status != VKLM_OK) {
        vklm_gpu_device_close(d);
        return status;
    }
    *out_device = d;
    return VKLM_OK;
}

void vklm_gpu_device_close(vklm_gpu_device *device)
{
    if (!device)
        return;
    if (device->vk) {
        if (!device->dry)
            vkDeviceWaitIdle(device->vk);
        vklm_gpu_pipelines_finish(device);
        if (device->timeline)
            vkDestroySemaphore(device->vk, device->timeline, NULL);
        if (device->pool)
            vkDestroyCommandPool(device->vk, device->pool, NULL);
        vkDestroyDevice(device->vk, NULL);
    }
    free(device);
}

const vklm_gpu_caps *vklm_gpu_device_caps(const vklm_gpu_device *device)
{
    return &device->caps;
}

void vklm_gpu_device_drop_tiers(vklm_gpu_device *device, unsigned tiers)
{
    device->caps.tiers &= ~tiers;
}

void vklm_gpu_device_memory(vklm_gpu_device *device, bool reset, uint64_t *out_now,
                            uint64_t *out_peak)
{
    *out_now = device->device_bytes;
    *out_peak = device->device_bytes_peak;
    if (reset)
        device->device_bytes_peak = device->device_bytes;
}

void vklm_gpu_device_refresh_budget(vklm_gpu_device *device)
{
    vklm_gpu_caps_refresh_budget(device->physical, &device->caps);
}

// Each batch signals its own value of the timeline, also so that no driver merges it with the next.
vklm_status vklm_gpu_device_submit(vklm_gpu_device *device, const VkCommandBuffer *batches,
                                   uint32_t n, uint64_t *out_ticket)
{
    assert(n > 0 && n <= VKLM_GPU_MAX_BATCHES);
    if (device->dry)
        return VKLM_OK;
    if (device->lost)
        return vklm_fail(VKLM_DEVICE_LOST, "device %s was lost", device->caps.name);
    VkCommandBufferSubmitInfo buffers[VKLM_GPU_MAX_BATCHES];
    VkSemaphoreSubmitInfo signals[VKLM_GPU_MAX_BATCHES];
    VkSubmitInfo2 submits[VKLM_GPU_MAX_BATCHES];
    for (uint32_t i = 0; i < n; i++) {
        buffers[i] = (VkCommandBufferSubmitInfo){
            .sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_SUBMIT_INFO,
            .commandBuffer = batches[i],
        };
        signals[i] = (VkSemaphoreSubmitInfo){
            .sType = VK_STRUCTURE_TYPE_SEMAPHORE_SUBMIT_INFO,
            .semaphore = device->timeline,
            .value = device->last_submitted + 1 + i,
            .stageMask = VK_PIPELINE_STAGE_2_ALL_COMMANDS_BIT,
        };
        submits[i] = (VkSubmitInfo2){
            .sType = VK_STRUCTURE_TYPE_SUBMIT_INFO_2,
            .commandBufferInfoCount = 1,
            .pCommandBufferInfos = &buffers[i],
            .signalSemaphoreInfoCount = 1,
            .pSignalSemaphoreInfos = &signals[i],
        };
    }
    vklm_status status =
        vklm_vk_check(vkQueueSubmit2(device->queue, n, submits, VK_NULL_HANDLE), "vkQueueSubmit2");
    if (status == VKLM_DEVICE_LOST)
        device->lost = true;
    if (status == VKLM_OK)
        *out_ticket = device->last_submitted += n;
    return status;
}

vklm_status vklm_gpu_device_wait(vklm_gpu_device *device, uint64_t ticket)
{
    if (device->dry)
        return VKLM_OK;
    VkSemaphoreWaitInfo wait = {
        .sType = VK_STRUCTURE_TYPE_SEMAPHORE_WAIT_INFO,
        .semaphoreCount = 1,
        .pSemaphores = &device->timeline,
        .pValues = &ticket,
    };
    // No time-out: a software driver may take minutes, and a hung GPU is reported by its watchdog.
    vklm_status status =
        vklm_vk_check(vkWaitSemaphores(device->vk, &wait, UINT64_MAX), "waiting for the device");
    if (status == VKLM_DEVICE_LOST)
        device->lost = true;
    return status;
}
