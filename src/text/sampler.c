#include "text/sampler.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/rng.h"

// Tokens that are still in the draw, in ascending order of id.
typedef struct {
    uint32_t *id;  // [n_vocab]
    float *logit;  // [n_vocab]
    float *weight; // [n_vocab] exp(logit - max)
    uint32_t n;
} candidates;

struct vklm_sampler {
    vklm_sampling_params params; // with the defaults filled in
    uint32_t n_vocab;
    uint64_t counter;   // draws so far
    bool *seen;         // [n_vocab] accepted
    uint32_t *accepted; // [n_vocab] their ids, each once
    uint32_t n_accepted;
    uint32_t *count; // [n_vocab] how often it was generated
    bool any_count;
    uint32_t drawn;        // not accepted yet, or NOTHING
    vklm_logit_bias *bias; // [params.n_bias]
    candidates in;
    double *histogram; // [BINS]
};

// The thresholds of top-k and top-p are found by radix selection: three passes over 11, 11 and 10
// bits of a key that orders like the float. No sort, whatever k and p are.
enum { BINS = 1 << 11 };

#define NOTHING UINT32_MAX

static const vklm_sampling_params default_params = {
    .temperature = 0.7f,
    .top_k = 50,
    .top_p = 0.95f,
    .repetition_penalty = 1.05f,
};

static vklm_status check_range(const char *name, float value, bool good, const char *range)
{
    return good ? VKLM_OK
                : vklm_fail(VKLM_INVALID_ARGUMENT, "%s must be %s, not %g", name, range,
                            (double)value);
}

vklm_status vklm_sampling_check(const vklm_sampling_params *params)
{
    const float t = params->temperature, r = params->repetition_penalty;
    const float f = params->frequency_penalty, p = params->presence_penalty;
    vklm_status status = check_range("temperature", t, isfinite(t) && t >= 0, "above 0");
    if (status == VKLM_OK && params->top_k < -1)
        status = vklm_fail(VKLM_INVALID_ARGUMENT, "top_k must be above 0, or -1 for off, not %d",
                           params->top_k);
    if (status == VKLM_OK)
        status = check_range("top_p", params->top_p, params->top_p >= 0 && params->top_p <= 1,
                             "from 0 to 1");
    if (status == VKLM_OK)
        status = check_range("min_p", params->min_p, params->min_p >= 0 && params->min_p <= 1,
                             "from 0 to 1");
    if (status == VKLM_OK)
        status = check_range("repetition_penalty", r, isfinite(r) && r >= 0, "above 0");
    if (status == VKLM_OK)
        status = check_range("frequency_penalty", f, f >= -2 && f <= 2, "from -2 to 2");
    if (status == VKLM_OK)
        status = check_range("presence_penalty", p, p >= -2 && p <= 2, "from -2 to 2");
    for (size_t i = 0; i < params->n_bias && status == VKLM_OK; i++)
        status = check_range("logit_bias", params->bias[i].bias, isfinite(params->bias[i].bias),
                             "a finite number");
    return status;
}

static vklm_sampling_params fill_defaults(vklm_sampling_params p)
{
    p.temperature = p.temperature == 0 ? default_params.temperature : p.temperature;
    p.top_k = p.top_k == 0 ? default_params.top_k : p.top_k;
    p.top_p = p.top_p == 0 ? default_params.top_p : p.top_p;
    p.repetition_penalty =
        p.repetition_penalty == 0 ? default_params.repetition_penalty : p.repetition_penalty;
    while (p.seed == 0)
        p.seed = vklm_rng_seed();
    return p;
}

