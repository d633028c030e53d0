// The coop tier's products against double precision: dense, and of grouped experts.
//
// The bound. x is in f16 already; w is rounded to it, in a direction that Vulkan leaves open: it is
// off by at most 2^-10 of itself, or by 2^-24 where that is more. Products of f16 are exact in f32;
// a matrix unit may cut off sums where it should round: 2^-23 of the sum of magnitudes for each
// addition.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "kernels/cases.h"
#include "kernels/coop.h"
#include "kernels/routing.h"
#include "ops/experts.h"
#include "ops/matmul.h"

enum {
    HALVES = 1 << VKLM_FORMAT_F16 | 1 << VKLM_FORMAT_BF16,
    FORMATS = HALVES | VKLM_CASE_PACKED,
};

// The reference for one token, and the bound in units of 2^-24.
static void expect(const vklm_lab *lab, const float *values, const float *x, input16_kind kind,
                   uint32_t n_rows, uint32_t n_cols, double *y, double *bound)
{
    if (vklm_lab_is_dry(lab))
        return;
    double *xd = vklm_lab_doubles(x, n_cols), sum_x = 0;
    for (uint32_t k = 0; k < n_cols; k++)
        sum_x += fabs(xd[k]);
    vklm_lab_matmul(lab, values, xd, 1, n_rows, n_cols, y, bound);
    const double rounding = kind == INPUT16_EXACT ? 0 : 0x1p14;
    for (uint32_t r = 0; r < n_rows; r++)
        bound[r] = bound[r] * (rounding + 2 * (n_cols + 4)) + sum_x;
    free(xd);
}

// Of a long prompt not every token is computed again in double precision.
static uint32_t n_judged(uint32_t n_tokens)
{
    return n_tokens <= 140 ? n_tokens : 9;
}

static bool finite_row(const float *x, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        if (!isfinite(x[i]))
            return false;
    return true;
}

// One token's results. What is not finite shows in its token's results, and in no other's.
static void judge(const vklm_lab *lab, const char *what, const coop_case *c, const float *values,
                  const float *x, const float *old, const float *got)
{
    double *y = calloc(c->n_rows, sizeof *y), *bound = calloc(c->n_rows, sizeof *bound);
    const bool finite = finite_row(x, c->n_cols);
    if (finite)
        expect(lab, values, x, c->inputs, c->n_rows, c->n_cols, y, bound);
    for (uint32_t r = 0; r < c->n_rows; r++) {
        if (c->add) {
            y[r] += (double)old[r];
            bound[r] += fabs((double)old[r]) + fabs(y[r]);
        }
        vklm_lab_require(finite || !isfinite(got[r]), "%s: row %u is %g", what, r, (double)got[r]);
    }
    if (finite)
        vklm_lab_check(what, got, y, bound, c->n_rows, 1);
    free(y), free(bound);
}

void vklm_case_matmul_coop_check(vklm_lab *lab, coop_case c, vklm_lab_record record)
{
    const size_t n = (size_t)c.n_tokens * c.n_rows, n_x = (size_t)c.n_tokens * c.n_cols;
    const float *values;
    float *x = malloc(n_x * sizeof *x), *old = malloc(n * sizeof *old);
    input16_fill(c.inputs, x, c.n_tokens, c.n_cols);
    vklm_lab_random(c.n_rows, old, n);
    vklm_weight w = vklm_lab_weight(lab, 5, c.format, c.n_rows, c.n_cols, &values);
    vklm_op_matmul op = {.label = "matmul",
                         .weight = &w,
                         .x = vklm_lab_input(lab, x, n_x * sizeof *x),
                         .y = vklm_lab_output(lab, c.add ? old : NULL, n),
                         .n_tokens = c.n_tokens,
                         .add = c.add};
    op.x16 = vklm_case_input16(lab, x, c.n_tokens, c.n_cols);
    vklm_lab_run(lab, record, &op);
    char what[96];
    snprintf(what, sizeof what, "matmul %s %u tokens, %ux%u, inputs %d%s",
             vklm_format_name(c.format), c.n_tokens, c.n_rows, c.n_cols, c.inputs,
             c.add ? ", added" : "");
    const uint32_t judged = n_judged(c.n_tokens);
    for (uint32_t i = 0; i < judged; i++) {
        const size_t t = judged > 1 ? (size_t)i * (c.n_tokens - 1) / (judged - 1) : 0;
        judge(lab, what, &c, values, x + t * c.n_cols, old + t * c.n_rows,
              vklm_lab_read(lab, op.y) + t * c.n_rows);
    }
    free(x), free(old);
    vklm_lab_finish_case(lab, record, &op);
}

