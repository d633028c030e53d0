// The upper tiers on whole models: a prompt through their products against the same tokens one by
// one, which the matrix-vector kernels compute in f32.
//
// Bounds, coop. Rounding to f16 costs an operand 2^-12 of itself on average, and signs cancel: a
// product of random signs is off by 2^-12 to 2^-11 of its own size, 2.4e-4 to 4.9e-4, and the
// residual stream adds layers' errors as it adds their outputs. Mean relative error of logits:
// 1e-3; of one position's: 1e-2 (measured: 0.0075), and twice that with experts, whose weights in
// the sum move with the router's scores (0.011). Where a near tie of a router sends a token to
// another expert, another function is computed, for it and for what follows it: such positions
// count for the greedy tokens and for the mean alone.
//
// Bounds, dot8. An input is off by up to half a 127th of its block's largest value, which of 32
// normal ones is 2.1 standard deviations: 0.5 % of a product on average. Those of down, which are
// not normal, and of qkv are in two terms and add nothing; the other products' errors reach the
// logits as a part of theirs. Mean: 0.75 % (measured: 0.29 %, with experts 0.46 %), of one position
// 7 % (3.6 %).
#include <criterion/criterion.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <vklm/vklm.h>

#include "base/file.h"
#include "checkpoint/safetensors.h"
#include "model/need_device.h"

#define must(call) cr_assert((call) == VKLM_OK, "%s", vklm_error_message())

enum { N_CTX = 512, N_VOCAB = 1024, MOST_ROUTES = 16 * N_CTX * 4 };

typedef struct {
    unsigned tier;
    double mean, worst, worst_experts;
    size_t same_of_1000; // greedy tokens
} tier_bounds;

static const tier_bounds COOP = {VKLM_TIER_COOP, 1e-3, 1e-2, 2e-2, 999};
static const tier_bounds DOT8 = {VKLM_TIER_DOT8, 7.5e-3, 0.07, 0.07, 999};

typedef struct {
    vklm_engine *engine;
    vklm_session *session;
} open_model;

static open_model open_with(const char *model, vklm_weights_kind weights, unsigned tiers)
{
    char folder[512];
    open_model o;
    snprintf(folder, sizeof folder, "%s/%s", VKLM_TEST_DATA, model);
    must(vklm_engine_open(&(vklm_engine_params){.model_dir = folder,
                                                .n_ctx = N_CTX,
                                                .weights = weights,
                                                .tiers = tiers,
                                                .validation = true},
                          &o.engine));
    must(vklm_session_create(o.engine, NULL, &o.session));
    return o;
}

static void close_model(open_model o)
{
    unsigned messages = vklm_engine_validation_messages(o.engine);
    vklm_session_destroy(o.session);
    vklm_engine_close(o.engine);
    cr_assert_eq(messages, 0, "%u validation messages", messages);
}

// Logits after every one of n <= N_CTX tokens of a prompt, [n, N_VOCAB], and where routers sent
// them, [n_layers, n, top_k], unless out_experts is NULL.
static void logits_of_prompt(vklm_session *session, const uint32_t *ids, size_t n, float *out,
                             uint32_t *out_experts)
{
    char path[] = "/tmp/vklm-logits-XXXXXX";
    int fd = mkstemp(path);
    vklm_file_map map;
    vklm_safetensors header;
    cr_assert(fd >= 0);
    close(fd);
    must(vklm_session_write_logits(session, ids, n, out_experts, path));
    must(vklm_file_map_open(path, &map));
    must(vklm_safetensors_parse(map.data, map.size, path, &header));
    const vklm_tensor_info *logits = vklm_safetensors_find(&header, "logits");
    memcpy(out, map.data + logits->offset, n * N_VOCAB * sizeof *out);
    if (out_experts) {
        const vklm_tensor_info *e = vklm_safetensors_find(&header, "experts");
        const size_t n_values = (size_t)(e->shape[0] * e->shape[1] * e->shape[2]);
        cr_assert(n_values <= MOST_ROUTES);
        memcpy(out_experts, map.data + e->offset, n_values * sizeof *out_experts);
    }
    vklm_safetensors_finish(&header);
    vklm_file_map_close(&map);
    unlink(path);
}

// How many of n tokens, from the first on, were sent to the same experts.
static size_t same_routes(const vklm_model_info *m, const uint32_t *a, const uint32_t *b, size_t n)
{
    for (size_t t = 0; t < n; t++)
        for (size_t layer = 0; layer < m->n_layers; layer++) {
            const size_t at = (layer * n + t) * m->top_k;
            if (memcmp(a + at, b + at, m->top_k * sizeof *a) != 0)
                return t;
        }
    return n;
}

