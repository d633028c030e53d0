// The decode kernels against double precision, each with inputs in f32 and, of packed weights, in 8
// bits (the dot8 tier).
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/cases.h"
#include "kernels/input8.h"
#include "kernels/matvec.h"
#include "ops/matvec.h"
#include "ops/tune.h"
#include "ref/ops.h"

// Every invocation adds its blocks of at least 8 columns, then the workgroup its invocations; a
// block of 8 has 8 roundings of its own at most, one of 32 columns with a scale and a minimum 36.
// In 8 bits the products of a block are exact integers; what rounds are the scales, the sums of a
// lane's blocks and the workgroup's.
double vklm_case_matvec_chain(const vklm_lab *lab, vklm_format format, uint32_t n_cols, bool dot8)
{
    vklm_tuning t = vklm_tune_select(vklm_gpu_device_caps(vklm_lab_device(lab)));
    if (dot8)
        return (double)(n_cols / 64 / t.matvec_lanes + 1) * 3 + 8 + t.matvec_lanes;
    return (double)(n_cols / 8 / t.matvec_lanes + 1) + (vklm_format_is_packed(format) ? 36 : 8) +
           t.matvec_lanes;
}

static void record_matvec(vklm_gpu_cmd *cmd, const void *op)
{
    vklm_op_matvec_record(cmd, op);
}

static void check_matvec(vklm_lab *lab, vklm_format format, uint32_t n_rows, uint32_t n_cols,
                         bool dot8)
{
    const float *values;
    float *x = malloc(n_cols * sizeof *x);
    double *y = malloc(n_rows * sizeof *y), *size = malloc(n_rows * sizeof *size);
    vklm_lab_random(n_rows + n_cols, x, n_cols);
    vklm_weight w = vklm_lab_weight(lab, 1, format, n_rows, n_cols, &values);
    vklm_op_matvec op = {.label = "matvec",
                         .weight = &w,
                         .x = vklm_lab_input(lab, x, n_cols * sizeof *x),
                         .y = vklm_lab_output(lab, NULL, n_rows)};
    if (dot8)
        op.x8 = vklm_case_input8(lab, x, 1, n_cols, 1);
    vklm_lab_run(lab, record_matvec, &op);
    double *xd = vklm_lab_doubles(x, n_cols);
    vklm_lab_matmul(lab, values, xd, 1, n_rows, n_cols, y, size);
    char what[96];
    snprintf(what, sizeof what, "matvec%s %s %ux%u", dot8 ? " dot8" : "", vklm_format_name(format),
             n_rows, n_cols);
    vklm_lab_check(what, vklm_lab_read(lab, op.y), y, size, n_rows,
                   vklm_case_matvec_chain(lab, format, n_cols, dot8));
    free(x), free(xd), free(y), free(size);
    vklm_lab_finish_case(lab, record_matvec, &op);
}

static void run_matvec(vklm_lab *lab, vklm_format format, const uint32_t *n)
{
    check_matvec(lab, format, n[0], n[1], false);
}

static void run_matvec_dot8(vklm_lab *lab, vklm_format format, const uint32_t *n)
{
    check_matvec(lab, format, n[0], n[1], true);
}

// Every weight once; vectors are small beside them and lie in caches.
static vklm_case_cost cost_matvec(vklm_format format, const uint32_t *n)
{
    return (vklm_case_cost){.flop = 2.0 * n[0] * n[1],
                            .bytes = vklm_case_weight_bytes(format, n[0], n[1])};
}

// Rows and columns: one, odd tails, and LLM-jp's own; the vocabulary, which needs more workgroups
// than one dimension has, also with a last group that is not full.
static const vklm_case_shape matvec_shapes[] = {
    {{1, 8}, 0},
    {{3, 8}, 0},
    {{5, 24}, 0},
    {{37, 96}, 0},
    {{64, 256}, 0},
    {{1, 256}, 0},
    {{3, 768}, 0},
    {{130, 776}, 0},
    {{2048, 64}, 0},
    {{331, 2048}, 0},
    {{512, 5120}, 0},
    {{96, 13824}, 0},
    {{40, 7168}, 0},
    {{300001, 64}, 0},
    {{99584, 2048}, VKLM_CASE_1_8B},
    {{99584, 5120}, VKLM_CASE_13B | VKLM_CASE_8X13B},
};

