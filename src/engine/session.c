#include "engine/session_private.h"

#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/clock.h"

vklm_status vklm_session_allocate(vklm_session *s)
{
    vklm_engine *e = s->engine;
    const vklm_arch *arch = &e->weights->arch;
    vklm_status status = vklm_kv_cache_init(e->device, arch, e->memory.kv, s->n_ctx, &s->kv);
    if (status == VKLM_OK)
        status = vklm_activations_init(e->device, arch, s->n_ctx, &s->activations);
    if (status == VKLM_OK)
        status = vklm_decode_plan_init(e->device, e->weights, &s->kv, &s->activations,
                                       (vklm_gpu_view){0}, &s->decode);
    if (status == VKLM_OK)
        status = vklm_prefill_init(e->device, e->weights, &s->kv, &s->activations, &s->prefill);
    return status;
}

void vklm_session_release(vklm_session *s)
{
    vklm_prefill_finish(&s->prefill);
    vklm_decode_plan_finish(&s->decode);
    vklm_activations_finish(&s->activations);
    vklm_kv_cache_finish(&s->kv);
    s->logits_at = VKLM_LOGITS_NONE;
}

static vklm_status create(vklm_session *s)
{
    vklm_engine *e = s->engine;
    const vklm_arch *arch = &e->weights->arch;
    s->n_ctx = s->params.n_ctx ? s->params.n_ctx : e->memory.n_ctx;
    if (s->n_ctx > arch->n_positions)
        return vklm_fail(VKLM_INVALID_ARGUMENT,
                         "a context of %u tokens was asked for; the model has at most %u", s->n_ctx,
                         arch->n_positions);
    s->tokens = vklm_alloc(s->n_ctx, sizeof *s->tokens);
    vklm_status status = s->tokens ? VKLM_OK : vklm_fail_memory("the session");
    if (status == VKLM_OK)
        status = vklm_sampler_create(&s->params.sampling, arch->n_vocab, &s->sampler);
    return status == VKLM_OK ? vklm_session_allocate(s) : status;
}

vklm_status vklm_session_create(vklm_engine *engine, const vklm_session_params *params,
                                vklm_session **out_session)
{
    *out_session = NULL;
    vklm_session *s = vklm_alloc(1, sizeof *s);
    if (!s)
        return vklm_fail_memory("the session");
    s->engine = engine;
    s->next = engine->sessions;
    engine->sessions = s;
    if (params)
        s->params = *params;
    vklm_status status =
        engine->weights ? create(s) : vklm_fail(VKLM_DEVICE_LOST, "the engine has no device");
    if (status != VKLM_OK) {
        vklm_session_destroy(s);
        return status;
    }
    *out_session = s;
    return VKLM_OK;
}

void vklm_session_destroy(vklm_session *session)
{
    if (!session)
        return;
    vklm_session **link = &session->engine->sessions;
    while (*link != session)
        link = &(*link)->next;
    *link = session->next;
    vklm_session_release(session);
    vklm_sampler_destroy(session->sampler);
    free(session->tokens);
    free(session);
}

vklm_status vklm_session_check_device(const vklm_session *s)
{
    return s->kv.layers ? VKLM_OK
                        : vklm_fail(VKLM_DEVICE_LOST, "the device was lost, and the session has "
                                                      "nothing there any more");
}

vklm_status vklm_session_check(const vklm_session *s, const uint32_t *ids, size_t n_ids)
{
    vklm_status status = vklm_session_check_device(s);
    if (status != VKLM_OK)
        return status;
    const uint32_t n_vocab = s->engine->weights->arch.n_vocab;
    if (n_ids == 0)
        return vklm_fail(VKLM_INVALID_ARGUMENT, "there is no token to compute");
    if (n_ids > s->n_ctx - s->n_tokens)
        return vklm_fail(VKLM_CONTEXT_FULL,
                         "%zu tokens do not fit the context of %u tokens, of which %u are used",
                         n_ids, s->n_ctx, s->n_tokens);
    for (size_t i = 0; i < n_ids; i++)
        if (ids[i] >= n_vocab)
            return vklm_fail(VKLM_INVALID_ARGUMENT,
                             "token id %u at place %zu; the model has %u ids", ids[i], i, n_vocab);
    return VKLM_OK;
}

void vklm_session_accept(vklm_session *s, const uint32_t *ids, uint32_t n_ids)
{
    for (uint32_t i = 0; i < n_ids; i++) {
        s->tokens[s->n_tokens++] = ids[i];
        vklm_sampler_accept(s->sampler, ids[i]);
    }
}

vklm_status vklm_session_take_logits(void *opaque, uint32_t first, uint32_t n, const float *logits)
{
    (void)first, (void)n;
    vklm_session *s = opaque;
    s->logits = logits;
    return VKLM_OK;
}

