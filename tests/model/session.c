// The public API: sessions and what may go wrong with them.
#include <criterion/criterion.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <vklm/vklm.h>

#define must(call) cr_assert((call) == VKLM_OK, "%s", vklm_error_message())

static vklm_engine *open_engine(vklm_engine_params params)
{
    vklm_engine *engine;
    params.model_dir = VKLM_TEST_DATA "/random-gqa";
    params.validation = true;
    vklm_status status = vklm_engine_open(&params, &engine);
    if (status == VKLM_NO_DEVICE)
        cr_skip_test("no Vulkan: %s", vklm_error_message());
    cr_assert(status == VKLM_OK, "%s", vklm_error_message());
    return engine;
}

static void close_engine(vklm_engine *engine)
{
    unsigned messages = vklm_engine_validation_messages(engine);
    vklm_engine_close(engine);
    cr_assert_eq(messages, 0, "%u validation messages", messages);
}

static void make_ids(uint32_t *ids, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        ids[i] = (i * 31 + 7) % 200;
}

static float *copy_logits(vklm_session *session)
{
    const float *logits;
    float *copy = malloc(200 * sizeof *copy);
    must(vklm_session_logits(session, &logits));
    memcpy(copy, logits, 200 * sizeof *copy);
    return copy;
}

static double relative_error(const float *a, const float *b, size_t n)
{
    double distance = 0, length = 0;
    for (size_t i = 0; i < n; i++) {
        distance += ((double)a[i] - (double)b[i]) * ((double)a[i] - (double)b[i]);
        length += (double)b[i] * (double)b[i];
    }
    return sqrt(distance / length);
}

// A prompt longer than one chunk of the activations, at once and token by token.
Test(session, prefill_equals_token_by_token)
{
    enum { N = 200 };
    uint32_t ids[N];
    make_ids(ids, N);
    vklm_engine *engine = open_engine((vklm_engine_params){0});
    vklm_session *a, *b, *c;
    must(vklm_session_create(engine, NULL, &a));
    must(vklm_session_create(engine, NULL, &b));
    must(vklm_session_create(engine, NULL, &c));
    must(vklm_session_append(a, ids, N));
    for (uint32_t i = 0; i < N; i++)
        must(vklm_session_append(b, ids + i, 1));
    // and in uneven pieces, some of so few tokens that they are columns of a matvec
    static const uint32_t pieces[] = {37, 5, 8, 2, 135, 6, 7};
    for (size_t i = 0, at = 0; i < sizeof pieces / sizeof *pieces; at += pieces[i++])
        must(vklm_session_append(c, ids + at, pieces[i]));
    uint32_t n_c;
    vklm_session_tokens(c, &n_c);
    cr_assert_eq(n_c, N);
    float *la = copy_logits(a), *lb = copy_logits(b), *lc = copy_logits(c);
    // different orders of f32 sums, and the f16 cache that rounds them
    cr_expect(relative_error(la, lb, 200) <= 1e-3, "%g", relative_error(la, lb, 200));
    cr_expect(relative_error(lc, lb, 200) <= 1e-3, "%g", relative_error(lc, lb, 200));
    vklm_session_stats stats = vklm_session_get_stats(b);
    cr_expect_eq(stats.generated_tokens, N);
    free(la), free(lb), free(lc);
    vklm_session_destroy(a);
    vklm_session_destroy(b);
    vklm_session_destroy(c);
    close_engine(engine);
}

Test(session, rewind_gives_the_same_bits)
{
    uint32_t ids[60];
    make_ids(ids, 60);
    vklm_engine *engine = open_engine((vklm_engine_params){0});
    vklm_session *session;
    const float *unused;
    must(vklm_session_create(engine, NULL, &session));
    cr_expect_eq(vklm_session_logits(session, &unused), VKLM_INVALID_ARGUMENT);
    must(vklm_session_append(session, ids, 20));
    must(vklm_session_append(session, ids + 20, 30));
    float *first = copy_logits(session);
    must(vklm_session_append(session, ids + 50, 10));
    must(vklm_session_rewind(session, 20));
    uint32_t n;
    cr_expect_eq(memcmp(vklm_session_tokens(session, &n), ids, 20 * sizeof *ids), 0);
    cr_expect_eq(n, 20);
    cr_expect_eq(vklm_session_logits(session, &unused), VKLM_INVALID_ARGUMENT);
    must(vklm_session_append(session, ids + 20, 30));
    float *second = copy_logits(session);
    cr_expect_eq(memcmp(first, second, 200 * sizeof *first), 0);
    cr_expect_eq(vklm_session_rewind(session, 51), VKLM_INVALID_ARGUMENT);
    free(first), free(second);
    vklm_session_destroy(session);
    close_engine(engine);
}

