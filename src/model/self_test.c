#include "model/self_test.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/half.h"
#include "base/rng.h"
#include "gpu/stage.h"
#include "model/decode_plan.h"
#include "model/prefill.h"
#include "model/rope.h"
#include "model/self_test_reference.h"
#include "quant/pack.h"

enum { N_PROMPT = 37, N_IDS = N_PROMPT + 2, N_CTX = 64, N_LAYERS = 2 };

// f32 sums leave some 1e-6 of a vector's length; what remains are keys and values that were rounded
// to the other f16 number, and 8-bit activations or caches. A wrong kernel is off by
// 0.1 and more.
static const double BOUND_BASE = 0x1p-10, BOUND_INT8 = 0x1p-4;

typedef struct {
    vklm_gpu_device *device;
    vklm_gpu_stage *stage;
    vklm_gpu_layout layout;
    vklm_self_test_model host;
    vklm_weights weights;
    vklm_format format;
    vklm_kv_kind kind;
    uint64_t seed;
    vklm_kv_cache kv;
    vklm_activations activations;
    vklm_prefill prefill;
    vklm_decode_plan decode;
    double *want;        // [N_IDS, n_vocab]
    const float *logits; // of the prompt's last token
} rig;

void vklm_self_test_cases(const vklm_weights *w, vklm_kv_kind kv,
                          vklm_self_test_case out[VKLM_FORMAT_COUNT], size_t *out_n)
{
    bool used[VKLM_FORMAT_COUNT] = {false};
    used[w->embed.format] = used[w->lm_head.format] = true;
    for (uint32_t i = 0; i < w->arch.n_layers; i++) {
        const vklm_layer_weights *l = &w->layers[i];
        const vklm_weight *all[] = {&l->qkv, &l->out, &l->gate_up, &l->down};
        for (size_t k = 0; k < sizeof all / sizeof *all; k++)
            if (all[k]->data.buffer)
                used[all[k]->format] = true;
    }
    *out_n = 0;
    for (int f = 0; f < VKLM_FORMAT_COUNT; f++)
        if (used[f])
            out[(*out_n)++] = (vklm_self_test_case){.head_dim = w->arch.head_dim,
                                                    .grouped = w->arch.n_heads > w->arch.n_kv_heads,
                                                    .matrix = (vklm_format)f,
                                                    .kv = kv};
}

static float random_number(rig *r, size_t i)
{
    return 2 * vklm_rng_uniform(r->seed, i) - 1;
}

// A view of the one slab that everything lies in; `data` is uploaded.
static vklm_status put(rig *r, const void *data, uint64_t bytes, vklm_gpu_view *out)
{
    vklm_gpu_slot slot;
    vklm_status status = vklm_gpu_layout_add(&r->layout, bytes, &slot);
    if (status == VKLM_OK) {
        *out = vklm_gpu_arena_view(r->weights.arena, slot);
        status = vklm_gpu_stage_upload(r->stage, data, *out);
    }
    return status;
}

// The bytes of a matrix of these values in the rig's format.
static bool pack(const rig *r, const float *values, uint32_t n_rows, uint32_t n_cols, void *out)
{
    const size_t n = (size_t)n_rows * n_cols;
    uint16_t *halves = out;
    uint64_t bad;
    if (vklm_format_is_packed(r->format)) {
        vklm_pack_job job = {.format = r->format,
                             .stored = VKLM_FORMAT_F32,
                             .source = values,
                             .n_rows = n_rows,
                             .n_cols = n_cols};
        vklm_format_plane planes[VKLM_FORMAT_MAX_PLANES];
        uint32_t n_planes = vklm_format_planes(r->format, n_rows, n_cols, planes);
        for (uint32_t i = 0; i < n_planes; i++)
            job.planes[i] = (unsigned char *)out + planes[i].offset;
        return vklm_pack_rows(NULL, &job, &bad);
    }
    if (r->format == VKLM_FORMAT_F32)
        memcpy(out, values, n * sizeof *values);
    for (size_t i = 0; i < n && r->format != VKLM_FORMAT_F32; i++)
        halves[i] = r->format == VKLM_FORMAT_F16 ? vklm_half_to_f16(values[i])
                                                 : vklm_half_to_bf16(values[i]);
    return true;
}

