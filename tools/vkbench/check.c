// vkbench check: every kernel, every tier of the device, against the references, on the tests' own
// cases.
#include <stdio.h>
#include <string.h>

#include "kernels/cases.h"
#include "vkbench/bench.h"

typedef struct {
    unsigned n_cases, n_wrong;
    double worst;
    char first[700]; // the first failure
    char name[128];  // of the running case
} tally;

static void failed(void *opaque, const char *message)
{
    tally *t = opaque;
    if (t->n_wrong++ == 0)
        snprintf(t->first, sizeof t->first, "%s: %s", t->name, message);
}

static void passed(void *opaque, vklm_lab *lab, vklm_lab_record record, const void *op,
                   double worst)
{
    (void)lab, (void)record, (void)op;
    tally *t = opaque;
    t->worst = worst > t->worst ? worst : t->worst;
}

// All cases of a kernel in one format: one line.
static vklm_status run_line(vklm_bench *b, const vklm_case_family *family, vklm_format format,
                            unsigned mask, bool *out_right)
{
    tally t = {0};
    vklm_lab *lab;
    const bool corrupt = b->options.inject && strcmp(b->options.inject, family->name) == 0;
    vklm_status status = vklm_lab_create(&(vklm_lab_params){.device = b->device,
                                                            .failed = failed,
                                                            .passed = passed,
                                                            .corrupt = corrupt,
                                                            .opaque = &t},
                                         &lab);
    if (status != VKLM_OK)
        return status;
    for (size_t i = 0; i < family->n_shapes; i++) {
        const vklm_case_shape *shape = &family->shapes[i];
        if (shape->models || !vklm_case_takes(family, shape, format) ||
            family->cost(format, shape->n).bytes > 32e6)
            continue;
        vklm_case_name(family, shape, format, t.name, sizeof t.name);
        t.n_cases++;
        family->run(lab, format, shape->n);
    }
    vklm_lab_destroy(lab);
    if (t.n_cases == 0)
        return VKLM_OK;
    char name[96];
    snprintf(name, sizeof name, "%s%s%s", family->name, family->formats ? " " : "",
             family->formats ? vklm_format_name(format) : "");
    cJSON *row = vklm_bench_row(b, "check", name);
    cJSON_AddStringToObject(row, "tier", vklm_bench_tier_name(mask));
    cJSON_AddNumberToObject(row, "cases", t.n_cases);
    cJSON_AddNumberToObject(row, "wrong", t.n_wrong);
    cJSON_AddStringToObject(row, "result", t.n_wrong ? "WRONG" : "right");
    cJSON_AddNumberToObject(row, "error_share_of_bound", t.worst);
    if (t.n_wrong) {
        cJSON_AddStringToObject(row, "error", t.first);
        *out_right = false;
    }
    return VKLM_OK;
}

static vklm_status check_injection(const vklm_bench *b, const vklm_case_family *const *families,
                                   size_t n)
{
    if (!b->options.inject)
        return VKLM_OK;
    for (size_t i = 0; i < n; i++)
        if (strcmp(b->options.inject, families[i]->name) == 0)
            return VKLM_OK;
    return vklm_fail(VKLM_NOT_FOUND, "no kernel '%s'", b->options.inject);
}

static bool wanted(const vklm_bench *b, const vklm_case_family *family, vklm_format format,
                   unsigned mask)
{
    return vklm_bench_takes_kernel(b, family->name, vklm_case_tier(family), mask) &&
           (!family->formats || !b->options.formats || b->options.formats >> format & 1);
}

vklm_status vklm_bench_check(vklm_bench *b, bool *out_right)
{
    unsigned masks[3];
    size_t n_tiers = vklm_bench_tiers(b, true, masks), n;
    const vklm_case_family *const *families = vklm_case_families(&n);
    *out_right = true;
    vklm_status status = check_injection(b, families, n);
    for (size_t t = 0; t < n_tiers && status == VKLM_OK; t++) {
        if (n_tiers > 1)
            status = vklm_bench_reopen(b, masks[t], false);
        for (size_t f = 0; f < n && status == VKLM_OK; f++)
            for (int format = 0; format < VKLM_FORMAT_COUNT && status == VKLM_OK; format++)
                if (wanted(b, families[f], (vklm_format)format, masks[t]))
                    status = run_line(b, families[f], (vklm_format)format, masks[t], out_right);
    }
    if (vklm_gpu_instance_messages(b->instance)) {
        *out_right = false;
        vklm_bench_warn(b, "%u messages of the validation layer",
                        vklm_gpu_instance_messages(b->instance));
    }
    return status;
}
