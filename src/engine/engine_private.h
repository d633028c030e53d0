// engine/engine_private.h: the engine as the other files of this folder see it.
#ifndef VKLM_ENGINE_PRIVATE_H
#define VKLM_ENGINE_PRIVATE_H

#include <vklm/engine.h>
#include <vklm/session.h>

#include "gpu/device.h"
#include "model/weights.h"

struct vklm_engine {
    vklm_gpu_instance *instance;
    vklm_gpu_device *device;
    vklm_weights *weights;
    vklm_model_info model;
    vklm_device_info device_info;
    vklm_memory_plan memory;
    vklm_session *sessions; // a list of those that are open
};

// Tests the kernels where params ask for it; turns off tiers that fail. VKLM_UNSUPPORTED when the
// base tier does.
vklm_status vklm_engine_self_test(vklm_engine *engine, const vklm_engine_params *params);

// Everything but the struct itself, which is left zeroed.
void vklm_engine_release(vklm_engine *engine);

void vklm_device_info_fill(const vklm_gpu_caps *caps, uint32_t index, vklm_device_info *out_info);
void vklm_model_info_fill(const vklm_source *source, vklm_model_info *out_info);

// Opens the packed copy of a checkpoint in params->packed_folder in its place, after making it
// where there is none. Where it cannot be made the source stays as it is and a warning says why.
vklm_status vklm_packed_copy_use(const vklm_engine_params *params, vklm_weights_kind kind,
                                 vklm_source *source);

#endif
