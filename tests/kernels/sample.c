// The sampling kernel against the host's sampler: the same candidates with the same probabilities,
// and the same tokens from the same seed.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/cases.h"
#include "kernels/sample.h"
#include "ops/sample.h"

enum { SLOTS = 16, STEP_WORDS = sizeof(struct vklm_args_step) / sizeof(float) };

// What sample.odd counts.
enum { NOT_A_NUMBER, INFINITE, TOO_MANY_TIES, NOTHING, TIES, TIES_GREEDY };

typedef struct {
    vklm_lab *lab;
    vklm_op_sample op;
    uint32_t n_vocab;
} bench;

vklm_case_settings vklm_case_sampling(const vklm_sampling_params *p)
{
    vklm_case_settings s = {.sampling = {
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
                            }};
    for (size_t i = 0; i < p->n_bias; i++)
        s.biases[i] = (struct vklm_args_bias){.id = p->bias[i].id, .bias = p->bias[i].bias};
    return s;
}

// Buffers for one run with these counts and this draw.
static void set_up(bench *b, vklm_lab *lab, const vklm_sampling_params *p, const float *logits,
                   const uint32_t *counts, uint32_t n_vocab, uint32_t n_drawn)
{
    const size_t n_list = (size_t)vklm_op_sample_scratch(n_vocab) / sizeof(float);
    const struct vklm_args_step step = {
        .token = 7, .position = 11, .n_drawn = n_drawn, .slot = SLOTS + 2};
    const vklm_case_settings settings = vklm_case_sampling(p);
    float *list = calloc(n_list, sizeof *list), zero = 0;
    float *before = calloc(SLOTS * 4, sizeof *before);
    float *counts_in = calloc(n_vocab, sizeof *counts_in), step_in[STEP_WORDS];
    memcpy(counts_in, counts, n_vocab * sizeof *counts);
    memcpy(step_in, &step, sizeof step);
    *b = (bench){.lab = lab, .n_vocab = n_vocab};
    b->op = (vklm_op_sample){
        .logits = vklm_lab_input(lab, logits, n_vocab * sizeof *logits),
        .counts = vklm_lab_output(lab, counts_in, n_vocab),
        .settings = vklm_lab_input(lab, &settings, sizeof settings),
        .step = vklm_lab_output(lab, step_in, STEP_WORDS),
        .list = vklm_lab_input(lab, list, n_list * sizeof *list),
        .counter = vklm_lab_output(lab, &zero, 1),
        .sampled = vklm_lab_output(lab, before, SLOTS * 4),
        .candidates = vklm_lab_output(lab, NULL, 2 * VKLM_SAMPLE_MOST),
        .n_vocab = n_vocab,
    };
    free(list);
    free(before);
    free(counts_in);
}

static void record_sample(vklm_gpu_cmd *cmd, const void *op)
{
    vklm_op_sample_record(cmd, op);
}

static struct vklm_args_sampled result_of(const bench *b)
{
    struct vklm_args_sampled sampled[SLOTS];
    memcpy(sampled, vklm_lab_read(b->lab, b->op.sampled), sizeof sampled);
    return sampled[2];
}

// What the kernel drew from, against the host's distribution.
static void check_candidates(const bench *b, const float *wanted, const char *what)
{
    const struct vklm_args_sampled got = result_of(b);
    const uint32_t *list = (const uint32_t *)(const void *)vklm_lab_read(b->lab, b->op.candidates);
    uint32_t n_wanted = 0, at = 0;
    vklm_lab_require(got.flag == 0, "%s: the flag is %u", what, got.flag);
    for (uint32_t id = 0; id < b->n_vocab; id++) {
        if (wanted[id] == 0)
            continue;
        n_wanted++;
        vklm_lab_require(at < got.n_candidates, "%s: id %u is missing", what, id);
        if (at >= VKLM_SAMPLE_MOST)
            return;
        float probability;
        memcpy(&probability, &list[2 * at + 1], sizeof probability);
        vklm_lab_require(list[2 * at] == id, "%s: candidate %u is %u, wanted %u", what, at,
                         list[2 * at], id);
        // exp is good to 3 + 2 |x| units and x is at most a few dozens here; 512 additions
        vklm_lab_require(fabsf(probability - wanted[id]) <= 1e-4f * wanted[id],
                         "%s: id %u has %.9g, wanted %.9g", what, id, (double)probability,
                         (double)wanted[id]);
        at++;
    }
    vklm_lab_require(got.n_candidates == n_wanted, "%s: %u candidates, wanted %u", what,
                     got.n_candidates, n_wanted);
}

