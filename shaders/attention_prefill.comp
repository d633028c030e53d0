#version 460
// Causal attention of many tokens over the KV cache, tiled with the online softmax (Dao et al.,
// "FlashAttention", 2022): the score matrix never exists.
//
//   y[t, h] = sum_p softmax_p(scale * q[t, h] . k[h / group, p]) v[h / group, p],
//   p = 0 .. position + t
//
// Workgroup (head, block) owns QUERIES consecutive tokens of one query head and walks over the cache in
// tiles of KEYS positions. LANES / QUERIES invocations share a query; each holds every SHARE-th element
// of its output and repeats the query's running maximum and sum. k and v, the chunk's own tokens
// included, are already in the cache, which is f16, or q8 with -DKV_Q8.
// Constant ids: 0 = local_size_x (LANES, a multiple of QUERIES), 2 = QUERIES, 3 = HEAD_DIM (a multiple of
// 8 and of LANES / QUERIES), 4 = KEYS.
#extension GL_GOOGLE_include_directive : require
#include "memory.glsl"
#include "kv_cache.glsl"

layout(local_size_x_id = 0, local_size_y = 1, local_size_z = 1) in;
layout(constant_id = 2) const uint QUERIES = 16;
layout(constant_id = 3) const uint HEAD_DIM = 128;
layout(constant_id = 4) const uint KEYS = 32;
layout(push_constant, std430) uniform Push { vklm_args_attention_prefill args; };

const uint LANES = gl_WorkGroupSize.x;
const uint SHARE = LANES / QUERIES;        // invocations per query
const uint MINE = HEAD_DIM / SHARE;        // output elements per invocation
const uint STRIDE = HEAD_DIM + 1;          // padded rows: no bank conflicts along a column

// Intel's compiler issues all loads of an unrolled loop at once, and has no registers left: with q8 a
// value takes two loads.
#ifdef KV_Q8
#define LOAD_LOOP [[dont_unroll]]
#else
#define LOAD_LOOP
#endif

shared float queries[QUERIES * STRIDE];
shared float tile[KEYS * STRIDE];          // keys, then values, of the same positions
shared float scores[QUERIES * KEYS];

// Positions [first, first + KEYS) of k or v into the tile; zeros past `length`.
void load_tile(uvec2 cache, uint kv_head, uint first, uint length)
{
    const uint pairs = HEAD_DIM / 2, n_values = args.n_kv_heads * args.n_ctx * HEAD_DIM;
    LOAD_LOOP for (uint n = gl_LocalInvocationID.x; n < KEYS * pairs; n += LANES) {
        uint p = n / pairs, pair = n % pairs;
        vec2 two = vec2(0);
        if (first + p < length)
            two = kv_pair(cache, n_values, (kv_head * args.n_ctx + first + p) * pairs + pair);
        tile[p * STRIDE + 2 * pair] = two.x;
        tile[p * STRIDE + 2 * pair + 1] = two.y;
    }
}

void main()
{
    const uint lane = gl_LocalInvocationID.x, head = gl_WorkGroupID.x;
    const uint first_token = gl_WorkGroupID.y * QUERIES, query = lane / SHARE, part = lane % SHARE;
    const uint kv_head = head / (args.n_heads / args.n_kv_heads);
    const uint row = (args.n_heads + 2 * args.n_kv_heads) * HEAD_DIM; // of the qkv buffer
    const uint last_token = min(first_token + QUERIES, args.n_tokens) - 1;
    const uint length = args.position + last_token + 1; // positions that any query here sees

    ReadF32 qkv = ReadF32(args.qkv);
    [[dont_unroll]] for (uint n = lane; n < QUERIES * HEAD_DIM; n += LANES) {
        uint t = min(first_token + n / HEAD_DIM, last_token), i = n % HEAD_DIM;
        queries[n / HEAD_DIM * STRIDE + i] = qkv.v[t * row + head * HEAD_DIM + i] * args.scale;
    }

    float most = -3.0e38, total = 0, mine[MINE];
    [[unroll]] for (uint i = 0; i < MINE; i++)
        mine[i] = 0;
    const uint sees = args.position + min(first_token + query, last_token) + 1;

    for (uint first = 0; first < length; first += KEYS) {
        barrier(); // the previous tile and scores have been used
        load_tile(args.k, kv_head, first, length);
        barrier();
        for (uint n = lane; n < QUERIES * KEYS; n += LANES) {
            uint q = n / KEYS, p = n % KEYS;
            float score = 0;
            // Eight at a time: lavapipe of Mesa 22.3 allows an invocation 65535 iterations in all.
            for (uint a = q * STRIDE, b = p * STRIDE, end = a + HEAD_DIM; a < end; a += 8, b += 8)
                score += queries[a] * tile[b] + queries[a + 1] * tile[b + 1] +
                         queries[a + 2] * tile[b + 2] + queries[a + 3] * tile[b + 3] +
                         queries[a + 4] * tile[b + 4] + queries[a + 5] * tile[b + 5] +
                         queries[a + 6] * tile[b + 6] + queries[a + 7] * tile[b + 7];
            scores[n] = score;
        }
        barrier();
        load_tile(args.v, kv_head, first, length);
        const uint n_keys = min(KEYS, sees > first ? sees - first : 0); // under the causal mask
        float tile_most = most;
        for (uint p = 0; p < n_keys; p++)
            tile_most = max(tile_most, scores[query * KEYS + p]);
        const float shrink = exp(most - tile_most);
        most = tile_most;
        total *= shrink;
        [[unroll]] for (uint i = 0; i < MINE; i++)
            mine[i] *= shrink;
        barrier(); // the values are there
        for (uint p = 0; p < n_keys; p++) {
            float weight = exp(scores[query * KEYS + p] - most);
            total += weight;
            [[unroll]] for (uint i = 0; i < MINE; i++)
                mine[i] += weight * tile[p * STRIDE + i * SHARE + part];
        }
    }

    if (first_token + query > last_token)
        return;
    F32 y = F32(args.y);
    const uint at = ((first_token + query) * args.n_heads + head) * HEAD_DIM + part;
    [[unroll]] for (uint i = 0; i < MINE; i++)
        y.v[at + i * SHARE] = mine[i] / total;
}
