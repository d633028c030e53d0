// Every case of every kernel, under validation. Suite "kernels": the tests' own shapes in every
// format; "kernels_big": the models'.
#include <criterion/criterion.h>
#include <criterion/logging.h>
#include <criterion/parameterized.h>

#include <string.h>

#include "kernels/cases.h"

// The families by the tier whose kernels they are; the experts' take longest and go apart.
typedef enum { BASE, EXPERTS, DOT8, COOP } group;

static group group_of(const vklm_case_family *family)
{
    switch (vklm_case_tier(family)) {
    case VKLM_TIER_DOT8:
        return DOT8;
    case VKLM_TIER_COOP:
        return COOP;
    default:
        return strncmp(family->name, "expert.", 7) == 0 ? EXPERTS : BASE;
    }
}

static struct criterion_test_params families_of(group wanted)
{
    static size_t indices[64];
    size_t n, n_wanted = 0;
    const vklm_case_family *const *families = vklm_case_families(&n);
    for (size_t i = 0; i < n; i++)
        if (group_of(families[i]) == wanted)
            indices[n_wanted++] = i;
    return cr_make_param_array(size_t, indices, n_wanted);
}

// The best device with the tiers up to the family's; skips with the reason where there is none.
static vklm_lab *open_or_skip(const vklm_case_family *family)
{
    const unsigned tier = vklm_case_tier(family);
    vklm_lab *lab = vklm_lab_open_tiers(VKLM_TIER_BASE | tier);
    if (!lab)
        cr_skip_test("no Vulkan: %s", vklm_error_message());
    if (vklm_gpu_device_caps(vklm_lab_device(lab))->tiers & tier)
        return lab;
    vklm_lab_close(lab);
    cr_skip_test("the device has no %s", tier == VKLM_TIER_DOT8
                                             ? "integer dot product"
                                             : "cooperative matrices of f16 into f32");
    return NULL;
}

// Runs what `wanted` lets through.
static void run_cases(size_t index,
                      bool (*wanted)(const vklm_case_family *family, const vklm_case_shape *shape,
                                     vklm_format format))
{
    size_t n;
    const vklm_case_family *family = vklm_case_families(&n)[index];
    vklm_lab *lab = open_or_skip(family);
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

static bool is_small(const vklm_case_family *family, const vklm_case_shape *shape,
                     vklm_format format)
{
    return shape->models == 0 && family->cost(format, shape->n).bytes < 32e6;
}

// What a processor computes in a second or two: 1.8b's shapes in every format, 13b's in one.
static bool is_big(const vklm_case_family *family, const vklm_case_shape *shape, vklm_format format)
{
    if (shape->models & VKLM_CASE_BIG)
        return true;
    if (is_small(family, shape, format) || family->cost(format, shape->n).flop > 1.2e9)
        return false;
    const vklm_format one = family->tier == VKLM_TIER_DOT8 ? VKLM_FORMAT_Q8 : VKLM_FORMAT_BF16;
    return shape->models == 0 || shape->models & VKLM_CASE_1_8B || family->cache ||
           format == (family->formats ? one : 0);
}

// clang-format off
#define GROUP(name, which)                                                                         \
    ParameterizedTestParameters(kernels, name) { return families_of(which); }                      \
    ParameterizedTest(size_t *index, kernels, name) { run_cases(*index, is_small); }               \
    ParameterizedTestParameters(kernels_big, name) { return families_of(which); }                  \
    ParameterizedTest(size_t *index, kernels_big, name) { run_cases(*index, is_big); }
// clang-format on
GROUP(base, BASE)
GROUP(experts, EXPERTS)
GROUP(dot8, DOT8)
GROUP(coop, COOP)
