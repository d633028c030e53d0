// Every case of every kernel, under validation. Suite "kernels": the tests' own shapes in every
// format; "kernels_big": the models'.
#include <criterion/criterion.h>
#include <criterion/logging.h>
#include <criterion/parameterized.h>

#include "kernels/cases.h"

// Runs what `wanted` lets through; skips with the reason where there is no Vulkan.
static void run_cases(const vklm_case_family *family,
                      bool (*wanted)(const vklm_case_family *family, const vklm_case_shape *shape,
                                     vklm_format format))
{
    vklm_lab *lab = vklm_lab_open();
    if (!lab)
        cr_skip_test("no Vulkan: %s", vklm_error_message());
    for (size_t i = 0; i < family->n_shapes; i++)
        for (int format = 0; format < VKLM_FORMAT_COUNT; format++) {
            const vklm_case_shape *shape = &family->shapes[i];
            if (!vklm_case_takes(family, shape, (vklm_format)format) ||
                !wanted(family, shape, (vklm_format)format))
                continue;
            char name[128];
            vklm_case_name(family, shape, (vklm_format)format, name, sizeof name);
            cr_log_info("%s", name);
            family->run(lab, (vklm_format)format, shape->n);
        }
    vklm_lab_close(lab);
}

ParameterizedTestParameters(kernels, family)
{
    static size_t indices[64];
    size_t n;
    vklm_case_families(&n);
    for (size_t i = 0; i < n; i++)
        indices[i] = i;
    return cr_make_param_array(size_t, indices, n);
}

static bool is_small(const vklm_case_family *family, const vklm_case_shape *shape,
                     vklm_format format)
{
    return shape->models == 0 && family->cost(format, shape->n).bytes < 32e6;
}

ParameterizedTest(size_t *index, kernels, family)
{
    size_t n;
    run_cases(vklm_case_families(&n)[*index], is_small);
}

ParameterizedTestParameters(kernels_big, family)
{
    static size_t indices[64];
    size_t n;
    vklm_case_families(&n);
    for (size_t i = 0; i < n; i++)
        indices[i] = i;
    return cr_make_param_array(size_t, indices, n);
}

// What a processor computes in a second or two: 1.8b's shapes in every format, 13b's in one.
static bool is_big(const vklm_case_family *family, const vklm_case_shape *shape, vklm_format format)
{
    if (is_small(family, shape, format) || family->cost(format, shape->n).flop > 1.2e9)
        return false;
    return shape->models == 0 || shape->models & VKLM_CASE_1_8B || family->cache ||
           format == (family->formats ? VKLM_FORMAT_BF16 : 0);
}

ParameterizedTest(size_t *index, kernels_big, family)
{
    size_t n;
    run_cases(vklm_case_families(&n)[*index], is_big);
}
