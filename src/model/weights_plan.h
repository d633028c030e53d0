// model/weights_plan.h: the plan as weights.c makes it and loader.c carries it out; private to the two.
#ifndef VKLM_MODEL_WEIGHTS_PLAN_H
#define VKLM_MODEL_WEIGHTS_PLAN_H

#include "model/weights.h"

typedef struct {
    vklm_tensor_role first, last; // these tensors, one after the other
    uint32_t layer, expert;
    vklm_format format;
    uint32_t n_rows, n_cols;
    vklm_gpu_slot slot;
} vklm_planned_matrix;

typedef struct {
    vklm_tensor_role role;
    uint32_t layer, n;  // elements
    vklm_gpu_slot slot; // f32
} vklm_planned_vector;

typedef struct {
    vklm_planned_matrix gate_up, down;
} vklm_planned_mlp;

typedef struct {
    vklm_planned_vector attn_norm, mlp_norm;
    vklm_planned_matrix qkv, out;
    vklm_planned_vector router; // of models with experts
    vklm_planned_mlp *mlps;     // [n_experts, or 1]
} vklm_planned_layer;

struct vklm_weights_plan {
    const vklm_checkpoint *checkpoint;
    vklm_arch arch;
    vklm_gpu_layout layout;
    vklm_planned_matrix embed, lm_head; // lm_head is unused when tied
    vklm_planned_layer *layers;         // [arch.n_layers]
    vklm_planned_vector final_norm;
    vklm_gpu_slot rope;
    vklm_gpu_slot expert_table; // of models with experts
};

// MLPs of a layer: the experts, or one.
uint32_t vklm_weights_plan_mlps(const vklm_weights_plan *plan);

vklm_format vklm_format_of_dtype(vklm_dtype dtype);

#endif
