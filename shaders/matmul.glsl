// The tile under the base tier's matmuls: f32 arithmetic, register tiles. A workgroup of 16 x 16 invocations
// owns TILE_T tokens x TILE_R rows of y; invocation (i, j) owns R rows from R i on and T tokens from T j on: what it
// reads of shared memory at a time are two vectors.
// Tiles of W and x, BLOCK_K columns at a time, pass through shared memory, transposed so that the inner loop reads
// along rows and along tokens. While one pair is multiplied the next is on its way to registers, and goes to the other half
// of the memory; where a block is so long that 32 KiB hold one pair only (q4), it is fetched when that is used up.
//
// Included after the push constants `args`, whose n_rows and n_cols are the matrix's, and the includer's weight(),
// n_tokens(), input_row() and put_result(). Rows and tokens past the edge are filled with zeros, and not put. The host
// guarantees that n_cols is a multiple of the format's group.
// Constant ids: 0 = local_size_x (256), 2 = TILE_T, 3 = TILE_R (multiples of 16).
#include "quant/quant.glsl"

layout(local_size_x_id = 0, local_size_y = 1, local_size_z = 1) in;
layout(constant_id = 2) const uint TILE_T = 64;
layout(constant_id = 3) const uint TILE_R = 64;

const uint BLOCK_K = QUANT_BLOCK > 16 ? QUANT_BLOCK : 16, SIDE = 16, LANES = gl_WorkGroupSize.x;
const uint BLOCKS = BLOCK_K / QUANT_BLOCK, QUADS = BLOCK_K / 4; // of a row of the tiles
const uint T = TILE_T / SIDE, R = TILE_R / SIDE, SUMS = T * R; // the register tile
// Of an invocation, for one pair of tiles: blocks of W, vectors of x.
const uint W_LOADS = (TILE_R * BLOCKS + LANES - 1) / LANES, X_LOADS = (TILE_T * QUADS + LANES - 1) / LANES;
const uint BUFFERS = BLOCK_K > 16 ? 1 : 2;
const uint W_STRIDE = TILE_R + 4, X_STRIDE = TILE_T + 4; // padded: other banks, and vectors stay aligned

shared float tile_w[BUFFERS * BLOCK_K * W_STRIDE];
shared float tile_x[BUFFERS * BLOCK_K * X_STRIDE];
shared uint input_rows[TILE_T];

// The next pair of tiles, on its way from device memory.
vec4 next_w[W_LOADS * QUANT_QUADS], next_x[X_LOADS];

void fetch(QuantMatrix w, ReadF32x4 x, uint first_row, uint n, uint k)
{
    const uint blocks = args.n_cols / QUANT_BLOCK, quads = args.n_cols / 4;
    [[unroll]] for (uint l = 0; l < W_LOADS; l++) {
        const uint at = l * LANES + gl_LocalInvocationID.x;
        const uint row = first_row + at % TILE_R, block = k / QUANT_BLOCK + at / TILE_R;
        vec4 values[QUANT_QUADS];
        [[unroll]] for (uint i = 0; i < QUANT_QUADS; i++)
            values[i] = vec4(0);
        if (at < TILE_R * BLOCKS && row < args.n_rows && block < blocks)
            quant_load(w, row * blocks + block, values);
        [[unroll]] for (uint i = 0; i < QUANT_QUADS; i++)
            next_w[l * QUANT_QUADS + i] = values[i];
    }
    [[unroll]] for (uint l = 0; l < X_LOADS; l++) {
        const uint at = l * LANES + gl_LocalInvocationID.x;
        const uint token = at % TILE_T, quad = k / 4 + at / TILE_T;
        next_x[l] = vec4(0);
        if (at < TILE_T * QUADS && token < n && quad < quads)
            next_x[l] = x.v[input_rows[token] * quads + quad];
    }
}

void store(uint which)
{
    [[unroll]] for (uint l = 0; l < W_LOADS; l++) {
        const uint at = l * LANES + gl_LocalInvocationID.x;
        const uint row = at % TILE_R, column = (which * BLOCKS + at / TILE_R) * QUANT_BLOCK;
        if (at < TILE_R * BLOCKS)
            [[unroll]] for (uint i = 0; i < QUANT_BLOCK; i++)
                tile_w[(column + i) * W_STRIDE + row] = next_w[l * QUANT_QUADS + i / 4][i % 4];
    }
    [[unroll]] for (uint l = 0; l < X_LOADS; l++) {
        const uint at = l * LANES + gl_LocalInvocationID.x;
        const uint token = at % TILE_T, column = (which * QUADS + at / TILE_T) * 4;
        if (at < TILE_T * QUADS)
            [[unroll]] for (uint c = 0; c < 4; c++)
                tile_x[(column + c) * X_STRIDE + token] = next_x[l][c];
    }
}

// y's tile, from row first_row on, goes to put_result.
void matmul_tile(uint first_row)
{
    const uint i = gl_LocalInvocationID.x % SIDE, j = gl_LocalInvocationID.x / SIDE, n = n_tokens();
    QuantMatrix w = quant_matrix(weight(), args.n_rows, args.n_cols);
    ReadF32x4 x = ReadF32x4(args.x);
    for (uint t = gl_LocalInvocationID.x; t < TILE_T; t += LANES)
        input_rows[t] = input_row(min(t, n - 1));
    barrier();

    float sums[SUMS]; // [T, R]: of token j T + t and row i R + r
    [[unroll]] for (uint s = 0; s < SUMS; s++)
        sums[s] = 0;
    fetch(w, x, first_row, n, 0);
    store(0);
    barrier();
    uint current = 0;
    for (uint k = 0; k < args.n_cols; k += BLOCK_K) {
        const bool more = k + BLOCK_K < args.n_cols;
        if (more && BUFFERS == 2)
            fetch(w, x, first_row, n, k + BLOCK_K);
        for (uint pair = current * BLOCK_K; pair < (current + 1) * BLOCK_K; pair += 2)
            [[unroll]] for (uint c = 0; c < 2; c++) {
                const uint kk = pair + c;
                float ws[R], xs[T];
                [[unroll]] for (uint r = 0; r < R; r++)
                    ws[r] = tile_w[kk * W_STRIDE + i * R + r];
                [[unroll]] for (uint t = 0; t < T; t++)
                    xs[t] = tile_x[kk * X_STRIDE + j * T + t];
                [[unroll]] for (uint t = 0; t < T; t++)
                    [[unroll]] for (uint r = 0; r < R; r++)
                        sums[t * R + r] = fma(ws[r], xs[t], sums[t * R + r]);
            }
        if (BUFFERS == 2) {
            current ^= 1;
        } else {
            barrier(); // before the next tiles overwrite these
            if (more)
                fetch(w, x, first_row, n, k + BLOCK_K);
        }
        if (more)
            store(current);
        barrier();
    }
    [[unroll]] for (uint t = 0; t < T; t++)
        [[unroll]] for (uint r = 0; r < R; r++) {
            const uint token = j * T + t, row = first_row + i * R + r;
            if (token < n && row < args.n_rows)
                put_result(token, row, sums[t * R + r]);
        }
}
