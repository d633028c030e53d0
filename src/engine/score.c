// How likely a given text is.
#include "engine/session_private.h"

#include <math.h>

typedef struct {
    const vklm_session *session;
    const uint32_t *ids;
    uint32_t n_ids, n_vocab, from;
    float *logprobs; // [n_ids - from]
} scorer;

// log softmax of one row, in double: the sum has as many terms as the vocabulary.
static double log_prob(const float *logits, uint32_t n_vocab, uint32_t id)
{
    double sum = 0;
    float max = logits[0];
    for (uint32_t i = 1; i < n_vocab; i++)
        max = logits[i] > max ? logits[i] : max;
    for (uint32_t i = 0; i < n_vocab; i++)
        sum += exp((double)logits[i] - (double)max);
    return (double)logits[id] - (double)max - log(sum);
}

// Row i has the logits of the token at i + 1.
static vklm_status take_rows(void *opaque, uint32_t first, uint32_t n, const float *logits)
{
    scorer *s = opaque;
    for (uint32_t i = first; i < first + n && i + 1 < s->n_ids; i++) {
        const float *row = logits + (size_t)(i - first) * s->n_vocab;
        s->logprobs[i + 1 - s->from] = (float)log_prob(row, s->n_vocab, s->ids[i + 1]);
    }
    return VKLM_OK;
}

static bool report(void *opaque, uint32_t done, uint32_t total)
{
    const vklm_session_params *p = &((const scorer *)opaque)->session->params;
    return !p->progress || p->progress(p->opaque, done, total);
}

vklm_status vklm_session_score(vklm_session *session, const uint32_t *ids, size_t n_ids,
                               uint32_t from, float *out_logprobs)
{
    vklm_status status = vklm_session_rewind(session, 0);
    if (status == VKLM_OK)
        status = vklm_session_check(session, ids, n_ids);
    if (status == VKLM_OK && (from == 0 || from >= n_ids))
        status = vklm_fail(
            VKLM_INVALID_ARGUMENT,
            "cannot score from token %u of %zu: at least one must come before, and one after", from,
            n_ids);
    if (status != VKLM_OK)
        return status;
    scorer s = {.session = session,
                .ids = ids,
                .n_ids = (uint32_t)n_ids,
                .n_vocab = session->engine->weights->arch.n_vocab,
                .from = from,
                .logprobs = out_logprobs};
    uint32_t done;
    vklm_prefill_params params = {
        .progress = report, .logits = take_rows, .opaque = &s, .logits_from = from - 1};
    status = vklm_prefill_run(&session->prefill, ids, s.n_ids, 0, &params, &done);
    vklm_session_accept(session, ids, done);
    return status;
}
