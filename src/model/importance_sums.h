// model/importance_sums.h: gathering an importance file (model/importance.h) on the device: while
// prompts are computed, the squares of every matrix's inputs are summed up, column by column.
#ifndef VKLM_MODEL_IMPORTANCE_SUMS_H
#define VKLM_MODEL_IMPORTANCE_SUMS_H

#include "checkpoint/arch.h"
#include "gpu/cmd.h"
#include "model/recipe.h"

typedef struct {
    vklm_gpu_view qkv, out, gate_up, down; // f32 [columns of the matrix]
} vklm_importance_layer;

typedef struct vklm_importance_sums {
    uint32_t n_layers;
    uint64_t n_rows; // activations that were summed
    vklm_importance_layer *layers;
    vklm_gpu_arena *arena;
} vklm_importance_sums;

// All sums are zero.
vklm_status vklm_importance_sums_init(vklm_gpu_device *device, const vklm_arch *arch,
                                      vklm_importance_sums *out_sums);
void vklm_importance_sums_finish(vklm_importance_sums *sums); // takes a zeroed one

// Adds n rows of inputs of a layer's matrix. NULL sums: nothing is recorded.
void vklm_importance_sums_record(vklm_gpu_cmd *cmd, const vklm_importance_sums *sums,
                                 uint32_t layer, vklm_matrix_class matrix, vklm_gpu_view x,
                                 uint32_t n_rows);

// Reads the sums back and writes their means over n_rows.
vklm_status vklm_importance_sums_write(const vklm_importance_sums *sums, vklm_gpu_device *device,
                                       const char *path);

#endif