static void logits_one_by_one(vklm_session *session, const uint32_t *ids, size_t n, float *out)
{
    must(vklm_session_rewind(session, 0));
    for (size_t i = 0; i < n; i++) {
        const float *logits;
        must(vklm_session_append(session, ids + i, 1));
        must(vklm_session_logits(session, &logits));
        memcpy(out + i * N_VOCAB, logits, N_VOCAB * sizeof *out);
    }
}

static size_t best(const float *logits)
{
    size_t best = 0;
    for (size_t i = 1; i < N_VOCAB; i++)
        if (logits[i] > logits[best])
            best = i;
    return best;
}

typedef struct {
    size_t n, same;    // positions, and those with the same most probable token
    size_t apart;      // positions from the first one of a context on that was routed apart
    double worst, sum; // relative errors; worst: of the others
} agreement;

static void compare(const float *got, const float *want, bool apart, agreement *a)
{
    double distance = 0, length = 0;
    for (size_t i = 0; i < N_VOCAB; i++) {
        distance += ((double)got[i] - (double)want[i]) * ((double)got[i] - (double)want[i]);
        length += (double)want[i] * (double)want[i];
    }
    const double error = sqrt(distance / length);
    a->n++;
    a->same += best(got) == best(want);
    a->apart += apart;
    a->worst = apart ? a->worst : fmax(a->worst, error);
    a->sum += error;
}

static void check_model(const char *model, vklm_weights_kind weights, const tier_bounds *bounds)
{
    vklm_string text = {0};
    vklm_tokenizer *tokenizer;
    uint32_t *ids;
    size_t n;
    char folder[512];
    snprintf(folder, sizeof folder, "%s/%s", VKLM_TEST_DATA, model);
    must(vklm_file_read(VKLM_TEST_DATA "/heldout.txt", 1 << 20, &text));
    must(vklm_tokenizer_open(folder, &tokenizer));
    must(vklm_tokenizer_encode(tokenizer, text.data, text.len, NULL, &ids, &n));
    open_model upper = open_with(model, weights, bounds->tier);
    open_model base = open_with(model, weights, VKLM_TIER_BASE);
    const vklm_model_info *info = vklm_engine_model(base.engine);
    float *got = malloc(N_CTX * N_VOCAB * sizeof *got),
          *want = malloc(N_CTX * N_VOCAB * sizeof *want);
    uint32_t *routes[2] = {NULL, NULL};
    for (int i = 0; i < 2 && info->n_experts; i++)
        routes[i] = malloc(MOST_ROUTES * sizeof *routes[i]);
    agreement a = {0};
    for (size_t first = 0; first < n; first += N_CTX) {
        size_t part = n - first < N_CTX ? n - first : N_CTX;
        logits_of_prompt(upper.session, ids + first, part, got, routes[0]);
        logits_of_prompt(base.session, ids + first, part, want, routes[1]);
        cr_expect_neq(memcmp(got, want, part * N_VOCAB * sizeof *got), 0, "the tier was not used");
        size_t same = routes[0] ? same_routes(info, routes[0], routes[1], part) : part;
        logits_one_by_one(base.session, ids + first, part, want);
        for (size_t i = 0; i < part; i++)
            compare(got + i * N_VOCAB, want + i * N_VOCAB, i >= same, &a);
    }
    const double mean = a.sum / (double)a.n;
    fprintf(stderr,
            "%s, weights %d: %zu of %zu greedy tokens are the same, relative error %.2g on "
            "average, %.2g at worst but for %zu positions routed apart\n",
            model, (int)weights, a.same, a.n, mean, a.worst, a.apart);
    cr_expect(1000 * a.same >= bounds->same_of_1000 * a.n);
    cr_expect(mean <= bounds->mean);
    cr_expect(a.worst <= (routes[0] ? bounds->worst_experts : bounds->worst));
    free(got), free(want), free(routes[0]), free(routes[1]);
    close_model(upper);
    close_model(base);
    vklm_free(ids);
    vklm_tokenizer_close(tokenizer);
    vklm_string_finish(&text);
}

Test(coop, prompts_follow_token_by_token)
{
    need_coop();
    check_model("demo-dense", VKLM_WEIGHTS_F16, &COOP);
    check_model("demo-dense", VKLM_WEIGHTS_Q8, &COOP);
    check_model("demo-dense", VKLM_WEIGHTS_Q4, &COOP);
    check_model("demo-moe", VKLM_WEIGHTS_F16, &COOP);
    check_model("demo-moe", VKLM_WEIGHTS_Q8, &COOP);
}

Test(dot8, prompts_follow_token_by_token)
{
    need_device();
    check_model("demo-dense", VKLM_WEIGHTS_Q4, &DOT8);
    check_model("demo-moe", VKLM_WEIGHTS_Q8, &DOT8);
}
