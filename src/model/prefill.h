// model/prefill.h: many tokens at once: a prompt, in chunks of the activations' rows.
//
// A chunk is cut into submits of a few layers each, small enough for the watchdogs of desktop
// drivers (pace.h); where a layer of a whole chunk is too much, chunks are shorter: results do not
// depend on it. Two command buffers alternate, so that one is recorded while the other runs.
#ifndef VKLM_MODEL_PREFILL_H
#define VKLM_MODEL_PREFILL_H

#include "gpu/cmd.h"
#include "model/layer.h"
#include "model/pace.h"

typedef struct {
    vklm_gpu_device *device;
    const vklm_weights *weights;
    const vklm_kv_cache *kv;
    const vklm_activations *activations;
    vklm_gpu_cmd *cmds[2];
    bool busy[2];
    unsigned next;
    vklm_pace pace;
    double flop[2], begun[2]; // of each command buffer; 0 FLOP: not to be learnt from
    double ended;             // when the last one ended
} vklm_prefill;

// What the caller wants to see on the way. All may be zero.
typedef struct {
    // Called between submits with the tokens that are through all layers; false cancels
    // (VKLM_CANCELLED), and the cache then holds `done` tokens of this run.
    bool (*progress)(void *opaque, uint32_t done, uint32_t total);
    // Called with the logits of rows [first, first + n) of the run, f32 [n, n_vocab], for all rows
    // from logits_from on. The memory is reused afterwards.
    vklm_status (*logits)(void *opaque, uint32_t first, uint32_t n, const float *logits);
    void *opaque;
    uint32_t logits_from;
    vklm_gpu_view tap;    // f32 [n_layers + 1, n_tokens, n_hidden]: the residual stream after the
                          // embedding and after each layer, for tests
    vklm_gpu_view routes; // vklm_args_route [n_layers, n_tokens, top_k]: where the tokens were sent
} vklm_prefill_params;

vklm_status vklm_prefill_init(vklm_gpu_device *device, const vklm_weights *weights,
                              const vklm_kv_cache *kv, const vklm_activations *activations,
                              vklm_prefill *out_prefill);
void vklm_prefill_finish(vklm_prefill *prefill); // takes a zeroed one

// Runs n_tokens > 0 tokens from `position` on; position + n_tokens <= n_ctx, every id below
// n_vocab. *out_done is how many of them are in the cache, also after a failure.
vklm_status vklm_prefill_run(vklm_prefill *prefill, const uint32_t *tokens, uint32_t n_tokens,
                             uint32_t position, const vklm_prefill_params *params,
                             uint32_t *out_done);

#endif
