// engine/session_private.h: the session as the other files of this folder see it.
#ifndef VKLM_SESSION_PRIVATE_H
#define VKLM_SESSION_PRIVATE_H

#include <vklm/session.h>

#include "engine/engine_private.h"
#include "model/decode_plan.h"
#include "model/prefill.h"
#include "text/sampler.h"

typedef enum {
    VKLM_LOGITS_NONE = 0, // nothing was appended since the last rewind
    VKLM_LOGITS_LOST,     // the device went on to tokens that were not taken: to be computed again
    VKLM_LOGITS_ON_DEVICE,
    VKLM_LOGITS_ON_HOST,
} vklm_logits_place;

// Invariants, but for 1 while there is nothing on a device:
// 1. The KV cache holds exactly tokens[0 .. n_tokens).
// 2. The sampler has accepted exactly those tokens.
// 3. logits_at says where the logits after the last token are. On the host means on the device as
// well.
struct vklm_session {
    vklm_engine *engine;
    vklm_session_params params;
    uint32_t n_ctx, n_tokens;
    uint32_t *tokens; // [n_ctx]
    vklm_kv_cache kv;
    vklm_activations activations;
    vklm_decode_plan decode;
    vklm_prefill prefill;
    vklm_sampler *sampler;
    const float *logits; // [n_vocab], in the readback buffer
    vklm_logits_place logits_at;
    double token_seconds; // what a token drawn on the device takes, lately; 0: not known
    vklm_session_stats stats;
    vklm_session *next; // in the engine's list
};

// Memory and plans on the engine's device; release them, and only the tokens are left, which is
// what a session has whose device could not be opened again.
vklm_status vklm_session_allocate(vklm_session *session);
void vklm_session_release(vklm_session *session);

// VKLM_DEVICE_LOST when there is nothing on a device.
vklm_status vklm_session_check_device(const vklm_session *session);

// Keeps the logits of a prompt's last token: vklm_prefill_params.logits.
vklm_status vklm_session_take_logits(void *session, uint32_t first, uint32_t n,
                                     const float *logits);

// Ids below n_vocab, and room for them.
vklm_status vklm_session_check(const vklm_session *session, const uint32_t *ids, size_t n_ids);

// Takes ids into the timeline after they were computed.
void vklm_session_accept(vklm_session *session, const uint32_t *ids, uint32_t n_ids);

#endif
