#include "vkbench/subject.h"

#include <math.h>
#include <string.h>

#include "args.h"
#include "base/array.h"
#include "ops/embed.h"
#include "ops/matvec.h"
#include "ops/sample.h"
#include "vkbench/generated.h"
#include "vkbench/preset.h"

static vklm_kv_kind kv_of(const vklm_bench *b)
{
    return b->options.kv_q8 ? VKLM_KV_Q8 : VKLM_KV_F16;
}

static double gib(double bytes)
{
    return bytes / (1 << 30);
}

// What fits instead, for the sentence.
static void what_fits(double room, vklm_kv_kind kv, vklm_string *out)
{
    size_t n, found = 0;
    const vklm_bench_preset *presets = vklm_bench_presets(&n);
    for (size_t p = 0; p < n; p++)
        for (unsigned w = VKLM_FORMAT_F16; w < VKLM_BENCH_WEIGHTS; w++)
            if (vklm_bench_preset_needs(&presets[p], w, kv, 640) <= room)
                vklm_string_print(out, "%s%s in %s", found++ ? ", " : "", presets[p].name,
                                  vklm_bench_weights_name(w));
    if (!found)
        vklm_string_print(out, "no whole model");
}

// Whether n_layers layers of a preset fit, before anything is allocated.
static vklm_status check_memory(const vklm_bench *b, const vklm_bench_preset *preset,
                                unsigned weights, uint32_t n_layers, uint32_t n_ctx)
{
    const vklm_kv_kind kv = kv_of(b);
    uint64_t budget, total;
    vklm_bench_preset part = *preset;
    part.arch.n_layers = n_layers;
    double needs = vklm_bench_preset_needs(&part, weights, kv, n_ctx), one, without;
    vklm_gpu_caps_memory(vklm_bench_caps(b), &budget, &total);
    if (needs <= (double)budget)
        return VKLM_OK;
    part.arch.n_layers = 1;
    one = vklm_bench_preset_needs(&part, weights, kv, n_ctx);
    part.arch.n_layers = 0;
    without = vklm_bench_preset_needs(&part, weights, kv, n_ctx);
    double layers = floor(((double)budget - without) / (one - without));
    vklm_string fits = {0};
    what_fits((double)budget, kv, &fits);
    if (layers >= 1)
        vklm_string_print(&fits, "; or %.0f of its %u layers (--layers %.0f)", layers,
                          preset->arch.n_layers, layers);
    vklm_fail(VKLM_OUT_OF_DEVICE_MEMORY,
              "%s in %s needs %.1f GiB and %s offers %.1f GiB; what fits: %s", preset->name,
              vklm_bench_weights_name(weights), gib(needs), vklm_bench_caps(b)->name,
              gib((double)budget), fits.data ? fits.data : "");
    vklm_string_finish(&fits);
    return VKLM_OUT_OF_DEVICE_MEMORY;
}

static uint32_t most_layers(const vklm_bench *b, uint32_t all)
{
    return b->options.n_layers && b->options.n_layers < all ? b->options.n_layers : all;
}

static vklm_status open_preset(vklm_bench_subject *s, unsigned weights)
{
    vklm_bench *b = s->bench;
    const vklm_bench_preset *preset = vklm_bench_preset_find(b->options.preset);
    if (!preset)
        return VKLM_NOT_FOUND;
    s->name = preset->name;
    s->weights_name = vklm_bench_weights_name(weights);
    s->arch = preset->arch;
    s->n_layers = most_layers(b, s->arch.n_layers);
    if (s->n_ctx > s->arch.n_positions) // there is no model to ask for more than it was trained for
        s->arch.n_positions = s->n_ctx;
    vklm_status status = check_memory(b, preset, weights, s->n_layers, s->n_ctx);
    if (status != VKLM_OK)
        return status;
    vklm_arch part = s->arch;
    part.n_layers = s->n_layers;
    part.dtype = vklm_bench_weights_dtype(weights);
    return vklm_bench_generate_weights(b->device, b->stage, &part, vklm_bench_weights_kind(weights),
                                       &s->weights);
}

