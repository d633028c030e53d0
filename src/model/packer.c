#include "model/packer.h"

#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/hash.h"
#include "model/matrix_stream.h"

enum { PIECE_BYTES = 16 << 20 };

// Two walks over the plan: the first lists the tensors, whose places in the file then are known;
// the second fills them in the same order.
typedef struct {
    const vklm_weights_plan *plan;
    const vklm_load_params *params;
    vklm_file_writer *writer;
    vklm_workers *workers;
    unsigned char *piece; // [PIECE_BYTES]
    vklm_tensor_info *tensors;
    size_t n_tensors, tensors_capacity;
    vklm_safetensors_note *notes;
    size_t n_notes, notes_capacity;
    size_t current; // the tensor that is being filled
    uint64_t end;   // of the file
    uint64_t done, total;
} packer;

static vklm_status add_note(packer *p, const char *key, const char *value)
{
    if (!vklm_array_grow(&p->notes, &p->notes_capacity, p->n_notes + 1, sizeof *p->notes))
        return vklm_fail_memory("the header");
    vklm_safetensors_note *note = &p->notes[p->n_notes++];
    *note = (vklm_safetensors_note){.key = strdup(key), .value = strdup(value)};
    return note->key && note->value ? VKLM_OK : vklm_fail_memory("the header");
}

static vklm_status add_tensor(packer *p, const char *name, vklm_dtype dtype, uint64_t n)
{
    if (!vklm_array_grow(&p->tensors, &p->tensors_capacity, p->n_tensors + 1, sizeof *p->tensors))
        return vklm_fail_memory("the header");
    vklm_tensor_info *info = &p->tensors[p->n_tensors++];
    *info = (vklm_tensor_info){.name = strdup(name),
                               .dtype = dtype,
                               .n_dims = 1,
                               .shape = {n},
                               .bytes = n * vklm_dtype_bytes(dtype)};
    return info->name ? VKLM_OK : vklm_fail_memory("the header");
}

static vklm_status list_matrix(void *opaque, const vklm_planned_matrix *m, vklm_weight *out)
{
    (void)out;
    packer *p = opaque;
    char name[VKLM_MATRIX_NAME_BYTES];
    vklm_string note = {0};
    vklm_planned_matrix_name(m, name);
    vklm_string_print(&note, "%s %u %u", vklm_format_name(m->format), m->n_rows, m->n_cols);
    vklm_status status =
        note.failed ? vklm_fail_memory("the header") : add_note(p, name, note.data);
    vklm_string_finish(&note);
    return status == VKLM_OK ? add_tensor(p, name, VKLM_DTYPE_U8,
                                          vklm_format_bytes(m->format, m->n_rows, m->n_cols))
                             : status;
}

static vklm_status list_vector(void *opaque, const vklm_planned_vector *v, vklm_gpu_view *out)
{
    (void)out;
    char name[VKLM_TENSOR_NAME_BYTES];
    vklm_tensor_name(v->role, v->layer, name);
    return add_tensor(opaque, name, VKLM_DTYPE_F32, v->n);
}

static vklm_status report(void *opaque, uint64_t bytes)
{
    packer *p = opaque;
    p->done += bytes;
    if (p->params->progress && !p->params->progress(p->params->opaque, p->done, p->total))
        return vklm_fail(VKLM_CANCELLED, "packing was cancelled");
    return VKLM_OK;
}

static vklm_status begin_piece(void *opaque, unsigned char **out_memory)
{
    *out_memory = ((packer *)opaque)->piece;
    return VKLM_OK;
}

static vklm_status end_piece(void *opaque, const vklm_piece_part *parts, uint32_t n_parts)
{
    packer *p = opaque;
    for (uint32_t i = 0; i < n_parts; i++)
        vklm_file_writer_write_at(p->writer, p->tensors[p->current].offset + parts[i].to,
                                  p->piece + parts[i].from, (size_t)parts[i].bytes);
    return VKLM_OK;
}

static vklm_status write_matrix(void *opaque, const vklm_planned_matrix *m, vklm_weight *out)
{
    (void)out;
    packer *p = opaque;
    vklm_status status =
        vklm_matrix_stream(m, p->plan->source->checkpoint, p->params->importance, p->workers,
                           &(vklm_matrix_sink){.piece_bytes = PIECE_BYTES,
                                               .begin = begin_piece,
                                               .end = end_piece,
                                               .report = report,
                                               .opaque = p});
    p->current++;
    return status;
}

