// model/weights_plan.h: the plan as weights.c makes it; loader.c and packer.c carry it out.
#ifndef VKLM_MODEL_WEIGHTS_PLAN_H
#define VKLM_MODEL_WEIGHTS_PLAN_H

#include "model/weights.h"

typedef struct {
    vklm_matrix_class class;
    vklm_tensor_role first, last; // these tensors, one after the other
    uint32_t layer, expert;
    bool of_expert; // one of several MLPs of its layer
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
    const vklm_source *source;
    vklm_arch arch;
    vklm_weights_kind kind;
    vklm_gpu_layout layout;
    vklm_planned_matrix embed, lm_head; // lm_head is unused when tied
    vklm_planned_layer *layers;         // [arch.n_layers]
    vklm_planned_vector final_norm;
    vklm_gpu_slot rope;
    vklm_gpu_slot expert_table; // of models with experts
};

enum { VKLM_MATRIX_NAME_BYTES = 64 };

// "layers.3.qkv", "layers.3.experts.5.down": its name in packed files.
void vklm_planned_matrix_name(const vklm_planned_matrix *matrix,
                              char out_name[VKLM_MATRIX_NAME_BYTES]);

// Where it lies in the plan's arena.
vklm_weight vklm_planned_matrix_weight(const vklm_planned_matrix *matrix,
                                       const vklm_gpu_arena *arena);

// The experts' addresses of a layer: a part of the table.
vklm_gpu_view vklm_weights_plan_expert_rows(const vklm_weights_plan *plan,
                                            const vklm_gpu_arena *arena, uint32_t layer);

// MLPs of a layer: the experts, or one.
uint32_t vklm_weights_plan_mlps(const vklm_weights_plan *plan);

// Something that is done to every weight, in the order in which a forward pass needs them. The
// results go into the weights; a tied lm_head is not visited. What is done to the experts' matrices
// gives addresses, one row of the table for each: `table` [n_experts] takes those of a layer. NULL:
// nobody asks for them.
typedef struct {
    vklm_status (*matrix)(void *opaque, const vklm_planned_matrix *matrix, vklm_weight *out);
    vklm_status (*vector)(void *opaque, const vklm_planned_vector *vector, vklm_gpu_view *out);
    vklm_status (*table)(void *opaque, uint32_t layer, const struct vklm_args_expert *rows);
    void *opaque;
} vklm_weights_visitor;
vklm_status vklm_weights_plan_visit(const vklm_weights_plan *plan,
                                    const vklm_weights_visitor *visitor, vklm_weights *weights);

#endif
