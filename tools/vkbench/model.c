// vkbench model: how fast a model reads a prompt and writes, at several depths of its context,
// layer by layer, and how close that is to what the memory and the arithmetic of this device allow.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "args.h"
#include "base/array.h"
#include "base/clock.h"
#include "model/decode_plan.h"
#include "model/prefill.h"
#include "ops/embed.h"
#include "ops/matvec.h"
#include "vkbench/generated.h"
#include "vkbench/measure.h"
#include "vkbench/preset.h"

enum { MAX_LABELS = 32 };

typedef struct {
    vklm_bench *bench;
    const char *name; // of the model
    vklm_format format;
    vklm_arch arch;    // the whole model's
    uint32_t n_layers; // of them that are here
    uint32_t n_ctx;
    vklm_weights *weights;
    vklm_kv_cache kv;
    vklm_activations activations;
    vklm_decode_plan decode;
    vklm_prefill prefill;
    vklm_gpu_cmd *timed; // one token, with a timestamp and a barrier after every command
    size_t n_barriers;   // of a token
    double fixed_us;     // of a token: what is not a layer
    uint64_t peak_bytes;
} subject;

// -- opening

static double gib(double bytes)
{
    return bytes / (1 << 30);
}

// What fits instead, for the sentence.
static void what_fits(const vklm_bench *b, double room, vklm_string *out)
{
    size_t n, found = 0;
    const vklm_bench_preset *presets = vklm_bench_presets(&n);
    (void)b;
    for (size_t p = 0; p < n; p++)
        for (int f = VKLM_FORMAT_F16; f < VKLM_FORMAT_COUNT; f++)
            if (presets[p].n_experts == 1 &&
                presets[p].arch.n_hidden % vklm_format_group((vklm_format)f) == 0 &&
                vklm_bench_preset_needs(&presets[p], (vklm_format)f, 640) <= room)
                vklm_string_print(out, "%s%s in %s", found++ ? ", " : "", presets[p].name,
                                  vklm_format_name((vklm_format)f));
    if (!found)
        vklm_string_print(out, "no whole model");
}

// Whether n_layers layers of a preset fit, before anything is allocated.
static vklm_status check_memory(const vklm_bench *b, const vklm_bench_preset *preset,
                                vklm_format format, uint32_t n_layers, uint32_t n_ctx)
{
    uint64_t budget, total;
    vklm_bench_preset part = *preset;
    part.arch.n_layers = n_layers;
    double needs = vklm_bench_preset_needs(&part, format, n_ctx), one, without;
    vklm_gpu_caps_memory(vklm_bench_caps(b), &budget, &total);
    if (needs <= (double)budget)
        return VKLM_OK;
    part.arch.n_layers = 1;
    one = vklm_bench_preset_needs(&part, format, n_ctx);
    part.arch.n_layers = 0;
    without = vklm_bench_preset_needs(&part, format, n_ctx);
    double layers = floor(((double)budget - without) / (one - without));
    vklm_string fits = {0};
    what_fits(b, (double)budget, &fits);
    if (layers >= 1)
        vklm_string_print(&fits, "; or %.0f of its %u layers (--layers %.0f)", layers,
                          preset->arch.n_layers, layers);
    vklm_fail(VKLM_OUT_OF_DEVICE_MEMORY,
              "%s in %s needs %.1f GiB and %s offers %.1f GiB; what fits: %s", preset->name,
              vklm_format_name(format), gib(needs), vklm_bench_caps(b)->name, gib((double)budget),
              fits.data ? fits.data : "");
    vklm_string_finish(&fits);
    return VKLM_OUT_OF_DEVICE_MEMORY;
}

static uint32_t most_layers(const vklm_bench *b, uint32_t all)
{
    return b->options.n_layers && b->options.n_layers < all ? b->options.n_layers : all;
}

