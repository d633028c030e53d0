// model/self_test_weights.h: the self-test's model, two small layers of random weights, on the
// device and on the host.
#ifndef VKLM_MODEL_SELF_TEST_WEIGHTS_H
#define VKLM_MODEL_SELF_TEST_WEIGHTS_H

#include "gpu/stage.h"
#include "model/self_test.h"
#include "model/self_test_reference.h"

typedef struct {
    vklm_weights device;
    vklm_self_test_model host; // the same numbers
    vklm_format format;        // of all matrices
    vklm_gpu_stage *stage;
    vklm_gpu_layout layout; // of the device's one slab
    uint64_t seed;
} vklm_self_test_weights;

vklm_status vklm_self_test_weights_init(vklm_gpu_device *device, const vklm_self_test_case *test,
                                        uint32_t n_ctx, vklm_self_test_weights *out_weights);
void vklm_self_test_weights_finish(vklm_self_test_weights *weights); // takes a half-made one

#endif
