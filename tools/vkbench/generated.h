// vkbench/generated.h: a model's weights without a model: random numbers of the right size, in any
// format.
#ifndef VKLM_BENCH_GENERATED_H
#define VKLM_BENCH_GENERATED_H

#include "gpu/stage.h"
#include "model/weights.h"

// Every layer gets the same numbers: one is uploaded, and copied on the device.
vklm_status vklm_bench_generate_weights(vklm_gpu_device *device, vklm_gpu_stage *stage,
                                        const vklm_arch *arch, vklm_format format,
                                        vklm_weights **out_weights);

#endif
