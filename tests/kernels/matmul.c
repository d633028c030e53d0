// The products of prompts against double precision, and their inputs in 8 bits.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/cases.h"
#include "kernels/input8.h"
#include "ops/input8.h"
#include "ops/matmul.h"

static void record_matmul(vklm_gpu_cmd *cmd, const void *op)
{
    vklm_op_matmul_record(cmd, op);
}

// As tiles of a prompt, or as columns of a matvec; with inputs in f32, or in 8 bits.
typedef struct {
    bool columns;
    uint32_t terms; // 0: f32
} way;

// A token's bits do not depend on how many are multiplied with it. `got` is overwritten.
static void check_first_alone(vklm_lab *lab, const vklm_op_matmul *all, const float *got)
{
    const size_t bytes = all->weight->n_rows * sizeof(float);
    float *before = malloc(bytes);
    memcpy(before, got, bytes);
    vklm_op_matmul one = *all;
    one.n_tokens = 1;
    vklm_lab_run(lab, record_matmul, &one);
    vklm_lab_require(memcmp(before, got, bytes) == 0, "%u tokens: the first one differs alone",
                     all->n_tokens);
    free(before);
}

static void check_matmul(vklm_lab *lab, vklm_format format, uint32_t n_tokens, uint32_t n_rows,
                         uint32_t n_cols, bool add, way how)
{
    const size_t n = (size_t)n_tokens * n_rows, n_x = (size_t)n_tokens * n_cols;
    // Of a long prompt not every token is computed again in double precision: all of 16, and of
    // more the first, the last, and some between. Every element of the others must at least have
    // been written.
    const uint32_t n_judged = n_tokens <= 16 ? n_tokens : 9;
    const float *values;
    float *x = malloc(n_x * sizeof *x), *old = malloc(n * sizeof *old);
    double *y = malloc(n_rows * sizeof *y), *size = malloc(n_rows * sizeof *size);
    vklm_lab_random(n_tokens, x, n_x);
    vklm_lab_random(n_rows, old, n);
    vklm_weight w = vklm_lab_weight(lab, 5, format, n_rows, n_cols, &values);
    vklm_op_matmul op = {.label = "matmul",
                         .weight = &w,
                         .x = vklm_lab_input(lab, x, n_x * sizeof *x),
                         .y = vklm_lab_output(lab, add ? old : NULL, n),
                         .n_tokens = n_tokens,
                         .add = add,
                         .x8_terms = how.terms,
                         .alone = how.columns};
    if (how.terms)
        op.x8 = vklm_case_input8(lab, x, n_tokens, n_cols, how.terms);
    vklm_lab_run(lab, record_matmul, &op);
    double *xd = vklm_lab_doubles(x, n_x);
    const float *got = vklm_lab_read(lab, op.y);
    char what[96];
    snprintf(what, sizeof what, "%s %s, %u terms in 8 bits, %u tokens, %ux%u%s",
             how.columns ? "columns" : "matmul", vklm_format_name(format), how.terms, n_tokens,
             n_rows, n_cols, add ? ", added" : "");
    // One accumulator runs over all columns: n_cols roundings of products and sums; a packed value
    // is rounded on its way. In 8 bits a block of 32 is an exact integer, then it is scaled and
    // added, and its minimum is, for each term.
    const double factor = how.terms ? n_cols / 32 * 2 * how.terms + 6
                                    : n_cols + (vklm_format_is_packed(format) ? 4 : 2);
    for (uint32_t i_judged = 0; i_judged < n_judged; i_judged++) {
        uint32_t t = n_judged > 1 ? i_judged * (n_tokens - 1) / (n_judged - 1) : 0;
        vklm_lab_matmul(lab, values, xd + (size_t)t * n_cols, 1, n_rows, n_cols, y, size);
        for (size_t i = 0; add && i < n_rows; i++) {
            y[i] += (double)old[t * (size_t)n_rows + i];
            size[i] += fabs((double)old[t * (size_t)n_rows + i]);
        }
        vklm_lab_check(what, got + t * (size_t)n_rows, y, size, n_rows, factor);
    }
    for (size_t i = 0; i < n; i++)
        vklm_lab_require(isfinite(got[i]), "%s: element %zu is %g", what, i, (double)got[i]);
    if (how.columns)
        check_first_alone(lab, &op, got);
    free(x), free(xd), free(old), free(y), free(size);
    vklm_lab_finish_case(lab, record_matmul, &op);
}