// Of ids that every vocabulary has; one of them twice, and one whose sum overflows.
static const vklm_logit_bias biases[] = {{1, 4.5f},    {2, -100},   {4, 0.25f}, {3, 3.4e38f},
                                         {3, 3.4e38f}, {1, -1.25f}, {0, 5}};

static const struct {
    const char *what;
    vklm_sampling_params params;
} settings[] = {
    {"card",
     {.temperature = 0.7f, .top_k = 50, .top_p = 0.95f, .repetition_penalty = 1.05f, .seed = 1}},
    {"top 1", {.temperature = 1, .top_k = 1, .top_p = 1, .repetition_penalty = 1, .seed = 2}},
    {"top 256",
     {.temperature = 1.5f, .top_k = 256, .top_p = 1, .repetition_penalty = 1, .seed = 1u << 31}},
    {"narrow",
     {.temperature = 0.3f,
      .top_k = 40,
      .top_p = 0.5f,
      .min_p = 0.2f,
      .repetition_penalty = 1.3f,
      .seed = 3}},
    {"min p",
     {.temperature = 2,
      .top_k = 100,
      .top_p = 1,
      .min_p = 0.05f,
      .repetition_penalty = 0.9f,
      .seed = 4}},
    {"counts",
     {.temperature = 0.9f,
      .top_k = 64,
      .top_p = 0.9f,
      .repetition_penalty = 1.1f,
      .frequency_penalty = 0.7f,
      .presence_penalty = -0.4f,
      .seed = 0xDEADBEEF12345u}},
    {"greedy",
     {.greedy = true,
      .temperature = 0.7f,
      .top_k = 50,
      .top_p = 0.95f,
      .repetition_penalty = 1.2f,
      .frequency_penalty = 1.5f,
      .presence_penalty = 0.5f,
      .seed = 6}},
    {"biased",
     {.temperature = 0.8f,
      .top_k = 50,
      .top_p = 0.95f,
      .repetition_penalty = 1.1f,
      .seed = 7,
      .bias = biases,
      .n_bias = 3}},
    {"biased and greedy",
     {.greedy = true,
      .repetition_penalty = 1.1f,
      .seed = 8,
      .bias = biases,
      .n_bias = sizeof biases / sizeof *biases}},
};

static void must(vklm_status status)
{
    vklm_lab_require(status == VKLM_OK, "%s", vklm_error_message());
}

// The logits of the text's token number `drawn`.
static void make_logits(float *logits, uint32_t n_vocab, uint32_t drawn)
{
    vklm_lab_random(1000 * n_vocab + drawn, logits, n_vocab);
    for (uint32_t i = 0; i < n_vocab; i++) // a few stand out, as in a model
        logits[i] = 3 * logits[i] + (i % 97 == drawn ? 6 * fabsf(logits[i]) : 0);
    if (drawn == 3 && n_vocab > 5)
        logits[5] = -INFINITY;
}

// What one draw made of the counts and of the step.
static void check_state(const bench *b, const uint32_t *counts, uint32_t id, uint32_t drawn,
                        const char *what)
{
    vklm_lab_require(
        memcmp(vklm_lab_read(b->lab, b->op.counts), counts, b->n_vocab * sizeof *counts) == 0,
        "%s: counts", what);
    struct vklm_args_step step;
    memcpy(&step, vklm_lab_read(b->lab, b->op.step), sizeof step);
    vklm_lab_require(step.token == id && step.position == 12 && step.n_drawn == drawn + 1 &&
                         step.slot == SLOTS + 3 && step.flag == 0,
                     "%s: the step is (%u, %u, %u, %u, %u)", what, step.token, step.position,
                     step.n_drawn, step.slot, step.flag);
}

