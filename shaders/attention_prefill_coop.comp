#version 460
// Causal attention of many tokens over the KV cache, as in attention_prefill.comp; the coop tier's: both products, of
// queries with keys and of weights with values, are VK_KHR_cooperative_matrix, f16 x f16 into f32.
//
//   y[t, h] = sum_p softmax_p(scale * q[t, h] . k[h / group, p]) v[h / group, p],
//   p = 0 .. position + t
//
// Workgroup (block, head) owns QUERIES consecutive tokens of one query head and walks over the cache in tiles of KEYS
// positions: neighbours read the same keys. Of M x N matrices each of its SUBGROUPS_Q x SUBGROUPS_C subgroups
// owns ROWS rows and every SUBGROUPS_C-th column, of a tile's scores and of the output, which stays in registers.
// Which element an invocation holds is the driver's affair: scores pass through shared memory to the softmax, where
// SHARE invocations of one subgroup have a query, and weights pass back; where the maximum of a query has risen, the
// output is multiplied, element by element, with a matrix that has the query's factor all along its row.
// AHEAD: while a tile is multiplied the next is on its way to registers.
//
// Range. q is multiplied by the power of two that brings the query's largest |q| to [2^14, 2^15); scores, maxima and
// sums are f32. Weights are rounded to f16 before they are summed too: they lie in 0 .. 1, and the error
// cancels in part. Positions that a query must not see have weight 0, whose product with a value that is not finite is
// NaN: such a value shows in the tokens that share its tile.
//
// The host guarantees that M, N, K is a row of the device's table, that QUERIES is a multiple of M * SUBGROUPS_Q, HEAD_DIM
// and KEYS of N and K, that local_size_x is SUBGROUPS_Q * SUBGROUPS_C full subgroups, and that LANES / QUERIES is a power
// of two, no more than a subgroup and than KEYS / 4.
// Constant ids: 0 = local_size_x (LANES), 2 = QUERIES, 3 = HEAD_DIM, 4 = KEYS, 5 = AHEAD, 7 = M, 8 = N, 9 = K, 10 = SUBGROUPS_Q,
// 11 = SUBGROUPS_C.
#extension GL_GOOGLE_include_directive : require
#include "coop.glsl"
#include "memory.glsl"
#include "kv_cache.glsl"

layout(local_size_x_id = 0, local_size_y = 1, local_size_z = 1) in;
layout(constant_id = 2) const uint QUERIES = 32;
layout(constant_id = 3) const uint HEAD_DIM = 128;
layout(constant_id = 4) const uint KEYS = 32;
layout(constant_id = 5) const bool AHEAD = false;
layout(constant_id = 7) const uint M = 16;
layout(constant_id = 8) const uint N = 16;
layout(constant_id = 9) const uint K = 16;
layout(constant_id = 10) const uint SUBGROUPS_Q = 2;
layout(constant_id = 11) const uint SUBGROUPS_C = 2;
layout(push_constant, std430) uniform Push { vklm_args_attention_prefill args; };

const uint LANES = gl_WorkGroupSize.x;
const uint SHARE = LANES / QUERIES;                // invocations per query
const uint QUADS = KEYS / 4 / SHARE;               // of its scores, per invocation
const uint STRIDE = HEAD_DIM / 4 + 2;              // quads of f16: 16 bytes of padding spread the rows over the banks,
const uint SCORES = KEYS / 4 + 1, WEIGHTS = KEYS / 4 + 2; // and so for these rows
const uint ROWS = QUERIES / (M * SUBGROUPS_Q);
const uint ALL_COLS = HEAD_DIM / N, ALL_KEYS = KEYS / N; // matrices
const uint COLS = (ALL_COLS + SUBGROUPS_C - 1) / SUBGROUPS_C, KEY_COLS = (ALL_KEYS + SUBGROUPS_C - 1) / SUBGROUPS_C;
const uint SUBGROUP = LANES / (SUBGROUPS_Q * SUBGROUPS_C);
const uint SPACE = SUBGROUPS_Q * SUBGROUPS_C * M * N / 4; // quads: a matrix for each subgroup

shared f16vec4 queries[QUERIES * STRIDE];
shared f16vec4 tile[KEYS * STRIDE > HEAD_DIM * WEIGHTS ? KEYS * STRIDE : HEAD_DIM * WEIGHTS]; // keys, then values
shared vec4 scores[QUERIES * SCORES > SPACE ? QUERIES * SCORES : SPACE];
shared f16vec4 weights[QUERIES * WEIGHTS];
shared vec4 factors[QUERIES * N / 4];              // N times each query's
shared float partial[LANES];
shared uint risen;                                 // first position of the last tile that raised a maximum, and 1

#define ACCUMULATOR coopmat<float, gl_ScopeSubgroup, M, N, gl_MatrixUseAccumulator>
#define MATRIX_A coopmat<float16_t, gl_ScopeSubgroup, M, K, gl_MatrixUseA>
#define MATRIX_B coopmat<float16_t, gl_ScopeSubgroup, K, N, gl_MatrixUseB>

