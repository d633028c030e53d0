#include "vkbench/measure.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/clock.h"

enum {
    MIN_SAMPLES = 30,
    LEAST_SAMPLES = 5,
    MAX_SAMPLES = 4096,
    MAX_RUNS_PER_SUBMIT = 64,
    READ_UNROLL = 8, // shaders/bench/read.comp
};
static const double SUBMIT_US = 20e3;

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median_of(const double *values, size_t n)
{
    double sorted[MAX_SAMPLES];
    n = n < MAX_SAMPLES ? n : MAX_SAMPLES;
    memcpy(sorted, values, n * sizeof *sorted);
    qsort(sorted, n, sizeof *sorted, by_value);
    return n % 2 ? sorted[n / 2] : (sorted[n / 2 - 1] + sorted[n / 2]) / 2;
}

vklm_bench_sample vklm_bench_summarise(double *values, size_t n)
{
    vklm_bench_sample s = {.n = n, .median = median_of(values, n)};
    double first = median_of(values, (n + 2) / 3),
           last = median_of(values + n - (n + 2) / 3, (n + 2) / 3);
    s.drift = first > 0 ? last / first - 1 : 0;
    qsort(values, n, sizeof *values, by_value);
    s.p5 = values[(size_t)(0.05 * (double)(n - 1) + 0.5)];
    s.p95 = values[(size_t)(0.95 * (double)(n - 1) + 0.5)];
    return s;
}

vklm_bench_sample vklm_bench_rate(vklm_bench_sample us, double factor)
{
    return (vklm_bench_sample){.median = us.median > 0 ? factor / us.median : 0,
                               .p5 = us.p95 > 0 ? factor / us.p95 : 0,
                               .p95 = us.p5 > 0 ? factor / us.p5 : 0,
                               .n = us.n,
                               .drift = us.drift > -1 ? 1 / (1 + us.drift) - 1 : 0};
}

vklm_bench_sample vklm_bench_scaled(vklm_bench_sample s, double factor)
{
    s.median *= factor;
    s.p5 *= factor;
    s.p95 *= factor;
    return s;
}

void vklm_bench_add(vklm_bench *bench, cJSON *row, const char *key, vklm_bench_sample sample)
{
    cJSON *o = cJSON_AddObjectToObject(row, key);
    cJSON_AddNumberToObject(o, "median", sample.median);
    cJSON_AddNumberToObject(o, "p5", sample.p5);
    cJSON_AddNumberToObject(o, "p95", sample.p95);
    cJSON_AddNumberToObject(o, "n", (double)sample.n);
    if (sample.n >= MIN_SAMPLES && fabs(sample.drift) > 0.1) {
        cJSON_AddNumberToObject(o, "drift", sample.drift);
        bench->n_drifted++;
        if (fabs(sample.drift) > fabs(bench->worst_drift)) {
            bench->worst_drift = sample.drift;
            bench->drifted = cJSON_GetObjectItem(row, "name")->valuestring;
        }
    }
}

void vklm_bench_report_drift(vklm_bench *b)
{
    if (b->n_drifted)
        vklm_bench_warn(
            b,
            "%u numbers drifted by more than 10 %% while they were measured (most of all "
            "%s, by %+.0f %%): throttling, or other programs at work",
            b->n_drifted, b->drifted, 100 * b->worst_drift);
}

// -- the sweep

static vklm_status make_sweep(vklm_bench *b)
{
    uint64_t budget, total, bytes = vklm_bench_is_cpu(b) ? 64 << 20 : 256 << 20;
    if (b->sweep)
        return VKLM_OK;
    vklm_gpu_caps_memory(vklm_bench_caps(b), &budget, &total);
    while (bytes > 1 << 20 && bytes > budget / 8)
        bytes /= 2;
    return vklm_bench_buffer(b, VKLM_GPU_MEMORY_DEVICE, bytes + 4096 * 4, VKLM_BENCH_READ_WORD,
                             &b->sweep);
}

static void record_sweep(vklm_bench *b, vklm_gpu_cmd *cmd)
{
    vklm_gpu_view all = vklm_gpu_buffer_view(b->sweep);
    uint64_t bytes = all.bytes - 4096 * 4;
    vklm_bench_read read = {
        .data = vklm_gpu_view_part(all, 0, bytes),
        .sums = vklm_gpu_view_part(all, bytes, 4096 * 4),
        .wide = true,
    };
    vklm_bench_read_shape(b, &read);
    read.steps = (uint32_t)(bytes / (uint64_t)vklm_bench_read_bytes(&read));
    read.steps = read.steps ? read.steps : 1;
    vklm_bench_read_record(cmd, &read);
}

