// The decode kernels against double precision.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/half.h"
#include "kernels/cases.h"
#include "ops/attention.h"
#include "ops/matvec.h"
#include "ops/tune.h"
#include "ref/ops.h"

// The longest chain of roundings of one result: every invocation adds its blocks of at least 8
// columns, then the workgroup its invocations; a block of 8 has 8 roundings of its own at most, one
// of 32 columns with a scale and a minimum 36.
static double chain(const vklm_lab *lab, vklm_format format, uint32_t n_cols)
{
    vklm_tuning t = vklm_tune_select(vklm_gpu_device_caps(vklm_lab_device(lab)));
    return (double)(n_cols / 8 / t.matvec_lanes + 1) + (vklm_format_is_packed(format) ? 36 : 8) +
           t.matvec_lanes;
}

static double *to_double(const float *x, size_t n)
{
    double *y = malloc(n * sizeof *y);
    for (size_t i = 0; i < n; i++)
        y[i] = (double)x[i];
    return y;
}

static void record_matvec(vklm_gpu_cmd *cmd, const void *op)
{
    vklm_op_matvec_record(cmd, op);
}

static void check_matvec(vklm_lab *lab, vklm_format format, uint32_t n_rows, uint32_t n_cols)
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
    vklm_lab_run(lab, record_matvec, &op);
    double *xd = to_double(x, n_cols);
    vklm_lab_matmul(lab, values, xd, 1, n_rows, n_cols, y, size);
    char what[96];
    snprintf(what, sizeof what, "matvec %s %ux%u", vklm_format_name(format), n_rows, n_cols);
    vklm_lab_check(what, vklm_lab_read(lab, op.y), y, size, n_rows, chain(lab, format, n_cols));
    free(x), free(xd), free(y), free(size);
    vklm_lab_finish_case(lab, record_matvec, &op);
}

static void run_matvec(vklm_lab *lab, vklm_format format, const uint32_t *n)
{
    check_matvec(lab, format, n[0], n[1]);
}

// Every weight once; vectors are small beside them and lie in caches.
static vklm_case_cost cost_matvec(vklm_format format, const uint32_t *n)
{
    return (vklm_case_cost){.flop = 2.0 * n[0] * n[1],
                            .bytes = vklm_case_weight_bytes(format, n[0], n[1])};
}

static uint32_t second(const uint32_t *n)
{
    return n[1];
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
    .columns = second,
};

static void record_swiglu(vklm_gpu_cmd *cmd, const void *op)
{
    vklm_op_matvec_swiglu_record(cmd, op);
}

static void check_swiglu(vklm_lab *lab, vklm_format format, uint32_t n, uint32_t n_cols)
{
    const float *values;
    float *x = malloc(n_cols * sizeof *x);
    double *both = malloc(2 * n * sizeof *both), *size = malloc(2 * n * sizeof *size);
    vklm_lab_random(n, x, n_cols);
    vklm_weight w = vklm_lab_weight(lab, 2, format, 2 * n, n_cols, &values);
    vklm_op_matvec_swiglu op = {.label = "swiglu",
                                .weight = &w,
                                .x = vklm_lab_input(lab, x, n_cols * sizeof *x),
                                .y = vklm_lab_output(lab, NULL, n)};
    vklm_lab_run(lab, record_swiglu, &op);
    double *xd = to_double(x, n_cols);
    vklm_lab_matmul(lab, values, xd, 1, 2 * n, n_cols, both, size);
    // |d silu / dz| <= 1.1, exp is good to 3 + 2 |z| units (Vulkan's precision table), and an
    // error of the gate is multiplied by up, and the other way round.
    for (uint32_t r = 0; r < n; r++) {
        double gate = both[r], up = both[n + r];
        size[r] = 1.1 * size[r] * fabs(up) + size[n + r] * fabs(vklm_ref_silu(gate)) +
                  (8 + 2 * fabs(gate)) * fabs(vklm_ref_silu(gate) * up);
        both[r] = vklm_ref_silu(gate) * up;
    }
    vklm_lab_check("swiglu", vklm_lab_read(lab, op.y), both, size, n, chain(lab, format, n_cols));
    free(x), free(xd), free(both), free(size);
    vklm_lab_finish_case(lab, record_swiglu, &op);
}

static void run_swiglu(vklm_lab *lab, vklm_format format, const uint32_t *n)
{
    check_swiglu(lab, format, n[0], n[1]);
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
    .columns = second,
};

static void record_residual(vklm_gpu_cmd *cmd, const void *op)
{
    vklm_op_matvec_residual_record(cmd, op);
}

