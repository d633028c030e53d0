#include "model/self_test.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "model/decode_plan.h"
#include "model/prefill.h"
#include "model/self_test_weights.h"
#include "ops/matmul.h"

// A prompt, a few tokens more at once, some one by one, and the one that is drawn after them.
enum { N_LONG = 37, N_SHORT = 5, N_PROMPT = N_LONG + N_SHORT };
enum { N_RUN = 6, N_IDS = N_PROMPT + N_RUN + 1, N_TOKENS = N_IDS - N_PROMPT };
enum { DRAWN = N_IDS - 1, N_CTX = 64 };

// f32 sums leave some 1e-6 of a vector's length; the rest is keys and values that were rounded to
// the other number of their cache, whose steps are larger in q8. Products on matrix units, whose
// inputs are f16, leave 4e-4, and move more keys. Each is 3 times what 130 models of all shapes had
// at most. A wrong kernel is off by 0.1 and more.
static const double BOUND_F16 = 0x1p-10, BOUND_Q8 = 0x1p-8, COOP_TIMES = 4;

// Rounding to 8 bits, steps of 1/127 of the largest of 32, which is some 2.2 standard deviations,
// changes a vector by 0.5 % of its length: for the 9 products of a token 1.5 %, and twice that.
static const double BOUND_INT8 = 0x1p-5;

// Such errors have no direction, a wrong scale has one: how far the logits went that way tells it
// from them, to 0.6 % in 120 models.
static const double BOUND_SCALE = 0x1p-6;

// Choices of the reference, an expert or the largest logit, that are closer than this are avoided:
// a device may rightly choose the other one.
static const double CLOSE = 0x1p-4;

typedef struct {
    vklm_gpu_device *device;
    vklm_self_test_weights weights;
    vklm_kv_cache kv;
    vklm_activations activations;
    vklm_prefill prefill;
    vklm_decode_plan decode;
    vklm_self_test_pass reference;
    uint32_t n_vocab, ids[N_IDS];
    double *want, *wrong; // [N_IDS, n_vocab]
    float *got;           // [N_IDS, n_vocab], of those that are judged
    char *error;          // the first
} rig;

void vklm_self_test_cases(const vklm_weights *w, vklm_kv_kind kv,
                          vklm_self_test_case out[VKLM_FORMAT_COUNT], size_t *out_n)
{
    bool used[VKLM_FORMAT_COUNT] = {false};
    used[w->embed.format] = used[w->lm_head.format] = true;
    for (uint32_t i = 0; i < w->arch.n_layers; i++) {
        const vklm_layer_weights *l = &w->layers[i];
        used[l->qkv.format] = used[l->out.format] = true;
        used[w->arch.n_experts ? l->experts.gate_up_format : l->gate_up.format] = true;
        used[w->arch.n_experts ? l->experts.down_format : l->down.format] = true;
    }
    *out_n = 0;
    for (int f = 0; f < VKLM_FORMAT_COUNT; f++)
        if (used[f])
            out[(*out_n)++] = (vklm_self_test_case){.head_dim = w->arch.head_dim,
                                                    .grouped = w->arch.n_heads > w->arch.n_kv_heads,
                                                    .n_experts = w->arch.n_experts,
                                                    .top_k = w->arch.top_k,
                                                    .matrix = (vklm_format)f,
                                                    .kv = kv};
}

