// model/recipe.h: which format each weight matrix gets.
#ifndef VKLM_MODEL_RECIPE_H
#define VKLM_MODEL_RECIPE_H

#include <vklm/engine.h>

#include "quant/format.h"

// What a matrix is for.
typedef enum {
    VKLM_MATRIX_EMBED = 0,
    VKLM_MATRIX_QKV,
    VKLM_MATRIX_OUT,
    VKLM_MATRIX_GATE_UP,
    VKLM_MATRIX_DOWN,
    VKLM_MATRIX_LM_HEAD,
    VKLM_MATRIX_CLASSES,
} vklm_matrix_class;

// "embed", "qkv" …: its name in packed files and importance files, for a layer's matrix behind
// "layers.N.".
const char *vklm_matrix_class_name(vklm_matrix_class matrix);

// The format that a kind (not AUTO) gives to a matrix whose values are stored in `stored`. Where
// the columns are no multiple of the format's group the next better one is taken: q4 (256) falls
// back to q8 (32), q8 to what is stored.
vklm_format vklm_recipe_format(vklm_weights_kind kind, vklm_matrix_class matrix, uint32_t n_cols,
                               vklm_format stored);

#endif
