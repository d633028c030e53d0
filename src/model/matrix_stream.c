#include "model/matrix_stream.h"

#include <math.h>
#include <string.h>

#include "quant/pack.h"

typedef struct {
    const vklm_planned_matrix *matrix;
    const vklm_matrix_sink *sink;
    vklm_workers *workers;
    const float *importance;
    uint32_t n_planes, rows_per_piece;
    vklm_format_plane planes[VKLM_FORMAT_MAX_PLANES]; // of the matrix
} stream;

static vklm_status fail_bad(const stream *s, vklm_tensor tensor, vklm_format stored,
                            uint64_t element)
{
    float value;
    uint64_t size = vklm_dtype_bytes(tensor.info->dtype);
    vklm_format_unpack(stored, tensor.data + element * size, 1, &value);
    const char *name = tensor.info->name;
    if (isfinite(value))
        return vklm_fail(VKLM_BAD_FILE, "tensor %s: element %llu is %g, too large for %s", name,
                         (unsigned long long)element, (double)value,
                         vklm_format_name(s->matrix->format));
    return vklm_fail(VKLM_BAD_FILE, "tensor %s: element %llu is not a finite number", name,
                     (unsigned long long)element);
}

// Rows [first, first + n) of a tensor into one piece; they are rows [at, at + n) of the matrix.
static vklm_status send_rows(const stream *s, vklm_tensor tensor, uint32_t first, uint32_t n,
                             uint32_t at)
{
    const vklm_planned_matrix *m = s->matrix;
    const vklm_format stored = vklm_format_of_dtype(tensor.info->dtype);
    const uint64_t row_bytes = m->n_cols * vklm_dtype_bytes(tensor.info->dtype);
    const unsigned char *source = tensor.data + first * row_bytes;
    unsigned char *memory;
    vklm_status status = s->sink->begin(s->sink->opaque, &memory);
    if (status != VKLM_OK)
        return status;
    vklm_piece_part parts[VKLM_FORMAT_MAX_PLANES];
    vklm_pack_job job = {.format = m->format,
                         .stored = stored,
                         .source = source,
                         .n_rows = n,
                         .n_cols = m->n_cols,
                         .importance = s->importance};
    uint64_t used = 0, bad;
    for (uint32_t p = 0; p < s->n_planes; p++) {
        const vklm_format_plane *plane = &s->planes[p];
        parts[p] = (vklm_piece_part){.from = used,
                                     .to = plane->offset + at * plane->row_bytes,
                                     .bytes = n * plane->row_bytes};
        job.planes[p] = memory + used;
        used += (parts[p].bytes + 15) / 16 * 16;
    }
    if (vklm_format_is_packed(m->format)) {
        if (!vklm_pack_rows(s->workers, &job, &bad))
            return bad == VKLM_PACK_NO_MEMORY
                       ? vklm_fail_memory("packing weights")
                       : fail_bad(s, tensor, stored, (uint64_t)first * m->n_cols + bad);
    } else {
        bad = vklm_pack_find_bad(s->workers, stored, source, (uint64_t)n * m->n_cols);
        if (bad < (uint64_t)n * m->n_cols)
            return fail_bad(s, tensor, stored, (uint64_t)first * m->n_cols + bad);
        memcpy(memory, source, n * row_bytes);
    }
    // Pages that were read are given back to the system: a model larger than memory streams
    // through.
    vklm_file_map_drop(tensor.map, tensor.info->offset + first * row_bytes, n * row_bytes);
    status = s->sink->end(s->sink->opaque, parts, s->n_planes);
    return status == VKLM_OK ? s->sink->report(s->sink->opaque, n * row_bytes) : status;
}

vklm_status vklm_matrix_stream(const vklm_planned_matrix *matrix, const vklm_checkpoint *checkpoint,
                               const vklm_importance *importance, vklm_workers *workers,
                               const vklm_matrix_sink *sink)
{
    stream s = {.matrix = matrix, .sink = sink, .workers = workers};
    char name[VKLM_MATRIX_NAME_BYTES];
    vklm_planned_matrix any = *matrix; // a layer's experts share what is known of their inputs
    any.of_expert = false;
    vklm_planned_matrix_name(&any, name);
    vklm_status status = VKLM_OK;
    if (importance)
        status = vklm_importance_find(importance, name, matrix->n_cols, &s.importance);
    s.n_planes = vklm_format_planes(matrix->format, matrix->n_rows, matrix->n_cols, s.planes);
    uint64_t row_bytes = 0;
    for (uint32_t p = 0; p < s.n_planes; p++)
        row_bytes += s.planes[p].row_bytes;
    uint64_t fit = (sink->piece_bytes - 16 * VKLM_FORMAT_MAX_PLANES) / row_bytes;
    s.rows_per_piece = fit < matrix->n_rows ? (uint32_t)fit : matrix->n_rows;
    uint32_t at = 0;
    for (vklm_tensor_role role = matrix->first; role <= matrix->last; role++) {
        vklm_tensor tensor =
            vklm_checkpoint_expert_tensor(checkpoint, role, matrix->layer, matrix->expert);
        const uint32_t n_rows = (uint32_t)tensor.info->shape[0];
        for (uint32_t first = 0; first < n_rows && status == VKLM_OK; first += s.rows_per_piece) {
            uint32_t n = n_rows - first < s.rows_per_piece ? n_rows - first : s.rows_per_piece;
            status = send_rows(&s, tensor, first, n, at + first);
        }
        at += n_rows;
    }
    return status;
}

vklm_status vklm_vector_unpack(const vklm_planned_vector *vector, const vklm_checkpoint *checkpoint,
                               float *out)
{
    vklm_tensor tensor = vklm_checkpoint_tensor(checkpoint, vector->role, vector->layer);
    vklm_format_unpack(vklm_format_of_dtype(tensor.info->dtype), tensor.data, vector->n, out);
    for (uint32_t i = 0; i < vector->n; i++)
        if (!isfinite(out[i]))
            return vklm_fail(VKLM_BAD_FILE, "tensor %s: element %u is not a finite number",
                             tensor.info->name, i);
    return VKLM_OK;
}
