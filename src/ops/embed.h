// x[t] = table[tokens[t]],  xn[t] = x[t] * norm / sqrt(mean(x[t]^2) + eps)
//
// table: [n_vocab, n_cols]; tokens: u32 [n_rows], each below n_vocab; norm: f32 [n_cols];
// x, xn: f32 [n_rows, n_cols], distinct; xn8, or nothing: xn in 8 bits (ops/input8.h), of one row.
#ifndef VKLM_OPS_EMBED_H
#define VKLM_OPS_EMBED_H

#include "gpu/cmd.h"
#include "ops/weight.h"

typedef struct {
    const vklm_weight *table;
    vklm_gpu_view tokens, norm, x, xn, xn8;
    uint32_t n_rows;
    float eps;
} vklm_op_embed;

void vklm_op_embed_record(vklm_gpu_cmd *cmd, const vklm_op_embed *op);

#endif
