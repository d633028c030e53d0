// gpu/pipeline_stats.h: what the driver's compiler says about the pipelines of a device that was
// opened dry (VK_KHR_pipeline_executable_properties).
#ifndef VKLM_GPU_PIPELINE_STATS_H
#define VKLM_GPU_PIPELINE_STATS_H

#include "gpu/cmd.h"
#include "gpu/pipeline_loop.h"

enum {
    VKLM_GPU_MAX_STATISTICS = 48,
    VKLM_GPU_MAX_EXECUTABLES = 4,
};

typedef struct {
    char name[96]; // as the driver spells it
    double value;
} vklm_gpu_statistic;

// One of the programs that a driver may make of a pipeline: Intel's has one for each SIMD width and
// runs the widest one that does not spill.
typedef struct {
    char name[64];
    uint32_t subgroup_size; // 0 when the driver does not say
    uint32_t n;
    vklm_gpu_statistic list[VKLM_GPU_MAX_STATISTICS];
    vklm_gpu_loop loop;           // of a decode product, where the driver shows its assembly
    bool assembly;                // it did
    uint32_t matrix_instructions; // of the coop tier's kernels, in their assembly
} vklm_gpu_executable;

typedef struct {
    const char *shader;
    uint32_t constants[VKLM_GPU_MAX_CONSTANTS];
    uint32_t n; // 0 when the driver has nothing to say
    vklm_gpu_executable executables[VKLM_GPU_MAX_EXECUTABLES];
} vklm_gpu_pipeline_stats;

// Whether a shader's assembly is of interest: it multiplies weights with one vector, or runs on
// matrix units. Those are built so that the driver shows it, which takes some drivers as long as
// compiling.
bool vklm_gpu_pipeline_is_matvec(const char *shader);
bool vklm_gpu_pipeline_is_coop(const char *shader);

// How many pipelines the device has built so far.
size_t vklm_gpu_pipeline_count(const vklm_gpu_device *device);

// Pipelines are numbered in the order in which they were built.
vklm_status vklm_gpu_pipeline_stats_read(vklm_gpu_device *device, size_t index,
                                         vklm_gpu_pipeline_stats *out_stats);

#endif