// A token of a text, after `drawn` others: candidates, probabilities and the token are the host's.
static void check_draw(vklm_lab *lab, uint32_t n_vocab, uint32_t which, uint32_t drawn)
{
    const vklm_sampling_params *params = &settings[which].params;
    float *logits = calloc(n_vocab, sizeof *logits), *wanted = calloc(n_vocab, sizeof *wanted);
    uint32_t *counts = calloc(n_vocab, sizeof *counts), id = 0;
    char what[96];
    bench b;
    vklm_sampler *host = NULL;
    must(vklm_sampler_create(params, n_vocab, &host));
    for (uint32_t i = 0; i < 5; i++) { // a prompt
        id = (i * 7919 + 3) % n_vocab;
        vklm_sampler_accept(host, id);
        counts[id] |= VKLM_SAMPLE_SEEN;
    }
    snprintf(what, sizeof what, "%s, %u ids, token %u", settings[which].what, n_vocab, drawn);
    for (uint32_t i = 0; i <= drawn; i++) {
        make_logits(logits, n_vocab, i);
        if (i == drawn) {
            set_up(&b, lab, params, logits, counts, n_vocab, drawn);
            must(vklm_sampler_distribution(host, logits, wanted));
        }
        must(vklm_sampler_sample(host, logits, &id));
        vklm_sampler_accept(host, id);
        counts[id] = (counts[id] + 1) | VKLM_SAMPLE_SEEN;
    }
    vklm_lab_run(lab, record_sample, &b.op);
    check_candidates(&b, wanted, what);
    const struct vklm_args_sampled got = result_of(&b);
    vklm_lab_require(got.id == id, "%s: drew %u, the host %u", what, got.id, id);
    vklm_lab_require(fabsf(got.probability - wanted[id]) <= 1e-4f, "%s: probability %g", what,
                     (double)got.probability);
    check_state(&b, counts, id, drawn, what);
    free(logits), free(wanted), free(counts);
    vklm_sampler_destroy(host);
    vklm_lab_finish_case(lab, record_sample, &b.op);
}

static void run_draw(vklm_lab *lab, vklm_format format, const uint32_t *n)
{
    (void)format;
    check_draw(lab, n[0], n[1], n[2]);
}

// Every logit and every count once.
static vklm_case_cost cost(vklm_format format, const uint32_t *n)
{
    (void)format;
    return (vklm_case_cost){.flop = 2.0 * n[0], .bytes = 8.0 * n[0]};
}

// clang-format off
#define TEXT(vocabulary, settings, models)                                                         \
    {{vocabulary, settings, 0}, models}, {{vocabulary, settings, 1}, models},                      \
    {{vocabulary, settings, 2}, models}, {{vocabulary, settings, 3}, models}
#define TEXTS(vocabulary, models)                                                                  \
    TEXT(vocabulary, 0, models), TEXT(vocabulary, 1, models), TEXT(vocabulary, 2, models),         \
    TEXT(vocabulary, 3, models), TEXT(vocabulary, 4, models), TEXT(vocabulary, 5, models),         \
    TEXT(vocabulary, 6, models)
#define BIASED_TEXTS(vocabulary, models) /* of five ids and more */                                \
    TEXT(vocabulary, 7, models), TEXT(vocabulary, 8, models)
// clang-format on
static const vklm_case_shape draw_shapes[] = {
    TEXTS(1, 0),
    TEXTS(5, 0),
    TEXTS(513, 0),
    TEXTS(1024, 0),
    TEXTS(2048, 0),
    TEXTS(2049, 0),
    TEXTS(9000, 0),
    BIASED_TEXTS(5, 0),
    BIASED_TEXTS(2049, 0),
    BIASED_TEXTS(9000, 0),
    TEXTS(99584, VKLM_CASE_BIG),
    {{99584, 0, 1}, VKLM_CASE_1_8B | VKLM_CASE_13B | VKLM_CASE_8X13B},
};
#undef BIASED_TEXTS
#undef TEXTS
#undef TEXT

