// ops/input8.h: vectors in 8 bits, what the dot8 tier's kernels multiply weights with.
//
//   x[i] = d * q[i]      q: int8; d: f32, one per block of 32, whose largest element becomes 127
//
// Planes: q [n], then for each block d and d * (sum of its q). Kernels that produce a vector write
// this form beside the f32 one (shaders/input8.glsl).
#ifndef VKLM_OPS_INPUT8_H
#define VKLM_OPS_INPUT8_H

#include "gpu/cmd.h"
#include "ops/tune.h"

// Bytes of n values; n is a multiple of 64.
uint64_t vklm_op_input8_bytes(uint64_t n);

// The kernel that multiplies a matrix with a vector, and the form in which the vector goes in: in 8
// bits where x8 is there and the device's dot8 tier takes the format.
typedef struct {
    const char *shader;
    vklm_gpu_view x;
} vklm_op_input;
vklm_op_input vklm_op_input_select(const vklm_gpu_cmd *cmd, vklm_family family, vklm_format format,
                                   uint32_t n_cols, vklm_gpu_view x, vklm_gpu_view x8);

// y = x in 8 bits, row by row.  x: f32 [n_rows, n_cols], n_cols a multiple of 64; y: n_rows * terms
// * vklm_op_input8_bytes(n_cols). Two terms: a row is two vectors that add up, the second what the
// first one's rounding left: 15 bits.
typedef struct {
    vklm_gpu_view x, y;
    uint32_t n_rows, n_cols, terms;
} vklm_op_input8;
void vklm_op_input8_record(vklm_gpu_cmd *cmd, const vklm_op_input8 *op);

// The address of a view that may not be there.
vklm_gpu_address vklm_op_optional_address(vklm_gpu_view view);

#endif
