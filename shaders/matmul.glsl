// The tile under the base tier's matmuls: f32 arithmetic, register tiles. A workgroup of 16 x 16 invocations
// owns TILE_T tokens x TILE_R rows of y; invocation (i, j) owns rows i, i + 16, ... and tokens j, j + 16, ... of
// it: neighbours in i read neighbouring words of shared memory and write neighbouring elements of y.
// Tiles of W and x, BLOCK_K columns at a time, pass through shared memory, transposed so that the inner
// loop reads along rows and along tokens.
//
// Included after the push constants `args`, whose n_rows and n_cols are the matrix's, and the includer's weight(),
// n_tokens(), input_row() and put_result(). Rows and tokens past the edge are filled with zeros, and not put. The host
// guarantees that n_cols is a multiple of the format's group.
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

shared uint input_rows[TILE_T];

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

void load_inputs(ReadF32x4 x, uint n, uint first_quad)
{
    const uint quads = args.n_cols / 4;
    for (uint i = gl_LocalInvocationID.x; i < TILE_T * QUADS; i += gl_WorkGroupSize.x) {
        uint token = i / QUADS, quad = i % QUADS;
        vec4 a = vec4(0);
        if (token < n && first_quad + quad < quads)
            a = x.v[input_rows[token] * quads + first_quad + quad];
        [[unroll]] for (uint c = 0; c < 4; c++)
            tile_x[(quad * 4 + c) * (TILE_T + 1) + token] = a[c];
    }
}

// y's tile, from row first_row on, goes to put_result.
void matmul_tile(uint first_row)
{
    const uint i = gl_LocalInvocationID.x % SIDE, j = gl_LocalInvocationID.x / SIDE, n = n_tokens();
    QuantMatrix w = quant_matrix(weight(), args.n_rows, args.n_cols);
    ReadF32x4 x = ReadF32x4(args.x);
    for (uint t = gl_LocalInvocationID.x; t < TILE_T; t += gl_WorkGroupSize.x)
        input_rows[t] = input_row(min(t, n - 1));
    barrier();

    float sums[SUMS]; // [T, R]: of token j + 16 t and row i + 16 r
    [[unroll]] for (uint s = 0; s < SUMS; s++)
        sums[s] = 0;
    for (uint k = 0; k < args.n_cols; k += BLOCK_K) {
        load_weights(w, first_row, k / QUANT_BLOCK);
        load_inputs(x, n, k / 4);
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
    [[unroll]] for (uint t = 0; t < T; t++)
        [[unroll]] for (uint r = 0; r < R; r++) {
            const uint token = j + SIDE * t, row = first_row + i + SIDE * r;
            if (token < n && row < args.n_rows)
                put_result(token, row, sums[t * R + r]);
        }
}
