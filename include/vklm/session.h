// vklm/session.h: one timeline of tokens on an engine, with its KV cache.
//
//   vklm_session_create(engine, NULL, &session);
//   vklm_session_append(session, ids, n_ids);      // the prompt
//   vklm_session_sample(session, &id);              // the next token …
//   vklm_session_append(session, &id, 1);           // … and on
#ifndef VKLM_SESSION_H
#define VKLM_SESSION_H

#include <vklm/engine.h>
#include <vklm/text.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct vklm_session vklm_session;

// Called while a prompt is computed, with tokens. Returning false cancels (VKLM_CANCELLED); the
// session then keeps the tokens that are complete.
typedef bool (*vklm_prompt_callback)(void *opaque, uint32_t done, uint32_t total);

typedef struct vklm_session_params {
    uint32_t n_ctx; // room for tokens, at most the model's. Default: what the engine planned for
    vklm_sampling_params sampling;
    bool
        sample_on_host; // draw on the host also where the device can: the same distribution, slower
    vklm_prompt_callback progress;
    void *opaque;
} vklm_session_params;

// Allocates the KV cache. `params` may be NULL. The engine must outlive the session.
vklm_status vklm_session_create(vklm_engine *engine, const vklm_session_params *params,
                                vklm_session **out_session);
void vklm_session_destroy(vklm_session *session); // takes NULL

// Computes n_ids > 0 tokens and puts them at the end. One token is a decode step; more are a
// prompt. VKLM_CONTEXT_FULL, with the numbers and without any change, when they do not fit.
vklm_status vklm_session_append(vklm_session *session, const uint32_t *ids, size_t n_ids);

// Draws the next token from the logits after the last one (it is not appended). The repetition
// penalty covers all tokens of the session; frequency and presence penalty those that were drawn
// and then appended, one by one, since the last append of anything else.
vklm_status vklm_session_sample(vklm_session *session, uint32_t *out_id);

// Logits after the last token, f32 [n_vocab]: owned by the session, valid until its next append or
// rewind. VKLM_INVALID_ARGUMENT when nothing was appended since the last rewind.
vklm_status vklm_session_logits(vklm_session *session, const float **out_logits);

// Keeps the first n_tokens tokens and forgets the rest.
vklm_status vklm_session_rewind(vklm_session *session, uint32_t n_tokens);

// The tokens so far, [*out_n_ids]; owned by the session.
const uint32_t *vklm_session_tokens(const vklm_session *session, uint32_t *out_n_ids);
uint32_t vklm_session_n_ctx(const vklm_session *session);

// Replaces the sampling parameters; the draw starts anew from the seed.
vklm_status vklm_session_set_sampling(vklm_session *session, const vklm_sampling_params *params);
uint64_t vklm_session_seed(const vklm_session *session);

typedef enum vklm_stop_reason {
    VKLM_STOP_LENGTH = 0, // max_tokens were generated
    VKLM_STOP_EOS,        // an end-of-text token, which is the last one handed out
    VKLM_STOP_CONTEXT,    // the context is full
    VKLM_STOP_CALLER,     // the callback returned false
} vklm_stop_reason;

// Receives each new token. Returning false stops.
typedef bool (*vklm_token_callback)(void *opaque, uint32_t id);

// Samples and appends until something stops it. Tokens are drawn on the device where it can (at
// most 64 logit biases, and top-k from 1 to 256 or greedy), several under way at a time.
// `ignore_eos` goes on past the end-of-text tokens. At least one token must have been appended
// before. After a failure (VKLM_DEVICE_LOST) the last id that was handed out may not be among the
// session's tokens.
vklm_status vklm_session_generate(vklm_session *session, uint32_t max_tokens, bool ignore_eos,
                                  vklm_token_callback on_token, void *opaque,
                                  vklm_stop_reason *out_reason);

typedef struct vklm_session_stats {
    uint64_t prompt_tokens, generated_tokens;
    double prompt_seconds, generated_seconds;
} vklm_session_stats;

// Work done since creation: tokens appended several at a time, and one at a time.
vklm_session_stats vklm_session_get_stats(const vklm_session *session);

// Computes ids from an empty session and gives the natural log of each token's probability after
// those before it: out_logprobs [n_ids - from], of the tokens at `from` (at least 1) and on. The
// session is left with the ids, and without logits.
vklm_status vklm_session_score(vklm_session *session, const uint32_t *ids, size_t n_ids,
                               uint32_t from, float *out_logprobs);

// Computes ids from an empty session and writes the logits after each of them as the f32 tensor
// "logits" [n_ids, n_vocab] of a safetensors file; the file appears when complete. The session is
// left with the ids. `router`: also where each token was sent in each layer, as the i32 tensor
// "experts" [n_layers, n_ids, top_k] and the f32 tensor "expert_weights" of the same shape, in the
// order of the weights; VKLM_INVALID_ARGUMENT when the model has no experts.
vklm_status vklm_session_write_logits(vklm_session *session, const uint32_t *ids, size_t n_ids,
                                      bool router, const char *path);

// Computes a text of any length, n_ctx tokens at a time, and writes how large the inputs of every
// weight matrix were: mean squares, column by column, as vklm_pack_params.importance takes them.
// The session is empty afterwards.
vklm_status vklm_session_write_importance(vklm_session *session, const uint32_t *ids, size_t n_ids,
                                          const char *path);

#ifdef __cplusplus
}
#endif

#endif
