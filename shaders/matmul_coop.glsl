// The tile under the coop tier's matmuls: VK_KHR_cooperative_matrix, f16 x f16 into f32. A workgroup owns TILE_T tokens x
// TILE_R rows of y, each of its SUBGROUPS_T x SUBGROUPS_R subgroups a rectangle of it: T x R matrices of M tokens x N rows,
// kept in registers. Tiles of x and W, BLOCK_K columns at a time, pass through shared memory as f16, each row's
// columns side by side: x is matrix A by rows, W is matrix B by columns. AHEAD: while one pair of tiles is multiplied
// the next is on its way to registers, as it lies in device memory, where there are enough of those.
//
// x comes in rows of f16, each with the power of two that its values are short of (input16.comp). Weights beyond f16 count
// as +-65504.
//
// Included after the push constants `args`, whose n_rows and n_cols are the matrix's. Past the edge x is filled with zeros,
// and W with its last row and block, whose products with zeros and in rows that nobody keeps do not matter. The host
// guarantees that n_cols is a multiple of the format's group, that M, N, K is a row of the device's table, that TILE_T is a
// multiple of M * SUBGROUPS_T and TILE_R of N * SUBGROUPS_R, and that local_size_x is SUBGROUPS_T * SUBGROUPS_R full
// subgroups.
// Constant ids: 0 = local_size_x, 2 = TILE_T, 3 = TILE_R, 5 = AHEAD, 7 = M, 8 = N, 9 = K, 10 = SUBGROUPS_T,
// 11 = SUBGROUPS_R.
#include "quant/quant.glsl"

layout(local_size_x_id = 0, local_size_y = 1, local_size_z = 1) in;
layout(constant_id = 2) const uint TILE_T = 64;
layout(constant_id = 3) const uint TILE_R = 64;
layout(constant_id = 5) const bool AHEAD = false;
layout(constant_id = 7) const uint M = 16;
layout(constant_id = 8) const uint N = 16;
layout(constant_id = 9) const uint K = 16;
layout(constant_id = 10) const uint SUBGROUPS_T = 2;
layout(constant_id = 11) const uint SUBGROUPS_R = 2;

const uint BLOCK_K = 32, BLOCKS = BLOCK_K / QUANT_BLOCK, QUADS = BLOCK_K / 4, OCTS = BLOCK_K / 8; // of a row of the tiles
const uint STRIDE = QUADS + 2; // quads: 16 bytes of padding spread the rows over the banks
const uint PART_QUADS = QUANT_QUADS / QUANT_PARTS, PARTS = QUADS / PART_QUADS;
const uint T = TILE_T / (M * SUBGROUPS_T), R = TILE_R / (N * SUBGROUPS_R), SUMS = T * R;
// What an invocation fetches at a time: parts of blocks of W, eight values of x.
const uint LANES = gl_WorkGroupSize.x;
const uint W_LOADS = (TILE_R * PARTS + LANES - 1) / LANES, X_LOADS = (TILE_T * OCTS + LANES - 1) / LANES;

shared f16vec4 tile_x[TILE_T * STRIDE];
shared f16vec4 tile_w[TILE_R * STRIDE];
shared float results[SUBGROUPS_T * SUBGROUPS_R * M * N];
shared float scales[TILE_T]; // of the tokens

// The includer's: where W lies, how many tokens there are from the tile's first on, the row of x that is token t of the tile,
// and what becomes of an element of y.
uvec2 weight();
uint n_tokens();
uint input_row(uint t);
void put_result(uint t, uint row, float value);

uvec2 input_address(uint token)
{
    return address_add_rows(args.x, input_row(token), args.n_cols * 2 + 16);
}

// The next pair of tiles, on its way from device memory.
QuantRaw next_w[W_LOADS];
uvec4 next_x[X_LOADS];

void fetch(uint first_row, uint k)
{
    QuantMatrix w = quant_matrix(weight(), args.n_rows, args.n_cols);
    const uint blocks = args.n_cols / QUANT_BLOCK, n = n_tokens();
    [[unroll]] for (uint l = 0; l < W_LOADS; l++) {
        const uint at = (l * LANES + gl_LocalInvocationID.x) / QUANT_PARTS;
        const uint row = min(first_row + at / BLOCKS, args.n_rows - 1);
        next_w[l] = quant_fetch(w, row * blocks + min(k / QUANT_BLOCK + at % BLOCKS, blocks - 1));
    }
    [[unroll]] for (uint l = 0; l < X_LOADS; l++) {
        const uint at = l * LANES + gl_LocalInvocationID.x, token = at / OCTS, oct = k / 8 + at % OCTS;
        next_x[l] = uvec4(0);
        if (token < n && oct < args.n_cols / 8)
            next_x[l] = ReadU32x4(input_address(token)).v[oct];
    }
}