static void check_residual(vklm_lab *lab, vklm_format format, uint32_t n, uint32_t n_cols)
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
    vklm_lab_run(lab, record_residual, &op);
    double *xd = to_double(x, n_cols);
    vklm_lab_matmul(lab, values, xd, 1, n, n_cols, sum, size);
    for (uint32_t r = 0; r < n; r++) {
        sum[r] += (double)y[r];
        size[r] += fabs((double)y[r]);
    }
    vklm_lab_check("residual", vklm_lab_read(lab, op.y), sum, size, n, chain(lab, format, n_cols));
    // The norm is judged on what the kernel itself put into y: n additions in its longest
    // chain at most, and the square root.
    double *got = to_double(vklm_lab_read(lab, op.y), n);
    vklm_ref_rmsnorm(got, norm, n, 1e-5, normed);
    for (uint32_t r = 0; r < n; r++)
        size[r] = fabs(normed[r]);
    vklm_lab_check("norm", vklm_lab_read(lab, op.yn), normed, size, n, (double)n / 4 + 16);
    vklm_lab_require(memcmp(vklm_lab_read(lab, op.counter), &zero, 4) == 0, "the counter is not 0");
    free(x), free(xd), free(y), free(norm), free(sum), free(size), free(normed), free(got);
    vklm_lab_finish_case(lab, record_residual, &op);
}

static void run_residual(vklm_lab *lab, vklm_format format, const uint32_t *n)
{
    check_residual(lab, format, n[0], n[1]);
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
    .columns = second,
};

static void record_qkv(vklm_gpu_cmd *cmd, const void *op)
{
    vklm_op_matvec_qkv_record(cmd, op);
}

// A rotated pair is a combination of two sums; f16 rounds the cache once more.
static void check_f16(const char *what, const uint16_t *got, const double *want, const double *size,
                      size_t n, double factor)
{
    for (size_t i = 0; i < n; i++) {
        double value = (double)vklm_half_from_f16(got[i]);
        double bound = factor * 0x1p-24 * size[i] + 0x1p-11 * fabs(want[i]) + 0x1p-25;
        vklm_lab_require(fabs(value - want[i]) <= bound, "%s: element %zu is %.9g, wanted %.9g",
                         what, i, value, want[i]);
    }
}

typedef struct {
    uint32_t n_heads, n_kv_heads, head_dim, n_cols, position;
    bool kv_q8;
} qkv_case;

static void check_qkv(vklm_lab *lab, vklm_format format, qkv_case c)
{
    enum { N_CTX = 24 };
    const uint32_t n_all = c.n_heads + 2 * c.n_kv_heads, d = c.head_dim, n = n_all * d;
    const uint32_t cache_rows = c.n_kv_heads * N_CTX;
    const size_t cache = (size_t)cache_rows * d;
    const size_t words =
        (size_t)vklm_lab_matrix_bytes(c.kv_q8 ? VKLM_FORMAT_Q8 : VKLM_FORMAT_F16, cache_rows, d) /
        4;
    float *zeros = calloc(2 * c.n_kv_heads, sizeof *zeros);
    const float *values;
    float *x = malloc(c.n_cols * sizeof *x), *rope = malloc(N_CTX * d * sizeof *rope);
    double *y = malloc(n * sizeof *y), *size = malloc(n * sizeof *size);
    vklm_lab_random(c.n_cols, x, c.n_cols);
    vklm_lab_random(7, rope, N_CTX * d); // any angles will do: they need not be a rotation
    struct vklm_args_step step = {.token = 3, .position = c.position};
    vklm_weight w = vklm_lab_weight(lab, 4, format, n, c.n_cols, &values);
    vklm_op_matvec_qkv op = {
        .label = "qkv",
        .weight = &w,
        .x = vklm_lab_input(lab, x, c.n_cols * sizeof *x),
        .step = vklm_lab_input(lab, &step, sizeof step),
        .rope = vklm_lab_input(lab, rope, N_CTX * d * sizeof *rope),
        .q = vklm_lab_output(lab, NULL, c.n_heads * d),
        .k = vklm_lab_output(lab, NULL, words),
        .v = vklm_lab_output(lab, NULL, words),
        .scratch = vklm_lab_output(lab, NULL, 2 * c.n_kv_heads * d),
        .counters = vklm_lab_output(lab, zeros, 2 * c.n_kv_heads),
        .kv_q8 = c.kv_q8,
        .n_heads = c.n_heads,
        .n_kv_heads = c.n_kv_heads,
        .head_dim = d,
        .n_ctx = N_CTX,
    };
    vklm_lab_run(lab, record_qkv, &op);
    double *xd = to_double(x, c.n_cols);
    vklm_lab_matmul(lab, values, xd, 1, n, c.n_cols, y, size);
    for (uint32_t h = 0; h < c.n_heads + c.n_kv_heads; h++)
        for (uint32_t i = 0; i < d / 2; i++) {
            double cosine = (double)rope[(c.position * (d / 2) + i) * 2],
                   sine = (double)rope[(c.position * (d / 2) + i) * 2 + 1];
            double *a = &y[h * d + i], *b = &y[h * d + i + d / 2], turned = *a * cosine - *b * sine;
            *b = *b * cosine + *a * sine;
            *a = turned;
            size[h * d + i] = size[h * d + i + d / 2] =
                size[h * d + i] * fmax(fabs(cosine), fabs(sine)) +
                size[h * d + i + d / 2] * fmax(fabs(cosine), fabs(sine));
        }
    double factor = chain(lab, format, c.n_cols) + 2;
    vklm_lab_check("q", vklm_lab_read(lab, op.q), y, size, c.n_heads * d, factor);
    const uint16_t *k = (const uint16_t *)(const void *)vklm_lab_read(lab, op.k);
    const uint16_t *v = (const uint16_t *)(const void *)vklm_lab_read(lab, op.v);
    for (uint32_t h = 0; h < c.n_kv_heads; h++) {
        const uint32_t position = h * N_CTX + c.position;
        const size_t at = (size_t)position * d, row = (c.n_heads + h) * d;
        const size_t value = row + c.n_kv_heads * d;
        if (c.kv_q8) {
            vklm_lab_check_q8("k", k, cache_rows, d, position, y + row, size + row, factor);
            vklm_lab_check_q8("v", v, cache_rows, d, position, y + value, size + value, factor);
        } else {
            check_f16("k", k + at, y + row, size + row, d, factor);
            check_f16("v", v + at, y + value, size + value, d, factor);
        }
    }
    const size_t per_word = c.kv_q8 ? 4 : 2; // the other positions keep their poison
    for (size_t i = 0; i < cache / per_word; i++)
        if (i * per_word / d % N_CTX != c.position)
            vklm_lab_require(isnan(vklm_lab_read(lab, op.k)[i]), "k: a write at word %zu", i);
    for (uint32_t i = 0; i < 2 * c.n_kv_heads; i++)
        vklm_lab_require(vklm_lab_read(lab, op.counters)[i] == 0, "counter %u is not 0", i);
    free(x), free(xd), free(rope), free(y), free(size), free(zeros);
    vklm_lab_finish_case(lab, record_qkv, &op);
}

