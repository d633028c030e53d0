// model/activations.h: the intermediate buffers of one session.
//
// Rows are tokens of a prefill chunk; decode uses the first row of each.
#ifndef VKLM_MODEL_ACTIVATIONS_H
#define VKLM_MODEL_ACTIVATIONS_H

#include "checkpoint/arch.h"
#include "gpu/cmd.h"
#include "gpu/device.h"
#include "model/importance_sums.h"
#include "ops/experts.h"

// Terms of a prompt's inputs in 8 bits (ops/input8.h). What goes into down, products of two
// activations, has few large values: in one term it moves the dense demo model's logits by 0.8 %,
// each of the others by 0.2 %. Of those only qkv's, whose errors are in exponents, changed greedy
// tokens.
enum { VKLM_TERMS = 1, VKLM_TERMS_QKV = 2, VKLM_TERMS_DOWN = 2 };

typedef struct {
    uint32_t max_tokens;     // rows
    uint32_t max_logit_rows; // rows of `logits` and `logits_host`
    vklm_gpu_view step;      // vklm_args_step
    vklm_gpu_view tokens;    // u32 [max_tokens]
    vklm_gpu_view x;         // f32 [max_tokens, n_hidden]: the residual stream
    vklm_gpu_view xn;        // f32 [max_tokens, n_hidden]: its RMSNorm
    vklm_gpu_view qkv;       // f32 [max_tokens, (n_heads + 2 n_kv_heads) * head_dim]
    vklm_gpu_view heads;     // f32 [max_tokens, n_heads * head_dim]: what attention gives
    vklm_gpu_view gate_up;   // f32 [max_tokens, 2 * n_intermediate]
    vklm_gpu_view mlp;       // f32 [max_tokens, n_intermediate]
    // Of models with experts; gate_up and mlp then have max_tokens * top_k rows:
    vklm_gpu_view routes;     // vklm_args_route [max_tokens, top_k]
    vklm_gpu_view expert_out; // f32 [max_tokens * top_k, n_hidden]
    vklm_expert_groups groups;
    vklm_gpu_view status;   // u32: 1 + the first layer whose router failed; 0: none did
    vklm_gpu_view logits;   // f32 [max_logit_rows, n_vocab]
    vklm_gpu_view partial;  // attention_decode's splits
    vklm_gpu_view counters; // u32 [n_heads + 1], zero between dispatches; the last is
                            // matvec_residual's and sample's
    vklm_gpu_view settings; // sample's
    vklm_gpu_view counts;   // u32 [n_vocab]: which ids occurred, and how often they were generated
    vklm_gpu_view list, candidates; // sample's
    vklm_gpu_view
        kv_row; // f32 [2 n_kv_heads, head_dim]: keys and values on their way to a q8 cache
    vklm_gpu_view kv_counters; // u32 [2 n_kv_heads], zero between dispatches
    // Of the dot8 tier, one token's inputs in 8 bits (ops/input8.h); NULL buffers: not there.
    vklm_gpu_view xn8, heads8;  // [n_hidden], [n_heads * head_dim]
    vklm_gpu_view mlp8;         // [top_k or 1, n_intermediate]
    vklm_gpu_view mlp_counters; // u32 [top_k or 1, n_intermediate / 32], zero between dispatches
    // Of the dot8 and the coop tier, a chunk's inputs in 8 bits or in f16 (ops/input16.h), for one
    // product after the other; or not there.
    vklm_gpu_view inputs;
    vklm_gpu_arena *arena;
    const vklm_importance_sums
        *sums;                 // where prompts leave the squares of their activations, or NULL
    vklm_gpu_buffer *upload;   // host → step, tokens
    vklm_gpu_buffer *readback; // logits, and behind them status → host
    vklm_gpu_buffer *sampling_upload; // host → settings, counts
    vklm_gpu_buffer *sampled; // vklm_args_sampled [slots], written by sample, read by the host
} vklm_activations;

// Device bytes of the buffers, for the memory plan.
vklm_status vklm_activations_bytes(const vklm_gpu_caps *caps, const vklm_arch *arch, uint32_t n_ctx,
                                   uint64_t *out_bytes);

vklm_status vklm_activations_init(vklm_gpu_device *device, const vklm_arch *arch, uint32_t n_ctx,
                                  vklm_activations *out);
void vklm_activations_finish(vklm_activations *activations); // takes a zeroed one

// Records the copy of the status word to the host, where there is one.
void vklm_activations_record_status(vklm_gpu_cmd *cmd, const vklm_activations *activations);

// After that copy has run: VKLM_BAD_FILE, naming the layer, when a router had no finite scores. The
// word is then cleared.
vklm_status vklm_activations_check_status(vklm_gpu_device *device,
                                          const vklm_activations *activations);

// Elements [first, first + n) of an f32 view.
vklm_gpu_view vklm_activations_floats(vklm_gpu_view view, uint64_t first, uint64_t n);

#endif