// Uniform random numbers of variance 1 / n_cols as the format keeps them: on the device and as f32.
static vklm_status make_matrix(rig *r, uint32_t n_rows, uint32_t n_cols, float **out_values,
                               vklm_weight *out)
{
    const size_t n = (size_t)n_rows * n_cols;
    const uint64_t bytes = vklm_format_bytes(r->format, n_rows, n_cols);
    float *values = *out_values = vklm_alloc(n, sizeof *values);
    void *packed = vklm_alloc((size_t)bytes, 1);
    r->seed++;
    for (size_t i = 0; i < n && values; i++)
        values[i] = random_number(r, i) * sqrtf(3.0f / (float)n_cols);
    vklm_status status = values && packed && pack(r, values, n_rows, n_cols, packed)
                             ? VKLM_OK
                             : vklm_fail_memory("the self-test");
    *out = (vklm_weight){.format = r->format, .n_rows = n_rows, .n_cols = n_cols};
    if (status == VKLM_OK) {
        vklm_format_unpack_rows(r->format, packed, n_rows, n_cols, 0, n_rows, values);
        status = put(r, packed, bytes, &out->data);
    }
    free(packed);
    return status;
}

static vklm_status make_layer(rig *r, uint32_t layer)
{
    const vklm_arch *a = &r->host.arch;
    vklm_layer_weights *l = &r->weights.layers[layer];
    vklm_self_test_layer *h = &r->host.layers[layer];
    const uint32_t heads = a->n_heads * a->head_dim, kv = a->n_kv_heads * a->head_dim;
    l->attn_norm = l->mlp_norm = r->weights.final_norm;
    vklm_status status = make_matrix(r, heads + 2 * kv, a->n_hidden, &h->qkv, &l->qkv);
    if (status == VKLM_OK)
        status = make_matrix(r, a->n_hidden, heads, &h->out, &l->out);
    if (status == VKLM_OK)
        status = make_matrix(r, 2 * a->n_intermediate, a->n_hidden, &h->gate_up, &l->gate_up);
    if (status == VKLM_OK)
        status = make_matrix(r, a->n_hidden, a->n_intermediate, &h->down, &l->down);
    return status;
}

static vklm_status make_vectors(rig *r)
{
    const vklm_arch *a = &r->host.arch;
    float(*rope)[2] = vklm_alloc((size_t)N_CTX * a->head_dim / 2, sizeof *rope);
    r->host.norm = vklm_alloc(a->n_hidden, sizeof *r->host.norm);
    vklm_status status = rope && r->host.norm ? VKLM_OK : vklm_fail_memory("the self-test");
    for (uint32_t i = 0; i < N_CTX && status == VKLM_OK; i++)
        vklm_rope_row(a->rope_theta, a->head_dim, i, rope + (size_t)i * (a->head_dim / 2));
    for (uint32_t i = 0; i < a->n_hidden && status == VKLM_OK; i++)
        r->host.norm[i] = 1 + 0.5f * random_number(r, i);
    if (status == VKLM_OK)
        status = put(r, r->host.norm, a->n_hidden * sizeof(float), &r->weights.final_norm);
    if (status == VKLM_OK)
        status = put(r, rope, (uint64_t)N_CTX * a->head_dim * sizeof(float), &r->weights.rope);
    free(rope);
    return status;
}

// Room for everything, as one slab.
static vklm_status make_arena(rig *r)
{
    const vklm_arch *a = &r->host.arch;
    const uint64_t heads = a->n_heads * a->head_dim, kv = a->n_kv_heads * a->head_dim,
                   layer = a->n_hidden * (2 * heads + 2 * kv + 3 * a->n_intermediate),
                   floats = N_LAYERS * layer + 2 * a->n_vocab * a->n_hidden + N_CTX * a->head_dim;
    vklm_gpu_slot slot;
    vklm_gpu_layout all;
    vklm_gpu_layout_init(vklm_gpu_device_caps(r->device), &all);
    vklm_status status =
        vklm_gpu_layout_add(&all, floats * sizeof(float) + 64 * VKLM_GPU_ALIGNMENT, &slot);
    if (status == VKLM_OK)
        status = vklm_gpu_arena_create(r->device, &all, &r->weights.arena);
    vklm_gpu_layout_finish(&all);
    return status;
}