static void run_qkv(vklm_lab *lab, vklm_format format, const uint32_t *n)
{
    check_qkv(lab, format,
              (qkv_case){.n_heads = n[0],
                         .n_kv_heads = n[1],
                         .head_dim = n[2],
                         .n_cols = n[3],
                         .position = n[4],
                         .kv_q8 = n[5] == 8});
}

static vklm_case_cost cost_qkv(vklm_format format, const uint32_t *n)
{
    uint32_t n_rows = (n[0] + 2 * n[1]) * n[2];
    return (vklm_case_cost){.flop = 2.0 * n_rows * n[3],
                            .bytes = vklm_case_weight_bytes(format, n_rows, n[3])};
}

static uint32_t fourth(const uint32_t *n)
{
    return n[3];
}

static const vklm_case_shape matvec_qkv_shapes[] = {
    {{1, 1, 8, 8, 0, 16}, 0},
    {{2, 2, 64, 256, 5, 16}, 0},
    {{2, 2, 64, 256, 5, 8}, 0},
    {{4, 2, 32, 96, 23, 16}, 0},
    {{4, 1, 80, 160, 7, 16}, 0},
    {{2, 2, 128, 2048, 11, 16}, 0},
    {{2, 2, 128, 2048, 11, 8}, 0},
    {{2, 1, 96, 40, 1, 16}, 0},
    {{2, 2, 256, 64, 3, 16}, 0},
    {{2, 2, 256, 64, 3, 8}, 0},
    {{2, 1, 32, 768, 20, 16}, 0},
    {{4, 4, 64, 256, 23, 16}, 0},
    {{4, 4, 64, 256, 23, 8}, 0},
    {{16, 16, 128, 2048, 9, 16}, VKLM_CASE_1_8B},
    {{16, 16, 128, 2048, 9, 8}, VKLM_CASE_1_8B},
    {{40, 40, 128, 5120, 9, 16}, VKLM_CASE_13B | VKLM_CASE_8X13B},
    {{40, 40, 128, 5120, 9, 8}, VKLM_CASE_13B | VKLM_CASE_8X13B},
};

const vklm_case_family vklm_case_matvec_qkv = {
    .name = "matvec.qkv",
    .dims = {"heads", "kv heads", "head size", "columns", "position", "bits of the cache"},
    .formats = true,
    .shapes = matvec_qkv_shapes,
    .n_shapes = sizeof matvec_qkv_shapes / sizeof *matvec_qkv_shapes,
    .run = run_qkv,
    .cost = cost_qkv,
    .columns = fourth,
};