static bool report(void *opaque, uint32_t done, uint32_t total)
{
    vklm_session *s = opaque;
    return !s->params.progress || s->params.progress(s->params.opaque, done, total);
}

static vklm_status append_one(vklm_session *s, uint32_t id)
{
    double begin = vklm_clock_seconds();
    vklm_status status = vklm_decode_plan_run(&s->decode, id, s->n_tokens, &s->logits);
    if (status != VKLM_OK)
        return status;
    vklm_session_accept(s, &id, 1);
    s->stats.generated_tokens++;
    s->stats.generated_seconds += vklm_clock_seconds() - begin;
    return VKLM_OK;
}

static vklm_status append_many(vklm_session *s, const uint32_t *ids, uint32_t n)
{
    double begin = vklm_clock_seconds();
    uint32_t done;
    vklm_prefill_params params = {
        .progress = report, .logits = vklm_session_take_logits, .opaque = s, .logits_from = n - 1};
    vklm_status status = vklm_prefill_run(&s->prefill, ids, n, s->n_tokens, &params, &done);
    vklm_session_accept(s, ids, done);
    s->stats.prompt_tokens += done;
    s->stats.prompt_seconds += vklm_clock_seconds() - begin;
    return status;
}

vklm_status vklm_session_append(vklm_session *session, const uint32_t *ids, size_t n_ids)
{
    vklm_status status = vklm_session_check(session, ids, n_ids);
    if (status != VKLM_OK)
        return status;
    session->logits_at = VKLM_LOGITS_NONE;
    status = n_ids == 1 ? append_one(session, ids[0]) : append_many(session, ids, (uint32_t)n_ids);
    if (status == VKLM_OK)
        session->logits_at = VKLM_LOGITS_ON_HOST;
    return status;
}

vklm_status vklm_session_logits(vklm_session *session, const float **out_logits)
{
    const uint32_t n = session->n_tokens;
    vklm_status status = vklm_session_check_device(session);
    if (status != VKLM_OK)
        return status;
    if (session->logits_at == VKLM_LOGITS_NONE)
        return vklm_fail(VKLM_INVALID_ARGUMENT, "there are no logits yet: append a token first");
    if (session->logits_at == VKLM_LOGITS_ON_DEVICE)
        status = vklm_decode_plan_fetch(&session->decode, &session->logits);
    else if (session->logits_at == VKLM_LOGITS_LOST)
        status =
            vklm_decode_plan_run(&session->decode, session->tokens[n - 1], n - 1, &session->logits);
    if (status != VKLM_OK)
        return status;
    session->logits_at = VKLM_LOGITS_ON_HOST;
    *out_logits = session->logits;
    return VKLM_OK;
}

vklm_status vklm_session_sample(vklm_session *session, uint32_t *out_id)
{
    const float *logits;
    vklm_status status = vklm_session_logits(session, &logits);
    return status == VKLM_OK ? vklm_sampler_sample(session->sampler, logits, out_id) : status;
}

vklm_status vklm_session_rewind(vklm_session *session, uint32_t n_tokens)
{
    if (n_tokens > session->n_tokens)
        return vklm_fail(VKLM_INVALID_ARGUMENT, "cannot rewind to %u tokens; there are %u",
                         n_tokens, session->n_tokens);
    if (n_tokens == session->n_tokens)
        return VKLM_OK;
    session->logits_at = VKLM_LOGITS_NONE;
    session->n_tokens = 0;
    vklm_sampler_reset(session->sampler);
    vklm_session_accept(session, session->tokens, n_tokens);
    return VKLM_OK;
}

const uint32_t *vklm_session_tokens(const vklm_session *session, uint32_t *out_n_ids)
{
    *out_n_ids = session->n_tokens;
    return session->tokens;
}

uint32_t vklm_session_n_ctx(const vklm_session *session)
{
    return session->n_ctx;
}

vklm_status vklm_session_set_sampling(vklm_session *session, const vklm_sampling_params *params)
{
    vklm_sampler *sampler;
    vklm_status status = vklm_session_check_device(session);
    if (status == VKLM_OK)
        status = vklm_sampler_create(params, session->engine->weights->arch.n_vocab, &sampler);
    if (status != VKLM_OK)
        return status;
    for (uint32_t i = 0; i < session->n_tokens; i++)
        vklm_sampler_accept(sampler, session->tokens[i]);
    vklm_sampler_destroy(session->sampler);
    session->sampler = sampler;
    return VKLM_OK;
}

uint64_t vklm_session_seed(const vklm_session *session)
{
    return vklm_sampler_seed(session->sampler);
}

vklm_session_stats vklm_session_get_stats(const vklm_session *session)
{
    return session->stats;
}
