#include "vkbench/bench.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <vklm/vklm.h>

#include "base/clock.h"

static char log_lines[8][256];
static size_t n_log_lines;

void vklm_bench_log(void *opaque, vklm_log_level level, const char *message)
{
    (void)opaque;
    if (level <= VKLM_LOG_WARNING) {
        fprintf(stderr, "%s: %s\n", level == VKLM_LOG_ERROR ? "error" : "warning", message);
        return;
    }
    for (size_t i = 0; i < n_log_lines; i++)
        if (strncmp(log_lines[i], message, sizeof log_lines[i] - 1) == 0)
            return;
    if (n_log_lines < sizeof log_lines / sizeof *log_lines)
        snprintf(log_lines[n_log_lines++], sizeof *log_lines, "%s", message);
}

const char *vklm_bench_log_line(size_t index)
{
    return index < n_log_lines ? log_lines[index] : NULL;
}

static vklm_status open_device(vklm_bench *b, unsigned tiers, bool dry)
{
    vklm_status status = vklm_gpu_device_open(b->instance, b->device_index,
                                              &(vklm_gpu_device_params){
                                                  .tiers = tiers,
                                                  .dry = dry,
                                              },
                                              &b->device);
    if (status == VKLM_OK && !dry)
        status = vklm_gpu_stage_create(b->device, &b->stage);
    return status;
}

static void close_device(vklm_bench *b)
{
    vklm_gpu_buffer_destroy(b->sweep);
    vklm_gpu_stage_destroy(b->stage);
    vklm_gpu_device_close(b->device);
    b->sweep = NULL;
    b->stage = NULL;
    b->device = NULL;
}

// Who measured what, when, and how: without it a number means nothing.
static cJSON *new_report(const vklm_bench *b)
{
    const vklm_gpu_caps *caps = vklm_gpu_instance_caps(b->instance, b->device_index);
    char text[600];
    cJSON *report = cJSON_CreateObject();
    cJSON_AddNumberToObject(report, "format", VKLM_BENCH_REPORT_FORMAT);
    cJSON_AddStringToObject(report, "vkbench", vklm_version());
    vklm_clock_print(text, sizeof text, "%Y-%m-%dT%H:%M:%S%z");
    cJSON_AddStringToObject(report, "time", text);
    cJSON_AddStringToObject(report, "compiler", __VERSION__);
    cJSON_AddStringToObject(report, "device", caps->name);
    cJSON_AddStringToObject(report, "type", vklm_device_type_name(caps->type));
    snprintf(text, sizeof text, "%s %s", caps->driver_name, caps->driver_info);
    cJSON_AddStringToObject(report, "driver", text);
    if (caps->type == VKLM_DEVICE_CPU)
        cJSON_AddStringToObject(report, "label", "CPU device: its speed says nothing about GPUs");
    cJSON *method = cJSON_AddObjectToObject(report, "method");
    cJSON_AddNumberToObject(method, "seconds_per_number", b->options.seconds);
    cJSON_AddStringToObject(method, "clock", caps->timestamps ? "device timestamps" : "host clock");
    cJSON_AddNumberToObject(method, "timestamp_ns",
                            caps->timestamps ? (double)caps->timestamp_ns : 0);
    cJSON_AddNumberToObject(method, "timestamp_bits", caps->timestamp_bits);
    cJSON_AddStringToObject(method, "random", "Philox4x32-10, seeds fixed by case");
    return report;
}

vklm_status vklm_bench_open(const vklm_bench_options *options, vklm_bench *out_bench)
{
    vklm_bench *b = out_bench;
    *b = (vklm_bench){.options = *options};
    vklm_status status = vklm_gpu_instance_create(
        &(vklm_gpu_instance_params){.validation = options->validation}, &b->instance);
    if (status == VKLM_OK)
        status = vklm_gpu_instance_select(b->instance, options->device, &b->device_index);
    if (status == VKLM_OK)
        status = open_device(b, options->tiers, options->dry);
    if (status == VKLM_OK) {
        b->report = new_report(b);
        if (!b->report)
            status = vklm_fail_memory("the report");
    }
    return status;
}

void vklm_bench_close(vklm_bench *bench)
{
    close_device(bench);
    vklm_gpu_instance_destroy(bench->instance);
    cJSON_Delete(bench->report);
    *bench = (vklm_bench){0};
}

vklm_status vklm_bench_reopen(vklm_bench *bench, unsigned tiers, bool dry)
{
    close_device(bench);
    return open_device(bench, tiers, dry);
}

const vklm_gpu_caps *vklm_bench_caps(const vklm_bench *bench)
{
    return vklm_gpu_device_caps(bench->device);
}

bool vklm_bench_is_cpu(const vklm_bench *bench)
{
    return vklm_bench_caps(bench)->type == VKLM_DEVICE_CPU;
}

static const struct {
    unsigned bit;
    const char *name;
} tiers[] = {{VKLM_TIER_BASE, "base"}, {VKLM_TIER_DOT8, "dot8"}, {VKLM_TIER_COOP, "coop"}};
enum { N_TIERS = sizeof tiers / sizeof *tiers };

size_t vklm_bench_tiers(const vklm_bench *bench, bool all, unsigned out_masks[3])
{
    const vklm_gpu_caps *caps = vklm_gpu_instance_caps(bench->instance, bench->device_index);
    unsigned there = caps->tiers, mask = 0;
    size_t n = 0;
    if (all || bench->options.tiers)
        there = vklm_gpu_caps_runnable_tiers(caps);
    if (bench->options.tiers)
        there &= bench->options.tiers | VKLM_TIER_BASE;
    for (size_t i = 0; i < N_TIERS; i++)
        if (there & tiers[i].bit)
            out_masks[n++] = mask |= tiers[i].bit;
    return n;
}

const char *vklm_bench_tier_name(unsigned mask)
{
    const char *name = "none";
    for (size_t i = 0; i < N_TIERS; i++)
        if (mask & tiers[i].bit)
            name = tiers[i].name;
    return name;
}

bool vklm_bench_takes_kernel(const vklm_bench *bench, const char *name, unsigned tier,
                             unsigned mask)
{
    const char *wanted = bench->options.kernels;
    if (!(mask & tier) || mask >= 2 * tier)
        return false;
    while (wanted && *wanted) {
        size_t n = strcspn(wanted, ",");
        if (n > 0 && strncmp(name, wanted, n) == 0)
            return true;
        wanted += n + (wanted[n] == ',');
    }
    return !bench->options.kernels;
}

cJSON *vklm_bench_row(vklm_bench *bench, const char *section, const char *name)
{
    cJSON *rows = cJSON_GetObjectItemCaseSensitive(bench->report, section);
    if (!rows)
        rows = cJSON_AddArrayToObject(bench->report, section);
    cJSON *row = cJSON_CreateObject();
    cJSON_AddItemToArray(rows, row);
    cJSON_AddStringToObject(row, "name", name);
    return row;
}

void vklm_bench_warn(vklm_bench *bench, const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    cJSON *list = cJSON_GetObjectItemCaseSensitive(bench->report, "warnings"), *item;
    if (!list)
        list = cJSON_AddArrayToObject(bench->report, "warnings");
    cJSON_ArrayForEach(item, list) if (strcmp(item->valuestring, text) == 0) return;
    cJSON_AddItemToArray(list, cJSON_CreateString(text));
}

void vklm_bench_show_progress(const char *what)
{
    if (!isatty(STDERR_FILENO))
        return;
    fprintf(stderr, "\r\033[K%s", what);
    fflush(stderr);
}
