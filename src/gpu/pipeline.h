// gpu/pipeline.h: compute pipelines, built on first use and kept; private to this folder.
//
// A pipeline is named by a shader and its specialization constants. Compiled code is also kept on
// disk, one file per device and driver, written whole or not at all, and ignored when damaged.
#ifndef VKLM_GPU_PIPELINE_H
#define VKLM_GPU_PIPELINE_H

#include "gpu/cmd.h"
#include "gpu/vk.h"

typedef struct {
    const char *name;
    const uint32_t *code;
    size_t bytes;
} vklm_gpu_shader;

// The embedded SPIR-V; NULL when there is no shader of that name.
const vklm_gpu_shader *vklm_gpu_shader_find(const char *name);

typedef struct {
    const vklm_gpu_shader *shader;
    uint32_t constants[VKLM_GPU_MAX_CONSTANTS];
    bool smallest_subgroups;
    VkPipeline vk;
} vklm_gpu_pipeline;

typedef struct {
    VkPipelineLayout layout; // push constants only
    VkPipelineCache cache;
    char *cache_path; // NULL: not kept on disk
    vklm_gpu_pipeline *list;
    size_t n, capacity;
    size_t cache_bytes; // size of the driver's data as it was read
} vklm_gpu_pipelines;

vklm_status vklm_gpu_pipelines_init(vklm_gpu_device *device, const char *cache_folder);
void vklm_gpu_pipelines_finish(vklm_gpu_device *device);

// constants[i] is the value of constant_id i; ids that the shader lacks are ignored.
// smallest_subgroups: as in vklm_gpu_dispatch.
vklm_status vklm_gpu_pipeline_get(vklm_gpu_device *device, const char *shader,
                                  const uint32_t constants[VKLM_GPU_MAX_CONSTANTS],
                                  bool smallest_subgroups, VkPipeline *out_pipeline);

#endif
