// The other kernels of prompts, row by row, against double precision: embed, rmsnorm, swiglu,
// column squares.
#include <math.h>
#include <stdlib.h>

#include "kernels/cases.h"
#include "kernels/input8.h"
#include "ops/column_squares.h"
#include "ops/embed.h"
#include "ops/rmsnorm.h"
#include "ops/swiglu.h"
#include "ref/ops.h"

static void record_embed(vklm_gpu_cmd *cmd, const void *op)
{
    vklm_op_embed_record(cmd, op);
}

static void check_embed(vklm_lab *lab, vklm_format format, uint32_t n_tokens, uint32_t n_vocab,
                        uint32_t n, bool dot8)
{
    const float *values;
    float *norm = malloc(n * sizeof *norm);
    uint32_t *tokens = malloc(n_tokens * sizeof *tokens);
    double *y = malloc(n * sizeof *y), *size = malloc(n * sizeof *size);
    vklm_lab_random(6, norm, n);
    for (uint32_t t = 0; t < n_tokens; t++) // the first, the last, and others more than once
        tokens[t] = n_tokens == 1 ? n_vocab * 5 / 9 : t == 1 ? n_vocab - 1 : t / 2 * 17 % n_vocab;
    vklm_weight table = vklm_lab_weight(lab, 7, format, n_vocab, n, &values);
    vklm_op_embed op = {
        .table = &table,
        .tokens = vklm_lab_input(lab, tokens, n_tokens * sizeof *tokens),
        .norm = vklm_lab_input(lab, norm, n * sizeof *norm),
        .x = vklm_lab_output(lab, NULL, (size_t)n_tokens * n),
        .xn = vklm_lab_output(lab, NULL, (size_t)n_tokens * n),
        .n_rows = n_tokens,
        .eps = 1e-5f,
    };
    if (dot8)
        op.xn8 = vklm_case_output8(lab, 1, n, 1);
    vklm_lab_run(lab, record_embed, &op);
    const float *x = vklm_lab_read(lab, op.x), *xn = vklm_lab_read(lab, op.xn);
    for (size_t t = 0; t < n_tokens; t++) {
        double *row = vklm_lab_doubles(values + (size_t)tokens[t] * n, n);
        vklm_ref_rmsnorm(row, norm, n, 1e-5, y);
        for (uint32_t i = 0; i < n; i++) {
            vklm_lab_require(x[t * n + i] == values[(size_t)tokens[t] * n + i],
                             "embed: token %zu element %u is %g", t, i, (double)x[t * n + i]);
            size[i] = fabs(y[i]);
        }
        vklm_lab_check("embed", xn + t * n, y, size, n, n / 8 + 24);
        free(row);
    }
    if (dot8)
        vklm_case_check8(lab, "embed", op.xn8, xn, 1, n, 1);
    free(norm), free(tokens), free(y), free(size);
    vklm_lab_finish_case(lab, record_embed, &op);
}

static void run_embed(vklm_lab *lab, vklm_format format, const uint32_t *n)
{
    check_embed(lab, format, n[0], n[1], n[2], false);
}

static void run_embed_dot8(vklm_lab *lab, vklm_format format, const uint32_t *n)
{
    check_embed(lab, format, 1, n[0], n[1], true);
}

static vklm_case_cost cost_embed(vklm_format format, const uint32_t *n)
{
    return (vklm_case_cost){.flop = 4.0 * n[0] * n[2],
                            .bytes =
                                vklm_case_weight_bytes(format, n[0], n[2]) + 8.0 * n[0] * n[2]};
}

static vklm_case_cost cost_embed_dot8(vklm_format format, const uint32_t *n)
{
    return cost_embed(format, (const uint32_t[]){1, n[0], n[1]});
}

static const vklm_case_shape embed_shapes[] = {
    {{5, 37, 8}, 0},
    {{5, 37, 24}, 0},
    {{5, 37, 96}, 0},
    {{5, 37, 2048}, 0},
    {{5, 37, 5120}, 0},
    {{1, 1024, 2048}, VKLM_CASE_1_8B},
    {{256, 1024, 2048}, VKLM_CASE_1_8B},
    {{1, 1024, 5120}, VKLM_CASE_13B | VKLM_CASE_8X13B},
    {{256, 1024, 5120}, VKLM_CASE_13B | VKLM_CASE_8X13B},
};

