// The tile under the base tier's matmuls: f32 arithmetic, register tiles. A workgroup of 16 x 16 invocations
// owns TILE_T tokens x TILE_R rows of y; invocation (i, j) owns rows i, i + 16, ... and tokens j, j + 16, ... of
// it: neighbours in i read neighbouring words of shared memory and write neighbouring elements of y.
// Tiles of W and x, BLOCK_K columns at a time, pass through shared memory, transposed so that the inner
// loop reads along rows and along tokens.
//
// Included after the push constants `args`, whose n_rows and n_cols are the matrix's. Rows and tokens past
// the edge are filled with zeros; whoever writes y leaves them out. The host guarantees n_cols % 8 == 0.
// Constant ids: 0 = local_size_x (256), 2 = TILE_T, 3 = TILE_R (multiples of 16).
#include "quant/quant.glsl"

layout(local_size_x_id = 0, local_size_y = 1, local_size_z = 1) in;
layout(constant_id = 2) const uint TILE_T = 64;
layout(constant_id = 3) const uint TILE_R = 64;

const uint BLOCK_K = 16, SIDE = 16;
const uint T = TILE_T / SIDE, R = TILE_R / SIDE, SUMS = T * R; // the register tile

// One column of padding spreads the transposing stores over the banks.
shared float tile_w[BLOCK_K * (TILE_R + 1)];
shared float tile_x[BLOCK_K * (TILE_T + 1)];

// The row of x that is token t of the tile: defined by the includer.
uint input_row(uint t);

void load_weights(QuantMatrix w, uint first_row, uint first_group)
{
    const uint groups = args.n_cols / 8;
    for (uint n = gl_LocalInvocationID.x; n < TILE_R * 2; n += gl_WorkGroupSize.x) {
        uint row = n / 2, group = n % 2;
        vec4 a = vec4(0), b = vec4(0);
        if (first_row + row < args.n_rows && first_group + group < groups)
            quant_load8(w, (first_row + row) * groups + first_group + group, a, b);
        [[unroll]] for (uint i = 0; i < 4; i++) {
            tile_w[(group * 8 + i) * (TILE_R + 1) + row] = a[i];
            tile_w[(group * 8 + 4 + i) * (TILE_R + 1) + row] = b[i];
        }
    }
}

void load_inputs(ReadF32x4 x, uint n_tokens, uint first_quad)
{
    const uint quads = args.n_cols / 4;
    for (uint n = gl_LocalInvocationID.x; n < TILE_T * 4; n += gl_WorkGroupSize.x) {
        uint token = n / 4, quad = n % 4;
        vec4 a = vec4(0);
        if (token < n_tokens && first_quad + quad < quads)
            a = x.v[input_row(token) * quads + first_quad + quad];
        [[unroll]] for (uint i = 0; i < 4; i++)
            tile_x[(quad * 4 + i) * (TILE_T + 1) + token] = a[i];
    }
}

// sums[t * R + r]: the element of token j + 16 t of the tile, which has n_tokens of them, and of row
// first_row + i + 16 r.
void matmul_tile(QuantMatrix w, ReadF32x4 x, uint first_row, uint n_tokens, out float sums[SUMS])
{
    const uint i = gl_LocalInvocationID.x % SIDE, j = gl_LocalInvocationID.x / SIDE;
    [[unroll]] for (uint n = 0; n < SUMS; n++)
        sums[n] = 0;
    for (uint k = 0; k < args.n_cols; k += BLOCK_K) {
        load_weights(w, first_row, k / 8);
        load_inputs(x, n_tokens, k / 4);
        barrier();
        for (uint kk = 0; kk < BLOCK_K; kk++) {
            float ws[R], xs[T];
            [[unroll]] for (uint r = 0; r < R; r++)
                ws[r] = tile_w[kk * (TILE_R + 1) + i + SIDE * r];
            [[unroll]] for (uint t = 0; t < T; t++)
                xs[t] = tile_x[kk * (TILE_T + 1) + j + SIDE * t];
            [[unroll]] for (uint t = 0; t < T; t++)
                [[unroll]] for (uint r = 0; r < R; r++)
                    sums[t * R + r] += ws[r] * xs[t];
        }
        barrier(); // before the next tiles overwrite these
    }
}
