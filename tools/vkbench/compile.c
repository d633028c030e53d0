// vkbench compile: every pipeline that the engine can select on this device, built by the driver,
// and what the driver says about each. Nothing runs, so drivers without hardware do as well.
//
// Which pipelines those are is not written down anywhere: the kernels' cases are recorded dry, and
// the recorder builds what they select.
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/array.h"
#include "gpu/pipeline_stats.h"
#include "kernels/cases.h"
#include "vkbench/bench.h"

static void failed(void *opaque, const char *message)
{
    vklm_string *s = opaque;
    vklm_string_print(s, "%s", message);
}

static vklm_status record_all(vklm_bench *b, unsigned mask)
{
    vklm_string failure = {0};
    vklm_lab *lab;
    size_t n;
    const vklm_case_family *const *families = vklm_case_families(&n);
    vklm_status status = vklm_lab_create(
        &(vklm_lab_params){.device = b->device, .dry = true, .failed = failed, .opaque = &failure},
        &lab);
    if (status != VKLM_OK)
        return status;
    for (size_t f = 0; f < n && !failure.data; f++)
        for (size_t s = 0; s < families[f]->n_shapes; s++)
            for (int format = 0; format < VKLM_FORMAT_COUNT; format++) {
                const vklm_case_shape *shape = &families[f]->shapes[s];
                // Shapes choose a pipeline by their head sizes, and the tests' have them all.
                if (!shape->models &&
                    vklm_bench_takes_kernel(b, families[f]->name, vklm_case_tier(families[f]),
                                            mask) &&
                    vklm_case_takes(families[f], shape, (vklm_format)format) &&
                    families[f]->cost((vklm_format)format, shape->n).bytes < 32e6)
                    families[f]->run(lab, (vklm_format)format, shape->n);
            }
    vklm_lab_destroy(lab);
    if (failure.data)
        status = vklm_fail(VKLM_UNSUPPORTED, "%s", failure.data);
    vklm_string_finish(&failure);
    return status;
}

static bool mentions(const char *text, const char *word)
{
    for (size_t n = strlen(word); *text; text++)
        if (strncasecmp(text, word, n) == 0)
            return true;
    return false;
}

// What the drivers call memory that stands in for registers: "Spill Count", "Spilled VGPRs",
// "Scratch size", "Scratch Memory Size", "SLM size"…
static double spilled(const vklm_gpu_executable *e)
{
    double sum = 0;
    for (uint32_t i = 0; i < e->n; i++)
        if ((mentions(e->list[i].name, "spill") && !mentions(e->list[i].name, "to reg")) ||
            mentions(e->list[i].name, "scratch") || mentions(e->list[i].name, "fill count") ||
            mentions(e->list[i].name, "slm"))
            sum += e->list[i].value;
    return sum;
}

static void describe(const vklm_gpu_pipeline_stats *p, char *out, size_t size)
{
    size_t last = 0, at = (size_t)snprintf(out, size, "%s", p->shader);
    for (size_t i = 0; i < VKLM_GPU_MAX_CONSTANTS; i++)
        if (p->constants[i])
            last = i;
    for (size_t i = 0; i <= last && at < size; i++)
        at += (size_t)snprintf(out + at, size - at, "%c%u", i ? ',' : ' ', p->constants[i]);
}

static void add_row(vklm_bench *b, const vklm_gpu_pipeline_stats *p, const char *tier,
                    bool *out_clean)
{
    char name[192];
    vklm_string text = {0};
    describe(p, name, sizeof name);
    cJSON *row = vklm_bench_row(b, "pipelines", name), *list;
    cJSON_AddStringToObject(row, "tier", tier);
    list = cJSON_AddArrayToObject(row, "statistics");
    double least =
        p->n ? -1
             : 0; // a driver with several programs runs one that does not spill, if there is one
    for (uint32_t i = 0; i < p->n; i++) {
        const vklm_gpu_executable *e = &p->executables[i];
        cJSON *o = cJSON_CreateObject();
        cJSON_AddItemToArray(list, o);
        cJSON_AddStringToObject(o, "executable", e->name);
        cJSON_AddNumberToObject(o, "subgroup_size", e->subgroup_size);
        vklm_string_print(&text, "%s%s (subgroup %u):", i ? "; " : "", e->name, e->subgroup_size);
        for (uint32_t s = 0; s < e->n; s++) {
            cJSON_AddNumberToObject(o, e->list[s].name, e->list[s].value);
            if (!mentions(e->list[s].name, "hash")) // the JSON report has them
                vklm_string_print(&text, " %s %g%s", e->list[s].name, e->list[s].value,
                                  s + 1 < e->n ? "," : "");
        }
        double here = spilled(e);
        least = least < 0 || here < least ? here : least;
    }
    cJSON_AddNumberToObject(row, "spilled", least);
    cJSON_AddStringToObject(row, "text", text.data ? text.data : "the driver says nothing");
    if (least > 0)
        *out_clean = false;
    vklm_string_finish(&text);
}

vklm_status vklm_bench_compile(vklm_bench *b, bool *out_clean)
{
    unsigned masks[3];
    size_t n_tiers = vklm_bench_tiers(b, true, masks);
    vklm_status status = VKLM_OK;
    *out_clean = true;
    for (size_t t = 0; t < n_tiers && status == VKLM_OK; t++) {
        status = vklm_bench_reopen(b, masks[t], true);
        if (status == VKLM_OK)
            status = record_all(b, masks[t]);
        for (size_t i = 0; status == VKLM_OK && i < vklm_gpu_pipeline_count(b->device); i++) {
            static vklm_gpu_pipeline_stats stats; // large
            status = vklm_gpu_pipeline_stats_read(b->device, i, &stats);
            char name[192];
            cJSON *row, *rows = cJSON_GetObjectItemCaseSensitive(b->report, "pipelines");
            bool again = false; // the same as in a lower tier
            describe(&stats, name, sizeof name);
            cJSON_ArrayForEach(row, rows) again |=
                strcmp(cJSON_GetObjectItem(row, "name")->valuestring, name) == 0;
            if (status == VKLM_OK && !again)
                add_row(b, &stats, vklm_bench_tier_name(masks[t]), out_clean);
        }
    }
    if (!vklm_gpu_instance_caps(b->instance, b->device_index)->pipeline_statistics)
        vklm_bench_warn(
            b, "the driver has no VK_KHR_pipeline_executable_properties: pipelines are built, "
               "but it does not say what became of them");
    return status;
}