static vklm_status open_preset(subject *s, const vklm_bench_preset *preset)
{
    vklm_bench *b = s->bench;
    if (preset->n_experts > 1)
        return vklm_fail(VKLM_UNSUPPORTED,
                         "%s: vkbench model does not measure models with experts yet; vkbench "
                         "predict tells what the device allows",
                         preset->name);
    s->name = preset->name;
    s->arch = preset->arch;
    s->n_layers = most_layers(b, s->arch.n_layers);
    if (s->n_ctx > s->arch.n_positions) // there is no model to ask for more than it was trained for
        s->arch.n_positions = s->n_ctx;
    vklm_status status = check_memory(b, preset, s->format, s->n_layers, s->n_ctx);
    if (status != VKLM_OK)
        return status;
    vklm_arch part = s->arch;
    part.n_layers = s->n_layers;
    return vklm_bench_generate_weights(b->device, b->stage, &part, s->format, &s->weights);
}

static vklm_status open_folder(subject *s)
{
    vklm_bench *b = s->bench;
    vklm_source source = {0};
    vklm_weights_plan *plan = NULL;
    uint64_t budget, total;
    vklm_gpu_caps_memory(vklm_bench_caps(b), &budget, &total);
    vklm_status status = vklm_source_open(b->options.model_dir, false, &source);
    if (status == VKLM_OK)
        status = vklm_weights_plan_create(&source, VKLM_WEIGHTS_AUTO, vklm_bench_caps(b), &plan);
    if (status == VKLM_OK && source.arch.n_experts)
        status = vklm_fail(VKLM_UNSUPPORTED,
                           "%s: vkbench model does not measure models with experts yet",
                           b->options.model_dir);
    if (status == VKLM_OK && vklm_weights_plan_bytes(plan) > budget)
        status = vklm_fail(VKLM_OUT_OF_DEVICE_MEMORY, "%s: weights of %.1f GiB; %s offers %.1f GiB",
                           b->options.model_dir, gib((double)vklm_weights_plan_bytes(plan)),
                           vklm_bench_caps(b)->name, gib((double)budget));
    if (status == VKLM_OK)
        status = vklm_weights_load(plan, b->device, NULL, &s->weights);
    if (status == VKLM_OK) {
        const char *slash = strrchr(b->options.model_dir, '/');
        s->name = slash && slash[1] ? slash + 1 : b->options.model_dir;
        s->arch = s->weights->arch;
        s->n_layers = s->weights->arch.n_layers = most_layers(b, s->arch.n_layers);
        s->format = s->weights->layers[0].qkv.format;
        if (s->n_ctx > s->arch.n_positions)
            s->n_ctx = s->arch.n_positions;
    }
    vklm_weights_plan_destroy(plan);
    vklm_source_close(&source);
    return status;
}

// Keys and values as if the context were full: small numbers.
static vklm_status fill_kv(subject *s)
{
    vklm_gpu_cmd *cmd;
    vklm_status status = vklm_gpu_cmd_create(s->bench->device, NULL, &cmd);
    if (status != VKLM_OK)
        return status;
    vklm_gpu_cmd_begin(cmd);
    // 0.1 twice, as f16; of q8 small scales (2^-10), and quants of 4 and 20
    const uint32_t word = s->kv.kind == VKLM_KV_Q8 ? 0x14041404 : 0x2E662E66;
    for (uint32_t i = 0; i < s->n_layers; i++) {
        vklm_gpu_cmd_fill(cmd, "k", s->kv.layers[i].k, word);
        vklm_gpu_cmd_fill(cmd, "v", s->kv.layers[i].v, word);
    }
    status = vklm_gpu_cmd_end(cmd);
    if (status == VKLM_OK)
        status = vklm_gpu_cmd_submit(cmd);
    if (status == VKLM_OK)
        status = vklm_gpu_cmd_wait(cmd);
    vklm_gpu_cmd_destroy(cmd);
    return status;
}

