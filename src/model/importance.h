// model/importance.h: how much each input column of a matrix matters: mean squared activations,
// gathered over a text.
//
// A safetensors file with one f32 vector [n_cols] per matrix, under the matrix's name
// ("layers.3.qkv").
#ifndef VKLM_MODEL_IMPORTANCE_H
#define VKLM_MODEL_IMPORTANCE_H

#include "base/file.h"
#include "checkpoint/safetensors.h"

typedef struct {
    vklm_file_map map;
    vklm_safetensors header;
    char *path;
} vklm_importance;

vklm_status vklm_importance_open(const char *path, vklm_importance *out_importance);
void vklm_importance_close(vklm_importance *importance); // takes a zeroed one

// A matrix's vector, in the mapping; NULL, without an error, when the file has none for it.
// VKLM_BAD_FILE when it is not [n_cols] finite numbers of at least zero.
vklm_status vklm_importance_find(const vklm_importance *importance, const char *name,
                                 uint32_t n_cols, const float **out_values);

#endif
