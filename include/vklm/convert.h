// vklm/convert.h: making model folders: packed copies, importance files, random models.
#ifndef VKLM_CONVERT_H
#define VKLM_CONVERT_H

#include <vklm/engine.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct vklm_pack_params {
    const char *model_dir;     // a Hugging Face model folder
    const char *out_dir;       // the folder to make; it must not exist yet, or be empty
    vklm_weights_kind weights; // AUTO: q4
    const char *importance;    // a file of vklm_session_write_importance. Default: none
    vklm_load_callback progress;
    void *opaque;
} vklm_pack_params;

// Writes a packed copy of a model: its weights as they will lie in device memory, its config.json
// and its tokenizer's files. No device is needed. Everything is written into a folder of another
// name beside out_dir, which is renamed when it is complete: after a failure or a cancelled run
// nothing is left.
vklm_status vklm_model_pack(const vklm_pack_params *params);

// Compares every tensor of a packed model with its checksum; the first damaged one is named
// (VKLM_BAD_FILE). VKLM_INVALID_ARGUMENT when the folder is not packed.
vklm_status vklm_model_verify(const char *model_dir, vklm_load_callback progress, void *opaque);

typedef struct vklm_synth_params {
    const char
        *preset; // "llm-jp-3.1-1.8b", "llm-jp-3.1-13b", "llm-jp-3.1-8x13b", "tiny", "tiny-moe"
    const char *out_dir; // the folder to make; it must not exist yet, or be empty
    uint32_t n_layers;   // Default: the model's own
    uint64_t seed;       // the same seed gives the same bytes
    vklm_load_callback progress;
    void *opaque;
} vklm_synth_params;

// Writes a random checkpoint of a real model's shapes, names, dtype and files, for tests of loading
// and speed. It is streamed: its size needs no memory. There is no tokenizer in it.
vklm_status vklm_model_synth(const vklm_synth_params *params);

#ifdef __cplusplus
}
#endif

#endif
