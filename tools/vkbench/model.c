// vkbench model: how fast a model reads a prompt and writes, at several depths of its context,
// layer by layer, and how close that is to what the memory and the arithmetic of this device allow.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "args.h"
#include "base/array.h"
#include "base/clock.h"
#include "ops/tune.h"
#include "vkbench/measure.h"
#include "vkbench/preset.h"
#include "vkbench/subject.h"

enum { MAX_LABELS = 32 };

// -- where a token's time goes

// Bytes that one token reads at a depth, and its operations, for the whole model; of a prompt of
// n_tokens that is read together the bytes of all: its experts are all at work.
static void token_cost(const vklm_bench_subject *s, double depth, uint32_t n_tokens,
                       double *out_bytes, double *out_flop)
{
    const vklm_layer_weights *l = &s->weights->layers[0];
    const vklm_arch *a = &s->arch;
    const double kv = 2.0 * (double)vklm_kv_cache_layer_bytes(a, s->kv.kind, s->n_ctx) /
                      s->n_ctx; // of a position
    const double mlp = 3.0 * a->n_intermediate * a->n_hidden;
    double layer_bytes = (double)vklm_weights_layer_bytes(s->weights, 0);
    double layer_weights = (double)l->qkv.n_rows * l->qkv.n_cols +
                           (double)l->out.n_rows * l->out.n_cols +
                           (a->n_experts ? a->top_k : 1) * mlp;
    if (a->n_experts) {
        const double attention = (double)(l->qkv.data.bytes + l->out.data.bytes);
        const uint32_t most = n_tokens * a->top_k;
        layer_bytes = attention + (layer_bytes - attention) / a->top_k *
                                      (most < a->n_experts ? most : a->n_experts);
    }
    *out_bytes =
        a->n_layers * (layer_bytes + kv * (depth + 1)) + (double)s->weights->lm_head.data.bytes;
    *out_flop = 2 * (a->n_layers * (layer_weights + 2.0 * a->n_heads * a->head_dim * (depth + 1)) +
                     (double)a->n_vocab * a->n_hidden);
}

// Runs the timed token a few times at a depth; adds its times by op class and by layer to the row.
// *out_fixed: the share of the embedding, the logits and the draw.
static vklm_status add_times(vklm_bench_subject *s, uint32_t depth, cJSON *row, double *out_fixed)
{
    struct vklm_args_step step = {.token = 1, .position = depth};
    size_t n, n_labels = 0;
    const vklm_gpu_command *commands = vklm_gpu_cmd_commands(s->timed, &n);
    double *us = vklm_alloc(2 * n, sizeof *us), sums[MAX_LABELS] = {0};
    double *best = us ? us + n : NULL;
    const char *labels[MAX_LABELS];
    vklm_status status = us ? VKLM_OK : vklm_fail_memory("timestamps");
    for (int run = 0; run < 4 && status == VKLM_OK; run++) { // the first warms up
        status = vklm_gpu_stage_upload(s->bench->stage, &step,
                                       vklm_gpu_view_part(s->activations.step, 0, sizeof step));
        if (status == VKLM_OK)
            status = vklm_gpu_stage_finish(s->bench->stage);
        if (status == VKLM_OK)
            status = vklm_gpu_cmd_submit(s->timed);
        if (status == VKLM_OK)
            status = vklm_gpu_cmd_wait(s->timed);
        if (status == VKLM_OK)
            status = vklm_gpu_cmd_times(s->timed, us);
        for (size_t i = 0; i < n && run > 0; i++)
            best[i] = run == 1 || us[i] < best[i] ? us[i] : best[i];
    }
    double layers = 0;
    for (size_t i = 0; i < n && status == VKLM_OK; i++) {
        size_t l = 0;
        while (l < n_labels && strcmp(labels[l], commands[i].label) != 0)
            l++;
        if (l == n_labels && n_labels < MAX_LABELS)
            labels[n_labels++] = commands[i].label;
        sums[l < MAX_LABELS ? l : MAX_LABELS - 1] += best[i];
        if (i > 0 && i + 2 < n)
            layers += best[i];
    }
    if (status == VKLM_OK) {
        const double fixed = best[0] + best[n - 2] + best[n - 1];
        *out_fixed = fixed / (fixed + layers);
        cJSON *o = cJSON_AddObjectToObject(row, "op_us");
        for (size_t l = 0; l < n_labels; l++)
            cJSON_AddNumberToObject(o, labels[l], sums[l]);
        cJSON_AddNumberToObject(row, "layer_us", layers / s->n_layers);
    }
    free(us);
    return status;
}

// -- speeds

static cJSON *add_row(vklm_bench_subject *s, const char *test, uint32_t depth)
{
    char name[192];
    snprintf(name, sizeof name, "%s %s %s at %u", s->name, s->weights_name, test, depth);
    cJSON *row = vklm_bench_row(s->bench, "results", name);
    cJSON_AddStringToObject(row, "model", s->name);
    cJSON_AddStringToObject(row, "weights", s->weights_name);
    cJSON_AddStringToObject(row, "kv", s->kv.kind == VKLM_KV_Q8 ? "q8" : "f16");
    cJSON_AddStringToObject(row, "test", test);
    cJSON_AddNumberToObject(row, "depth", depth);
    cJSON_AddNumberToObject(row, "layers", s->arch.n_layers);
    cJSON_AddNumberToObject(row, "layers_measured", s->n_layers);
    if (s->n_layers < s->arch.n_layers)
        cJSON_AddStringToObject(row, "note", "scaled from fewer layers");
    return row;
}

