// Planning: every weight gets its format and its place. Loading is in loader.c.
#include "model/weights_plan.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/array.h"

void vklm_planned_matrix_name(const vklm_planned_matrix *matrix,
                              char out_name[VKLM_MATRIX_NAME_BYTES])
{
    const char *name = vklm_matrix_class_name(matrix->class);
    if (matrix->of_expert)
        snprintf(out_name, VKLM_MATRIX_NAME_BYTES, "layers.%u.experts.%u.%s", matrix->layer,
                 matrix->expert, name);
    else if (vklm_tensor_per_layer(matrix->first))
        snprintf(out_name, VKLM_MATRIX_NAME_BYTES, "layers.%u.%s", matrix->layer, name);
    else
        snprintf(out_name, VKLM_MATRIX_NAME_BYTES, "%s", name);
}

// The one format that a checkpoint's tensors [first, last] of a layer have.
static vklm_status find_stored(const vklm_checkpoint *c, const vklm_planned_matrix *m,
                               vklm_format *out_stored)
{
    vklm_tensor head = vklm_checkpoint_expert_tensor(c, m->first, m->layer, m->expert);
    for (vklm_tensor_role role = m->first; role <= m->last; role++) {
        vklm_tensor t = vklm_checkpoint_expert_tensor(c, role, m->layer, m->expert);
        if (t.info->dtype != head.info->dtype)
            return vklm_fail(VKLM_UNSUPPORTED, "tensor %s is %s, but %s is %s; they must agree",
                             t.info->name, vklm_dtype_name(t.info->dtype), head.info->name,
                             vklm_dtype_name(head.info->dtype));
    }
    *out_stored = vklm_format_of_dtype(head.info->dtype);
    return VKLM_OK;
}

// The format that the source and the recipe give to a matrix of known shape.
static vklm_status find_format(const vklm_weights_plan *p, vklm_planned_matrix *m)
{
    vklm_status status = VKLM_OK;
    if (p->source->packed) {
        char name[VKLM_MATRIX_NAME_BYTES];
        vklm_packed_matrix found;
        vklm_planned_matrix_name(m, name);
        status = vklm_packed_find(p->source->packed, name, m->n_rows, m->n_cols, &found);
        m->format = found.format;
        return status;
    }
    vklm_format stored = vklm_format_of_dtype(p->arch.dtype);
    if (p->source->checkpoint)
        status = find_stored(p->source->checkpoint, m, &stored);
    m->format = vklm_recipe_format(p->kind, m->class, m->n_cols, stored);
    return status;
}

// Shape, format and place of a matrix whose tensors are known.
static vklm_status place_matrix(vklm_weights_plan *p, vklm_planned_matrix *m)
{
    for (vklm_tensor_role role = m->first; role <= m->last; role++) {
        uint64_t shape[2];
        vklm_tensor_shape(&p->arch, role, shape);
        m->n_rows += (uint32_t)shape[0];
        m->n_cols = (uint32_t)shape[1];
    }
    vklm_status status = find_format(p, m);
    if (status != VKLM_OK)
        return status;
    return vklm_gpu_layout_add(&p->layout, vklm_format_bytes(m->format, m->n_rows, m->n_cols),
                               &m->slot);
}

// Tensors [first, last] of a layer as one matrix.
static vklm_status plan_matrix(vklm_weights_plan *p, vklm_matrix_class class,
                               vklm_tensor_role first, vklm_tensor_role last, uint32_t layer,
                               vklm_planned_matrix *out)
{
    *out = (vklm_planned_matrix){.class = class, .first = first, .last = last, .layer = layer};
    return place_matrix(p, out);
}

// A norm's weights, or the router's.
static vklm_status plan_vector(vklm_weights_plan *p, vklm_tensor_role role, uint32_t layer,
                               vklm_planned_vector *out)
{
    uint64_t shape[2];
    vklm_tensor_shape(&p->arch, role, shape);
    *out =
        (vklm_planned_vector){.role = role, .layer = layer, .n = (uint32_t)(shape[0] * shape[1])};
    if (p->source->packed) {
        char name[VKLM_TENSOR_NAME_BYTES];
        const vklm_tensor_info *info;
        vklm_tensor_name(role, layer, name);
        vklm_status status = vklm_packed_find_vector(p->source->packed, name, out->n, &info);
        if (status != VKLM_OK)
            return status;
    }
    return vklm_gpu_layout_add(&p->layout, (uint64_t)out->n * sizeof(float), &out->slot);
}

