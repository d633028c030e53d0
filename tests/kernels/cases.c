#include "kernels/cases.h"

#include <stdio.h>

const vklm_case_family *const *vklm_case_families(size_t *out_n)
{
    // As a token goes through a model, a prompt's kernels after a single token's.
    static const vklm_case_family *const families[] = {
        &vklm_case_embed,
        &vklm_case_embed_dot8,
        &vklm_case_matvec_qkv,
        &vklm_case_matvec_qkv_dot8,
        &vklm_case_attention_decode,
        &vklm_case_attention_decode_dot8,
        &vklm_case_matvec_residual,
        &vklm_case_matvec_residual_dot8,
        &vklm_case_router_decode,
        &vklm_case_matvec_swiglu,
        &vklm_case_matvec_swiglu_dot8,
        &vklm_case_expert_swiglu,
        &vklm_case_expert_swiglu_dot8,
        &vklm_case_expert_down,
        &vklm_case_expert_down_dot8,
        &vklm_case_matvec,
        &vklm_case_matvec_dot8,
        &vklm_case_matvec_columns,
        &vklm_case_matvec_columns_dot8,
        &vklm_case_matmul,
        &vklm_case_matmul_dot8,
        &vklm_case_input8_rows,
        &vklm_case_input16_rows,
        &vklm_case_matmul_coop,
        &vklm_case_matmul_coop_exact,
        &vklm_case_rope_kv,
        &vklm_case_attention_prefill,
        &vklm_case_attention_prefill_coop,
        &vklm_case_attention_prefill_coop_exact,
        &vklm_case_attention_prefill_coop_large,
        &vklm_case_rmsnorm,
        &vklm_case_swiglu,
        &vklm_case_router,
        &vklm_case_expert_group,
        &vklm_case_expert_matmul,
        &vklm_case_expert_matmul_down,
        &vklm_case_expert_matmul_dot8,
        &vklm_case_expert_matmul_down_dot8,
        &vklm_case_expert_coop,
        &vklm_case_expert_coop_exact,
        &vklm_case_expert_coop_down,
        &vklm_case_expert_coop_down_exact,
        &vklm_case_sample,
        &vklm_case_sample_draw,
        &vklm_case_sample_odd,
        &vklm_case_column_squares,
    };
    *out_n = sizeof families / sizeof *families;
    return families;
}

unsigned vklm_case_tier(const vklm_case_family *family)
{
    return family->tier ? family->tier : VKLM_TIER_BASE;
}

bool vklm_case_takes(const vklm_case_family *family, const vklm_case_shape *shape,
                     vklm_format format)
{
    if (!family->formats)
        return format == 0;
    if (family->format_mask && !(family->format_mask >> format & 1))
        return false;
    const uint32_t n_cols = family->columns(shape->n);
    if (family->cache) // of q8 the kernels write two blocks at a time
        return format == VKLM_FORMAT_F16 || (format == VKLM_FORMAT_Q8 && n_cols % 64 == 0);
    return n_cols % vklm_format_group(format) == 0;
}

void vklm_case_name(const vklm_case_family *family, const vklm_case_shape *shape,
                    vklm_format format, char *out, size_t size)
{
    size_t at = (size_t)snprintf(out, size, "%s", family->name);
    if (family->formats && at < size)
        at += (size_t)snprintf(out + at, size - at, " %s", vklm_format_name(format));
    for (size_t i = 0; i < VKLM_CASE_DIMS && family->dims[i] && at < size; i++)
        at += (size_t)snprintf(out + at, size - at, "%s%u", i ? "x" : " ", shape->n[i]);
}

double vklm_case_weight_bytes(vklm_format format, uint32_t n_rows, uint32_t n_cols)
{
    return (double)vklm_lab_matrix_bytes(format, n_rows, n_cols);
}

uint32_t vklm_case_second(const uint32_t *n)
{
    return n[1];
}

uint32_t vklm_case_third(const uint32_t *n)
{
    return n[2];
}

uint32_t vklm_case_fourth(const uint32_t *n)
{
    return n[3];
}
