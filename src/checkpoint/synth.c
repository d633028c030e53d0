// Random checkpoints: what is in which file. The values are in synth_values.c.
#include "checkpoint/synth.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"

static const vklm_synth_preset presets[] = {
    //                     vocab  hidden MLP    layers heads dim  context experts eps
    {"llm-jp-3.1-1.8b", 99584, 2048, 7168, 24, 16, 128, 4096, 0, 1e-5},
    {"llm-jp-3.1-13b", 99584, 5120, 13824, 40, 40, 128, 4096, 0, 1e-5},
    {"llm-jp-3.1-8x13b", 99584, 5120, 13824, 40, 40, 128, 4096, 8, 1e-5},
    {"tiny", 1024, 256, 512, 2, 4, 64, 512, 0, 1e-5},
    {"tiny-moe", 1024, 256, 512, 2, 4, 64, 512, 8, 1e-5},
};
enum { N_PRESETS = sizeof presets / sizeof *presets };

static const uint64_t SHARD_BYTES = 5000000000; // transformers' "5GB"

const vklm_synth_preset *vklm_synth_preset_find(const char *name)
{
    static const char family[] = "llm-jp-3.1-";
    for (int i = 0; i < N_PRESETS; i++) {
        const char *full = presets[i].name;
        const char *brief =
            strncmp(full, family, sizeof family - 1) == 0 ? full + sizeof family - 1 : full;
        if (strcmp(name, full) == 0 || strcmp(name, brief) == 0)
            return &presets[i];
    }
    return NULL;
}

const char *vklm_synth_preset_names(void)
{
    return "llm-jp-3.1-1.8b, llm-jp-3.1-13b, llm-jp-3.1-8x13b, tiny and tiny-moe";
}

static vklm_status fail_memory(void)
{
    return vklm_fail_memory("the checkpoint");
}

// Appends a tensor; n_cols 0: a vector.
static vklm_status add(vklm_synth_plan *p, const char *name, uint32_t n_rows, uint32_t n_cols)
{
    vklm_tensor_info info = {
        .dtype = VKLM_DTYPE_BF16,
        .n_dims = n_cols ? 2 : 1,
        .shape = {n_rows, n_cols},
        .bytes = 2 * (uint64_t)n_rows * (n_cols ? n_cols : 1),
    };
    vklm_synth_shard *s = p->n_shards ? &p->shards[p->n_shards - 1] : NULL;
    if (!s || s->bytes + info.bytes > SHARD_BYTES) {
        if (!vklm_array_grow(&p->shards, &p->capacity, p->n_shards + 1, sizeof *p->shards))
            return fail_memory();
        s = &p->shards[p->n_shards++];
        *s = (vklm_synth_shard){0};
    }
    if (!vklm_array_grow(&s->tensors, &s->capacity, s->n_tensors + 1, sizeof *s->tensors))
        return fail_memory();
    info.name = strdup(name);
    s->tensors[s->n_tensors++] = info;
    s->bytes += info.bytes;
    p->bytes += info.bytes;
    return info.name ? VKLM_OK : fail_memory();
}

// One layer's tensors in the order of transformers' modules.
static vklm_status add_layer(vklm_synth_plan *p, uint32_t layer)
{
    const uint32_t h = p->preset->n_hidden, m = p->preset->n_intermediate,
                   q = p->preset->n_heads * p->preset->head_dim;
    char name[128];
    vklm_status status = VKLM_OK;
#define ADD(n_rows, n_cols, ...)                                                                   \
    do {                                                                                           \
        int at = snprintf(name, sizeof name, "model.layers.%u.", layer);                           \
        snprintf(name + at, sizeof name - (size_t)at, __VA_ARGS__);                                \
        if (status == VKLM_OK)                                                                     \
            status = add(p, name, n_rows, n_cols);                                                 \
    } while (0)
    for (int i = 0; i < 3; i++)
        ADD(q, h, "self_attn.%c_proj.weight", "qkv"[i]);
    ADD(h, q, "self_attn.o_proj.weight");
    if (p->preset->n_experts) {
        ADD(p->preset->n_experts, h, "block_sparse_moe.gate.weight");
        for (uint32_t e = 0; e < p->preset->n_experts; e++) {
            ADD(m, h, "block_sparse_moe.experts.%u.w1.weight", e);
            ADD(h, m, "block_sparse_moe.experts.%u.w2.weight", e);
            ADD(m, h, "block_sparse_moe.experts.%u.w3.weight", e);
        }
    } else {
        ADD(m, h, "mlp.gate_proj.weight");
        ADD(m, h, "mlp.up_proj.weight");
        ADD(h, m, "mlp.down_proj.weight");
    }
    ADD(h, 0, "input_layernorm.weight");
    ADD(h, 0, "post_attention_layernorm.weight");
#undef ADD
    return status;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const vklm_tensor_info *)a)->name, ((const vklm_tensor_info *)b)->name);
}

vklm_status vklm_synth_plan_init(const vklm_synth_preset *preset, uint32_t n_layers,
                                 vklm_synth_plan *out_plan)
{
    vklm_synth_plan *p = out_plan;
    *p = (vklm_synth_plan){.preset = preset, .n_layers = n_layers ? n_layers : preset->n_layers};
    vklm_status status = add(p, "model.embed_tokens.weight", preset->n_vocab, preset->n_hidden);
    for (uint32_t layer = 0; layer < p->n_layers && status == VKLM_OK; layer++)
        status = add_layer(p, layer);
    if (status == VKLM_OK)
        status = add(p, "model.norm.weight", preset->n_hidden, 0);
    if (status == VKLM_OK)
        status = add(p, "lm_head.weight", preset->n_vocab, preset->n_hidden);
    if (status != VKLM_OK) {
        vklm_synth_plan_finish(p);
        return status;
    }
    for (size_t i = 0; i < p->n_shards; i++) {
        vklm_synth_shard *s = &p->shards[i];
        qsort(s->tensors, s->n_tensors, sizeof *s->tensors, by_name);
        if (p->n_shards == 1)
            snprintf(s->name, sizeof s->name, "model.safetensors");
        else
            snprintf(s->name, sizeof s->name, "model-%05zu-of-%05zu.safetensors", i + 1,
                     p->n_shards);
    }
    return VKLM_OK;
}

void vklm_synth_plan_finish(vklm_synth_plan *plan)
{
    for (size_t i = 0; i < plan->n_shards; i++) {
        for (size_t t = 0; t < plan->shards[i].n_tensors; t++)
            free(plan->shards[i].tensors[t].name);
        free(plan->shards[i].tensors);
    }
    free(plan->shards);
    *plan = (vklm_synth_plan){0};
}