const vklm_case_family vklm_case_matvec = {
    .name = "matvec",
    .dims = {"rows", "columns"},
    .formats = true,
    .shapes = matvec_shapes,
    .n_shapes = sizeof matvec_shapes / sizeof *matvec_shapes,
    .run = run_matvec,
    .cost = cost_matvec,
    .columns = vklm_case_second,
};

// q4 takes multiples of 256.
static const vklm_case_shape matvec_dot8_shapes[] = {
    {{1, 64}, 0},
    {{3, 192}, 0},
    {{64, 256}, 0},
    {{37, 512}, 0},
    {{130, 768}, 0},
    {{331, 2048}, 0},
    {{512, 5120}, 0},
    {{96, 13824}, 0},
    {{99584, 2048}, VKLM_CASE_1_8B},
    {{99584, 5120}, VKLM_CASE_13B | VKLM_CASE_8X13B},
};

const vklm_case_family vklm_case_matvec_dot8 = {
    .name = "matvec.dot8",
    .dims = {"rows", "columns"},
    .formats = true,
    .format_mask = VKLM_CASE_PACKED,
    .tier = VKLM_TIER_DOT8,
    .shapes = matvec_dot8_shapes,
    .n_shapes = sizeof matvec_dot8_shapes / sizeof *matvec_dot8_shapes,
    .run = run_matvec_dot8,
    .cost = cost_matvec,
    .columns = vklm_case_second,
};

static void record_swiglu(vklm_gpu_cmd *cmd, const void *op)
{
    vklm_op_matvec_swiglu_record(cmd, op);
}

static void check_swiglu(vklm_lab *lab, vklm_format format, uint32_t n, uint32_t n_cols, bool dot8)
{
    const float *values;
    float *x = malloc(n_cols * sizeof *x), *zeros = calloc(n, sizeof *zeros);
    double *both = malloc(2 * n * sizeof *both), *size = malloc(2 * n * sizeof *size);
    vklm_lab_random(n, x, n_cols);
    vklm_weight w = vklm_lab_weight(lab, 2, format, 2 * n, n_cols, &values);
    vklm_op_matvec_swiglu op = {.label = "swiglu",
                                .weight = &w,
                                .x = vklm_lab_input(lab, x, n_cols * sizeof *x),
                                .y = vklm_lab_output(lab, NULL, n)};
    if (dot8) {
        op.x8 = vklm_case_input8(lab, x, 1, n_cols, 1);
        op.y8 = vklm_case_output8(lab, 1, n, 1);
        op.counters = vklm_lab_output(lab, zeros, n / 32);
    }
    vklm_lab_run(lab, record_swiglu, &op);
    double *xd = vklm_lab_doubles(x, n_cols);
    vklm_lab_matmul(lab, values, xd, 1, 2 * n, n_cols, both, size);
    // |d silu / dz| <= 1.1, exp is good to 3 + 2 |z| units (Vulkan's precision table), and an
    // error of the gate is multiplied by up, and the other way round.
    for (uint32_t r = 0; r < n; r++) {
        double gate = both[r], up = both[n + r];
        size[r] = 1.1 * size[r] * fabs(up) + size[n + r] * fabs(vklm_ref_silu(gate)) +
                  (8 + 2 * fabs(gate)) * fabs(vklm_ref_silu(gate) * up);
        both[r] = vklm_ref_silu(gate) * up;
    }
    vklm_lab_check("swiglu", vklm_lab_read(lab, op.y), both, size, n,
                   vklm_case_matvec_chain(lab, format, n_cols, dot8));
    if (dot8)
        vklm_case_check8(lab, "swiglu", op.y8, vklm_lab_read(lab, op.y), 1, n, 1);
    for (uint32_t i = 0; dot8 && i < n / 32; i++)
        vklm_lab_require(vklm_lab_word(vklm_lab_read(lab, op.counters), i) == 0,
                         "counter %u is not 0", i);
    free(x), free(xd), free(zeros), free(both), free(size);
    vklm_lab_finish_case(lab, record_swiglu, &op);
}

