// The prefill kernels against double precision: matmul, embed, rmsnorm, swiglu.
#include <criterion/criterion.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "kernels/lab.h"
#include "ops/column_squares.h"
#include "ops/embed.h"
#include "ops/matmul.h"
#include "ops/rmsnorm.h"
#include "ops/swiglu.h"
#include "ref/ops.h"

static vklm_lab *open_or_skip(void)
{
    vklm_lab *lab = vklm_lab_open();
    if (!lab)
        cr_skip_test("no Vulkan: %s", vklm_error_message());
    return lab;
}

static double *to_double(const float *x, size_t n)
{
    double *y = malloc(n * sizeof *y);
    for (size_t i = 0; i < n; i++)
        y[i] = (double)x[i];
    return y;
}

static void record_matmul(vklm_gpu_cmd *cmd, const void *op)
{
    vklm_op_matmul_record(cmd, op);
}

static void check_matmul(vklm_lab *lab, vklm_format format, uint32_t n_tokens, uint32_t n_rows,
                         uint32_t n_cols, bool add)
{
    const size_t n = (size_t)n_tokens * n_rows, n_x = (size_t)n_tokens * n_cols;
    const float *values;
    float *x = malloc(n_x * sizeof *x), *old = malloc(n * sizeof *old);
    double *y = malloc(n * sizeof *y), *size = malloc(n * sizeof *size);
    vklm_lab_random(n_tokens, x, n_x);
    vklm_lab_random(n_rows, old, n);
    vklm_weight w = vklm_lab_weight(lab, 5, format, n_rows, n_cols, &values);
    vklm_op_matmul op = {.label = "matmul",
                         .weight = &w,
                         .x = vklm_lab_input(lab, x, n_x * sizeof *x),
                         .y = vklm_lab_output(lab, add ? old : NULL, n),
                         .n_tokens = n_tokens,
                         .add = add};
    vklm_lab_run(lab, record_matmul, &op);
    double *xd = to_double(x, n_x);
    vklm_lab_matmul(lab, values, xd, n_tokens, n_rows, n_cols, y, size);
    for (size_t i = 0; add && i < n; i++) {
        y[i] += (double)old[i];
        size[i] += fabs((double)old[i]);
    }
    char what[96];
    snprintf(what, sizeof what, "matmul %s %u tokens, %ux%u%s", vklm_format_name(format), n_tokens,
             n_rows, n_cols, add ? ", added" : "");
    // One accumulator runs over all columns: n_cols roundings of products and sums; a packed value
    // is rounded on its way.
    vklm_lab_check(what, vklm_lab_read(lab, op.y), y, size, n,
                   n_cols + (vklm_format_is_packed(format) ? 4 : 2));
    free(x), free(xd), free(old), free(y), free(size);
    vklm_lab_clear(lab);
}

Test(matmul, tiles_and_edges)
{
    static const struct {
        uint32_t n_tokens, n_rows, n_cols;
    } shapes[] = {{1, 1, 8},    {1, 64, 16},   {7, 65, 24},   {64, 64, 64},    {63, 130, 40},
                  {65, 3, 776}, {9, 331, 96},  {129, 70, 16}, {33, 192, 2048}, {2, 128, 5120},
                  {1, 1, 256},  {67, 65, 768}, {3, 33, 7168}};
    vklm_lab *lab = open_or_skip();
    for (int format = 0; format < VKLM_FORMAT_COUNT; format++)
        for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
            if (shapes[i].n_cols % vklm_format_group((vklm_format)format) == 0)
                check_matmul(lab, (vklm_format)format, shapes[i].n_tokens, shapes[i].n_rows,
                             shapes[i].n_cols, i % 2);
    vklm_lab_close(lab);
}

