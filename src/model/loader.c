// Streaming weights to the device: mapping → (packing) → staging ring → slabs.
#include <stdlib.h>
#include <string.h>

#include "gpu/stage.h"
#include "model/matrix_stream.h"
#include "model/rope.h"

typedef struct {
    const vklm_weights_plan *plan;
    const vklm_load_params *params;
    vklm_gpu_arena *arena;
    vklm_gpu_stage *stage;
    vklm_workers *workers;
    vklm_gpu_view to; // the matrix that is being filled
    uint64_t done, total;
} loader;

static vklm_status report(void *opaque, uint64_t bytes)
{
    loader *l = opaque;
    l->done += bytes;
    if (l->params->progress && !l->params->progress(l->params->opaque, l->done, l->total))
        return vklm_fail(VKLM_CANCELLED, "loading was cancelled");
    return VKLM_OK;
}

static vklm_status begin_piece(void *opaque, unsigned char **out_memory)
{
    void *chunk;
    vklm_status status = vklm_gpu_stage_begin(((loader *)opaque)->stage, &chunk);
    *out_memory = chunk;
    return status;
}

static vklm_status end_piece(void *opaque, const vklm_piece_part *parts, uint32_t n_parts)
{
    loader *l = opaque;
    vklm_gpu_stage_part staged[VKLM_FORMAT_MAX_PLANES];
    for (uint32_t i = 0; i < n_parts; i++)
        staged[i] = (vklm_gpu_stage_part){
            .offset = parts[i].from, .to = vklm_gpu_view_part(l->to, parts[i].to, parts[i].bytes)};
    return vklm_gpu_stage_end_parts(l->stage, staged, n_parts);
}

// A packed source's bytes, as they are. Pages that were sent are given back to the system.
static vklm_status send_packed(loader *l, const vklm_tensor_info *info, vklm_gpu_view to)
{
    const vklm_packed *packed = l->plan->source->packed;
    vklm_status status = l->params->verify ? vklm_packed_verify(packed, info) : VKLM_OK;
    const uint64_t step = VKLM_GPU_STAGE_CHUNK_BYTES;
    for (uint64_t at = 0; at < info->bytes && status == VKLM_OK; at += step) {
        uint64_t n = info->bytes - at < step ? info->bytes - at : step;
        status = vklm_gpu_stage_upload(l->stage, packed->map.data + info->offset + at,
                                       vklm_gpu_view_part(to, at, n));
        vklm_file_map_drop(&packed->map, info->offset + at, n);
        if (status == VKLM_OK)
            status = report(l, n);
    }
    return status;
}

static vklm_status load_matrix(void *opaque, const vklm_planned_matrix *m, vklm_weight *out)
{
    loader *l = opaque;
    *out = vklm_planned_matrix_weight(m, l->arena);
    l->to = out->data;
    if (l->plan->source->packed) {
        char name[VKLM_MATRIX_NAME_BYTES];
        vklm_packed_matrix found;
        vklm_planned_matrix_name(m, name);
        vklm_status status =
            vklm_packed_find(l->plan->source->packed, name, m->n_rows, m->n_cols, &found);
        return status == VKLM_OK ? send_packed(l, found.info, out->data) : status;
    }
    return vklm_matrix_stream(m, l->plan->source->checkpoint, l->params->importance, l->workers,
                              &(vklm_matrix_sink){.piece_bytes = VKLM_GPU_STAGE_CHUNK_BYTES,
                                                  .begin = begin_piece,
                                                  .end = end_piece,
                                                  .report = report,
                                                  .opaque = l});
}

// Weights of norms and routers are small and read by every token: f32 whatever the file has.
static vklm_status load_vector(void *opaque, const vklm_planned_vector *v, vklm_gpu_view *out)
{
    loader *l = opaque;
    const vklm_source *source = l->plan->source;
    *out = vklm_gpu_arena_view(l->arena, v->slot);
    if (source->packed) {
        char name[VKLM_TENSOR_NAME_BYTES];
        const vklm_tensor_info *info;
        vklm_tensor_name(v->role, v->layer, name);
        vklm_status status = vklm_packed_find_vector(source->packed, name, v->n, &info);
        return status == VKLM_OK ? send_packed(l, info, *out) : status;
    }
    void *chunk;
    vklm_status status = vklm_gpu_stage_begin(l->stage, &chunk);
    if (status == VKLM_OK)
        status = vklm_vector_unpack(v, source->checkpoint, chunk);
    if (status == VKLM_OK)
        status = vklm_gpu_stage_end(l->stage, *out);
    vklm_tensor tensor = vklm_checkpoint_tensor(source->checkpoint, v->role, v->layer);
    return status == VKLM_OK ? report(l, tensor.info->bytes) : status;
}

