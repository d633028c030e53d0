#version 460
// Rotary embedding and the write to the KV cache for many tokens, after one matmul has made q, k and v
// side by side. The formula is that of matvec_qkv.comp; token t stands at position args.position + t.
//
// An invocation owns the four elements i, i + 1, i + head_dim / 2, i + 1 + head_dim / 2 of one head of
// one token. q is rotated in place; k (rotated) and v go to the cache as f16.
// Constant ids: 0 = local_size_x.
#extension GL_GOOGLE_include_directive : require
#include "memory.glsl"

layout(local_size_x_id = 0, local_size_y = 1, local_size_z = 1) in;
layout(push_constant, std430) uniform Push { vklm_args_rope_kv args; };

void main()
{
    const uint half_dim = args.head_dim / 2, per_head = args.head_dim / 4;
    const uint n_all = args.n_heads + 2 * args.n_kv_heads, t = gl_WorkGroupID.y;
    const uint head = gl_GlobalInvocationID.x / per_head, i = gl_GlobalInvocationID.x % per_head * 2;
    if (head >= n_all)
        return;
    F32 qkv = F32(args.qkv);
    const uint at = (t * n_all + head) * args.head_dim + i, position = args.position + t;
    vec2 a = vec2(qkv.v[at], qkv.v[at + 1]);
    vec2 b = vec2(qkv.v[at + half_dim], qkv.v[at + half_dim + 1]);
    const bool is_value = head >= args.n_heads + args.n_kv_heads;
    if (!is_value) {
        ReadF32x2 rope = ReadF32x2(args.rope);
        vec2 first = rope.v[position * half_dim + i], second = rope.v[position * half_dim + i + 1];
        vec2 cosine = vec2(first.x, second.x), sine = vec2(first.y, second.y);
        vec2 rotated = a * cosine - b * sine;
        b = b * cosine + a * sine;
        a = rotated;
    }
    if (head < args.n_heads) {
        qkv.v[at] = a.x;
        qkv.v[at + 1] = a.y;
        qkv.v[at + half_dim] = b.x;
        qkv.v[at + half_dim + 1] = b.y;
    } else {
        uint kv_head = head - args.n_heads - (is_value ? args.n_kv_heads : 0);
        uvec2 address = is_value ? args.v : args.k;
        U32 cache = U32(address);
        uint word = ((kv_head * args.n_ctx + position) * args.head_dim + i) / 2;
        cache.v[word] = packHalf2x16(a);
        cache.v[word + half_dim / 2] = packHalf2x16(b);
    }
}