Test(matmul_big, real_shapes)
{
    vklm_lab *lab = open_or_skip();
    check_matmul(lab, VKLM_FORMAT_BF16, 32, 6144, 2048, false);
    check_matmul(lab, VKLM_FORMAT_BF16, 17, 5120, 13824, true);
    check_matmul(lab, VKLM_FORMAT_BF16, 8, 99584, 2048, false);
    check_matmul(lab, VKLM_FORMAT_Q8, 17, 5120, 13824, true);
    check_matmul(lab, VKLM_FORMAT_Q4, 32, 6144, 2048, false);
    vklm_lab_close(lab);
}

static void record_embed(vklm_gpu_cmd *cmd, const void *op)
{
    vklm_op_embed_record(cmd, op);
}

Test(matmul, embed)
{
    static const uint32_t widths[] = {8, 24, 96, 2048, 5120};
    static const uint32_t tokens[] = {0, 36, 5, 5, 17};
    enum { N = sizeof tokens / sizeof *tokens, VOCAB = 37 };
    vklm_lab *lab = open_or_skip();
    for (int format = 0; format < VKLM_FORMAT_COUNT; format++)
        for (size_t s = 0; s < sizeof widths / sizeof *widths; s++) {
            uint32_t n = widths[s];
            if (n % vklm_format_group((vklm_format)format) != 0)
                continue;
            const float *values;
            float *norm = malloc(n * sizeof *norm);
            double *y = malloc(n * sizeof *y), *size = malloc(n * sizeof *size);
            vklm_lab_random(6, norm, n);
            vklm_weight table = vklm_lab_weight(lab, 7, (vklm_format)format, VOCAB, n, &values);
            vklm_op_embed op = {
                .table = &table,
                .tokens = vklm_lab_input(lab, tokens, sizeof tokens),
                .norm = vklm_lab_input(lab, norm, n * sizeof *norm),
                .x = vklm_lab_output(lab, NULL, N * n),
                .xn = vklm_lab_output(lab, NULL, N * n),
                .n_rows = N,
                .eps = 1e-5f,
            };
            vklm_lab_run(lab, record_embed, &op);
            for (size_t t = 0; t < N; t++) {
                double *row = to_double(values + tokens[t] * n, n);
                vklm_ref_rmsnorm(row, norm, n, 1e-5, y);
                for (uint32_t i = 0; i < n; i++) {
                    cr_assert_eq(vklm_lab_read(lab, op.x)[t * n + i], values[tokens[t] * n + i]);
                    size[i] = fabs(y[i]);
                }
                vklm_lab_check("embed", vklm_lab_read(lab, op.xn) + t * n, y, size, n, n / 8 + 24);
                free(row);
            }
            free(norm), free(y), free(size);
            vklm_lab_clear(lab);
        }
    vklm_lab_close(lab);
}

static void record_rmsnorm(vklm_gpu_cmd *cmd, const void *op)
{
    vklm_op_rmsnorm_record(cmd, op);
}

Test(matmul, rmsnorm)
{
    static const struct {
        uint32_t n_rows, n_cols;
    } shapes[] = {{1, 4}, {3, 20}, {2, 96}, {5, 2048}, {2, 5120}};
    vklm_lab *lab = open_or_skip();
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++) {
        const size_t n = shapes[s].n_cols, all = shapes[s].n_rows * n;
        float *x = malloc(all * sizeof *x), *norm = malloc(n * sizeof *norm);
        double *y = malloc(n * sizeof *y), *size = malloc(n * sizeof *size);
        vklm_lab_random(8, x, all);
        vklm_lab_random(9, norm, n);
        vklm_op_rmsnorm op = {
            .x = vklm_lab_input(lab, x, all * sizeof *x),
            .norm = vklm_lab_input(lab, norm, n * sizeof *norm),
            .y = vklm_lab_output(lab, NULL, all),
            .n_rows = shapes[s].n_rows,
            .n_cols = shapes[s].n_cols,
            .eps = 1e-5f,
        };
        vklm_lab_run(lab, record_rmsnorm, &op);
        double *xd = to_double(x, all);
        for (uint32_t r = 0; r < shapes[s].n_rows; r++) {
            vklm_ref_rmsnorm(xd + r * n, norm, n, 1e-5, y);
            for (size_t i = 0; i < n; i++)
                size[i] = fabs(y[i]);
            vklm_lab_check("rmsnorm", vklm_lab_read(lab, op.y) + r * n, y, size, n,
                           (double)n / 4 + 16);
        }
        free(x), free(xd), free(norm), free(y), free(size);
        vklm_lab_clear(lab);
    }
    vklm_lab_close(lab);
}

