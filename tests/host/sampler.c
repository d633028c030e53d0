// The sampler against transformers' logits processors, and its draws against its own distribution.
#include <criterion/criterion.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "host/text_help.h"
#include "text/sampler.h"

static const vklm_sampling_params off = {
    .temperature = 1, .top_k = -1, .top_p = 1, .repetition_penalty = 1, .seed = 1};

static vklm_sampler *make(const vklm_sampling_params *params, uint32_t n_vocab)
{
    vklm_sampler *s;
    EXPECT_OK(vklm_sampler_create(params, n_vocab, &s));
    return s;
}

static float number(const cJSON *line, const char *name)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(line, name);
    return item ? (float)item->valuedouble : 0;
}

static int descending(const void *pa, const void *pb)
{
    float a = *(const float *)pa, b = *(const float *)pb;
    return (a < b) - (a > b);
}

// Which of several equal logits top-p keeps is left open there. So: the same probabilities in
// whatever order, and where an id is kept by one side only, another id has its logit.
static void compare(const float *logits, const float *got, const float *wanted, uint32_t n,
                    size_t n_line)
{
    for (uint32_t i = 0; i < n; i++) {
        uint32_t n_equal = 0;
        for (uint32_t j = 0; j < n; j++)
            n_equal += logits[j] == logits[i];
        cr_expect((got[i] > 0) == (wanted[i] > 0) || n_equal > 1, "line %zu, id %u: %g, not %g",
                  n_line, i, (double)got[i], (double)wanted[i]);
    }
    float *sorted[] = {vklm_alloc(n, sizeof *got), vklm_alloc(n, sizeof *got)};
    memcpy(sorted[0], got, n * sizeof *got);
    memcpy(sorted[1], wanted, n * sizeof *got);
    qsort(sorted[0], n, sizeof *got, descending);
    qsort(sorted[1], n, sizeof *got, descending);
    for (uint32_t i = 0; i < n; i++)
        cr_expect_float_eq(sorted[0][i], sorted[1][i], 2e-6f * sorted[1][i], "line %zu, rank %u",
                           n_line, i);
    free(sorted[0]);
    free(sorted[1]);
}

// Draws and accepts this id: with logits that leave no other.
static void draw(vklm_sampler *s, uint32_t n_vocab, uint32_t id)
{
    float *logits = vklm_alloc(n_vocab, sizeof *logits);
    for (uint32_t i = 0; i < n_vocab; i++)
        logits[i] = i == id ? 0 : -INFINITY;
    uint32_t drawn;
    EXPECT_OK(vklm_sampler_sample(s, logits, &drawn));
    cr_assert_eq(drawn, id);
    vklm_sampler_accept(s, id);
    free(logits);
}

static float *numbers(const cJSON *line, const char *name, uint32_t *out_n)
{
    const cJSON *array = cJSON_GetObjectItemCaseSensitive(line, name), *item;
    *out_n = (uint32_t)cJSON_GetArraySize(array);
    float *values = vklm_alloc(*out_n, sizeof *values), *to = values;
    cJSON_ArrayForEach(item, array) *to++ = (float)item->valuedouble;
    return values;
}

static void check_golden(const cJSON *line, size_t n_line, void *opaque)
{
    (void)opaque;
    vklm_logit_bias bias[8];
    const cJSON *id;
    vklm_sampling_params params = {
        .temperature = number(line, "temperature"),
        .top_k = (int)number(line, "top_k"),
        .top_p = number(line, "top_p"),
        .min_p = number(line, "min_p"),
        .repetition_penalty = number(line, "repetition_penalty"),
        .frequency_penalty = number(line, "frequency_penalty"),
        .presence_penalty = number(line, "presence_penalty"),
        .bias = bias,
        .seed = 1,
    };
    cJSON_ArrayForEach(id, cJSON_GetObjectItemCaseSensitive(line, "bias")) bias[params.n_bias++] =
        (vklm_logit_bias){(uint32_t)cJSON_GetArrayItem(id, 0)->valueint,
                          (float)cJSON_GetArrayItem(id, 1)->valuedouble};
    uint32_t n, n_wanted;
    float *logits = numbers(line, "logits", &n), *wanted = numbers(line, "probs", &n_wanted);
    float *got = vklm_alloc(n, sizeof *got);
    cr_assert_eq(n, n_wanted);
    vklm_sampler *s = make(&params, n);
    cJSON_ArrayForEach(id, cJSON_GetObjectItemCaseSensitive(line, "ids"))
        vklm_sampler_accept(s, (uint32_t)id->valuedouble);
    cJSON_ArrayForEach(id, cJSON_GetObjectItemCaseSensitive(line, "generated"))
        draw(s, n, (uint32_t)id->valuedouble);
    EXPECT_OK(vklm_sampler_distribution(s, logits, got));
    compare(logits, got, wanted, n, n_line);
    free(logits);
    free(wanted);
    free(got);
    vklm_sampler_destroy(s);
}

