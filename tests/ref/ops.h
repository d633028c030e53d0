// ref/ops.h: what the kernels compute, in double precision, in the shortest loops that say it.
//
// Each also gives, where errors scale with it, the magnitude of every result: the sum of the
// absolute values of its terms.
#ifndef VKLM_REF_OPS_H
#define VKLM_REF_OPS_H

#include <stddef.h>
#include <stdint.h>

// y[t, r] = sum_k w[r, k] x[t, k]; magnitude (may be NULL) the same of absolute values.
// w [n_rows, n_cols], x [n_tokens, n_cols], y and magnitude [n_tokens, n_rows]
void vklm_ref_matmul(const float *w, const double *x, size_t n_tokens, size_t n_rows, size_t n_cols,
                     double *y, double *magnitude);

// y[i] = x[i] norm[i] / sqrt(mean(x^2) + eps)
void vklm_ref_rmsnorm(const double *x, const float *norm, size_t n, double eps, double *y);

double vklm_ref_silu(double z);

// The k largest of n scores, of equal ones the lower index first, and their softmax: experts,
// weights [k].
void vklm_ref_route(const double *scores, size_t n, size_t k, uint32_t *experts, double *weights);

// Rotates one head in place: elements i and i + n / 2 by position * theta^(-2i / n), the angle
// rounded to f32 as in Hugging Face's table.
void vklm_ref_rope(double *head, size_t n, uint32_t position, double theta);

// One query over `length` positions: y[i] = sum_p softmax_p(scale q . k[p]) v[p, i].
// k, v [length, n] with `stride` elements from one position to the next
void vklm_ref_attention(const double *q, const double *k, const double *v, size_t length, size_t n,
                        size_t stride, double scale, double *y);

#endif