static void run_swiglu(vklm_lab *lab, vklm_format format, const uint32_t *n)
{
    check_swiglu(lab, format, n[0], n[1], false);
}

static void run_swiglu_dot8(vklm_lab *lab, vklm_format format, const uint32_t *n)
{
    check_swiglu(lab, format, n[0], n[1], true);
}

static vklm_case_cost cost_swiglu(vklm_format format, const uint32_t *n)
{
    return (vklm_case_cost){.flop = 4.0 * n[0] * n[1],
                            .bytes = vklm_case_weight_bytes(format, 2 * n[0], n[1])};
}

static const vklm_case_shape matvec_swiglu_shapes[] = {
    {{1, 8}, 0},
    {{3, 8}, 0},
    {{5, 24}, 0},
    {{37, 96}, 0},
    {{64, 256}, 0},
    {{1, 256}, 0},
    {{3, 768}, 0},
    {{130, 776}, 0},
    {{2048, 64}, 0},
    {{331, 2048}, 0},
    {{512, 5120}, 0},
    {{96, 13824}, 0},
    {{40, 7168}, 0},
    {{7168, 2048}, VKLM_CASE_1_8B},
    {{13824, 5120}, VKLM_CASE_13B},
};

const vklm_case_family vklm_case_matvec_swiglu = {
    .name = "matvec.swiglu",
    .dims = {"rows", "columns"},
    .formats = true,
    .shapes = matvec_swiglu_shapes,
    .n_shapes = sizeof matvec_swiglu_shapes / sizeof *matvec_swiglu_shapes,
    .run = run_swiglu,
    .cost = cost_swiglu,
    .columns = vklm_case_second,
};

static const vklm_case_shape matvec_swiglu_dot8_shapes[] = {
    {{64, 64}, 0},
    {{64, 256}, 0},
    {{64, 1024}, 0},
    {{192, 64}, 0},
    {{192, 256}, 0},
    {{192, 1024}, 0},
    {{1024, 64}, 0},
    {{1024, 256}, 0},
    {{1024, 1024}, 0},
    {{7168, 2048}, VKLM_CASE_1_8B},
    {{13824, 5120}, VKLM_CASE_13B},
};

const vklm_case_family vklm_case_matvec_swiglu_dot8 = {
    .name = "matvec.swiglu.dot8",
    .dims = {"rows", "columns"},
    .formats = true,
    .format_mask = VKLM_CASE_PACKED,
    .tier = VKLM_TIER_DOT8,
    .shapes = matvec_swiglu_dot8_shapes,
    .n_shapes = sizeof matvec_swiglu_dot8_shapes / sizeof *matvec_swiglu_dot8_shapes,
    .run = run_swiglu_dot8,
    .cost = cost_swiglu,
    .columns = vklm_case_second,
};

static void record_residual(vklm_gpu_cmd *cmd, const void *op)
{
    vklm_op_matvec_residual_record(cmd, op);
}

