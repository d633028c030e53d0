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
                               uint32_t layer, uint32_t expert, vklm_planned_matrix *out)
{
    vklm_tensor head = vklm_checkpoint_expert_tensor(p->checkpoint, first, layer, expert);
    *out = (vklm_planned_matrix){
        .first = first,
        .last = last,
        .layer = layer,
        .expert = expert,
        .format = vklm_format_of_dtype(head.info->dtype),
        .n_cols = (uint32_t)head.info->shape[1],
    };
    uint64_t bytes = 0;
    for (vklm_tensor_role role = first; role <= last; role++) {
        vklm_tensor t = vklm_checkpoint_expert_tensor(p->checkpoint, role, layer, expert);
        if (t.info->dtype != head.info->dtype)
            return vklm_fail(VKLM_UNSUPPORTED, "tensor %s is %s, but %s is %s; they must agree",
                             t.info->name, vklm_dtype_name(t.info->dtype), head.info->name,
                             vklm_dtype_name(head.info->dtype));
        out->n_rows += (uint32_t)t.info->shape[0];
        bytes += t.info->bytes;
    }
    return vklm_gpu_layout_add(&p->layout, bytes, &out->slot);
}

// A norm's weights, or the router's.
static vklm_status plan_vector(vklm_weights_plan *p, vklm_tensor_role role, uint32_t layer,
                               vklm_planned_vector *out)
{
    uint64_t shape[2];
    vklm_tensor_shape(&p->arch, role, shape);
    *out = (vklm_planned_vector){
        .role = role, .layer = layer, .n = (uint32_t)(shape[0] * shape[1])};
    return vklm_gpu_layout_add(&p->layout, (uint64_t)out->n * sizeof(float), &out->slot);
}

uint32_t vklm_weights_plan_mlps(const vklm_weights_plan *plan)
{
    return plan->arch.n_experts ? plan->arch.n_experts : 1;
}

static vklm_status plan_mlp(vklm_weights_plan *p, uint32_t layer, uint32_t expert,
                            vklm_planned_mlp *out)
{
    vklm_status status =
        plan_matrix(p, VKLM_TENSOR_GATE, VKLM_TENSOR_UP, layer, expert, &out->gate_up);
    if (status == VKLM_OK)
        status = plan_matrix(p, VKLM_TENSOR_DOWN, VKLM_TENSOR_DOWN, layer, expert, &out->down);
    return status;
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
            status = vklm_fail(VKLM_UNSUPPORTED,
                               "layer %u: expert %u has another dtype than expert 0; they must agree",
                               layer, i);
    }
    return status;
}

static vklm_status plan_layer(vklm_weights_plan *p, uint32_t layer)
{
    vklm_planned_layer *l = &p->layers[layer];
    vklm_status status = plan_vector(p, VKLM_TENSOR_ATTN_NORM, layer, &l->attn_norm);
    if (status == VKLM_OK)
        status = plan_matrix(p, VKLM_TENSOR_Q, VKLM_TENSOR_V, layer, 0, &l->qkv);
    if (status == VKLM_OK)
        status = plan_matrix(p, VKLM_TENSOR_O, VKLM_TENSOR_O, layer, 0, &l->out);
    if (status == VKLM_OK)
        status = plan_vector(p, VKLM_TENSOR_MLP_NORM, layer, &l->mlp_norm);
    return status == VKLM_OK ? plan_mlps(p, layer) : status;
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
        status = plan_matrix(p, VKLM_TENSOR_EMBED, VKLM_TENSOR_EMBED, 0, 0, &p->embed);
    for (uint32_t layer = 0; layer < p->arch.n_layers && status == VKLM_OK; layer++)
        status = plan_layer(p, layer);
    if (status == VKLM_OK)
        status = plan_vector(p, VKLM_TENSOR_FINAL_NORM, 0, &p->final_norm);
    if (status == VKLM_OK && !p->arch.tied)
        status = plan_matrix(p, VKLM_TENSOR_LM_HEAD, VKLM_TENSOR_LM_HEAD, 0, 0, &p->lm_head);
    if (status == VKLM_OK)
        status = vklm_gpu_layout_add(&p->layout,
                                     (uint64_t)p->arch.n_positions * p->arch.head_dim * sizeof(float),
                                     &p->rope);
    if (status == VKLM_OK && p->arch.n_experts)
        status = vklm_gpu_layout_add(&p->layout,
                                     (uint64_t)p->arch.n_layers * p->arch.n_experts *
                                         sizeof(struct vklm_args_expert),
                                     &p->expert_table);
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

void vklm_weights_destroy(vklm_weights *weights)
{
    if (!weights)
        return;
    vklm_gpu_arena_destroy(weights->arena);
    free(weights->layers);
    free(weights);
}
