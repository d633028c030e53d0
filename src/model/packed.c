#include "model/packed.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/hash.h"

bool vklm_packed_exists(const char *folder)
{
    return vklm_file_exists_in(folder, VKLM_PACKED_FILE);
}

static int by_offset(const void *a, const void *b)
{
    const vklm_tensor_info *x = *(const vklm_tensor_info *const *)a,
                           *y = *(const vklm_tensor_info *const *)b;
    return (x->offset > y->offset) - (x->offset < y->offset);
}

static vklm_status check_notes(vklm_packed *p)
{
    const char *version = vklm_safetensors_note_of(&p->header, "vklm_packed");
    const char *kind = vklm_safetensors_note_of(&p->header, "weights");
    if (!version || !kind)
        return vklm_fail(VKLM_BAD_FILE, "%s: not a file that 'vklm pack' wrote", p->path);
    if (strcmp(version, VKLM_PACKED_VERSION) != 0)
        return vklm_fail(VKLM_UNSUPPORTED,
                         "%s: packed by another version of vklm (its format is %s, this one "
                         "reads " VKLM_PACKED_VERSION "); pack the model again",
                         p->path, version);
    if (vklm_weights_kind_find(kind, &p->kind) != VKLM_OK || p->kind == VKLM_WEIGHTS_AUTO)
        return vklm_fail(VKLM_UNSUPPORTED, "%s: packed as '%s', which is not known", p->path, kind);
    return VKLM_OK;
}

static vklm_status find_checksums(vklm_packed *p)
{
    const vklm_tensor_info *sums = vklm_safetensors_find(&p->header, VKLM_PACKED_CHECKSUMS);
    const size_t n = p->header.n_tensors;
    if (!sums || sums->bytes != 8 * (n - 1))
        return vklm_fail(VKLM_BAD_FILE, "%s: no checksums of its %zu tensors", p->path, n);
    p->checksums = p->map.data + sums->offset;
    p->in_order = vklm_alloc(n, sizeof *p->in_order);
    if (!p->in_order)
        return vklm_fail_memory(p->path);
    size_t at = 0;
    for (size_t i = 0; i < n; i++)
        if (&p->header.tensors[i] != sums)
            p->in_order[at++] = &p->header.tensors[i];
    qsort(p->in_order, at, sizeof *p->in_order, by_offset);
    return VKLM_OK;
}

vklm_status vklm_packed_open(const char *folder, vklm_packed **out_packed)
{
    *out_packed = NULL;
    vklm_packed *p = vklm_alloc(1, sizeof *p);
    vklm_string path = {0};
    vklm_file_join(&path, folder, VKLM_PACKED_FILE);
    if (!p || path.failed) {
        free(p);
        vklm_string_finish(&path);
        return vklm_fail_memory("a packed model");
    }
    p->path = path.data;
    vklm_status status = vklm_file_map_open(p->path, &p->map);
    if (status == VKLM_OK)
        status = vklm_safetensors_parse(p->map.data, p->map.size, p->path, &p->header);
    if (status == VKLM_OK)
        status = check_notes(p);
    if (status == VKLM_OK)
        status = find_checksums(p);
    if (status != VKLM_OK) {
        vklm_packed_close(p);
        return status;
    }
    *out_packed = p;
    return VKLM_OK;
}

void vklm_packed_close(vklm_packed *packed)
{
    if (!packed)
        return;
    vklm_safetensors_finish(&packed->header);
    vklm_file_map_close(&packed->map);
    free(packed->in_order);
    free(packed->path);
    free(packed);
}

vklm_status vklm_packed_find(const vklm_packed *packed, const char *name, uint32_t n_rows,
                             uint32_t n_cols, vklm_packed_matrix *out)
{
    const vklm_tensor_info *info = vklm_safetensors_find(&packed->header, name);
    const char *note = vklm_safetensors_note_of(&packed->header, name);
    char format[16];
    if (!info || !note)
        return vklm_fail(VKLM_BAD_FILE, "%s: matrix %s is missing", packed->path, name);
    *out = (vklm_packed_matrix){.info = info, .data = packed->map.data + info->offset};
    if (sscanf(note, "%15s %u %u", format, &out->n_rows, &out->n_cols) != 3 ||
        !vklm_format_find(format, &out->format))
        return vklm_fail(VKLM_BAD_FILE, "%s: matrix %s is described as '%s'", packed->path, name,
                         note);
    if (out->n_rows != n_rows || out->n_cols != n_cols)
        return vklm_fail(VKLM_BAD_FILE, "%s: matrix %s is [%u, %u], config.json asks for [%u, %u]",
                         packed->path, name, out->n_rows, out->n_cols, n_rows, n_cols);
    if (n_cols % vklm_format_group(out->format) != 0 || info->dtype != VKLM_DTYPE_U8 ||
        info->bytes != vklm_format_bytes(out->format, n_rows, n_cols))
        return vklm_fail(VKLM_BAD_FILE,
                         "%s: matrix %s has %llu bytes, which is not a %s matrix of "
                         "[%u, %u]",
                         packed->path, name, (unsigned long long)info->bytes, format, n_rows,
                         n_cols);
    return VKLM_OK;
}

vklm_status vklm_packed_find_vector(const vklm_packed *packed, const char *name, uint64_t n,
                                    const vklm_tensor_info **out_info)
{
    const vklm_tensor_info *info = vklm_safetensors_find(&packed->header, name);
    if (!info)
        return vklm_fail(VKLM_BAD_FILE, "%s: tensor %s is missing", packed->path, name);
    if (info->dtype != VKLM_DTYPE_F32 || info->bytes != n * sizeof(float))
        return vklm_fail(VKLM_BAD_FILE,
                         "%s: tensor %s has %llu bytes of %s, config.json asks for %llu "
                         "of F32",
                         packed->path, name, (unsigned long long)info->bytes,
                         vklm_dtype_name(info->dtype), (unsigned long long)(n * sizeof(float)));
    *out_info = info;
    return VKLM_OK;
}

vklm_status vklm_packed_verify(const vklm_packed *packed, const vklm_tensor_info *info)
{
    size_t place = 0;
    while (packed->in_order[place] != info)
        place++;
    uint64_t wanted = 0;
    for (int i = 7; i >= 0; i--)
        wanted = wanted << 8 | packed->checksums[8 * place + (size_t)i];
    uint64_t got = vklm_hash64(packed->map.data + info->offset, (size_t)info->bytes, 0);
    if (got != wanted)
        return vklm_fail(
            VKLM_BAD_FILE,
            "%s: tensor %s is damaged (checksum %016llx, wanted %016llx); pack the model "
            "again",
            packed->path, info->name, (unsigned long long)got, (unsigned long long)wanted);
    return VKLM_OK;
}