Test(sampler, distributions_of_transformers)
{
    cr_expect_eq(for_each_json_line(VKLM_TEST_DATA "/golden/sampling.jsonl", check_golden, NULL),
                 96);
}

// Pearson's chi-square over the ids that can come: its mean is its degrees of freedom d, its
// deviation sqrt(2 d); six of those are never reached by chance.
static void check_draws(const vklm_sampling_params *params, const float *logits, uint32_t n_vocab)
{
    enum { N_DRAWS = 100000 };
    vklm_sampler *s = make(params, n_vocab);
    float *probs = vklm_alloc(n_vocab, sizeof *probs);
    uint32_t *counts = vklm_alloc(n_vocab, sizeof *counts), id;
    EXPECT_OK(vklm_sampler_distribution(s, logits, probs));
    for (int i = 0; i < N_DRAWS; i++) {
        EXPECT_OK(vklm_sampler_sample(s, logits, &id));
        counts[id]++;
    }
    double chi = 0, freedom = -1;
    for (uint32_t i = 0; i < n_vocab; i++) {
        double wanted = (double)probs[i] * N_DRAWS;
        cr_expect(wanted > 0 || counts[i] == 0, "id %u has no probability", i);
        if (wanted > 0) {
            chi += (counts[i] - wanted) * (counts[i] - wanted) / wanted;
            freedom++;
        }
    }
    cr_expect_lt(chi, freedom + 6 * sqrt(2 * freedom) + 1, "chi-square %g with %g", chi, freedom);
    free(probs);
    free(counts);
    vklm_sampler_destroy(s);
}

Test(sampler, draws_follow_the_distribution)
{
    float logits[40];
    for (uint32_t i = 0; i < 40; i++)
        logits[i] = 3 * vklm_rng_uniform(9, i);
    vklm_sampling_params card = {.seed = 123};
    check_draws(&card, logits, 40);
    check_draws(&off, logits, 40);
    vklm_sampling_params narrow = {.top_k = 7, .top_p = 0.8f, .min_p = 0.1f, .seed = 5};
    check_draws(&narrow, logits, 40);
    const vklm_logit_bias bias[] = {{3, 2}, {4, -100}};
    vklm_sampling_params biased = {
        .top_k = -1, .frequency_penalty = 1, .bias = bias, .n_bias = 2, .seed = 6};
    check_draws(&biased, logits, 40);
}

// Frequency and presence penalties cover what was drawn since the last token that was not.
Test(sampler, penalties_count_what_was_generated)
{
    const float logits[] = {0, 0, 0, 0};
    vklm_sampling_params params = off;
    params.frequency_penalty = 0.5f;
    params.presence_penalty = 0.25f;
    vklm_sampler *s = make(&params, 4);
    float probs[4];
    vklm_sampler_accept(s, 0);
    vklm_sampler_accept(s, 1);
    draw(s, 4, 1);
    draw(s, 4, 2);
    draw(s, 4, 2);
    EXPECT_OK(vklm_sampler_distribution(s, logits, probs));
    cr_expect_float_eq(probs[0], probs[3], 1e-6f);
    cr_expect_float_eq(logf(probs[0] / probs[1]), 0.75f, 1e-5f);
    cr_expect_float_eq(logf(probs[0] / probs[2]), 1.25f, 1e-5f);
    vklm_sampler_accept(s, 2); // a new prompt
    EXPECT_OK(vklm_sampler_distribution(s, logits, probs));
    cr_expect_float_eq(probs[2], 0.25f, 1e-6f);
    draw(s, 4, 2);
    vklm_sampler_reset(s);
    EXPECT_OK(vklm_sampler_distribution(s, logits, probs));
    cr_expect_float_eq(probs[2], 0.25f, 1e-6f);
    vklm_sampler_destroy(s);
}

