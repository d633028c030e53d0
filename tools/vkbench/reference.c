// What the device can do at best, as measured: the denominators of every share.
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
