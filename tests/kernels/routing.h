// kernels/routing.h: what the cases of the router and of the experts share.
#ifndef VKLM_TESTS_ROUTING_H
#define VKLM_TESTS_ROUTING_H

#include <stddef.h>
#include <stdint.h>

#include "args.h"
#include "kernels/lab.h"
#include "ops/experts.h"

enum { MAX_EXPERTS = 64 };

// Routes as a test wants them: token t's slot s is of expert (t * step + s * stride) % n_experts,
// with weights that differ.
typedef struct {
    uint32_t n_experts, top_k, n_tokens, step, stride;
} routing;

// vklm_args_route [n_tokens, top_k], freed by the caller.
struct vklm_args_route *routing_make(routing r);

struct vklm_args_route routing_route(const float *words, size_t i);

// Tables count tokens up to 512: a device with shorter chunks takes as many fewer, of
// those in between as many as it can.
uint32_t routing_capped(const vklm_lab *lab, uint32_t n_tokens);

typedef struct {
    uint32_t n_experts, top_k, n_hidden, n_intermediate;
} experts_shape;

// Random experts in a format, with one of their two matrices, and its values.
typedef struct {
    vklm_experts e;
    const float *values[MAX_EXPERTS];
} experts_case;
void experts_make(vklm_lab *lab, vklm_format format, experts_shape s, bool down, experts_case *out);

// Outputs for the groups of such a routing.
vklm_expert_groups experts_groups(vklm_lab *lab, routing r);

// vklm_ref_matmul of one row; with inputs in 8 bits the scale and the minimum of an affine format
// are summed apart (vklm_lab_matmul).
void experts_multiply(const vklm_lab *lab, const float *values, const double *x, size_t n_rows,
                      size_t n_cols, bool dot8, double *y, double *size);

// Columns for a family of experts: a format takes both widths when it takes this.
uint32_t experts_columns(uint32_t n_hidden, uint32_t n_intermediate);

#endif
