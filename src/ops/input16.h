// ops/input16.h: rows in f16, what the coop tier multiplies weights with.
//
//   x[i] = s * h[i]      h: f16; s: f32, a power of two for the row, with which its largest |h| is
//                        2^14 .. 2^15
//
// A row is h [n], then s, and 12 bytes that nobody reads.
#ifndef VKLM_OPS_INPUT16_H
#define VKLM_OPS_INPUT16_H

#include "gpu/cmd.h"

// Bytes of a row of n values; n is a multiple of 8.
uint64_t vklm_op_input16_bytes(uint64_t n);

// y = x in f16, row by row. What is not finite stays so.  x: f32 [n_rows, n_cols], n_cols a
// multiple of 8; y: n_rows * vklm_op_input16_bytes(n_cols)
typedef struct {
    vklm_gpu_view x, y;
    uint32_t n_rows, n_cols;
} vklm_op_input16;
void vklm_op_input16_record(vklm_gpu_cmd *cmd, const vklm_op_input16 *op);

#endif
