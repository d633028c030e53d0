// checkpoint/synth.h: random checkpoints of the exact shapes, names, dtype and sharding of real
// models.
//
// Every value follows from the seed, the tensor and the element's place alone, so that the files do
// not depend on threads, and nothing but a few MiB is ever in memory.
#ifndef VKLM_CHECKPOINT_SYNTH_H
#define VKLM_CHECKPOINT_SYNTH_H

#include "checkpoint/safetensors.h"

typedef struct {
    const char *name; // of the preset
    uint32_t n_vocab, n_hidden, n_intermediate, n_layers, n_heads, head_dim, n_positions;
    uint32_t n_experts; // 0: a dense model
    double rms_eps;
} vklm_synth_preset;

// NULL when there is none of that name; vklm_synth_preset_names lists them for a message.
const vklm_synth_preset *vklm_synth_preset_find(const char *name);
const char *vklm_synth_preset_names(void);

// One file. Tensors are in the order of their names, as the safetensors library stores them.
typedef struct {
    char name[64];
    vklm_tensor_info *tensors;
    size_t n_tensors, capacity;
    uint64_t bytes; // of the tensors
} vklm_synth_shard;

typedef struct {
    const vklm_synth_preset *preset;
    uint32_t n_layers;
    vklm_synth_shard *shards;
    size_t n_shards, capacity;
    uint64_t bytes;
} vklm_synth_plan;

// n_layers 0: the preset's. Files are filled as transformers does it: in the order of the state
// dict, a new one when 5 * 10^9 bytes would be exceeded.
vklm_status vklm_synth_plan_init(const vklm_synth_preset *preset, uint32_t n_layers,
                                 vklm_synth_plan *out_plan);
void vklm_synth_plan_finish(vklm_synth_plan *plan); // takes a zeroed one

// Writes config.json, the shards and their index into a folder that exists; each file appears
// complete, the index last. `progress` may be NULL; false cancels.
vklm_status vklm_synth_write(const vklm_synth_plan *plan, uint64_t seed, const char *folder,
                             bool (*progress)(void *opaque, uint64_t done, uint64_t total),
                             void *opaque);

#endif
