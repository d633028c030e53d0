#include "quant/pack.h"

#include <assert.h>
#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "quant/format_private.h"

enum { SCAN_BATCH = 1 << 20, ROW_BATCH = 8 };

typedef struct {
    const vklm_pack_job *job;
    uint32_t n_planes;
    uint64_t row_bytes[VKLM_FORMAT_MAX_PLANES], stored_row_bytes;
    _Atomic uint64_t bad; // the first bad element so far
    atomic_bool no_memory;
} packing;

static void note_bad(_Atomic uint64_t *bad, uint64_t element)
{
    uint64_t least = atomic_load(bad);
    while (element < least && !atomic_compare_exchange_weak(bad, &least, element))
        ;
}

// The first element that is not finite, or else the largest.
static uint64_t find_culprit(const float *row, uint32_t n)
{
    uint32_t largest = 0;
    for (uint32_t i = 0; i < n; i++) {
        if (!isfinite(row[i]))
            return i;
        if (fabsf(row[i]) > fabsf(row[largest]))
            largest = i;
    }
    return largest;
}

static bool all_finite(const float *row, uint32_t n)
{
    uint32_t bad = 0;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, &row[i], sizeof bits);
        bad |= (bits & 0x7F800000u) == 0x7F800000u;
    }
    return !bad;
}

static void pack_some(void *opaque, uint64_t first, uint64_t end)
{
    packing *p = opaque;
    const vklm_pack_job *job = p->job;
    float *row = vklm_alloc(job->n_cols, sizeof *row);
    if (!row) {
        p->no_memory = true;
        return;
    }
    for (uint64_t r = first; r < end; r++) {
        unsigned char *planes[VKLM_FORMAT_MAX_PLANES] = {0};
        for (uint32_t i = 0; i < p->n_planes; i++)
            planes[i] = job->planes[i] + r * p->row_bytes[i];
        vklm_format_unpack(job->stored, (const char *)job->source + r * p->stored_row_bytes,
                           job->n_cols, row);
        bool good = all_finite(row, job->n_cols) &&
                    (job->format == VKLM_FORMAT_Q8 ? vklm_q8_pack_row : vklm_q4_pack_row)(
                        row, job->importance, job->n_cols, planes);
        if (!good)
            note_bad(&p->bad, r * job->n_cols + find_culprit(row, job->n_cols));
    }
    free(row);
}

bool vklm_pack_rows(vklm_workers *workers, const vklm_pack_job *job, uint64_t *out_bad)
{
    assert(vklm_format_is_packed(job->format) && !vklm_format_is_packed(job->stored));
    packing p = {.job = job, .bad = UINT64_MAX};
    vklm_format_plane planes[VKLM_FORMAT_MAX_PLANES];
    vklm_format_planes(job->stored, 1, job->n_cols, planes);
    p.stored_row_bytes = planes[0].row_bytes;
    p.n_planes = vklm_format_planes(job->format, job->n_rows, job->n_cols, planes);
    for (uint32_t i = 0; i < p.n_planes; i++)
        p.row_bytes[i] = planes[i].row_bytes;
    vklm_workers_run(workers, job->n_rows, ROW_BATCH, pack_some, &p);
    *out_bad = p.no_memory ? VKLM_PACK_NO_MEMORY : p.bad;
    return !p.no_memory && p.bad == UINT64_MAX;
}

typedef struct {
    vklm_format stored;
    const unsigned char *source;
    _Atomic uint64_t bad;
} scan;

static void scan_some(void *opaque, uint64_t first, uint64_t end)
{
    scan *s = opaque;
    const size_t bytes = s->stored == VKLM_FORMAT_F32 ? 4 : 2;
    const uint32_t mask = s->stored == VKLM_FORMAT_F32    ? 0x7F800000
                          : s->stored == VKLM_FORMAT_BF16 ? 0x7F80
                                                          : 0x7C00;
    for (uint64_t i = first; i < end;) {
        uint64_t stop = end - i < 4096 ? end : i + 4096, begin = i;
        uint32_t bad = 0;
        for (; i < stop; i++) {
            uint32_t bits = 0;
            memcpy(&bits, s->source + i * bytes, bytes); // little-endian, as the file
            bad |= (bits & mask) == mask;
        }
        for (uint64_t j = begin; bad && j < stop; j++) {
            uint32_t bits = 0;
            memcpy(&bits, s->source + j * bytes, bytes);
            if ((bits & mask) != mask)
                continue;
            note_bad(&s->bad, j);
            return;
        }
    }
}

uint64_t vklm_pack_find_bad(vklm_workers *workers, vklm_format stored, const void *source,
                            uint64_t n)
{
    scan s = {.stored = stored, .source = source, .bad = n};
    vklm_workers_run(workers, n, SCAN_BATCH, scan_some, &s);
    return s.bad;
}
