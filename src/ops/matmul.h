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
    uint32_t n_tokens;
    bool add;
} vklm_op_matmul;

void vklm_op_matmul_record(vklm_gpu_cmd *cmd, const vklm_op_matmul *op);

#endif
