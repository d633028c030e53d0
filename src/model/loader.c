// Streaming a checkpoint to the device: mapping → staging ring → slabs.
#include "model/weights_plan.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "gpu/stage.h"
#include "model/rope.h"

typedef struct {
    const vklm_weights_plan *plan;
    vklm_gpu_arena *arena;
    vklm_gpu_stage *stage;
    vklm_load_progress progress;
    void *opaque;
    uint64_t done, total;
} loader;

static vklm_status report(loader *l, uint64_t bytes)
{
    l->done += bytes;
    if (l->progress && !l->progress(l->opaque, l->done, l->total))
        return vklm_fail(VKLM_CANCELLED, "loading was cancelled");
    return VKLM_OK;
}

// One tensor's bytes, as they are, a chunk at a time. Pages that were sent are given back to the
// system: a model larger than memory streams through.
static vklm_status send_tensor(loader *l, vklm_tensor tensor, vklm_gpu_view to)
{
    vklm_status status = VKLM_OK;
    uint64_t step = VKLM_GPU_STAGE_CHUNK_BYTES;
    for (uint64_t at = 0; at < tensor.info->bytes && status == VKLM_OK; at += step) {
        uint64_t n = tensor.info->bytes - at < step ? tensor.info->bytes - at : step;
        status = vklm_gpu_stage_upload(l->stage, tensor.data + at, vklm_gpu_view_part(to, at, n));
        vklm_file_map_drop(tensor.map, tensor.info->offset + at, n);
        if (status == VKLM_OK)
            status = report(l, n);
    }
    return status;
}

static vklm_status load_matrix(loader *l, const vklm_planned_matrix *m, vklm_weight *out)
{
    *out = (vklm_weight){
        .data = vklm_gpu_arena_view(l->arena, m->slot),
        .format = m->format,
        .n_rows = m->n_rows,
        .n_cols = m->n_cols,
    };
    uint64_t at = 0;
    for (vklm_tensor_role role = m->first; role <= m->last; role++) {
        vklm_tensor tensor =
            vklm_checkpoint_expert_tensor(l->plan->checkpoint, role, m->layer, m->expert);
        vklm_status status =
            send_tensor(l, tensor, vklm_gpu_view_part(out->data, at, tensor.info->bytes));
        if (status != VKLM_OK)
            return status;
        at += tensor.info->bytes;
    }
    return VKLM_OK;
}

// Weights of norms and routers are small and read by every token: f32 whatever the file has.
static vklm_status load_vector(loader *l, const vklm_planned_vector *v, vklm_gpu_view *out)
{
    *out = vklm_gpu_arena_view(l->arena, v->slot);
    vklm_tensor tensor = vklm_checkpoint_tensor(l->plan->checkpoint, v->role, v->layer);
    void *chunk;
    vklm_status status = vklm_gpu_stage_begin(l->stage, &chunk);
    if (status != VKLM_OK)
        return status;
    float *values = chunk;
    vklm_format_unpack(vklm_format_of_dtype(tensor.info->dtype), tensor.data, v->n, values);
    for (size_t i = 0; i < v->n; i++)
        if (!isfinite(values[i]))
            return vklm_fail(VKLM_BAD_FILE, "tensor %s: element %zu is not a number",
                             tensor.info->name, i);
    status = vklm_gpu_stage_end(l->stage, *out);
    return status == VKLM_OK ? report(l, tensor.info->bytes) : status;
}

static vklm_status load_rope(loader *l, vklm_gpu_view *out)
{
    *out = vklm_gpu_arena_view(l->arena, l->plan->rope);
    const vklm_arch *arch = &l->plan->arch;
    const uint64_t row_bytes = arch->head_dim * sizeof(float);
    const uint32_t rows_per_chunk = (uint32_t)(VKLM_GPU_STAGE_CHUNK_BYTES / row_bytes);
    vklm_status status = VKLM_OK;
    for (uint32_t first = 0; first < arch->n_positions && status == VKLM_OK; first += rows_per_chunk) {
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
        status = vklm_gpu_stage_end(l->stage, vklm_gpu_view_part(*out, first * row_bytes,
                                                                n * row_bytes));
    }
    return status;
}