static vklm_status write_vector(void *opaque, const vklm_planned_vector *v, vklm_gpu_view *out)
{
    (void)out;
    packer *p = opaque;
    vklm_status status =
        vklm_vector_unpack(v, p->plan->source->checkpoint, (float *)(void *)p->piece);
    const vklm_tensor_info *info = &p->tensors[p->current++];
    vklm_file_writer_write_at(p->writer, info->offset, p->piece, (size_t)info->bytes);
    vklm_tensor tensor = vklm_checkpoint_tensor(p->plan->source->checkpoint, v->role, v->layer);
    return status == VKLM_OK ? report(p, tensor.info->bytes) : status;
}

// Lists the tensors and writes the header, which says where they go.
static vklm_status write_header(packer *p, vklm_weights *unused)
{
    const vklm_weights_visitor list = {.matrix = list_matrix, .vector = list_vector, .opaque = p};
    vklm_string header = {0};
    vklm_status status = add_note(p, "vklm_packed", VKLM_PACKED_VERSION);
    if (status == VKLM_OK)
        status = add_note(p, "weights", vklm_weights_kind_name(p->plan->kind));
    if (status == VKLM_OK)
        status = vklm_weights_plan_visit(p->plan, &list, unused);
    if (status == VKLM_OK)
        status = add_tensor(p, VKLM_PACKED_CHECKSUMS, VKLM_DTYPE_U8, 8 * p->n_tensors);
    if (status != VKLM_OK)
        return status;
    vklm_safetensors_print_header_notes(p->tensors, p->n_tensors, p->notes, p->n_notes, &header);
    p->end = header.len;
    for (size_t i = 0; i < p->n_tensors; i++) {
        p->tensors[i].offset = p->end;
        p->end += p->tensors[i].bytes;
    }
    status = header.failed ? vklm_fail_memory("the header")
                           : vklm_file_writer_reserve(p->writer, p->end);
    if (status == VKLM_OK)
        vklm_file_writer_write_at(p->writer, 0, header.data, header.len);
    vklm_string_finish(&header);
    return status;
}

static vklm_status write_checksums(packer *p)
{
    vklm_file_map map;
    const size_t n = p->n_tensors - 1;
    unsigned char *sums = vklm_alloc(n, 8);
    vklm_status status =
        sums ? vklm_file_writer_map(p->writer, &map) : vklm_fail_memory("the checksums");
    if (status != VKLM_OK) {
        free(sums);
        return status;
    }
    for (size_t i = 0; i < n; i++) {
        const vklm_tensor_info *t = &p->tensors[i];
        uint64_t sum = vklm_hash64(map.data + t->offset, (size_t)t->bytes, 0);
        vklm_file_map_drop(&map, t->offset, t->bytes);
        for (int b = 0; b < 8; b++)
            sums[8 * i + (size_t)b] = (unsigned char)(sum >> 8 * b & 0xFF);
    }
    vklm_file_map_close(&map);
    vklm_file_writer_write_at(p->writer, p->tensors[n].offset, sums, 8 * n);
    free(sums);
    return VKLM_OK;
}

static vklm_status write_all(packer *p, vklm_weights *unused)
{
    const vklm_weights_visitor fill = {.matrix = write_matrix, .vector = write_vector, .opaque = p};
    p->piece = vklm_alloc(PIECE_BYTES, 1);
    vklm_status status = p->piece ? VKLM_OK : vklm_fail_memory("the packer");
    if (status == VKLM_OK)
        status = vklm_workers_create(0, &p->workers);
    if (status == VKLM_OK)
        status = write_header(p, unused);
    if (status == VKLM_OK)
        status = vklm_weights_plan_visit(p->plan, &fill, unused);
    if (status == VKLM_OK)
        status = write_checksums(p);
    if (status == VKLM_OK && p->done < p->total) // what the checkpoint holds beside
        status = report(p, p->total - p->done);
    return status == VKLM_OK ? vklm_file_writer_commit(p->writer) : status;
}

vklm_status vklm_packed_write(const vklm_weights_plan *plan, const vklm_load_params *params,
                              const char *path)
{
    packer p = {.plan = plan,
                .params = params ? params : &(vklm_load_params){0},
                .total = vklm_source_bytes(plan->source)};
    vklm_weights *unused; // what the walks over the plan would fill
    vklm_status status = vklm_weights_create(plan, &unused);
    if (status == VKLM_OK)
        status = vklm_file_writer_open(path, &p.writer);
    if (status == VKLM_OK)
        status = write_all(&p, unused);
    vklm_file_writer_close(p.writer);
    vklm_workers_destroy(p.workers);
    vklm_weights_destroy(unused);
    for (size_t i = 0; i < p.n_tensors; i++)
        free(p.tensors[i].name);
    for (size_t i = 0; i < p.n_notes; i++) {
        free(p.notes[i].key);
        free(p.notes[i].value);
    }
    free(p.tensors);
    free(p.notes);
    free(p.piece);
    return status;
}
