// The tile under the coop tier's matmuls: VK_KHR_cooperative_matrix, f16 x f16 into f32. A workgroup owns TILE_T tokens x
// TILE_R rows of y, each of its SUBGROUPS_T x SUBGROUPS_R subgroups a rectangle of it: T x R matrices of M tokens x N rows,
// kept in registers. Tiles of x and W, BLOCK_K columns at a time, pass through shared memory as f16, each row's
// columns side by side: x is matrix A by rows, W is matrix B by columns.
//
// Range. f16 ends at 65504, and activations of real models do not: x is multiplied by a power of two, 64 at first (small
// values lose fewer bits so), and a smaller one from the block on in which |x| times it would reach 2^15. Sums so far
// are multiplied by the quotient, which is exact. x is then good to 11 bits, or to 2^-24 / scale where that is more; what
// is not finite stays so. Weights beyond f16 count as +-65504.
//
// Included after the push constants `args`, whose n_rows and n_cols are the matrix's. Past the edge x is filled with zeros,
// and W with its last row and block, whose products with zeros and in rows that nobody keeps do not matter. The host
// guarantees that n_cols is a multiple of the format's group, that M, N, K is a row of the device's table, that TILE_T is a
// multiple of M * SUBGROUPS_T and TILE_R of N * SUBGROUPS_R, and that local_size_x is SUBGROUPS_T * SUBGROUPS_R full
// subgroups.
// Constant ids: 0 = local_size_x, 2 = TILE_T, 3 = TILE_R, 7 = M, 8 = N, 9 = K, 10 = SUBGROUPS_T, 11 = SUBGROUPS_R.
#include "quant/quant.glsl"

layout(local_size_x_id = 0, local_size_y = 1, local_size_z = 1) in;
layout(constant_id = 2) const uint TILE_T = 64;
layout(constant_id = 3) const uint TILE_R = 64;
layout(constant_id = 7) const uint M = 16;
layout(constant_id = 8) const uint N = 16;
layout(constant_id = 9) const uint K = 16;
layout(constant_id = 10) const uint SUBGROUPS_T = 2;
layout(constant_id = 11) const uint SUBGROUPS_R = 2;

const uint BLOCK_K = 32, BLOCKS = BLOCK_K / QUANT_BLOCK, QUADS = BLOCK_K / 4; // of a row of the tiles
const uint STRIDE = QUADS + 2; // quads: 16 bytes of padding spread the rows over the banks
const uint T = TILE_T / (M * SUBGROUPS_T), R = TILE_R / (N * SUBGROUPS_R), SUMS = T * R;

shared f16vec4 tile_x[TILE_T * STRIDE];
shared f16vec4 tile_w[TILE_R * STRIDE];
shared float results[SUBGROUPS_T * SUBGROUPS_R * M * N];
shared uint largest; // bits of the largest |x| past the range of the first scale; 0: none

// The includer's: where W lies, how many tokens there are from the tile's first on, the row of x that is token t of the tile,
// and what becomes of an element of y.
uvec2 weight();
uint n_tokens();
uint input_row(uint t);
void put_result(uint t, uint row, float value);

const float FIRST_SCALE = 64;
const uint FIRST_LIMIT = 0x44000000; // bits of 512 = 2^15 / FIRST_SCALE
const uint INFINITE = 0x7F800000;

// The power of two that brings |x| of these bits to [2^14, 2^15).
float scale_of(uint bits)
{
    return bits == 0 ? FIRST_SCALE : uintBitsToFloat(268 - (bits >> 23) << 23);
}

void load_weights(uint first_row, uint first_block)
{
    QuantMatrix w = quant_matrix(weight(), args.n_rows, args.n_cols);
    const uint blocks = args.n_cols / QUANT_BLOCK;
    for (uint n = gl_LocalInvocationID.x; n < TILE_R * BLOCKS; n += gl_WorkGroupSize.x) {
        uint row = n / BLOCKS, block = n % BLOCKS;
        vec4 values[QUANT_QUADS];
        quant_load(w, min(first_row + row, args.n_rows - 1) * blocks + min(first_block + block, blocks - 1), values);
        [[unroll]] for (uint i = 0; i < QUANT_QUADS; i++)
            tile_w[row * STRIDE + block * QUANT_QUADS + i] = f16vec4(clamp(values[i], -65504, 65504));
    }
}

// Returns the bits of the largest finite |x| that this invocation has loaded.
uint load_inputs(uint first_quad, float scale)
{
    ReadF32x4 x = ReadF32x4(args.x);
    const uint quads = args.n_cols / 4, n = n_tokens();
    uint most = 0;
    for (uint i = gl_LocalInvocationID.x; i < TILE_T * QUADS; i += gl_WorkGroupSize.x) {
        uint token = i / QUADS, quad = i % QUADS;
        vec4 a = vec4(0);
        if (token < n && first_quad + quad < quads)
            a = x.v[input_row(token) * quads + first_quad + quad];
        uvec4 bits = floatBitsToUint(a) & 0x7FFFFFFFu;
        bits = mix(bits, uvec4(0), greaterThanEqual(bits, uvec4(INFINITE)));
        most = max(most, max(max(bits.x, bits.y), max(bits.z, bits.w)));
        tile_x[token * STRIDE + quad] = f16vec4(a * scale);
    }
    return most;
}

// y's tile, from row first_row on, goes to put_result.
void matmul_tile(uint first_row)
{
    const uint token0 = gl_SubgroupID / SUBGROUPS_R * (T * M), row0 = gl_SubgroupID % SUBGROUPS_R * (R * N);
    coopmat<float, gl_ScopeSubgroup, M, N, gl_MatrixUseAccumulator> sums[SUMS];
    [[unroll]] for (uint i = 0; i < SUMS; i++)
        sums[i] = coopmat<float, gl_ScopeSubgroup, M, N, gl_MatrixUseAccumulator>(0);
    uint known = 0; // of `largest`: what the scale and the sums so far are made for
    if (gl_LocalInvocationID.x == 0)
        largest = 0;
    barrier();

    for (uint k = 0; k < args.n_cols; k += BLOCK_K) {
        load_weights(first_row, k / QUANT_BLOCK);
        uint most = load_inputs(k / 4, scale_of(known));
        if (most >= FIRST_LIMIT && most > known)
            atomicMax(largest, most);
        barrier();
        const uint now = largest;
        if (now != known) { // for all invocations or for none
            const float quotient = scale_of(now) / scale_of(known);
            [[unroll]] for (uint i = 0; i < SUMS; i++)
                sums[i] *= quotient;
            known = now;
            load_inputs(k / 4, scale_of(known)); // each invocation over what it wrote itself
            barrier();
        }
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
    const float unscale = 1 / scale_of(known);
    const uint LANES = gl_WorkGroupSize.x / (SUBGROUPS_T * SUBGROUPS_R);
    [[unroll]] for (uint t = 0; t < T; t++)
        [[unroll]] for (uint r = 0; r < R; r++) {
            coopMatStore(sums[t * R + r], results, mine, N, gl_CooperativeMatrixLayoutRowMajor);
            subgroupBarrier();
            [[unroll]] for (uint j = 0; j < M * N; j += LANES) {
                uint i = j + gl_SubgroupInvocationID;
                uint token = token0 + t * M + i / N, row = first_row + row0 + r * N + i % N;
                if (token < n_tokens() && row < args.n_rows)
                    put_result(token, row, results[mine + i] * unscale);
            }
            subgroupBarrier();
        }
}