static vklm_status open_folder(vklm_bench_subject *s)
{
    vklm_bench *b = s->bench;
    vklm_source source = {0};
    vklm_weights_plan *plan = NULL;
    uint64_t budget, total;
    vklm_gpu_caps_memory(vklm_bench_caps(b), &budget, &total);
    vklm_status status = vklm_source_open(b->options.model_dir, false, &source);
    if (status == VKLM_OK)
        status = vklm_weights_plan_create(&source, VKLM_WEIGHTS_AUTO, vklm_bench_caps(b), &plan);
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
        s->weights_name = source.packed ? vklm_weights_kind_name(source.packed->kind)
                                        : vklm_format_name(s->weights->layers[0].qkv.format);
        if (s->n_ctx > s->arch.n_positions)
            s->n_ctx = s->arch.n_positions;
    }
    vklm_weights_plan_destroy(plan);
    vklm_source_close(&source);
    return status;
}

// Keys and values as if the context were full: small numbers.
static vklm_status fill_kv(vklm_bench_subject *s)
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

// One token and its draw, as the decode plan records them.
static void record_token(vklm_gpu_cmd *cmd, const vklm_bench_subject *s)
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
    vklm_op_sample_record(cmd,
                          &(vklm_op_sample){
                              .logits = vklm_activations_floats(a->logits, 0, w->arch.n_vocab),
                              .counts = a->counts,
                              .settings = a->settings,
                              .step = a->step,
                              .list = a->list,
                              .counter = vklm_activations_floats(a->counters, w->arch.n_heads, 1),
                              .sampled = vklm_gpu_buffer_view(a->sampled),
                              .candidates = a->candidates,
                              .n_vocab = w->arch.n_vocab,
                          });
}

// With timestamps and a barrier after every command.
static vklm_status record_timed(vklm_bench_subject *s)
{
    vklm_status status = vklm_gpu_cmd_create(
        s->bench->device, &(vklm_gpu_cmd_params){.timed = true, .serial = true}, &s->timed);
    if (status != VKLM_OK)
        return status;
    record_token(s->timed, s);
    return vklm_gpu_cmd_end(s->timed);
}

vklm_status vklm_bench_subject_draw(vklm_bench_subject *s, uint32_t position)
{
    const struct vklm_args_sampling sampling = {
        .temperature = 1, .top_p = 1, .repetition = 1, .top_k = 1, .greedy = 1};
    struct vklm_args_sampled sampled;
    memset(vklm_decode_plan_counts(&s->decode), 0, s->arch.n_vocab * sizeof(uint32_t));
    // The draw moves on from the position before; that of 0 wraps around to it.
    vklm_status status = vklm_decode_plan_draw(&s->decode, &sampling, position - 1, 0, &sampled);
    if (status == VKLM_OK && sampled.flag)
        status = vklm_fail(VKLM_UNSUPPORTED, "%s: the logits are not numbers", s->name);
    return status;
}

vklm_status vklm_bench_subject_open(vklm_bench *b, unsigned weights, uint32_t n_ctx,
                                    vklm_bench_subject *s)
{
    uint64_t now, peak;
    *s = (vklm_bench_subject){.bench = b, .n_ctx = n_ctx};
    vklm_gpu_device_memory(b->device, true, &now, &peak);
    vklm_status status = b->options.model_dir ? open_folder(s) : open_preset(s, weights);
    if (status == VKLM_OK)
        status = vklm_kv_cache_init(b->device, &s->weights->arch, kv_of(b), s->n_ctx, &s->kv);
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

void vklm_bench_subject_close(vklm_bench_subject *s)
{
    vklm_gpu_cmd_destroy(s->timed);
    vklm_prefill_finish(&s->prefill);
    vklm_decode_plan_finish(&s->decode);
    vklm_activations_finish(&s->activations);
    vklm_kv_cache_finish(&s->kv);
    vklm_weights_destroy(s->weights);
}
