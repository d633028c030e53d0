// sums[c] += sum_t x[t, c]^2: how large a matrix's inputs are, column by column.
//
// x: f32 [n_rows, n_cols]; sums: f32 [n_cols], distinct from x.
#ifndef VKLM_OPS_COLUMN_SQUARES_H
#define VKLM_OPS_COLUMN_SQUARES_H

#include "gpu/cmd.h"

typedef struct {
    vklm_gpu_view x, sums;
    uint32_t n_rows, n_cols;
} vklm_op_column_squares;

void vklm_op_column_squares_record(vklm_gpu_cmd *cmd, const vklm_op_column_squares *op);

#endif
