#include "base/hash.h"

#include <string.h>

static const uint64_t P1 = 0x9E3779B185EBCA87u, P2 = 0xC2B2AE3D27D4EB4Fu, P3 = 0x165667B19E3779F9u,
                      P4 = 0x85EBCA77C2B2AE63u, P5 = 0x27D4EB2F165667C5u;

static uint64_t rotate(uint64_t x, int bits)
{
    return x << bits | x >> (64 - bits);
}

// Little-endian, as every supported machine has it.
static uint64_t read64(const unsigned char *p)
{
    uint64_t x;
    memcpy(&x, p, sizeof x);
    return x;
}

static uint64_t round64(uint64_t sum, uint64_t word)
{
    return rotate(sum + word * P2, 31) * P1;
}

static uint64_t merge(uint64_t hash, uint64_t sum)
{
    return (hash ^ round64(0, sum)) * P1 + P4;
}

uint64_t vklm_hash64(const void *data, size_t len, uint64_t seed)
{
    const unsigned char *p = data;
    size_t left = len;
    uint64_t hash = seed + P5;
    if (len >= 32) {
        uint64_t s[4] = {seed + P1 + P2, seed + P2, seed, seed - P1};
        for (; left >= 32; left -= 32, p += 32)
            for (int i = 0; i < 4; i++)
                s[i] = round64(s[i], read64(p + 8 * i));
        hash = rotate(s[0], 1) + rotate(s[1], 7) + rotate(s[2], 12) + rotate(s[3], 18);
        for (int i = 0; i < 4; i++)
            hash = merge(hash, s[i]);
    }
    hash += len;
    for (; left >= 8; left -= 8, p += 8)
        hash = rotate(hash ^ round64(0, read64(p)), 27) * P1 + P4;
    if (left >= 4) {
        uint32_t word;
        memcpy(&word, p, sizeof word);
        hash = rotate(hash ^ word * P1, 23) * P2 + P3;
        left -= 4, p += 4;
    }
    for (; left; left--, p++)
        hash = rotate(hash ^ *p * P5, 11) * P1;
    hash = (hash ^ hash >> 33) * P2;
    hash = (hash ^ hash >> 29) * P3;
    return hash ^ hash >> 32;
}