static void record_matmul(vklm_gpu_cmd *cmd, const void *op)
{
    vklm_op_matmul_record(cmd, op);
}

static void run_matmul(vklm_lab *lab, vklm_format format, const uint32_t *n)
{
    vklm_case_matmul_coop_check(
        lab, (coop_case){format, n[0], n[1], n[2], n[3], (input16_kind)n[4]}, record_matmul);
}

// As of the base tier's.
static vklm_case_cost cost_matmul(vklm_format format, const uint32_t *n)
{
    return vklm_case_matmul.cost(format, n);
}

// Tiles and edges; the large tile of devices that have one; inputs beyond f16, and not finite.
static const vklm_case_shape matmul_coop_shapes[] = {
    {{8, 1, 8, 0, INPUT16_RANDOM}, 0},
    {{8, 64, 16, 1, INPUT16_RANDOM}, 0},
    {{9, 65, 24, 0, INPUT16_RANDOM}, 0},
    {{64, 64, 64, 1, INPUT16_RANDOM}, 0},
    {{63, 130, 40, 0, INPUT16_RANDOM}, 0},
    {{65, 3, 776, 1, INPUT16_RANDOM}, 0},
    {{9, 331, 96, 0, INPUT16_RANDOM}, 0},
    {{129, 70, 16, 1, INPUT16_RANDOM}, 0},
    {{33, 96, 2048, 0, INPUT16_RANDOM}, 0},
    {{12, 128, 5120, 1, INPUT16_RANDOM}, 0},
    {{8, 1, 256, 0, INPUT16_RANDOM}, 0},
    {{67, 65, 768, 1, INPUT16_RANDOM}, 0},
    {{16, 33, 7168, 0, INPUT16_RANDOM}, 0},
    {{128, 16384, 256, 0, INPUT16_RANDOM}, 0},
    {{8, 40, 256, 0, INPUT16_OUTLIERS}, 0},
    {{70, 20, 2048, 1, INPUT16_OUTLIERS}, 0},
    {{8, 40, 256, 0, INPUT16_HUGE}, 0},
    {{70, 20, 2048, 1, INPUT16_HUGE}, 0},
    {{10, 20, 64, 0, INPUT16_NOT_FINITE}, 0},
    {{10, 20, 256, 0, INPUT16_NOT_FINITE}, 0},
    {{64, 6144, 2048, 0, INPUT16_RANDOM}, VKLM_CASE_BIG},
    {{17, 5120, 13824, 1, INPUT16_OUTLIERS}, VKLM_CASE_BIG},
    {{8, 99584, 2048, 0, INPUT16_RANDOM}, VKLM_CASE_BIG},
    {{256, 6144, 2048, 0, INPUT16_RANDOM}, VKLM_CASE_1_8B},
    {{256, 2048, 2048, 1, INPUT16_RANDOM}, VKLM_CASE_1_8B},
    {{256, 14336, 2048, 0, INPUT16_RANDOM}, VKLM_CASE_1_8B},
    {{256, 2048, 7168, 1, INPUT16_RANDOM}, VKLM_CASE_1_8B},
    {{256, 15360, 5120, 0, INPUT16_RANDOM}, VKLM_CASE_13B | VKLM_CASE_8X13B},
    {{512, 6144, 2048, 0, INPUT16_RANDOM}, VKLM_CASE_1_8B},
    {{512, 15360, 5120, 0, INPUT16_RANDOM}, VKLM_CASE_13B | VKLM_CASE_8X13B},
    {{2048, 6144, 2048, 0, INPUT16_RANDOM}, VKLM_CASE_1_8B},
    {{2048, 15360, 5120, 0, INPUT16_RANDOM}, VKLM_CASE_13B | VKLM_CASE_8X13B},
    {{4096, 6144, 2048, 0, INPUT16_RANDOM}, VKLM_CASE_1_8B},
    {{4096, 15360, 5120, 0, INPUT16_RANDOM}, VKLM_CASE_13B | VKLM_CASE_8X13B},
    {{256, 5120, 5120, 1, INPUT16_RANDOM}, VKLM_CASE_13B | VKLM_CASE_8X13B},
    {{256, 27648, 5120, 0, INPUT16_RANDOM}, VKLM_CASE_13B},
    {{256, 5120, 13824, 1, INPUT16_RANDOM}, VKLM_CASE_13B},
};

const vklm_case_family vklm_case_matmul_coop = {
    .name = "matmul.coop",
    .dims = {"tokens", "rows", "columns", "added", "inputs"},
    .formats = true,
    .format_mask = FORMATS,
    .tier = VKLM_TIER_COOP,
    .shapes = matmul_coop_shapes,
    .n_shapes = sizeof matmul_coop_shapes / sizeof *matmul_coop_shapes,
    .run = run_matmul,
    .cost = cost_matmul,
    .columns = vklm_case_third,
};