// One token as the decode plan records it.
static void record_token(vklm_gpu_cmd *cmd, const subject *s)
{
    const vklm_weights *w = s->weights;
    const vklm_activations *a = &s->activations;
    vklm_gpu_view xn = vklm_activations_floats(a->xn, 0, w->arch.n_hidden);
    vklm_gpu_cmd_begin(cmd);
    vklm_op_embed_record(cmd, &(vklm_op_embed){
                                  .table = &w->embed,
                                  .tokens = a->step,
                                  .norm = w->layers[0].attn_norm,
                                  .x = vklm_activations_floats(a->x, 0, w->arch.n_hidden),
                                  .xn = xn,
                                  .xn8 = vklm_layer_xn8(w, a),
                                  .n_rows = 1,
                                  .eps = w->arch.rms_eps,
                              });
    for (uint32_t layer = 0; layer < s->n_layers; layer++)
        vklm_layer_decode_record(cmd, w, layer, &s->kv, a, vklm_layer_next_norm(w, layer));
    vklm_op_matvec_record(cmd, &(vklm_op_matvec){
                                   .label = "lm_head",
                                   .weight = &w->lm_head,
                                   .x = xn,
                                   .x8 = vklm_layer_xn8(w, a),
                                   .y = vklm_activations_floats(a->logits, 0, w->arch.n_vocab),
                               });
}

// With timestamps and a barrier after every command; and once dry, for the barriers that the
// engine's own has.
static vklm_status record_timed(subject *s)
{
    vklm_gpu_cmd *dry = NULL;
    vklm_status status = vklm_gpu_cmd_create(
        s->bench->device, &(vklm_gpu_cmd_params){.timed = true, .serial = true}, &s->timed);
    if (status == VKLM_OK)
        status = vklm_gpu_cmd_create(s->bench->device, &(vklm_gpu_cmd_params){.dry = true}, &dry);
    if (status == VKLM_OK) {
        record_token(s->timed, s);
        status = vklm_gpu_cmd_end(s->timed);
    }
    if (status == VKLM_OK) {
        record_token(dry, s);
        status = vklm_gpu_cmd_end(dry);
        s->n_barriers = vklm_gpu_cmd_barriers(dry);
    }
    vklm_gpu_cmd_destroy(dry);
    return status;
}

static vklm_status open_subject(subject *s)
{
    vklm_bench *b = s->bench;
    uint64_t now, peak;
    vklm_gpu_device_memory(b->device, true, &now, &peak);
    vklm_status status;
    if (b->options.model_dir) {
        status = open_folder(s);
    } else {
        const vklm_bench_preset *preset = vklm_bench_preset_find(b->options.preset);
        status = preset ? open_preset(s, preset) : VKLM_NOT_FOUND;
    }
    if (status == VKLM_OK)
        status = vklm_kv_cache_init(b->device, &s->weights->arch,
                                    b->options.kv_q8 ? VKLM_KV_Q8 : VKLM_KV_F16, s->n_ctx, &s->kv);
    if (status == VKLM_OK)
        status = vklm_activations_init(b->device, &s->weights->arch, s->n_ctx, &s->activations);
    if (status == VKLM_OK)
        status = vklm_decode_plan_init(b->device, s->weights, &s->kv, &s->activations,
                                       (vklm_gpu_view){0}, &s->decode);
    if (status == VKLM_OK)
        status = vklm_prefill_init(b->device, s->weights, &s->kv, &s->activations, &s->prefill);
    if (status == VKLM_OK)
        status = fill_kv(s);
    if (status == VKLM_OK)
        status = record_timed(s);
    vklm_gpu_device_memory(b->device, false, &now, &s->peak_bytes);
    return status;
}

static void close_subject(subject *s)
{
    vklm_gpu_cmd_destroy(s->timed);
    vklm_prefill_finish(&s->prefill);
    vklm_decode_plan_finish(&s->decode);
    vklm_activations_finish(&s->activations);
    vklm_kv_cache_finish(&s->kv);
    vklm_weights_destroy(s->weights);
}

// -- where a token's time goes

