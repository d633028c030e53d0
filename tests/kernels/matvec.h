// kernels/matvec.h: what the cases of the decode products share.
#ifndef VKLM_TESTS_MATVEC_H
#define VKLM_TESTS_MATVEC_H

#include "kernels/lab.h"
#include "quant/format.h"

// The longest chain of roundings of one result.
double vklm_case_matvec_chain(const vklm_lab *lab, vklm_format format, uint32_t n_cols, bool dot8);

#endif
