// quant/format.h: the formats in which weights lie in device memory.
//
// The numbers are those of -DQUANT in shaders/quant/quant.glsl. All are row-major [rows, cols].
#ifndef VKLM_QUANT_FORMAT_H
#define VKLM_QUANT_FORMAT_H

#include <stddef.h>
#include <stdint.h>

typedef enum {
    VKLM_FORMAT_F32 = 0, // as stored
    VKLM_FORMAT_F16,     // as stored
    VKLM_FORMAT_BF16,    // as stored
    VKLM_FORMAT_COUNT,
} vklm_format;

// "f32", "f16", "bf16".
const char *vklm_format_name(vklm_format format);

// Bytes of n values. n is a multiple of vklm_format_group.
uint64_t vklm_format_bytes(vklm_format format, uint64_t n);

// Columns come in multiples of this: what one invocation of a kernel loads at a time.
uint32_t vklm_format_group(vklm_format format);

// n values to f32.
void vklm_format_unpack(vklm_format format, const void *packed, size_t n, float *out);

#endif
