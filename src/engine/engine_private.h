// engine/engine_private.h: the engine as the other files of this folder see it.
#ifndef VKLM_ENGINE_PRIVATE_H
#define VKLM_ENGINE_PRIVATE_H

#include <vklm/engine.h>

#include "gpu/device.h"
#include "model/weights.h"

struct vklm_engine {
    vklm_gpu_instance *instance;
    vklm_gpu_device *device;
    vklm_weights *weights;
    vklm_model_info model;
    vklm_device_info device_info;
    vklm_memory_plan memory;
};

void vklm_device_info_fill(const vklm_gpu_caps *caps, uint32_t index, vklm_device_info *out_info);
void vklm_model_info_fill(const vklm_source *source, vklm_model_info *out_info);

// Opens the packed copy of a checkpoint in params->packed_folder in its place, after making it
// where there is none. Where it cannot be made the source stays as it is and a warning says why.
vklm_status vklm_packed_copy_use(const vklm_engine_params *params, vklm_weights_kind kind,
                                 vklm_source *source);

#endif
