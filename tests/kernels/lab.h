// kernels/lab.h: a device under validation, and buffers that notice what kernels do beside their
// work.
//
// Outputs are poisoned with NaN and stand between canaries; every case runs twice, the second time
// one command at a time, and must give the same bits. A validation message fails the test.
#ifndef VKLM_TESTS_LAB_H
#define VKLM_TESTS_LAB_H

#include <stdint.h>

#include "gpu/cmd.h"
#include "gpu/device.h"
#include "gpu/stage.h"
#include "ops/weight.h"

typedef struct vklm_lab vklm_lab;

// Opens the best device (VK_DRIVER_FILES and the like choose for the loader). NULL when there is no
// Vulkan at all: the reason is in vklm_error_message(), and the test is skipped with it. With
// VKLM_TEST_AS_GPU in the environment a CPU device runs the variants that a GPU with its subgroup
// size would get; with VKLM_TEST_LIMIT (vklm_device_limits_parse) those of a smaller device.
vklm_lab *vklm_lab_open(void);
vklm_lab *vklm_lab_open_tiers(unsigned tiers); // VKLM_TIER_*, as vklm_gpu_device_params has them

// Fails the running test when validation had something to say.
void vklm_lab_close(vklm_lab *lab);

vklm_gpu_device *vklm_lab_device(const vklm_lab *lab);
vklm_gpu_stage *vklm_lab_stage(const vklm_lab *lab);

// Numbers that repeat: uniform in [-1, 1), a new stream for every seed.
void vklm_lab_random(uint64_t seed, float *out, size_t n);

// Uploads `bytes` of data.
vklm_gpu_view vklm_lab_input(vklm_lab *lab, const void *data, size_t bytes);

// n floats of NaN between canaries, or of `data` where a kernel updates what is there.
vklm_gpu_view vklm_lab_output(vklm_lab *lab, const float *data, size_t n);

// A random weight matrix in a format, and its values as they were rounded or packed: *out_values is
// freed by the lab.
vklm_weight vklm_lab_weight(vklm_lab *lab, uint64_t seed, vklm_format format, uint32_t n_rows,
                            uint32_t n_cols, const float **out_values);

// What rounding errors of a kernel scale with, element by element of such a matrix: [n_rows,
// n_cols]. That is |value|, and for an affine format |scale * q| + |minimum|: the two are summed
// apart. Freed by the lab.
const float *vklm_lab_sizes(const vklm_lab *lab, const float *values);

// vklm_ref_matmul with such a matrix; magnitude [n_tokens, n_rows] is sum |size| |x|.
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
typedef void (*vklm_lab_record)(vklm_gpu_cmd *cmd, const void *op);
void vklm_lab_run(vklm_lab *lab, vklm_lab_record record, const void *op);
const float *vklm_lab_read(vklm_lab *lab, vklm_gpu_view output);

// Forgets all buffers, for the next case.
void vklm_lab_clear(vklm_lab *lab);

// Fails the test, naming `what` and the first bad index, unless |got - want| <= factor * 2^-24 *
// magnitude
// + 1e-30 for all n. Reports the largest share of the bound that was used.
void vklm_lab_check(const char *what, const float *got, const double *want, const double *magnitude,
                    size_t n, double factor);

#endif
