// Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011): the first word of
// src/base/rng.c's vklm_rng_philox for the same seed and counter, as a uniform number in [0, 1) with 24 bits.
float philox_uniform(uvec2 seed, uint counter)
{
    uvec4 c = uvec4(counter, 0, 0, 0);
    uvec2 k = seed;
    for (uint i = 0; i < 10; i++) {
        uvec2 high, low;
        umulExtended(0xD2511F53u, c.x, high.x, low.x);
        umulExtended(0xCD9E8D57u, c.z, high.y, low.y);
        c = uvec4(high.y ^ c.y ^ k.x, low.y, high.x ^ c.w ^ k.y, low.x);
        k += uvec2(0x9E3779B9u, 0xBB67AE85u);
    }
    return float(c.x >> 8) / 16777216.0;
}
