// The dot products under every decode kernel: one workgroup takes ROWS rows of a weight matrix
// against one vector x.
//
// Invocation i takes groups i, i + LANES, ... of 8 columns: neighbours load neighbouring 16 bytes, and
// the ROWS loads of one pass are independent, so that they are in flight together.
//
// Constant ids: 0 = local_size_x (LANES), 2 = ROWS.
#include "memory.glsl"
#include "quant/quant.glsl"
#include "reduce.glsl"

layout(local_size_x_id = 0, local_size_y = 1, local_size_z = 1) in;
layout(constant_id = 2) const uint ROWS = 4;

// sums[r] = sum over k of W[rows[r], k] * x[k], in every invocation.
void matvec_rows(uvec2 weight, uvec2 x, uint n_cols, uint rows[ROWS], out float sums[ROWS])
{
    QuantMatrix w = QuantMatrix(weight);
    ReadF32x4 xs = ReadF32x4(x);
    const uint groups = n_cols / 8;
    [[unroll]] for (uint r = 0; r < ROWS; r++)
        sums[r] = 0;
    for (uint g = gl_LocalInvocationID.x; g < groups; g += gl_WorkGroupSize.x) {
        vec4 xa = xs.v[2 * g], xb = xs.v[2 * g + 1];
        [[unroll]] for (uint r = 0; r < ROWS; r++) {
            vec4 wa, wb;
            quant_load8(w, rows[r] * groups + g, wa, wb);
            sums[r] += dot(wa, xa) + dot(wb, xb);
        }
    }
    [[unroll]] for (uint r = 0; r < ROWS; r++)
        sums[r] = reduce_sum(sums[r]);
}
