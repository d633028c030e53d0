// y[t, i] = silu(gate_up[t, i]) * gate_up[t, n_cols + i],  silu(z) = z / (1 + exp(-z))
//
// gate_up: f32 [n_tokens, 2 * n_cols]; y: f32 [n_tokens, n_cols], distinct.
// (Shazeer, "GLU Variants Improve Transformer", 2020.)
#ifndef VKLM_OPS_SWIGLU_H
#define VKLM_OPS_SWIGLU_H

#include "gpu/cmd.h"

typedef struct {
    vklm_gpu_view gate_up, y;
    uint32_t n_tokens, n_cols;
} vklm_op_swiglu;

void vklm_op_swiglu_record(vklm_gpu_cmd *cmd, const vklm_op_swiglu *op);

#endif
