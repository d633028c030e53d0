// model/token_plan.h: what the device is asked to do for one token, as the recorder has it.
#ifndef VKLM_MODEL_TOKEN_PLAN_H
#define VKLM_MODEL_TOKEN_PLAN_H

#include "gpu/device.h"
#include "model/memory_plan.h"

// Records a token that is drawn on the device, after memory->n_ctx - 1 others, on a dry device:
// nothing is allocated there and nothing runs. The caller frees out_plan->commands.
vklm_status vklm_token_plan_make(const vklm_source *source, const vklm_memory_plan *memory,
                                 vklm_gpu_device *dry, vklm_token_plan *out_plan);

#endif
