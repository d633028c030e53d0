// vkbench on a device: every mode's report is JSON with what it promises, wrong results are found,
// and what cannot be done is a sentence. No speed is judged.
#include <criterion/criterion.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "gpu/instance.h"
#include "host/shell.h"

#define DEMO     VKLM_TEST_DATA "/demo-dense"
#define DEMO_MOE VKLM_TEST_DATA "/demo-moe"

static void skip_without_vulkan(void)
{
    vklm_gpu_instance *instance;
    if (vklm_gpu_instance_create(&(vklm_gpu_instance_params){0}, &instance) == VKLM_NO_DEVICE)
        cr_skip_test("no Vulkan: %s", vklm_error_message());
    vklm_gpu_instance_destroy(instance);
}

// Runs, expects success and a report; *out_rows is the section.
static cJSON *report(const char *command, const char *section, const cJSON **out_rows)
{
    vklm_shell_result r = vklm_shell_run("vkbench %s --json", command);
    cJSON *json;
    cr_assert_eq(r.status, 0, "%s: exit %d: %s", command, r.status, r.err);
    cr_assert_eq(vklm_json_parse(r.out, strlen(r.out), command, &json), VKLM_OK, "%s",
                 vklm_error_message());
    vklm_shell_finish(&r);
    cr_expect(cJSON_IsString(cJSON_GetObjectItem(json, "device")));
    cr_expect(cJSON_IsString(cJSON_GetObjectItem(json, "driver")));
    *out_rows = cJSON_GetObjectItem(json, section);
    cr_assert(cJSON_GetArraySize(*out_rows) > 0, "%s: no rows in %s", command, section);
    return json;
}

static const cJSON *member(const cJSON *row, const char *a, const char *b)
{
    const cJSON *o = cJSON_GetObjectItem(row, a);
    return b ? cJSON_GetObjectItem(o, b) : o;
}

// A positive median between its percentiles; rows that say why they have none are counted apart.
static int check_values(const cJSON *rows, const char *key)
{
    const cJSON *row;
    int n = 0;
    cJSON_ArrayForEach(row, rows)
    {
        const char *name = member(row, "name", NULL)->valuestring;
        const cJSON *median = member(row, key, "median");
        cr_expect(median || member(row, "note", NULL), "%s: neither a value nor a reason", name);
        if (!median)
            continue;
        n++;
        cr_expect(median->valuedouble > 0 && isfinite(median->valuedouble), "%s", name);
        cr_expect(member(row, key, "p5")->valuedouble <= median->valuedouble &&
                      median->valuedouble <= member(row, key, "p95")->valuedouble,
                  "%s: the median is outside its percentiles", name);
        cr_expect(!strstr(name, "WRONG"));
    }
    return n;
}

Test(bench, measures)
{
    static const struct {
        const char *command, *section, *value;
        int least;
    } modes[] = {
        {"mem --seconds 0.001", "mem", "gbs", 10},
        {"alu --seconds 0.001", "alu", "gops", 1},
        {"lat --seconds 0.001", "lat", "us", 8},
        {"ops --seconds 0.001 --models 1.8b --kernels rmsnorm,rope_kv,embed", "ops", "us", 3},
    };
    skip_without_vulkan();
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
        const cJSON *rows;
        cJSON *json = report(modes[i].command, modes[i].section, &rows);
        cr_expect(check_values(rows, modes[i].value) >= modes[i].least, "%s: %d values",
                  modes[i].command, check_values(rows, modes[i].value));
        cJSON_Delete(json);
    }
}

Test(bench, shares_are_of_the_kernels_arithmetic)
{
    const cJSON *rows, *row;
    skip_without_vulkan();
    cJSON *json = report("ops --tiers dot8 --seconds 0.001 --models 1.8b --formats q8 "
                         "--kernels matvec.residual",
                         "ops", &rows);
    bool dots = false;
    cJSON_ArrayForEach(row, rows)
    {
        const char *name = member(row, "name", NULL)->valuestring;
        const cJSON *share = member(row, "roofline_share", NULL), *roof = member(row, "roof", NULL);
        const bool dot8 = strstr(name, "dot8") != NULL;
        cr_assert(share && roof, "%s has no share", name);
        cr_expect(share->valuedouble > 0);
        cr_expect(strcmp(roof->valuestring, "memory") == 0 ||
                      strcmp(roof->valuestring, dot8 ? "int8" : "f32") == 0,
                  "%s: %s", name, roof->valuestring);
        dots |= dot8;
    }
    cr_expect_eq(member(json, "reference", "int8_gflops") != NULL, dots, "what is not needed");
    cJSON_Delete(json);
}

Test(bench, describes_the_device)
{
    const cJSON *rows;
    skip_without_vulkan();
    cJSON_Delete(report("info", "info", &rows));
    cJSON *json = report("compile", "pipelines", &rows);
    const cJSON *row;
    bool matvec = false;
    cJSON_ArrayForEach(row, rows)
    {
        cr_expect(cJSON_IsArray(member(row, "statistics", NULL)));
        matvec |= strncmp(member(row, "name", NULL)->valuestring, "matvec", 6) == 0;
    }
    cr_expect(matvec, "no matvec pipeline is listed");
    cJSON_Delete(json);
}