static vklm_status init(rig *r, const vklm_self_test_case *test)
{
    vklm_status status = vklm_self_test_weights_init(r->device, test, N_CTX, &r->weights);
    const vklm_arch *a = &r->weights.host.arch;
    if (status == VKLM_OK)
        status = vklm_kv_cache_init(r->device, a, test->kv, N_CTX, &r->kv);
    if (status == VKLM_OK)
        status = vklm_activations_init(r->device, a, N_CTX, &r->activations);
    if (status == VKLM_OK)
        status = vklm_decode_plan_init(r->device, &r->weights.device, &r->kv, &r->activations,
                                       (vklm_gpu_view){0}, &r->decode);
    if (status == VKLM_OK)
        status =
            vklm_prefill_init(r->device, &r->weights.device, &r->kv, &r->activations, &r->prefill);
    if (status == VKLM_OK)
        status = vklm_self_test_pass_init(&r->weights.host, N_IDS, &r->reference);
    if (status != VKLM_OK)
        return status;
    r->n_vocab = a->n_vocab;
    r->want = vklm_alloc((size_t)N_IDS * a->n_vocab, sizeof *r->want);
    r->wrong = vklm_alloc((size_t)N_IDS * a->n_vocab, sizeof *r->wrong);
    r->got = vklm_alloc((size_t)N_IDS * a->n_vocab, sizeof *r->got);
    return r->want && r->wrong && r->got ? VKLM_OK : vklm_fail_memory("the self-test");
}

static void finish(rig *r)
{
    free(r->want), free(r->wrong), free(r->got);
    vklm_self_test_pass_finish(&r->reference);
    vklm_prefill_finish(&r->prefill);
    vklm_decode_plan_finish(&r->decode);
    vklm_activations_finish(&r->activations);
    vklm_kv_cache_finish(&r->kv);
    vklm_self_test_weights_finish(&r->weights);
}

static double length(const double *x, size_t n)
{
    double squares = 0;
    for (size_t i = 0; i < n; i++)
        squares += x[i] * x[i];
    return sqrt(squares);
}

// The id of the largest logit, and by how much it is the largest, in standard deviations.
static uint32_t largest(const double *logits, uint32_t n, double *out_lead)
{
    uint32_t best = 0;
    double next = -INFINITY;
    for (uint32_t i = 1; i < n; i++)
        best = logits[i] > logits[best] ? i : best;
    for (uint32_t i = 0; i < n; i++)
        next = i != best ? fmax(next, logits[i]) : next;
    *out_lead = (logits[best] - next) / (length(logits, n) / sqrt(n));
    return best;
}

static uint32_t largest_of(const float *logits, uint32_t n)
{
    uint32_t best = 0;
    for (uint32_t i = 1; i < n; i++)
        best = logits[i] > logits[best] ? i : best;
    return best;
}

// The ids, and the reference's logits after each.
static void choose_ids(rig *r)
{
    const uint32_t n = r->n_vocab;
    double lead;
    for (uint32_t i = 0; i < DRAWN; i++) {
        double *logits = r->want + (size_t)i * n, closest = 0;
        r->ids[i] = (i * i * 37 + 11 * i + 5) % n;
        for (uint32_t tries = 0; tries < n && closest < CLOSE; tries++) {
            r->ids[i] = (r->ids[i] + (tries > 0)) % n;
            closest = vklm_self_test_pass_step(&r->reference, i, r->ids[i], logits);
            if (i + 1 < DRAWN || closest < CLOSE)
                continue;
            r->ids[DRAWN] = largest(logits, n, &lead);
            closest = vklm_self_test_pass_step(&r->reference, DRAWN, r->ids[DRAWN], logits + n);
            closest = fmin(closest, lead);
        }
    }
}

static double bound_of(const rig *r)
{
    const bool coop = vklm_gpu_device_caps(r->device)->tiers & VKLM_TIER_COOP;
    return (r->weights.host.kv == VKLM_KV_Q8 ? BOUND_Q8 : BOUND_F16) * (coop ? COOP_TIMES : 1);
}

// What was got is kept.
static void check(const rig *r, const char *what, const float *got, uint32_t token, double bound)
{
    const double *want = r->want + (size_t)token * r->n_vocab;
    double squares = 0;
    for (uint32_t i = 0; i < r->n_vocab; i++)
        squares += ((double)got[i] - want[i]) * ((double)got[i] - want[i]);
    double error = sqrt(squares) / length(want, r->n_vocab);
    if (!(error <= bound) && !*r->error) // also when it is not a number
        snprintf(r->error, VKLM_SELF_TEST_ERROR_BYTES,
                 "%s in %s is off by %.2g of its size, where %.2g is allowed", what,
                 vklm_format_name(r->weights.format), error, bound);
    memcpy(r->got + (size_t)token * r->n_vocab, got, r->n_vocab * sizeof *got);
}

