// vklm score against transformers' logits, and its windows.
#include <criterion/criterion.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "base/file.h"
#include "checkpoint/safetensors.h"
#include "host/shell.h"
#include "host/text_help.h"
#include "model/need_device.h"

static const char *const models[] = {"random-hd128", "random-gqa", "demo-dense"};
enum { N_MODELS = sizeof models / sizeof *models, N_PROMPT = 48 };

typedef struct {
    uint32_t ids[N_PROMPT];
    double logprobs[N_PROMPT]; // from 1 on
    double perplexity, largest_logit;
} score;

// What transformers' logits of the golden file say, in double.
static score golden_score(const char *model)
{
    score s = {0};
    char path[512];
    vklm_file_map map;
    vklm_safetensors header;
    snprintf(path, sizeof path, VKLM_TEST_DATA "/golden/%s.safetensors", model);
    EXPECT_OK(vklm_file_map_open(path, &map));
    EXPECT_OK(vklm_safetensors_parse(map.data, map.size, path, &header));
    const vklm_tensor_info *logits = vklm_safetensors_find(&header, "logits");
    memcpy(s.ids, map.data + vklm_safetensors_find(&header, "prompt_ids")->offset, sizeof s.ids);
    for (size_t i = 1; i < N_PROMPT; i++) {
        const float *row =
            (const float *)(const void *)(map.data + logits->offset) + (i - 1) * logits->shape[1];
        double sum = 0;
        for (size_t k = 0; k < logits->shape[1]; k++) {
            s.largest_logit = fmax(s.largest_logit, fabs((double)row[k]));
            sum += exp((double)row[k] - (double)row[s.ids[i]]);
        }
        s.logprobs[i] = -log(sum);
        s.perplexity -= s.logprobs[i] / (N_PROMPT - 1);
    }
    s.perplexity = exp(s.perplexity);
    vklm_safetensors_finish(&header);
    vklm_file_map_close(&map);
    return s;
}

// vklm score --json of ids [n]; the caller deletes it.
static cJSON *run_score(const char *model, const uint32_t *ids, size_t n, const char *options)
{
    vklm_string list = {0};
    for (size_t i = 0; i < n; i++)
        vklm_string_print(&list, "%u ", ids[i]);
    vklm_shell_result r =
        vklm_shell_run("vklm score " VKLM_TEST_DATA "/%s --ids '%s' --json --validation %s", model,
                       list.data, options);
    cr_assert_eq(r.status, 0, "%s", r.err);
    cJSON *json = cJSON_Parse(r.out);
    cr_assert(json, "%s", r.out);
    vklm_shell_finish(&r);
    vklm_string_finish(&list);
    return json;
}

static double logprob(const cJSON *json, size_t token)
{
    return cJSON_GetArrayItem(cJSON_GetObjectItem(json, "logprobs"), (int)token - 1)->valuedouble;
}

// To 1e-3 for logits of order 1, as a trained model's differences are. A random model's reach 68,
// and what the f16 KV cache costs (model/golden.c) grows with them: 1e-3 of the largest.
Test(score, agrees_with_transformers)
{
    need_device();
    for (int m = 0; m < N_MODELS; m++) {
        score wanted = golden_score(models[m]);
        cJSON *got = run_score(models[m], wanted.ids, N_PROMPT, "");
        double worst = 0, perplexity = cJSON_GetObjectItem(got, "perplexity")->valuedouble;
        double scale = strcmp(models[m], "demo-dense") == 0 ? 1 : fmax(1, wanted.largest_logit);
        cr_assert_eq(cJSON_GetArraySize(cJSON_GetObjectItem(got, "logprobs")), N_PROMPT - 1);
        for (size_t i = 1; i < N_PROMPT; i++)
            worst = fmax(worst, fabs(logprob(got, i) - wanted.logprobs[i]));
        double of_mean = fabs(log(perplexity / wanted.perplexity));
        fprintf(
            stderr,
            "%s: log-probabilities differ from transformers' by at most %.2g, their mean by %.2g "
            "(logits up to %.0f)\n",
            models[m], worst, of_mean, wanted.largest_logit);
        cr_expect_leq(worst, 1e-3 * scale);
        cr_expect_leq(of_mean, 1e-3);
        cJSON_Delete(got);
    }
}

