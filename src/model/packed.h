// model/packed.h: a packed model folder: weights on disk as they will lie in device memory.
//
// The folder keeps config.json and the tokenizer's files of the model. Its weights are one
// safetensors file, VKLM_PACKED_FILE:
//
//   matrices   dtype U8, shape [bytes]: the planes of quant/format.h; named "embed", "layers.3.qkv"
//   … vectors    dtype F32, under the names of the checkpoint checksums  dtype U8: XXH64 (seed 0)
//   of every other tensor, little-endian, in the order of their data
//
// Its __metadata__ has "vklm_packed" = VKLM_PACKED_VERSION, "weights" = the recipe's name, and for
// every matrix "FORMAT ROWS COLUMNS" under its name.
#ifndef VKLM_MODEL_PACKED_H
#define VKLM_MODEL_PACKED_H

#include "base/file.h"
#include "checkpoint/safetensors.h"
#include "model/recipe.h"

#define VKLM_PACKED_FILE      "packed.safetensors"
#define VKLM_PACKED_VERSION   "1"
#define VKLM_PACKED_CHECKSUMS "checksums"

typedef struct {
    vklm_file_map map;
    vklm_safetensors header;
    vklm_weights_kind kind;
    char *path;
    const vklm_tensor_info **in_order; // of their data, [n_tensors - 1]: without the checksums
    const unsigned char *checksums;    // of those
} vklm_packed;

typedef struct {
    const vklm_tensor_info *info;
    const unsigned char *data;
    vklm_format format;
    uint32_t n_rows, n_cols;
} vklm_packed_matrix;

bool vklm_packed_exists(const char *folder);

// Checks the container, the version and the recipe; the data is not read.
vklm_status vklm_packed_open(const char *folder, vklm_packed **out_packed);
void vklm_packed_close(vklm_packed *packed); // takes NULL

// A matrix by its name; VKLM_BAD_FILE when it is missing, or not of this shape.
vklm_status vklm_packed_find(const vklm_packed *packed, const char *name, uint32_t n_rows,
                             uint32_t n_cols, vklm_packed_matrix *out);

// A vector of n values.
vklm_status vklm_packed_find_vector(const vklm_packed *packed, const char *name, uint64_t n,
                                    const vklm_tensor_info **out_info);

// Compares a tensor's bytes with its checksum; VKLM_BAD_FILE names it.
vklm_status vklm_packed_verify(const vklm_packed *packed, const vklm_tensor_info *info);

#endif
