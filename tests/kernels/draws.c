// Draws of the sampling kernel, one after the other, follow the distribution.
#include <criterion/criterion.h>

#include <math.h>
#include <stdlib.h>

#include "base/array.h"
#include "kernels/lab.h"
#include "kernels/sample.h"
#include "ops/sample.h"

#define must(call) cr_assert((call) == VKLM_OK, "%s", vklm_error_message())

// Chi-square of 4,000 draws of one command buffer after the other.
Test(draws, follow_the_distribution)
{
    enum { N = 300, DRAWS = 4000, PER_SUBMIT = 400 };
    vklm_lab *lab = vklm_lab_open();
    if (!lab)
        cr_skip_test("no Vulkan: %s", vklm_error_message());
    vklm_sampling_params params = {
        .temperature = 1, .top_k = 30, .top_p = 0.9f, .repetition_penalty = 1, .seed = 77};
    float logits[N], wanted[N];
    uint32_t seen[N] = {0};
    vklm_lab_random(5, logits, N);
    for (uint32_t i = 0; i < N; i++)
        logits[i] *= 2;
    vklm_sampler *host;
    must(vklm_sampler_create(&params, N, &host));
    must(vklm_sampler_distribution(host, logits, wanted));
    const vklm_case_settings settings = vklm_case_sampling(&params);
    const struct vklm_args_step step = {0};
    struct vklm_args_sampled *sampled = vklm_alloc(DRAWS, sizeof *sampled);
    const size_t n_list = (size_t)vklm_op_sample_scratch(N);
    void *list = vklm_alloc(n_list, 1);
    const vklm_op_sample op = {
        .logits = vklm_lab_input(lab, logits, sizeof logits),
        .counts = vklm_lab_input(lab, seen, sizeof seen),
        .settings = vklm_lab_input(lab, &settings, sizeof settings),
        .step = vklm_lab_input(lab, &step, sizeof step),
        .list = vklm_lab_input(lab, list, n_list),
        .counter = vklm_lab_input(lab, seen, sizeof *seen),
        .sampled = vklm_lab_input(lab, sampled, DRAWS * sizeof *sampled),
        .candidates = vklm_lab_output(lab, NULL, 2 * VKLM_SAMPLE_MOST),
        .n_vocab = N,
    };
    for (int at = 0; at < DRAWS; at += PER_SUBMIT) {
        vklm_gpu_cmd *cmd;
        must(vklm_gpu_cmd_create(vklm_lab_device(lab), NULL, &cmd));
        vklm_gpu_cmd_begin(cmd);
        for (int i = 0; i < PER_SUBMIT; i++)
            vklm_op_sample_record(cmd, &op);
        must(vklm_gpu_cmd_end(cmd));
        must(vklm_gpu_cmd_submit(cmd));
        must(vklm_gpu_cmd_wait(cmd));
        vklm_gpu_cmd_destroy(cmd);
    }
    must(vklm_gpu_stage_download(vklm_lab_stage(lab), op.sampled, sampled));
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
    free(sampled), free(list);
    vklm_lab_close(lab);
}