// The layer's experts, and the rows of the table that say where they lie.
static vklm_status load_experts(loader *l, const vklm_planned_layer *p, vklm_gpu_view table,
                                vklm_layer_weights *out)
{
    const vklm_arch *arch = &l->plan->arch;
    struct vklm_args_expert rows[VKLM_ARCH_MAX_EXPERTS];
    vklm_status status = load_vector(l, &p->router, &out->router);
    for (uint32_t i = 0; i < arch->n_experts && status == VKLM_OK; i++) {
        vklm_weight gate_up, down;
        status = load_matrix(l, &p->mlps[i].gate_up, &gate_up);
        if (status == VKLM_OK)
            status = load_matrix(l, &p->mlps[i].down, &down);
        if (status == VKLM_OK)
            rows[i] = (struct vklm_args_expert){.gate_up = vklm_gpu_view_address(gate_up.data),
                                                .down = vklm_gpu_view_address(down.data)};
    }
    out->experts = (vklm_experts){
        .table = table,
        .gate_up_format = p->mlps[0].gate_up.format,
        .down_format = p->mlps[0].down.format,
        .n_experts = arch->n_experts,
        .top_k = arch->top_k,
        .n_hidden = arch->n_hidden,
        .n_intermediate = arch->n_intermediate,
    };
    return status == VKLM_OK ? vklm_gpu_stage_upload(l->stage, rows, table) : status;
}

static vklm_status load_layer(loader *l, const vklm_planned_layer *p, vklm_gpu_view table,
                              vklm_layer_weights *out)
{
    vklm_status status = load_vector(l, &p->attn_norm, &out->attn_norm);
    if (status == VKLM_OK)
        status = load_matrix(l, &p->qkv, &out->qkv);
    if (status == VKLM_OK)
        status = load_matrix(l, &p->out, &out->out);
    if (status == VKLM_OK)
        status = load_vector(l, &p->mlp_norm, &out->mlp_norm);
    if (status == VKLM_OK && l->plan->arch.n_experts)
        return load_experts(l, p, table, out);
    if (status == VKLM_OK)
        status = load_matrix(l, &p->mlps[0].gate_up, &out->gate_up);
    if (status == VKLM_OK)
        status = load_matrix(l, &p->mlps[0].down, &out->down);
    return status;
}

static vklm_status load_all(loader *l, vklm_weights *w)
{
    const vklm_weights_plan *p = l->plan;
    const uint64_t rows = p->arch.n_experts * sizeof(struct vklm_args_expert);
    vklm_status status = load_matrix(l, &p->embed, &w->embed);
    if (p->arch.n_experts)
        w->expert_table = vklm_gpu_arena_view(l->arena, p->expert_table);
    for (uint32_t i = 0; i < p->arch.n_layers && status == VKLM_OK; i++)
        status = load_layer(l, &p->layers[i], vklm_gpu_view_part(w->expert_table, i * rows, rows),
                            &w->layers[i]);
    if (status == VKLM_OK)
        status = load_vector(l, &p->final_norm, &w->final_norm);
    if (status == VKLM_OK && p->arch.tied)
        w->lm_head = w->embed;
    else if (status == VKLM_OK)
        status = load_matrix(l, &p->lm_head, &w->lm_head);
    if (status == VKLM_OK)
        status = load_rope(l, &w->rope);
    return status == VKLM_OK ? vklm_gpu_stage_finish(l->stage) : status;
}

vklm_status vklm_weights_load(const vklm_weights_plan *plan, vklm_gpu_device *device,
                              vklm_load_progress progress, void *opaque, vklm_weights **out_weights)
{
    *out_weights = NULL;
    vklm_weights *w = vklm_alloc(1, sizeof *w);
    if (!w)
        return vklm_fail_memory("the weights");
    w->arch = plan->arch;
    w->layers = vklm_alloc(plan->arch.n_layers, sizeof *w->layers);
    loader l = {
        .plan = plan,
        .progress = progress,
        .opaque = opaque,
        .total = vklm_checkpoint_bytes(plan->checkpoint),
    };
    vklm_status status = w->layers ? VKLM_OK : vklm_fail_memory("the weights");
    if (status == VKLM_OK)
        status = vklm_gpu_stage_create(device, &l.stage);
    if (status == VKLM_OK)
        status = vklm_gpu_arena_create(device, &plan->layout, &w->arena);
    l.arena = w->arena;
    if (status == VKLM_OK)
        status = load_all(&l, w);
    vklm_gpu_stage_destroy(l.stage); // waits for copies under way, also after a failure
    if (status != VKLM_OK) {
        vklm_weights_destroy(w);
        return status;
    }
    *out_weights = w;
    return VKLM_OK;
}
