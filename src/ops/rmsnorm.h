// y[t, i] = x[t, i] * norm[i] / sqrt(mean_i(x[t, i]^2) + eps)
//
// x, y: f32 [n_rows, n_cols], may be the same view. norm: f32 [n_cols]. n_cols % 4 == 0.
// (Zhang and Sennrich, "Root Mean Square Layer Normalization", 2019.)
#ifndef VKLM_OPS_RMSNORM_H
#define VKLM_OPS_RMSNORM_H

#include "gpu/cmd.h"

typedef struct {
    vklm_gpu_view x, norm, y;
    uint32_t n_rows, n_cols;
    float eps;
} vklm_op_rmsnorm;

void vklm_op_rmsnorm_record(vklm_gpu_cmd *cmd, const vklm_op_rmsnorm *op);

#endif