Test(session, says_what_is_wrong)
{
    uint32_t ids[64] = {0}, bad = 200;
    vklm_engine *engine = open_engine((vklm_engine_params){.n_ctx = 50});
    vklm_session *session;
    must(vklm_session_create(engine, NULL, &session));
    cr_expect_eq(vklm_session_n_ctx(session), 50);
    cr_expect_eq(vklm_session_append(session, ids, 0), VKLM_INVALID_ARGUMENT);
    cr_expect_eq(vklm_session_append(session, &bad, 1), VKLM_INVALID_ARGUMENT);
    cr_expect(strstr(vklm_error_message(), "200"), "%s", vklm_error_message());
    cr_expect_eq(vklm_session_append(session, ids, 51), VKLM_CONTEXT_FULL);
    cr_expect(strstr(vklm_error_message(), "51") && strstr(vklm_error_message(), "50"));
    must(vklm_session_append(session, ids, 50));
    cr_expect_eq(vklm_session_append(session, ids, 1), VKLM_CONTEXT_FULL);
    vklm_session_destroy(session);
    cr_expect_eq(vklm_session_create(engine, &(vklm_session_params){.n_ctx = 1 << 20}, &session),
                 VKLM_INVALID_ARGUMENT);
    cr_expect_null(session);
    cr_expect_eq(
        vklm_session_create(engine, &(vklm_session_params){.sampling = {.top_p = 2}}, &session),
        VKLM_INVALID_ARGUMENT);
    close_engine(engine);
}

static bool stop_at_three(void *opaque, uint32_t id)
{
    (void)id;
    return ++*(uint32_t *)opaque < 3;
}

Test(session, generation_stops_for_its_reasons)
{
    uint32_t ids[64], n = 0;
    make_ids(ids, 64);
    vklm_engine *engine = open_engine((vklm_engine_params){.n_ctx = 20});
    vklm_session *session;
    vklm_stop_reason reason;
    must(vklm_session_create(engine, &(vklm_session_params){.sampling = {.seed = 5}}, &session));
    cr_expect_eq(vklm_session_generate(session, 1, true, stop_at_three, &n, &reason),
                 VKLM_INVALID_ARGUMENT, "nothing was appended");
    must(vklm_session_append(session, ids, 10));
    must(vklm_session_generate(session, 9, true, stop_at_three, &n, &reason));
    cr_expect_eq(reason, VKLM_STOP_CALLER);
    cr_expect_eq(n, 3);
    must(vklm_session_rewind(session, 9));
    must(vklm_session_append(session, ids, 9));
    n = 0;
    uint32_t never = 0x80000000;
    must(vklm_session_generate(session, 9, true, stop_at_three, &never, &reason));
    cr_expect_eq(reason, VKLM_STOP_CALLER); // far above three already
    n = 0;
    must(vklm_session_rewind(session, 0));
    must(vklm_session_append(session, ids, 19));
    must(vklm_session_generate(session, 9, true, stop_at_three, &n, &reason));
    cr_expect_eq(reason, VKLM_STOP_CONTEXT);
    cr_expect_eq(n, 2, "one token fills the context, one more is drawn after it");
    vklm_session_destroy(session);
    close_engine(engine);
}

Test(session, seeds_repeat)
{
    uint32_t ids[10], drawn[2][30];
    make_ids(ids, 10);
    vklm_engine *engine = open_engine((vklm_engine_params){0});
    for (int run = 0; run < 2; run++) {
        vklm_session *session;
        must(vklm_session_create(
            engine, &(vklm_session_params){.sampling = {.seed = 42, .temperature = 2}}, &session));
        cr_expect_eq(vklm_session_seed(session), 42);
        must(vklm_session_append(session, ids, 10));
        for (int i = 0; i < 30; i++) {
            must(vklm_session_sample(session, &drawn[run][i]));
            must(vklm_session_append(session, &drawn[run][i], 1));
        }
        vklm_session_destroy(session);
    }
    cr_expect_eq(memcmp(drawn[0], drawn[1], sizeof drawn[0]), 0);
    close_engine(engine);
}

typedef struct {
    uint32_t ids[64], n, most;
} taken;

static bool take(void *opaque, uint32_t id)
{
    taken *t = opaque;
    t->ids[t->n++] = id;
    return t->n < t->most;
}

