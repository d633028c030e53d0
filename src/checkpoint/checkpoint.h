// checkpoint/checkpoint.h: a Hugging Face model folder: its shapes, and its tensors where they lie
// in the mapped files.
#ifndef VKLM_CHECKPOINT_CHECKPOINT_H
#define VKLM_CHECKPOINT_CHECKPOINT_H

#include "base/file.h"
#include "checkpoint/arch.h"

typedef struct vklm_checkpoint vklm_checkpoint;

typedef struct {
    const vklm_tensor_info *info;
    const unsigned char *data; // info->bytes of it, in the mapping
    const vklm_file_map *map;  // for vklm_file_map_drop; info->offset is its place there
} vklm_tensor;

// Opens config.json and model.safetensors, or the shards that model.safetensors.index.json names.
// Every tensor the architecture needs must be there with its shape, and no other: the failure names
// the file, the tensor, what was wanted and what was found. No tensor data is read.
vklm_status vklm_checkpoint_open(const char *folder, vklm_checkpoint **out_checkpoint);
void vklm_checkpoint_close(vklm_checkpoint *checkpoint); // takes NULL

const vklm_arch *vklm_checkpoint_arch(const vklm_checkpoint *checkpoint);

// A tensor of the architecture; present by the check at opening. A tied lm_head is the embedding.
vklm_tensor vklm_checkpoint_tensor(const vklm_checkpoint *checkpoint, vklm_tensor_role role,
                                   uint32_t layer);

// The same for a matrix of one expert, whether it is a tensor of its own or a part of one that
// holds all experts of the layer.
vklm_tensor vklm_checkpoint_expert_tensor(const vklm_checkpoint *checkpoint, vklm_tensor_role role,
                                          uint32_t layer, uint32_t expert);

// Bytes of all tensors.
uint64_t vklm_checkpoint_bytes(const vklm_checkpoint *checkpoint);

#endif
