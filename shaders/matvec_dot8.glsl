// The dot products of the dot8 tier: x comes in 8 bits (input8.glsl), and the products of a block are summed as
// integers, four at a time. Included by matvec.glsl.
//
// A pass takes 64 columns of a row: their scales fill a word in every format.

// sums[r] = sum over k of W[rows[r], k] * x[k], in every invocation, for W [n_rows, n_cols]; n_cols % 64 == 0.
void matvec_rows(uvec2 weight, uint n_rows, uvec2 x, uint n_cols, uint rows[ROWS],
                 out float sums[ROWS])
{
    ReadU32x4 xs = ReadU32x4(x);
    ReadF32x4 scales = ReadF32x4(address_add(x, n_cols));
    QuantRow w[ROWS];
    [[unroll]] for (uint r = 0; r < ROWS; r++) {
        w[r] = quant_row(weight, n_rows, n_cols, rows[r]);
        sums[r] = 0;
    }
    for (uint b = gl_LocalInvocationID.x; b < n_cols / 64; b += gl_WorkGroupSize.x) {
        uvec4 xb[4];
        [[unroll]] for (uint i = 0; i < 4; i++)
            xb[i] = xs.v[b * 4 + i];
        const vec4 scale = scales.v[b];
        [[unroll]] for (uint r = 0; r < ROWS; r++)
            sums[r] += quant_dot8(quant_of_row(w[r]), b, xb, scale);
    }
    reduce_rows(sums);
}
