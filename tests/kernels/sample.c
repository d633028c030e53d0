// The sampling kernel against the host's sampler: the same candidates with the same probabilities,
// the same tokens from the same seed, and draws that follow the distribution.
#include <criterion/criterion.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/rng.h"
#include "kernels/lab.h"
#include "ops/sample.h"
#include "text/sampler.h"

#define must(call) cr_assert((call) == VKLM_OK, "%s", vklm_error_message())

enum { SLOTS = 16, STEP_WORDS = sizeof(struct vklm_args_step) / sizeof(float) };

typedef struct {
    vklm_lab *lab;
    vklm_op_sample op;
    uint32_t n_vocab;
} bench;

static vklm_lab *open_or_skip(void)
{
    vklm_lab *lab = vklm_lab_open();
    if (!lab)
        cr_skip_test("no Vulkan: %s", vklm_error_message());
    return lab;
}

static struct vklm_args_sampling settings_of(const vklm_sampling_params *p)
{
    return (struct vklm_args_sampling){
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
    };
}

// Buffers for one run with these counts and this draw.
static void set_up(bench *b, vklm_lab *lab, const vklm_sampling_params *p, const float *logits,
                   const uint32_t *counts, uint32_t n_vocab, uint32_t n_drawn)
{
    const size_t n_list = (size_t)vklm_op_sample_scratch(n_vocab) / sizeof(float);
    const struct vklm_args_step step = {
        .token = 7, .position = 11, .n_drawn = n_drawn, .slot = SLOTS + 2};
    const struct vklm_args_sampling settings = settings_of(p);
    float *list = vklm_alloc(n_list, sizeof *list), zero = 0;
    float *before = vklm_alloc(SLOTS * 4, sizeof *before);
    float *counts_in = vklm_alloc(n_vocab, sizeof *counts_in), step_in[STEP_WORDS];
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

static void record(vklm_gpu_cmd *cmd, const void *op)
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
    cr_assert_eq(got.flag, 0, "%s", what);
    for (uint32_t id = 0; id < b->n_vocab; id++) {
        if (wanted[id] == 0)
            continue;
        n_wanted++;
        cr_assert(at < got.n_candidates, "%s: id %u is missing", what, id);
        float probability;
        memcpy(&probability, &list[2 * at + 1], sizeof probability);
        cr_assert_eq(list[2 * at], id, "%s: candidate %u is %u, wanted %u", what, at, list[2 * at],
                     id);
        // exp is good to 3 + 2 |x| units and x is at most a few dozens here; 512 additions
        cr_assert_float_eq(probability, wanted[id], 1e-4f * wanted[id],
                           "%s: id %u has %.9g, wanted %.9g", what, id, (double)probability,
                           (double)wanted[id]);
        at++;
    }
    cr_assert_eq(got.n_candidates, n_wanted, "%s: %u candidates, wanted %u", what, got.n_candidates,
                 n_wanted);
}

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
};