const vklm_case_family vklm_case_embed = {
    .name = "embed",
    .dims = {"tokens", "vocabulary", "columns"},
    .formats = true,
    .shapes = embed_shapes,
    .n_shapes = sizeof embed_shapes / sizeof *embed_shapes,
    .run = run_embed,
    .cost = cost_embed,
    .columns = vklm_case_third,
};

// Of one token, any format.
static const vklm_case_shape embed_dot8_shapes[] = {
    {{9, 512}, 0},
    {{1024, 2048}, VKLM_CASE_1_8B},
    {{1024, 5120}, VKLM_CASE_13B | VKLM_CASE_8X13B},
};

const vklm_case_family vklm_case_embed_dot8 = {
    .name = "embed.dot8",
    .dims = {"vocabulary", "columns"},
    .formats = true,
    .tier = VKLM_TIER_DOT8,
    .shapes = embed_dot8_shapes,
    .n_shapes = sizeof embed_dot8_shapes / sizeof *embed_dot8_shapes,
    .run = run_embed_dot8,
    .cost = cost_embed_dot8,
    .columns = vklm_case_second,
};

static void record_rmsnorm(vklm_gpu_cmd *cmd, const void *op)
{
    vklm_op_rmsnorm_record(cmd, op);
}

static void check_rmsnorm(vklm_lab *lab, uint32_t n_rows, uint32_t n_cols)
{
    const size_t n = n_cols, all = n_rows * n;
    float *x = malloc(all * sizeof *x), *norm = malloc(n * sizeof *norm);
    double *y = malloc(n * sizeof *y), *size = malloc(n * sizeof *size);
    vklm_lab_random(8, x, all);
    vklm_lab_random(9, norm, n);
    vklm_op_rmsnorm op = {
        .x = vklm_lab_input(lab, x, all * sizeof *x),
        .norm = vklm_lab_input(lab, norm, n * sizeof *norm),
        .y = vklm_lab_output(lab, NULL, all),
        .n_rows = n_rows,
        .n_cols = n_cols,
        .eps = 1e-5f,
    };
    vklm_lab_run(lab, record_rmsnorm, &op);
    double *xd = vklm_lab_doubles(x, all);
    for (uint32_t r = 0; r < n_rows; r++) {
        vklm_ref_rmsnorm(xd + r * n, norm, n, 1e-5, y);
        for (size_t i = 0; i < n; i++)
            size[i] = fabs(y[i]);
        vklm_lab_check("rmsnorm", vklm_lab_read(lab, op.y) + r * n, y, size, n, (double)n / 4 + 16);
    }
    free(x), free(xd), free(norm), free(y), free(size);
    vklm_lab_finish_case(lab, record_rmsnorm, &op);
}

static void run_rmsnorm(vklm_lab *lab, vklm_format format, const uint32_t *n)
{
    (void)format;
    check_rmsnorm(lab, n[0], n[1]);
}

static vklm_case_cost cost_rmsnorm(vklm_format format, const uint32_t *n)
{
    (void)format;
    return (vklm_case_cost){.flop = 4.0 * n[0] * n[1], .bytes = 4.0 * n[1] * (2.0 * n[0] + 1)};
}

static const vklm_case_shape rmsnorm_shapes[] = {
    {{1, 4}, 0},
    {{3, 20}, 0},
    {{2, 96}, 0},
    {{5, 2048}, 0},
    {{2, 5120}, 0},
    {{256, 2048}, VKLM_CASE_1_8B},
    {{256, 5120}, VKLM_CASE_13B | VKLM_CASE_8X13B},
};

const vklm_case_family vklm_case_rmsnorm = {
    .name = "rmsnorm",
    .dims = {"rows", "columns"},
    .shapes = rmsnorm_shapes,
    .n_shapes = sizeof rmsnorm_shapes / sizeof *rmsnorm_shapes,
    .run = run_rmsnorm,
    .cost = cost_rmsnorm,
};

static void record_swiglu(vklm_gpu_cmd *cmd, const void *op)
{
    vklm_op_swiglu_record(cmd, op);
}

