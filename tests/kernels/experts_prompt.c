// The products of many tokens with their experts against double precision: group, gate and up; and
// group, down, combine.
#include <math.h>
#include <stdlib.h>

#include "kernels/cases.h"
#include "kernels/input8.h"
#include "kernels/routing.h"
#include "ops/experts.h"

typedef struct {
    vklm_op_expert_group group;
    vklm_op_expert_matmul matmul;
    vklm_op_expert_combine combine; // unless it has no rows
} grouped;

static void record_grouped(vklm_gpu_cmd *cmd, const void *op)
{
    const grouped *g = op;
    vklm_op_expert_group_record(cmd, &g->group);
    vklm_op_expert_matmul_record(cmd, &g->matmul);
    if (g->combine.rows.buffer)
        vklm_op_expert_combine_record(cmd, &g->combine);
}

// The longest chain of roundings of one result (matmul.c), with inputs in 8 bits or, of 0 terms, in
// f32.
static double chain(uint32_t n_cols, uint32_t terms)
{
    return terms ? n_cols / 32 * 2 * terms + 6 : n_cols + 2;
}

static void check_gate_up(vklm_lab *lab, vklm_format format, experts_shape s, routing r,
                          uint32_t terms)
{
    const uint32_t h = s.n_hidden, width = 2 * s.n_intermediate;
    const size_t n_rows = (size_t)r.n_tokens * r.top_k, n_x = (size_t)r.n_tokens * h;
    experts_case c;
    experts_make(lab, format, s, false, &c);
    vklm_expert_groups groups = experts_groups(lab, r);
    struct vklm_args_route *routes = routing_make(r);
    float *x = malloc(n_x * sizeof *x);
    double *y = calloc(width, sizeof *y), *size = calloc(width, sizeof *size);
    vklm_lab_random(h + width, x, n_x);
    grouped op = {.group = {.experts = &c.e,
                            .routes = vklm_lab_input(lab, routes, n_rows * sizeof *routes),
                            .groups = &groups,
                            .n_tokens = r.n_tokens},
                  .matmul = {.experts = &c.e,
                             .groups = &groups,
                             .x = vklm_lab_input(lab, x, n_x * sizeof *x),
                             .x8_terms = terms,
                             .y = vklm_lab_output(lab, NULL, n_rows * width)}};
    if (terms)
        op.matmul.x8 = vklm_case_input8(lab, x, r.n_tokens, h, terms);
    vklm_lab_run(lab, record_grouped, &op);
    double *xd = vklm_lab_doubles(x, n_x);
    for (uint32_t i = 0; i < n_rows; i++) {
        size_t place = vklm_lab_word(vklm_lab_read(lab, groups.places), i);
        experts_multiply(lab, c.values[routes[i].expert], xd + (size_t)(i / r.top_k) * h, width, h,
                         false, y, size);
        vklm_lab_check("grouped gate up", vklm_lab_read(lab, op.matmul.y) + place * width, y, size,
                       width, chain(h, terms));
    }
    free(routes), free(x), free(xd), free(y), free(size);
    vklm_lab_finish_case(lab, record_grouped, &op);
}