// A text of a few tokens, host and device side by side: candidates, probabilities and tokens.
static void check_text(vklm_lab *lab, size_t which, uint32_t n_vocab)
{
    vklm_sampling_params params = settings[which].params;
    vklm_sampler *host;
    must(vklm_sampler_create(&params, n_vocab, &host));
    float *logits = vklm_alloc(n_vocab, sizeof *logits),
          *wanted = vklm_alloc(n_vocab, sizeof *wanted);
    uint32_t *counts = vklm_alloc(n_vocab, sizeof *counts);
    for (uint32_t i = 0; i < 5; i++) { // a prompt
        uint32_t id = (i * 7919 + 3) % n_vocab;
        vklm_sampler_accept(host, id);
        counts[id] |= VKLM_SAMPLE_SEEN;
    }
    for (uint32_t drawn = 0; drawn < 4; drawn++) {
        char what[96];
        snprintf(what, sizeof what, "%s, %u ids, token %u", settings[which].what, n_vocab, drawn);
        vklm_lab_random(1000 * n_vocab + drawn, logits, n_vocab);
        for (uint32_t i = 0; i < n_vocab; i++) // a few stand out, as in a model
            logits[i] = 3 * logits[i] + (i % 97 == drawn ? 6 * fabsf(logits[i]) : 0);
        if (drawn == 3 && n_vocab > 5)
            logits[5] = -INFINITY;
        bench b;
        uint32_t id;
        set_up(&b, lab, &params, logits, counts, n_vocab, drawn);
        vklm_lab_run(lab, record, &b.op);
        must(vklm_sampler_distribution(host, logits, wanted));
        check_candidates(&b, wanted, what);
        must(vklm_sampler_sample(host, logits, &id));
        struct vklm_args_sampled got = result_of(&b);
        cr_assert_eq(got.id, id, "%s: drew %u, the host %u", what, got.id, id);
        cr_assert_float_eq(got.probability, wanted[id], 1e-4f, "%s", what);
        vklm_sampler_accept(host, id);
        counts[id] = (counts[id] + 1) | VKLM_SAMPLE_SEEN;
        cr_assert_eq(memcmp(vklm_lab_read(lab, b.op.counts), counts, n_vocab * sizeof *counts), 0,
                     "%s: counts", what);
        struct vklm_args_step step;
        memcpy(&step, vklm_lab_read(lab, b.op.step), sizeof step);
        cr_assert(step.token == id && step.position == 12 && step.n_drawn == drawn + 1 &&
                  step.slot == SLOTS + 3 && step.flag == 0);
        vklm_lab_clear(lab);
    }
    free(logits);
    free(wanted);
    free(counts);
    vklm_sampler_destroy(host);
}

Test(sample, follows_the_host)
{
    static const uint32_t sizes[] = {1, 5, 513, 1024, 2048, 2049, 9000};
    vklm_lab *lab = open_or_skip();
    for (size_t s = 0; s < sizeof settings / sizeof *settings; s++)
        for (size_t n = 0; n < sizeof sizes / sizeof *sizes; n++)
            check_text(lab, s, sizes[n]);
    vklm_lab_close(lab);
}

Test(sample_big, vocabulary_of_llm_jp)
{
    vklm_lab *lab = open_or_skip();
    for (size_t s = 0; s < sizeof settings / sizeof *settings; s++)
        check_text(lab, s, 99584);
    vklm_lab_close(lab);
}

// Ties: with the k-th all stay, as long as there is room; greedy takes the lowest id.
Test(sample, ties)
{
    enum { N = 5000 };
    vklm_lab *lab = open_or_skip();
    uint32_t *counts = vklm_alloc(N, sizeof *counts);
    float *logits = vklm_alloc(N, sizeof *logits), *wanted = vklm_alloc(N, sizeof *wanted);
    for (uint32_t i = 0; i < N; i++)
        logits[i] = i % 50 == 7 ? 2 : i == 4321 ? 3 : 0;
    vklm_sampling_params params = {
        .temperature = 1, .top_k = 20, .top_p = 1, .repetition_penalty = 1, .seed = 9};
    vklm_sampler *host;
    bench b;
    must(vklm_sampler_create(&params, N, &host));
    must(vklm_sampler_distribution(host, logits, wanted));
    set_up(&b, lab, &params, logits, counts, N, 0);
    vklm_lab_run(lab, record, &b.op);
    check_candidates(&b, wanted, "ties at 20");
    cr_assert_eq(result_of(&b).n_candidates, 101);
    vklm_lab_clear(lab);
    logits[4321] = 2;
    params.greedy = true;
    set_up(&b, lab, &params, logits, counts, N, 0);
    vklm_lab_run(lab, record, &b.op);
    cr_assert(result_of(&b).flag == 0 && result_of(&b).id == 7, "drew %u", result_of(&b).id);
    vklm_sampler_destroy(host);
    free(counts);
    free(logits);
    free(wanted);
    vklm_lab_close(lab);
}