const vklm_case_family vklm_case_sample_draw = {
    .name = "sample.draw",
    .dims = {"vocabulary", "settings", "drawn"},
    .shapes = draw_shapes,
    .n_shapes = sizeof draw_shapes / sizeof *draw_shapes,
    .run = run_draw,
    .cost = cost,
};

// With the k-th all that are equal stay, as long as there is room; greedy takes the lowest id.
static void check_ties(vklm_lab *lab, uint32_t n_vocab, bool greedy)
{
    uint32_t *counts = calloc(n_vocab, sizeof *counts);
    float *logits = calloc(n_vocab, sizeof *logits), *wanted = calloc(n_vocab, sizeof *wanted);
    for (uint32_t i = 0; i < n_vocab; i++)
        logits[i] = i % 50 == 7 ? 2 : i == 4321 ? greedy ? 2 : 3 : 0;
    const vklm_sampling_params params = {.temperature = 1,
                                         .top_k = 20,
                                         .top_p = 1,
                                         .repetition_penalty = 1,
                                         .seed = 9,
                                         .greedy = greedy};
    bench b;
    vklm_sampler *host = NULL;
    must(vklm_sampler_create(&params, n_vocab, &host));
    must(vklm_sampler_distribution(host, logits, wanted));
    set_up(&b, lab, &params, logits, counts, n_vocab, 0);
    vklm_lab_run(lab, record_sample, &b.op);
    const struct vklm_args_sampled got = result_of(&b);
    check_candidates(&b, wanted, greedy ? "ties, greedy" : "ties at 20");
    vklm_lab_require(got.n_candidates == (greedy ? 1 : n_vocab / 50 + 1), "ties: %u candidates",
                     got.n_candidates);
    vklm_lab_require(!greedy || got.id == 7, "ties: drew %u", got.id);
    vklm_sampler_destroy(host);
    free(counts), free(logits), free(wanted);
    vklm_lab_finish_case(lab, record_sample, &b.op);
}

// What is not for the kernel is left to the host: nothing is drawn, the step stays where it is.
static void check_left(vklm_lab *lab, uint32_t n_vocab, uint32_t kind)
{
    uint32_t *counts = calloc(n_vocab, sizeof *counts), header[2];
    float *logits = calloc(n_vocab, sizeof *logits);
    for (uint32_t i = 0; i < n_vocab; i++)
        logits[i] = kind == TOO_MANY_TIES ? 1 : kind == NOTHING ? -INFINITY : 0.001f * (float)i;
    if (kind == NOT_A_NUMBER || kind == INFINITE)
        logits[2500] = kind == NOT_A_NUMBER ? NAN : INFINITY;
    bench b;
    struct vklm_args_step step;
    set_up(&b, lab, &settings[0].params, logits, counts, n_vocab, 0);
    vklm_lab_run(lab, record_sample, &b.op);
    memcpy(&step, vklm_lab_read(lab, b.op.step), sizeof step);
    vklm_lab_require(result_of(&b).flag != 0, "kind %u: the flag is 0", kind);
    vklm_lab_require(step.token == 7 && step.position == 11 && step.n_drawn == 0 && step.flag == 1,
                     "kind %u: the step went on", kind);
    vklm_lab_require(memcmp(vklm_lab_read(lab, b.op.counts), counts, n_vocab * sizeof *counts) == 0,
                     "kind %u: counts", kind);
    vklm_lab_peek(lab, vklm_gpu_view_part(b.op.list, 0, sizeof header), header);
    vklm_lab_require(header[0] == 0 && header[1] == 0, "kind %u: the list's header", kind);
    free(counts), free(logits);
    vklm_lab_finish_case(lab, record_sample, &b.op);
}

