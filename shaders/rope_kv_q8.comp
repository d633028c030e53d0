#version 460
// rope_kv.comp for a q8 cache: the rotary embedding and the write to the KV cache for many tokens.
//
// A workgroup owns one head of one token: q is rotated in place; k (rotated) and v are gathered in shared
// memory and go to the cache in blocks of 32 with a scale. Workgroups: x = heads, y = tokens.
// Constant ids: 0 = local_size_x.
#extension GL_GOOGLE_include_directive : require
#include "memory.glsl"
#include "kv_store.glsl"

layout(local_size_x_id = 0, local_size_y = 1, local_size_z = 1) in;
layout(push_constant, std430) uniform Push { vklm_args_rope_kv args; };

void main()
{
    const uint half_dim = args.head_dim / 2, head = gl_WorkGroupID.x, t = gl_WorkGroupID.y;
    const uint n_all = args.n_heads + 2 * args.n_kv_heads, position = args.position + t;
    const uint at = (t * n_all + head) * args.head_dim;
    const bool is_query = head < args.n_heads, is_value = head >= args.n_heads + args.n_kv_heads;
    F32 qkv = F32(args.qkv);
    ReadF32x2 rope = ReadF32x2(args.rope);
    for (uint i = gl_LocalInvocationID.x; i < half_dim; i += gl_WorkGroupSize.x) {
        float a = qkv.v[at + i], b = qkv.v[at + i + half_dim];
        if (!is_value) {
            vec2 turn = rope.v[position * half_dim + i]; // cos, sin
            float rotated = a * turn.x - b * turn.y;
            b = b * turn.x + a * turn.y;
            a = rotated;
        }
        if (is_query) {
            qkv.v[at + i] = a;
            qkv.v[at + i + half_dim] = b;
        } else {
            kv_head[i] = a;
            kv_head[i + half_dim] = b;
        }
    }
    barrier();
    if (is_query)
        return;
    const uint kv_head_index = head - args.n_heads - (is_value ? args.n_kv_heads : 0);
    kv_store_head(is_value ? args.v : args.k, args.n_kv_heads * args.n_ctx * args.head_dim,
                  kv_head_index * args.n_ctx + position, args.head_dim);
}
