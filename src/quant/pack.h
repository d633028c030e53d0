// quant/pack.h: stored weights to a packed format, many rows at once.
#ifndef VKLM_QUANT_PACK_H
#define VKLM_QUANT_PACK_H

#include "base/workers.h"
#include "quant/format.h"

// Rows of one matrix. All rows are independent: a matrix may be packed in pieces, in any order.
typedef struct {
    vklm_format format; // a packed one; n_cols is a multiple of its group
    vklm_format stored; // of `source`: f32, f16, bf16
    const void *source; // [n_rows, n_cols]
    uint32_t n_rows, n_cols;
    const float *importance; // [n_cols]: how much an error in a column matters; NULL: all alike
    unsigned char *planes[VKLM_FORMAT_MAX_PLANES]; // where the first row goes; written, never read
} vklm_pack_job;

// False when a weight is not finite, or too large for the format: *out_bad is then the first such
// element of the source; or when memory ran out: VKLM_PACK_NO_MEMORY.
#define VKLM_PACK_NO_MEMORY UINT64_MAX
bool vklm_pack_rows(vklm_workers *workers, const vklm_pack_job *job, uint64_t *out_bad);

// The first of n stored values that is infinite or not a number; n when all are finite.
uint64_t vklm_pack_find_bad(vklm_workers *workers, vklm_format stored, const void *source,
                            uint64_t n);

#endif