static vklm_status make_model(rig *r, const vklm_self_test_case *test)
{
    vklm_arch *a = &r->host.arch;
    *a = (vklm_arch){.n_vocab = 300,
                     .n_hidden = 256,
                     .n_intermediate = 512,
                     .n_layers = N_LAYERS,
                     .n_heads = 4,
                     .n_kv_heads = test->grouped ? 2 : 4,
                     .head_dim = test->head_dim,
                     .n_positions = N_CTX,
                     .rms_eps = 1e-5f,
                     .rope_theta = 10000};
    r->weights.arch = *a;
    r->format = test->matrix;
    r->kind = test->kv;
    r->weights.layers = vklm_alloc(N_LAYERS, sizeof *r->weights.layers);
    r->host.layers = vklm_alloc(N_LAYERS, sizeof *r->host.layers);
    r->want = vklm_alloc((size_t)N_IDS * a->n_vocab, sizeof *r->want);
    if (!r->weights.layers || !r->host.layers || !r->want)
        return vklm_fail_memory("the self-test");
    vklm_status status = make_arena(r);
    if (status == VKLM_OK)
        status = make_vectors(r);
    if (status == VKLM_OK)
        status = make_matrix(r, a->n_vocab, a->n_hidden, &r->host.embed, &r->weights.embed);
    if (status == VKLM_OK)
        status = make_matrix(r, a->n_vocab, a->n_hidden, &r->host.lm_head, &r->weights.lm_head);
    for (uint32_t i = 0; i < N_LAYERS && status == VKLM_OK; i++)
        status = make_layer(r, i);
    return status == VKLM_OK ? vklm_gpu_stage_finish(r->stage) : status;
}

static vklm_status make_plans(rig *r)
{
    const vklm_arch *a = &r->host.arch;
    vklm_status status = vklm_kv_cache_init(r->device, a, r->kind, N_CTX, &r->kv);
    if (status == VKLM_OK)
        status = vklm_activations_init(r->device, a, N_CTX, &r->activations);
    if (status == VKLM_OK)
        status = vklm_decode_plan_init(r->device, &r->weights, &r->kv, &r->activations,
                                       (vklm_gpu_view){0}, &r->decode);
    if (status == VKLM_OK)
        status = vklm_prefill_init(r->device, &r->weights, &r->kv, &r->activations, &r->prefill);
    return status;
}

static void finish(rig *r)
{
    vklm_prefill_finish(&r->prefill);
    vklm_decode_plan_finish(&r->decode);
    vklm_activations_finish(&r->activations);
    vklm_kv_cache_finish(&r->kv);
    vklm_gpu_stage_destroy(r->stage);
    vklm_gpu_arena_destroy(r->weights.arena);
    vklm_gpu_layout_finish(&r->layout);
    free(r->weights.layers);
    for (uint32_t i = 0; i < N_LAYERS && r->host.layers; i++) {
        vklm_self_test_layer *l = &r->host.layers[i];
        free(l->qkv), free(l->out), free(l->gate_up), free(l->down);
    }
    free(r->host.layers), free(r->host.embed), free(r->host.lm_head), free(r->host.norm);
    free(r->want);
}

static vklm_status take_logits(void *opaque, uint32_t first, uint32_t n, const float *logits)
{
    (void)first, (void)n;
    ((rig *)opaque)->logits = logits;
    return VKLM_OK;
}

static void check(const rig *r, const char *what, const float *got, uint32_t token, char *out_error)
{
    const double *want = r->want + (size_t)token * r->host.arch.n_vocab;
    const bool int8 =
        r->kind == VKLM_KV_Q8 || vklm_gpu_device_caps(r->device)->tiers & VKLM_TIER_DOT8;
    const double bound = int8 ? BOUND_INT8 : BOUND_BASE;
    double distance = 0, length = 0;
    for (uint32_t i = 0; i < r->host.arch.n_vocab; i++) {
        distance += ((double)got[i] - want[i]) * ((double)got[i] - want[i]);
        length += want[i] * want[i];
    }
    double error = sqrt(distance / length);
    if (!(error <= bound) && !*out_error) // also when it is not a number
        snprintf(out_error, VKLM_SELF_TEST_ERROR_BYTES,
                 "%s in %s is off by %.2g of its size, where %.2g is allowed", what,
                 vklm_format_name(r->format), error, bound);
}