uint32_t vklm_weights_plan_mlps(const vklm_weights_plan *plan)
{
    return plan->arch.n_experts ? plan->arch.n_experts : 1;
}

static vklm_status plan_mlp(vklm_weights_plan *p, uint32_t layer, uint32_t expert,
                            vklm_planned_mlp *out)
{
    const bool of_expert = p->arch.n_experts > 0;
    out->gate_up = (vklm_planned_matrix){.class = VKLM_MATRIX_GATE_UP,
                                         .first = VKLM_TENSOR_GATE,
                                         .last = VKLM_TENSOR_UP,
                                         .layer = layer,
                                         .expert = expert,
                                         .of_expert = of_expert};
    out->down = (vklm_planned_matrix){.class = VKLM_MATRIX_DOWN,
                                      .first = VKLM_TENSOR_DOWN,
                                      .last = VKLM_TENSOR_DOWN,
                                      .layer = layer,
                                      .expert = expert,
                                      .of_expert = of_expert};
    vklm_status status = place_matrix(p, &out->gate_up);
    return status == VKLM_OK ? place_matrix(p, &out->down) : status;
}

static vklm_status plan_mlps(vklm_weights_plan *p, uint32_t layer)
{
    vklm_planned_layer *l = &p->layers[layer];
    const uint32_t n = vklm_weights_plan_mlps(p);
    l->mlps = vklm_alloc(n, sizeof *l->mlps);
    if (!l->mlps)
        return vklm_fail_memory("the memory plan");
    vklm_status status = VKLM_OK;
    if (p->arch.n_experts)
        status = plan_vector(p, VKLM_TENSOR_ROUTER, layer, &l->router);
    for (uint32_t i = 0; i < n && status == VKLM_OK; i++) {
        status = plan_mlp(p, layer, i, &l->mlps[i]);
        if (status == VKLM_OK && (l->mlps[i].gate_up.format != l->mlps[0].gate_up.format ||
                                  l->mlps[i].down.format != l->mlps[0].down.format))
            status = vklm_fail(
                VKLM_UNSUPPORTED,
                "layer %u: expert %u has another format than expert 0; they must agree", layer, i);
    }
    return status;
}

static vklm_status plan_layer(vklm_weights_plan *p, uint32_t layer)
{
    vklm_planned_layer *l = &p->layers[layer];
    vklm_status status = plan_vector(p, VKLM_TENSOR_ATTN_NORM, layer, &l->attn_norm);
    if (status == VKLM_OK)
        status = plan_matrix(p, VKLM_MATRIX_QKV, VKLM_TENSOR_Q, VKLM_TENSOR_V, layer, &l->qkv);
    if (status == VKLM_OK)
        status = plan_matrix(p, VKLM_MATRIX_OUT, VKLM_TENSOR_O, VKLM_TENSOR_O, layer, &l->out);
    if (status == VKLM_OK)
        status = plan_vector(p, VKLM_TENSOR_MLP_NORM, layer, &l->mlp_norm);
    return status == VKLM_OK ? plan_mlps(p, layer) : status;
}

static vklm_status plan_all(vklm_weights_plan *p)
{
    vklm_status status =
        plan_matrix(p, VKLM_MATRIX_EMBED, VKLM_TENSOR_EMBED, VKLM_TENSOR_EMBED, 0, &p->embed);
    for (uint32_t layer = 0; layer < p->arch.n_layers && status == VKLM_OK; layer++)
        status = plan_layer(p, layer);
    if (status == VKLM_OK)
        status = plan_vector(p, VKLM_TENSOR_FINAL_NORM, 0, &p->final_norm);
    if (status == VKLM_OK && !p->arch.tied)
        status = plan_matrix(p, VKLM_MATRIX_LM_HEAD, VKLM_TENSOR_LM_HEAD, VKLM_TENSOR_LM_HEAD, 0,
                             &p->lm_head);
    if (status == VKLM_OK)
        status = vklm_gpu_layout_add(
            &p->layout, (uint64_t)p->arch.n_positions * p->arch.head_dim * sizeof(float), &p->rope);
    if (status == VKLM_OK && p->arch.n_experts)
        status = vklm_gpu_layout_add(&p->layout,
                                     (uint64_t)p->arch.n_layers * p->arch.n_experts *
                                         sizeof(struct vklm_args_expert),
                                     &p->expert_table);
    return status;
}

