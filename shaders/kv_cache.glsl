// Reading the KV cache: k and v of a layer are matrices [n_kv_heads * n_ctx, head_dim] in a format of
// quant/quant.glsl: f16, or q8 with -DKV_Q8 (head_dim % 64 == 0, so that scales fill whole words).
#ifdef KV_Q8
#define QUANT 3
#else
#define QUANT 1
#endif
#include "quant/quant.glsl"

// Elements 2 i and 2 i + 1 of a cache of n values.
vec2 kv_pair(uvec2 address, uint n, uint i)
{
#ifdef KV_Q8
    uint word = ReadU32(address).v[i / 2] >> 16 * (i & 1);
    uint scales = ReadU32(address_add(address, n)).v[i / 32] >> 16 * (i / 16 & 1);
    return vec2(ivec2(word << 24, word << 16) >> 24) * (unpackHalf2x16(scales).x * (1.0 / 128));
#else
    return unpackHalf2x16(ReadU32(address).v[i]);
#endif
}
