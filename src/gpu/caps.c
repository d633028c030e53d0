#include "gpu/caps_read.h"

#include <stdio.h>
#include <string.h>

#include "gpu/coop_matrix.h"
#include "gpu/quirks.h"

static bool has_extension(const VkExtensionProperties *extensions, uint32_t n, const char *name)
{
    for (uint32_t i = 0; i < n; i++)
        if (strcmp(extensions[i].extensionName, name) == 0)
            return true;
    return false;
}

static vklm_device_type device_type(VkPhysicalDeviceType type)
{
    switch (type) {
    case VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU:
        return VKLM_DEVICE_DISCRETE;
    case VK_PHYSICAL_DEVICE_TYPE_INTEGRATED_GPU:
        return VKLM_DEVICE_INTEGRATED;
    case VK_PHYSICAL_DEVICE_TYPE_CPU:
        return VKLM_DEVICE_CPU;
    default:
        return VKLM_DEVICE_VIRTUAL;
    }
}

static void read_properties(VkPhysicalDevice device, vklm_gpu_caps *c)
{
    VkPhysicalDeviceVulkan13Properties p13 = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_3_PROPERTIES};
    VkPhysicalDeviceVulkan12Properties p12 = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_2_PROPERTIES, .pNext = &p13};
    VkPhysicalDeviceVulkan11Properties p11 = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_1_PROPERTIES, .pNext = &p12};
    VkPhysicalDeviceProperties2 p = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2,
                                     .pNext = &p11};
    vkGetPhysicalDeviceProperties2(device, &p);
    const VkPhysicalDeviceLimits *limits = &p.properties.limits;

    snprintf(c->name, sizeof c->name, "%s", p.properties.deviceName);
    snprintf(c->driver_name, sizeof c->driver_name, "%s", p12.driverName);
    snprintf(c->driver_info, sizeof c->driver_info, "%s", p12.driverInfo);
    c->vendor_id = p.properties.vendorID;
    c->device_id = p.properties.deviceID;
    c->driver_id = (uint32_t)p12.driverID;
    c->driver_version = p.properties.driverVersion;
    c->api_version = p.properties.apiVersion;
    memcpy(c->device_uuid, p11.deviceUUID, sizeof c->device_uuid);
    memcpy(c->driver_uuid, p11.driverUUID, sizeof c->driver_uuid);
    memcpy(c->cache_uuid, p.properties.pipelineCacheUUID, sizeof c->cache_uuid);
    c->type = device_type(p.properties.deviceType);

    c->subgroup_size = p11.subgroupSize;
    c->min_subgroup_size = p13.minSubgroupSize ? p13.minSubgroupSize : p11.subgroupSize;
    c->max_subgroup_size = p13.maxSubgroupSize ? p13.maxSubgroupSize : p11.subgroupSize;
    c->subgroup_arithmetic = p11.subgroupSupportedStages & VK_SHADER_STAGE_COMPUTE_BIT &&
                             p11.subgroupSupportedOperations & VK_SUBGROUP_FEATURE_ARITHMETIC_BIT;
    c->subgroup_ballot = p11.subgroupSupportedStages & VK_SHADER_STAGE_COMPUTE_BIT &&
                         p11.subgroupSupportedOperations & VK_SUBGROUP_FEATURE_BALLOT_BIT;
    c->max_workgroup_invocations = limits->maxComputeWorkGroupInvocations;
    memcpy(c->max_workgroup_size, limits->maxComputeWorkGroupSize, sizeof c->max_workgroup_size);
    memcpy(c->max_workgroup_count, limits->maxComputeWorkGroupCount, sizeof c->max_workgroup_count);
    c->max_shared_bytes = limits->maxComputeSharedMemorySize;
    c->max_push_bytes = limits->maxPushConstantsSize;
    c->max_allocation_bytes = p11.maxMemoryAllocationSize;
    c->max_buffer_bytes = p13.maxBufferSize ? p13.maxBufferSize : p11.maxMemoryAllocationSize;
    c->int8_dot_accelerated = p13.integerDotProduct4x8BitPackedSignedAccelerated;
    c->int8_dot_mixed = p13.integerDotProduct4x8BitPackedMixedSignednessAccelerated;
    c->timestamp_ns = limits->timestampPeriod;
}