// Seconds of a token or prompt, as if all layers had been there. `fixed`: the share of them that no
// layer takes.
static double whole(const vklm_bench_subject *s, double seconds, double fixed)
{
    return seconds * (fixed + (1 - fixed) * s->arch.n_layers / s->n_layers);
}

// Tokens under way at a time, as the engine has them (engine/generate.c).
static uint32_t window(double token_seconds)
{
    const double limit = 0.03;
    if (token_seconds <= 0 || token_seconds > limit)
        return 1;
    double n = limit / token_seconds;
    return n < 2 ? 2 : n > 8 ? 8 : (uint32_t)n;
}

// Writes n tokens from `depth` on, each drawn on the device and the next one's input; seconds of
// each, as the host learns of them. A slow device is not asked for all when a few tell.
static vklm_status write_tokens(vklm_bench_subject *s, uint32_t n, double *seconds,
                                uint32_t *out_done)
{
    uint64_t tickets[VKLM_GPU_MAX_RUNS];
    uint32_t submitted = 0, done = 0;
    const double begin = vklm_clock_seconds();
    double before = begin, average = 0;
    vklm_status status = VKLM_OK;
    while (status == VKLM_OK) {
        const bool enough =
            done >= 3 && vklm_clock_seconds() - begin > 30 * s->bench->options.seconds;
        uint32_t more = enough || submitted - done >= window(average)
                            ? 0
                            : window(average) - (submitted - done);
        more = more < n - submitted ? more : n - submitted;
        if (more == 0 && submitted == done)
            break;
        uint64_t new_tickets[VKLM_GPU_MAX_RUNS];
        if (more)
            status = vklm_decode_plan_chain(&s->decode, more, new_tickets);
        for (uint32_t i = 0; i < more && status == VKLM_OK; i++)
            tickets[submitted++ % VKLM_GPU_MAX_RUNS] = new_tickets[i];
        struct vklm_args_sampled sampled;
        if (status == VKLM_OK)
            status = vklm_decode_plan_wait(&s->decode, tickets[done % VKLM_GPU_MAX_RUNS], done + 1,
                                           &sampled);
        if (status == VKLM_OK && sampled.flag)
            status = vklm_fail(VKLM_UNSUPPORTED, "%s: the logits are not numbers", s->name);
        const double now = vklm_clock_seconds();
        seconds[done++] = now - before;
        average = average > 0 ? 0.8 * average + 0.2 * (now - before) : now - before;
        before = now;
    }
    *out_done = done;
    return status;
}

// Dispatches and barriers of one token and its draw.
static void add_commands(const vklm_bench_subject *s, cJSON *row)
{
    size_t n, dispatches = 0;
    const vklm_gpu_command *commands = vklm_gpu_cmd_commands(s->decode.chain, &n);
    for (size_t i = 0; i < n; i++)
        dispatches += commands[i].shader != NULL;
    cJSON_AddNumberToObject(row, "dispatches", (double)dispatches);
    cJSON_AddNumberToObject(row, "barriers", (double)vklm_gpu_cmd_barriers(s->decode.chain));
}

static vklm_status generate(vklm_bench_subject *s, uint32_t depth)
{
    vklm_bench *b = s->bench;
    const uint32_t n = b->options.n_generate;
    char test[32];
    snprintf(test, sizeof test, "tg%u", n);
    double *values = vklm_alloc(n, sizeof *values), bytes, flop, fixed = 0;
    if (!values)
        return vklm_fail_memory("samples");
    cJSON *row = add_row(s, test, depth);
    const float *logits;
    vklm_status status = vklm_decode_plan_run(&s->decode, 1, depth, &logits); // warms up
    if (status == VKLM_OK)
        status = vklm_bench_subject_draw(s, depth);
    if (status == VKLM_OK)
        status = add_times(s, depth, row, &fixed);
    if (status == VKLM_OK)
        status = vklm_bench_subject_draw(s, depth);
    double cpu = vklm_clock_thread_seconds();
    uint32_t done = 0;
    if (status == VKLM_OK)
        status = write_tokens(s, n, values, &done);
    cpu = vklm_clock_thread_seconds() - cpu;
    for (uint32_t i = 0; i < done; i++)
        values[i] = 1e6 * whole(s, values[i], fixed);
    if (status == VKLM_OK) {
        vklm_bench_sample us = vklm_bench_summarise(values, done);
        token_cost(s, depth + (double)done / 2, 1, &bytes, &flop);
        vklm_bench_add(b, row, "tokens_per_second", vklm_bench_rate(us, 1e6));
        cJSON_AddNumberToObject(row, "tokens_run", (double)done);
        vklm_bench_add_share(b, row, bytes, flop, VKLM_BENCH_F32, us.median);
        cJSON_AddNumberToObject(row, "cpu_us_per_token", 1e6 * cpu / (double)done);
        add_commands(s, row);
        cJSON_AddNumberToObject(row, "peak_device_bytes", (double)s->peak_bytes);
    }
    free(values);
    return status;
}