// Whether its inputs are rounded to 8 bits.
static bool int8(const rig *r)
{
    return vklm_gpu_device_caps(r->device)->tiers & VKLM_TIER_DOT8 &&
           vklm_format_is_packed(r->weights.format);
}

// Of a token behind the prompt.
static void check_token(const rig *r, const char *what, const float *got, uint32_t token)
{
    check(r, what, got, token, int8(r) ? BOUND_INT8 : bound_of(r));
}

static void check_draw(const rig *r, const struct vklm_args_sampled *drawn, uint32_t want)
{
    if ((drawn->flag || drawn->id != want) && !*r->error)
        snprintf(r->error, VKLM_SELF_TEST_ERROR_BYTES, "token %u is drawn instead of %u", drawn->id,
                 want);
}

// By how much the results of some parts, a bit for each, seem to be too large in tokens first to
// end: how far their logits lie on the way to those of parts that are.
static double scale_error(rig *r, unsigned parts, uint32_t first, uint32_t end)
{
    const double step = 0x1p-8;
    double along = 0, squares = 0;
    for (unsigned i = 0; i < VKLM_SELF_TEST_PARTS; i++)
        r->reference.factor[i] = parts & 1u << i ? 1 + step : 1;
    for (uint32_t i = first; i < end; i++)
        vklm_self_test_pass_step(&r->reference, i, r->ids[i], r->wrong + (size_t)i * r->n_vocab);
    for (size_t i = (size_t)first * r->n_vocab; i < (size_t)end * r->n_vocab; i++) {
        const double way = r->wrong[i] - r->want[i];
        along += way * ((double)r->got[i] - r->want[i]);
        squares += way * way;
    }
    for (unsigned i = 0; i < VKLM_SELF_TEST_PARTS; i++)
        r->reference.factor[i] = 1;
    for (uint32_t i = first; i < end; i++) // keys and values as they were
        vklm_self_test_pass_step(&r->reference, i, r->ids[i], r->wrong + (size_t)i * r->n_vocab);
    return step * along / squares;
}

static void check_scales(rig *r)
{
    static const struct {
        const char *what;
        unsigned parts;
    } kernels[] = {
        {"embed", 1u << VKLM_SELF_TEST_EMBED},
        {"qkv", 1u << VKLM_SELF_TEST_QKV},
        {"keys", 1u << VKLM_SELF_TEST_KEYS},
        {"attention out", 1u << VKLM_SELF_TEST_OUT},
        {"gate up", 1u << VKLM_SELF_TEST_GATE_UP},
        {"down", 1u << VKLM_SELF_TEST_DOWN},
        {"attention out and down", 1u << VKLM_SELF_TEST_OUT | 1u << VKLM_SELF_TEST_DOWN},
        {"lm_head", 1u << VKLM_SELF_TEST_LM_HEAD},
    };
    static const struct {
        const char *what;
        uint32_t first, end;
    } spans[] = {
        {"a prompt", N_LONG - 2, N_LONG},
        {"a few tokens", N_PROMPT - 2, N_PROMPT},
        {"a token", N_PROMPT, N_IDS},
    };
    for (size_t i = 0; i < sizeof kernels / sizeof *kernels && !*r->error; i++) {
        for (size_t s = 0; s < sizeof spans / sizeof *spans && !*r->error; s++) {
            double error = scale_error(r, kernels[i].parts, spans[s].first, spans[s].end);
            if (!(fabs(error) <= BOUND_SCALE))
                snprintf(r->error, VKLM_SELF_TEST_ERROR_BYTES,
                         "%s of %s in %s is off by a factor of %.3f", kernels[i].what,
                         spans[s].what, vklm_format_name(r->weights.format), 1 + error);
        }
    }
}

