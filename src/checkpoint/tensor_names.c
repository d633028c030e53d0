// The names and shapes of a model's tensors, as transformers saves them.
#include "checkpoint/arch.h"

#include <stdio.h>

// A dimension of a shape, by what it counts.
typedef enum { NONE = 0, VOCAB, HIDDEN, INTERMEDIATE, HEADS, KV_HEADS, EXPERTS } dimension;

static const struct {
    const char *name; // of a layer's tensor: what follows "model.layers.N."
    dimension rows, cols;
} tensors[VKLM_TENSOR_ROLES] = {
    [VKLM_TENSOR_EMBED] = {"model.embed_tokens.weight", VOCAB, HIDDEN},
    [VKLM_TENSOR_ATTN_NORM] = {"input_layernorm.weight", HIDDEN, NONE},
    [VKLM_TENSOR_Q] = {"self_attn.q_proj.weight", HEADS, HIDDEN},
    [VKLM_TENSOR_K] = {"self_attn.k_proj.weight", KV_HEADS, HIDDEN},
    [VKLM_TENSOR_V] = {"self_attn.v_proj.weight", KV_HEADS, HIDDEN},
    [VKLM_TENSOR_O] = {"self_attn.o_proj.weight", HIDDEN, HEADS},
    [VKLM_TENSOR_MLP_NORM] = {"post_attention_layernorm.weight", HIDDEN, NONE},
    [VKLM_TENSOR_ROUTER] = {"block_sparse_moe.gate.weight", EXPERTS, HIDDEN},
    [VKLM_TENSOR_GATE] = {"mlp.gate_proj.weight", INTERMEDIATE, HIDDEN},
    [VKLM_TENSOR_UP] = {"mlp.up_proj.weight", INTERMEDIATE, HIDDEN},
    [VKLM_TENSOR_DOWN] = {"mlp.down_proj.weight", HIDDEN, INTERMEDIATE},
    [VKLM_TENSOR_FINAL_NORM] = {"model.norm.weight", HIDDEN, NONE},
    [VKLM_TENSOR_LM_HEAD] = {"lm_head.weight", VOCAB, HIDDEN},
};

// Of the matrices that each expert has: what follows "model.layers.N.block_sparse_moe.experts.E."
static const char *const expert_names[VKLM_TENSOR_ROLES] = {
    [VKLM_TENSOR_GATE] = "w1.weight",
    [VKLM_TENSOR_UP] = "w3.weight",
    [VKLM_TENSOR_DOWN] = "w2.weight",
};

static uint64_t size_of(const vklm_arch *arch, dimension d)
{
    switch (d) {
    case VOCAB:
        return arch->n_vocab;
    case HIDDEN:
        return arch->n_hidden;
    case INTERMEDIATE:
        return arch->n_intermediate;
    case HEADS:
        return (uint64_t)arch->n_heads * arch->head_dim;
    case KV_HEADS:
        return (uint64_t)arch->n_kv_heads * arch->head_dim;
    case EXPERTS:
        return arch->n_experts;
    case NONE:
        break;
    }
    return 1;
}

bool vklm_tensor_per_layer(vklm_tensor_role role)
{
    return role >= VKLM_TENSOR_ATTN_NORM && role <= VKLM_TENSOR_DOWN;
}

uint32_t vklm_tensor_count(const vklm_arch *arch, vklm_tensor_role role)
{
    if (role == VKLM_TENSOR_ROUTER)
        return arch->n_experts ? 1 : 0;
    return expert_names[role] && arch->n_experts ? arch->n_experts : 1;
}

void vklm_tensor_name(vklm_tensor_role role, uint32_t layer, char out_name[VKLM_TENSOR_NAME_BYTES])
{
    if (vklm_tensor_per_layer(role))
        snprintf(out_name, VKLM_TENSOR_NAME_BYTES, "model.layers.%u.%s", layer, tensors[role].name);
    else
        snprintf(out_name, VKLM_TENSOR_NAME_BYTES, "%s", tensors[role].name);
}

void vklm_tensor_expert_name(vklm_tensor_role role, uint32_t layer, uint32_t expert,
                             char out_name[VKLM_TENSOR_NAME_BYTES])
{
    snprintf(out_name, VKLM_TENSOR_NAME_BYTES, "model.layers.%u.block_sparse_moe.experts.%u.%s",
             layer, expert, expert_names[role]);
}

bool vklm_tensor_fused_name(vklm_tensor_role role, uint32_t layer,
                            char out_name[VKLM_TENSOR_NAME_BYTES])
{
    const char *name = role == VKLM_TENSOR_ROUTER                           ? "gate.weight"
                       : role == VKLM_TENSOR_GATE || role == VKLM_TENSOR_UP ? "experts.gate_up_proj"
                       : role == VKLM_TENSOR_DOWN                           ? "experts.down_proj"
                                                                            : NULL;
    if (name)
        snprintf(out_name, VKLM_TENSOR_NAME_BYTES, "model.layers.%u.mlp.%s", layer, name);
    return name != NULL;
}

uint32_t vklm_tensor_shape(const vklm_arch *arch, vklm_tensor_role role, uint64_t out_shape[2])
{
    out_shape[0] = size_of(arch, tensors[role].rows);
    out_shape[1] = size_of(arch, tensors[role].cols);
    return tensors[role].cols == NONE ? 1 : 2;
}

static uint64_t count_parameters(const vklm_arch *arch, uint32_t n_experts)
{
    uint64_t sum = 0;
    for (int role = 0; role < VKLM_TENSOR_ROLES; role++) {
        uint64_t shape[2];
        vklm_tensor_shape(arch, (vklm_tensor_role)role, shape);
        uint64_t times = vklm_tensor_per_layer((vklm_tensor_role)role) ? arch->n_layers : 1;
        uint64_t count = vklm_tensor_count(arch, (vklm_tensor_role)role);
        times *= count > 1 ? n_experts : count;
        if (role != VKLM_TENSOR_LM_HEAD || !arch->tied)
            sum += times * shape[0] * shape[1];
    }
    return sum;
}

uint64_t vklm_arch_parameters(const vklm_arch *arch)
{
    return count_parameters(arch, arch->n_experts);
}

uint64_t vklm_arch_active_parameters(const vklm_arch *arch)
{
    return count_parameters(arch, arch->top_k);
}
