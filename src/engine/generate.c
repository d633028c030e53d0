// Generating: a token is drawn, handed out, computed, and so on.
//
// Where the device draws, tokens follow each other there without the host, which learns of each a
// little later: while one is handed out the next ones are under way. What was computed past the
// last token taken is forgotten: it lies in the KV cache behind the session's tokens and is written
// over.
#include "engine/session_private.h"

#include "base/clock.h"

typedef struct {
    vklm_session *session;
    uint32_t left; // tokens still wanted
    bool ignore_eos, ended;
    vklm_token_callback on_token;
    void *opaque;
    vklm_stop_reason reason;
} generation;

static bool is_eos(const vklm_arch *arch, uint32_t id)
{
    for (uint32_t i = 0; i < arch->n_eos; i++)
        if (arch->eos_ids[i] == id)
            return true;
    return false;
}

static void hand_out(generation *g, uint32_t id)
{
    const vklm_session *s = g->session;
    bool go_on = g->on_token(g->opaque, id);
    g->left--;
    g->ended = true;
    if (!g->ignore_eos && is_eos(&s->engine->weights->arch, id))
        g->reason = VKLM_STOP_EOS;
    else if (!go_on)
        g->reason = VKLM_STOP_CALLER;
    else if (s->n_tokens == s->n_ctx)
        g->reason = VKLM_STOP_CONTEXT;
    else if (g->left == 0)
        g->reason = VKLM_STOP_LENGTH;
    else
        g->ended = false;
}

// One token drawn by the host's sampler.
static vklm_status generate_on_host(generation *g)
{
    uint32_t id;
    vklm_status status = vklm_session_sample(g->session, &id);
    if (status != VKLM_OK)
        return status;
    hand_out(g, id);
    return g->ended ? VKLM_OK : vklm_session_append(g->session, &id, 1);
}

static bool device_can(const vklm_session *s)
{
    const vklm_sampling_params *p = vklm_sampler_params(s->sampler);
    return !s->params.sample_on_host && p->n_bias <= VKLM_DECODE_PLAN_MAX_BIASES &&
           vklm_sampler_draws(s->sampler) < UINT32_MAX &&
           (p->greedy || (p->top_k > 0 && p->top_k <= VKLM_DECODE_PLAN_MAX_TOP_K));
}

// Draws from the logits that lie on the device.
static vklm_status draw_first(vklm_session *s, struct vklm_args_sampled *out_report)
{
    const vklm_sampling_params *p = vklm_sampler_params(s->sampler);
    const struct vklm_args_sampling sampling = {
        .temperature = p->temperature,
        .top_p = p->top_p,
        .min_p = p->min_p,
        .repetition = p->repetition_penalty,
        .frequency = p->frequency_penalty,
        .presence = p->presence_penalty,
        .top_k = p->greedy ? 1 : (uint32_t)p->top_k,
        .greedy = p->greedy,
        .seed_low = (uint32_t)p->seed,
        .seed_high = (uint32_t)(p->seed >> 32),
        .n_bias = (uint32_t)p->n_bias,
    };
    struct vklm_args_bias *biases = vklm_decode_plan_biases(&s->decode);
    for (size_t i = 0; i < p->n_bias; i++)
        biases[i] = (struct vklm_args_bias){.id = p->bias[i].id, .bias = p->bias[i].bias};
    _Static_assert(VKLM_SAMPLER_SEEN == VKLM_SAMPLE_SEEN, "one word, written here and read there");
    vklm_sampler_counts(s->sampler, vklm_decode_plan_counts(&s->decode));
    return vklm_decode_plan_draw(&s->decode, &sampling, s->n_tokens - 1,
                                 (uint32_t)vklm_sampler_draws(s->sampler), out_report);
}

// Tokens under way at a time: as many as take 30 ms, so that a stop wastes little and text still
// comes steadily; two at least unless tokens are slow, so that the device never waits for the host.
static uint32_t window(const vklm_session *s)
{
    const double limit = 0.03;
    if (s->token_seconds <= 0 || s->token_seconds > limit)
        return 1;
    double n = limit / s->token_seconds;
    return n < 2 ? 2 : n > 8 ? 8 : (uint32_t)n;
}

