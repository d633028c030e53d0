// model/self_test_reference.h: the self-test's model, and its forward pass in double precision.
#ifndef VKLM_MODEL_SELF_TEST_REFERENCE_H
#define VKLM_MODEL_SELF_TEST_REFERENCE_H

#include "checkpoint/arch.h"

// Matrices of a layer, and the two outside of them.
typedef struct {
    float *qkv, *out, *gate_up, *down; // as in vklm_layer_weights
} vklm_self_test_layer;

typedef struct {
    vklm_arch arch;
    vklm_self_test_layer *layers;
    float *embed, *lm_head, *norm; // one norm for all
} vklm_self_test_model;

// Logits after each of n ids, [n, n_vocab]. Keys and values are rounded to f16, as the cache has
// them.
vklm_status vklm_self_test_forward(const vklm_self_test_model *model, const uint32_t *ids,
                                   uint32_t n, double *out_logits);

#endif