// Where f16 holds every operand, no more is lost than by sums in f32: nothing is left out or
// counted twice.
static const vklm_case_shape matmul_coop_exact_shapes[] = {
    {{8, 1, 8, 0, INPUT16_EXACT}, 0},      {{8, 64, 16, 1, INPUT16_EXACT}, 0},
    {{9, 65, 24, 0, INPUT16_EXACT}, 0},    {{64, 64, 64, 1, INPUT16_EXACT}, 0},
    {{63, 130, 40, 0, INPUT16_EXACT}, 0},  {{65, 3, 776, 1, INPUT16_EXACT}, 0},
    {{9, 331, 96, 0, INPUT16_EXACT}, 0},   {{129, 70, 16, 1, INPUT16_EXACT}, 0},
    {{33, 96, 2048, 0, INPUT16_EXACT}, 0}, {{12, 128, 5120, 1, INPUT16_EXACT}, 0},
    {{8, 1, 256, 0, INPUT16_EXACT}, 0},    {{67, 65, 768, 1, INPUT16_EXACT}, 0},
    {{16, 33, 7168, 0, INPUT16_EXACT}, 0},
};

const vklm_case_family vklm_case_matmul_coop_exact = {
    .name = "matmul.coop.exact",
    .dims = {"tokens", "rows", "columns", "added", "inputs"},
    .formats = true,
    .format_mask = HALVES,
    .tier = VKLM_TIER_COOP,
    .shapes = matmul_coop_exact_shapes,
    .n_shapes = sizeof matmul_coop_exact_shapes / sizeof *matmul_coop_exact_shapes,
    .run = run_matmul,
    .cost = cost_matmul,
    .columns = vklm_case_third,
};

// Grouped experts: gate and up, or down.
typedef struct {
    vklm_op_expert_group group;
    vklm_op_expert_matmul matmul;
} grouped;

static void record_grouped(vklm_gpu_cmd *cmd, const void *op)
{
    const grouped *g = op;
    vklm_op_expert_group_record(cmd, &g->group);
    vklm_op_expert_matmul_record(cmd, &g->matmul);
}

typedef struct {
    routing routing;
    uint32_t n_hidden, n_intermediate;
    bool down;
    input16_kind inputs;
} experts_coop;

static void check_experts(vklm_lab *lab, vklm_format format, experts_coop e)
{
    const routing r = e.routing;
    const uint32_t n = r.n_tokens * r.top_k, n_x = e.down ? n : r.n_tokens;
    const coop_case c = {.format = format,
                         .n_rows = e.down ? e.n_hidden : 2 * e.n_intermediate,
                         .n_cols = e.down ? e.n_intermediate : e.n_hidden,
                         .inputs = e.inputs};
    experts_case experts;
    experts_make(lab, format, (experts_shape){r.n_experts, r.top_k, e.n_hidden, e.n_intermediate},
                 e.down, &experts);
    vklm_expert_groups groups = experts_groups(lab, r);
    struct vklm_args_route *routes = routing_make(r);
    float *x = malloc((size_t)n_x * c.n_cols * sizeof *x);
    input16_fill(e.inputs, x, n_x, c.n_cols);
    grouped op = {.group = {.experts = &experts.e,
                            .routes = vklm_lab_input(lab, routes, n * sizeof *routes),
                            .groups = &groups,
                            .n_tokens = r.n_tokens},
                  .matmul = {.experts = &experts.e,
                             .groups = &groups,
                             .x = vklm_lab_input(lab, x, (size_t)n_x * c.n_cols * sizeof *x),
                             .y = vklm_lab_output(lab, NULL, (size_t)n * c.n_rows),
                             .down = e.down}};
    op.matmul.x16 = vklm_case_input16(lab, x, n_x, c.n_cols);
    vklm_lab_run(lab, record_grouped, &op);
    const uint32_t judged = n_judged(n);
    for (uint32_t j = 0; j < judged; j++) {
        const size_t i = judged > 1 ? (size_t)j * (n - 1) / (judged - 1) : 0;
        const size_t place = vklm_lab_word(vklm_lab_read(lab, groups.places), i);
        const size_t row = e.down ? place : i / r.top_k;
        judge(lab, e.down ? "grouped down" : "grouped gate up", &c,
              experts.values[routes[i].expert], x + row * c.n_cols, NULL,
              vklm_lab_read(lab, op.matmul.y) + place * c.n_rows);
    }
    free(routes), free(x);
    vklm_lab_finish_case(lab, record_grouped, &op);
}

