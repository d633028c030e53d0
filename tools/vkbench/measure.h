// vkbench/measure.h: how a number is measured.
//
// Device times are timestamps with a full barrier between timed commands (commands that overlap
// would be billed to each other). Runs are batched into submits of about 20 ms. Before the first
// sample, runs are repeated until two batches agree: clocks rise and caches of code fill. Then at
// least 30 samples, or options.seconds of them; of slow runs five, or as many as end within eight
// times that, and one at least.
#ifndef VKLM_BENCH_MEASURE_H
#define VKLM_BENCH_MEASURE_H

#include "gpu/cmd.h"
#include "vkbench/bench.h"

typedef struct {
    double median, p5, p95;
    size_t n;     // samples
    double drift; // of the last third's median against the first third's: throttling shows here
} vklm_bench_sample;

// Sorts `values` on the way; n > 0.
vklm_bench_sample vklm_bench_summarise(double *values, size_t n);

// factor / sample: microseconds to a rate.
vklm_bench_sample vklm_bench_rate(vklm_bench_sample us, double factor);
vklm_bench_sample vklm_bench_scaled(vklm_bench_sample s, double factor);

// Adds {"median", "p5", "p95", "n"} under `key`, and "drift" when it is beyond 10 %.
void vklm_bench_add(vklm_bench *bench, cJSON *row, const char *key, vklm_bench_sample sample);

// Turns what drifted into one warning.
void vklm_bench_report_drift(vklm_bench *bench);

typedef struct {
    void (*record)(vklm_gpu_cmd *cmd, void *opaque); // one run
    void *opaque;
    bool cold; // read a large buffer before each run, so that caches hold nothing of the one before
    bool ran;  // its pipelines have run before: a slow first run counts
} vklm_bench_work;

// Microseconds of one run.
vklm_status vklm_bench_time(vklm_bench *bench, const vklm_bench_work *work,
                            vklm_bench_sample *out_us);

// Microseconds of one call of a host function.
vklm_status vklm_bench_time_host(vklm_bench *bench, vklm_status (*call)(void *opaque), void *opaque,
                                 vklm_bench_sample *out_us);

// Zeroed device memory.
vklm_status vklm_bench_buffer(vklm_bench *bench, vklm_gpu_memory_class memory, uint64_t bytes,
                              uint32_t word, vklm_gpu_buffer **out_buffer);

// A dispatch of shaders/bench/read.comp over a power of two of lanes, and whether its sums are
// right.
typedef struct {
    vklm_gpu_view data, sums;
    bool wide;  // 16-byte lanes
    bool apart; // each workgroup its own range, for a CPU
    uint32_t lanes, groups, steps;
} vklm_bench_read;
enum { VKLM_BENCH_READ_WORD = 3 }; // what every word of the data holds
// The grid for this device: many workgroups at once, or on a CPU one subgroup after the other.
void vklm_bench_read_shape(const vklm_bench *bench, vklm_bench_read *read);
void vklm_bench_read_record(vklm_gpu_cmd *cmd, const vklm_bench_read *read);
double vklm_bench_read_bytes(const vklm_bench_read *read);
bool vklm_bench_read_right(const vklm_bench_read *read, const uint32_t *sums);

// The denominators: reading a set beyond the caches (mem.c), and an arithmetic's multiply-adds in
// registers, two operations each (alu.c), on a device whose tiers have it.
vklm_status vklm_bench_measure_read(vklm_bench *bench, double *out_gbs);
vklm_status vklm_bench_measure_peak(vklm_bench *bench, vklm_bench_arithmetic what,
                                    double *out_gflops);

#endif
