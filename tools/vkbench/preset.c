#include "vkbench/preset.h"

#include <string.h>

#include "kernels/cases.h"

#define LLM_JP(kind, hidden, intermediate, layers, heads, experts, of_them)                        \
    {                                                                                              \
        .architecture = kind, .n_vocab = 99584, .n_hidden = hidden,                                \
        .n_intermediate = intermediate, .n_layers = layers, .n_heads = heads, .n_kv_heads = heads, \
        .head_dim = 128, .n_experts = experts, .top_k = of_them, .n_positions = 4096,              \
        .rms_eps = 1e-5f, .rope_theta = 10000, .dtype = VKLM_DTYPE_BF16                            \
    }

static const vklm_bench_preset presets[] = {
    {"llm-jp-3.1-1.8b", "1.8b", LLM_JP("LlamaForCausalLM", 2048, 7168, 24, 16, 0, 0)},
    {"llm-jp-3.1-13b", "13b", LLM_JP("LlamaForCausalLM", 5120, 13824, 40, 40, 0, 0)},
    {"llm-jp-3.1-8x13b", "8x13b", LLM_JP("MixtralForCausalLM", 5120, 13824, 40, 40, 8, 2)},
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

const char *vklm_bench_weights_name(unsigned weights)
{
    return weights == VKLM_BENCH_MIXED ? vklm_weights_kind_name(VKLM_WEIGHTS_MIXED)
                                       : vklm_format_name((vklm_format)weights);
}

vklm_weights_kind vklm_bench_weights_kind(unsigned weights)
{
    switch (weights) {
    case VKLM_FORMAT_Q8:
        return VKLM_WEIGHTS_Q8;
    case VKLM_FORMAT_Q4:
        return VKLM_WEIGHTS_Q4;
    case VKLM_BENCH_MIXED:
        return VKLM_WEIGHTS_MIXED;
    default:
        return VKLM_WEIGHTS_F16; // as stored
    }
}

vklm_dtype vklm_bench_weights_dtype(unsigned weights)
{
    return weights == VKLM_FORMAT_F32   ? VKLM_DTYPE_F32
           : weights == VKLM_FORMAT_F16 ? VKLM_DTYPE_F16
                                        : VKLM_DTYPE_BF16;
}

// A matrix in what the recipe gives it.
static double matrix_bytes(unsigned weights, vklm_matrix_class class, uint32_t n_rows,
                           uint32_t n_cols)
{
    const vklm_format stored = weights < VKLM_FORMAT_Q8 ? (vklm_format)weights : VKLM_FORMAT_BF16;
    const vklm_format format =
        vklm_recipe_format(vklm_bench_weights_kind(weights), class, n_cols, stored);
    return vklm_case_weight_bytes(format, n_rows, n_cols);
}

double vklm_bench_preset_bytes(const vklm_bench_preset *p, unsigned weights, double *out_token)
{
    const vklm_arch *a = &p->arch;
    const uint32_t width = a->n_heads * a->head_dim, qkv = width + 2 * a->n_kv_heads * a->head_dim;
    const double embed = matrix_bytes(weights, VKLM_MATRIX_EMBED, a->n_vocab, a->n_hidden),
                 head = matrix_bytes(weights, VKLM_MATRIX_LM_HEAD, a->n_vocab, a->n_hidden),
                 attention = matrix_bytes(weights, VKLM_MATRIX_QKV, qkv, a->n_hidden) +
                             matrix_bytes(weights, VKLM_MATRIX_OUT, a->n_hidden, width),
                 mlp = matrix_bytes(weights, VKLM_MATRIX_GATE_UP, 2 * a->n_intermediate,
                                    a->n_hidden) +
                       matrix_bytes(weights, VKLM_MATRIX_DOWN, a->n_hidden, a->n_intermediate);
    *out_token = head + a->n_layers * (attention + (a->n_experts ? a->top_k : 1) * mlp);
    return embed + head + a->n_layers * (attention + (a->n_experts ? a->n_experts : 1) * mlp);
}

double vklm_bench_preset_kv_bytes(const vklm_bench_preset *p, vklm_kv_kind kv)
{
    return 2.0 * p->arch.n_layers * (double)vklm_kv_cache_layer_bytes(&p->arch, kv, 1);
}

double vklm_bench_preset_flop(const vklm_bench_preset *p, double position, bool head)
{
    const vklm_arch *a = &p->arch;
    const double width = (double)a->n_heads * a->head_dim;
    const double attention =
        (width + 2.0 * a->n_kv_heads * a->head_dim) * a->n_hidden + width * a->n_hidden;
    const double mlp = 3.0 * a->n_intermediate * a->n_hidden;
    const double scores = 2 * width * (position + 1);
    return 2 * (a->n_layers * (attention + (a->n_experts ? a->top_k : 1) * mlp + scores) +
                (head ? (double)a->n_vocab * a->n_hidden : 0));
}

double vklm_bench_preset_needs(const vklm_bench_preset *p, unsigned weights, vklm_kv_kind kv,
                               uint32_t n_ctx)
{
    double token;
    return vklm_bench_preset_bytes(p, weights, &token) + n_ctx * vklm_bench_preset_kv_bytes(p, kv) +
           128e6;
}