// Not gl_LocalInvocationID: which of those make a subgroup is not said.
uint lane()
{
    return gl_SubgroupID * gl_SubgroupSize + gl_SubgroupInvocationID;
}

#include "kv_tile_coop.glsl"

// A query, scaled, by its SHARE invocations; returns what undoes the scale.
float load_query(uint query, uint part, uint head, uint token)
{
    const uint quads = HEAD_DIM / 4, row = (args.n_heads + 2 * args.n_kv_heads) * quads; // of the qkv buffer
    ReadF32x4 qkv = ReadF32x4(args.qkv);
    uint most = 0; // bits of the largest finite |q|
    for (uint i = part; i < quads; i += SHARE) {
        uvec4 bits = floatBitsToUint(qkv.v[token * row + head * quads + i]) & 0x7FFFFFFFu;
        bits = mix(bits, uvec4(0), greaterThanEqual(bits, uvec4(0x7F800000)));
        most = max(most, max(max(bits.x, bits.y), max(bits.z, bits.w)));
    }
    partial[lane()] = uintBitsToFloat(most);
    subgroupBarrier();
    [[unroll]] for (uint i = 0; i < SHARE; i++)
        most = max(most, floatBitsToUint(partial[query * SHARE + i]));
    const uint exponent = clamp(most >> 23, 64, 254);
    const float up = uintBitsToFloat(268 - exponent << 23);
    for (uint i = part; i < quads; i += SHARE)
        queries[query * STRIDE + i] = f16vec4(qkv.v[token * row + head * quads + i] * up);
    return uintBitsToFloat(exponent - 14 << 23);
}

// scores = queries * keys^T
void multiply_keys(uint row0, uint col0)
{
    ACCUMULATOR sums[ROWS * KEY_COLS];
    [[unroll]] for (uint i = 0; i < ROWS * KEY_COLS; i++)
        sums[i] = ACCUMULATOR(0);
    [[dont_unroll]] for (uint kk = 0; kk < HEAD_DIM; kk += K) {
        MATRIX_A a[ROWS];
        [[unroll]] for (uint r = 0; r < ROWS; r++)
            coopMatLoad(a[r], queries, (row0 + r) * M * STRIDE + kk / 4, STRIDE, gl_CooperativeMatrixLayoutRowMajor);
        [[unroll]] for (uint c = 0; c < KEY_COLS; c++) {
            const uint col = col0 + c * SUBGROUPS_C;
            MATRIX_B b;
            if (ALL_KEYS % SUBGROUPS_C == 0 || col < ALL_KEYS) {
                coopMatLoad(b, tile, col * N * STRIDE + kk / 4, STRIDE, gl_CooperativeMatrixLayoutColumnMajor);
                [[unroll]] for (uint r = 0; r < ROWS; r++)
                    sums[r * KEY_COLS + c] = coopMatMulAdd(a[r], b, sums[r * KEY_COLS + c]);
            }
        }
    }
    [[unroll]] for (uint r = 0; r < ROWS; r++)
        [[unroll]] for (uint c = 0; c < KEY_COLS; c++) {
            const uint col = col0 + c * SUBGROUPS_C;
            if (ALL_KEYS % SUBGROUPS_C == 0 || col < ALL_KEYS)
                coopMatStore(sums[r * KEY_COLS + c], scores, (row0 + r) * M * SCORES + col * N / 4, SCORES,
                             gl_CooperativeMatrixLayoutRowMajor);
        }
}

// The same factor all along a query's row; its SHARE invocations write it.
void put_factor(uint query, uint part, float factor)
{
    for (uint i = part; i < N / 4; i += SHARE)
        factors[query * N / 4 + i] = vec4(factor);
}

// scores -> weights, of positions first .. sees - 1; most and total: this invocation's running maximum and sum.
void weigh(uint first, uint sees, float unscale, inout float most, inout float total)
{
    const uint query = lane() / SHARE, part = lane() % SHARE;
    vec4 s[QUADS];
    float now = most;
    [[unroll]] for (uint i = 0; i < QUADS; i++) {
        const uint quad = i * SHARE + part;
        s[i] = mix(vec4(-3.0e38), scores[query * SCORES + quad] * unscale,
                   lessThan(first + 4 * quad + uvec4(0, 1, 2, 3), uvec4(sees)));
        now = max(now, max(max(s[i].x, s[i].y), max(s[i].z, s[i].w)));
    }
    partial[lane()] = now;
    subgroupBarrier();
    [[unroll]] for (uint i = 0; i < SHARE; i++)
        now = max(now, partial[query * SHARE + i]);
    const float factor = exp2(most - now);
    if (factor != 1)
        risen = first + 1; // all who write it write the same
    most = now;
    total *= factor;
    [[unroll]] for (uint i = 0; i < QUADS; i++) {
        const f16vec4 w = f16vec4(exp2(s[i] - now));
        weights[query * WEIGHTS + i * SHARE + part] = w;
        total += dot(vec4(w), vec4(1));
    }
    put_factor(query, part, factor);
}

