// vkbench/generated.h: a model's weights without a model: random numbers of the right size, where
// and in what the engine would have them.
#ifndef VKLM_BENCH_GENERATED_H
#define VKLM_BENCH_GENERATED_H

#include "gpu/stage.h"
#include "model/weights.h"

// `arch`: its dtype is what the checkpoint would have. Matrices of one shape and format get the
// same numbers: one is uploaded, and copied on the device.
vklm_status vklm_bench_generate_weights(vklm_gpu_device *device, vklm_gpu_stage *stage,
                                        const vklm_arch *arch, vklm_weights_kind kind,
                                        vklm_weights **out_weights);

#endif