vklm_status vklm_sampler_create(const vklm_sampling_params *params, uint32_t n_vocab,
                                vklm_sampler **out_sampler)
{
    *out_sampler = NULL;
    vklm_status status = vklm_sampling_check(params);
    if (status == VKLM_OK && n_vocab == 0)
        status = vklm_fail(VKLM_INVALID_ARGUMENT, "a sampler needs a vocabulary");
    for (size_t i = 0; i < params->n_bias && status == VKLM_OK; i++)
        if (params->bias[i].id >= n_vocab)
            status = vklm_fail(VKLM_INVALID_ARGUMENT, "logit_bias of id %u; the model has %u ids",
                               params->bias[i].id, n_vocab);
    if (status != VKLM_OK)
        return status;
    vklm_sampler *s = vklm_alloc(1, sizeof *s);
    if (!s)
        return vklm_fail_memory("a sampler");
    s->params = fill_defaults(*params);
    s->n_vocab = n_vocab;
    s->drawn = NOTHING;
    s->count = vklm_alloc(n_vocab, sizeof *s->count);
    s->bias = vklm_alloc(params->n_bias, sizeof *s->bias);
    s->seen = vklm_alloc(n_vocab, sizeof *s->seen);
    s->accepted = vklm_alloc(n_vocab, sizeof *s->accepted);
    s->in.id = vklm_alloc(n_vocab, sizeof *s->in.id);
    s->in.logit = vklm_alloc(n_vocab, sizeof *s->in.logit);
    s->in.weight = vklm_alloc(n_vocab, sizeof *s->in.weight);
    s->histogram = vklm_alloc(BINS, sizeof *s->histogram);
    if (!s->count || !s->bias || !s->seen || !s->accepted || !s->in.id || !s->in.logit ||
        !s->in.weight || !s->histogram) {
        vklm_sampler_destroy(s);
        return vklm_fail_memory("a sampler");
    }
    if (params->n_bias)
        memcpy(s->bias, params->bias, params->n_bias * sizeof *s->bias);
    s->params.bias = s->bias;
    *out_sampler = s;
    return VKLM_OK;
}

void vklm_sampler_destroy(vklm_sampler *sampler)
{
    if (!sampler)
        return;
    free(sampler->count);
    free(sampler->bias);
    free(sampler->seen);
    free(sampler->accepted);
    free(sampler->in.id);
    free(sampler->in.logit);
    free(sampler->in.weight);
    free(sampler->histogram);
    free(sampler);
}

uint64_t vklm_sampler_seed(const vklm_sampler *sampler)
{
    return sampler->params.seed;
}

const vklm_sampling_params *vklm_sampler_params(const vklm_sampler *sampler)
{
    return &sampler->params;
}

void vklm_sampler_counts(const vklm_sampler *sampler, uint32_t *out_counts)
{
    memset(out_counts, 0, sampler->n_vocab * sizeof *out_counts);
    for (uint32_t i = 0; i < sampler->n_accepted; i++) {
        uint32_t id = sampler->accepted[i];
        out_counts[id] = sampler->count[id] | VKLM_SAMPLER_SEEN;
    }
}

uint64_t vklm_sampler_draws(const vklm_sampler *sampler)
{
    return sampler->counter;
}

void vklm_sampler_drew(vklm_sampler *sampler, uint32_t id)
{
    sampler->counter++;
    sampler->drawn = id;
}

static void forget_counts(vklm_sampler *s)
{
    for (uint32_t i = 0; s->any_count && i < s->n_accepted; i++)
        s->count[s->accepted[i]] = 0;
    s->any_count = false;
    s->drawn = NOTHING;
}

void vklm_sampler_accept(vklm_sampler *sampler, uint32_t id)
{
    if (id >= sampler->n_vocab)
        return;
    bool generated = id == sampler->drawn;
    if (!generated)
        forget_counts(sampler);
    if (!sampler->seen[id])
        sampler->accepted[sampler->n_accepted++] = id;
    sampler->seen[id] = true;
    sampler->count[id] += generated;
    sampler->any_count |= generated;
    sampler->drawn = NOTHING;
}

void vklm_sampler_reset(vklm_sampler *sampler)
{
    forget_counts(sampler);
    for (uint32_t i = 0; i < sampler->n_accepted; i++)
        sampler->seen[sampler->accepted[i]] = false;
    sampler->n_accepted = 0;
}

static vklm_status check_logits(const float *logits, uint32_t n)
{
    bool any = false, bad = false;
    for (uint32_t i = 0; i < n; i++) {
        bad |= !(logits[i] < INFINITY);
        any |= logits[i] > -INFINITY;
    }
    for (uint32_t i = 0; bad && i < n; i++)
        if (!(logits[i] < INFINITY))
            return vklm_fail(VKLM_BAD_FILE, "logit %u is %s", i, isnan(logits[i]) ? "NaN" : "inf");
    return any ? VKLM_OK : vklm_fail(VKLM_BAD_FILE, "all %u logits are -inf", n);
}