static vklm_status load_rope(loader *l, vklm_gpu_view *out)
{
    *out = vklm_gpu_arena_view(l->arena, l->plan->rope);
    const vklm_arch *arch = &l->plan->arch;
    const uint64_t row_bytes = arch->head_dim * sizeof(float);
    const uint32_t rows_per_chunk = (uint32_t)(VKLM_GPU_STAGE_CHUNK_BYTES / row_bytes);
    vklm_status status = VKLM_OK;
    for (uint32_t first = 0; first < arch->n_positions && status == VKLM_OK;
         first += rows_per_chunk) {
        uint32_t n = arch->n_positions - first;
        n = n < rows_per_chunk ? n : rows_per_chunk;
        void *chunk;
        status = vklm_gpu_stage_begin(l->stage, &chunk);
        if (status != VKLM_OK)
            break;
        float(*rows)[2] = chunk;
        for (uint32_t i = 0; i < n; i++)
            vklm_rope_row(arch->rope_theta, arch->head_dim, first + i,
                          rows + (size_t)i * (arch->head_dim / 2));
        status = vklm_gpu_stage_end(l->stage,
                                    vklm_gpu_view_part(*out, first * row_bytes, n * row_bytes));
    }
    return status;
}

static vklm_status load_table(void *opaque, uint32_t layer, const struct vklm_args_expert *rows)
{
    loader *l = opaque;
    return vklm_gpu_stage_upload(l->stage, rows,
                                 vklm_weights_plan_expert_rows(l->plan, l->arena, layer));
}

static vklm_status load_all(loader *l, vklm_weights *w)
{
    const vklm_weights_visitor visitor = {
        .matrix = load_matrix, .vector = load_vector, .table = load_table, .opaque = l};
    const vklm_arch *arch = &l->plan->arch;
    if (arch->n_experts)
        w->expert_table = vklm_gpu_arena_view(l->arena, l->plan->expert_table);
    for (uint32_t i = 0; arch->n_experts && i < arch->n_layers; i++)
        w->layers[i].experts.table = vklm_weights_plan_expert_rows(l->plan, l->arena, i);
    vklm_status status = vklm_weights_plan_visit(l->plan, &visitor, w);
    if (arch->tied)
        w->lm_head = w->embed;
    if (status == VKLM_OK)
        status = load_rope(l, &w->rope);
    if (status == VKLM_OK && l->done < l->total) // what the files hold beside: checksums, say
        status = report(l, l->total - l->done);
    return status == VKLM_OK ? vklm_gpu_stage_finish(l->stage) : status;
}

vklm_status vklm_weights_load(const vklm_weights_plan *plan, vklm_gpu_device *device,
                              const vklm_load_params *params, vklm_weights **out_weights)
{
    *out_weights = NULL;
    vklm_weights *w;
    loader l = {
        .plan = plan,
        .params = params ? params : &(vklm_load_params){0},
        .total = vklm_source_bytes(plan->source),
    };
    vklm_status status = vklm_weights_create(plan, &w);
    if (status == VKLM_OK)
        status = vklm_workers_create(0, &l.workers);
    if (status == VKLM_OK)
        status = vklm_gpu_stage_create(device, &l.stage);
    if (status == VKLM_OK)
        status = vklm_gpu_arena_create(device, &plan->layout, &w->arena);
    if (status == VKLM_OK) {
        l.arena = w->arena;
        status = load_all(&l, w);
    }
    vklm_gpu_stage_destroy(l.stage); // waits for copies under way, also after a failure
    vklm_workers_destroy(l.workers);
    if (status != VKLM_OK) {
        vklm_weights_destroy(w);
        return status;
    }
    *out_weights = w;
    return VKLM_OK;
}
