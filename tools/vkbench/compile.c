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
#include "vkbench/report.h"

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

// What the three compilers' statistics mean. Intel's registers are those alive at once, of 128 (the
// driver's "GRF registers" is 0 before Xe3); its occupancy is fixed by the hardware, the width of a
// subgroup stands for it. NVK's "SLM size" is an invocation's own memory: arrays that did not fit
// registers, so it is scratch; its "Spills to reg" are not to memory.
typedef enum { OTHER, REGISTERS, SPILLS, SCRATCH, OCCUPANCY } meaning;

static meaning meaning_of(const char *name)
{
    if (strcmp(name, "VGPRs") == 0 || strcmp(name, "Max live registers") == 0 ||
        strcmp(name, "Number of GPRs") == 0)
        return REGISTERS;
    if (strcmp(name, "Subgroups per SIMD") == 0 || strcmp(name, "Max warps/SM") == 0 ||
        strcmp(name, "Max dispatch width") == 0)
        return OCCUPANCY;
    if ((mentions(name, "spill") && !mentions(name, "to reg")) ||
        (mentions(name, "fill") && !mentions(name, "from reg")))
        return SPILLS;
    return mentions(name, "scratch") || mentions(name, "slm") ? SCRATCH : OTHER;
}

// The sum of an executable's statistics of a meaning.
static double sum_of(const vklm_gpu_executable *e, meaning wanted)
{
    double sum = 0;
    for (uint32_t i = 0; i < e->n; i++)
        if (meaning_of(e->list[i].name) == wanted)
            sum += e->list[i].value;
    return sum;
}

static const char *name_of(const vklm_gpu_executable *e, meaning wanted)
{
    for (uint32_t i = 0; i < e->n; i++)
        if (meaning_of(e->list[i].name) == wanted)
            return e->list[i].name;
    return NULL;
}

// A driver with several programs runs one that does not spill, if there is one.
static const vklm_gpu_executable *choose(const vklm_gpu_pipeline_stats *p)
{
    const vklm_gpu_executable *best = NULL;
    double least = 0;
    for (uint32_t i = 0; i < p->n; i++) {
        const vklm_gpu_executable *e = &p->executables[i];
        const double spilled = sum_of(e, SPILLS) + sum_of(e, SCRATCH);
        if (!best || spilled < least) {
            best = e;
            least = spilled;
        }
    }
    return best;
}

// Weights that an invocation multiplies in one pass of a decode product's loop
// (shaders/matvec.glsl, matvec_dot8.glsl): a block of columns, or 64 of them in 8 bits, of each of
// constant 2's rows.
static uint32_t weights_of(const vklm_gpu_pipeline_stats *p)
{
    static const struct {
        const char *ending;
        uint32_t block;
    } formats[] = {{"_f32", 8}, {"_f16", 8}, {"_bf16", 8}, {"_q8", 16}, {"_q4", 32}};
    if (strstr(p->shader, "_dot8_"))
        return 64 * p->constants[2];
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
        const size_t n = strlen(p->shader), m = strlen(formats[i].ending);
        if (n > m && strcmp(p->shader + n - m, formats[i].ending) == 0)
            return formats[i].block * p->constants[2];
    }
    return 0;
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

static void add_statistics(cJSON *row, const vklm_gpu_pipeline_stats *p)
{
    vklm_string text = {0};
    cJSON *list = cJSON_AddArrayToObject(row, "statistics");
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
    }
    cJSON_AddStringToObject(row, "text", text.data ? text.data : "the driver says nothing");
    vklm_string_finish(&text);
}

// Of all pipelines of the device.
typedef struct {
    unsigned n, n_spilling;
    unsigned n_coop, n_without_matrix;            // of those whose assembly is shown
    double registers, spills, scratch, occupancy; // most, sums, lowest
    char occupancy_is[96];                        // as the driver calls it
} summary;

static void add_loop(cJSON *row, const vklm_gpu_pipeline_stats *p, vklm_gpu_loop loop)
{
    const uint32_t weights = weights_of(p);
    if (loop.instructions == 0 || weights == 0)
        return;
    cJSON *o = cJSON_AddObjectToObject(row, "loop");
    cJSON_AddNumberToObject(o, "instructions", loop.instructions);
    cJSON_AddNumberToObject(o, "loads", loop.loads);
    cJSON_AddNumberToObject(o, "weights", weights);
    cJSON_AddNumberToObject(o, "instructions_per_weight", (double)loop.instructions / weights);
}

