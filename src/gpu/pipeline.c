#include "gpu/device_private.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/file.h"
#include "gpu/pipeline_stats.h"

enum { CACHE_MAX_BYTES = 256 << 20 };

// The path of this device's cache file: device and driver are in its name, so that an update of the
// driver starts a new one.
static char *cache_path(const vklm_gpu_device *d, const char *folder)
{
    vklm_string name = {0}, path = {0};
    vklm_string_print(&name, "pipelines-%04x-%04x-", d->caps.vendor_id, d->caps.device_id);
    for (size_t i = 0; i < sizeof d->caps.cache_uuid; i++)
        vklm_string_print(&name, "%02x", d->caps.cache_uuid[i]);
    vklm_string_print(&name, "-%x.bin", d->caps.driver_version);
    if (!name.failed)
        vklm_file_join(&path, folder, name.data);
    vklm_string_finish(&name);
    if (path.failed)
        vklm_string_finish(&path);
    return path.data;
}

// The specification's header (VkPipelineCacheHeaderVersionOne) must match this device: drivers have
// crashed on foreign data.
static bool cache_fits(const vklm_gpu_device *d, const vklm_string *data)
{
    VkPipelineCacheHeaderVersionOne header;
    if (data->len < sizeof header)
        return false;
    memcpy(&header, data->data, sizeof header);
    return header.headerSize >= sizeof header && header.headerSize <= data->len &&
           header.headerVersion == VK_PIPELINE_CACHE_HEADER_VERSION_ONE &&
           header.vendorID == d->caps.vendor_id && header.deviceID == d->caps.device_id &&
           memcmp(header.pipelineCacheUUID, d->caps.cache_uuid, sizeof d->caps.cache_uuid) == 0;
}

// Our file: an 8-byte checksum (FNV-1a), then the driver's data. A truncated or altered file is
// ignored.
static uint64_t checksum(const char *data, size_t len)
{
    uint64_t h = 0xCBF29CE484222325u;
    for (size_t i = 0; i < len; i++)
        h = (h ^ (unsigned char)data[i]) * 0x100000001B3u;
    return h;
}

static void read_cache(const vklm_gpu_device *d, vklm_string *out_data)
{
    vklm_string file = {0};
    uint64_t sum;
    const char *path = d->pipelines.cache_path;
    if (path && vklm_file_exists(path) && vklm_file_read(path, CACHE_MAX_BYTES, &file) == VKLM_OK &&
        file.len > sizeof sum) {
        memcpy(&sum, file.data, sizeof sum);
        if (sum == checksum(file.data + sizeof sum, file.len - sizeof sum))
            vklm_string_append(out_data, file.data + sizeof sum, file.len - sizeof sum);
        if (!cache_fits(d, out_data)) {
            vklm_log(VKLM_LOG_WARNING, "%s: ignored, it is damaged or not this driver's", path);
            vklm_string_finish(out_data);
        }
    }
    vklm_string_finish(&file);
}

vklm_status vklm_gpu_pipelines_init(vklm_gpu_device *device, const char *cache_folder)
{
    vklm_gpu_pipelines *p = &device->pipelines;
    VkPushConstantRange push = {.stageFlags = VK_SHADER_STAGE_COMPUTE_BIT,
                                .size = VKLM_GPU_MAX_PUSH_BYTES};
    VkPipelineLayoutCreateInfo layout = {
        .sType = VK_STRUCTURE_TYPE_PIPELINE_LAYOUT_CREATE_INFO,
        .pushConstantRangeCount = 1,
        .pPushConstantRanges = &push,
    };
    vklm_status status = vklm_vk_check(
        vkCreatePipelineLayout(device->vk, &layout, NULL, &p->layout), "vkCreatePipelineLayout");
    if (status != VKLM_OK)
        return status;
    if (cache_folder)
        p->cache_path = cache_path(device, cache_folder);
    vklm_string data = {0};
    read_cache(device, &data);
    VkPipelineCacheCreateInfo cache = {
        .sType = VK_STRUCTURE_TYPE_PIPELINE_CACHE_CREATE_INFO,
        .initialDataSize = data.len,
        .pInitialData = data.data,
    };
    status = vklm_vk_check(vkCreatePipelineCache(device->vk, &cache, NULL, &p->cache),
                           "vkCreatePipelineCache");
    p->cache_bytes = data.len;
    vklm_string_finish(&data);
    return status;
}

// A cache that cannot be written costs time at the next start and nothing else: a log line.
static void write_cache(vklm_gpu_device *device)
{
    vklm_gpu_pipelines *p = &device->pipelines;
    size_t size = 0;
    if (!p->cache_path || vkGetPipelineCacheData(device->vk, p->cache, &size, NULL) != VK_SUCCESS ||
        size == p->cache_bytes) // nothing new was compiled
        return;
    char *data = vklm_alloc(size, 1);
    vklm_file_writer *writer = NULL;
    char *slash = strrchr(p->cache_path, '/');
    *slash = '\0';
    vklm_status status = vklm_file_make_folders(p->cache_path);
    *slash = '/';
    if (data && status == VKLM_OK &&
        vkGetPipelineCacheData(device->vk, p->cache, &size, data) == VK_SUCCESS)
        status = vklm_file_writer_open(p->cache_path, &writer);
    if (writer) {
        uint64_t sum = checksum(data, size);
        vklm_file_writer_write(writer, &sum, sizeof sum);
        vklm_file_writer_write(writer, data, size);
        status = vklm_file_writer_commit(writer);
    }
    if (status != VKLM_OK)
        vklm_log(VKLM_LOG_WARNING, "the pipeline cache was not kept: %s", vklm_error_message());
    vklm_file_writer_close(writer);
    free(data);
}

