// base/rng.h: counter-based random numbers, Philox4x32-10 (Salmon et al., "Parallel random numbers:
// as easy as 1, 2, 3", SC 2011). The same (seed, counter) gives the same number everywhere, in any
// order, and it needs 32-bit arithmetic only, so that a shader can draw the same ones.
#ifndef VKLM_BASE_RNG_H
#define VKLM_BASE_RNG_H

#include <stdint.h>

// Four random words for one counter value.
void vklm_rng_philox(uint64_t seed, uint64_t counter, uint32_t out[4]);

// Uniform in [0, 1) with 24 random bits: the first word of vklm_rng_philox.
float vklm_rng_uniform(uint64_t seed, uint64_t counter);

// A seed that nobody chose, from the system's entropy.
uint64_t vklm_rng_seed(void);

#endif