static void check_swiglu(vklm_lab *lab, uint32_t n_tokens, uint32_t n)
{
    const size_t all = (size_t)n_tokens * 2 * n;
    float *x = malloc(all * sizeof *x);
    vklm_lab_random(10, x, all);
    for (size_t i = 0; i < all; i++)
        x[i] *= 20;
    x[3] = -200; // exp(200) is infinite: silu must give -0
    vklm_op_swiglu op = {.gate_up = vklm_lab_input(lab, x, all * sizeof *x),
                         .y = vklm_lab_output(lab, NULL, (size_t)n_tokens * n),
                         .n_tokens = n_tokens,
                         .n_cols = n};
    vklm_lab_run(lab, record_swiglu, &op);
    const float *got = vklm_lab_read(lab, op.y);
    for (size_t t = 0; t < n_tokens; t++)
        for (size_t i = 0; i < n; i++) {
            double gate = (double)x[t * 2 * n + i], up = (double)x[t * 2 * n + n + i];
            double want = vklm_ref_silu(gate) * up;
            // exp is good to 3 + 2 |z| units in the last place (Vulkan's precision table)
            double size = fabs(want) * (8 + 2 * fabs(gate)) + 1e-12;
            vklm_lab_check("swiglu", got + t * n + i, &want, &size, 1, 2);
        }
    free(x);
    vklm_lab_finish_case(lab, record_swiglu, &op);
}

static void run_swiglu(vklm_lab *lab, vklm_format format, const uint32_t *n)
{
    (void)format;
    check_swiglu(lab, n[0], n[1]);
}

static vklm_case_cost cost_swiglu(vklm_format format, const uint32_t *n)
{
    (void)format;
    return (vklm_case_cost){.flop = 4.0 * n[0] * n[1], .bytes = 12.0 * n[0] * n[1]};
}

static const vklm_case_shape swiglu_shapes[] = {
    {{3, 200}, 0},
    {{256, 7168}, VKLM_CASE_1_8B},
    {{256, 13824}, VKLM_CASE_13B},
};

const vklm_case_family vklm_case_swiglu = {
    .name = "swiglu",
    .dims = {"tokens", "columns"},
    .shapes = swiglu_shapes,
    .n_shapes = sizeof swiglu_shapes / sizeof *swiglu_shapes,
    .run = run_swiglu,
    .cost = cost_swiglu,
};

static void record_column_squares(vklm_gpu_cmd *cmd, const void *op)
{
    vklm_op_column_squares_record(cmd, op);
}

static void run_column_squares(vklm_lab *lab, vklm_format format, const uint32_t *shape)
{
    (void)format;
    const size_t n_rows = shape[0], n = shape[1];
    float *x = malloc(n_rows * n * sizeof *x), *before = malloc(n * sizeof *before);
    double *sums = malloc(n * sizeof *sums), *size = malloc(n * sizeof *size);
    vklm_lab_random(11, x, n_rows * n);
    vklm_lab_random(12, before, n);
    vklm_op_column_squares op = {.x = vklm_lab_input(lab, x, n_rows * n * sizeof *x),
                                 .sums = vklm_lab_output(lab, before, n),
                                 .n_rows = shape[0],
                                 .n_cols = shape[1]};
    vklm_lab_run(lab, record_column_squares, &op);
    for (size_t c = 0; c < n; c++) {
        sums[c] = (double)before[c];
        size[c] = fabs(sums[c]);
        for (size_t t = 0; t < n_rows; t++) {
            sums[c] += (double)x[t * n + c] * (double)x[t * n + c];
            size[c] += (double)x[t * n + c] * (double)x[t * n + c];
        }
    }
    // One chain of additions down the rows, and a rounding for each square.
    vklm_lab_check("column squares", vklm_lab_read(lab, op.sums), sums, size, n,
                   (double)n_rows + 2);
    free(x), free(before), free(sums), free(size);
    vklm_lab_finish_case(lab, record_column_squares, &op);
}

static vklm_case_cost cost_column_squares(vklm_format format, const uint32_t *n)
{
    (void)format;
    return (vklm_case_cost){.flop = 2.0 * n[0] * n[1], .bytes = 4.0 * n[1] * (n[0] + 2.0)};
}

static const vklm_case_shape column_squares_shapes[] = {
    {{1, 4}, 0},
    {{3, 20}, 0},
    {{70, 96}, 0},
    {{5, 2049}, 0},
    {{256, 7168}, VKLM_CASE_1_8B},
    {{256, 13824}, VKLM_CASE_13B},
};

const vklm_case_family vklm_case_column_squares = {
    .name = "column_squares",
    .dims = {"tokens", "columns"},
    .shapes = column_squares_shapes,
    .n_shapes = sizeof column_squares_shapes / sizeof *column_squares_shapes,
    .run = run_column_squares,
    .cost = cost_column_squares,
};
