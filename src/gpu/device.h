// gpu/device.h: an opened device: one compute queue, the pipelines, the order of submissions.
//
// A device and everything made from it belong to one thread at a time.
#ifndef VKLM_GPU_DEVICE_H
#define VKLM_GPU_DEVICE_H

#include "gpu/instance.h"
#include "gpu/memory.h"

typedef struct {
    // VKLM_TIER_*: what may be used, as far as the device can run it; 0: all that it is fast at
    unsigned tiers;
    bool tune_as_gpu; // a CPU device gets a GPU's variants, so that these can be tested without one
    vklm_device_limits limits; // take the device for a smaller one
    bool serial;               // a full barrier after every command: results must not change
    const char *cache_folder;  // where compiled pipelines are kept between runs; NULL: nowhere
    // Nothing will run: pipelines are built, and pipeline_stats.h tells about them where the driver
    // does; recorders list their commands; buffers have no memory, submits do nothing. Drivers
    // without hardware can do that and no more.
    bool dry;
} vklm_gpu_device_params;

// The instance must outlive the device.
vklm_status vklm_gpu_device_open(vklm_gpu_instance *instance, size_t index,
                                 const vklm_gpu_device_params *params,
                                 vklm_gpu_device **out_device);

// Waits for the device, writes the pipeline cache, releases everything. Takes NULL.
void vklm_gpu_device_close(vklm_gpu_device *device);

// The snapshot, with tiers reduced to those that may be used.
const vklm_gpu_caps *vklm_gpu_device_caps(const vklm_gpu_device *device);

// These may not be used any more, by what is recorded from now on.
void vklm_gpu_device_drop_tiers(vklm_gpu_device *device, unsigned tiers);

// A number that changes with any shader.
uint64_t vklm_gpu_shaders_hash(void);
// Bytes of all buffers of the device class: now, and at most since the last call with `reset`.
void vklm_gpu_device_memory(vklm_gpu_device *device, bool reset, uint64_t *out_now,
                            uint64_t *out_peak);

// Asks the driver again how much memory there is.
void vklm_gpu_device_refresh_budget(vklm_gpu_device *device);

#endif