void store()
{
    [[unroll]] for (uint l = 0; l < W_LOADS; l++) {
        const uint at = l * LANES + gl_LocalInvocationID.x, row = at / PARTS, part = at % PARTS;
        f16vec4 values[PART_QUADS];
        quant_unpack_f16(next_w[l], part % QUANT_PARTS, values);
        if (row < TILE_R)
            [[unroll]] for (uint i = 0; i < PART_QUADS; i++)
                tile_w[row * STRIDE + part * PART_QUADS + i] = values[i];
    }
    [[unroll]] for (uint l = 0; l < X_LOADS; l++) {
        const uint at = l * LANES + gl_LocalInvocationID.x, token = at / OCTS, quad = at % OCTS * 2;
        if (token < TILE_T)
            [[unroll]] for (uint i = 0; i < 2; i++)
                tile_x[token * STRIDE + quad + i] =
                    f16vec4(unpackFloat2x16(next_x[l][2 * i]), unpackFloat2x16(next_x[l][2 * i + 1]));
    }
}

// y's tile, from row first_row on, goes to put_result.
void matmul_tile(uint first_row)
{
    if (gl_NumSubgroups != SUBGROUPS_T * SUBGROUPS_R)
        return; // the device's subgroups are not what it says: no results, which the self-test notices
    const uint token0 = gl_SubgroupID / SUBGROUPS_R * (T * M), row0 = gl_SubgroupID % SUBGROUPS_R * (R * N);
    coopmat<float, gl_ScopeSubgroup, M, N, gl_MatrixUseAccumulator> sums[SUMS];
    [[unroll]] for (uint i = 0; i < SUMS; i++)
        sums[i] = coopmat<float, gl_ScopeSubgroup, M, N, gl_MatrixUseAccumulator>(0);
    for (uint t = gl_LocalInvocationID.x; t < min(n_tokens(), TILE_T); t += LANES)
        scales[t] = ReadF32(address_add(input_address(t), args.n_cols * 2)).v[0];

    if (AHEAD)
        fetch(first_row, 0);
    for (uint k = 0; k < args.n_cols; k += BLOCK_K) {
        if (!AHEAD)
            fetch(first_row, k);
        store();
        barrier();
        if (AHEAD && k + BLOCK_K < args.n_cols)
            fetch(first_row, k + BLOCK_K);
        [[unroll]] for (uint kk = 0; kk < BLOCK_K; kk += K) {
            coopmat<float16_t, gl_ScopeSubgroup, M, K, gl_MatrixUseA> a[T];
            [[unroll]] for (uint t = 0; t < T; t++)
                coopMatLoad(a[t], tile_x, (token0 + t * M) * STRIDE + kk / 4, STRIDE,
                            gl_CooperativeMatrixLayoutRowMajor);
            [[unroll]] for (uint r = 0; r < R; r++) {
                coopmat<float16_t, gl_ScopeSubgroup, K, N, gl_MatrixUseB> b;
                coopMatLoad(b, tile_w, (row0 + r * N) * STRIDE + kk / 4, STRIDE,
                            gl_CooperativeMatrixLayoutColumnMajor);
                [[unroll]] for (uint t = 0; t < T; t++)
                    sums[t * R + r] = coopMatMulAdd(a[t], b, sums[t * R + r]);
            }
        }
        barrier(); // before the next tiles overwrite these
    }

    // One matrix after the other through shared memory: which element an invocation holds is the driver's affair.
    const uint mine = gl_SubgroupID * (M * N);
    [[unroll]] for (uint t = 0; t < T; t++)
        [[unroll]] for (uint r = 0; r < R; r++) {
            coopMatStore(sums[t * R + r], results, mine, N, gl_CooperativeMatrixLayoutRowMajor);
            subgroupBarrier();
            [[unroll]] for (uint j = 0; j < M * N; j += LANES / (SUBGROUPS_T * SUBGROUPS_R)) {
                uint i = j + gl_SubgroupInvocationID;
                uint token = token0 + t * M + i / N, row = first_row + row0 + r * N + i % N;
                if (token < n_tokens() && row < args.n_rows)
                    put_result(token, row, results[mine + i] * scales[token]);
            }
            subgroupBarrier();
        }
}