void main()
{
    if (gl_NumSubgroups != SUBGROUPS_Q * SUBGROUPS_C)
        return; // the device's subgroups are not what it says: no results, which the self-test notices
    const uint head = gl_WorkGroupID.y, first_token = gl_WorkGroupID.x * QUERIES;
    const uint query = lane() / SHARE, part = lane() % SHARE;
    const uint kv_head = head / (args.n_heads / args.n_kv_heads);
    const uint last_token = min(first_token + QUERIES, args.n_tokens) - 1;
    const uint length = args.position + last_token + 1; // positions that any query here sees
    const uint token = min(first_token + query, last_token), sees = args.position + token + 1;
    const uint row0 = gl_SubgroupID / SUBGROUPS_C * ROWS, col0 = gl_SubgroupID % SUBGROUPS_C; // matrices
    if (lane() == 0)
        risen = 0;
    const float LOG2_E = 1.442695041;
    const float unscale = load_query(query, part, head, token) * args.scale * LOG2_E;
    ACCUMULATOR sums[ROWS * COLS];
    [[unroll]] for (uint i = 0; i < ROWS * COLS; i++)
        sums[i] = ACCUMULATOR(0);
    float most = -3.0e38, total = 0;

    if (AHEAD)
        fetch(args.k, false, kv_head, 0, length, 0);
    for (uint first = 0; first < length; first += KEYS) {
        load_tile(args.k, false, kv_head, first, length);
        barrier();
        if (AHEAD)
            fetch(args.v, true, kv_head, first, length, 0);
        multiply_keys(row0, col0);
        barrier();
        load_tile(args.v, true, kv_head, first, length);
        weigh(first, sees, unscale, most, total);
        barrier();
        if (AHEAD && first + KEYS < length)
            fetch(args.k, false, kv_head, first + KEYS, length, 0);
        if (risen == first + 1) // for all invocations or for none
            [[unroll]] for (uint r = 0; r < ROWS; r++) {
                ACCUMULATOR factor;
                coopMatLoad(factor, factors, (row0 + r) * M * N / 4, N / 4, gl_CooperativeMatrixLayoutRowMajor);
                [[unroll]] for (uint c = 0; c < COLS; c++)
                    sums[r * COLS + c] = sums[r * COLS + c] * factor;
            }
        [[dont_unroll]] for (uint kk = 0; kk < KEYS; kk += K) {
            MATRIX_A a[ROWS];
            [[unroll]] for (uint r = 0; r < ROWS; r++)
                coopMatLoad(a[r], weights, (row0 + r) * M * WEIGHTS + kk / 4, WEIGHTS,
                            gl_CooperativeMatrixLayoutRowMajor);
            [[unroll]] for (uint c = 0; c < COLS; c++) {
                const uint col = col0 + c * SUBGROUPS_C;
                MATRIX_B b;
                if (ALL_COLS % SUBGROUPS_C == 0 || col < ALL_COLS) {
                    coopMatLoad(b, tile, col * N * WEIGHTS + kk / 4, WEIGHTS, gl_CooperativeMatrixLayoutColumnMajor);
                    [[unroll]] for (uint r = 0; r < ROWS; r++)
                        sums[r * COLS + c] = coopMatMulAdd(a[r], b, sums[r * COLS + c]);
                }
            }
        }
        barrier(); // before the next tile overwrites this one
    }

    partial[lane()] = total;
    subgroupBarrier();
    total = 0;
    [[unroll]] for (uint i = 0; i < SHARE; i++)
        total += partial[query * SHARE + i];
    put_factor(query, part, 1 / total);
    barrier();
    F32x4 y = F32x4(args.y);
    const uint mine = gl_SubgroupID * (M * N / 4);
    [[unroll]] for (uint r = 0; r < ROWS; r++) {
        ACCUMULATOR factor;
        coopMatLoad(factor, factors, (row0 + r) * M * N / 4, N / 4, gl_CooperativeMatrixLayoutRowMajor);
        [[unroll]] for (uint c = 0; c < COLS; c++)
            sums[r * COLS + c] = sums[r * COLS + c] * factor;
    }
    [[unroll]] for (uint r = 0; r < ROWS; r++)
        [[unroll]] for (uint c = 0; c < COLS; c++) {
            const uint col = col0 + c * SUBGROUPS_C;
            coopMatStore(sums[r * COLS + c], scores, mine, N / 4, gl_CooperativeMatrixLayoutRowMajor);
            subgroupBarrier();
            [[unroll]] for (uint n = 0; n < M * N / 4; n += SUBGROUP) { // a fixed number: else NVK keeps sums in memory
                const uint i = n + gl_SubgroupInvocationID;
                const uint t = first_token + (row0 + r) * M + i / (N / 4), quad = col * N / 4 + i % (N / 4);
                if (t <= last_token && quad < HEAD_DIM / 4 && i < M * N / 4)
                    y.v[(t * args.n_heads + head) * (HEAD_DIM / 4) + quad] = scores[mine + i];
            }
            subgroupBarrier();
        }
}