// What is not for the kernel is left to the host: nothing is drawn, the step stays where it is.
Test(sample, leaves_the_rest_to_the_host)
{
    enum { N = 3000 };
    static const float odd[] = {NAN, INFINITY};
    vklm_lab *lab = open_or_skip();
    uint32_t *counts = vklm_alloc(N, sizeof *counts);
    float *logits = vklm_alloc(N, sizeof *logits);
    vklm_sampling_params params = settings[0].params;
    for (int i = 0; i < 4; i++) { // NaN, infinity, too many ties, nothing but -infinity
        for (uint32_t j = 0; j < N; j++)
            logits[j] = i == 2 ? 1 : i == 3 ? -INFINITY : 0.001f * (float)j;
        if (i < 2)
            logits[2500] = odd[i];
        bench b;
        struct vklm_args_step step;
        set_up(&b, lab, &params, logits, counts, N, 0);
        vklm_lab_run(lab, record, &b.op);
        memcpy(&step, vklm_lab_read(lab, b.op.step), sizeof step);
        cr_assert_neq(result_of(&b).flag, 0, "case %d", i);
        cr_assert(step.token == 7 && step.position == 11 && step.n_drawn == 0 && step.flag == 1,
                  "case %d", i);
        cr_assert_eq(memcmp(vklm_lab_read(lab, b.op.counts), counts, N * sizeof *counts), 0);
        uint32_t header[2];
        must(vklm_gpu_stage_download(vklm_lab_stage(lab),
                                     vklm_gpu_view_part(b.op.list, 0, sizeof header), header));
        cr_assert(header[0] == 0 && header[1] == 0, "case %d: the list's header", i);
        vklm_lab_clear(lab);
    }
    free(counts);
    free(logits);
    vklm_lab_close(lab);
}

// Draws of one command buffer after the other follow the distribution: chi-square of 4,000 draws.
Test(sample, draws_follow_the_distribution)
{
    enum { N = 300, DRAWS = 4000, PER_SUBMIT = 400 };
    vklm_lab *lab = open_or_skip();
    vklm_sampling_params params = {
        .temperature = 1, .top_k = 30, .top_p = 0.9f, .repetition_penalty = 1, .seed = 77};
    float logits[N], wanted[N];
    uint32_t zeros[N] = {0}, seen[N] = {0};
    vklm_lab_random(5, logits, N);
    for (uint32_t i = 0; i < N; i++)
        logits[i] *= 2;
    vklm_sampler *host;
    must(vklm_sampler_create(&params, N, &host));
    must(vklm_sampler_distribution(host, logits, wanted));
    bench b;
    set_up(&b, lab, &params, logits, zeros, N, 0);
    struct vklm_args_step step = {0};
    struct vklm_args_sampled *sampled = vklm_alloc(DRAWS, sizeof *sampled);
    b.op.sampled = vklm_lab_input(lab, sampled, DRAWS * sizeof *sampled);
    b.op.step = vklm_lab_input(lab, &step, sizeof step);
    for (int at = 0; at < DRAWS; at += PER_SUBMIT) {
        vklm_gpu_cmd *cmd;
        must(vklm_gpu_cmd_create(vklm_lab_device(lab), NULL, &cmd));
        vklm_gpu_cmd_begin(cmd);
        for (int i = 0; i < PER_SUBMIT; i++)
            vklm_op_sample_record(cmd, &b.op);
        must(vklm_gpu_cmd_end(cmd));
        must(vklm_gpu_cmd_submit(cmd));
        must(vklm_gpu_cmd_wait(cmd));
        vklm_gpu_cmd_destroy(cmd);
    }
    must(vklm_gpu_stage_download(vklm_lab_stage(lab), b.op.sampled, sampled));
    double chi = 0, freedom = -1;
    for (int i = 0; i < DRAWS; i++) {
        cr_assert(sampled[i].flag == 0 && sampled[i].id < N && wanted[sampled[i].id] > 0);
        seen[sampled[i].id]++;
    }
    for (uint32_t i = 0; i < N; i++)
        if (wanted[i] > 0) {
            double expected = (double)wanted[i] * DRAWS, d = (double)seen[i] - expected;
            chi += d * d / expected;
            freedom++;
        }
    // mean freedom, standard deviation sqrt(2 freedom): five of them
    cr_assert_lt(chi, freedom + 5 * sqrt(2 * freedom), "chi-square %g with %g", chi, freedom);
    vklm_sampler_destroy(host);
    free(sampled);
    vklm_lab_close(lab);
}
