// kernels/lab.h: running a kernel and judging what it did, for the tests and for vkbench.
//
// Outputs are poisoned with NaN and stand between canaries; every case runs twice, the second time
// one command at a time, and must give the same bits. Failure is sticky until the next clear: after
// the first one nothing more runs or is judged, so that a case is written as a straight line.
#ifndef VKLM_TESTS_LAB_H
#define VKLM_TESTS_LAB_H

#include <stdint.h>

#include "gpu/cmd.h"
#include "gpu/device.h"
#include "gpu/stage.h"
#include "ops/weight.h"

typedef struct vklm_lab vklm_lab;
typedef void (*vklm_lab_record)(vklm_gpu_cmd *cmd, const void *op);

typedef struct {
    vklm_gpu_device *device; // must outlive the laboratory
    bool dry;                // build the pipelines of every case, and nothing else
    bool corrupt; // alter the first number of every case's first output: what does a failure look
                  // like?
    // Told the first failure of a case; may end the test, or return.
    void (*failed)(void *opaque, const char *message);
    // Optional. Called when all that a case checks was right, while its buffers are still there:
    // `record` with `op` records it again. `worst` is the largest share of an error bound that was
    // used.
    void (*passed)(void *opaque, vklm_lab *lab, vklm_lab_record record, const void *op,
                   double worst);
    void *opaque;
} vklm_lab_params;

// One laboratory at a time.
vklm_status vklm_lab_create(const vklm_lab_params *params, vklm_lab **out_lab);
void vklm_lab_destroy(vklm_lab *lab); // takes NULL; not the device

vklm_gpu_device *vklm_lab_device(const vklm_lab *lab);
vklm_gpu_stage *vklm_lab_stage(const vklm_lab *lab);

bool vklm_lab_is_dry(const vklm_lab *lab);

// Numbers that repeat: uniform in [-1, 1), a new stream for every seed. Zeros when dry.
void vklm_lab_random(uint64_t seed, float *out, size_t n);

// x in double precision; freed by the caller.
double *vklm_lab_doubles(const float *x, size_t n);

// Uploads `bytes` of data.
vklm_gpu_view vklm_lab_input(vklm_lab *lab, const void *data, size_t bytes);

// n floats of NaN between canaries, or of `data` where a kernel updates what is there.
vklm_gpu_view vklm_lab_output(vklm_lab *lab, const float *data, size_t n);

// A matrix of these values in a format, released with free(), and its bytes. NULL when memory is
// short.
void *vklm_lab_matrix(vklm_format format, uint32_t n_rows, uint32_t n_cols, const float *values);
uint64_t vklm_lab_matrix_bytes(vklm_format format, uint32_t n_rows, uint32_t n_cols);

// A random weight matrix in a format, and its values as they were rounded or packed: *out_values is
// freed by the lab.
vklm_weight vklm_lab_weight(vklm_lab *lab, uint64_t seed, vklm_format format, uint32_t n_rows,
                            uint32_t n_cols, const float **out_values);

// vklm_ref_matmul with such a matrix. magnitude [n_tokens, n_rows] is what rounding errors of a
// kernel scale with: sum |value| |x|, and for an affine format sum (|scale * q| + |minimum|) |x|,
// for the two are summed apart.
void vklm_lab_matmul(const vklm_lab *lab, const float *values, const double *x, size_t n_tokens,
                     size_t n_rows, size_t n_cols, double *y, double *magnitude);

// Checks one row of a q8 matrix that a kernel has made against values good to factor * 2^-24 *
// magnitude: each block of 32 may be off by half a step of its scale, and a little where the scale
// itself was rounded.
void vklm_lab_check_q8(const char *what, const void *matrix, uint32_t n_rows, uint32_t n_cols,
                       uint32_t row, const double *want, const double *magnitude, double factor);

// Records with `record`, runs, checks the canaries of every output, runs once more in a serial
// command buffer and checks for the same bits. Afterwards vklm_lab_read gives an output's floats
// (freed by the lab).
void vklm_lab_run(vklm_lab *lab, vklm_lab_record record, const void *op);
const float *vklm_lab_read(vklm_lab *lab, vklm_gpu_view output);

// A word of what vklm_lab_read gave, where it holds no floats.
uint32_t vklm_lab_word(const float *words, size_t i);

// What lies in a buffer that is no output, such as scratch: zeros when dry.
void vklm_lab_peek(vklm_lab *lab, vklm_gpu_view view, void *out);

// The end of a case: hands what was right to `passed`, and clears.
void vklm_lab_finish_case(vklm_lab *lab, vklm_lab_record record, const void *op);

// Forgets all buffers and failures, for the next case.
void vklm_lab_clear(vklm_lab *lab);

// What a case checks beside its numbers: fails it with a sentence unless `right`.
void vklm_lab_require(bool right, const char *format, ...) VKLM_PRINTF(2, 3);

// Fails the case, naming `what` and the first bad index, unless |got - want| <= factor * 2^-24 *
// magnitude
// + 1e-30 for all n.
void vklm_lab_check(const char *what, const float *got, const double *want, const double *magnitude,
                    size_t n, double factor);

// For tests (lab_test.c): the best device, under validation; a failure ends the running Criterion
// test, and so does a validation message at close. NULL when there is no Vulkan at all: the reason
// is in vklm_error_message(), and the test is skipped with it. With VKLM_TEST_AS_GPU in the
// environment a CPU device runs the variants that a GPU with its subgroup size would get;
// with VKLM_TEST_LIMIT (vklm_device_limits_parse) those of a smaller device.
vklm_lab *vklm_lab_open(void);
vklm_lab *vklm_lab_open_tiers(unsigned tiers); // VKLM_TIER_*, as vklm_gpu_device_params has them
void vklm_lab_close(vklm_lab *lab);

#endif
