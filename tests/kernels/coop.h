// kernels/coop.h: one product of the coop tier, for its cases and for a test of further tiles.
#ifndef VKLM_TESTS_COOP_H
#define VKLM_TESTS_COOP_H

#include "kernels/lab.h"

// What differs between the cases' inputs.
typedef enum {
    COOP_RANDOM,     // uniform in [-1, 1)
    COOP_EXACT,      // multiples of 2^-10: f16 holds them, and the bound is that of sums in f32
    COOP_OUTLIERS,   // beyond f16 here and there, growing along the columns
    COOP_HUGE,       // beyond what leaves anything of the others
    COOP_NOT_FINITE, // an infinity for token 2, a NaN for token 5
} coop_inputs;

typedef struct {
    vklm_format format;
    uint32_t n_tokens, n_rows, n_cols;
    bool add;
    coop_inputs inputs;
} coop_case;

// `record` records a vklm_op_matmul.
void vklm_case_matmul_coop_check(vklm_lab *lab, coop_case c, vklm_lab_record record);

#endif
