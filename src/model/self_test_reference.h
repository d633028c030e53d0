// model/self_test_reference.h: the self-test's model, and its forward pass in double precision.
#ifndef VKLM_MODEL_SELF_TEST_REFERENCE_H
#define VKLM_MODEL_SELF_TEST_REFERENCE_H

#include <vklm/engine.h>

#include "checkpoint/arch.h"

// MLPs that differ. More experts than that are other pairs of them: expert e has the gate and up
// rows of MLP e % 8, and the down projection of MLP (e + e / 8) % 8, so that no two of 64 are
// alike.
enum { VKLM_SELF_TEST_MLPS = 8 };
uint32_t vklm_self_test_gate_up(uint32_t expert);
uint32_t vklm_self_test_down(uint32_t expert);

typedef struct {
    float *gate_up, *down; // as in vklm_layer_weights
} vklm_self_test_mlp;

// Matrices of a layer, and the two outside of them.
typedef struct {
    float *qkv, *out;
    float *router;                                // of models with experts
    vklm_self_test_mlp mlps[VKLM_SELF_TEST_MLPS]; // the first, or all of them
} vklm_self_test_layer;

typedef struct {
    vklm_arch arch;
    vklm_kv_kind kv; // keys and values are rounded as this cache has them
    vklm_self_test_layer *layers;
    float *embed, *lm_head, *norm; // one norm for all
} vklm_self_test_model;

// What may be multiplied by a factor, in all layers, to see what logits would be if a kernel got it
// wrong: the results of a matrix, or keys as attention reads them. (With values that are,
// attention's output projection is.)
typedef enum {
    VKLM_SELF_TEST_EMBED = 0,
    VKLM_SELF_TEST_QKV,
    VKLM_SELF_TEST_KEYS,
    VKLM_SELF_TEST_OUT,
    VKLM_SELF_TEST_GATE_UP,
    VKLM_SELF_TEST_DOWN,
    VKLM_SELF_TEST_LM_HEAD,
    VKLM_SELF_TEST_PARTS,
} vklm_self_test_part;

// One text, token by token.
typedef struct {
    const vklm_self_test_model *model;
    uint32_t n;                          // positions
    double factor[VKLM_SELF_TEST_PARTS]; // 1 is right
    double *memory;                      // of all that follows
    double *x, *xn, *qkv, *heads, *gate_up, *added, *sum, *weights, *cache;
    float (*rope)[2];
} vklm_self_test_pass;

vklm_status vklm_self_test_pass_init(const vklm_self_test_model *model, uint32_t n,
                                     vklm_self_test_pass *out_pass);
void vklm_self_test_pass_finish(vklm_self_test_pass *pass); // takes a zeroed one

// The logits [n_vocab] after a token at `position`; those before it were computed already. A
// position may be computed again. Returns by how much the closest choice of experts was made, in
// units of their scores.
double vklm_self_test_pass_step(vklm_self_test_pass *pass, uint32_t position, uint32_t id,
                                double *out_logits);

#endif