vklm_status vklm_weights_plan_create(const vklm_source *source, vklm_weights_kind kind,
                                     const vklm_gpu_caps *caps, vklm_weights_plan **out_plan)
{
    *out_plan = NULL;
    if (source->packed && kind != VKLM_WEIGHTS_AUTO && kind != source->packed->kind)
        return vklm_fail(
            VKLM_INVALID_ARGUMENT,
            "%s: packed as %s; %s weights were asked for: pack the original model again",
            source->packed->path, vklm_weights_kind_name(source->packed->kind),
            vklm_weights_kind_name(kind));
    vklm_weights_plan *p = vklm_alloc(1, sizeof *p);
    if (!p)
        return vklm_fail_memory("the memory plan");
    p->source = source;
    p->arch = source->arch;
    p->kind = source->packed ? source->packed->kind : kind;
    if (p->kind == VKLM_WEIGHTS_AUTO)
        p->kind = VKLM_WEIGHTS_F16;
    vklm_gpu_layout_init(caps, &p->layout);
    p->layers = vklm_alloc(p->arch.n_layers, sizeof *p->layers);
    vklm_status status = p->layers ? plan_all(p) : vklm_fail_memory("the memory plan");
    if (status != VKLM_OK) {
        vklm_weights_plan_destroy(p);
        return status;
    }
    *out_plan = p;
    return VKLM_OK;
}

void vklm_weights_plan_destroy(vklm_weights_plan *plan)
{
    if (!plan)
        return;
    vklm_gpu_layout_finish(&plan->layout);
    for (uint32_t i = 0; plan->layers && i < plan->arch.n_layers; i++)
        free(plan->layers[i].mlps);
    free(plan->layers);
    free(plan);
}

uint64_t vklm_weights_plan_bytes(const vklm_weights_plan *plan)
{
    return vklm_gpu_layout_bytes(&plan->layout);
}

static vklm_status visit_experts(const vklm_weights_plan *plan, uint32_t layer,
                                 const vklm_weights_visitor *v, vklm_layer_weights *out)
{
    const vklm_arch *arch = &plan->arch;
    const vklm_planned_layer *p = &plan->layers[layer];
    struct vklm_args_expert rows[VKLM_ARCH_MAX_EXPERTS];
    vklm_status status = v->vector(v->opaque, &p->router, &out->router);
    for (uint32_t i = 0; i < arch->n_experts && status == VKLM_OK; i++) {
        vklm_weight gate_up, down;
        status = v->matrix(v->opaque, &p->mlps[i].gate_up, &gate_up);
        if (status == VKLM_OK)
            status = v->matrix(v->opaque, &p->mlps[i].down, &down);
        if (status == VKLM_OK && v->table)
            rows[i] = (struct vklm_args_expert){.gate_up = vklm_gpu_view_address(gate_up.data),
                                                .down = vklm_gpu_view_address(down.data)};
    }
    out->experts.gate_up_format = p->mlps[0].gate_up.format;
    out->experts.down_format = p->mlps[0].down.format;
    out->experts.n_experts = arch->n_experts;
    out->experts.top_k = arch->top_k;
    out->experts.n_hidden = arch->n_hidden;
    out->experts.n_intermediate = arch->n_intermediate;
    return status == VKLM_OK && v->table ? v->table(v->opaque, layer, rows) : status;
}

static vklm_status visit_layer(const vklm_weights_plan *plan, uint32_t layer,
                               const vklm_weights_visitor *v, vklm_layer_weights *out)
{
    const vklm_planned_layer *p = &plan->layers[layer];
    vklm_status status = v->vector(v->opaque, &p->attn_norm, &out->attn_norm);
    if (status == VKLM_OK)
        status = v->matrix(v->opaque, &p->qkv, &out->qkv);
    if (status == VKLM_OK)
        status = v->matrix(v->opaque, &p->out, &out->out);
    if (status == VKLM_OK)
        status = v->vector(v->opaque, &p->mlp_norm, &out->mlp_norm);
    if (status == VKLM_OK && plan->arch.n_experts)
        return visit_experts(plan, layer, v, out);
    if (status == VKLM_OK)
        status = v->matrix(v->opaque, &p->mlps[0].gate_up, &out->gate_up);
    if (status == VKLM_OK)
        status = v->matrix(v->opaque, &p->mlps[0].down, &out->down);
    return status;
}