static void record_swiglu(vklm_gpu_cmd *cmd, const void *op)
{
    vklm_op_swiglu_record(cmd, op);
}

Test(matmul, swiglu)
{
    enum { TOKENS = 3, N = 200 };
    vklm_lab *lab = open_or_skip();
    float x[TOKENS * 2 * N];
    vklm_lab_random(10, x, TOKENS * 2 * N);
    for (size_t i = 0; i < TOKENS * 2 * N; i++)
        x[i] *= 20;
    x[3] = -200; // exp(200) is infinite: silu must give -0
    vklm_op_swiglu op = {.gate_up = vklm_lab_input(lab, x, sizeof x),
                         .y = vklm_lab_output(lab, NULL, TOKENS * N),
                         .n_tokens = TOKENS,
                         .n_cols = N};
    vklm_lab_run(lab, record_swiglu, &op);
    for (size_t t = 0; t < TOKENS; t++)
        for (size_t i = 0; i < N; i++) {
            double gate = (double)x[t * 2 * N + i], up = (double)x[t * 2 * N + N + i];
            double want = vklm_ref_silu(gate) * up;
            // exp is good to 3 + 2 |z| units in the last place (Vulkan's precision table)
            double size = fabs(want) * (8 + 2 * fabs(gate)) + 1e-12;
            vklm_lab_check("swiglu", vklm_lab_read(lab, op.y) + t * N + i, &want, &size, 1, 2);
        }
    vklm_lab_close(lab);
}

static void record_column_squares(vklm_gpu_cmd *cmd, const void *op)
{
    vklm_op_column_squares_record(cmd, op);
}

Test(matmul, column_squares)
{
    static const struct {
        uint32_t n_rows, n_cols;
    } shapes[] = {{1, 4}, {3, 20}, {70, 96}, {5, 2049}};
    vklm_lab *lab = open_or_skip();
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++) {
        const size_t n = shapes[s].n_cols, all = shapes[s].n_rows * n;
        float *x = malloc(all * sizeof *x), *before = malloc(n * sizeof *before);
        double *sums = malloc(n * sizeof *sums), *size = malloc(n * sizeof *size);
        vklm_lab_random(11, x, all);
        vklm_lab_random(12, before, n);
        vklm_op_column_squares op = {.x = vklm_lab_input(lab, x, all * sizeof *x),
                                     .sums = vklm_lab_output(lab, before, n),
                                     .n_rows = shapes[s].n_rows,
                                     .n_cols = shapes[s].n_cols};
        vklm_lab_run(lab, record_column_squares, &op);
        for (size_t c = 0; c < n; c++) {
            sums[c] = (double)before[c];
            size[c] = fabs(sums[c]);
            for (size_t t = 0; t < shapes[s].n_rows; t++) {
                sums[c] += (double)x[t * n + c] * (double)x[t * n + c];
                size[c] += (double)x[t * n + c] * (double)x[t * n + c];
            }
        }
        // One chain of additions down the rows, and a rounding for each square.
        vklm_lab_check("column squares", vklm_lab_read(lab, op.sums), sums, size, n,
                       shapes[s].n_rows + 2);
        free(x), free(before), free(sums), free(size);
        vklm_lab_clear(lab);
    }
    vklm_lab_close(lab);
}
