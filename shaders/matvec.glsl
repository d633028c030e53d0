// The dot products under every decode kernel: one workgroup takes ROWS rows of a weight matrix
// against one vector x.
//
// Invocation i takes blocks i, i + LANES, ... of QUANT_BLOCK columns: neighbours load neighbouring 16
// bytes, and the ROWS loads of one pass are independent, so that they are in flight together.
//
// Constant ids: 0 = local_size_x (LANES), 2 = ROWS.
#include "memory.glsl"
#include "quant/quant.glsl"
#include "reduce.glsl"

layout(local_size_x_id = 0, local_size_y = 1, local_size_z = 1) in;
layout(constant_id = 2) const uint ROWS = 4;

// sums[r] = sum over k of W[rows[r], k] * x[k], in every invocation.
void matvec_rows(QuantMatrix w, uvec2 x, uint n_cols, uint rows[ROWS], out float sums[ROWS])
{
    ReadF32x4 xs = ReadF32x4(x);
    const uint blocks = n_cols / QUANT_BLOCK;
    [[unroll]] for (uint r = 0; r < ROWS; r++)
        sums[r] = 0;
    for (uint b = gl_LocalInvocationID.x; b < blocks; b += gl_WorkGroupSize.x) {
        vec4 xb[QUANT_QUADS];
        float sum_x = 0; // unused, and gone, in formats without a minimum
        [[unroll]] for (uint i = 0; i < QUANT_QUADS; i++) {
            xb[i] = xs.v[b * QUANT_QUADS + i];
            sum_x += dot(xb[i], vec4(1));
        }
        [[unroll]] for (uint r = 0; r < ROWS; r++)
            sums[r] += quant_dot(w, rows[r] * blocks + b, xb, sum_x);
    }
    [[unroll]] for (uint r = 0; r < ROWS; r++)
        sums[r] = reduce_sum(sums[r]);
}