static void run_matmul(vklm_lab *lab, vklm_format format, const uint32_t *n)
{
    check_matmul(lab, format, n[0], n[1], n[2], n[3], (way){0});
}

static void run_columns(vklm_lab *lab, vklm_format format, const uint32_t *n)
{
    check_matmul(lab, format, n[0], n[1], n[2], n[3], (way){.columns = true});
}

static void run_dot8(vklm_lab *lab, vklm_format format, const uint32_t *n)
{
    check_matmul(lab, format, n[0], n[1], n[2], n[3], (way){.terms = n[4]});
}

static void run_columns_dot8(vklm_lab *lab, vklm_format format, const uint32_t *n)
{
    check_matmul(lab, format, n[0], n[1], n[2], n[3], (way){true, n[4]});
}

// Every weight and every input once; a result is written, and read before when it is added to.
static vklm_case_cost cost_matmul(vklm_format format, const uint32_t *n)
{
    return (vklm_case_cost){
        .flop = 2.0 * n[0] * n[1] * n[2],
        .bytes = vklm_case_weight_bytes(format, n[1], n[2]) +
                 4.0 * n[0] * ((double)n[2] + (1.0 + n[3]) * n[1]),
    };
}

static const vklm_case_shape matmul_shapes[] = {
    {{1, 1, 8, 0}, 0},
    {{1, 64, 16, 1}, 0},
    {{7, 65, 24, 0}, 0},
    {{64, 64, 64, 1}, 0},
    {{63, 130, 40, 0}, 0},
    {{65, 3, 776, 1}, 0},
    {{9, 331, 96, 0}, 0},
    {{129, 70, 16, 1}, 0},
    {{33, 192, 2048, 0}, 0},
    {{2, 128, 5120, 1}, 0},
    {{1, 1, 256, 0}, 0},
    {{67, 65, 768, 1}, 0},
    {{3, 33, 7168, 0}, 0},
    {{8, 99584, 2048, 0}, VKLM_CASE_1_8B},
    {{32, 6144, 2048, 0}, VKLM_CASE_1_8B},
    {{32, 2048, 2048, 1}, VKLM_CASE_1_8B},
    {{32, 14336, 2048, 0}, VKLM_CASE_1_8B},
    {{32, 2048, 7168, 1}, VKLM_CASE_1_8B},
    {{256, 6144, 2048, 0}, VKLM_CASE_1_8B},
    {{256, 2048, 2048, 1}, VKLM_CASE_1_8B},
    {{256, 14336, 2048, 0}, VKLM_CASE_1_8B},
    {{256, 2048, 7168, 1}, VKLM_CASE_1_8B},
    {{32, 15360, 5120, 0}, VKLM_CASE_13B | VKLM_CASE_8X13B},
    {{32, 5120, 5120, 1}, VKLM_CASE_13B | VKLM_CASE_8X13B},
    {{32, 27648, 5120, 0}, VKLM_CASE_13B},
    {{32, 5120, 13824, 1}, VKLM_CASE_13B},
    {{256, 15360, 5120, 0}, VKLM_CASE_13B | VKLM_CASE_8X13B},
    {{256, 5120, 5120, 1}, VKLM_CASE_13B | VKLM_CASE_8X13B},
    {{256, 27648, 5120, 0}, VKLM_CASE_13B},
    {{256, 5120, 13824, 1}, VKLM_CASE_13B},
    // Prompts as long as the context.
    {{1, 6144, 2048, 0}, VKLM_CASE_1_8B},
    {{512, 6144, 2048, 0}, VKLM_CASE_1_8B},
    {{2048, 6144, 2048, 0}, VKLM_CASE_1_8B},
    {{4096, 6144, 2048, 0}, VKLM_CASE_1_8B},
    {{1, 15360, 5120, 0}, VKLM_CASE_13B | VKLM_CASE_8X13B},
    {{512, 15360, 5120, 0}, VKLM_CASE_13B | VKLM_CASE_8X13B},
    {{2048, 15360, 5120, 0}, VKLM_CASE_13B | VKLM_CASE_8X13B},
    {{4096, 15360, 5120, 0}, VKLM_CASE_13B | VKLM_CASE_8X13B},
};

