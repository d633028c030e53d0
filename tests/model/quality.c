// What packing costs: perplexity and the distance of the next-token distributions, against the
// weights as stored, on text that the demo model was not trained on: data/heldout.txt, and for the
// importance data/calibration.txt, 11 documents each of data/make_corpus.py with seeds 990001 and
// 990002.
#include <criterion/criterion.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <vklm/vklm.h>

#include "base/file.h"
#include "checkpoint/safetensors.h"

#define DEMO       VKLM_TEST_DATA "/demo-dense"
#define must(call) cr_assert((call) == VKLM_OK, "%s", vklm_error_message())

enum { N_CTX = 512, N_VOCAB = 1024 };

typedef struct {
    uint32_t *ids;
    size_t n;
} text;

static text read_text(const char *name)
{
    char path[512];
    vklm_string bytes = {0};
    vklm_tokenizer *tokenizer;
    text t;
    snprintf(path, sizeof path, "%s/%s", VKLM_TEST_DATA, name);
    must(vklm_file_read(path, 1 << 20, &bytes));
    must(vklm_tokenizer_open(DEMO, &tokenizer));
    must(vklm_tokenizer_encode(tokenizer, bytes.data, bytes.len, NULL, &t.ids, &t.n));
    vklm_tokenizer_close(tokenizer);
    vklm_string_finish(&bytes);
    return t;
}

static vklm_session *open_session(vklm_engine_params params, vklm_engine **out_engine)
{
    params.model_dir = DEMO;
    params.n_ctx = N_CTX;
    vklm_status status = vklm_engine_open(&params, out_engine);
    if (status == VKLM_NO_DEVICE)
        cr_skip_test("no Vulkan: %s", vklm_error_message());
    cr_assert(status == VKLM_OK, "%s", vklm_error_message());
    vklm_session *session;
    must(vklm_session_create(*out_engine, NULL, &session));
    return session;
}

// Logarithms of the next-token probabilities after every token of a text, [n, N_VOCAB]; every N_CTX
// tokens the context begins anew.
static float *log_probabilities(vklm_engine_params params, const text *t)
{
    vklm_engine *engine;
    vklm_session *session = open_session(params, &engine);
    float *all = malloc(t->n * N_VOCAB * sizeof *all);
    char path[] = "/tmp/vklm-logits-XXXXXX";
    int fd = mkstemp(path);
    cr_assert(all && fd >= 0);
    close(fd);
    for (size_t first = 0; first < t->n; first += N_CTX) {
        size_t n = t->n - first < N_CTX ? t->n - first : N_CTX;
        vklm_file_map map;
        vklm_safetensors header;
        must(vklm_session_write_logits(session, t->ids + first, n, false, path));
        must(vklm_file_map_open(path, &map));
        must(vklm_safetensors_parse(map.data, map.size, path, &header));
        memcpy(all + first * N_VOCAB, map.data + header.tensors[0].offset,
               n * N_VOCAB * sizeof *all);
        vklm_safetensors_finish(&header);
        vklm_file_map_close(&map);
    }
    for (size_t i = 0; i < t->n; i++) {
        float *row = all + i * N_VOCAB, most = row[0];
        double sum = 0;
        for (int v = 1; v < N_VOCAB; v++)
            most = fmaxf(most, row[v]);
        for (int v = 0; v < N_VOCAB; v++)
            sum += exp((double)row[v] - (double)most);
        for (int v = 0; v < N_VOCAB; v++)
            row[v] -= most + (float)log(sum);
    }
    unlink(path);
    vklm_session_destroy(session);
    vklm_engine_close(engine);
    return all;
}

static double perplexity(const float *log_p, const text *t)
{
    double sum = 0;
    size_t n = 0;
    for (size_t i = 0; i + 1 < t->n; i++)
        if ((i + 1) % N_CTX != 0) {
            sum -= (double)log_p[i * N_VOCAB + t->ids[i + 1]];
            n++;
        }
    return exp(sum / (double)n);
}

// Mean Kullback-Leibler divergence of q from p, in nats a token.
static double divergence(const float *log_p, const float *log_q, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n * N_VOCAB; i++)
        sum += exp((double)log_p[i]) * ((double)log_p[i] - (double)log_q[i]);
    return sum / (double)n;
}

Test(quality, packing_costs_little)
{
    static const struct {
        const char *what;
        vklm_engine_params params;
        bool importance;
        double most; // increase of the perplexity, in percent
    } cases[] = {
        {"q8", {.weights = VKLM_WEIGHTS_Q8, .kv = VKLM_KV_F16}, false, 0.1},
        {"mixed", {.weights = VKLM_WEIGHTS_MIXED, .kv = VKLM_KV_F16}, false, 2},
        {"q4", {.weights = VKLM_WEIGHTS_Q4, .kv = VKLM_KV_F16}, false, 2},
        {"q4 by importance", {.weights = VKLM_WEIGHTS_Q4, .kv = VKLM_KV_F16}, true, 2},
        {"q8 KV cache", {.weights = VKLM_WEIGHTS_F16, .kv = VKLM_KV_Q8}, false, 0.1},
    };
    enum { N_CASES = sizeof cases / sizeof *cases };
    text held_out = read_text("heldout.txt"), calibration = read_text("calibration.txt");
    vklm_engine *engine;
    const vklm_engine_params stored = {.weights = VKLM_WEIGHTS_F16, .kv = VKLM_KV_F16};
    vklm_session *session = open_session(stored, &engine);
    char importance[] = "/tmp/vklm-importance-XXXXXX";
    int fd = mkstemp(importance);
    cr_assert(fd >= 0);
    close(fd);
    must(vklm_session_write_importance(session, calibration.ids, calibration.n, importance));
    vklm_session_destroy(session);
    vklm_engine_close(engine);

    float *reference = log_probabilities(stored, &held_out);
    double base = perplexity(reference, &held_out), kl[N_CASES];
    fprintf(stderr, "%zu tokens, as stored: perplexity %.5f\n", held_out.n, base);
    for (int c = 0; c < N_CASES; c++) {
        vklm_engine_params params = cases[c].params;
        params.importance = cases[c].importance ? importance : NULL;
        float *log_q = log_probabilities(params, &held_out);
        double increase = 100 * (perplexity(log_q, &held_out) / base - 1);
        kl[c] = divergence(reference, log_q, held_out.n);
        fprintf(stderr, "%s: perplexity %+.4f %%, KL divergence %.3g\n", cases[c].what, increase,
                kl[c]);
        cr_expect(increase <= cases[c].most, "%s: perplexity %+.4f %%, at most %g %%",
                  cases[c].what, increase, cases[c].most);
        free(log_q);
    }
    cr_expect(kl[3] < kl[2], "importance: KL %g, without %g", kl[3], kl[2]);
    unlink(importance);
    free(reference);
    vklm_free(held_out.ids);
    vklm_free(calibration.ids);
}