static void check_down_and_combine(vklm_lab *lab, vklm_format format, experts_shape s, routing r,
                                   uint32_t terms)
{
    const uint32_t h = s.n_hidden, m = s.n_intermediate;
    const size_t n_rows = (size_t)r.n_tokens * r.top_k, n = (size_t)r.n_tokens * h;
    experts_case c;
    experts_make(lab, format, s, true, &c);
    vklm_expert_groups groups = experts_groups(lab, r);
    struct vklm_args_route *routes = routing_make(r);
    float *x = malloc(n_rows * m * sizeof *x), *old = malloc(n * sizeof *old);
    double *one = calloc(h, sizeof *one), *one_size = calloc(h, sizeof *one_size);
    vklm_lab_random(h + m, x, n_rows * m);
    vklm_lab_random(h + m + 1, old, n);
    vklm_gpu_view routes_view = vklm_lab_input(lab, routes, n_rows * sizeof *routes);
    vklm_gpu_view rows = vklm_lab_output(lab, NULL, n_rows * h);
    grouped op = {.group = {.experts = &c.e,
                            .routes = routes_view,
                            .groups = &groups,
                            .n_tokens = r.n_tokens},
                  .matmul = {.experts = &c.e,
                             .groups = &groups,
                             .x = vklm_lab_input(lab, x, n_rows * m * sizeof *x),
                             .x8_terms = terms,
                             .y = rows,
                             .down = true},
                  .combine = {.experts = &c.e,
                              .groups = &groups,
                              .routes = routes_view,
                              .rows = rows,
                              .x = vklm_lab_output(lab, old, n),
                              .n_tokens = r.n_tokens}};
    if (terms)
        op.matmul.x8 = vklm_case_input8(lab, x, n_rows, m, terms);
    vklm_lab_run(lab, record_grouped, &op);
    double *xd = vklm_lab_doubles(x, n_rows * m), *want = vklm_lab_doubles(old, n),
           *size = vklm_lab_doubles(old, n);
    for (size_t i = 0; i < n; i++)
        size[i] = fabs(size[i]);
    for (uint32_t i = 0; i < n_rows; i++) {
        struct vklm_args_route route = routes[i];
        size_t place = vklm_lab_word(vklm_lab_read(lab, groups.places), i), t = i / r.top_k;
        experts_multiply(lab, c.values[route.expert], xd + place * m, h, m, false, one, one_size);
        for (uint32_t k = 0; k < h; k++) {
            want[t * h + k] += (double)route.weight * one[k];
            size[t * h + k] += fabs((double)route.weight) * one_size[k];
        }
    }
    vklm_lab_check("combined", vklm_lab_read(lab, op.combine.x), want, size, n,
                   chain(m, terms) + 2 * r.top_k);
    free(routes), free(x), free(xd), free(old), free(one), free(one_size), free(want), free(size);
    vklm_lab_finish_case(lab, record_grouped, &op);
}

// Spread evenly, all on the same experts (others get none), more tokens than a tile has.
static routing routing_of(const vklm_lab *lab, const uint32_t *n)
{
    return (routing){n[1], n[2], routing_capped(lab, n[0]), n[5], n[5] ? n[1] - 1 : 1};
}

static void run_gate_up(vklm_lab *lab, vklm_format format, const uint32_t *n)
{
    check_gate_up(lab, format, (experts_shape){n[1], n[2], n[3], n[4]}, routing_of(lab, n), 0);
}

static void run_gate_up_dot8(vklm_lab *lab, vklm_format format, const uint32_t *n)
{
    check_gate_up(lab, format, (experts_shape){n[1], n[2], n[3], n[4]}, routing_of(lab, n), 1);
}

static void run_down_and_combine(vklm_lab *lab, vklm_format format, const uint32_t *n)
{
    check_down_and_combine(lab, format, (experts_shape){n[1], n[2], n[3], n[4]}, routing_of(lab, n),
                           0);
}

static void run_down_and_combine_dot8(vklm_lab *lab, vklm_format format, const uint32_t *n)
{
    check_down_and_combine(lab, format, (experts_shape){n[1], n[2], n[3], n[4]}, routing_of(lab, n),
                           2);
}

static uint32_t grouped_columns(const uint32_t *n)
{
    return experts_columns(n[3], n[4]);
}

// Every expert's weights once, each token's input, and its results once for each expert.
static vklm_case_cost cost_gate_up(vklm_format format, const uint32_t *n)
{
    const double rows = (double)n[0] * n[2];
    return (vklm_case_cost){.flop = 4 * rows * n[3] * n[4],
                            .bytes = n[1] * vklm_case_weight_bytes(format, 2 * n[4], n[3]) +
                                     4.0 * (n[0] * (double)n[3] + rows * 2 * n[4])};
}