static void run_odd(vklm_lab *lab, vklm_format format, const uint32_t *n)
{
    (void)format;
    if (n[1] == TIES || n[1] == TIES_GREEDY)
        check_ties(lab, n[0], n[1] == TIES_GREEDY);
    else
        check_left(lab, n[0], n[1]);
}

static const vklm_case_shape odd_shapes[] = {
    {{3000, NOT_A_NUMBER}, 0}, {{3000, INFINITE}, 0}, {{3000, TOO_MANY_TIES}, 0},
    {{3000, NOTHING}, 0},      {{5000, TIES}, 0},     {{5000, TIES_GREEDY}, 0},
};

const vklm_case_family vklm_case_sample_odd = {
    .name = "sample.odd",
    .dims = {"vocabulary", "kind"},
    .shapes = odd_shapes,
    .n_shapes = sizeof odd_shapes / sizeof *odd_shapes,
    .run = run_odd,
    .cost = cost,
};

// The largest logit, however the device cuts the vocabulary.
static void run_sample(vklm_lab *lab, vklm_format format, const uint32_t *n)
{
    (void)format;
    const uint32_t n_vocab = n[0];
    const size_t n_list = (size_t)vklm_op_sample_scratch(n_vocab) / sizeof(float);
    const struct vklm_args_sampling greedy = {
        .temperature = 1, .top_p = 1, .repetition = 1, .top_k = 1, .greedy = 1};
    enum {
        STEP = sizeof(struct vklm_args_step) / sizeof(float),
        SAMPLED = sizeof(struct vklm_args_sampled) / sizeof(float)
    };
    float *logits = malloc(n_vocab * sizeof *logits),
          *zeros = calloc(n_vocab > n_list ? n_vocab : n_list, sizeof *zeros);
    vklm_lab_random(n_vocab, logits, n_vocab);
    vklm_op_sample op = {
        .logits = vklm_lab_input(lab, logits, n_vocab * sizeof *logits),
        .counts = vklm_lab_output(lab, zeros, n_vocab),
        .settings = vklm_lab_input(lab, &greedy, sizeof greedy),
        .step = vklm_lab_output(lab, zeros, STEP),
        .list = vklm_lab_input(lab, zeros, n_list * sizeof *zeros), // scratch, in any order
        .counter = vklm_lab_output(lab, zeros, 1),
        .sampled = vklm_lab_output(lab, zeros, SAMPLED),
        .candidates = vklm_lab_output(lab, NULL, 2 * VKLM_SAMPLE_MOST),
        .n_vocab = n_vocab,
    };
    vklm_lab_run(lab, record_sample, &op);
    uint32_t best = 0;
    for (uint32_t id = 1; id < n_vocab; id++)
        best = logits[id] > logits[best] ? id : best;
    struct vklm_args_sampled sampled;
    memcpy(&sampled, vklm_lab_read(lab, op.sampled), sizeof sampled);
    vklm_lab_require(sampled.flag == 0 && sampled.id == best, "drew id %u (flag %u), wanted %u",
                     sampled.id, sampled.flag, best);
    const uint32_t *counts = (const uint32_t *)(const void *)vklm_lab_read(lab, op.counts);
    for (uint32_t id = 0; id < n_vocab; id++)
        vklm_lab_require((counts[id] != 0) == (id == best), "id %u was counted %#x", id,
                         counts[id]);
    vklm_lab_require(*(const uint32_t *)(const void *)vklm_lab_read(lab, op.counter) == 0,
                     "the counter is not 0");
    free(logits), free(zeros);
    vklm_lab_finish_case(lab, record_sample, &op);
}

static const vklm_case_shape sample_shapes[] = {
    {{1}, 0},    {{5}, 0},     {{2048}, 0},
    {{2049}, 0}, {{50000}, 0}, {{99584}, VKLM_CASE_1_8B | VKLM_CASE_13B | VKLM_CASE_8X13B},
};

const vklm_case_family vklm_case_sample = {
    .name = "sample",
    .dims = {"vocabulary"},
    .shapes = sample_shapes,
    .n_shapes = sizeof sample_shapes / sizeof *sample_shapes,
    .run = run_sample,
    .cost = cost,
};
