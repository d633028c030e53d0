// kernels/input8.h: vectors in 8 bits (ops/input8.h) in the cases of the dot8 tier.
#ifndef VKLM_TESTS_INPUT8_H
#define VKLM_TESTS_INPUT8_H

#include "kernels/lab.h"

// x [n_vectors, n] in 8 bits and 1 or 2 terms, on the device; x becomes what that means, rounded to
// f32.
vklm_gpu_view vklm_case_input8(vklm_lab *lab, float *x, size_t n_vectors, size_t n, uint32_t terms);

// Room for such vectors, poisoned.
vklm_gpu_view vklm_case_output8(vklm_lab *lab, size_t n_vectors, size_t n, uint32_t terms);

// Vectors in 8 bits say what y says: within half a unit of a block's scale, whose largest element
// is 127 of them. A second term says so of what the first one leaves.
void vklm_case_check8(vklm_lab *lab, const char *what, vklm_gpu_view view, const float *y,
                      size_t n_vectors, size_t n, uint32_t terms);

#endif
