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
void vklm_model_info_fill(const vklm_checkpoint *checkpoint, vklm_model_info *out_info);

#endif
