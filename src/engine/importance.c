// How much each input column of each matrix matters, over a text.
#include "engine/session_private.h"

#include "model/importance_sums.h"

static vklm_status run(vklm_session *s, vklm_importance_sums *sums, const uint32_t *ids,
                       size_t n_ids)
{
    vklm_status status = VKLM_OK;
    for (size_t first = 0; first < n_ids && status == VKLM_OK; first += s->n_ctx) {
        uint32_t n = (uint32_t)(n_ids - first < s->n_ctx ? n_ids - first : s->n_ctx), done;
        status = vklm_prefill_run(&s->prefill, ids + first, n, 0, &(vklm_prefill_params){0}, &done);
        sums->n_rows += done;
        if (s->params.progress && status == VKLM_OK &&
            !s->params.progress(s->params.opaque, (uint32_t)(first + n), (uint32_t)n_ids))
            status =
                vklm_fail(VKLM_CANCELLED, "the text was cancelled after %zu tokens", first + n);
    }
    return status;
}

vklm_status vklm_session_write_importance(vklm_session *session, const uint32_t *ids, size_t n_ids,
                                          const char *path)
{
    const vklm_arch *arch = &session->engine->weights->arch;
    vklm_importance_sums sums;
    if (n_ids == 0)
        return vklm_fail(VKLM_INVALID_ARGUMENT, "there is no token to compute");
    for (size_t i = 0; i < n_ids; i++)
        if (ids[i] >= arch->n_vocab)
            return vklm_fail(VKLM_INVALID_ARGUMENT,
                             "token id %u at place %zu; the model has %u ids", ids[i], i,
                             arch->n_vocab);
    vklm_status status = vklm_session_rewind(session, 0);
    if (status == VKLM_OK)
        status = vklm_importance_sums_init(session->engine->device, arch, &sums);
    if (status != VKLM_OK)
        return status;
    session->activations.sums = &sums;
    status = run(session, &sums, ids, n_ids);
    session->activations.sums = NULL;
    session->logits_at = VKLM_LOGITS_NONE;
    if (status == VKLM_OK)
        status = vklm_importance_sums_write(&sums, session->engine->device, path);
    vklm_importance_sums_finish(&sums);
    return status;
}
