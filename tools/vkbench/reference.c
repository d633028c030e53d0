// What the device can do at best, as measured: the denominators of every share.
#include "vkbench/measure.h"

vklm_status vklm_bench_reference(vklm_bench *b)
{
    vklm_status status = VKLM_OK;
    if (b->f32_gflops <= 0)
        status = vklm_bench_measure_f32(b, &b->f32_gflops);
    if (status == VKLM_OK && b->attainable_gbs <= 0)
        status = vklm_bench_measure_read(b, &b->attainable_gbs);
    if (status == VKLM_OK && !cJSON_GetObjectItemCaseSensitive(b->report, "reference")) {
        cJSON *o = cJSON_AddObjectToObject(b->report, "reference");
        cJSON_AddNumberToObject(o, "read_gbs", b->attainable_gbs);
        cJSON_AddNumberToObject(o, "f32_gflops", b->f32_gflops);
    }
    return status;
}