Test(sampler, a_bias_must_name_a_token)
{
    vklm_sampler *s;
    vklm_logit_bias bias = {4, 1};
    const vklm_sampling_params params = {.bias = &bias, .n_bias = 1};
    cr_expect_eq(vklm_sampler_create(&params, 4, &s), VKLM_INVALID_ARGUMENT);
    cr_expect(strstr(vklm_error_message(), "id 4; the model has 4 ids"), "%s",
              vklm_error_message());
    bias = (vklm_logit_bias){1, NAN};
    cr_expect_eq(vklm_sampling_check(&params), VKLM_INVALID_ARGUMENT);
    cr_expect(strstr(vklm_error_message(), "logit_bias"), "%s", vklm_error_message());
}

Test(sampler, a_seed_repeats_itself)
{
    enum { N = 1000 };
    float *logits = vklm_alloc(N, sizeof *logits);
    for (uint32_t i = 0; i < N; i++)
        logits[i] = 5 * vklm_rng_uniform(3, i);
    vklm_sampling_params params = {.seed = 42};
    vklm_sampler *a = make(&params, N), *b = make(&params, N);
    uint32_t from_a, from_b, differing = 0;
    for (int i = 0; i < 200; i++) {
        EXPECT_OK(vklm_sampler_sample(a, logits, &from_a));
        EXPECT_OK(vklm_sampler_sample(b, logits, &from_b));
        cr_expect_eq(from_a, from_b, "draw %d", i);
    }
    params.seed = 43;
    vklm_sampler *c = make(&params, N);
    for (int i = 0; i < 200; i++) {
        EXPECT_OK(vklm_sampler_sample(a, logits, &from_a));
        EXPECT_OK(vklm_sampler_sample(c, logits, &from_b));
        differing += from_a != from_b;
    }
    cr_expect_gt(differing, 100);
    params.seed = 0;
    vklm_sampler *picked = make(&params, N), *other = make(&params, N);
    cr_expect_neq(vklm_sampler_seed(picked), 0);
    cr_expect_neq(vklm_sampler_seed(picked), vklm_sampler_seed(other));
    vklm_sampler *const all[] = {a, b, c, picked, other};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        vklm_sampler_destroy(all[i]);
    free(logits);
}

Test(sampler, greedy_takes_the_lowest_id_on_ties)
{
    const float logits[] = {1, 3, 3, -1, 3};
    uint32_t id;
    vklm_sampling_params greedy = {.greedy = true, .repetition_penalty = 1};
    vklm_sampler *s = make(&greedy, 5);
    EXPECT_OK(vklm_sampler_sample(s, logits, &id));
    cr_expect_eq(id, 1);
    vklm_sampler_destroy(s);

    greedy.repetition_penalty = 1.05f;
    s = make(&greedy, 5);
    vklm_sampler_accept(s, 1);
    vklm_sampler_accept(s, 1); // counts once
    vklm_sampler_accept(s, 99);
    EXPECT_OK(vklm_sampler_sample(s, logits, &id));
    cr_expect_eq(id, 2);
    float probs[5];
    EXPECT_OK(vklm_sampler_distribution(s, logits, probs));
    cr_expect(probs[2] == 1 && probs[0] == 0 && probs[4] == 0);
    vklm_sampler_reset(s);
    EXPECT_OK(vklm_sampler_sample(s, logits, &id));
    cr_expect_eq(id, 1);
    vklm_sampler_destroy(s);
}

Test(sampler, ties_with_the_last_of_top_k_stay)
{
    const float logits[] = {2, 1, 1, 1, 0, -INFINITY};
    float probs[6];
    vklm_sampling_params params = off;
    params.top_k = 2;
    vklm_sampler *s = make(&params, 6);
    EXPECT_OK(vklm_sampler_distribution(s, logits, probs));
    cr_expect(probs[0] > 0 && probs[1] > 0 && probs[2] > 0 && probs[3] > 0);
    cr_expect(probs[4] == 0 && probs[5] == 0);
    vklm_sampler_destroy(s);
}

