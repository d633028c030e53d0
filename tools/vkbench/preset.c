#include "vkbench/preset.h"

#include <string.h>

#include "kernels/cases.h"

#define LLM_JP(hidden, intermediate, layers, heads)                                                \
    {                                                                                              \
        .architecture = "LlamaForCausalLM", .n_vocab = 99584, .n_hidden = hidden,                  \
        .n_intermediate = intermediate, .n_layers = layers, .n_heads = heads, .n_kv_heads = heads, \
        .head_dim = 128, .n_positions = 4096, .rms_eps = 1e-5f, .rope_theta = 10000                \
    }

static const vklm_bench_preset presets[] = {
    {"llm-jp-3.1-1.8b", "1.8b", LLM_JP(2048, 7168, 24, 16), 1, 1},
    {"llm-jp-3.1-13b", "13b", LLM_JP(5120, 13824, 40, 40), 1, 1},
    {"llm-jp-3.1-8x13b", "8x13b", LLM_JP(5120, 13824, 40, 40), 8, 2},
};

const vklm_bench_preset *vklm_bench_presets(size_t *out_n)
{
    *out_n = sizeof presets / sizeof *presets;
    return presets;
}

const vklm_bench_preset *vklm_bench_preset_find(const char *name)
{
    for (size_t i = 0; i < sizeof presets / sizeof *presets; i++)
        if (strcmp(name, presets[i].name) == 0 || strcmp(name, presets[i].option) == 0)
            return &presets[i];
    vklm_fail(VKLM_NOT_FOUND, "no preset '%s'; there are %s, %s and %s", name, presets[0].name,
              presets[1].name, presets[2].name);
    return NULL;
}

// The matrices of one layer: attention, and one expert's three.
static void layer_matrices(const vklm_bench_preset *p, uint32_t out_attention[2][2],
                           uint32_t out_expert[2][2])
{
    const vklm_arch *a = &p->arch;
    out_attention[0][0] = (a->n_heads + 2 * a->n_kv_heads) * a->head_dim;
    out_attention[0][1] = out_attention[1][0] = a->n_hidden;
    out_attention[1][1] = a->n_heads * a->head_dim;
    out_expert[0][0] = 2 * a->n_intermediate;
    out_expert[0][1] = out_expert[1][0] = a->n_hidden;
    out_expert[1][1] = a->n_intermediate;
}

static double sum(const uint32_t m[2][2], vklm_format format)
{
    return vklm_case_weight_bytes(format, m[0][0], m[0][1]) +
           vklm_case_weight_bytes(format, m[1][0], m[1][1]);
}

double vklm_bench_preset_bytes(const vklm_bench_preset *p, vklm_format format, double *out_token)
{
    uint32_t attention[2][2], expert[2][2];
    layer_matrices(p, attention, expert);
    double head = vklm_case_weight_bytes(format, p->arch.n_vocab, p->arch.n_hidden);
    double one = sum(expert, format), layers = p->arch.n_layers;
    *out_token = head + layers * (sum(attention, format) + p->n_experts_used * one);
    return 2 * head + layers * (sum(attention, format) + p->n_experts * one);
}

double vklm_bench_preset_kv_bytes(const vklm_bench_preset *p)
{
    return 2.0 * 2 * p->arch.n_layers * p->arch.n_kv_heads * p->arch.head_dim;
}

double vklm_bench_preset_flop(const vklm_bench_preset *p, double position, bool head)
{
    uint32_t attention[2][2], expert[2][2];
    layer_matrices(p, attention, expert);
    double weights = 0;
    for (int i = 0; i < 2; i++)
        weights += (double)attention[i][0] * attention[i][1] +
                   (double)p->n_experts_used * expert[i][0] * expert[i][1];
    double scores = 2.0 * p->arch.n_heads * p->arch.head_dim * (position + 1);
    return 2 * (p->arch.n_layers * (weights + scores) +
                (head ? (double)p->arch.n_vocab * p->arch.n_hidden : 0));
}

double vklm_bench_preset_needs(const vklm_bench_preset *p, vklm_format format, uint32_t n_ctx)
{
    double token;
    return vklm_bench_preset_bytes(p, format, &token) + n_ctx * vklm_bench_preset_kv_bytes(p) +
           128e6;
}
