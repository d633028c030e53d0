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

// How weights lie in device memory. Matrices whose columns a format does not divide fall back to
// the next better one: q4 (256 columns) to q8 (32), q8 to what the checkpoint has.
typedef enum vklm_weights_kind {
    VKLM_WEIGHTS_AUTO = 0, // the best that fits; of a packed model: what it has
    VKLM_WEIGHTS_F16,      // 16 bits, as stored: f16 or bf16; an f32 checkpoint stays f32
    VKLM_WEIGHTS_Q8,       // 8.5 bits
    VKLM_WEIGHTS_MIXED,    // 4.625 bits for the matrices that suffer least, 8.5 for the others
    VKLM_WEIGHTS_Q4,       // 4.625 bits; embedding and lm_head 8.5
    VKLM_WEIGHTS_KINDS,
} vklm_weights_kind;

// "auto", "f16", "q8", "mixed", "q4". Finding an unknown name is VKLM_INVALID_ARGUMENT.
const char *vklm_weights_kind_name(vklm_weights_kind kind);
vklm_status vklm_weights_kind_find(const char *name, vklm_weights_kind *out_kind);

// How keys and values lie in the cache.
typedef enum vklm_kv_kind {
    VKLM_KV_AUTO = 0, // f16 where it fits, else q8
    VKLM_KV_F16,
    VKLM_KV_Q8, // 8.5 bits; f16 where head_dim is no multiple of 64
    VKLM_KV_KINDS,
} vklm_kv_kind;

// "auto", "f16", "q8".
const char *vklm_kv_kind_name(vklm_kv_kind kind);
vklm_status vklm_kv_kind_find(const char *name, vklm_kv_kind *out_kind);

// Called while weights are loaded, with bytes. Returning false cancels (VKLM_CANCELLED).
typedef bool (*vklm_load_callback)(void *opaque, uint64_t done, uint64_t total);

// Whether the kernels are tested on the device before a model is used: about a second.
typedef enum vklm_self_test_mode {
    VKLM_SELF_TEST_ONCE =
        0, // for each device, driver and build, when pipeline_folder can remember it
    VKLM_SELF_TEST_ALWAYS,
    VKLM_SELF_TEST_NEVER,
} vklm_self_test_mode;

// All-zero (but for model_dir) means default. Strings need to live for the call only.
typedef struct vklm_engine_params {
    const char *model_dir; // a Hugging Face model folder, or one that vklm_model_pack made
    const char *device; // its index in vklm_device_list, or a part of its name. Default: the best
    uint32_t n_ctx;     // tokens of context that memory is planned for. Default: the model's own
    vklm_weights_kind weights; // packed while loading where the folder has something else
    vklm_kv_kind kv;
    const char *importance; // a file of vklm_session_write_importance, for packing. Default: none
    const char *packed_folder; // keep packed copies of models here, and use them. Default: nowhere
    bool verify;               // compare a packed model with its checksums
    unsigned
        tiers; // mask of VKLM_TIER_*, as far as the device runs them. Default: all it is fast at
    uint64_t max_device_bytes;   // do not use more device memory. Default: what the driver offers
    const char *pipeline_folder; // keep compiled shaders here between runs. Default: nowhere
    vklm_device_limits limits;   // take the device for a smaller one. Default: it is as it is
    bool no_quirks; // trust the driver: none of the corrections for known troubles of drivers
    vklm_self_test_mode self_test; // a tier that fails is turned off, a device that fails refused
    bool validation;               // Vulkan validation layers; their messages go to the log
    bool serial; // one GPU command at a time, for hunting races: slow, same results
    vklm_load_callback progress;
    void *opaque;
} vklm_engine_params;

// Opens the folder, checks every tensor against config.json, plans the memory, and loads. Nothing
// is allocated on the device when the plan does not fit: VKLM_OUT_OF_DEVICE_MEMORY carries the
// numbers. The caller owns *out_engine.
vklm_status vklm_engine_open(const vklm_engine_params *params, vklm_engine **out_engine);
void vklm_engine_close(vklm_engine *engine); // takes NULL

// After a call failed with VKLM_DEVICE_LOST: opens the device again with the parameters that the
// engine was opened with, loads the model there, and computes the tokens of every open session
// again. What points to the engine or its sessions stays valid. After a failure they hold no more
// than their tokens, and every computation is VKLM_DEVICE_LOST until a recovery succeeds.
vklm_status vklm_engine_recover(vklm_engine *engine, const vklm_engine_params *params);