typedef struct {
    uint64_t tickets[VKLM_GPU_MAX_RUNS]; // of the runs under way, by number modulo the size
    uint32_t submitted, done, most;      // runs
} chain;

static vklm_status keep_going(vklm_session *s, chain *c)
{
    uint32_t n = window(s), under_way = c->submitted - c->done;
    n = n > under_way ? n - under_way : 0;
    n = n < c->most - c->submitted ? n : c->most - c->submitted;
    if (n == 0)
        return VKLM_OK;
    uint64_t tickets[VKLM_GPU_MAX_RUNS];
    vklm_status status = vklm_decode_plan_chain(&s->decode, n, tickets);
    for (uint32_t i = 0; i < n && status == VKLM_OK; i++)
        c->tickets[c->submitted++ % VKLM_GPU_MAX_RUNS] = tickets[i];
    return status;
}

static vklm_status wait_next(vklm_session *s, chain *c, struct vklm_args_sampled *out_report)
{
    vklm_status status = vklm_decode_plan_wait(&s->decode, c->tickets[c->done % VKLM_GPU_MAX_RUNS],
                                               c->done + 1, out_report);
    c->done++;
    return status;
}

// Tokens drawn by the device, until something ends it or the device leaves a draw to the host.
static vklm_status generate_on_device(generation *g, bool *out_left_to_host)
{
    vklm_session *s = g->session;
    const float *unused;
    const uint32_t room = s->n_ctx - s->n_tokens;
    chain c = {.most = g->left - 1 < room ? g->left - 1 : room};
    struct vklm_args_sampled report;
    vklm_status status =
        s->logits_at == VKLM_LOGITS_ON_DEVICE ? VKLM_OK : vklm_session_logits(s, &unused);
    if (status == VKLM_OK)
        status = draw_first(s, &report);
    double before = vklm_clock_seconds();
    *out_left_to_host = false;
    while (status == VKLM_OK) {
        if (report.flag) {
            *out_left_to_host = true;
            break;
        }
        uint32_t id = report.id;
        vklm_sampler_drew(s->sampler, id);
        hand_out(g, id);
        if (g->ended)
            break;
        status = keep_going(s, &c);
        if (status == VKLM_OK)
            status = wait_next(s, &c, &report);
        if (status != VKLM_OK)
            break;
        vklm_session_accept(s, &id, 1);
        double now = vklm_clock_seconds();
        s->stats.generated_tokens++;
        s->stats.generated_seconds += now - before;
        s->token_seconds =
            s->token_seconds > 0 ? 0.8 * s->token_seconds + 0.2 * (now - before) : now - before;
        before = now;
    }
    // A flagged step stays where it is: the runs behind it computed the same token again.
    const bool past_last = c.submitted > c.done && !*out_left_to_host;
    if (c.submitted > 0)
        s->logits_at = past_last || status != VKLM_OK ? VKLM_LOGITS_LOST : VKLM_LOGITS_ON_DEVICE;
    while (c.done < c.submitted) {
        // What nobody waits for any more may fail: the next call will hear of it.
        vklm_status late = wait_next(s, &c, &report);
        status = status == VKLM_OK && !g->ended ? late : status;
    }
    return status;
}

vklm_status vklm_session_generate(vklm_session *session, uint32_t max_tokens, bool ignore_eos,
                                  vklm_token_callback on_token, void *opaque,
                                  vklm_stop_reason *out_reason)
{
    generation g = {.session = session,
                    .left = max_tokens,
                    .ignore_eos = ignore_eos,
                    .ended = max_tokens == 0,
                    .on_token = on_token,
                    .opaque = opaque};
    bool left_to_host = !device_can(session);
    vklm_status status = vklm_session_check_device(session);
    while (!g.ended && status == VKLM_OK) {
        if (left_to_host) {
            status = generate_on_host(&g);
            left_to_host = !device_can(session);
        } else {
            status = generate_on_device(&g, &left_to_host);
        }
    }
    *out_reason = g.reason;
    return status;
}
