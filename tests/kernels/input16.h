// kernels/input16.h: rows in f16 (ops/input16.h) in the cases of the coop tier.
#ifndef VKLM_TESTS_INPUT16_H
#define VKLM_TESTS_INPUT16_H

#include "kernels/lab.h"

// What differs between the cases' inputs.
typedef enum {
    INPUT16_RANDOM,     // uniform in [-1, 1)
    INPUT16_EXACT,      // multiples of 2^-10: f16 holds them
    INPUT16_OUTLIERS,   // beyond f16 here and there
    INPUT16_HUGE,       // beyond what leaves anything of the row's others
    INPUT16_NOT_FINITE, // an infinity for row 2, a NaN for row 5
} input16_kind;

// Fills x [n_rows, n_cols].
void input16_fill(input16_kind kind, float *x, uint32_t n_rows, uint32_t n_cols);

// x in f16, on the device; x becomes what that means.
vklm_gpu_view vklm_case_input16(vklm_lab *lab, float *x, size_t n_rows, size_t n_cols);

#endif
