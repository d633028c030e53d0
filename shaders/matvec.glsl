// The dot products under every decode kernel: one workgroup takes ROWS rows of a weight matrix
// against one vector x, of MATVEC_X_BYTES. With -DDOT8 those of matvec_dot8.glsl take their place.
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

#include "reduce_rows.glsl"

#ifdef DOT8
#define MATVEC_X_BYTES(n_cols) ((n_cols) / 4 * 5)
#include "matvec_dot8.glsl"
#else
#define MATVEC_X_BYTES(n_cols) ((n_cols) * 4)
// sums[r] = sum over k of W[rows[r], k] * x[k], in every invocation, for W [n_rows, n_cols].
void matvec_rows(uvec2 weight, uint n_rows, uvec2 x, uint n_cols, uint rows[ROWS],
                 out float sums[ROWS])
{
    ReadF32x4 xs = ReadF32x4(x);
    QuantRow w[ROWS];
    [[unroll]] for (uint r = 0; r < ROWS; r++) {
        w[r] = quant_row(weight, n_rows, n_cols, rows[r]);
        sums[r] = 0;
    }
    for (uint b = gl_LocalInvocationID.x; b < n_cols / QUANT_BLOCK; b += gl_WorkGroupSize.x) {
        vec4 xb[QUANT_QUADS];
        vec4 sum = vec4(0); // unused, and gone, in formats without a minimum
        [[unroll]] for (uint i = 0; i < QUANT_QUADS; i++) {
            xb[i] = xs.v[b * QUANT_QUADS + i];
            sum += xb[i];
        }
        const float sum_x = sum.x + sum.y + sum.z + sum.w;
        [[unroll]] for (uint r = 0; r < ROWS; r++)
            sums[r] += quant_dot(quant_of_row(w[r]), b, xb, sum_x);
    }
    reduce_rows(sums);
}
#endif