static void check_residual(vklm_lab *lab, vklm_format format, uint32_t n, uint32_t n_cols,
                           bool dot8)
{
    const float *values, zero = 0;
    float *x = malloc(n_cols * sizeof *x), *y = malloc(n * sizeof *y),
          *norm = malloc(n * sizeof *norm);
    double *sum = malloc(n * sizeof *sum), *size = malloc(n * sizeof *size),
           *normed = malloc(n * sizeof *normed);
    vklm_lab_random(n, x, n_cols);
    vklm_lab_random(n + 100, y, n);
    vklm_lab_random(n + 200, norm, n);
    vklm_weight w = vklm_lab_weight(lab, 3, format, n, n_cols, &values);
    vklm_op_matvec_residual op = {
        .label = "residual",
        .weight = &w,
        .x = vklm_lab_input(lab, x, n_cols * sizeof *x),
        .y = vklm_lab_output(lab, y, n),
        .norm = vklm_lab_input(lab, norm, n * sizeof *norm),
        .yn = vklm_lab_output(lab, NULL, n),
        .counter = vklm_lab_output(lab, &zero, 1),
        .eps = 1e-5f,
    };
    if (dot8) {
        op.x8 = vklm_case_input8(lab, x, 1, n_cols, 1);
        op.yn8 = vklm_case_output8(lab, 1, n, 1);
    }
    vklm_lab_run(lab, record_residual, &op);
    double *xd = vklm_lab_doubles(x, n_cols);
    vklm_lab_matmul(lab, values, xd, 1, n, n_cols, sum, size);
    for (uint32_t r = 0; r < n; r++) {
        sum[r] += (double)y[r];
        size[r] += fabs((double)y[r]);
    }
    vklm_lab_check("residual", vklm_lab_read(lab, op.y), sum, size, n,
                   vklm_case_matvec_chain(lab, format, n_cols, dot8));
    // The norm is judged on what the kernel itself put into y: n additions in its longest
    // chain at most, and the square root.
    double *got = vklm_lab_doubles(vklm_lab_read(lab, op.y), n);
    vklm_ref_rmsnorm(got, norm, n, 1e-5, normed);
    for (uint32_t r = 0; r < n; r++)
        size[r] = fabs(normed[r]);
    vklm_lab_check("norm", vklm_lab_read(lab, op.yn), normed, size, n, (double)n / 4 + 16);
    if (dot8)
        vklm_case_check8(lab, "norm", op.yn8, vklm_lab_read(lab, op.yn), 1, n, 1);
    vklm_lab_require(memcmp(vklm_lab_read(lab, op.counter), &zero, 4) == 0, "the counter is not 0");
    free(x), free(xd), free(y), free(norm), free(sum), free(size), free(normed), free(got);
    vklm_lab_finish_case(lab, record_residual, &op);
}

static void run_residual(vklm_lab *lab, vklm_format format, const uint32_t *n)
{
    check_residual(lab, format, n[0], n[1], false);
}

static void run_residual_dot8(vklm_lab *lab, vklm_format format, const uint32_t *n)
{
    check_residual(lab, format, n[0], n[1], true);
}

static const vklm_case_shape matvec_residual_shapes[] = {
    {{1, 8}, 0},
    {{3, 8}, 0},
    {{5, 24}, 0},
    {{37, 96}, 0},
    {{64, 256}, 0},
    {{1, 256}, 0},
    {{3, 768}, 0},
    {{130, 776}, 0},
    {{2048, 64}, 0},
    {{331, 2048}, 0},
    {{512, 5120}, 0},
    {{96, 13824}, 0},
    {{40, 7168}, 0},
    {{2048, 2048}, VKLM_CASE_1_8B},
    {{2048, 7168}, VKLM_CASE_1_8B},
    {{5120, 5120}, VKLM_CASE_13B | VKLM_CASE_8X13B},
    {{5120, 13824}, VKLM_CASE_13B},
};

const vklm_case_family vklm_case_matvec_residual = {
    .name = "matvec.residual",
    .dims = {"rows", "columns"},
    .formats = true,
    .shapes = matvec_residual_shapes,
    .n_shapes = sizeof matvec_residual_shapes / sizeof *matvec_residual_shapes,
    .run = run_residual,
    .cost = cost_matvec,
    .columns = vklm_case_second,
};

static const vklm_case_shape matvec_residual_dot8_shapes[] = {
    {{64, 64}, 0},
    {{64, 256}, 0},
    {{64, 1024}, 0},
    {{320, 64}, 0},
    {{320, 256}, 0},
    {{320, 1024}, 0},
    {{2048, 64}, 0},
    {{2048, 256}, 0},
    {{2048, 1024}, 0},
    {{2048, 2048}, VKLM_CASE_1_8B},
    {{2048, 7168}, VKLM_CASE_1_8B},
    {{5120, 5120}, VKLM_CASE_13B | VKLM_CASE_8X13B},
    {{5120, 13824}, VKLM_CASE_13B},
};

const vklm_case_family vklm_case_matvec_residual_dot8 = {
    .name = "matvec.residual.dot8",
    .dims = {"rows", "columns"},
    .formats = true,
    .format_mask = VKLM_CASE_PACKED,
    .tier = VKLM_TIER_DOT8,
    .shapes = matvec_residual_dot8_shapes,
    .n_shapes = sizeof matvec_residual_dot8_shapes / sizeof *matvec_residual_dot8_shapes,
    .run = run_residual_dot8,
    .cost = cost_matvec,
    .columns = vklm_case_second,
};
