#include "quant/format.h"

#include <assert.h>
#include <string.h>

#include "base/half.h"
#include "quant/format_private.h"

typedef struct {
    const char *name;
    bool packed;
    uint32_t group; // columns
    struct {
        uint32_t cols, bytes; // so many bytes for so many columns
    } planes[VKLM_FORMAT_MAX_PLANES];
} format_info;

static const format_info formats[VKLM_FORMAT_COUNT] = {
    [VKLM_FORMAT_F32] = {"f32", false, 8, {{1, 4}}},
    [VKLM_FORMAT_F16] = {"f16", false, 8, {{1, 2}}},
    [VKLM_FORMAT_BF16] = {"bf16", false, 8, {{1, 2}}},
    [VKLM_FORMAT_Q8] = {"q8", true, 32, {{1, 1}, {32, 2}}},
    [VKLM_FORMAT_Q4] = {"q4", true, 256, {{2, 1}, {32, 2}, {256, 4}}},
};

const char *vklm_format_name(vklm_format format)
{
    return formats[format].name;
}

bool vklm_format_find(const char *name, vklm_format *out_format)
{
    for (int i = 0; i < VKLM_FORMAT_COUNT; i++)
        if (strcmp(name, formats[i].name) == 0) {
            *out_format = (vklm_format)i;
            return true;
        }
    return false;
}

bool vklm_format_is_packed(vklm_format format)
{
    return formats[format].packed;
}

uint32_t vklm_format_group(vklm_format format)
{
    return formats[format].group;
}

uint32_t vklm_format_planes(vklm_format format, uint32_t n_rows, uint32_t n_cols,
                            vklm_format_plane out_planes[VKLM_FORMAT_MAX_PLANES])
{
    const format_info *f = &formats[format];
    assert(n_cols % f->group == 0);
    uint64_t at = 0;
    uint32_t n = 0;
    for (; n < VKLM_FORMAT_MAX_PLANES && f->planes[n].cols; n++) {
        uint64_t row_bytes = (uint64_t)n_cols / f->planes[n].cols * f->planes[n].bytes;
        out_planes[n] = (vklm_format_plane){.offset = at, .row_bytes = row_bytes};
        at += (row_bytes * n_rows + 15) / 16 * 16;
    }
    return n;
}

uint64_t vklm_format_bytes(vklm_format format, uint32_t n_rows, uint32_t n_cols)
{
    vklm_format_plane planes[VKLM_FORMAT_MAX_PLANES];
    uint32_t last = vklm_format_planes(format, n_rows, n_cols, planes) - 1;
    uint64_t end = planes[last].offset + planes[last].row_bytes * n_rows;
    return formats[format].packed ? (end + 15) / 16 * 16 : end;
}

static void unpack_f16(const unsigned char *bytes, size_t n, float *out)
{
    for (size_t i = 0; i < n; i++)
        out[i] = vklm_half_from_f16(vklm_get16(bytes + 2 * i));
}

static void unpack_bf16(const unsigned char *bytes, size_t n, float *out)
{
    for (size_t i = 0; i < n; i++) {
        uint32_t word = (uint32_t)vklm_get16(bytes + 2 * i) << 16;
        memcpy(&out[i], &word, sizeof word);
    }
}

void vklm_format_unpack(vklm_format format, const void *stored, size_t n, float *out)
{
    assert(!formats[format].packed);
    if (format == VKLM_FORMAT_F32)
        memcpy(out, stored, n * sizeof *out);
    else if (format == VKLM_FORMAT_F16)
        unpack_f16(stored, n, out);
    else
        unpack_bf16(stored, n, out);
}

void vklm_format_unpack_rows(vklm_format format, const void *matrix, uint32_t n_rows,
                             uint32_t n_cols, uint32_t first, uint32_t n, float *out)
{
    vklm_format_plane planes[VKLM_FORMAT_MAX_PLANES];
    uint32_t n_planes = vklm_format_planes(format, n_rows, n_cols, planes);
    for (uint32_t r = first; r < first + n; r++, out += n_cols) {
        const unsigned char *at[VKLM_FORMAT_MAX_PLANES] = {0};
        for (uint32_t p = 0; p < n_planes; p++)
            at[p] = (const unsigned char *)matrix + planes[p].offset + r * planes[p].row_bytes;
        if (format == VKLM_FORMAT_Q8)
            vklm_q8_unpack_row(at, n_cols, out);
        else if (format == VKLM_FORMAT_Q4)
            vklm_q4_unpack_row(at, n_cols, out);
        else
            vklm_format_unpack(format, at[0], n_cols, out);
    }
}