static void add_row(vklm_bench *b, const vklm_gpu_pipeline_stats *p, const char *tier,
                    summary *total)
{
    char name[192];
    const vklm_gpu_executable *e = choose(p);
    describe(p, name, sizeof name);
    cJSON *row = vklm_bench_row(b, "pipelines", name);
    cJSON_AddStringToObject(row, "tier", tier);
    total->n++;
    if (e) {
        const double registers = sum_of(e, REGISTERS), occupancy = sum_of(e, OCCUPANCY),
                     spills = sum_of(e, SPILLS), scratch = sum_of(e, SCRATCH);
        cJSON_AddNumberToObject(row, "registers", registers);
        cJSON_AddNumberToObject(row, "occupancy", occupancy);
        cJSON_AddNumberToObject(row, "spilled", spills + scratch);
        if (vklm_gpu_pipeline_is_matvec(p->shader))
            add_loop(row, p, e->loop);
        if (vklm_gpu_pipeline_is_coop(p->shader) && e->assembly) {
            cJSON_AddNumberToObject(row, "matrix_instructions", e->matrix_instructions);
            total->n_coop++;
            total->n_without_matrix += e->matrix_instructions == 0;
        }
        total->registers = registers > total->registers ? registers : total->registers;
        total->occupancy =
            total->occupancy == 0 || occupancy < total->occupancy ? occupancy : total->occupancy;
        total->spills += spills;
        total->scratch += scratch;
        total->n_spilling += spills + scratch > 0;
        const char *called = name_of(e, OCCUPANCY);
        snprintf(total->occupancy_is, sizeof total->occupancy_is, "%s", called ? called : "");
    }
    add_statistics(row, p);
}

// Instructions a weight of the first pipeline of a shader; NULL where there is none.
static const cJSON *find_loop(const vklm_bench *b, const char *shader)
{
    const cJSON *row;
    cJSON_ArrayForEach(row, cJSON_GetObjectItemCaseSensitive(b->report, "pipelines"))
    {
        const char *name = cJSON_GetObjectItem(row, "name")->valuestring;
        if (strcspn(name, " ") == strlen(shader) && strncmp(name, shader, strlen(shader)) == 0)
            return vklm_bench_member(row, "loop.instructions_per_weight");
    }
    return NULL;
}

// One row for the device, the same columns for every device.
static void add_summary(vklm_bench *b, const summary *total)
{
    static const char *const shaders[] = {"matvec_f16", "matvec_q8", "matvec_q4", "matvec_dot8_q8",
                                          "matvec_dot8_q4"};
    cJSON *row = vklm_bench_row(b, "compiled", vklm_bench_caps(b)->name);
    cJSON_AddNumberToObject(row, "pipelines", total->n);
    if (!*total->occupancy_is)
        return;
    cJSON_AddNumberToObject(row, "registers", total->registers);
    cJSON_AddNumberToObject(row, "spilling", total->n_spilling);
    cJSON_AddNumberToObject(row, "spills", total->spills);
    cJSON_AddNumberToObject(row, "scratch", total->scratch);
    cJSON_AddNumberToObject(row, "occupancy", total->occupancy);
    cJSON_AddStringToObject(row, "occupancy_is", total->occupancy_is);
    for (size_t i = 0; i < sizeof shaders / sizeof *shaders; i++) {
        const cJSON *quotient = find_loop(b, shaders[i]);
        if (quotient)
            cJSON_AddNumberToObject(row, shaders[i], quotient->valuedouble);
        else
            cJSON_AddStringToObject(row, shaders[i], "–");
    }
}

static bool has_row(const vklm_bench *b, const char *name)
{
    const cJSON *row;
    cJSON_ArrayForEach(
        row, cJSON_GetObjectItemCaseSensitive(
                 b->report, "pipelines")) if (strcmp(cJSON_GetObjectItem(row, "name")->valuestring,
                                                     name) == 0) return true;
    return false;
}

vklm_status vklm_bench_compile(vklm_bench *b, bool *out_clean)
{
    unsigned masks[3];
    size_t n_tiers = vklm_bench_tiers(b, false, masks);
    vklm_status status = VKLM_OK;
    summary total = {0};
    for (size_t t = 0; t < n_tiers && status == VKLM_OK; t++) {
        status = vklm_bench_reopen(b, masks[t], true);
        if (status == VKLM_OK)
            status = record_all(b, masks[t]);
        for (size_t i = 0; status == VKLM_OK && i < vklm_gpu_pipeline_count(b->device); i++) {
            static vklm_gpu_pipeline_stats stats; // large
            char name[192];
            status = vklm_gpu_pipeline_stats_read(b->device, i, &stats);
            describe(&stats, name, sizeof name);
            if (status == VKLM_OK && !has_row(b, name)) // not the same as in a lower tier
                add_row(b, &stats, vklm_bench_tier_name(masks[t]), &total);
        }
    }
    add_summary(b, &total);
    *out_clean = total.n_spilling == 0 && total.n_without_matrix == 0;
    if (total.n_coop)
        vklm_bench_warn(b, "%u of %u kernels for matrix units have their instructions",
                        total.n_coop - total.n_without_matrix, total.n_coop);
    if (!vklm_gpu_instance_caps(b->instance, b->device_index)->pipeline_statistics)
        vklm_bench_warn(
            b, "the driver has no VK_KHR_pipeline_executable_properties: pipelines are built, "
               "but it does not say what became of them");
    return status;
}