Test(bench, predicts)
{
    const cJSON *rows, *row;
    skip_without_vulkan();
    cJSON *json = report("predict --seconds 0.001", "predict", &rows);
    double last = INFINITY;
    cJSON_ArrayForEach(row, rows) // deeper is slower, within a model and format
    {
        double depth = member(row, "depth", NULL)->valuedouble;
        double rate = member(row, "tokens_per_second", NULL)->valuedouble;
        cr_expect(rate > 0 && (depth == 0 || rate < last));
        last = rate;
    }
    cJSON_Delete(json);
}

Test(bench, measures_models)
{
    static const char *const commands[] = {
        "model " DEMO " -p 8 -n 4 -d 0,32 --seconds 0.001",
        "model " DEMO_MOE " -p 8 -n 4 -d 0,32 --kv q8 --seconds 0.001",
        "model --preset 1.8b --layers 1 --weights mixed -p 0 -n 2 -d 5 --seconds 0.001",
    };
    skip_without_vulkan();
    for (int i = 0; i < 3; i++) {
        const cJSON *rows, *row;
        cJSON *json = report(commands[i], "results", &rows);
        cr_expect_eq(cJSON_GetArraySize(rows), i == 2 ? 1 : 4);
        check_values(rows, "tokens_per_second");
        cJSON_ArrayForEach(row, rows)
        {
            cr_expect(cJSON_IsString(member(row, "model", NULL)));
            cr_expect(cJSON_IsString(member(row, "weights", NULL)));
            cr_expect(cJSON_IsString(member(row, "test", NULL)));
            cr_expect(cJSON_IsNumber(member(row, "depth", NULL)));
            cr_expect(member(row, "roofline_share", NULL)->valuedouble > 0);
            cr_expect_eq(!member(row, "note", NULL), i < 2, "scaled results say so");
            cr_expect(i < 2 || strcmp(member(row, "weights", NULL)->valuestring, "mixed") == 0);
            if (strncmp(member(row, "test", NULL)->valuestring, "tg", 2) != 0)
                continue;
            cr_expect(member(row, "op_us", "qkv") && member(row, "op_us", "attention") &&
                      member(row, "op_us", "lm_head"));
            // embedding, five a layer, the head and the draw; the barriers are at most one each
            double n = member(row, "layers_measured", NULL)->valuedouble;
            cr_expect_eq(member(row, "dispatches", NULL)->valuedouble, 5 * n + 3);
            cr_expect(member(row, "barriers", NULL)->valuedouble <= 5 * n + 3);
        }
        cJSON_Delete(json);
    }
}

Test(bench, other_forms_of_the_report)
{
    skip_without_vulkan();
    vklm_shell_result r = vklm_shell_run("vkbench alu --seconds 0.001 --md");
    cr_expect(r.status == 0 && strstr(r.out, "| f32 multiply-add |"), "%s", r.out);
    vklm_shell_finish(&r);
    r = vklm_shell_run("vkbench alu --seconds 0.001 --csv");
    cr_expect(r.status == 0 && strstr(r.out, "alu,\"f32 multiply-add\","), "%s", r.out);
    vklm_shell_finish(&r);
    r = vklm_shell_run("f=$(mktemp) && vkbench ops --seconds 0.001 --models 1.8b --kernels rmsnorm "
                       "--svg $f && tail -n 1 $f; s=$?; rm $f; exit $s");
    cr_expect(r.status == 0 && strstr(r.out, "</svg>"), "%s", r.out);
    vklm_shell_finish(&r);
    // What was measured just now is no regression of itself beyond any noise: only that it runs
    // through.
    r = vklm_shell_run(
        "f=$(mktemp) && vkbench alu --seconds 0.001 --json >$f && vkbench compare $f $f; "
        "s=$?; rm $f; exit $s");
    cr_expect(r.status == 0 && strstr(r.out, "0 of "), "%s", r.out);
    vklm_shell_finish(&r);
}

Test(bench, check_finds_a_wrong_kernel)
{
    const cJSON *rows, *row;
    skip_without_vulkan();
    cJSON *json = report("check --kernels rmsnorm,swiglu,rope", "check", &rows);
    cJSON_ArrayForEach(row, rows)
        cr_expect_str_eq(member(row, "result", NULL)->valuestring, "right");
    cJSON_Delete(json);
    vklm_shell_result r =
        vklm_shell_run("f=$(mktemp) && vkbench check --kernels rmsnorm,swiglu --inject rmsnorm "
                       "--report $f; s=$?; cat $f; rm $f; exit $s");
    cr_expect_eq(r.status, 1);
    cr_expect(strstr(r.err, "a kernel is wrong on this device"), "%s", r.err);
    cr_expect(strstr(r.out, "\"error\""), "the report tells what was wrong: %s", r.out);
    vklm_shell_finish(&r);
    vklm_shell_expect(1, "no kernel 'nonesuch'", "vkbench check --inject nonesuch");
}

Test(bench, what_cannot_be_done_is_a_sentence)
{
    skip_without_vulkan();
    vklm_shell_expect(1, "no device 'Voodoo 2'", "vkbench info --device 'Voodoo 2'");
    vklm_shell_expect(1, "no preset '70b'", "vkbench model --preset 70b --seconds 0.001");
    vklm_shell_expect(1, "/nowhere: no such folder", "vkbench model /nowhere --seconds 0.001");
    vklm_shell_expect(1, "config.json", "vkbench model %s --seconds 0.001", VKLM_TEST_DATA);
    vklm_shell_expect(
        1, "what fits: ", "vkbench model --preset 13b -p 0 -n 1 -d 1000000 --seconds 0.001");
}