void vklm_gpu_pipelines_finish(vklm_gpu_device *device)
{
    vklm_gpu_pipelines *p = &device->pipelines;
    if (p->cache)
        write_cache(device);
    for (size_t i = 0; i < p->n; i++)
        vkDestroyPipeline(device->vk, p->list[i].vk, NULL);
    if (p->cache)
        vkDestroyPipelineCache(device->vk, p->cache, NULL);
    if (p->layout)
        vkDestroyPipelineLayout(device->vk, p->layout, NULL);
    free(p->list);
    free(p->cache_path);
    *p = (vklm_gpu_pipelines){0};
}

static vklm_status build(vklm_gpu_device *device, vklm_gpu_pipeline *pipeline)
{
    const vklm_gpu_shader *shader = pipeline->shader;
    VkShaderModuleCreateInfo code = {
        .sType = VK_STRUCTURE_TYPE_SHADER_MODULE_CREATE_INFO,
        .codeSize = shader->bytes,
        .pCode = shader->code,
    };
    VkShaderModule module;
    vklm_status status = vklm_vk_check(vkCreateShaderModule(device->vk, &code, NULL, &module),
                                       "vkCreateShaderModule");
    if (status != VKLM_OK)
        return vklm_fail_prefix(status, "shader %s", shader->name);
    VkSpecializationMapEntry entries[VKLM_GPU_MAX_CONSTANTS];
    for (uint32_t i = 0; i < VKLM_GPU_MAX_CONSTANTS; i++)
        entries[i] = (VkSpecializationMapEntry){.constantID = i, .offset = 4 * i, .size = 4};
    VkSpecializationInfo constants = {
        .mapEntryCount = VKLM_GPU_MAX_CONSTANTS,
        .pMapEntries = entries,
        .dataSize = sizeof pipeline->constants,
        .pData = pipeline->constants,
    };
    VkPipelineShaderStageRequiredSubgroupSizeCreateInfo size = {
        .sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_REQUIRED_SUBGROUP_SIZE_CREATE_INFO,
        .requiredSubgroupSize = device->caps.min_subgroup_size,
    };
    const bool full = pipeline->smallest_subgroups;
    VkPipelineCreateFlags flags = 0;
    if (device->statistics) {
        flags |= VK_PIPELINE_CREATE_CAPTURE_STATISTICS_BIT_KHR;
        if (vklm_gpu_pipeline_is_matvec(shader->name) || vklm_gpu_pipeline_is_coop(shader->name))
            flags |= VK_PIPELINE_CREATE_CAPTURE_INTERNAL_REPRESENTATIONS_BIT_KHR;
    }
    VkComputePipelineCreateInfo info = {
        .sType = VK_STRUCTURE_TYPE_COMPUTE_PIPELINE_CREATE_INFO,
        .flags = flags,
        .stage =
            {
                .sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_CREATE_INFO,
                .pNext = full && device->caps.subgroup_size_control ? &size : NULL,
                .flags = full ? VK_PIPELINE_SHADER_STAGE_CREATE_REQUIRE_FULL_SUBGROUPS_BIT : 0,
                .stage = VK_SHADER_STAGE_COMPUTE_BIT,
                .module = module,
                .pName = "main",
                .pSpecializationInfo = &constants,
            },
        .layout = device->pipelines.layout,
    };
    status = vklm_vk_check(vkCreateComputePipelines(device->vk, device->pipelines.cache, 1, &info,
                                                    NULL, &pipeline->vk),
                           "vkCreateComputePipelines");
    vkDestroyShaderModule(device->vk, module, NULL);
    if (status != VKLM_OK)
        return vklm_fail_prefix(status, "shader %s", shader->name);
    return VKLM_OK;
}

vklm_status vklm_gpu_pipeline_get(vklm_gpu_device *device, const char *shader,
                                  const uint32_t constants[VKLM_GPU_MAX_CONSTANTS],
                                  bool smallest_subgroups, VkPipeline *out_pipeline)
{
    vklm_gpu_pipelines *p = &device->pipelines;
    for (size_t i = 0; i < p->n; i++)
        if (strcmp(p->list[i].shader->name, shader) == 0 &&
            p->list[i].smallest_subgroups == smallest_subgroups &&
            memcmp(p->list[i].constants, constants, sizeof p->list[i].constants) == 0) {
            *out_pipeline = p->list[i].vk;
            return VKLM_OK;
        }
    vklm_gpu_pipeline pipeline = {.shader = vklm_gpu_shader_find(shader),
                                  .smallest_subgroups = smallest_subgroups};
    assert(pipeline.shader);
    memcpy(pipeline.constants, constants, sizeof pipeline.constants);
    if (!vklm_array_grow(&p->list, &p->capacity, p->n + 1, sizeof *p->list))
        return vklm_fail_memory("the pipelines");
    vklm_status status = build(device, &pipeline);
    if (status == VKLM_OK) {
        p->list[p->n++] = pipeline;
        *out_pipeline = pipeline.vk;
    }
    return status;
}
