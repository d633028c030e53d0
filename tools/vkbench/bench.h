// vkbench/bench.h: what every mode of vkbench shares: the device, the options, and the report that
// the modes fill and report.c prints.
#ifndef VKLM_BENCH_H
#define VKLM_BENCH_H

#include <cjson/cJSON.h>

#include "gpu/device.h"
#include "gpu/stage.h"
#include "quant/format.h"

enum { VKLM_BENCH_REPORT_FORMAT = 1 }; // of the JSON report; a change of meaning raises it

typedef enum {
    VKLM_BENCH_TEXT = 0,
    VKLM_BENCH_JSON,
    VKLM_BENCH_MARKDOWN,
    VKLM_BENCH_CSV,
} vklm_bench_output;

enum { VKLM_BENCH_MAX_DEPTHS = 16 };

typedef struct {
    vklm_bench_output output;
    const char *device;  // as for the library: a number, a part of a name, or NULL
    const char *svg;     // file to draw to
    const char *compare; // an older report
    const char *report;  // check: file to write
    const char *inject;  // check: the kernel whose results are altered
    const char *kernels; // ops, check: beginnings of kernels' names, separated by commas; NULL: all
    const char *model_dir, *preset;
    unsigned tiers;   // VKLM_TIER_* mask; 0: all
    unsigned models;  // ops: VKLM_CASE_* mask
    unsigned formats; // bits of vklm_format; 0: all
    double seconds;   // per measured number
    uint32_t n_prompt, n_generate, n_layers;
    uint32_t depths[VKLM_BENCH_MAX_DEPTHS];
    size_t n_depths;
    bool tour, validation;
    bool kv_q8; // model: the KV cache in q8
    bool dry;   // compile: nothing will run
} vklm_bench_options;

// What kernels compute with.
typedef enum {
    VKLM_BENCH_F32 = 0,
    VKLM_BENCH_INT8, // dot products of packed bytes
    VKLM_BENCH_COOP, // cooperative matrices, f16 into f32
    VKLM_BENCH_ARITHMETICS,
} vklm_bench_arithmetic;

typedef struct {
    vklm_bench_options options;
    vklm_gpu_instance *instance;
    size_t device_index;
    vklm_gpu_device *device;
    vklm_gpu_stage *stage;
    cJSON *report;
    // Measured by reference.c on first use: what every share is a share of. 0: not yet.
    double attainable_gbs, peak_gflops[VKLM_BENCH_ARITHMETICS];
    vklm_gpu_buffer *sweep; // read between timed runs, so that caches hold nothing of the last one
    unsigned n_drifted;     // numbers that were not steady, and the worst of them
    double worst_drift;
    const char *drifted;
    double deadline; // a tour's section ends there; 0: no end
} vklm_bench;

vklm_status vklm_bench_open(const vklm_bench_options *options, vklm_bench *out_bench);
void vklm_bench_close(vklm_bench *bench); // takes a zeroed one

// The same device, with these tiers.
vklm_status vklm_bench_reopen(vklm_bench *bench, unsigned tiers, bool dry);

const vklm_gpu_caps *vklm_bench_caps(const vklm_bench *bench);
bool vklm_bench_is_cpu(const vklm_bench *bench);

// The masks of tiers that this device takes by itself, base first, each with one tier more; with
// `all` also those that it can run but is not fast at. Options narrow both. Returns how many.
size_t vklm_bench_tiers(const vklm_bench *bench, bool all, unsigned out_masks[3]);
const char *vklm_bench_tier_name(unsigned mask); // of the highest tier in it

// Appends a row to a section of the report and returns it.
cJSON *vklm_bench_row(vklm_bench *bench, const char *section, const char *name);

// One sentence for the user, shown with the report.
void vklm_bench_warn(vklm_bench *bench, const char *format, ...) VKLM_PRINTF(2, 3);

// Rewrites one line of a terminal's standard error, for what takes long; "" erases it.
void vklm_bench_show_progress(const char *what);

// Whether options.kernels lets a kernel through whose tier, one bit, is the highest of the mask.
bool vklm_bench_takes_kernel(const vklm_bench *bench, const char *name, unsigned tier,
                             unsigned mask);

// Receives the library's log; lines below a warning (a driver's corrections) are kept for `info`.
void vklm_bench_log(void *opaque, vklm_log_level level, const char *message);
const char *vklm_bench_log_line(size_t index); // NULL past the last

// The modes. Each fills its section of the report.
vklm_status vklm_bench_info(vklm_bench *bench);
vklm_status vklm_bench_mem(vklm_bench *bench);
vklm_status vklm_bench_alu(vklm_bench *bench);
vklm_status vklm_bench_lat(vklm_bench *bench);
vklm_status vklm_bench_ops(vklm_bench *bench);
vklm_status vklm_bench_model(vklm_bench *bench);
vklm_status vklm_bench_predict(vklm_bench *bench);
vklm_status vklm_bench_check(vklm_bench *bench, bool *out_right);
vklm_status vklm_bench_compile(vklm_bench *bench, bool *out_clean);

// Measures attainable_gbs and the peak of f32 unless it is done.
vklm_status vklm_bench_reference(vklm_bench *bench);

// Measures the peak of an arithmetic unless it is done. The device must be open with a tier that
// has it.
vklm_status vklm_bench_peak(vklm_bench *bench, vklm_bench_arithmetic what);
const char *vklm_bench_arithmetic_name(vklm_bench_arithmetic what);
vklm_bench_arithmetic vklm_bench_arithmetic_of(const vklm_bench *bench, unsigned tier);

// The share of what the memory or the arithmetic, whose peak was measured, would allow, whichever
// is less: members "roofline_share" and "roof", which says which.
void vklm_bench_add_share(const vklm_bench *bench, cJSON *row, double bytes, double flop,
                          vklm_bench_arithmetic what, double us);
double vklm_bench_reported_peak(const cJSON *report, vklm_bench_arithmetic what); // 0: none

#endif