// A part of the prompt, and the logits after its last two tokens.
typedef struct {
    const rig *rig;
    uint32_t position, n;
} prompt_part;

static vklm_status check_prompt(void *opaque, uint32_t first, uint32_t n, const float *logits)
{
    const prompt_part *part = opaque;
    const rig *r = part->rig;
    // Matrix units take prompts from the dot8 tier, but not a few tokens of dense models.
    const bool coop = vklm_gpu_device_caps(r->device)->tiers & VKLM_TIER_COOP,
               few = part->n <= VKLM_OP_MATMUL_FEW, dense = r->weights.host.arch.n_experts == 0;
    const double bound = int8(r) && (!coop || (few && dense)) ? BOUND_INT8 : bound_of(r);
    for (uint32_t i = 0; i < n; i++)
        check(r, few ? "a few tokens" : "a prompt", logits + (size_t)i * r->n_vocab,
              part->position + first + i, bound);
    return VKLM_OK;
}

static vklm_status run_prompt(rig *r, uint32_t position, uint32_t n)
{
    prompt_part part = {.rig = r, .position = position, .n = n};
    uint32_t done;
    return vklm_prefill_run(
        &r->prefill, r->ids + position, n, position,
        &(vklm_prefill_params){.logits = check_prompt, .opaque = &part, .logits_from = n - 2},
        &done);
}

// Draws, and computes what was drawn on the device.
static vklm_status run_drawn(rig *r)
{
    const struct vklm_args_sampling greedy = {
        .temperature = 1, .top_p = 1, .repetition = 1, .top_k = 1, .greedy = 1};
    const float *logits;
    struct vklm_args_sampled drawn;
    uint64_t ticket;
    memset(vklm_decode_plan_counts(&r->decode), 0, r->n_vocab * sizeof(uint32_t));
    vklm_status status = vklm_decode_plan_draw(&r->decode, &greedy, DRAWN - 1, 0, &drawn);
    if (status != VKLM_OK)
        return status;
    check_draw(r, &drawn, r->ids[DRAWN]);
    if (*r->error) // the rest would be of another token
        return VKLM_OK;
    status = vklm_decode_plan_chain(&r->decode, 1, &ticket);
    if (status == VKLM_OK)
        status = vklm_decode_plan_wait(&r->decode, ticket, 1, &drawn);
    if (status == VKLM_OK)
        status = vklm_decode_plan_fetch(&r->decode, &logits);
    if (status != VKLM_OK)
        return status;
    check_token(r, "a drawn token", logits, DRAWN);
    check_draw(r, &drawn, largest_of(logits, r->n_vocab));
    return VKLM_OK;
}

static vklm_status run(rig *r)
{
    choose_ids(r);
    vklm_status status = run_prompt(r, 0, N_LONG);
    if (status == VKLM_OK && !*r->error)
        status = run_prompt(r, N_LONG, N_SHORT);
    for (uint32_t i = N_PROMPT; i < DRAWN && status == VKLM_OK && !*r->error; i++) {
        const float *logits;
        status = vklm_decode_plan_run(&r->decode, r->ids[i], i, &logits);
        if (status == VKLM_OK)
            check_token(r, "a token", logits, i);
    }
    if (status == VKLM_OK && !*r->error)
        status = run_drawn(r);
    if (status == VKLM_OK && !*r->error)
        check_scales(r);
    return status;
}

vklm_status vklm_self_test_run(vklm_gpu_device *device, const vklm_self_test_case *test,
                               char out_error[VKLM_SELF_TEST_ERROR_BYTES])
{
    rig r = {.device = device, .error = out_error};
    *out_error = '\0';
    vklm_status status = init(&r, test);
    if (status == VKLM_OK)
        status = run(&r);
    if (status == VKLM_BAD_FILE) { // a router's scores: the weights, our own, are right
        snprintf(out_error, VKLM_SELF_TEST_ERROR_BYTES, "a router has no finite scores");
        status = VKLM_OK;
    }
    finish(&r);
    return status;
}
