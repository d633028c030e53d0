// vkbench ops: the engine's kernels at the models' shapes. The cases are the tests'
// (tests/kernels): a kernel is first judged against its double-precision reference, and what is
// wrong gets no number.
#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "kernels/cases.h"
#include "vkbench/measure.h"

// A case is left out where one run would take longer: on a CPU device so many times
// options.seconds, elsewhere what drivers bear, and in a tour a fraction of a second.
static const double CPU_TIMES_SECONDS = 20, GPU_SECONDS = 2, TOUR_SECONDS = 0.5;
// and where the reference would: a processor does about 5e8 multiply-adds a second in double
// precision; of a long prompt's product it computes 9 tokens.
static const double MOST_REFERENCE_FLOP = 1e12;
// Before anything is known: on a CPU, where barriers within a workgroup may cost a hundred times
// the arithmetic, what is left of it.
static const double CPU_FLOPS = 1e9;

enum { MAX_SHAPES = 64 }; // of a family, for the models

// Of the largest case that was timed so far: operations, and how many a second.
typedef struct {
    double flop, flops;
} pace;

typedef struct {
    vklm_bench *bench;
    const char *tier;
    pace of_tier, of_family;
    const vklm_case_family *family;
    vklm_bench_arithmetic arithmetic; // of the family
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

static void follow(pace *p, double flop, double us)
{
    if (flop >= p->flop)
        *p = (pace){flop, flop / us * 1e6};
}

static void passed(void *opaque, vklm_lab *lab, vklm_lab_record record_op, const void *op,
                   double worst)
{
    (void)lab;
    context *c = opaque;
    recorded r = {record_op, op};
    vklm_bench_sample us;
    c->status = vklm_bench_time(
        c->bench, &(vklm_bench_work){.record = record, .opaque = &r, .cold = true, .ran = true},
        &us);
    if (c->status != VKLM_OK || us.median <= 0)
        return;
    vklm_case_cost cost = c->family->cost(c->format, c->shape->n);
    vklm_bench_add(c->bench, c->row, "us", us);
    cJSON_AddNumberToObject(c->row, "gbs", cost.bytes / us.median * 1e-3);
    cJSON_AddNumberToObject(c->row, "gflops", cost.flop / us.median * 1e-3);
    vklm_bench_add_share(c->bench, c->row, cost.bytes, cost.flop, c->arithmetic, us.median);
    cJSON_AddNumberToObject(c->row, "flop", cost.flop);
    cJSON_AddNumberToObject(c->row, "bytes", cost.bytes);
    cJSON_AddNumberToObject(c->row, "error_share_of_bound", worst);
    follow(&c->of_tier, cost.flop, us.median);
    follow(&c->of_family, cost.flop, us.median);
}

// What a family multiplies with: that of its tier, or f32 where the dot8 tier's has no packed
// weights.
static vklm_bench_arithmetic arithmetic_of(const vklm_bench *b, const vklm_case_family *family)
{
    const unsigned tier = vklm_case_tier(family);
    if (tier == VKLM_TIER_DOT8 && family->format_mask != VKLM_CASE_PACKED)
        return VKLM_BENCH_F32;
    return vklm_bench_arithmetic_of(b, tier);
}

// Of one run, by the roofline and the family's speed so far. A case with much fewer operations does
// not say how slow this one can be: a tile with one token takes as long as a full one.
static double expected_seconds(const context *c, vklm_case_cost cost)
{
    const vklm_bench *b = c->bench;
    const double peak = fmax(b->peak_gflops[c->arithmetic], b->peak_gflops[VKLM_BENCH_F32]) * 1e9;
    const double guess = vklm_bench_is_cpu(b) ? fmax(c->of_tier.flops, CPU_FLOPS) : peak;
    const double flops =
        cost.flop < 16 * c->of_family.flop ? c->of_family.flops : fmax(c->of_family.flops, guess);
    return fmax(cost.bytes / (b->attainable_gbs * 1e9), cost.flop / flops);
}

static double most_seconds(const vklm_bench *b)
{
    return b->options.tour        ? TOUR_SECONDS
           : vklm_bench_is_cpu(b) ? CPU_TIMES_SECONDS * b->options.seconds
                                  : GPU_SECONDS;
}

// One case; *n_left_out counts those that there was no time for.
static vklm_status run_case(context *c, vklm_lab *lab, unsigned *n_left_out)
{
    vklm_bench *b = c->bench;
    char name[128], line[192];
    const vklm_case_cost cost = c->family->cost(c->format, c->shape->n);
    const bool late = b->deadline > 0 && vklm_clock_seconds() > b->deadline;
    vklm_status status = late ? VKLM_OK : vklm_bench_peak(b, c->arithmetic);
    if (status != VKLM_OK)
        return status;
    const double seconds = expected_seconds(c, cost);
    if (late || seconds > most_seconds(b) || cost.flop > MOST_REFERENCE_FLOP) {
        ++*n_left_out;
        return VKLM_OK;
    }
    vklm_case_name(c->family, c->shape, c->format, name, sizeof name);
    snprintf(line, sizeof line, "%s: %s, about %.2g s a run", c->tier, name, seconds);
    vklm_bench_show_progress(line);
    c->row = vklm_bench_row(b, "ops", name);
    cJSON_AddStringToObject(c->row, "tier", c->tier);
    c->family->run(lab, c->format, c->shape->n);
    vklm_bench_show_progress("");
    return c->status;
}

static bool wanted(const vklm_bench *b, unsigned mask, const vklm_case_family *family,
                   const vklm_case_shape *shape, vklm_format format)
{
    if (!vklm_case_takes(family, shape, format) ||
        !vklm_bench_takes_kernel(b, family->name, vklm_case_tier(family), mask))
        return false;
    return !family->formats || !b->options.formats || b->options.formats >> format & 1;
}

// A family's shapes of these models, those with few operations first: each tells how long the next
// ones take.
static size_t sorted_shapes(const vklm_case_family *family, unsigned models,
                            const vklm_case_shape **out)
{
    size_t n = 0;
    for (size_t s = 0; s < family->n_shapes; s++) {
        const vklm_case_shape *shape = &family->shapes[s];
        if (!(shape->models & models))
            continue;
        assert(n < MAX_SHAPES);
        size_t at = n++;
        const double flop = family->cost(VKLM_FORMAT_F32, shape->n).flop;
        for (; at && family->cost(VKLM_FORMAT_F32, out[at - 1]->n).flop > flop; at--)
            out[at] = out[at - 1];
        out[at] = shape;
    }
    return n;
}

static vklm_status run_family(context *c, vklm_lab *lab, unsigned mask, unsigned *n_left_out)
{
    const vklm_case_shape *shapes[MAX_SHAPES];
    const size_t n = sorted_shapes(c->family, c->bench->options.models, shapes);
    vklm_status status = VKLM_OK;
    c->arithmetic = arithmetic_of(c->bench, c->family);
    c->of_family = (pace){0};
    for (size_t s = 0; s < n && status == VKLM_OK; s++)
        for (int format = 0; format < VKLM_FORMAT_COUNT && status == VKLM_OK; format++) {
            c->shape = shapes[s];
            c->format = (vklm_format)format;
            if (!wanted(c->bench, mask, c->family, c->shape, c->format))
                continue;
            // Judging takes most of a tour's time: the smallest, and one that is larger.
            if (c->bench->options.tour && s != 0 && s != (n + 1) / 4)
                ++*n_left_out;
            else
                status = run_case(c, lab, n_left_out);
        }
    return status;
}

static vklm_status run_tier(vklm_bench *b, unsigned mask, unsigned *n_left_out)
{
    context c = {.bench = b, .tier = vklm_bench_tier_name(mask)};
    vklm_lab *lab;
    size_t n;
    const vklm_case_family *const *families = vklm_case_families(&n);
    vklm_status status = vklm_lab_create(
        &(vklm_lab_params){.device = b->device, .failed = failed, .passed = passed, .opaque = &c},
        &lab);
    for (size_t f = 0; f < n && status == VKLM_OK; f++) {
        c.family = families[f];
        status = run_family(&c, lab, mask, n_left_out);
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
                    *share = cJSON_GetObjectItem(row, "roofline_share"),
                    *roof = cJSON_GetObjectItem(row, "roof");
        const char *name = cJSON_GetObjectItem(row, "name")->valuestring;
        above |= share && share->valuedouble > 1.05;
        if (share && strcmp(roof->valuestring, "memory") == 0 && strncmp(name, "matvec", 6) == 0 &&
            bytes->valuedouble > 64e6 && share->valuedouble < 0.4 && !vklm_bench_is_cpu(b))
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
    if (n_left_out && b->options.tour)
        vklm_bench_warn(b,
                        "%u more kernel cases would take too long on this device or in a tour: "
                        "vkbench ops runs more of them",
                        n_left_out);
    else if (n_left_out)
        vklm_bench_warn(b,
                        "%u more kernel cases would take longer than %g s a run on this device%s",
                        n_left_out, most_seconds(b),
                        vklm_bench_is_cpu(b) ? ": a larger --seconds runs more of them" : "");
    judge(b);
    return status;
}
