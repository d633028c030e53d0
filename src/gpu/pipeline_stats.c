#include "gpu/pipeline_stats.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "gpu/device_private.h"

static bool begins(const char *text, const char *with)
{
    return strncmp(text, with, strlen(with)) == 0;
}

bool vklm_gpu_pipeline_is_matvec(const char *shader)
{
    return (begins(shader, "matvec_") && !begins(shader, "matvec_columns_")) ||
           begins(shader, "expert_swiglu_") || begins(shader, "expert_down_");
}

bool vklm_gpu_pipeline_is_coop(const char *shader)
{
    return strstr(shader, "_coop") && !begins(shader, "bench_");
}

size_t vklm_gpu_pipeline_count(const vklm_gpu_device *device)
{
    return device->pipelines.n;
}

static double number(const VkPipelineExecutableStatisticKHR *s)
{
    switch (s->format) {
    case VK_PIPELINE_EXECUTABLE_STATISTIC_FORMAT_BOOL32_KHR:
        return s->value.b32;
    case VK_PIPELINE_EXECUTABLE_STATISTIC_FORMAT_INT64_KHR:
        return (double)s->value.i64;
    case VK_PIPELINE_EXECUTABLE_STATISTIC_FORMAT_UINT64_KHR:
        return (double)s->value.u64;
    default:
        return s->value.f64;
    }
}

static vklm_status read_executable(vklm_gpu_device *device, VkPipeline pipeline, uint32_t index,
                                   vklm_gpu_executable *out)
{
    VkPipelineExecutableInfoKHR info = {
        .sType = VK_STRUCTURE_TYPE_PIPELINE_EXECUTABLE_INFO_KHR,
        .pipeline = pipeline,
        .executableIndex = index,
    };
    VkPipelineExecutableStatisticKHR list[VKLM_GPU_MAX_STATISTICS];
    memset(list, 0, sizeof list);
    uint32_t n = VKLM_GPU_MAX_STATISTICS;
    for (uint32_t i = 0; i < n; i++)
        list[i].sType = VK_STRUCTURE_TYPE_PIPELINE_EXECUTABLE_STATISTIC_KHR;
    VkResult result = vkGetPipelineExecutableStatisticsKHR(device->vk, &info, &n, list);
    if (result < 0)
        return vklm_vk_check(result, "vkGetPipelineExecutableStatisticsKHR");
    for (out->n = 0; out->n < n; out->n++) {
        vklm_gpu_statistic *s = &out->list[out->n];
        snprintf(s->name, sizeof s->name, "%.95s", list[out->n].name);
        s->value = number(&list[out->n]);
    }
    return VKLM_OK;
}

enum { MAX_TEXTS = 8 };

static vklm_status read_assembly(vklm_gpu_device *device, VkPipeline pipeline, uint32_t index,
                                 vklm_gpu_executable *out)
{
    VkPipelineExecutableInfoKHR info = {
        .sType = VK_STRUCTURE_TYPE_PIPELINE_EXECUTABLE_INFO_KHR,
        .pipeline = pipeline,
        .executableIndex = index,
    };
    VkPipelineExecutableInternalRepresentationKHR texts[MAX_TEXTS];
    memset(texts, 0, sizeof texts);
    for (uint32_t i = 0; i < MAX_TEXTS; i++)
        texts[i].sType = VK_STRUCTURE_TYPE_PIPELINE_EXECUTABLE_INTERNAL_REPRESENTATION_KHR;
    uint32_t n = MAX_TEXTS;
    VkResult result =
        vkGetPipelineExecutableInternalRepresentationsKHR(device->vk, &info, &n, texts);
    bool memory = true;
    for (uint32_t i = 0; result >= 0 && i < n && memory; i++)
        memory = (texts[i].pData = vklm_alloc(texts[i].dataSize + 1, 1));
    if (result >= 0 && memory)
        result = vkGetPipelineExecutableInternalRepresentationsKHR(device->vk, &info, &n, texts);
    for (uint32_t i = 0; result >= 0 && memory && i < n; i++)
        if (texts[i].isText && strstr(texts[i].name, "ssembly") && *(const char *)texts[i].pData) {
            out->assembly = true;
            out->loop = vklm_gpu_loop_find(texts[i].pData);
            out->matrix_instructions = vklm_gpu_matrix_instructions(texts[i].pData);
        }
    for (uint32_t i = 0; i < MAX_TEXTS; i++)
        free(texts[i].pData);
    if (!memory)
        return vklm_fail_memory("a driver's assembly");
    return result < 0 ? vklm_vk_check(result, "vkGetPipelineExecutableInternalRepresentationsKHR")
                      : VKLM_OK;
}

vklm_status vklm_gpu_pipeline_stats_read(vklm_gpu_device *device, size_t index,
                                         vklm_gpu_pipeline_stats *out_stats)
{
    const vklm_gpu_pipeline *pipeline = &device->pipelines.list[index];
    *out_stats = (vklm_gpu_pipeline_stats){.shader = pipeline->shader->name};
    memcpy(out_stats->constants, pipeline->constants, sizeof out_stats->constants);
    if (!device->statistics)
        return VKLM_OK;
    VkPipelineExecutablePropertiesKHR executables[VKLM_GPU_MAX_EXECUTABLES];
    memset(executables, 0, sizeof executables);
    uint32_t n = VKLM_GPU_MAX_EXECUTABLES;
    for (uint32_t i = 0; i < n; i++)
        executables[i].sType = VK_STRUCTURE_TYPE_PIPELINE_EXECUTABLE_PROPERTIES_KHR;
    VkPipelineInfoKHR info = {.sType = VK_STRUCTURE_TYPE_PIPELINE_INFO_KHR,
                              .pipeline = pipeline->vk};
    VkResult result = vkGetPipelineExecutablePropertiesKHR(device->vk, &info, &n, executables);
    if (result < 0)
        return vklm_vk_check(result, "vkGetPipelineExecutablePropertiesKHR");
    vklm_status status = VKLM_OK;
    for (uint32_t i = 0; i < n && status == VKLM_OK; i++) {
        vklm_gpu_executable *e = &out_stats->executables[out_stats->n++];
        snprintf(e->name, sizeof e->name, "%.63s", executables[i].name);
        e->subgroup_size = executables[i].subgroupSize;
        status = read_executable(device, pipeline->vk, i, e);
        if (status == VKLM_OK && (vklm_gpu_pipeline_is_matvec(pipeline->shader->name) ||
                                  vklm_gpu_pipeline_is_coop(pipeline->shader->name)))
            status = read_assembly(device, pipeline->vk, i, e);
    }
    return status;
}
