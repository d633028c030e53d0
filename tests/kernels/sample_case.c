// Sampling's greedy draw as a case: the largest logit, however the device cuts the vocabulary. All
// the rest of it is judged by sample.c, against the host's sampler.
#include <stdlib.h>
#include <string.h>

#include "kernels/cases.h"
#include "ops/sample.h"

static void record_sample(vklm_gpu_cmd *cmd, const void *op)
{
    vklm_op_sample_record(cmd, op);
}

static void run_sample(vklm_lab *lab, vklm_format format, const uint32_t *n)
{
    (void)format;
    const uint32_t n_vocab = n[0];
    const size_t n_list = (size_t)vklm_op_sample_scratch(n_vocab) / sizeof(float);
    const struct vklm_args_sampling settings = {
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
        .settings = vklm_lab_input(lab, &settings, sizeof settings),
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

// Every logit and every count once.
static vklm_case_cost cost_sample(vklm_format format, const uint32_t *n)
{
    (void)format;
    return (vklm_case_cost){.flop = 2.0 * n[0], .bytes = 8.0 * n[0]};
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
    .cost = cost_sample,
};