const vklm_case_family vklm_case_matmul = {
    .name = "matmul",
    .dims = {"tokens", "rows", "columns", "added"},
    .formats = true,
    .shapes = matmul_shapes,
    .n_shapes = sizeof matmul_shapes / sizeof *matmul_shapes,
    .run = run_matmul,
    .cost = cost_matmul,
    .columns = vklm_case_third,
};

// A few tokens, and no more: the vocabulary needs more workgroups than one dimension has.
static const vklm_case_shape columns_shapes[] = {
    {{1, 1, 8, 0}, 0},
    {{2, 3, 24, 1}, 0},
    {{3, 65, 96, 0}, 0},
    {{4, 64, 256, 1}, 0},
    {{5, 331, 776, 0}, 0},
    {{6, 130, 768, 1}, 0},
    {{7, 33, 2048, 0}, 0},
    {{8, 200001, 64, 0}, 0},
    {{8, 130, 5120, 1}, 0},
    {{2, 6144, 2048, 0}, VKLM_CASE_1_8B},
    {{4, 6144, 2048, 0}, VKLM_CASE_1_8B},
    {{8, 6144, 2048, 0}, VKLM_CASE_1_8B},
    {{8, 2048, 7168, 1}, VKLM_CASE_1_8B},
    {{8, 99584, 2048, 0}, VKLM_CASE_1_8B},
    {{2, 27648, 5120, 0}, VKLM_CASE_13B},
    {{4, 27648, 5120, 0}, VKLM_CASE_13B},
    {{8, 27648, 5120, 0}, VKLM_CASE_13B},
    {{8, 5120, 13824, 1}, VKLM_CASE_13B},
};

const vklm_case_family vklm_case_matvec_columns = {
    .name = "matvec_columns",
    .dims = {"tokens", "rows", "columns", "added"},
    .formats = true,
    .shapes = columns_shapes,
    .n_shapes = sizeof columns_shapes / sizeof *columns_shapes,
    .run = run_columns,
    .cost = cost_matmul,
    .columns = vklm_case_third,
};

static const vklm_case_shape columns_dot8_shapes[] = {
    {{1, 1, 64, 0, 1}, 0},
    {{1, 1, 64, 0, 2}, 0},
    {{2, 3, 192, 1, 1}, 0},
    {{3, 65, 256, 0, 1}, 0},
    {{4, 64, 320, 1, 1}, 0},
    {{5, 331, 768, 0, 1}, 0},
    {{6, 130, 2048, 1, 2}, 0},
    {{7, 33, 7168, 0, 2}, 0},
    {{8, 200001, 64, 0, 1}, 0},
    {{8, 130, 5120, 1, 2}, 0},
    {{2, 6144, 2048, 0, 1}, VKLM_CASE_1_8B},
    {{4, 6144, 2048, 0, 1}, VKLM_CASE_1_8B},
    {{8, 6144, 2048, 0, 1}, VKLM_CASE_1_8B},
    {{8, 2048, 7168, 1, 2}, VKLM_CASE_1_8B},
    {{2, 27648, 5120, 0, 1}, VKLM_CASE_13B},
    {{4, 27648, 5120, 0, 1}, VKLM_CASE_13B},
    {{8, 27648, 5120, 0, 1}, VKLM_CASE_13B},
    {{8, 5120, 13824, 1, 2}, VKLM_CASE_13B},
};

const vklm_case_family vklm_case_matvec_columns_dot8 = {
    .name = "matvec_columns.dot8",
    .dims = {"tokens", "rows", "columns", "added", "terms"},
    .formats = true,
    .format_mask = VKLM_CASE_PACKED,
    .tier = VKLM_TIER_DOT8,
    .shapes = columns_dot8_shapes,
    .n_shapes = sizeof columns_dot8_shapes / sizeof *columns_dot8_shapes,
    .run = run_columns_dot8,
    .cost = cost_matmul,
    .columns = vklm_case_third,
};