// Bytes that one token reads at a depth, and its operations, for the whole model.
static void token_cost(const subject *s, double depth, double *out_bytes, double *out_flop)
{
    const vklm_layer_weights *l = &s->weights->layers[0];
    const vklm_weight *all[] = {&l->qkv, &l->out, &l->gate_up, &l->down};
    double layer_bytes = 0, layer_weights = 0;
    const double kv = 2.0 * (double)vklm_kv_cache_layer_bytes(&s->arch, s->kv.kind, s->n_ctx) /
                      s->n_ctx; // of a position
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        layer_bytes += (double)all[i]->data.bytes;
        layer_weights += (double)all[i]->n_rows * all[i]->n_cols;
    }
    *out_bytes = s->arch.n_layers * (layer_bytes + kv * (depth + 1)) +
                 (double)s->weights->lm_head.data.bytes;
    *out_flop = 2 * (s->arch.n_layers *
                         (layer_weights + 2.0 * s->arch.n_heads * s->arch.head_dim * (depth + 1)) +
                     (double)s->arch.n_vocab * s->arch.n_hidden);
}

// Runs the timed token a few times at a depth; adds its times by op class and by layer to the row.
static vklm_status add_times(subject *s, uint32_t depth, cJSON *row)
{
    struct vklm_args_step step = {.token = 1, .position = depth};
    size_t n, n_labels = 0;
    const vklm_gpu_command *commands = vklm_gpu_cmd_commands(s->timed, &n);
    double *us = vklm_alloc(2 * n, sizeof *us), sums[MAX_LABELS] = {0};
    double *best = us ? us + n : NULL;
    const char *labels[MAX_LABELS];
    vklm_status status =
        us ? vklm_gpu_stage_upload(s->bench->stage, &step,
                                   vklm_gpu_view_part(s->activations.step, 0, sizeof step))
           : vklm_fail_memory("timestamps");
    if (status == VKLM_OK)
        status = vklm_gpu_stage_finish(s->bench->stage);
    for (int run = 0; run < 4 && status == VKLM_OK; run++) { // the first warms up
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
        if (i > 0 && i + 1 < n)
            layers += best[i];
    }
    if (status == VKLM_OK) {
        s->fixed_us = best[0] + best[n - 1]; // embedding and lm_head
        cJSON *o = cJSON_AddObjectToObject(row, "op_us");
        for (size_t l = 0; l < n_labels; l++)
            cJSON_AddNumberToObject(o, labels[l], sums[l]);
        cJSON_AddNumberToObject(row, "layer_us", layers / s->n_layers);
    }
    free(us);
    return status;
}

// -- speeds

static cJSON *add_row(subject *s, const char *test, uint32_t depth)
{
    char name[192];
    snprintf(name, sizeof name, "%s %s %s at %u", s->name, vklm_format_name(s->format), test,
             depth);
    cJSON *row = vklm_bench_row(s->bench, "results", name);
    cJSON_AddStringToObject(row, "model", s->name);
    cJSON_AddStringToObject(row, "weights", vklm_format_name(s->format));
    cJSON_AddStringToObject(row, "kv", s->kv.kind == VKLM_KV_Q8 ? "q8" : "f16");
    cJSON_AddStringToObject(row, "test", test);
    cJSON_AddNumberToObject(row, "depth", depth);
    cJSON_AddNumberToObject(row, "layers", s->arch.n_layers);
    cJSON_AddNumberToObject(row, "layers_measured", s->n_layers);
    if (s->n_layers < s->arch.n_layers)
        cJSON_AddStringToObject(row, "note", "scaled from fewer layers");
    return row;
}

// Seconds of n tokens or prompts, as if all layers had been there. `fixed`: seconds of one that no
// layer takes.
static double whole(const subject *s, double seconds, double fixed)
{
    if (s->n_layers == s->arch.n_layers)
        return seconds;
    fixed = fixed < seconds ? fixed : seconds;
    return fixed + (seconds - fixed) * s->arch.n_layers / s->n_layers;
}

