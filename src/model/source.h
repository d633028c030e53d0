// model/source.h: a model folder of either kind: a Hugging Face checkpoint, a packed model, or only
// a config.json, from which a plan can be made.
#ifndef VKLM_MODEL_SOURCE_H
#define VKLM_MODEL_SOURCE_H

#include "checkpoint/checkpoint.h"
#include "model/packed.h"

typedef struct {
    vklm_arch arch;
    vklm_checkpoint *checkpoint; // at most one of the two
    vklm_packed *packed;
} vklm_source;

// `config_alone`: a folder without weights is fine too.
vklm_status vklm_source_open(const char *folder, bool config_alone, vklm_source *out_source);
void vklm_source_close(vklm_source *source); // takes a zeroed one

// Bytes of all weights in the folder's files; 0 when there are none.
uint64_t vklm_source_bytes(const vklm_source *source);

// The format of a checkpoint's dtype.
vklm_format vklm_format_of_dtype(vklm_dtype dtype);

#endif