static experts_coop experts_of(const vklm_lab *lab, const uint32_t *n, bool down)
{
    const uint32_t n_tokens = routing_capped(lab, n[0]);
    return (experts_coop){
        // the remainder as the step: tokens spread over the experts, or all on the same ones
        .routing = {n[1], n[2], n_tokens, n_tokens % n[1], 1},
        .n_hidden = n[3],
        .n_intermediate = n[4],
        .down = down,
        .inputs = (input16_kind)n[5]};
}

static void run_gate_up(vklm_lab *lab, vklm_format format, const uint32_t *n)
{
    check_experts(lab, format, experts_of(lab, n, false));
}

static void run_down(vklm_lab *lab, vklm_format format, const uint32_t *n)
{
    check_experts(lab, format, experts_of(lab, n, true));
}

static vklm_case_cost cost_gate_up(vklm_format format, const uint32_t *n)
{
    return vklm_case_expert_matmul.cost(format, n);
}

static vklm_case_cost cost_down(vklm_format format, const uint32_t *n)
{
    const double rows = (double)n[0] * n[2];
    return (vklm_case_cost){.flop = 2 * rows * n[3] * n[4],
                            .bytes = n[1] * vklm_case_weight_bytes(format, n[3], n[4]) +
                                     4.0 * rows * (n[4] + (double)n[3])};
}

static uint32_t columns(const uint32_t *n)
{
    return experts_columns(n[3], n[4]);
}

static const vklm_case_shape gate_up_shapes[] = {
    {{3, 2, 1, 96, 64, INPUT16_RANDOM}, 0},
    {{3, 2, 1, 256, 512, INPUT16_RANDOM}, 0},
    {{127, 2, 1, 5120, 13824, INPUT16_RANDOM}, VKLM_CASE_8X13B},
};
static const vklm_case_shape gate_up_exact_shapes[] = {
    {{3, 2, 1, 96, 64, INPUT16_EXACT}, 0},
    {{128, 4, 1, 96, 64, INPUT16_EXACT}, 0},
};
static const vklm_case_shape down_shapes[] = {
    {{67, 8, 2, 96, 64, INPUT16_OUTLIERS}, 0},
    {{67, 8, 2, 256, 512, INPUT16_OUTLIERS}, 0},
    {{127, 2, 1, 5120, 13824, INPUT16_RANDOM}, VKLM_CASE_8X13B},
};
static const vklm_case_shape down_exact_shapes[] = {{{100, 3, 2, 96, 64, INPUT16_EXACT}, 0}};

const vklm_case_family vklm_case_expert_coop = {
    .name = "expert.matmul.coop",
    .dims = {"tokens", "experts", "of a token", "hidden", "intermediate", "inputs"},
    .formats = true,
    .format_mask = FORMATS,
    .tier = VKLM_TIER_COOP,
    .shapes = gate_up_shapes,
    .n_shapes = sizeof gate_up_shapes / sizeof *gate_up_shapes,
    .run = run_gate_up,
    .cost = cost_gate_up,
    .columns = columns,
};

const vklm_case_family vklm_case_expert_coop_exact = {
    .name = "expert.matmul.coop.exact",
    .dims = {"tokens", "experts", "of a token", "hidden", "intermediate", "inputs"},
    .formats = true,
    .format_mask = HALVES,
    .tier = VKLM_TIER_COOP,
    .shapes = gate_up_exact_shapes,
    .n_shapes = sizeof gate_up_exact_shapes / sizeof *gate_up_exact_shapes,
    .run = run_gate_up,
    .cost = cost_gate_up,
    .columns = columns,
};

const vklm_case_family vklm_case_expert_coop_down = {
    .name = "expert.matmul.down.coop",
    .dims = {"tokens", "experts", "of a token", "hidden", "intermediate", "inputs"},
    .formats = true,
    .format_mask = FORMATS,
    .tier = VKLM_TIER_COOP,
    .shapes = down_shapes,
    .n_shapes = sizeof down_shapes / sizeof *down_shapes,
    .run = run_down,
    .cost = cost_down,
    .columns = columns,
};

const vklm_case_family vklm_case_expert_coop_down_exact = {
    .name = "expert.matmul.down.coop.exact",
    .dims = {"tokens", "experts", "of a token", "hidden", "intermediate", "inputs"},
    .formats = true,
    .format_mask = HALVES,
    .tier = VKLM_TIER_COOP,
    .shapes = down_exact_shapes,
    .n_shapes = sizeof down_exact_shapes / sizeof *down_exact_shapes,
    .run = run_down,
    .cost = cost_down,
    .columns = columns,
};
