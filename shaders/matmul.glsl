// The tile under the base tier's matmuls: f32 arithmetic, register tiles. A workgroup of 16 x 16 invocations
// owns TILE_T tokens x TILE_R rows of y; invocation (i, j) owns rows i, i + 16, ... and tokens j, j + 16, ... of
// it: neighbours in i read neighbouring words of shared memory and write neighbouring elements of y.
// Tiles of W and x, BLOCK_K columns at a time, pass through shared memory, transposed so that the inner
// loop reads along rows and along tokens.
//
// Included after the push constants `args`, whose n_rows and n_cols are the matrix's. Rows and tokens past
// the edge are filled with zeros; whoever writes y leaves them out. The host guarantees that
// n_cols is a multiple of the format's group.
// Constant ids: 0 = local_size_x (256), 2 = TILE_T, 3 = TILE_R (multiples of 16).
#include "quant/quant.glsl"

layout(local_size_x_id = 0, local_size_y = 1, local_size_z = 1) in;
layout(constant_id = 2) const uint TILE_T = 64;
layout(constant_id = 3) const uint TILE_R = 64;

const uint BLOCK_K = QUANT_BLOCK > 16 ? QUANT_BLOCK : 16, SIDE = 16;
const uint BLOCKS = BLOCK_K / QUANT_BLOCK, QUADS = BLOCK_K / 4; // of a row of the tiles
const uint T = TILE_T / SIDE, R = TILE_R / SIDE, SUMS = T * R; // the register tile

// One column of padding spreads the transposing stores over the banks.
shared float tile_w[BLOCK_K * (TILE_R + 1)];
shared float tile_x[BLOCK_K * (TILE_T + 1)];

// The row of x that is token t of the tile: defined by the includer.
uint input_row(uint t);

void load_weights(QuantMatrix w, uint first_row, uint first_block)
{
    const uint blocks = args.n_cols / QUANT_BLOCK;
    for (uint n = gl_LocalInvocationID.x; n < TILE_R * BLOCKS; n += gl_WorkGroupSize.x) {
        uint row = n / BLOCKS, block = n % BLOCKS;
        vec4 values[QUANT_QUADS];
        [[unroll]] for (uint i = 0; i < QUANT_QUADS; i++)
            values[i] = vec4(0);
        if (first_row + row < args.n_rows && first_block + block < blocks)
            quant_load(w, (first_row + row) * blocks + first_block + block, values);
        [[unroll]] for (uint i = 0; i < QUANT_BLOCK; i++)
            tile_w[(block * QUANT_BLOCK + i) * (TILE_R + 1) + row] = values[i / 4][i % 4];
    }
}

void load_inputs(ReadF32x4 x, uint n_tokens, uint first_quad)
{
    const uint quads = args.n_cols / 4;
    for (uint n = gl_LocalInvocationID.x; n < TILE_T * QUADS; n += gl_WorkGroupSize.x) {
        uint token = n / QUADS, quad = n % QUADS;
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
        load_weights(w, first_row, k / QUANT_BLOCK);
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
