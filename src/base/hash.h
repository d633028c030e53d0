// base/hash.h: a fast checksum: XXH64 (Collet, xxhash.com), which finds damage, not malice.
#ifndef VKLM_BASE_HASH_H
#define VKLM_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

uint64_t vklm_hash64(const void *data, size_t len, uint64_t seed);

#endif