// The device's draws against the host's: the same seed gives the same tokens, whatever is under way
// when the caller stops; and logits and tokens are in step afterwards.
Test(session, device_and_host_draw_alike)
{
    static const vklm_logit_bias biases[] = {{5, 3}, {9, -50}, {17, 2.5f}, {5, 0.5f}};
    static const vklm_sampling_params settings[] = {
        {.seed = 11},
        {.greedy = true, .repetition_penalty = 1.3f},
        {.seed = 12, .temperature = 3, .top_k = 200, .top_p = 1},
        {.seed = 13,
         .top_p = 0.9f,
         .min_p = 0.05f,
         .frequency_penalty = 1,
         .presence_penalty = 0.5f},
        {.seed = 14, .bias = biases, .n_bias = sizeof biases / sizeof *biases},
    };
    uint32_t ids[10];
    make_ids(ids, 10);
    vklm_engine *engine = open_engine((vklm_engine_params){0});
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++) {
        taken t[2] = {{.most = 64}, {.most = 64}};
        float *logits[2];
        for (int host = 0; host < 2; host++) {
            vklm_session *s;
            vklm_stop_reason reason;
            uint32_t n;
            must(vklm_session_create(
                engine, &(vklm_session_params){.sampling = settings[i], .sample_on_host = host},
                &s));
            must(vklm_session_append(s, ids, 10));
            must(vklm_session_generate(s, 20, true, take, &t[host], &reason));
            cr_expect_eq(reason, VKLM_STOP_LENGTH);
            t[host].most = 33; // stops in the middle of what is under way
            must(vklm_session_append(s, &t[host].ids[19], 1));
            must(vklm_session_generate(s, 40, true, take, &t[host], &reason));
            cr_expect_eq(reason, VKLM_STOP_CALLER);
            cr_expect_eq(t[host].n, 33);
            const uint32_t *tokens = vklm_session_tokens(s, &n);
            cr_expect_eq(n, 42, "all but the last that was drawn");
            cr_expect_eq(memcmp(tokens + 10, t[host].ids, 32 * sizeof *tokens), 0);
            logits[host] = copy_logits(s);
            must(vklm_session_append(s, ids, 1)); // and on: the cache is what it should be
            free(copy_logits(s));
            vklm_session_destroy(s);
        }
        cr_expect_eq(memcmp(t[0].ids, t[1].ids, 33 * sizeof *ids), 0, "setting %zu", i);
        cr_expect_eq(memcmp(logits[0], logits[1], 200 * sizeof(float)), 0, "setting %zu", i);
        free(logits[0]), free(logits[1]);
    }
    close_engine(engine);
}

// More ties than the device takes: the host draws, and the device goes on.
Test(session, what_the_device_cannot_draw_the_host_draws)
{
    uint32_t ids[10];
    make_ids(ids, 10);
    vklm_engine *engine = open_engine((vklm_engine_params){0});
    // more biases than the device takes, the last of which decides
    vklm_logit_bias biases[65];
    for (uint32_t i = 0; i < 65; i++)
        biases[i] = (vklm_logit_bias){.id = i == 64 ? 5 : i, .bias = i == 64 ? 100 : -1};
    static const vklm_sampling_params settings[] = {{.seed = 3, .top_k = -1},
                                                    {.seed = 3, .top_k = 300}};
    for (size_t i = 0; i < 3; i++) {
        vklm_sampling_params params = settings[i % 2];
        params.bias = i == 2 ? biases : NULL;
        params.n_bias = i == 2 ? 65 : 0;
        vklm_session *s;
        vklm_stop_reason reason;
        taken t = {.most = 64};
        must(vklm_session_create(engine, &(vklm_session_params){.sampling = params}, &s));
        must(vklm_session_append(s, ids, 10));
        must(vklm_session_generate(s, 12, true, take, &t, &reason));
        cr_expect(reason == VKLM_STOP_LENGTH && t.n == 12);
        cr_expect(i != 2 || t.ids[0] == 5);
        vklm_session_destroy(s);
    }
    close_engine(engine);
}

Test(engine, too_little_memory_is_said_with_numbers)
{
    close_engine(open_engine((vklm_engine_params){0})); // skips where there is no Vulkan
    vklm_engine *engine;
    vklm_engine_params params = {.model_dir = VKLM_TEST_DATA "/random-gqa",
                                 .max_device_bytes = 1 << 20};
    cr_assert_eq(vklm_engine_open(&params, &engine), VKLM_OUT_OF_DEVICE_MEMORY);
    cr_expect(strstr(vklm_error_message(), "GiB"), "%s", vklm_error_message());
    cr_expect_null(engine);
}

Test(engine, unknown_devices_are_listed)
{
    close_engine(open_engine((vklm_engine_params){0}));
    vklm_engine *engine;
    vklm_engine_params params = {.model_dir = VKLM_TEST_DATA "/random-gqa", .device = "Voodoo 2"};
    cr_assert_eq(vklm_engine_open(&params, &engine), VKLM_NOT_FOUND);
    cr_expect(strstr(vklm_error_message(), "Voodoo 2") && strstr(vklm_error_message(), "0: "), "%s",
              vklm_error_message());
    params.device = "99";
    cr_expect_eq(vklm_engine_open(&params, &engine), VKLM_NOT_FOUND);
}

static bool cancel(void *opaque, uint64_t done, uint64_t total)
{
    (void)opaque;
    return done * 2 < total;
}

Test(engine, loading_can_be_cancelled)
{
    close_engine(open_engine((vklm_engine_params){0}));
    vklm_engine *engine;
    vklm_engine_params params = {.model_dir = VKLM_TEST_DATA "/random-gqa", .progress = cancel};
    cr_expect_eq(vklm_engine_open(&params, &engine), VKLM_CANCELLED);
    cr_expect_null(engine);
}
