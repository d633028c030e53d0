// model/self_test.h: does this device, with this driver, compute what it should?
//
// A model of two small layers with random weights runs through the kernels that a real one would
// get: a prompt, a token, and a token drawn on the device, against double precision. On the dot8
// tier, where a token's inputs are rounded, it is asked as well whether any kernel's results are a
// few per cent too large or too small.
#ifndef VKLM_MODEL_SELF_TEST_H
#define VKLM_MODEL_SELF_TEST_H

#include <vklm/engine.h>

#include "model/weights.h"

// What decides which kernels a model gets.
typedef struct {
    uint32_t head_dim;
    bool grouped;              // several query heads for a key and value head
    uint32_t n_experts, top_k; // 0, 0: one MLP
    vklm_format matrix;        // of all matrices
    vklm_kv_kind kv;
} vklm_self_test_case;

// The cases that a model needs, [*out_n] of at most VKLM_FORMAT_COUNT.
void vklm_self_test_cases(const vklm_weights *weights, vklm_kv_kind kv,
                          vklm_self_test_case out_cases[VKLM_FORMAT_COUNT], size_t *out_n);

// VKLM_OK whenever it could be run; *out_error is "" when everything is right, or says what is not.
enum { VKLM_SELF_TEST_ERROR_BYTES = 160 };
vklm_status vklm_self_test_run(vklm_gpu_device *device, const vklm_self_test_case *test,
                               char out_error[VKLM_SELF_TEST_ERROR_BYTES]);

#endif