// -- timing

typedef struct {
    vklm_bench *bench;
    const vklm_bench_work *work;
    vklm_gpu_cmd *cmd;
    size_t runs;   // per submit
    double *times; // of every command of a submit
    size_t capacity;
} timer;

// Records `runs` runs.
static vklm_status record(timer *t, size_t runs)
{
    t->runs = runs;
    vklm_gpu_cmd_begin(t->cmd);
    for (size_t i = 0; i < runs; i++) {
        if (t->work->cold)
            record_sweep(t->bench, t->cmd);
        t->work->record(t->cmd, t->work->opaque);
    }
    vklm_status status = vklm_gpu_cmd_end(t->cmd);
    size_t n;
    vklm_gpu_cmd_commands(t->cmd, &n);
    if (status == VKLM_OK && !vklm_array_grow(&t->times, &t->capacity, n, sizeof *t->times))
        status = vklm_fail_memory("timestamps");
    return status;
}

// Submits, and gives the microseconds of each run; *out_all is what the submit took on the host's
// clock.
static vklm_status run(timer *t, double *out_us, double *out_all)
{
    double begin = vklm_clock_seconds();
    vklm_status status = vklm_gpu_cmd_submit(t->cmd);
    if (status == VKLM_OK)
        status = vklm_gpu_cmd_wait(t->cmd);
    *out_all = 1e6 * (vklm_clock_seconds() - begin);
    if (status == VKLM_OK)
        status = vklm_gpu_cmd_times(t->cmd, t->times);
    size_t n;
    vklm_gpu_cmd_commands(t->cmd, &n);
    size_t per_run = n / t->runs, skipped = t->work->cold ? 1 : 0;
    bool device_clock = vklm_bench_caps(t->bench)->timestamps;
    for (size_t i = 0; i < t->runs && status == VKLM_OK; i++) {
        out_us[i] = device_clock ? 0 : *out_all / (double)t->runs;
        for (size_t c = skipped; c < per_run && device_clock; c++)
            out_us[i] += t->times[i * per_run + c];
    }
    return status;
}

static vklm_status warm_up(timer *t)
{
    double us[MAX_RUNS_PER_SUBMIT], all, last = 0;
    double end = vklm_clock_seconds() + fmin(1, t->bench->options.seconds / 2);
    for (vklm_status status; (status = run(t, us, &all)) == VKLM_OK;) {
        double now = median_of(us, t->runs);
        if (fabs(now - last) <= 0.03 * now || vklm_clock_seconds() >= end)
            return VKLM_OK;
        last = now;
    }
    return VKLM_DEVICE_LOST;
}

static bool enough(size_t n, double elapsed, double seconds)
{
    if (n < LEAST_SAMPLES && elapsed < 8 * seconds) // slow runs: a few all the same
        return false;
    return n >= MAX_SAMPLES || elapsed >= seconds || (n >= MIN_SAMPLES && elapsed >= seconds / 4);
}

static vklm_status sample(timer *t, vklm_bench_sample *out_us)
{
    double us[MAX_RUNS_PER_SUBMIT], all, *values = vklm_alloc(MAX_SAMPLES, sizeof *values);
    vklm_status status = values ? record(t, 1) : vklm_fail_memory("samples");
    double seconds = t->bench->options.seconds, begin = vklm_clock_seconds();
    size_t n = 0;
    if (status == VKLM_OK)
        status = run(t, us, &all);
    if (status == VKLM_OK && all < seconds * 1e6 / 2) { // the first run also compiled
        status = run(t, us, &all);
        size_t runs = (size_t)(SUBMIT_US / fmax(all, 1));
        runs = runs < 1 ? 1 : runs > MAX_RUNS_PER_SUBMIT ? MAX_RUNS_PER_SUBMIT : runs;
        if (status == VKLM_OK)
            status = record(t, runs);
        if (status == VKLM_OK)
            status = warm_up(t);
        begin = vklm_clock_seconds();
    } else if (status == VKLM_OK && t->work->ran) {
        values[n++] = us[0];
    }
    while (status == VKLM_OK && (n == 0 || !enough(n, vklm_clock_seconds() - begin, seconds))) {
        status = run(t, us, &all);
        for (size_t i = 0; i < t->runs && n < MAX_SAMPLES && status == VKLM_OK; i++)
            values[n++] = us[i];
    }
    if (status == VKLM_OK)
        *out_us = vklm_bench_summarise(values, n);
    free(values);
    return status;
}