// Four equal logits of 0.25 each: one stays while those before it sum to less than p.
Test(sampler, top_p_keeps_the_lower_ids_on_ties)
{
    const float logits[] = {0, -0.0f, 0, 0};
    static const struct {
        float top_p;
        int kept;
    } cases[] = {{0.01f, 1}, {0.3f, 2}, {0.5f, 2}, {0.6f, 3}, {0.75f, 3}, {0.8f, 4}, {1, 4}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        vklm_sampling_params params = off;
        params.top_p = cases[i].top_p;
        vklm_sampler *s = make(&params, 4);
        float probs[4];
        EXPECT_OK(vklm_sampler_distribution(s, logits, probs));
        for (int id = 0; id < 4; id++)
            cr_expect_eq(probs[id] > 0, id < cases[i].kept, "p %g, id %d", (double)cases[i].top_p,
                         id);
        vklm_sampler_destroy(s);
    }
}

Test(sampler, bad_logits_are_named)
{
    static const struct {
        float logits[4];
        const char *says;
    } cases[] = {
        {{0, 1, NAN, NAN}, "logit 2 is NaN"},
        {{0, INFINITY, NAN, 0}, "logit 1 is inf"},
        {{-INFINITY, -INFINITY, -INFINITY, -INFINITY}, "all 4 logits are -inf"},
    };
    for (int greedy = 0; greedy < 2; greedy++) {
        vklm_sampling_params params = {.greedy = greedy};
        vklm_sampler *s = make(&params, 4);
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
            uint32_t id;
            float probs[4];
            cr_expect_eq(vklm_sampler_sample(s, cases[i].logits, &id), VKLM_BAD_FILE);
            cr_expect(strstr(vklm_error_message(), cases[i].says), "%s", vklm_error_message());
            cr_expect_eq(vklm_sampler_distribution(s, cases[i].logits, probs), VKLM_BAD_FILE);
        }
        vklm_sampler_destroy(s);
    }
}

Test(sampler, extreme_parameters_stay_defined)
{
    const float logits[] = {-3e38f, 1, 2, 3e38f, -INFINITY};
    static const vklm_sampling_params cases[] = {
        {.temperature = 1e-38f, .seed = 1},
        {.temperature = 1e38f, .top_k = -1, .top_p = 1, .seed = 1},
        {.repetition_penalty = 1e-38f, .seed = 1},
        {.repetition_penalty = 1e38f, .seed = 1},
        {.min_p = 1, .seed = 1},
        {.top_k = 1, .seed = 1},
        {.top_p = 1e-30f, .seed = 1},
        {.top_k = INT32_MAX, .seed = 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        vklm_sampler *s = make(&cases[i], 5);
        float probs[5], sum = 0;
        for (uint32_t id = 0; id < 5; id++)
            vklm_sampler_accept(s, id);
        EXPECT_OK(vklm_sampler_distribution(s, logits, probs));
        for (int id = 0; id < 5; id++)
            sum += probs[id];
        cr_expect_float_eq(sum, 1, 1e-6f, "case %zu", i);
        cr_expect_eq(probs[4], 0);
        vklm_sampler_destroy(s);
    }
}

Test(sampler, parameters_out_of_range_are_named)
{
    static const struct {
        vklm_sampling_params params;
        const char *says;
    } cases[] = {
        {{.temperature = -1}, "temperature"},
        {{.temperature = NAN}, "temperature"},
        {{.temperature = INFINITY}, "temperature"},
        {{.top_k = -2}, "top_k"},
        {{.top_p = 1.5f}, "top_p"},
        {{.top_p = -0.1f}, "top_p"},
        {{.top_p = NAN}, "top_p"},
        {{.min_p = 2}, "min_p"},
        {{.min_p = NAN}, "min_p"},
        {{.repetition_penalty = -1}, "repetition_penalty"},
        {{.repetition_penalty = NAN}, "repetition_penalty"},
        {{.frequency_penalty = 2.5f}, "frequency_penalty"},
        {{.frequency_penalty = NAN}, "frequency_penalty"},
        {{.presence_penalty = -3}, "presence_penalty"},
        {{.presence_penalty = NAN}, "presence_penalty"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        vklm_sampler *s;
        cr_expect_eq(vklm_sampling_check(&cases[i].params), VKLM_INVALID_ARGUMENT);
        cr_expect(strstr(vklm_error_message(), cases[i].says), "%s", vklm_error_message());
        cr_expect_eq(vklm_sampler_create(&cases[i].params, 4, &s), VKLM_INVALID_ARGUMENT);
    }
    EXPECT_OK(vklm_sampling_check(&(vklm_sampling_params){0}));
}
