// kernels/coop.h: one product of the coop tier, for its cases and for a test of further tiles.
#ifndef VKLM_TESTS_COOP_H
#define VKLM_TESTS_COOP_H

#include "kernels/input16.h"

typedef struct {
    vklm_format format;
    uint32_t n_tokens, n_rows, n_cols;
    bool add;
    input16_kind inputs;
} coop_case;

// `record` records a vklm_op_matmul.
void vklm_case_matmul_coop_check(vklm_lab *lab, coop_case c, vklm_lab_record record);

#endif
