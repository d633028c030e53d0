// model/weights.h: a model's weights on the device.
//
// Tensors that one kernel reads together lie one after the other, so that they are one matrix: q, k
// and v rows; gate and up rows.
#ifndef VKLM_MODEL_WEIGHTS_H
#define VKLM_MODEL_WEIGHTS_H

#include "gpu/device.h"
#include "model/importance.h"
#include "model/source.h"
#include "ops/experts.h"
#include "ops/weight.h"

typedef struct {
    vklm_gpu_view attn_norm; // f32 [n_hidden]
    vklm_weight qkv;         // [(n_heads + 2 n_kv_heads) * head_dim, n_hidden]
    vklm_weight out;         // [n_hidden, n_heads * head_dim]
    vklm_gpu_view mlp_norm;  // f32 [n_hidden]
    // Of models without experts:
    vklm_weight gate_up; // [2 * n_intermediate, n_hidden]
    vklm_weight down;    // [n_hidden, n_intermediate]
    // Of models with experts:
    vklm_gpu_view router; // f32 [n_experts, n_hidden]
    vklm_experts experts; // each with a gate_up and a down, where expert_table says
} vklm_layer_weights;

typedef struct {
    vklm_arch arch;
    vklm_weight embed;          // [n_vocab, n_hidden]
    vklm_layer_weights *layers; // [arch.n_layers]
    vklm_gpu_view final_norm;   // f32 [n_hidden]
    vklm_weight lm_head;        // [n_vocab, n_hidden]; the embedding itself when tied
    vklm_gpu_view rope;         // f32 [n_positions, head_dim / 2, 2]: cos, sin
    vklm_gpu_view expert_table; // vklm_args_expert [n_layers, n_experts]: may be rewritten between
                                // submits
    vklm_gpu_arena *arena;      // owns the memory of all of them
} vklm_weights;

// Where everything will lie, before any of it is allocated.
typedef struct vklm_weights_plan vklm_weights_plan;

// From shapes alone: no data is read. AUTO is what the source has. VKLM_UNSUPPORTED when tensors
// that must form one matrix differ in dtype; VKLM_INVALID_ARGUMENT when a packed source is of
// another kind. `caps` may be NULL when nothing will be loaded. The source must outlive the plan.
vklm_status vklm_weights_plan_create(const vklm_source *source, vklm_weights_kind kind,
                                     const vklm_gpu_caps *caps, vklm_weights_plan **out_plan);
void vklm_weights_plan_destroy(vklm_weights_plan *plan); // takes NULL
uint64_t vklm_weights_plan_bytes(const vklm_weights_plan *plan);

// Called as tensors arrive; returning false cancels the load (VKLM_CANCELLED).
typedef bool (*vklm_load_progress)(void *opaque, uint64_t done_bytes, uint64_t total_bytes);

typedef struct {
    vklm_load_progress progress; // may be NULL
    void *opaque;
    const vklm_importance *importance; // for packing; may be NULL
    bool verify;                       // compare a packed source with its checksums
} vklm_load_params;

// Allocates and fills the weights through the staging ring, packing on all processors where the
// plan asks for it; host memory beyond the source's mapping stays at the size of that ring.
// `params` may be NULL.
vklm_status vklm_weights_load(const vklm_weights_plan *plan, vklm_gpu_device *device,
                              const vklm_load_params *params, vklm_weights **out_weights);

// The same without the data: every view is where the load would put it. On a dry device, for
// recorders that only list what they would do.
vklm_status vklm_weights_place(const vklm_weights_plan *plan, vklm_gpu_device *device,
                               vklm_weights **out_weights);

// Bytes of a layer's matrices that one token reads: of the experts', those that it is sent to.
uint64_t vklm_weights_layer_bytes(const vklm_weights *weights, uint32_t layer);

// The structure without memory, for loader.c and packer.c.
vklm_status vklm_weights_create(const vklm_weights_plan *plan, vklm_weights **out_weights);
void vklm_weights_destroy(vklm_weights *weights); // takes NULL

#endif
