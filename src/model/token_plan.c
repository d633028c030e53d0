#include "model/token_plan.h"

#include <stdlib.h>

#include "base/array.h"
#include "model/decode_plan.h"

// Bytes of the weights that one token reads: of the embedding a row, of the experts those that it
// is sent to.
static uint64_t token_weights(const vklm_weights *w)
{
    const vklm_arch *a = &w->arch;
    uint64_t sum = vklm_format_bytes(w->embed.format, 1, w->embed.n_cols) + w->lm_head.data.bytes +
                   w->final_norm.bytes;
    for (uint32_t i = 0; i < a->n_layers; i++) {
        const vklm_layer_weights *l = &w->layers[i];
        sum += vklm_weights_layer_bytes(w, i) + l->attn_norm.bytes + l->mlp_norm.bytes +
               l->router.bytes;
    }
    return sum;
}

// The most of any layer: one that begins a submission has a barrier less.
static void count_layers(vklm_token_plan *plan, uint32_t n_layers)
{
    for (uint32_t layer = 0; layer < n_layers; layer++) {
        uint32_t dispatches = 0, barriers = 0;
        for (size_t i = 0; i < plan->n_commands; i++)
            if (plan->commands[i].layer == (int)layer) {
                dispatches += plan->commands[i].shader != NULL;
                barriers += plan->commands[i].barrier;
            }
        if (dispatches > plan->dispatches_per_layer)
            plan->dispatches_per_layer = dispatches;
        if (barriers > plan->barriers_per_layer)
            plan->barriers_per_layer = barriers;
    }
}

static vklm_status list(const vklm_decode_plan *decode, uint32_t n_layers, vklm_token_plan *out)
{
    const vklm_gpu_command *commands = vklm_gpu_cmd_commands(decode->chain, &out->n_commands);
    out->barriers = (uint32_t)vklm_gpu_cmd_barriers(decode->chain);
    out->submissions = (uint32_t)vklm_gpu_cmd_parts(decode->chain);
    out->commands = vklm_alloc(out->n_commands, sizeof *out->commands);
    if (!out->commands)
        return vklm_fail_memory("the list of commands");
    for (size_t i = 0; i < out->n_commands; i++) {
        const vklm_gpu_command *c = &commands[i];
        const size_t in_layers = i - decode->first_layer_command;
        const bool of_layer =
            i >= decode->first_layer_command && in_layers < n_layers * decode->n_layer_commands;
        out->commands[i] = (vklm_planned_command){
            .label = c->label,
            .shader = c->shader,
            .groups = {c->groups[0], c->groups[1], c->groups[2]},
            .layer = of_layer ? (int)(in_layers / decode->n_layer_commands) : -1,
            .barrier = c->barrier,
            .bytes_read = c->bytes_read,
            .bytes_written = c->bytes_written,
        };
        out->dispatches += c->shader != NULL;
        out->bytes_read += c->bytes_read;
        out->bytes_written += c->bytes_written;
    }
    count_layers(out, n_layers);
    return VKLM_OK;
}

vklm_status vklm_token_plan_make(const vklm_source *source, const vklm_memory_plan *memory,
                                 vklm_gpu_device *dry, vklm_token_plan *out_plan)
{
    const vklm_arch *arch = &source->arch;
    const uint32_t n = memory->n_ctx;
    vklm_weights_plan *plan = NULL;
    vklm_weights *weights = NULL;
    vklm_kv_cache kv = {0};
    vklm_activations activations = {0};
    vklm_decode_plan decode = {0};
    *out_plan = (vklm_token_plan){.n_ctx = n, .weights = memory->weights, .kv = memory->kv};
    vklm_status status =
        vklm_weights_plan_create(source, memory->weights, vklm_gpu_device_caps(dry), &plan);
    if (status == VKLM_OK)
        status = vklm_weights_place(plan, dry, &weights);
    if (status == VKLM_OK)
        status = vklm_kv_cache_init(dry, arch, memory->kv, n, &kv);
    if (status == VKLM_OK)
        status = vklm_activations_init(dry, arch, n, &activations);
    if (status == VKLM_OK)
        status =
            vklm_decode_plan_init(dry, weights, &kv, &activations, (vklm_gpu_view){0}, &decode);
    if (status == VKLM_OK)
        status = list(&decode, arch->n_layers, out_plan);
    if (status == VKLM_OK) {
        out_plan->weight_bytes = token_weights(weights);
        out_plan->kv_bytes = memory->kv_bytes;
    }
    vklm_decode_plan_finish(&decode);
    vklm_activations_finish(&activations);
    vklm_kv_cache_finish(&kv);
    vklm_weights_destroy(weights);
    vklm_weights_plan_destroy(plan);
    return status;
}