static vklm_case_cost cost_down_and_combine(vklm_format format, const uint32_t *n)
{
    const double rows = (double)n[0] * n[2];
    return (vklm_case_cost){.flop = 2 * rows * n[3] * n[4],
                            .bytes = n[1] * vklm_case_weight_bytes(format, n[3], n[4]) +
                                     4.0 * (rows * (n[4] + 2.0 * n[3]) + 2.0 * n[0] * n[3])};
}

// clang-format off
#define GROUPED(n, k, h, m, some, most)                                                            \
    {{1, n, k, h, m, 0}, 0}, {{some, n, k, h, m, 1}, 0}, {{most, n, k, h, m, 0}, 0}
static const vklm_case_shape grouped_shapes[] = {
    GROUPED(2, 1, 8, 8, 37, 512),
    GROUPED(4, 1, 24, 40, 37, 512),
    GROUPED(8, 2, 96, 160, 37, 512),
    GROUPED(16, 4, 64, 104, 37, 512),
    GROUPED(3, 2, 256, 512, 5, 9),
    GROUPED(3, 2, 5120, 32, 5, 9),
    GROUPED(3, 2, 32, 13824, 5, 9),
    GROUPED(8, 8, 256, 256, 5, 9),
    {{32, 2, 1, 5120, 13824, 1}, VKLM_CASE_8X13B},
};
static const vklm_case_shape grouped_dot8_shapes[] = {
    GROUPED(2, 1, 64, 64, 37, 512),
    GROUPED(8, 2, 256, 512, 37, 500),
    GROUPED(3, 2, 5120, 64, 5, 9),
    GROUPED(3, 2, 64, 13824, 5, 9),
    {{32, 2, 1, 5120, 13824, 1}, VKLM_CASE_8X13B},
};
#undef GROUPED
// clang-format on

const vklm_case_family vklm_case_expert_matmul = {
    .name = "expert.matmul",
    .dims = {"tokens", "experts", "of a token", "hidden", "intermediate", "spread"},
    .formats = true,
    .shapes = grouped_shapes,
    .n_shapes = sizeof grouped_shapes / sizeof *grouped_shapes,
    .run = run_gate_up,
    .cost = cost_gate_up,
    .columns = grouped_columns,
};

const vklm_case_family vklm_case_expert_matmul_down = {
    .name = "expert.matmul.down",
    .dims = {"tokens", "experts", "of a token", "hidden", "intermediate", "spread"},
    .formats = true,
    .shapes = grouped_shapes,
    .n_shapes = sizeof grouped_shapes / sizeof *grouped_shapes,
    .run = run_down_and_combine,
    .cost = cost_down_and_combine,
    .columns = grouped_columns,
};

const vklm_case_family vklm_case_expert_matmul_dot8 = {
    .name = "expert.matmul.dot8",
    .dims = {"tokens", "experts", "of a token", "hidden", "intermediate", "spread"},
    .formats = true,
    .format_mask = VKLM_CASE_PACKED,
    .tier = VKLM_TIER_DOT8,
    .shapes = grouped_dot8_shapes,
    .n_shapes = sizeof grouped_dot8_shapes / sizeof *grouped_dot8_shapes,
    .run = run_gate_up_dot8,
    .cost = cost_gate_up,
    .columns = grouped_columns,
};

const vklm_case_family vklm_case_expert_matmul_down_dot8 = {
    .name = "expert.matmul.down.dot8",
    .dims = {"tokens", "experts", "of a token", "hidden", "intermediate", "spread"},
    .formats = true,
    .format_mask = VKLM_CASE_PACKED,
    .tier = VKLM_TIER_DOT8,
    .shapes = grouped_dot8_shapes,
    .n_shapes = sizeof grouped_dot8_shapes / sizeof *grouped_dot8_shapes,
    .run = run_down_and_combine_dot8,
    .cost = cost_down_and_combine,
    .columns = grouped_columns,
};
