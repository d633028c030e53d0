// vklm/engine.h: a loaded model.
#ifndef VKLM_ENGINE_H
#define VKLM_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vklm/device.h>
#include <vklm/status.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct vklm_engine vklm_engine;

// Called while weights are loaded, with bytes. Returning false cancels (VKLM_CANCELLED).
typedef bool (*vklm_load_callback)(void *opaque, uint64_t done, uint64_t total);

// All-zero (but for model_dir) means default. Strings need to live for the call only.
typedef struct vklm_engine_params {
    const char *model_dir; // a Hugging Face model folder
    const char *device;    // its index in vklm_device_list, or a part of its name. Default: the best
    uint32_t n_ctx;        // tokens of context that memory is planned for. Default: the model's own
    unsigned tiers;        // mask of VKLM_TIER_*. Default: all that the device has
    uint64_t max_device_bytes;   // do not use more device memory. Default: what the driver offers
    const char *pipeline_folder; // keep compiled shaders here between runs. Default: nowhere
    bool validation;       // Vulkan validation layers; their messages go to the log
    bool serial;           // one GPU command at a time, for hunting races: slow, same results
    vklm_load_callback progress;
    void *opaque;
} vklm_engine_params;

// Opens the folder, checks every tensor against config.json, plans the memory, and loads. Nothing is
// allocated on the device when the plan does not fit: VKLM_OUT_OF_DEVICE_MEMORY carries the numbers.
// The caller owns *out_engine.
vklm_status vklm_engine_open(const vklm_engine_params *params, vklm_engine **out_engine);
void vklm_engine_close(vklm_engine *engine); // takes NULL

// Messages of the validation layers since opening; 0 without validation.
unsigned vklm_engine_validation_messages(const vklm_engine *engine);

typedef struct vklm_model_info {
    char architecture[64];    // "LlamaForCausalLM", "MixtralForCausalLM"
    char dtype[16];           // of the weight matrices: "bf16", "f16", "f32"; "mixed"
    uint64_t n_parameters;
    uint64_t n_active_parameters; // those that one token uses: fewer in models with experts
    uint64_t file_bytes;      // of all tensors
    uint32_t n_vocab;         // rows of the logits
    uint32_t n_hidden, n_intermediate, n_layers, n_heads, n_kv_heads, head_dim;
    uint32_t n_experts, top_k; // MLPs of a layer, and how many of them a token uses; 0, 0: one for all
    uint32_t n_ctx;           // the longest context
    double rope_theta;
    double rms_eps;
    bool tied_embeddings;
    uint64_t kv_bytes_per_token;
    uint32_t n_eos;           // ids that end a text
    uint32_t eos_ids[8];
} vklm_model_info;

// What a model folder holds, without a device. Every tensor's shape is checked.
vklm_status vklm_model_info_load(const char *model_dir, vklm_model_info *out_info);

// The same of an opened engine; and its device, as it was at opening. Owned by the engine.
const vklm_model_info *vklm_engine_model(const vklm_engine *engine);
const vklm_device_info *vklm_engine_device(const vklm_engine *engine);

// Device bytes in use and planned for one session of n_ctx tokens.
typedef struct vklm_memory_plan {
    uint64_t weight_bytes, kv_bytes, buffer_bytes;
    uint64_t limit_bytes; // what the driver offers, or params.max_device_bytes
    uint32_t n_ctx;
} vklm_memory_plan;
const vklm_memory_plan *vklm_engine_memory(const vklm_engine *engine);

#ifdef __cplusplus
}
#endif

#endif
