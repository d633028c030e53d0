// y[t, r] = sum_k W[r, k] * x[t, k], or y += that: many tokens against a weight matrix (prefill).
//
// weight: [n_rows, n_cols], any format, n_cols a multiple of its group; x: f32 [n_tokens, n_cols];
// y: f32 [n_tokens, n_rows], distinct from x.
#ifndef VKLM_OPS_MATMUL_H
#define VKLM_OPS_MATMUL_H

#include "gpu/cmd.h"
#include "ops/weight.h"

typedef struct {
    const char *label;
    const vklm_weight *weight;
    vklm_gpu_view x, y;
    vklm_gpu_view x8;  // rows in 8 bits (ops/input8.h), where vklm_op_matmul_takes8; x is not read
    uint32_t x8_terms; // then
    vklm_gpu_view x16; // rows in f16 (ops/input16.h), where vklm_op_matmul_takes16; the same
    uint32_t n_tokens;
    bool add;
    // These are all tokens there are, not the rest of a longer prompt. Up to VKLM_OP_MATMUL_FEW of
    // them are then multiplied as columns, each block of weights read once: the rest of a prompt is
    // not, so that results do not depend on how it was cut.
    bool alone;
} vklm_op_matmul;

enum { VKLM_OP_MATMUL_FEW = 8 };

// Whether the dot8 tier multiplies these tokens: the weights are packed, and there are no matrix
// units, or so few tokens that they are columns.
bool vklm_op_matmul_takes8(const vklm_gpu_cmd *cmd, const vklm_weight *weight, uint32_t n_tokens,
                           bool alone);

// Whether matrix units do.
bool vklm_op_matmul_takes16(const vklm_gpu_cmd *cmd, const vklm_weight *weight, uint32_t n_tokens,
                            bool alone);

void vklm_op_matmul_record(vklm_gpu_cmd *cmd, const vklm_op_matmul *op);

#endif