// In windows a token is scored after what its first window holds before it.
Test(score, windows)
{
    need_device();
    score s = golden_score("demo-dense");
    cJSON *whole = run_score("demo-dense", s.ids, N_PROMPT, "");
    cJSON *cut = run_score("demo-dense", s.ids, N_PROMPT, "--window 20 --step 8");
    const cJSON *windows = cJSON_GetObjectItem(cut, "windows");
    cr_expect_eq(cJSON_GetObjectItem(windows, "count")->valueint, 5); // 20, 28, 36, 44, 48
    cr_expect_eq(cJSON_GetArraySize(cJSON_GetObjectItem(cut, "logprobs")), N_PROMPT - 1);
    for (size_t i = 1; i < 20; i++)
        cr_expect_float_eq(logprob(cut, i), logprob(whole, i), 1e-5, "token %zu", i);
    for (size_t first = 8, scored = 20; scored < N_PROMPT; first += 8) {
        size_t end = first + 20 < N_PROMPT ? first + 20 : N_PROMPT;
        cJSON *part = run_score("demo-dense", s.ids + first, end - first, "");
        for (; scored < end; scored++)
            cr_expect_float_eq(logprob(cut, scored), logprob(part, scored - first), 1e-5,
                               "token %zu", scored);
        cJSON_Delete(part);
    }
    cJSON_Delete(whole);
    cJSON_Delete(cut);
}

Test(score, reads_texts_and_says_what_is_wrong)
{
    need_device();
    vklm_shell_result r = vklm_shell_run(
        "printf '日本の首都は東京です。' | vklm score %s/demo-dense --bos", VKLM_TEST_DATA);
    cr_expect(strstr(r.out, "perplexity") && strstr(r.out, "in 1 window of at most 512 tokens\n"),
              "%s%s", r.out, r.err);
    vklm_shell_finish(&r);
    vklm_shell_expect(1, "the text has 1 token;", "vklm score %s/demo-dense --ids 5",
                      VKLM_TEST_DATA);
    vklm_shell_expect(1, "must be less than the window",
                      "vklm score %s/demo-dense --ids '5 6' --window 4 --step 4", VKLM_TEST_DATA);
    vklm_shell_expect(1, "the context has room for 512",
                      "vklm score %s/demo-dense --ids '5 6' --window 600", VKLM_TEST_DATA);
    vklm_shell_expect(1, "1024 ids", "vklm score %s/demo-dense --ids '5 6000'", VKLM_TEST_DATA);
    vklm_shell_expect(2, "token id", "vklm score %s/demo-dense --ids 'x'", VKLM_TEST_DATA);
    vklm_shell_expect(2, "-f or --ids", "vklm score %s/demo-dense --ids 5 -f x", VKLM_TEST_DATA);
    vklm_shell_expect(1, "/nowhere", "vklm score %s/demo-dense -f /nowhere", VKLM_TEST_DATA);
}

Test(score, the_first_token_has_no_probability)
{
    need_device();
    vklm_engine *engine;
    vklm_session *session;
    const uint32_t ids[] = {5, 6, 7}, *held;
    uint32_t n;
    float logprobs[3], two[1];
    vklm_engine_params params = {.model_dir = VKLM_TEST_DATA "/demo-dense"};
    EXPECT_OK(vklm_engine_open(&params, &engine));
    EXPECT_OK(vklm_session_create(engine, NULL, &session));
    EXPECT_OK(vklm_session_score(session, ids, 3, 1, logprobs));
    EXPECT_OK(vklm_session_score(session, ids, 3, 2, two));
    cr_expect_float_eq(two[0], logprobs[1], 1e-5f);
    held = vklm_session_tokens(session, &n);
    cr_expect(n == 3 && held[2] == 7);
    for (uint32_t from = 0; from <= 3; from += 3)
        cr_expect_eq(vklm_session_score(session, ids, 3, from, logprobs), VKLM_INVALID_ARGUMENT);
    cr_expect(strstr(vklm_error_message(), "from token 3 of 3"), "%s", vklm_error_message());
    vklm_session_destroy(session);
    vklm_engine_close(engine);
}
