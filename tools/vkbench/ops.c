// vkbench ops: the engine's kernels at the models' shapes. The cases are the tests'
// (tests/kernels): a kernel is first judged against its double-precision reference, and what is
// wrong gets no number.
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "kernels/cases.h"
#include "vkbench/measure.h"

// A case is left out where one run would take longer, by the roofline.
static const double MOST_SECONDS_PER_RUN = 2;
// and where the reference would: a processor does about 5e8 multiply-adds a second in double
// precision; of a long prompt's product it computes 9 tokens.
static const double MOST_REFERENCE_FLOP = 1e12;

typedef struct {
    vklm_bench *bench;
    const vklm_case_family *family;
    const vklm_case_shape *shape;
    vklm_format format;
    cJSON *row;
    vklm_status status; // of the timing
} context;

typedef struct {
    vklm_lab_record record;
    const void *op;
} recorded;

static void record(vklm_gpu_cmd *cmd, void *opaque)
{
    const recorded *r = opaque;
    r->record(cmd, r->op);
}

static void failed(void *opaque, const char *message)
{
    context *c = opaque;
    cJSON_AddStringToObject(c->row, "note", "WRONG result: no number");
    cJSON_AddStringToObject(c->row, "error", message);
    vklm_bench_warn(c->bench, "%s is wrong: %s", cJSON_GetObjectItem(c->row, "name")->valuestring,
                    message);
}

static void passed(void *opaque, vklm_lab *lab, vklm_lab_record record_op, const void *op,
                   double worst)
{
    (void)lab;
    context *c = opaque;
    recorded r = {record_op, op};
    vklm_bench_sample us;
    c->status = vklm_bench_time(
        c->bench, &(vklm_bench_work){.record = record, .opaque = &r, .cold = true}, &us);
    if (c->status != VKLM_OK || us.median <= 0)
        return;
    vklm_case_cost cost = c->family->cost(c->format, c->shape->n);
    double least = fmax(cost.bytes / (c->bench->attainable_gbs * 1e3),
                        cost.flop / (c->bench->peak_gflops[VKLM_BENCH_F32] * 1e3));
    vklm_bench_add(c->bench, c->row, "us", us);
    cJSON_AddNumberToObject(c->row, "gbs", cost.bytes / us.median * 1e-3);
    cJSON_AddNumberToObject(c->row, "gflops", cost.flop / us.median * 1e-3);
    cJSON_AddNumberToObject(c->row, "roofline_share", least / us.median);
    cJSON_AddNumberToObject(c->row, "flop", cost.flop);
    cJSON_AddNumberToObject(c->row, "bytes", cost.bytes);
    cJSON_AddNumberToObject(c->row, "error_share_of_bound", worst);
}

// By the roofline; on a CPU, where barriers within a workgroup cost a hundred times the arithmetic,
// by the billion operations a second that is left of it.
static bool too_long(const vklm_bench *b, vklm_case_cost cost)
{
    double flops = vklm_bench_is_cpu(b) ? 1e9 : b->peak_gflops[VKLM_BENCH_F32] * 1e9;
    double seconds = fmax(cost.bytes / (b->attainable_gbs * 1e9), cost.flop / flops);
    return cost.flop > MOST_REFERENCE_FLOP ||
           seconds > MOST_SECONDS_PER_RUN / (b->options.tour ? 4 : 1);
}

// One case; *n_left_out counts those that there was no time for.
static vklm_status run_case(context *c, vklm_lab *lab, const char *tier, unsigned *n_left_out)
{
    vklm_bench *b = c->bench;
    char name[128];
    bool late = b->deadline > 0 && vklm_clock_seconds() > b->deadline;
    if (late || too_long(b, c->family->cost(c->format, c->shape->n))) {
        ++*n_left_out;
        return VKLM_OK;
    }
    vklm_case_name(c->family, c->shape, c->format, name, sizeof name);
    c->row = vklm_bench_row(b, "ops", name);
    cJSON_AddStringToObject(c->row, "tier", tier);
    c->family->run(lab, c->format, c->shape->n);
    return c->status;
}

static bool wanted(const vklm_bench *b, unsigned mask, const vklm_case_family *family,
                   const vklm_case_shape *shape, vklm_format format)
{
    if (!(shape->models & b->options.models) || !vklm_case_takes(family, shape, format) ||
        !vklm_bench_takes_kernel(b, family->name, vklm_case_tier(family), mask))
        return false;
    return !family->formats || !b->options.formats || b->options.formats >> format & 1;
}

static vklm_status run_tier(vklm_bench *b, unsigned mask, unsigned *n_left_out)
{
    context c = {.bench = b};
    vklm_lab *lab;
    size_t n;
    const vklm_case_family *const *families = vklm_case_families(&n);
    vklm_status status = vklm_lab_create(
        &(vklm_lab_params){.device = b->device, .failed = failed, .passed = passed, .opaque = &c},
        &lab);
    for (size_t f = 0; f < n && status == VKLM_OK; f++)
        for (size_t s = 0; s < families[f]->n_shapes && status == VKLM_OK; s++)
            for (int format = 0; format < VKLM_FORMAT_COUNT && status == VKLM_OK; format++) {
                c.family = families[f];
                c.shape = &families[f]->shapes[s];
                c.format = (vklm_format)format;
                if (wanted(b, mask, c.family, c.shape, c.format))
                    status = run_case(&c, lab, vklm_bench_tier_name(mask), n_left_out);
            }
    vklm_lab_destroy(lab);
    return status;
}

// A driver that collapses on wide rows, or a card in a slow slot, shows as large matrices far from
// the memory's speed.
static void judge(vklm_bench *b)
{
    cJSON *row;
    bool above = false;
    cJSON_ArrayForEach(row, cJSON_GetObjectItemCaseSensitive(b->report, "ops"))
    {
        const cJSON *bytes = cJSON_GetObjectItem(row, "bytes"),
                    *share = cJSON_GetObjectItem(row, "roofline_share");
        const char *name = cJSON_GetObjectItem(row, "name")->valuestring;
        above |= share && share->valuedouble > 1.05;
        if (bytes && share && strncmp(name, "matvec", 6) == 0 && bytes->valuedouble > 64e6 &&
            share->valuedouble < 0.4 && !vklm_bench_is_cpu(b))
            vklm_bench_warn(
                b,
                "%s reaches only %.0f %% of the memory's speed: a newer driver may help, "
                "or an older one",
                name, 100 * share->valuedouble);
    }
    if (above)
        vklm_bench_warn(b,
                        "some kernels are above the roofline: caches held what they read, or the "
                        "roofline was measured beside other programs");
}

vklm_status vklm_bench_ops(vklm_bench *b)
{
    unsigned masks[3], n_left_out = 0;
    size_t n = vklm_bench_tiers(b, false, masks);
    vklm_status status = vklm_bench_reference(b);
    for (size_t i = 0; i < n && status == VKLM_OK; i++) {
        if (n > 1)
            status = vklm_bench_reopen(b, masks[i], false);
        if (status == VKLM_OK)
            status = run_tier(b, masks[i], &n_left_out);
    }
    if (n_left_out)
        vklm_bench_warn(b, "%u more kernel cases would take too long on this device%s", n_left_out,
                        b->options.tour ? " or in a tour: vkbench ops runs more of them" : "");
    judge(b);
    return status;
}
