// checkpoint/arch.h: what config.json says about a model: the shapes of everything.
#ifndef VKLM_CHECKPOINT_ARCH_H
#define VKLM_CHECKPOINT_ARCH_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "checkpoint/safetensors.h"

enum { VKLM_ARCH_MAX_EOS = 8, VKLM_ARCH_MAX_EXPERTS = 64, VKLM_ARCH_MAX_TOP_K = 8 };

typedef struct {
    char architecture[64];   // "LlamaForCausalLM", "MixtralForCausalLM"
    uint32_t n_vocab;        // rows of the embedding: may exceed the tokenizer's ids
    uint32_t n_hidden;       // width of the residual stream
    uint32_t n_intermediate; // width of the MLP, or of each expert's
    uint32_t n_layers;
    uint32_t n_heads, n_kv_heads, head_dim;
    uint32_t n_experts,
        top_k; // MLPs of a layer, and how many of them a token uses; 0, 0: one MLP for all
    uint32_t n_positions; // the longest context the model was trained for
    float rms_eps;
    double rope_theta;
    bool tied;        // lm_head is the embedding
    vklm_dtype dtype; // that the weights are said to have; the tensors themselves decide
    bool has_bos;
    uint32_t bos_id, n_eos, eos_ids[VKLM_ARCH_MAX_EOS];
} vklm_arch;

// Parses config.json text (Hugging Face transformers 4.x and 5.x spellings). `name` is for the
// messages. VKLM_UNSUPPORTED names the field when the model asks for something that vklm does not
// do.
vklm_status vklm_arch_parse(const char *text, size_t len, const char *name, vklm_arch *out_arch);

// Reads `folder`/config.json, and the eos ids of generation_config.json where there is one.
vklm_status vklm_arch_load(const char *folder, vklm_arch *out_arch);

// The tensors of a model, in the order in which a forward pass needs them.
typedef enum {
    VKLM_TENSOR_EMBED = 0,
    VKLM_TENSOR_ATTN_NORM, // from here on: one per layer
    VKLM_TENSOR_Q,
    VKLM_TENSOR_K,
    VKLM_TENSOR_V,
    VKLM_TENSOR_O,
    VKLM_TENSOR_MLP_NORM,
    VKLM_TENSOR_ROUTER, // of models with experts
    VKLM_TENSOR_GATE,   // from here on, in models with experts: one per expert
    VKLM_TENSOR_UP,
    VKLM_TENSOR_DOWN,
    VKLM_TENSOR_FINAL_NORM, // once again
    VKLM_TENSOR_LM_HEAD,
    VKLM_TENSOR_ROLES,
} vklm_tensor_role;

enum { VKLM_TENSOR_NAME_BYTES = 128 };

bool vklm_tensor_per_layer(vklm_tensor_role role);

// How many tensors of a role each layer has (or the model, for those that are not per layer): 0, 1,
// or the number of experts.
uint32_t vklm_tensor_count(const vklm_arch *arch, vklm_tensor_role role);

// The name in a checkpoint, such as "model.layers.3.self_attn.q_proj.weight".
void vklm_tensor_name(vklm_tensor_role role, uint32_t layer, char out_name[VKLM_TENSOR_NAME_BYTES]);

// The name of a matrix of an expert, such as "model.layers.3.block_sparse_moe.experts.5.w1.weight".
void vklm_tensor_expert_name(vklm_tensor_role role, uint32_t layer, uint32_t expert,
                             char out_name[VKLM_TENSOR_NAME_BYTES]);

// transformers 5 may save a layer's experts as two tensors, "…mlp.experts.gate_up_proj" [n_experts,
// 2 n_intermediate, n_hidden] (gate rows, then up rows) and "…down_proj" [n_experts, n_hidden,
// n_intermediate], and calls the router "…mlp.gate.weight". False when a role has no such name.
bool vklm_tensor_fused_name(vklm_tensor_role role, uint32_t layer,
                            char out_name[VKLM_TENSOR_NAME_BYTES]);

// Its shape: 1 or 2 dimensions, [out, in].
uint32_t vklm_tensor_shape(const vklm_arch *arch, vklm_tensor_role role, uint64_t out_shape[2]);

// All parameters of the model, a tied lm_head counted once.
uint64_t vklm_arch_parameters(const vklm_arch *arch);

// Those of them that one token uses: of the experts, top_k.
uint64_t vklm_arch_active_parameters(const vklm_arch *arch);

#endif
