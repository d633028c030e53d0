// packed.safetensors. What it accepts can be checked, and every matrix in it unpacked, within the
// file.
#include "fuzz/fuzz.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/packed.h"

enum { MOST_VALUES = 1 << 16 }; // of a row

static char folder[] = "/tmp/vklm-fuzz-XXXXXX";

static void remove_folder(void)
{
    vklm_file_remove_folder(folder);
}

static void write_file(const uint8_t *data, size_t size)
{
    static char path[sizeof folder + sizeof VKLM_PACKED_FILE];
    if (!*path) {
        if (!mkdtemp(folder))
            abort();
        atexit(remove_folder);
        snprintf(path, sizeof path, "%s/%s", folder, VKLM_PACKED_FILE);
    }
    FILE *file = fopen(path, "wb");
    if (!file || fwrite(data, 1, size, file) != size || fclose(file) != 0)
        abort();
}

// The first and the last row.
static void unpack(const vklm_packed_matrix *m)
{
    static float row[MOST_VALUES];
    if (m->n_rows == 0 || m->n_cols > MOST_VALUES)
        return;
    vklm_format_unpack_rows(m->format, m->data, m->n_rows, m->n_cols, 0, 1, row);
    vklm_format_unpack_rows(m->format, m->data, m->n_rows, m->n_cols, m->n_rows - 1, 1, row);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    vklm_packed *packed;
    write_file(data, size);
    if (vklm_packed_open(folder, &packed) != VKLM_OK)
        return 0;
    for (size_t i = 0; i < packed->header.n_tensors; i++) {
        const vklm_tensor_info *info = &packed->header.tensors[i], *found;
        const char *note = vklm_safetensors_note_of(&packed->header, info->name);
        vklm_packed_matrix m;
        unsigned n_rows, n_cols;
        if (strcmp(info->name, VKLM_PACKED_CHECKSUMS) != 0)
            vklm_packed_verify(packed, info);
        if (note && sscanf(note, "%*s %u %u", &n_rows, &n_cols) == 2 &&
            vklm_packed_find(packed, info->name, n_rows, n_cols, &m) == VKLM_OK)
            unpack(&m);
        if (vklm_packed_find_vector(packed, info->name, info->bytes / 4, &found) == VKLM_OK)
            assert(found == info && found->bytes <= size - found->offset);
    }
    vklm_packed_close(packed);
    return 0;
}