// A tiny temperature or penalty may overflow a logit; kept finite, it leaves the softmax defined.
// One that was -inf before stays so.
static float bound(float logit, float before)
{
    logit = logit > FLT_MAX ? FLT_MAX : logit;
    return logit < -FLT_MAX && before >= -FLT_MAX ? -FLT_MAX : logit;
}

// The logit of an accepted id: s < 0 ? s * penalty : s / penalty (Keskar et al., "CTRL", 2019),
// then s - frequency * count - presence * [count > 0].
static float penalize(const vklm_sampler *s, float logit, uint32_t count)
{
    const vklm_sampling_params *p = &s->params;
    const float before = logit;
    if (p->repetition_penalty != 1)
        logit = bound(logit < 0 ? logit * p->repetition_penalty : logit / p->repetition_penalty,
                      before);
    if (count > 0)
        logit = bound(logit - p->frequency_penalty * (float)count - p->presence_penalty, before);
    return logit;
}

// Every id with its logit, biased and penalized.
static void take_all(vklm_sampler *s, const float *logits)
{
    float *logit = s->in.logit;
    for (uint32_t i = 0; i < s->n_vocab; i++)
        s->in.id[i] = i;
    memcpy(logit, logits, s->n_vocab * sizeof *logits);
    s->in.n = s->n_vocab;
    for (size_t i = 0; i < s->params.n_bias; i++) {
        float *biased = &logit[s->bias[i].id];
        *biased = bound(*biased + s->bias[i].bias, *biased);
    }
    for (uint32_t i = 0; i < s->n_accepted; i++) {
        uint32_t id = s->accepted[i];
        logit[id] = penalize(s, logit[id], s->count[id]);
    }
}

static uint32_t find_highest(const candidates *in)
{
    uint32_t best = 0;
    for (uint32_t i = 1; i < in->n; i++)
        if (in->logit[i] > in->logit[best])
            best = i;
    return best;
}

static void scale(candidates *in, float temperature)
{
    for (uint32_t i = 0; i < in->n; i++)
        in->logit[i] = bound(in->logit[i] / temperature, in->logit[i]);
}

// Orders like the float itself; -0 and 0 are one key.
static uint32_t order_key(float f)
{
    uint32_t bits;
    f += 0.0f;
    memcpy(&bits, &f, sizeof bits);
    return bits & 0x80000000u ? ~bits : bits | 0x80000000u;
}

// The greatest key T such that the candidates with keys >= T weigh at least `wanted` together; the
// least key if all of them do not. `weight` NULL means 1 each. *out_above: what the keys above T
// weigh.
static uint32_t select_key(const candidates *in, const float *weight, double wanted,
                           double *histogram, double *out_above)
{
    static const struct {
        int shift, bits;
    } digits[] = {{21, 11}, {10, 11}, {0, 10}};
    uint32_t prefix = 0, mask = 0;
    double above = 0;
    for (size_t pass = 0; pass < sizeof digits / sizeof *digits; pass++) {
        const int shift = digits[pass].shift;
        const uint32_t n_bins = 1u << digits[pass].bits;
        memset(histogram, 0, n_bins * sizeof *histogram);
        for (uint32_t i = 0; i < in->n; i++) {
            uint32_t key = order_key(in->logit[i]);
            if ((key & mask) == prefix)
                histogram[key >> shift & (n_bins - 1)] += weight ? (double)weight[i] : 1;
        }
        uint32_t chosen = 0;
        double with_chosen = above;
        for (uint32_t bin = n_bins; bin-- > 0 && with_chosen < wanted;) {
            if (histogram[bin] == 0)
                continue;
            chosen = bin;
            above = with_chosen;
            with_chosen += histogram[bin];
        }
        prefix |= chosen << shift;
        mask |= (n_bins - 1) << shift;
    }
    *out_above = above;
    return prefix;
}

static void keep(candidates *in, uint32_t to, uint32_t from)
{
    in->id[to] = in->id[from];
    in->logit[to] = in->logit[from];
    in->weight[to] = in->weight[from];
}

