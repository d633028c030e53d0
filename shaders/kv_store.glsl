// Writing one position of one head into a q8 cache (src/quant/q8.c): the workgroup has its elements in
// kv_head and calls this after a barrier.
//
// value = scale * q / 128; the largest element of a block of 32 becomes 127 or nearly so. An invocation
// owns words of four elements and finds their block's scale by itself: 32 reads of shared memory are
// cheaper than another barrier. HEAD_DIM % 64 == 0: two scales fill a word.
shared float kv_head[256];

float kv_largest(uint block)
{
    float most = 0;
    for (uint i = 0; i < 32; i++)
        most = max(most, abs(kv_head[block * 32 + i]));
    return most * (128.0 / 127);
}

// `row` is that of the cache, a matrix of n values.
void kv_store_head(uvec2 address, uint n, uint row, uint head_dim)
{
    U32 quants = U32(address), scales = U32(address_add(address, n));
    for (uint w = gl_LocalInvocationID.x; w < head_dim / 4; w += gl_WorkGroupSize.x) {
        const uint block = w / 8;
        // Round as the reader will see it.
        const uint pair = packHalf2x16(vec2(kv_largest(block), kv_largest(block ^ 1)));
        const float scale = unpackHalf2x16(pair).x, inverse = scale > 0 ? 128 / scale : 0;
        uint word = 0;
        for (uint i = 0; i < 4; i++) {
            float q = clamp(roundEven(kv_head[w * 4 + i] * inverse), -127.0, 127.0);
            word |= (uint(int(q)) & 0xFFu) << 8 * i;
        }
        quants.v[row * (head_dim / 4) + w] = word;
        if (w % 16 == 0)
            scales.v[(row * head_dim + w * 4) / 64] = pair;
    }
}
