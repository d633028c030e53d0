#version 460
// The query, key and value projections of one token, rotary embedding and the write to the KV cache.
//
//   (q | k | v) = W x
//   q and k, per head, for i < head_dim / 2 (the "rotate half" form of Hugging Face's Llama):
//     a' = a cos - b sin,  b' = b cos + a sin   with a = element i, b = element i + head_dim / 2
//
// A workgroup owns four rows of one head: i, i + 1, i + head_dim / 2, i + 1 + head_dim / 2, two rotated
// pairs whose f16 values fill whole 32-bit words of the cache. ROWS is 4; head_dim % 4 == 0.
//
// With -DKV_Q8 the cache is q8, whose scales need 32 elements at once: keys and values go to a scratch
// buffer, and the last workgroup of a head writes its position of the cache. head_dim % 64 == 0.
#extension GL_GOOGLE_include_directive : require
#include "matvec.glsl"
#ifdef KV_Q8
#include "kv_store.glsl"
#include "last_workgroup.glsl"
#endif

layout(push_constant, std430) uniform Push { vklm_args_matvec_qkv args; };

// Keys and values of one position: a = elements i and i + 1, b = those half a head further on.
void store(uint head, uint i, vec2 a, vec2 b, uint position)
{
    const uint half_dim = args.head_dim / 2, cached = head - args.n_heads; // keys, then values
    const bool is_value = cached >= args.n_kv_heads;
    const uint row = (is_value ? cached - args.n_kv_heads : cached) * args.n_ctx + position;
    const uvec2 address = is_value ? args.v : args.k;
#ifdef KV_Q8
    SharedF32 scratch = SharedF32(args.scratch);
    const uint base = cached * args.head_dim;
    if (gl_LocalInvocationID.x == 0) {
        scratch.v[base + i] = a.x;
        scratch.v[base + i + 1] = a.y;
        scratch.v[base + i + half_dim] = b.x;
        scratch.v[base + i + half_dim + 1] = b.y;
    }
    if (!last_workgroup(SharedU32(args.counters), cached, args.head_dim / 4))
        return;
    for (uint e = gl_LocalInvocationID.x; e < args.head_dim; e += gl_WorkGroupSize.x)
        kv_head[e] = scratch.v[base + e];
    barrier();
    kv_store_head(address, args.n_kv_heads * args.n_ctx * args.head_dim, row, args.head_dim);
#else
    if (gl_LocalInvocationID.x != 0)
        return;
    U32 cache = U32(address);
    const uint at = (row * args.head_dim + i) / 2;
    cache.v[at] = packHalf2x16(a);
    cache.v[at + half_dim / 2] = packHalf2x16(b);
#endif
}

void main()
{
    const uint half_dim = args.head_dim / 2, per_head = args.head_dim / 4;
    const uint head = gl_WorkGroupID.x / per_head, i = gl_WorkGroupID.x % per_head * 2;
    const uint row = head * args.head_dim + i;
    uint rows[ROWS];
    [[unroll]] for (uint r = 0; r < ROWS; r++)
        rows[r] = row + r % 2 + r / 2 * half_dim;
    const uint n_rows = (args.n_heads + 2 * args.n_kv_heads) * args.head_dim;
    float sums[ROWS];
    matvec_rows(args.weight, n_rows, args.x, args.n_cols, rows, sums);

    const uint position = Step(args.step).v.position;
    vec2 a = vec2(sums[0], sums[1]), b = vec2(sums[2], sums[3]);
    if (head < args.n_heads + args.n_kv_heads) {
        ReadF32x2 rope = ReadF32x2(args.rope);
        vec2 first = rope.v[position * half_dim + i], second = rope.v[position * half_dim + i + 1];
        vec2 cosine = vec2(first.x, second.x), sine = vec2(first.y, second.y);
        vec2 rotated = a * cosine - b * sine;
        b = b * cosine + a * sine;
        a = rotated;
    }
    if (head >= args.n_heads) {
        store(head, i, a, b, position);
    } else if (gl_LocalInvocationID.x == 0) {
        F32 q = F32(args.q);
        q.v[row] = a.x;
        q.v[row + 1] = a.y;
        q.v[row + half_dim] = b.x;
        q.v[row + half_dim + 1] = b.y;
    }
}
