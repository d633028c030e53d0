// quant/format_private.h: what q8.c and q4.c give to format.c and pack.c.
#ifndef VKLM_QUANT_FORMAT_PRIVATE_H
#define VKLM_QUANT_FORMAT_PRIVATE_H

#include <stdbool.h>
#include <stdint.h>

// The search runs on 8 blocks at once, one in each lane of a vector register. The loops over lanes
// are plain C that the compiler vectorises; every lane does the same arithmetic in the same order,
// so the packed bytes do not depend on the processor. Sanitizers run before the resolver of a clone
// could.
#if defined(__x86_64__) && defined(__gnu_linux__) && !defined(__SANITIZE_ADDRESS__) &&             \
    !defined(VKLM_SANITIZED)
#define VKLM_VECTOR_CLONES __attribute__((target_clones("avx2", "default")))
#else
#define VKLM_VECTOR_CLONES
#endif

enum { VKLM_PACK_LANES = 8, VKLM_BLOCK = 32 };

// One row. `importance` [n_cols] weighs the squared errors, NULL: all alike. The planes' pointers
// are those of the row. False when a scale does not fit an f16.
bool vklm_q8_pack_row(const float *row, const float *importance, uint32_t n_cols,
                      unsigned char *const planes[]);
bool vklm_q4_pack_row(const float *row, const float *importance, uint32_t n_cols,
                      unsigned char *const planes[]);

void vklm_q8_unpack_row(const unsigned char *const planes[], uint32_t n_cols, float *out);
void vklm_q4_unpack_row(const unsigned char *const planes[], uint32_t n_cols, float *out);

// Values and weights of up to 8 blocks, one block to a lane: out[i][lane]. Lanes past n_blocks are
// 0.
void vklm_pack_transpose(const float *values, uint32_t n_blocks,
                         float out[VKLM_BLOCK][VKLM_PACK_LANES]);

static inline void vklm_put16(unsigned char *to, uint16_t value)
{
    to[0] = (unsigned char)(value & 0xFF);
    to[1] = (unsigned char)(value >> 8);
}

static inline uint16_t vklm_get16(const unsigned char *from)
{
    return (uint16_t)(from[0] | from[1] << 8);
}

#endif
