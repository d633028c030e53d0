// What the device can do at best, as measured: the denominators of every share.
#include <math.h>

#include "vkbench/measure.h"

static const struct {
    const char *name, *key; // key: in the report
} arithmetics[VKLM_BENCH_ARITHMETICS] = {
    [VKLM_BENCH_F32] = {"f32", "f32_gflops"},
    [VKLM_BENCH_INT8] = {"int8", "int8_gflops"},
    [VKLM_BENCH_COOP] = {"matrices", "coop_gflops"},
};

const char *vklm_bench_arithmetic_name(vklm_bench_arithmetic what)
{
    return arithmetics[what].name;
}

// A CPU's matrices are its vectors, and their own peak is none: its compiler computes the equal
// rows of the measuring kernel once (lavapipe 26: 450 GFLOP/s where f32 reaches 160).
vklm_bench_arithmetic vklm_bench_arithmetic_of(const vklm_bench *b, unsigned tier)
{
    if (tier == VKLM_TIER_COOP && !vklm_bench_is_cpu(b))
        return VKLM_BENCH_COOP;
    return tier == VKLM_TIER_DOT8 ? VKLM_BENCH_INT8 : VKLM_BENCH_F32;
}

void vklm_bench_add_share(const vklm_bench *b, cJSON *row, double bytes, double flop,
                          vklm_bench_arithmetic what, double us)
{
    const double bytes_us = bytes / (b->attainable_gbs * 1e3),
                 flop_us = flop / (b->peak_gflops[what] * 1e3);
    cJSON_AddNumberToObject(row, "roofline_share", fmax(bytes_us, flop_us) / us);
    cJSON_AddStringToObject(row, "roof",
                            bytes_us > flop_us ? "memory" : vklm_bench_arithmetic_name(what));
}

double vklm_bench_reported_peak(const cJSON *report, vklm_bench_arithmetic what)
{
    const cJSON *o = cJSON_GetObjectItemCaseSensitive(report, "reference"),
                *peak = cJSON_GetObjectItemCaseSensitive(o, arithmetics[what].key);
    return cJSON_IsNumber(peak) ? peak->valuedouble : 0;
}

// Once.
static void add(vklm_bench *b, const char *key, double value)
{
    cJSON *o = cJSON_GetObjectItemCaseSensitive(b->report, "reference");
    if (!o)
        o = cJSON_AddObjectToObject(b->report, "reference");
    if (!cJSON_HasObjectItem(o, key))
        cJSON_AddNumberToObject(o, key, value);
}

vklm_status vklm_bench_peak(vklm_bench *b, vklm_bench_arithmetic what)
{
    double *peak = &b->peak_gflops[what];
    if (*peak > 0)
        return VKLM_OK;
    vklm_status status = vklm_bench_measure_peak(b, what, peak);
    if (status == VKLM_OK)
        add(b, arithmetics[what].key, *peak);
    return status;
}

vklm_status vklm_bench_reference(vklm_bench *b)
{
    vklm_status status = vklm_bench_peak(b, VKLM_BENCH_F32);
    if (status == VKLM_OK && b->attainable_gbs <= 0) // mem measures it, too
        status = vklm_bench_measure_read(b, &b->attainable_gbs);
    if (status == VKLM_OK)
        add(b, "read_gbs", b->attainable_gbs);
    return status;
}