static uint32_t largest(const float *logits, uint32_t n)
{
    uint32_t best = 0;
    for (uint32_t i = 1; i < n; i++)
        if (logits[i] > logits[best])
            best = i;
    return best;
}

static void check_draw(const struct vklm_args_sampled *drawn, uint32_t want, char *out_error)
{
    if ((drawn->flag || drawn->id != want) && !*out_error)
        snprintf(out_error, VKLM_SELF_TEST_ERROR_BYTES, "token %u is drawn instead of %u",
                 drawn->id, want);
}

// A prompt, a token, a draw, and the drawn token computed on the device.
static vklm_status run(rig *r, char *out_error)
{
    uint32_t ids[N_IDS], done;
    const uint32_t n_vocab = r->host.arch.n_vocab;
    for (uint32_t i = 0; i < N_IDS; i++)
        ids[i] = (i * i * 37 + 11 * i + 5) % n_vocab;
    const float *logits;
    const vklm_prefill_params params = {
        .logits = take_logits, .opaque = r, .logits_from = N_PROMPT - 1};
    const struct vklm_args_sampling greedy = {
        .temperature = 1, .top_p = 1, .repetition = 1, .top_k = 1, .greedy = 1};
    struct vklm_args_sampled drawn;
    uint64_t ticket;
    vklm_status status = vklm_prefill_run(&r->prefill, ids, N_PROMPT, 0, &params, &done);
    float *prompt = status == VKLM_OK ? vklm_alloc(n_vocab, sizeof *prompt) : NULL;
    if (status == VKLM_OK && !prompt)
        status = vklm_fail_memory("the self-test");
    if (status == VKLM_OK) {
        memcpy(prompt, r->logits, n_vocab * sizeof *prompt);
        status = vklm_decode_plan_run(&r->decode, ids[N_PROMPT], N_PROMPT, &logits);
    }
    if (status == VKLM_OK) {
        ids[N_PROMPT + 1] = largest(logits, n_vocab);
        status = vklm_self_test_forward(&r->host, ids, N_IDS, r->want);
    }
    if (status == VKLM_OK) {
        check(r, "a prompt", prompt, N_PROMPT - 1, out_error);
        check(r, "a token", logits, N_PROMPT, out_error);
        memset(vklm_decode_plan_counts(&r->decode), 0, n_vocab * sizeof(uint32_t));
        status = vklm_decode_plan_draw(&r->decode, &greedy, N_PROMPT, 0, &drawn);
    }
    if (status == VKLM_OK)
        check_draw(&drawn, ids[N_PROMPT + 1], out_error);
    if (status == VKLM_OK && !*out_error) {
        status = vklm_decode_plan_chain(&r->decode, 1, &ticket);
        if (status == VKLM_OK)
            status = vklm_decode_plan_wait(&r->decode, ticket, 1, &drawn);
        if (status == VKLM_OK)
            status = vklm_decode_plan_fetch(&r->decode, &logits);
        if (status == VKLM_OK)
            check(r, "a drawn token", logits, N_PROMPT + 1, out_error);
        if (status == VKLM_OK)
            check_draw(&drawn, largest(logits, n_vocab), out_error);
    }
    free(prompt);
    return status;
}

vklm_status vklm_self_test_run(vklm_gpu_device *device, const vklm_self_test_case *test,
                               char out_error[VKLM_SELF_TEST_ERROR_BYTES])
{
    rig r = {.device = device, .seed = 1};
    *out_error = '\0';
    vklm_gpu_layout_init(vklm_gpu_device_caps(device), &r.layout);
    vklm_status status = vklm_gpu_stage_create(device, &r.stage);
    if (status == VKLM_OK)
        status = make_model(&r, test);
    if (status == VKLM_OK)
        status = make_plans(&r);
    if (status == VKLM_OK)
        status = run(&r, out_error);
    finish(&r);
    return status;
}
