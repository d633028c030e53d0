// vklm/engine.h: going on after the device was lost.
//
// The host knows every token of every session, so nothing but time is lost: the engine is opened
// anew in its old place, sessions get new memory there, and their tokens are computed again.
#include "engine/session_private.h"

#include <stdlib.h>
#include <string.h>

static vklm_status recompute(vklm_session *s)
{
    uint32_t done;
    const vklm_prefill_params params = {
        .logits = vklm_session_take_logits, .opaque = s, .logits_from = s->n_tokens - 1};
    if (s->n_tokens == 0)
        return VKLM_OK;
    vklm_status status = vklm_prefill_run(&s->prefill, s->tokens, s->n_tokens, 0, &params, &done);
    if (status == VKLM_OK)
        s->logits_at = VKLM_LOGITS_ON_HOST;
    return status;
}

static vklm_status reopen(vklm_engine *engine, const vklm_engine_params *params)
{
    const vklm_engine before = *engine;
    vklm_engine *fresh;
    vklm_engine_release(engine);
    vklm_status status = vklm_engine_open(params, &fresh);
    if (status == VKLM_OK) {
        *engine = *fresh;
        free(fresh);
        if (engine->model.n_vocab != before.model.n_vocab ||
            engine->model.n_parameters != before.model.n_parameters) {
            vklm_engine_release(engine);
            status =
                vklm_fail(VKLM_INVALID_ARGUMENT, "%s holds another model now", params->model_dir);
        }
    }
    if (status != VKLM_OK) { // what can be asked for is still told
        engine->model = before.model;
        engine->device_info = before.device_info;
        engine->memory = before.memory;
    }
    engine->sessions = before.sessions;
    return status;
}

vklm_status vklm_engine_recover(vklm_engine *engine, const vklm_engine_params *params)
{
    vklm_log(VKLM_LOG_WARNING, "device %s was lost: it is opened again", engine->device_info.name);
    for (vklm_session *s = engine->sessions; s; s = s->next)
        vklm_session_release(s);
    vklm_status status = reopen(engine, params);
    for (vklm_session *s = engine->sessions; s && status == VKLM_OK; s = s->next) {
        status = vklm_session_allocate(s);
        if (status == VKLM_OK) {
            vklm_log(VKLM_LOG_WARNING, "computing %u tokens again", s->n_tokens);
            status = recompute(s);
        }
        if (status != VKLM_OK)
            vklm_session_release(s);
    }
    return status;
}
