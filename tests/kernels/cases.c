#include "kernels/cases.h"

#include <stdio.h>

const vklm_case_family *const *vklm_case_families(size_t *out_n)
{
    static const vklm_case_family *const families[] = {
        &vklm_case_embed,
        &vklm_case_matvec_qkv,
        &vklm_case_attention_decode,
        &vklm_case_matvec_residual,
        &vklm_case_matvec_swiglu,
        &vklm_case_matvec,
        &vklm_case_matvec_columns,
        &vklm_case_matmul,
        &vklm_case_rope_kv,
        &vklm_case_attention_prefill,
        &vklm_case_rmsnorm,
        &vklm_case_swiglu,
        &vklm_case_sample,
        &vklm_case_column_squares,
    };
    *out_n = sizeof families / sizeof *families;
    return families;
}

bool vklm_case_takes(const vklm_case_family *family, const vklm_case_shape *shape,
                     vklm_format format)
{
    if (!family->formats)
        return format == 0;
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
