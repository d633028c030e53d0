// Planning: every tensor of the checkpoint gets its place. Loading is in loader.c.
#include "model/weights_plan.h"

#include <stdlib.h>

#include "base/array.h"

vklm_format vklm_format_of_dtype(vklm_dtype dtype)
{
    static const vklm_format formats[] = {
        [VKLM_DTYPE_F32] = VKLM_FORMAT_F32,
        [VKLM_DTYPE_F16] = VKLM_FORMAT_F16,
        [VKLM_DTYPE_BF16] = VKLM_FORMAT_BF16,
    };
    return formats[dtype];
}

// Tensors [first, last] of a layer as one matrix.
static vklm_status plan_matrix(vklm_weights_plan *p, vklm_tensor_role first, vklm_tensor_role last,
                               uint32_t layer, vklm_planned_matrix *out)
{
    vklm_tensor head = vklm_checkpoint_tensor(p->checkpoint, first, layer);
    *out = (vklm_planned_matrix){
        .first = first,
        .last = last,
        .layer = layer,
        .format = vklm_format_of_dtype(head.info->dtype),
        .n_cols = (uint32_t)head.info->shape[1],
    };
    uint64_t bytes = 0;
    for (vklm_tensor_role role = first; role <= last; role++) {
        vklm_tensor t = vklm_checkpoint_tensor(p->checkpoint, role, layer);
        if (t.info->dtype != head.info->dtype)
            return vklm_fail(VKLM_UNSUPPORTED, "tensor %s is %s, but %s is %s; they must agree",
                             t.info->name, vklm_dtype_name(t.info->dtype), head.info->name,
                             vklm_dtype_name(head.info->dtype));
        out->n_rows += (uint32_t)t.info->shape[0];
        bytes += t.info->bytes;
    }
    return vklm_gpu_layout_add(&p->layout, bytes, &out->slot);
}

static vklm_status plan_vector(vklm_weights_plan *p, vklm_tensor_role role, uint32_t layer,
                               vklm_planned_vector *out)
{
    *out = (vklm_planned_vector){.role = role, .layer = layer};
    return vklm_gpu_layout_add(&p->layout, p->arch.n_hidden * sizeof(float), &out->slot);
}

static vklm_status plan_layer(vklm_weights_plan *p, uint32_t layer)
{
    vklm_planned_layer *l = &p->layers[layer];
    vklm_status status = plan_vector(p, VKLM_TENSOR_ATTN_NORM, layer, &l->attn_norm);
    if (status == VKLM_OK)
        status = plan_matrix(p, VKLM_TENSOR_Q, VKLM_TENSOR_V, layer, &l->qkv);
    if (status == VKLM_OK)
        status = plan_matrix(p, VKLM_TENSOR_O, VKLM_TENSOR_O, layer, &l->out);
    if (status == VKLM_OK)
        status = plan_vector(p, VKLM_TENSOR_MLP_NORM, layer, &l->mlp_norm);
    if (status == VKLM_OK)
        status = plan_matrix(p, VKLM_TENSOR_GATE, VKLM_TENSOR_UP, layer, &l->gate_up);
    if (status == VKLM_OK)
        status = plan_matrix(p, VKLM_TENSOR_DOWN, VKLM_TENSOR_DOWN, layer, &l->down);
    return status;
}

vklm_status vklm_weights_plan_create(const vklm_checkpoint *checkpoint, const vklm_gpu_caps *caps,
                                     vklm_weights_plan **out_plan)
{
    *out_plan = NULL;
    vklm_weights_plan *p = vklm_alloc(1, sizeof *p);
    if (!p)
        return vklm_fail_memory("the memory plan");
    p->checkpoint = checkpoint;
    p->arch = *vklm_checkpoint_arch(checkpoint);
    vklm_gpu_layout_init(caps, &p->layout);
    p->layers = vklm_alloc(p->arch.n_layers, sizeof *p->layers);
    vklm_status status = p->layers ? VKLM_OK : vklm_fail_memory("the memory plan");
    if (status == VKLM_OK)
        status = plan_matrix(p, VKLM_TENSOR_EMBED, VKLM_TENSOR_EMBED, 0, &p->embed);
    for (uint32_t layer = 0; layer < p->arch.n_layers && status == VKLM_OK; layer++)
        status = plan_layer(p, layer);
    if (status == VKLM_OK)
        status = plan_vector(p, VKLM_TENSOR_FINAL_NORM, 0, &p->final_norm);
    if (status == VKLM_OK && !p->arch.tied)
        status = plan_matrix(p, VKLM_TENSOR_LM_HEAD, VKLM_TENSOR_LM_HEAD, 0, &p->lm_head);
    if (status == VKLM_OK)
        status = vklm_gpu_layout_add(&p->layout,
                                     (uint64_t)p->arch.n_positions * p->arch.head_dim * sizeof(float),
                                     &p->rope);
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

void vklm_weights_destroy(vklm_weights *weights)
{
    if (!weights)
        return;
    vklm_gpu_arena_destroy(weights->arena);
    free(weights->layers);
    free(weights);
}