static const vklm_case_shape dot8_shapes[] = {
    {{1, 1, 64, 0, 1}, 0},
    {{1, 1, 64, 0, 2}, 0},
    {{7, 65, 64, 1, 1}, 0},
    {{64, 64, 128, 0, 1}, 0},
    {{65, 130, 192, 1, 2}, 0},
    {{9, 3, 256, 0, 1}, 0},
    {{63, 331, 768, 1, 2}, 0},
    {{129, 70, 256, 0, 1}, 0},
    {{33, 192, 2048, 1, 1}, 0},
    {{3, 33, 7168, 0, 2}, 0},
    {{2, 66, 5120, 0, 1}, 0},
    {{32, 6144, 2048, 0, 1}, VKLM_CASE_1_8B},
    {{256, 6144, 2048, 0, 1}, VKLM_CASE_1_8B},
    {{256, 2048, 7168, 1, 2}, VKLM_CASE_1_8B},
    {{32, 27648, 5120, 0, 1}, VKLM_CASE_13B},
    {{256, 27648, 5120, 0, 1}, VKLM_CASE_13B},
    {{256, 5120, 13824, 1, 2}, VKLM_CASE_13B},
    // Prompts as long as the context.
    {{1, 6144, 2048, 0, 1}, VKLM_CASE_1_8B},
    {{512, 6144, 2048, 0, 1}, VKLM_CASE_1_8B},
    {{2048, 6144, 2048, 0, 1}, VKLM_CASE_1_8B},
    {{4096, 6144, 2048, 0, 1}, VKLM_CASE_1_8B},
    {{1, 15360, 5120, 0, 1}, VKLM_CASE_13B | VKLM_CASE_8X13B},
    {{512, 15360, 5120, 0, 1}, VKLM_CASE_13B | VKLM_CASE_8X13B},
    {{2048, 15360, 5120, 0, 1}, VKLM_CASE_13B | VKLM_CASE_8X13B},
    {{4096, 15360, 5120, 0, 1}, VKLM_CASE_13B | VKLM_CASE_8X13B},
};

const vklm_case_family vklm_case_matmul_dot8 = {
    .name = "matmul.dot8",
    .dims = {"tokens", "rows", "columns", "added", "terms"},
    .formats = true,
    .format_mask = VKLM_CASE_PACKED,
    .tier = VKLM_TIER_DOT8,
    .shapes = dot8_shapes,
    .n_shapes = sizeof dot8_shapes / sizeof *dot8_shapes,
    .run = run_dot8,
    .cost = cost_matmul,
    .columns = vklm_case_third,
};

static void record_input8(vklm_gpu_cmd *cmd, const void *op)
{
    vklm_op_input8_record(cmd, op);
}

static void run_input8(vklm_lab *lab, vklm_format format, const uint32_t *n)
{
    (void)format;
    const size_t all = (size_t)n[0] * n[1];
    float *x = malloc(all * sizeof *x);
    vklm_lab_random(13, x, all);
    for (size_t i = 0; i < 32; i++)
        x[i] = 0; // a block of zeros
    vklm_op_input8 op = {.x = vklm_lab_input(lab, x, all * sizeof *x),
                         .y = vklm_case_output8(lab, n[0], n[1], n[2]),
                         .n_rows = n[0],
                         .n_cols = n[1],
                         .terms = n[2]};
    vklm_lab_run(lab, record_input8, &op);
    if (!vklm_lab_is_dry(lab))
        vklm_case_check8(lab, "rows", op.y, x, n[0], n[1], n[2]);
    free(x);
    vklm_lab_finish_case(lab, record_input8, &op);
}

static vklm_case_cost cost_input8(vklm_format format, const uint32_t *n)
{
    (void)format;
    return (vklm_case_cost){.flop = 3.0 * n[2] * n[0] * n[1],
                            .bytes = (4 + 1.25 * n[2]) * n[0] * n[1]};
}

static const vklm_case_shape input8_shapes[] = {
    {{1, 64, 1}, 0},
    {{1, 64, 2}, 0},
    {{3, 192, 2}, 0},
    {{37, 2048, 1}, 0},
    {{256, 2048, 1}, VKLM_CASE_1_8B},
    {{256, 7168, 2}, VKLM_CASE_1_8B},
    {{256, 5120, 1}, VKLM_CASE_13B},
    {{256, 13824, 2}, VKLM_CASE_13B},
};

const vklm_case_family vklm_case_input8_rows = {
    .name = "input8",
    .dims = {"tokens", "columns", "terms"},
    .tier = VKLM_TIER_DOT8,
    .shapes = input8_shapes,
    .n_shapes = sizeof input8_shapes / sizeof *input8_shapes,
    .run = run_input8,
    .cost = cost_input8,
};