static void read_features(VkPhysicalDevice device, vklm_gpu_caps *c)
{
    uint32_t n = 0;
    vkEnumerateDeviceExtensionProperties(device, NULL, &n, NULL);
    VkExtensionProperties extensions[512];
    n = n < 512 ? n : 512;
    vkEnumerateDeviceExtensionProperties(device, NULL, &n, extensions);
    bool coop_extension = has_extension(extensions, n, VKLM_COOP_MATRIX_EXTENSION);

    vklm_coop_features coop = {.sType = (VkStructureType)VKLM_COOP_FEATURES_STYPE};
    VkPhysicalDeviceVulkan13Features f13 = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_3_FEATURES,
        .pNext = coop_extension ? &coop : NULL};
    VkPhysicalDeviceVulkan12Features f12 = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_2_FEATURES, .pNext = &f13};
    VkPhysicalDeviceVulkan11Features f11 = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_1_FEATURES, .pNext = &f12};
    VkPhysicalDeviceFeatures2 f = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2,
                                   .pNext = &f11};
    vkGetPhysicalDeviceFeatures2(device, &f);

    c->buffer_address = f12.bufferDeviceAddress;
    c->timeline_semaphore = f12.timelineSemaphore;
    c->synchronization2 = f13.synchronization2;
    c->subgroup_size_control = f13.subgroupSizeControl;
    c->full_subgroups = f13.computeFullSubgroups;
    c->memory_model = f12.vulkanMemoryModel && f12.vulkanMemoryModelDeviceScope;
    c->storage16 = f11.storageBuffer16BitAccess;
    c->storage8 = f12.storageBuffer8BitAccess;
    c->float16 = f12.shaderFloat16;
    c->int8 = f12.shaderInt8;
    c->int16 = f.features.shaderInt16;
    c->int64 = f.features.shaderInt64;
    c->int8_dot = f13.shaderIntegerDotProduct;
    c->coop_matrix = coop_extension && coop.cooperativeMatrix;
    c->memory_budget = has_extension(extensions, n, VK_EXT_MEMORY_BUDGET_EXTENSION_NAME);
    c->pipeline_statistics =
        has_extension(extensions, n, VK_KHR_PIPELINE_EXECUTABLE_PROPERTIES_EXTENSION_NAME);
}

static void read_coop_shapes(VkInstance instance, VkPhysicalDevice device, vklm_gpu_caps *c)
{
    if (!c->coop_matrix)
        return;
    vklm_coop_get_properties get = (vklm_coop_get_properties)vkGetInstanceProcAddr(
        instance, "vkGetPhysicalDeviceCooperativeMatrixPropertiesKHR");
    vklm_coop_properties rows[VKLM_GPU_MAX_COOP_SHAPES] = {0};
    uint32_t n = VKLM_GPU_MAX_COOP_SHAPES;
    for (uint32_t i = 0; i < n; i++)
        rows[i].sType = (VkStructureType)VKLM_COOP_PROPERTIES_STYPE;
    if (!get || get(device, &n, rows) < 0)
        return;
    for (uint32_t i = 0; i < n; i++)
        if (rows[i].scope == VKLM_COOP_SCOPE_SUBGROUP)
            c->coop_shapes[c->n_coop_shapes++] = (vklm_coop_shape){
                .m = rows[i].MSize,
                .n = rows[i].NSize,
                .k = rows[i].KSize,
                .a_type = (uint8_t)rows[i].AType,
                .b_type = (uint8_t)rows[i].BType,
                .c_type = (uint8_t)rows[i].CType,
                .result_type = (uint8_t)rows[i].ResultType,
            };
}

void vklm_gpu_caps_refresh_budget(VkPhysicalDevice device, vklm_gpu_caps *c)
{
    VkPhysicalDeviceMemoryBudgetPropertiesEXT budget = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_BUDGET_PROPERTIES_EXT};
    VkPhysicalDeviceMemoryProperties2 memory = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_PROPERTIES_2,
        .pNext = c->memory_budget ? &budget : NULL};
    vkGetPhysicalDeviceMemoryProperties2(device, &memory);
    const VkPhysicalDeviceMemoryProperties *m = &memory.memoryProperties;
    c->n_heaps = m->memoryHeapCount;
    for (uint32_t i = 0; i < c->n_heaps; i++) {
        uint64_t left = m->memoryHeaps[i].size;
        if (c->memory_budget && budget.heapBudget[i] > budget.heapUsage[i])
            left = budget.heapBudget[i] - budget.heapUsage[i];
        c->heaps[i] = (vklm_gpu_heap){
            .bytes = m->memoryHeaps[i].size,
            .budget = left < m->memoryHeaps[i].size ? left : m->memoryHeaps[i].size,
            .device_local = m->memoryHeaps[i].flags & VK_MEMORY_HEAP_DEVICE_LOCAL_BIT,
        };
    }
    for (uint32_t i = 0; i < m->memoryTypeCount; i++)
        if (m->memoryTypes[i].propertyFlags & VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT)
            c->heaps[m->memoryTypes[i].heapIndex].host_visible = true;
    vklm_gpu_quirks_apply(c);
}

static void read_timestamps(VkPhysicalDevice device, vklm_gpu_caps *c)
{
    VkQueueFamilyProperties families[32];
    uint32_t n = 32;
    vkGetPhysicalDeviceQueueFamilyProperties(device, &n, families);
    for (uint32_t i = 0; i < n; i++)
        if (families[i].queueFlags & VK_QUEUE_COMPUTE_BIT && families[i].timestampValidBits) {
            c->timestamps = c->timestamp_ns > 0;
            c->timestamp_bits = families[i].timestampValidBits;
        }
}

void vklm_gpu_caps_read(VkInstance instance, VkPhysicalDevice device, bool quirks,
                        vklm_gpu_caps *out_caps)
{
    *out_caps = (vklm_gpu_caps){.no_quirks = !quirks};
    read_properties(device, out_caps);
    read_features(device, out_caps);
    vklm_gpu_quirks_apply(out_caps); // some drivers must not be asked for shapes
    read_coop_shapes(instance, device, out_caps);
    vklm_gpu_caps_refresh_budget(device, out_caps);
    read_timestamps(device, out_caps);
    const char *missing;
    out_caps->tiers = vklm_gpu_caps_tiers(out_caps, &missing);
}
