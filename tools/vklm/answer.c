#include "vklm/answer.h"

#include <stdlib.h>

#include "base/clock.h"
#include "vklm/console.h"

typedef struct {
    const vklm_answer_params *params;
    vklm_answer *answer;
    vklm_decode_stream *stream;
    vklm_stop_filter *filter;
    bool stopped;
    vklm_status status;
} writer;

void vklm_answer_finish(vklm_answer *answer)
{
    vklm_string_finish(&answer->text);
    free(answer->ids);
    *answer = (vklm_answer){0};
}

static void put(writer *w, const char *text, size_t len)
{
    vklm_string_append(&w->answer->text, text, len);
    if (w->answer->text.failed && w->status == VKLM_OK)
        w->status = vklm_fail_memory("an answer");
    if (len > 0 && w->params->on_text)
        w->params->on_text(w->params->opaque, text, len);
}

static bool take_id(void *opaque, uint32_t id)
{
    writer *w = opaque;
    vklm_answer *a = w->answer;
    const char *text;
    size_t len;
    if (!vklm_array_grow(&a->ids, &a->capacity, a->n_ids + 1, sizeof id)) {
        w->status = vklm_fail_memory("an answer");
        return false;
    }
    a->ids[a->n_ids++] = id;
    w->status = vklm_decode_stream_push(w->stream, id, &text, &len);
    if (w->status == VKLM_OK)
        w->status = vklm_stop_filter_push(w->filter, text, len, &text, &len, &w->stopped);
    if (w->status == VKLM_OK)
        put(w, text, len);
    return w->status == VKLM_OK && !w->stopped && !vklm_console_interrupted();
}

// What decoder and filter held back. The end of the text may complete a stop string.
static vklm_status flush(writer *w)
{
    const char *text;
    size_t len;
    vklm_status status = vklm_decode_stream_flush(w->stream, &text, &len);
    if (status == VKLM_OK)
        status = vklm_stop_filter_push(w->filter, text, len, &text, &len, &w->stopped);
    if (status == VKLM_OK)
        put(w, text, len);
    if (status == VKLM_OK)
        status = vklm_stop_filter_flush(w->filter, &text, &len);
    if (status == VKLM_OK)
        put(w, text, len);
    return status == VKLM_OK ? w->status : status;
}

// The stream begins with the prompt, unprinted: a space at the beginning of the answer belongs to
// it.
static vklm_status open_writer(writer *w, const uint32_t *prompt, size_t n)
{
    const vklm_generation *g = w->params->generation;
    const char *text;
    size_t len;
    vklm_status status =
        vklm_stop_filter_create((const char *const *)g->stops, g->n_stops, &w->filter);
    if (status == VKLM_OK)
        status = vklm_decode_stream_create(w->params->tokenizer, true, &w->stream);
    for (size_t i = 0; i < n && status == VKLM_OK; i++)
        status = vklm_decode_stream_push(w->stream, prompt[i], &text, &len);
    return status;
}

// The last token of the prompt is always computed, for the logits after it.
static vklm_status compute_prompt(vklm_session *session, const uint32_t *prompt, size_t n,
                                  uint32_t *out_n_computed)
{
    uint32_t n_held, common = 0;
    const uint32_t *held = vklm_session_tokens(session, &n_held);
    *out_n_computed = 0;
    if (n > vklm_session_n_ctx(session))
        return vklm_fail(VKLM_CONTEXT_FULL,
                         "the prompt has %zu tokens; the context has room for %u", n,
                         vklm_session_n_ctx(session));
    while (common < n_held && common + 1 < n && held[common] == prompt[common])
        common++;
    vklm_status status = vklm_session_rewind(session, common);
    if (status == VKLM_OK)
        status = vklm_session_append(session, prompt + common, n - common);
    if (status == VKLM_OK)
        *out_n_computed = (uint32_t)n - common;
    return status;
}

static const char *stop_name(const writer *w, vklm_stop_reason reason)
{
    static const char *const names[] = {
        [VKLM_STOP_LENGTH] = "length",
        [VKLM_STOP_EOS] = "eos",
        [VKLM_STOP_CONTEXT] = "context",
        [VKLM_STOP_CALLER] = "interrupted",
    };
    return w->stopped ? "stop" : names[reason];
}

// Opens a lost device again and brings the session to where the answer is. Returns the failure that
// came in, or that of the attempt.
static vklm_status recover(const writer *w, vklm_session *session, const uint32_t *prompt, size_t n,
                           vklm_status lost)
{
    const vklm_answer *a = w->answer;
    uint32_t n_held;
    if (!w->params->engine || vklm_console_interrupted())
        return lost;
    vklm_status status = vklm_engine_recover(w->params->engine, w->params->engine_params);
    if (status != VKLM_OK && status != VKLM_DEVICE_LOST)
        vklm_fail_prefix(status, "the device was lost and could not be opened again");
    if (status != VKLM_OK)
        return status;
    vklm_session_tokens(session, &n_held);
    if (n_held < n)
        status = vklm_session_append(session, prompt + n_held, n - n_held);
    vklm_session_tokens(session, &n_held);
    for (; status == VKLM_OK && n_held < n + a->n_ids; n_held++)
        status = vklm_session_append(session, a->ids + (n_held - n), 1);
    return status;
}

// What is left of the answer.
static vklm_status generate(writer *w, vklm_session *session, vklm_stop_reason *out_reason)
{
    const vklm_generation *g = w->params->generation;
    return vklm_session_generate(session, g->max_tokens - (uint32_t)w->answer->n_ids, g->ignore_eos,
                                 take_id, w, out_reason);
}

vklm_status vklm_answer_generate(vklm_session *session, const uint32_t *prompt, size_t n,
                                 const vklm_answer_params *params, vklm_answer *out_answer)
{
    *out_answer = (vklm_answer){.stop = "length"};
    writer w = {.params = params, .answer = out_answer};
    vklm_stop_reason reason = VKLM_STOP_LENGTH;
    bool recovered = false;
    vklm_status status = open_writer(&w, prompt, n);
    double begin = vklm_clock_seconds(), middle = begin;
    if (status == VKLM_OK)
        status = compute_prompt(session, prompt, n, &out_answer->n_computed);
    if (status == VKLM_DEVICE_LOST) {
        recovered = true;
        status = recover(&w, session, prompt, n, status);
    }
    if (status == VKLM_OK) {
        middle = vklm_clock_seconds();
        status = generate(&w, session, &reason);
    }
    if (status == VKLM_DEVICE_LOST && !recovered && w.status == VKLM_OK) {
        recovered = true;
        status = recover(&w, session, prompt, n, status);
        if (status == VKLM_OK)
            status = generate(&w, session, &reason);
    }
    if (status == VKLM_DEVICE_LOST && recovered && params->engine)
        vklm_fail_prefix(status, "lost again after it was opened anew");
    if (status == VKLM_OK)
        status = w.status;
    if (status == VKLM_OK)
        status = flush(&w);
    out_answer->stop = stop_name(&w, reason);
    out_answer->prompt_seconds = middle - begin;
    out_answer->seconds = vklm_clock_seconds() - middle;
    vklm_decode_stream_destroy(w.stream);
    vklm_stop_filter_destroy(w.filter);
    return status;
}