// Messages of the validation layers since opening; 0 without validation.
unsigned vklm_engine_validation_messages(const vklm_engine *engine);

typedef struct vklm_model_info {
    char architecture[64]; // "LlamaForCausalLM", "MixtralForCausalLM"
    char dtype[16]; // of the weight matrices: "bf16", "f16", "f32"; "mixed"; packed: "q4" …
    uint64_t n_parameters;
    uint64_t n_active_parameters; // those that one token uses: fewer in models with experts
    uint64_t file_bytes;          // of all tensors
    uint32_t n_vocab;             // rows of the logits
    uint32_t n_hidden, n_intermediate, n_layers, n_heads, n_kv_heads, head_dim;
    uint32_t n_experts, top_k; // MLPs of a layer, and how many a token uses; 0, 0: one for all
    uint32_t n_ctx;            // the longest context
    double rope_theta;
    double rms_eps;
    bool tied_embeddings;
    uint64_t kv_bytes_per_token;
    uint32_t n_eos; // ids that end a text
    uint32_t eos_ids[8];
} vklm_model_info;

// What a model folder holds, without a device. Every tensor's shape is checked.
vklm_status vklm_model_info_load(const char *model_dir, vklm_model_info *out_info);

// The same of an opened engine; and its device, as it was at opening. Owned by the engine.
const vklm_model_info *vklm_engine_model(const vklm_engine *engine);
const vklm_device_info *vklm_engine_device(const vklm_engine *engine);

// Device bytes for a model and one session of n_ctx tokens.
typedef struct vklm_memory_plan {
    vklm_weights_kind weights; // never AUTO
    vklm_kv_kind kv;           // never AUTO
    uint32_t n_ctx;
    uint64_t weight_bytes; // all weights, and of them:
    uint64_t embed_bytes, attention_bytes, mlp_bytes, head_bytes,
        small_bytes; // small: norms, angles
    uint64_t kv_bytes;
    uint64_t buffer_bytes;  // activations
    uint64_t staging_bytes; // host memory that the device reads, while loading
    uint64_t total_bytes;
    uint64_t limit_bytes; // what the driver offers, or params.max_device_bytes
    uint64_t heap_bytes;  // the device's memory
    uint32_t heap;        // its number in the driver's list
    bool fits;
} vklm_memory_plan;
const vklm_memory_plan *vklm_engine_memory(const vklm_engine *engine);

// The plan that vklm_engine_open would follow, from the headers alone: nothing is allocated on the
// device. A folder with nothing but config.json is enough. Without any device,
// params->max_device_bytes is the budget. Where it does not fit, out_plan is that of what was asked
// for, the smallest where that was AUTO, and out_instead [*out_n] what would fit: room for
// VKLM_PLAN_MAX_INSTEAD.
enum { VKLM_PLAN_MAX_INSTEAD = 8 };
vklm_status vklm_model_plan(const vklm_engine_params *params, vklm_memory_plan *out_plan,
                            vklm_memory_plan *out_instead, size_t *out_n);

// One command of a generated token.
typedef struct vklm_planned_command {
    const char *label;                  // "qkv", "attention" …
    const char *shader;                 // NULL: a copy
    uint32_t groups[3];                 // workgroups
    int layer;                          // -1: of none
    bool barrier;                       // it waits for those before it
    uint64_t bytes_read, bytes_written; // of device memory, at most
} vklm_planned_command;

// What the device is asked to do for one token whose id was drawn there, and for the next draw.
typedef struct vklm_token_plan {
    uint32_t n_ctx; // tokens whose keys and values are read, the token's own among them
    vklm_weights_kind weights;
    vklm_kv_kind kv;
    uint32_t dispatches;
    uint32_t barriers; // the one at the beginning of each submission among them
    uint32_t dispatches_per_layer, barriers_per_layer;
    uint32_t submissions;            // more than one where one might take too long for a watchdog
    uint64_t weight_bytes, kv_bytes; // that are read
    uint64_t bytes_read, bytes_written; // sums of the commands'
    vklm_planned_command *commands;     // [n_commands], in order
    size_t n_commands;
} vklm_token_plan;

// As the recorder has it: it is run with everything but the device's memory, for a session of
// params->n_ctx tokens. Weights and KV format are those of vklm_model_plan. Needs a device, for its
// variants of the kernels; VKLM_NO_DEVICE without.
vklm_status vklm_model_token_plan(const vklm_engine_params *params, vklm_token_plan *out_plan);
void vklm_token_plan_finish(vklm_token_plan *plan); // takes a zeroed one

#ifdef __cplusplus
}
#endif

#endif
