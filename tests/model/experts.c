// Models with experts: where tokens go, against transformers; the table on the device; and what may
// go wrong.
#include <criterion/criterion.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <vklm/vklm.h>

#include "base/file.h"
#include "checkpoint/safetensors.h"
#include "engine/engine_private.h"
#include "gpu/stage.h"
#include "model/decode_plan.h"

static const char *const models[] = {"random-moe-hd128", "random-moe-top1", "random-moe-top4",
                                     "random-moe-ties", "demo-moe"};
enum { N_MODELS = sizeof models / sizeof *models, N_PROMPT = 48 };

#define must(call) cr_assert((call) == VKLM_OK, "%s", vklm_error_message())

static vklm_engine *open_engine(const char *folder)
{
    vklm_engine *engine;
    vklm_engine_params params = {.model_dir = folder, .validation = true};
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

typedef struct {
    vklm_file_map map;
    vklm_safetensors header;
} tensors;

static void open_tensors(const char *path, tensors *t)
{
    must(vklm_file_map_open(path, &t->map));
    must(vklm_safetensors_parse(t->map.data, t->map.size, path, &t->header));
}

static void close_tensors(tensors *t)
{
    vklm_safetensors_finish(&t->header);
    vklm_file_map_close(&t->map);
}

static const void *tensor(const tensors *t, const char *name)
{
    const vklm_tensor_info *info = vklm_safetensors_find(&t->header, name);
    cr_assert(info, "no tensor %s", name);
    return t->map.data + info->offset;
}

// The experts of every layer and position. Where transformers' probabilities lie closer together
// than 1e-4, an f16 cache may decide otherwise; ties are exact and follow the rule.
Test(experts, selections_are_those_of_transformers)
{
    for (int m = 0; m < N_MODELS; m++) {
        char folder[512], golden_path[512], path[] = "/tmp/vklm-router-XXXXXX";
        snprintf(folder, sizeof folder, "%s/%s", VKLM_TEST_DATA, models[m]);
        snprintf(golden_path, sizeof golden_path, "%s/golden/%s.safetensors", VKLM_TEST_DATA,
                 models[m]);
        tensors golden, got;
        open_tensors(golden_path, &golden);
        vklm_engine *engine = open_engine(folder);
        const vklm_model_info *info = vklm_engine_model(engine);
        vklm_session *session;
        must(vklm_session_create(engine, NULL, &session));
        close(mkstemp(path));
        must(vklm_session_write_logits(session, tensor(&golden, "prompt_ids"), N_PROMPT, true,
                                       path));
        open_tensors(path, &got);
        const int32_t *want = tensor(&golden, "experts"), *found = tensor(&got, "experts");
        const float *weights = tensor(&got, "expert_weights"),
                    *margins = tensor(&golden, "margins");
        const bool ties = strcmp(models[m], "random-moe-ties") == 0;
        uint32_t n_close = 0, n = info->n_layers * N_PROMPT, k = info->top_k;
        for (uint32_t i = 0; i < n; i++) {
            bool same = memcmp(want + i * k, found + i * k, k * sizeof *want) == 0;
            n_close += margins[i] <= 1e-4f;
            cr_assert(same || (!ties && margins[i] <= 1e-4f),
                      "%s: layer %u, position %u: expert %d first, wanted %d", models[m],
                      i / N_PROMPT, i % N_PROMPT, found[i * k], want[i * k]);
            float sum = 0;
            for (uint32_t slot = 0; slot < k; slot++)
                sum += weights[i * k + slot];
            cr_assert_float_eq(sum, 1, 1e-6);
        }
        fprintf(stderr, "%s: %u of %u choices have a margin of 1e-4 at most\n", models[m], n_close,
                n);
        unlink(path);
        close_tensors(&got);
        close_tensors(&golden);
        vklm_session_destroy(session);
        close_engine(engine);
    }
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

// More tokens than a chunk has, at once and one by one; and again after a rewind, bit for bit.
Test(experts, prefill_equals_token_by_token)
{
    enum { N = 200, VOCAB = 97 };
    uint32_t ids[N];
    for (uint32_t i = 0; i < N; i++)
        ids[i] = (i * 31 + 7) % VOCAB;
    vklm_engine *engine = open_engine(VKLM_TEST_DATA "/random-moe-top4");
    vklm_session *a, *b;
    must(vklm_session_create(engine, NULL, &a));
    must(vklm_session_create(engine, NULL, &b));
    const float *logits;
    float whole[VOCAB], single[VOCAB];
    must(vklm_session_append(a, ids, N));
    must(vklm_session_logits(a, &logits));
    memcpy(whole, logits, sizeof whole);
    for (uint32_t i = 0; i < N; i++)
        must(vklm_session_append(b, ids + i, 1));
    must(vklm_session_logits(b, &logits));
    memcpy(single, logits, sizeof single);
    // different orders of f32 sums, and the f16 cache that rounds them
    cr_expect(relative_error(whole, single, VOCAB) <= 1e-3, "%g",
              relative_error(whole, single, VOCAB));
    must(vklm_session_rewind(a, 0));
    must(vklm_session_append(a, ids, N));
    must(vklm_session_logits(a, &logits));
    cr_expect_eq(memcmp(whole, logits, sizeof whole), 0);
    must(vklm_session_rewind(b, N - 1));
    must(vklm_session_append(b, ids + N - 1, 1));
    must(vklm_session_logits(b, &logits));
    cr_expect_eq(memcmp(single, logits, sizeof single), 0);
    vklm_session_destroy(a);
    vklm_session_destroy(b);
    close_engine(engine);
}

// Not a number in place of one bf16 of a weight on the device: loading refuses files with such.
static void spoil(vklm_engine *engine, vklm_gpu_view weight, uint64_t element)
{
    vklm_gpu_stage *stage;
    must(vklm_gpu_stage_create(engine->device, &stage));
    must(vklm_gpu_stage_upload(stage, "\xC0\x7F", vklm_gpu_view_part(weight, 2 * element, 2)));
    must(vklm_gpu_stage_finish(stage));
    vklm_gpu_stage_destroy(stage);
}

// Damage behind a router: an error that names its layer, for one token and for many; and a session
// that goes on afterwards.
Test(experts, scores_that_are_not_finite_name_the_layer)
{
    vklm_engine *engine = open_engine(VKLM_TEST_DATA "/random-moe-hd128");
    spoil(engine, engine->weights->layers[1].out.data, 5);
    vklm_session *session;
    must(vklm_session_create(engine, NULL, &session));
    const uint32_t ids[] = {3, 4, 5};
    for (uint32_t n = 1; n <= 3; n += 2) {
        cr_expect_eq(vklm_session_append(session, ids, n), VKLM_BAD_FILE);
        cr_expect(strstr(vklm_error_message(), "layer 1: the router's scores"), "%s",
                  vklm_error_message());
        uint32_t n_tokens;
        vklm_session_tokens(session, &n_tokens);
        cr_expect_eq(n_tokens, 0);
    }
    vklm_session_destroy(session);
    close_engine(engine);
}

Test(experts, one_bad_token_does_not_spoil_the_session)
{
    vklm_engine *engine = open_engine(VKLM_TEST_DATA "/random-moe-hd128");
    spoil(engine, engine->weights->embed.data, 9 * 128 + 3); // token 9's row
    vklm_session *session;
    must(vklm_session_create(engine, NULL, &session));
    const uint32_t ids[] = {3, 4, 5, 6}, bad[] = {7, 9};
    const float *logits;
    float first[131];
    must(vklm_session_append(session, ids, 4));
    must(vklm_session_logits(session, &logits));
    memcpy(first, logits, sizeof first);
    for (uint32_t n = 1; n <= 2; n++) { // alone, and in a prompt
        cr_expect_eq(vklm_session_append(session, bad + 2 - n, n), VKLM_BAD_FILE);
        cr_expect(strstr(vklm_error_message(), "layer 0:"), "%s", vklm_error_message());
    }
    must(vklm_session_rewind(session, 0));
    must(vklm_session_append(session, ids, 4));
    must(vklm_session_logits(session, &logits));
    cr_expect_eq(memcmp(first, logits, sizeof first), 0);
    vklm_session_destroy(session);
    close_engine(engine);
}

static bool keep_last(void *opaque, uint32_t id)
{
    *(uint32_t *)opaque = id;
    return true;
}

// Tokens that follow each other on the device: the one that was drawn is handed out, computing it
// fails, and the session stands where it stood before it.
Test(experts, generation_ends_at_a_bad_token)
{
    const uint32_t ids[] = {3, 4, 5, 6};
    const vklm_session_params params = {.sampling = {.greedy = true, .repetition_penalty = 1}};
    uint32_t drawn = 0, again = 0, n;
    vklm_stop_reason reason;
    vklm_session *session;
    vklm_engine *engine = open_engine(VKLM_TEST_DATA "/random-moe-hd128");
    must(vklm_session_create(engine, &params, &session));
    must(vklm_session_append(session, ids, 4));
    must(vklm_session_generate(session, 1, true, keep_last, &drawn, &reason));
    vklm_session_destroy(session);

    spoil(engine, engine->weights->embed.data, drawn * 128 + 3);
    must(vklm_session_create(engine, &params, &session));
    must(vklm_session_append(session, ids, 4));
    for (int i = 0; i < 2; i++) {
        cr_expect_eq(vklm_session_generate(session, 9, true, keep_last, &again, &reason),
                     VKLM_BAD_FILE);
        cr_expect(strstr(vklm_error_message(), "layer 0:"), "%s", vklm_error_message());
        cr_expect_eq(again, drawn);
        vklm_session_tokens(session, &n);
        cr_expect_eq(n, 4);
    }
    vklm_session_destroy(session);
    close_engine(engine);
}

// A copy of random-moe-hd128 in which one bf16 of a tensor is not a number.
static void make_damaged(const char *name, uint64_t element, char *folder)
{
    char command[1024], path[600];
    cr_assert(mkdtemp(folder));
    snprintf(command, sizeof command, "cp %s/random-moe-hd128/* %s", VKLM_TEST_DATA, folder);
    cr_assert_eq(system(command), 0);
    snprintf(path, sizeof path, "%s/model.safetensors", folder);
    tensors t;
    open_tensors(path, &t);
    const vklm_tensor_info *info = vklm_safetensors_find(&t.header, name);
    cr_assert(info, "no tensor %s", name);
    uint64_t at = info->offset + 2 * element;
    close_tensors(&t);
    FILE *file = fopen(path, "r+b");
    cr_assert(file && fseek(file, (long)at, SEEK_SET) == 0);
    cr_assert_eq(fwrite("\xC0\x7F", 1, 2, file), 2);
    fclose(file);
}

Test(experts, router_weights_that_are_not_finite_are_found_while_loading)
{
    char command[600], folder[] = "/tmp/vklm-test-XXXXXX";
    close_engine(open_engine(VKLM_TEST_DATA "/random-moe-hd128")); // skips where there is no Vulkan
    make_damaged("model.layers.0.block_sparse_moe.gate.weight", 17, folder);
    vklm_engine *engine;
    vklm_engine_params params = {.model_dir = folder};
    cr_assert_eq(vklm_engine_open(&params, &engine), VKLM_BAD_FILE);
    cr_expect(strstr(vklm_error_message(), "layers.0.block_sparse_moe.gate.weight: element 17"),
              "%s", vklm_error_message());
    snprintf(command, sizeof command, "rm -r %s", folder);
    cr_assert_eq(system(command), 0);
}

// A model below the public API, with one token's plan recorded once.
typedef struct {
    vklm_gpu_instance *instance;
    vklm_gpu_device *device;
    vklm_gpu_stage *stage;
    vklm_weights *weights;
    vklm_kv_cache kv;
    vklm_activations activations;
    vklm_decode_plan plan;
} rig;

static void open_rig(const char *folder, rig *r)
{
    enum { N_CTX = 8 };
    *r = (rig){0};
    vklm_status status =
        vklm_gpu_instance_create(&(vklm_gpu_instance_params){.validation = true}, &r->instance);
    if (status == VKLM_NO_DEVICE)
        cr_skip_test("no Vulkan: %s", vklm_error_message());
    cr_assert(status == VKLM_OK, "%s", vklm_error_message());
    vklm_source source;
    vklm_weights_plan *plan;
    size_t index;
    must(vklm_source_open(folder, false, &source));
    must(vklm_gpu_instance_select(r->instance, NULL, &index));
    must(vklm_gpu_device_open(r->instance, index, &(vklm_gpu_device_params){0}, &r->device));
    must(vklm_gpu_stage_create(r->device, &r->stage));
    must(vklm_weights_plan_create(&source, VKLM_WEIGHTS_AUTO, vklm_gpu_device_caps(r->device),
                                  &plan));
    must(vklm_weights_load(plan, r->device, NULL, &r->weights));
    vklm_weights_plan_destroy(plan);
    vklm_source_close(&source);
    must(vklm_kv_cache_init(r->device, &r->weights->arch, VKLM_KV_F16, N_CTX, &r->kv));
    must(vklm_activations_init(r->device, &r->weights->arch, N_CTX, &r->activations));
    must(vklm_decode_plan_init(r->device, r->weights, &r->kv, &r->activations, (vklm_gpu_view){0},
                               &r->plan));
}

static void close_rig(rig *r)
{
    unsigned messages = vklm_gpu_instance_messages(r->instance);
    vklm_decode_plan_finish(&r->plan);
    vklm_activations_finish(&r->activations);
    vklm_kv_cache_finish(&r->kv);
    vklm_weights_destroy(r->weights);
    vklm_gpu_stage_destroy(r->stage);
    vklm_gpu_device_close(r->device);
    vklm_gpu_instance_destroy(r->instance);
    cr_assert_eq(messages, 0, "%u validation messages", messages);
}

static void run(rig *r, float *out_logits, size_t n_vocab)
{
    const float *logits;
    must(vklm_decode_plan_run(&r->plan, 3, 0, &logits));
    memcpy(out_logits, logits, n_vocab * sizeof *logits);
}

// Reverses the order of `n` rows of `bytes` bytes on the device.
static void reverse(rig *r, vklm_gpu_view view, uint32_t n, size_t bytes)
{
    unsigned char *rows = malloc(n * bytes), *turned = malloc(n * bytes);
    must(vklm_gpu_stage_download(r->stage, view, rows));
    for (uint32_t i = 0; i < n; i++)
        memcpy(turned + i * bytes, rows + (n - 1 - i) * bytes, bytes);
    must(vklm_gpu_stage_upload(r->stage, turned, view));
    must(vklm_gpu_stage_finish(r->stage));
    free(rows), free(turned);
}

// Experts in the reverse order in the router and in the table: the same model under other numbers,
// from the same recording. In the table alone: another one.
Test(experts, table_rows_may_change_between_submits)
{
    enum { VOCAB = 131 };
    rig r;
    open_rig(VKLM_TEST_DATA "/random-moe-hd128", &r);
    const vklm_arch *a = &r.weights->arch;
    float before[VOCAB], between[VOCAB], after[VOCAB];
    run(&r, before, VOCAB);
    for (uint32_t layer = 0; layer < a->n_layers; layer++)
        reverse(&r, r.weights->layers[layer].experts.table, a->n_experts,
                sizeof(struct vklm_args_expert));
    run(&r, between, VOCAB);
    cr_expect_neq(memcmp(before, between, sizeof before), 0);
    for (uint32_t layer = 0; layer < a->n_layers; layer++)
        reverse(&r, r.weights->layers[layer].router, a->n_experts, a->n_hidden * sizeof(float));
    run(&r, after, VOCAB);
    cr_expect_eq(memcmp(before, after, sizeof before), 0);
    close_rig(&r);
}

// A layer is five dispatches, as without experts; besides the four commands of every model, the
// status.
Test(experts, decode_keeps_its_budget_of_dispatches)
{
    rig r;
    open_rig(VKLM_TEST_DATA "/random-moe-top4", &r);
    size_t n, n_dispatches = 0;
    const vklm_gpu_command *commands = vklm_gpu_cmd_commands(r.plan.run, &n);
    for (size_t i = 0; i < n; i++)
        n_dispatches += commands[i].shader != NULL;
    size_t layers = 5 * (size_t)r.weights->arch.n_layers;
    cr_expect_eq(n_dispatches, layers + 2, "%zu dispatches", n_dispatches); // embed, lm_head
    cr_expect_leq(n, layers + 5, "%zu commands", n);
    cr_expect_leq(vklm_gpu_cmd_barriers(r.plan.run), layers + 4, "%zu barriers",
                  vklm_gpu_cmd_barriers(r.plan.run));
    close_rig(&r);
}
