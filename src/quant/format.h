// quant/format.h: the formats in which weights lie in device memory.
//
// The numbers are those of -DQUANT in shaders/quant/quant.glsl. A matrix [n_rows, n_cols] is one
// range of bytes: one plane after the other, each row-major and beginning at a multiple of 16
// bytes, so that its address and its shape say where everything is. Packed formats are described,
// byte by byte, in q8.c and q4.c.
#ifndef VKLM_QUANT_FORMAT_H
#define VKLM_QUANT_FORMAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum {
    VKLM_FORMAT_F32 = 0, // as stored
    VKLM_FORMAT_F16,     // as stored
    VKLM_FORMAT_BF16,    // as stored
    VKLM_FORMAT_Q8,      // 8 bits, a scale per 32 columns: 8.5 bits a weight
    VKLM_FORMAT_Q4,      // 4 bits, scale and minimum per 32 columns: 4.625 bits a weight
    VKLM_FORMAT_COUNT,
} vklm_format;

enum { VKLM_FORMAT_MAX_PLANES = 3 };

// "f32", "f16", "bf16", "q8", "q4".
const char *vklm_format_name(vklm_format format);

// False when no format has that name.
bool vklm_format_find(const char *name, vklm_format *out_format);

// Whether the format is made by vklm_pack_rows; the others are the bytes of a checkpoint.
bool vklm_format_is_packed(vklm_format format);

// Columns come in multiples of this.
uint32_t vklm_format_group(vklm_format format);

typedef struct {
    uint64_t offset;    // in the matrix
    uint64_t row_bytes; // of one row in this plane
} vklm_format_plane;

// Fills in the planes of a matrix and returns how many there are. n_cols is a multiple of
// vklm_format_group.
uint32_t vklm_format_planes(vklm_format format, uint32_t n_rows, uint32_t n_cols,
                            vklm_format_plane out_planes[VKLM_FORMAT_MAX_PLANES]);

// Bytes of a matrix.
uint64_t vklm_format_bytes(vklm_format format, uint32_t n_rows, uint32_t n_cols);

// n stored values (f32, f16, bf16) to f32.
void vklm_format_unpack(vklm_format format, const void *stored, size_t n, float *out);

// Rows [first, first + n) of a matrix in any format to f32: out [n, n_cols].
void vklm_format_unpack_rows(vklm_format format, const void *matrix, uint32_t n_rows,
                             uint32_t n_cols, uint32_t first, uint32_t n, float *out);

#endif
