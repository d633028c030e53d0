#include "kernels/routing.h"

#include <stdlib.h>
#include <string.h>

#include "ops/tune.h"
#include "ref/ops.h"

struct vklm_args_route *routing_make(routing r)
{
    const uint32_t n = r.n_tokens * r.top_k;
    struct vklm_args_route *routes = malloc(n * sizeof *routes);
    float *weights = malloc(n * sizeof *weights);
    vklm_lab_random(r.n_tokens, weights, n);
    for (uint32_t i = 0; i < n; i++)
        routes[i] = (struct vklm_args_route){
            .expert = (i / r.top_k * r.step + i % r.top_k * r.stride) % r.n_experts,
            .weight = weights[i],
        };
    free(weights);
    return routes;
}

struct vklm_args_route routing_route(const float *words, size_t i)
{
    struct vklm_args_route route;
    memcpy(&route, words + 2 * i, sizeof route);
    return route;
}

uint32_t routing_capped(const vklm_lab *lab, uint32_t n_tokens)
{
    const uint32_t most =
        vklm_tune_select(vklm_gpu_device_caps(vklm_lab_device(lab))).prefill_tokens;
    if (n_tokens <= most)
        return n_tokens;
    return n_tokens + most > 512 ? n_tokens + most - 512 : most;
}

void experts_make(vklm_lab *lab, vklm_format format, experts_shape s, bool down, experts_case *out)
{
    struct vklm_args_expert rows[MAX_EXPERTS] = {0};
    for (uint32_t e = 0; e < s.n_experts; e++) {
        vklm_weight w = vklm_lab_weight(lab, 2 * e + 10 + down, format,
                                        down ? s.n_hidden : 2 * s.n_intermediate,
                                        down ? s.n_intermediate : s.n_hidden, &out->values[e]);
        *(down ? &rows[e].down : &rows[e].gate_up) = vklm_gpu_view_address(w.data);
    }
    out->e = (vklm_experts){.table = vklm_lab_input(lab, rows, s.n_experts * sizeof *rows),
                            .gate_up_format = format,
                            .down_format = format,
                            .n_experts = s.n_experts,
                            .top_k = s.top_k,
                            .n_hidden = s.n_hidden,
                            .n_intermediate = s.n_intermediate};
}

vklm_expert_groups experts_groups(vklm_lab *lab, routing r)
{
    const vklm_gpu_caps *caps = vklm_gpu_device_caps(vklm_lab_device(lab));
    const uint32_t n = r.n_tokens * r.top_k;
    return (vklm_expert_groups){
        .dispatch = vklm_lab_output(lab, NULL, 6),
        .tiles =
            vklm_lab_output(lab, NULL,
                            (size_t)vklm_op_expert_tiles(caps, r.n_tokens, r.n_experts, r.top_k) *
                                sizeof(struct vklm_args_tile) / sizeof(float)),
        .entries = vklm_lab_output(lab, NULL, n),
        .places = vklm_lab_output(lab, NULL, n),
    };
}

void experts_multiply(const vklm_lab *lab, const float *values, const double *x, size_t n_rows,
                      size_t n_cols, bool dot8, double *y, double *size)
{
    if (dot8)
        vklm_lab_matmul(lab, values, x, 1, n_rows, n_cols, y, size);
    else if (!vklm_lab_is_dry(lab))
        vklm_ref_matmul(values, x, 1, n_rows, n_cols, y, size);
}

uint32_t experts_columns(uint32_t n_hidden, uint32_t n_intermediate)
{
    while (n_intermediate) {
        uint32_t rest = n_hidden % n_intermediate;
        n_hidden = n_intermediate;
        n_intermediate = rest;
    }
    return n_hidden;
}