// TopKLogitsWarper: what is below the k-th largest goes; ties with it stay.
static void apply_top_k(candidates *in, int top_k, double *histogram)
{
    if (top_k < 0 || (uint32_t)top_k >= in->n)
        return;
    double above;
    uint32_t least = select_key(in, NULL, top_k, histogram, &above), n = 0;
    for (uint32_t i = 0; i < in->n; i++)
        if (order_key(in->logit[i]) >= least)
            keep(in, n++, i);
    in->n = n;
}

// The softmax without its division; returns what to divide by.
static double weigh(candidates *in)
{
    double total = 0;
    const float max = in->logit[find_highest(in)];
    for (uint32_t i = 0; i < in->n; i++) {
        in->weight[i] = expf(in->logit[i] - max);
        total += (double)in->weight[i];
    }
    return total;
}

// TopPLogitsWarper: in ascending order a token goes while the sum up to and with it is <= 1 - p;
// seen from the top it stays while what ranks above it sums to less than p. Equal logits rank in
// any order there (torch.sort is not stable); here the lower id ranks higher, as it does for
// argmax.
static void apply_top_p(candidates *in, double wanted, double *histogram)
{
    double above;
    uint32_t least = select_key(in, in->weight, wanted, histogram, &above), n = 0;
    bool any_tie = false;
    for (uint32_t i = 0; i < in->n; i++) {
        uint32_t key = order_key(in->logit[i]);
        if (key == least && (above < wanted || !any_tie)) {
            any_tie = true;
            above += (double)in->weight[i];
            keep(in, n++, i);
        } else if (key > least) {
            keep(in, n++, i);
        }
    }
    in->n = n;
}

// MinPLogitsWarper: what is less likely than min_p times the most likely token goes.
static void apply_min_p(candidates *in, float min_p)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < in->n; i++)
        if (in->weight[i] >= min_p) // the most likely weighs 1
            keep(in, n++, i);
    in->n = n;
}

// Leaves the candidates of the draw in sampler->in, with weights that sum to *out_total.
static vklm_status process(vklm_sampler *s, const float *logits, double *out_total)
{
    const vklm_sampling_params *p = &s->params;
    candidates *in = &s->in;
    vklm_status status = check_logits(logits, s->n_vocab);
    if (status != VKLM_OK)
        return status;
    take_all(s, logits);
    if (p->greedy) {
        keep(in, 0, find_highest(in));
        in->n = 1;
    } else {
        scale(in, p->temperature);
        apply_top_k(in, p->top_k, s->histogram);
    }
    double total = weigh(in);
    if (p->top_p < 1 && !p->greedy)
        apply_top_p(in, (double)p->top_p * total, s->histogram);
    if (p->min_p > 0)
        apply_min_p(in, p->min_p);
    total = 0;
    for (uint32_t i = 0; i < in->n; i++)
        total += (double)in->weight[i];
    *out_total = total;
    return VKLM_OK;
}

vklm_status vklm_sampler_sample(vklm_sampler *sampler, const float *logits, uint32_t *out_id)
{
    double total, sum = 0;
    vklm_status status = process(sampler, logits, &total);
    if (status != VKLM_OK)
        return status;
    const candidates *in = &sampler->in;
    double point = (double)vklm_rng_uniform(sampler->params.seed, sampler->counter++) * total;
    uint32_t chosen =
        find_highest(in); // unless the walk below finds one, which rounding might prevent
    for (uint32_t i = 0; i < in->n; i++) {
        sum += (double)in->weight[i];
        if (point < sum) {
            chosen = i;
            break;
        }
    }
    *out_id = sampler->drawn = in->id[chosen];
    return VKLM_OK;
}

vklm_status vklm_sampler_distribution(vklm_sampler *sampler, const float *logits, float *out_probs)
{
    double total;
    vklm_status status = process(sampler, logits, &total);
    if (status != VKLM_OK)
        return status;
    memset(out_probs, 0, sampler->n_vocab * sizeof *out_probs);
    for (uint32_t i = 0; i < sampler->in.n; i++)
        out_probs[sampler->in.id[i]] = (float)((double)sampler->in.weight[i] / total);
    return VKLM_OK;
}