// What most of a prompt's operations are.
static vklm_bench_arithmetic prompt_arithmetic(const vklm_bench_subject *s, uint32_t n)
{
    const vklm_gpu_caps *caps = vklm_bench_caps(s->bench);
    const vklm_weight *w = &s->weights->layers[0].qkv;
    const unsigned tier = vklm_tune_matmul_coop(caps, w->format, w->n_rows, n).shader
                              ? VKLM_TIER_COOP
                          : vklm_tune_prompt_dot8(caps, w->format, w->n_cols) ? VKLM_TIER_DOT8
                                                                              : VKLM_TIER_BASE;
    return vklm_bench_arithmetic_of(s->bench, tier);
}

static vklm_status read_prompt(vklm_bench_subject *s, uint32_t depth)
{
    vklm_bench *b = s->bench;
    const uint32_t n = b->options.n_prompt;
    enum { MAX_RUNS = 64 };
    double values[MAX_RUNS], bytes, flop = 0, one;
    char test[32];
    snprintf(test, sizeof test, "pp%u", n);
    uint32_t *tokens = vklm_alloc(n, sizeof *tokens), done;
    if (!tokens)
        return vklm_fail_memory("a prompt");
    for (uint32_t i = 0; i < n; i++)
        tokens[i] = i * 7919 % s->arch.n_vocab;
    vklm_prefill_params params = {0};
    const vklm_bench_arithmetic what = prompt_arithmetic(s, n);
    vklm_status status = vklm_bench_peak(b, what);
    if (status == VKLM_OK && (!b->options.tour || !vklm_bench_is_cpu(b))) // warms up
        status = vklm_prefill_run(&s->prefill, tokens, n, depth, &params, &done);
    double begin = vklm_clock_seconds();
    size_t runs = 0;
    while (status == VKLM_OK && runs < MAX_RUNS &&
           (runs < 1 || vklm_clock_seconds() - begin < 5 * b->options.seconds)) {
        double before = vklm_clock_seconds();
        status = vklm_prefill_run(&s->prefill, tokens, n, depth, &params, &done);
        values[runs++] = 1e6 * whole(s, vklm_clock_seconds() - before, 0);
    }
    if (status == VKLM_OK) {
        vklm_bench_sample us = vklm_bench_summarise(values, runs);
        for (uint32_t i = 0; i < n; i++) {
            token_cost(s, depth + i, n, &bytes, &one);
            flop += one - 2.0 * s->arch.n_vocab * s->arch.n_hidden; // no logits
        }
        cJSON *row = add_row(s, test, depth);
        vklm_bench_add(b, row, "tokens_per_second", vklm_bench_rate(us, 1e6 * n));
        vklm_bench_add_share(b, row, bytes, flop, what, us.median);
        cJSON_AddNumberToObject(row, "peak_device_bytes", (double)s->peak_bytes);
    }
    free(tokens);
    return status;
}

static vklm_status measure(vklm_bench *b, unsigned weights)
{
    const vklm_bench_options *o = &b->options;
    const uint32_t most = o->n_prompt > o->n_generate ? o->n_prompt : o->n_generate;
    uint32_t deepest = 0;
    for (size_t i = 0; i < o->n_depths; i++)
        deepest = o->depths[i] > deepest ? o->depths[i] : deepest;
    vklm_bench_subject s;
    vklm_status status = vklm_bench_subject_open(b, weights, deepest + most, &s);
    if (status == VKLM_OK && s.n_ctx < most)
        status =
            vklm_fail(VKLM_INVALID_ARGUMENT, "%s has a context of %u tokens; %u were asked for",
                      s.name, s.n_ctx, most);
    for (size_t i = 0; i < o->n_depths && status == VKLM_OK; i++) {
        uint32_t depth = o->depths[i];
        if (depth + most > s.n_ctx) {
            vklm_bench_warn(b, "%s ends at %u tokens: depth %u became %u", s.name, s.n_ctx, depth,
                            s.n_ctx - most);
            depth = s.n_ctx - most;
        }
        if (o->n_prompt)
            status = read_prompt(&s, depth);
        if (status == VKLM_OK && o->n_generate)
            status = generate(&s, depth);
    }
    vklm_bench_subject_close(&s);
    return status;
}

vklm_status vklm_bench_model(vklm_bench *b)
{
    vklm_status status = vklm_bench_reference(b);
    if (b->options.model_dir)
        return status == VKLM_OK ? measure(b, 0) : status; // the folder has its own
    for (unsigned w = 0; w < VKLM_BENCH_WEIGHTS && status == VKLM_OK; w++)
        if (b->options.formats ? b->options.formats >> w & 1 : w == VKLM_FORMAT_BF16)
            status = measure(b, w);
    return status;
}
