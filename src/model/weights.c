// Planning: every weight gets its format and its place. Loading is in loader.c.
#include "model/weights_plan.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/array.h"

void vklm_planned_matrix_name(const vklm_planned_matrix *matrix,
                              char out_name[VKLM_MATRIX_NAME_BYTES])
{
    const char *name = vklm_matrix_class_name(matrix->class);
    if (vklm_tensor_per_layer(matrix->first))
        snprintf(out_name, VKLM_MATRIX_NAME_BYTES, "layers.%u.%s", matrix->layer, name);
    else
        snprintf(out_name, VKLM_MATRIX_NAME_BYTES, "%s", name);
}

// The one format that a checkpoint's tensors [first, last] of a layer have.
static vklm_status find_stored(const vklm_checkpoint *c, const vklm_planned_matrix *m,
                               vklm_format *out_stored)
{
    vklm_tensor head = vklm_checkpoint_tensor(c, m->first, m->layer);
    for (vklm_tensor_role role = m->first; role <= m->last; role++) {
        vklm_tensor t = vklm_checkpoint_tensor(c, role, m->layer);
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

// Tensors [first, last] of a layer as one matrix.
static vklm_status plan_matrix(vklm_weights_plan *p, vklm_matrix_class class,
                               vklm_tensor_role first, vklm_tensor_role last, uint32_t layer,
                               vklm_planned_matrix *out)
{
    *out = (vklm_planned_matrix){.class = class, .first = first, .last = last, .layer = layer};
    for (vklm_tensor_role role = first; role <= last; role++) {
        uint64_t shape[2];
        vklm_tensor_shape(&p->arch, role, shape);
        out->n_rows += (uint32_t)shape[0];
        out->n_cols = (uint32_t)shape[1];
    }
    vklm_status status = find_format(p, out);
    if (status != VKLM_OK)
        return status;
    return vklm_gpu_layout_add(&p->layout, vklm_format_bytes(out->format, out->n_rows, out->n_cols),
                               &out->slot);
}

static vklm_status plan_vector(vklm_weights_plan *p, vklm_tensor_role role, uint32_t layer,
                               vklm_planned_vector *out)
{
    *out = (vklm_planned_vector){.role = role, .layer = layer, .n = p->arch.n_hidden};
    if (p->source->packed) {
        char name[VKLM_TENSOR_NAME_BYTES];
        const vklm_tensor_info *info;
        vklm_tensor_name(role, layer, name);
        vklm_status status = vklm_packed_find_vector(p->source->packed, name, out->n, &info);
        if (status != VKLM_OK)
            return status;
    }
    return vklm_gpu_layout_add(&p->layout, p->arch.n_hidden * sizeof(float), &out->slot);
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
    if (status == VKLM_OK)
        status = plan_matrix(p, VKLM_MATRIX_GATE_UP, VKLM_TENSOR_GATE, VKLM_TENSOR_UP, layer,
                             &l->gate_up);
    if (status == VKLM_OK)
        status =
            plan_matrix(p, VKLM_MATRIX_DOWN, VKLM_TENSOR_DOWN, VKLM_TENSOR_DOWN, layer, &l->down);
    return status;
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
    free(plan->layers);
    free(plan);
}

uint64_t vklm_weights_plan_bytes(const vklm_weights_plan *plan)
{
    return vklm_gpu_layout_bytes(&plan->layout);
}

static vklm_status visit_layer(const vklm_planned_layer *p, const vklm_weights_visitor *v,
                               vklm_layer_weights *out)
{
    vklm_status status = v->vector(v->opaque, &p->attn_norm, &out->attn_norm);
    if (status == VKLM_OK)
        status = v->matrix(v->opaque, &p->qkv, &out->qkv);
    if (status == VKLM_OK)
        status = v->matrix(v->opaque, &p->out, &out->out);
    if (status == VKLM_OK)
        status = v->vector(v->opaque, &p->mlp_norm, &out->mlp_norm);
    if (status == VKLM_OK)
        status = v->matrix(v->opaque, &p->gate_up, &out->gate_up);
    if (status == VKLM_OK)
        status = v->matrix(v->opaque, &p->down, &out->down);
    return status;
}

vklm_status vklm_weights_plan_visit(const vklm_weights_plan *plan,
                                    const vklm_weights_visitor *visitor, vklm_weights *weights)
{
    vklm_status status = visitor->matrix(visitor->opaque, &plan->embed, &weights->embed);
    for (uint32_t i = 0; i < plan->arch.n_layers && status == VKLM_OK; i++)
        status = visit_layer(&plan->layers[i], visitor, &weights->layers[i]);
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

void vklm_weights_destroy(vklm_weights *weights)
{
    if (!weights)
        return;
    vklm_gpu_arena_destroy(weights->arena);
    free(weights->layers);
    free(weights);
}