vklm_status vklm_bench_time(vklm_bench *bench, const vklm_bench_work *work,
                            vklm_bench_sample *out_us)
{
    vklm_bench_work adapted = *work;
    adapted.cold = work->cold && vklm_bench_caps(bench)->timestamps;
    timer t = {.bench = bench, .work = &adapted};
    *out_us = (vklm_bench_sample){0};
    vklm_status status = adapted.cold ? make_sweep(bench) : VKLM_OK;
    if (status == VKLM_OK)
        status = vklm_gpu_cmd_create(bench->device,
                                     &(vklm_gpu_cmd_params){.timed = true, .serial = true}, &t.cmd);
    if (status == VKLM_OK)
        status = sample(&t, out_us);
    vklm_gpu_cmd_destroy(t.cmd);
    free(t.times);
    return status;
}

vklm_status vklm_bench_time_host(vklm_bench *bench, vklm_status (*call)(void *opaque), void *opaque,
                                 vklm_bench_sample *out_us)
{
    double *values = vklm_alloc(MAX_SAMPLES, sizeof *values);
    vklm_status status = values ? call(opaque) : vklm_fail_memory("samples");
    if (status == VKLM_OK)
        status = call(opaque);
    size_t n = 0;
    double begin = vklm_clock_seconds(), before = begin;
    while (status == VKLM_OK && (n == 0 || !enough(n, before - begin, bench->options.seconds))) {
        status = call(opaque);
        double now = vklm_clock_seconds();
        values[n++] = 1e6 * (now - before);
        before = now;
    }
    if (status == VKLM_OK)
        *out_us = vklm_bench_summarise(values, n);
    free(values);
    return status;
}

// -- buffers and the reading kernel

vklm_status vklm_bench_buffer(vklm_bench *bench, vklm_gpu_memory_class memory, uint64_t bytes,
                              uint32_t word, vklm_gpu_buffer **out_buffer)
{
    vklm_gpu_cmd *cmd = NULL;
    vklm_status status = vklm_gpu_buffer_create(bench->device, memory, bytes, out_buffer);
    if (status == VKLM_OK)
        status = vklm_gpu_cmd_create(bench->device, NULL, &cmd);
    if (status != VKLM_OK)
        return status;
    vklm_gpu_cmd_begin(cmd);
    vklm_gpu_cmd_fill(cmd, "fill", vklm_gpu_buffer_view(*out_buffer), word);
    status = vklm_gpu_cmd_end(cmd);
    if (status == VKLM_OK)
        status = vklm_gpu_cmd_submit(cmd);
    if (status == VKLM_OK)
        status = vklm_gpu_cmd_wait(cmd);
    vklm_gpu_cmd_destroy(cmd);
    return status;
}

void vklm_bench_read_shape(const vklm_bench *bench, vklm_bench_read *read)
{
    read->apart = vklm_bench_is_cpu(bench);
    read->lanes = read->apart ? vklm_bench_caps(bench)->subgroup_size : 256;
    read->groups = 1024;
    read->steps = 1;
}

void vklm_bench_read_record(vklm_gpu_cmd *cmd, const vklm_bench_read *read)
{
    struct vklm_args_bench args = {
        .data = vklm_gpu_view_address(read->data),
        .y = vklm_gpu_view_address(read->sums),
        .n_steps = read->steps,
        .mask = (uint32_t)(read->data.bytes / (read->wide ? 16 : 4)) - 1,
        .group_stride = read->apart ? read->lanes * READ_UNROLL * read->steps : read->lanes,
        .load_stride = read->apart ? read->lanes : read->lanes * read->groups,
    };
    vklm_gpu_cmd_dispatch(cmd, &(vklm_gpu_dispatch){
                                   .label = "read",
                                   .shader = read->wide ? "bench_read16" : "bench_read4",
                                   .constants = {read->lanes},
                                   .args = &args,
                                   .args_bytes = sizeof args,
                                   .groups = {read->groups},
                                   .reads = {read->data},
                                   .writes = {read->sums},
                               });
}

double vklm_bench_read_bytes(const vklm_bench_read *read)
{
    return (double)read->groups * read->lanes * READ_UNROLL * read->steps * (read->wide ? 16 : 4);
}

bool vklm_bench_read_right(const vklm_bench_read *read, const uint32_t *sums)
{
    uint32_t words = read->lanes * READ_UNROLL * read->steps * (read->wide ? 4 : 1);
    for (uint32_t i = 0; i < read->groups; i++)
        if (sums[i] != words * VKLM_BENCH_READ_WORD)
            return false;
    return true;
}