static vklm_status generate(subject *s, uint32_t depth)
{
    vklm_bench *b = s->bench;
    const uint32_t n = b->options.n_generate;
    char test[32];
    snprintf(test, sizeof test, "tg%u", n);
    double *values = vklm_alloc(n, sizeof *values), bytes, flop;
    if (!values)
        return vklm_fail_memory("samples");
    cJSON *row = add_row(s, test, depth);
    vklm_status status = add_times(s, depth, row);
    const float *logits;
    for (int i = 0; i < 2 && status == VKLM_OK; i++) // warms up
        status = vklm_decode_plan_run(&s->decode, 1, depth, &logits);
    double begin = vklm_clock_seconds(), cpu = vklm_clock_thread_seconds();
    size_t done = 0;
    // A slow device is not asked for all tokens when a few tell.
    while (done < n && status == VKLM_OK &&
           (done < 3 || vklm_clock_seconds() - begin < 30 * b->options.seconds)) {
        double before = vklm_clock_seconds();
        status = vklm_decode_plan_run(&s->decode, (uint32_t)(done * 7919 % s->arch.n_vocab),
                                      depth + (uint32_t)done, &logits);
        values[done++] = whole(s, vklm_clock_seconds() - before, s->fixed_us * 1e-6) * 1e6;
    }
    cpu = vklm_clock_thread_seconds() - cpu;
    if (status == VKLM_OK && !isfinite(logits[0]))
        status = vklm_fail(VKLM_UNSUPPORTED, "%s: the logits are not numbers", s->name);
    if (status == VKLM_OK) {
        vklm_bench_sample us = vklm_bench_summarise(values, done);
        token_cost(s, depth + (double)done / 2, &bytes, &flop);
        double best = fmax(bytes / (b->attainable_gbs * 1e3), flop / (b->f32_gflops * 1e3));
        size_t n_commands;
        vklm_gpu_cmd_commands(s->timed, &n_commands);
        vklm_bench_add(b, row, "tokens_per_second", vklm_bench_rate(us, 1e6));
        cJSON_AddNumberToObject(row, "tokens_run", (double)done);
        cJSON_AddNumberToObject(row, "roofline_share", best / us.median);
        cJSON_AddNumberToObject(row, "cpu_us_per_token", 1e6 * cpu / (double)done);
        cJSON_AddNumberToObject(row, "dispatches", (double)n_commands);
        cJSON_AddNumberToObject(row, "barriers", (double)s->n_barriers);
        cJSON_AddNumberToObject(row, "peak_device_bytes", (double)s->peak_bytes);
    }
    free(values);
    return status;
}

static vklm_status read_prompt(subject *s, uint32_t depth)
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
    vklm_status status = VKLM_OK;
    if (!b->options.tour || !vklm_bench_is_cpu(b)) // warms up
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
            token_cost(s, depth + i, &bytes, &one);
            flop += one - 2.0 * s->arch.n_vocab * s->arch.n_hidden; // no logits
        }
        double best = fmax(flop / (b->f32_gflops * 1e3), bytes / (b->attainable_gbs * 1e3));
        cJSON *row = add_row(s, test, depth);
        vklm_bench_add(b, row, "tokens_per_second", vklm_bench_rate(us, 1e6 * n));
        cJSON_AddNumberToObject(row, "roofline_share", best / us.median);
        cJSON_AddNumberToObject(row, "peak_device_bytes", (double)s->peak_bytes);
    }
    free(tokens);
    return status;
}

static vklm_status measure(vklm_bench *b, vklm_format format)
{
    const vklm_bench_options *o = &b->options;
    const uint32_t most = o->n_prompt > o->n_generate ? o->n_prompt : o->n_generate;
    uint32_t deepest = 0;
    for (size_t i = 0; i < o->n_depths; i++)
        deepest = o->depths[i] > deepest ? o->depths[i] : deepest;
    subject s = {.bench = b, .format = format, .n_ctx = deepest + most};
    vklm_status status = open_subject(&s);
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
    close_subject(&s);
    return status;
}

vklm_status vklm_bench_model(vklm_bench *b)
{
    vklm_status status = vklm_bench_reference(b);
    if (b->options.model_dir)
        return status == VKLM_OK ? measure(b, VKLM_FORMAT_F32) : status; // the folder has its own
    for (int f = 0; f < VKLM_FORMAT_COUNT && status == VKLM_OK; f++)
        if (b->options.formats ? b->options.formats >> f & 1 : f == VKLM_FORMAT_BF16)
            status = measure(b, (vklm_format)f);
    return status;
}