vklm_status vklm_weights_plan_visit(const vklm_weights_plan *plan,
                                    const vklm_weights_visitor *visitor, vklm_weights *weights)
{
    vklm_status status = visitor->matrix(visitor->opaque, &plan->embed, &weights->embed);
    for (uint32_t i = 0; i < plan->arch.n_layers && status == VKLM_OK; i++)
        status = visit_layer(plan, i, visitor, &weights->layers[i]);
    if (status == VKLM_OK)
        status = visitor->vector(visitor->opaque, &plan->final_norm, &weights->final_norm);
    if (status == VKLM_OK && !plan->arch.tied)
        status = visitor->matrix(visitor->opaque, &plan->lm_head, &weights->lm_head);
    return status;
}

vklm_status vklm_weights_create(const vklm_weights_plan *plan, vklm_weights **out_weights)
{
    *out_weights = vklm_alloc(1, sizeof **out_weights);
    if (!*out_weights)
        return vklm_fail_memory("the weights");
    (*out_weights)->arch = plan->arch;
    (*out_weights)->layers = vklm_alloc(plan->arch.n_layers, sizeof *(*out_weights)->layers);
    return (*out_weights)->layers ? VKLM_OK : vklm_fail_memory("the weights");
}

vklm_weight vklm_planned_matrix_weight(const vklm_planned_matrix *m, const vklm_gpu_arena *arena)
{
    return (vklm_weight){
        .data = vklm_gpu_arena_view(arena, m->slot),
        .format = m->format,
        .n_rows = m->n_rows,
        .n_cols = m->n_cols,
    };
}

vklm_gpu_view vklm_weights_plan_expert_rows(const vklm_weights_plan *plan,
                                            const vklm_gpu_arena *arena, uint32_t layer)
{
    const uint64_t bytes = plan->arch.n_experts * sizeof(struct vklm_args_expert);
    return vklm_gpu_view_part(vklm_gpu_arena_view(arena, plan->expert_table), layer * bytes, bytes);
}

static vklm_status view_matrix(void *opaque, const vklm_planned_matrix *m, vklm_weight *out)
{
    *out = vklm_planned_matrix_weight(m, opaque);
    return VKLM_OK;
}

static vklm_status view_vector(void *opaque, const vklm_planned_vector *v, vklm_gpu_view *out)
{
    *out = vklm_gpu_arena_view(opaque, v->slot);
    return VKLM_OK;
}

vklm_status vklm_weights_place(const vklm_weights_plan *plan, vklm_gpu_device *device,
                               vklm_weights **out_weights)
{
    *out_weights = NULL;
    vklm_weights *w;
    vklm_status status = vklm_weights_create(plan, &w);
    if (status == VKLM_OK)
        status = vklm_gpu_arena_create(device, &plan->layout, &w->arena);
    if (status == VKLM_OK)
        status = vklm_weights_plan_visit(plan,
                                         &(vklm_weights_visitor){.matrix = view_matrix,
                                                                 .vector = view_vector,
                                                                 .opaque = w->arena},
                                         w);
    if (status != VKLM_OK) {
        vklm_weights_destroy(w);
        return status;
    }
    for (uint32_t i = 0; plan->arch.n_experts && i < plan->arch.n_layers; i++)
        w->layers[i].experts.table = vklm_weights_plan_expert_rows(plan, w->arena, i);
    if (plan->arch.tied)
        w->lm_head = w->embed;
    w->rope = vklm_gpu_arena_view(w->arena, plan->rope);
    *out_weights = w;
    return VKLM_OK;
}

uint64_t vklm_weights_layer_bytes(const vklm_weights *weights, uint32_t layer)
{
    const vklm_layer_weights *l = &weights->layers[layer];
    const vklm_experts *e = &l->experts;
    const uint64_t attention = l->qkv.data.bytes + l->out.data.bytes;
    if (weights->arch.n_experts == 0)
        return attention + l->gate_up.data.bytes + l->down.data.bytes;
    return attention +
           e->top_k * (vklm_format_bytes(e->gate_up_format, 2 * e->n_intermediate, e->n_hidden) +
                       vklm_format_bytes(e->down_format, e->n_hidden, e->n_intermediate));
}

void vklm_weights_destroy(vklm_weights *weights)
{
    if (!weights)
        return;
    vklm_gpu_arena_destroy(weights->arena);
    free(weights->layers);
    free(weights);
}
