// The decode kernels against double precision.
#include <criterion/criterion.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/half.h"
#include "kernels/lab.h"
#include "ops/attention.h"
#include "ops/matvec.h"
#include "ops/tune.h"
#include "ref/ops.h"

// Rows and columns: one, odd tails, and LLM-jp's own (1.8b: 2048, 7168; 13b: 5120, 13824).
static const struct {
    uint32_t n_rows, n_cols;
} shapes[] = {{1, 8},     {3, 8},     {5, 24},     {37, 96},    {64, 256},   {1, 256},  {3, 768},
              {130, 776}, {2048, 64}, {331, 2048}, {512, 5120}, {96, 13824}, {40, 7168}};

// Formats take whole groups of columns.
static bool fits(vklm_format format, uint32_t n_cols)
{
    return n_cols % vklm_format_group(format) == 0;
}

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

static vklm_lab *open_or_skip(void)
{
    vklm_lab *lab = vklm_lab_open();
    if (!lab)
        cr_skip_test("no Vulkan: %s", vklm_error_message());
    return lab;
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
    vklm_lab_clear(lab);
}

Test(matvec, plain)
{
    vklm_lab *lab = open_or_skip();
    for (int format = 0; format < VKLM_FORMAT_COUNT; format++)
        for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
            if (fits((vklm_format)format, shapes[i].n_cols))
                check_matvec(lab, (vklm_format)format, shapes[i].n_rows, shapes[i].n_cols);
    vklm_lab_close(lab);
}

// The vocabulary: more rows than 65535 workgroups of one row, and a last group that is not full.
Test(matvec_big, vocabulary)
{
    vklm_lab *lab = open_or_skip();
    check_matvec(lab, VKLM_FORMAT_BF16, 99584, 2048);
    check_matvec(lab, VKLM_FORMAT_F16, 300001, 64);
    check_matvec(lab, VKLM_FORMAT_Q8, 99584, 2048);
    check_matvec(lab, VKLM_FORMAT_Q4, 99584, 2048);
    vklm_lab_close(lab);
}

static void record_swiglu(vklm_gpu_cmd *cmd, const void *op)
{
    vklm_op_matvec_swiglu_record(cmd, op);
}

Test(matvec, swiglu)
{
    vklm_lab *lab = open_or_skip();
    for (int format = 0; format < VKLM_FORMAT_COUNT; format++)
        for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++) {
            uint32_t n = shapes[s].n_rows, n_cols = shapes[s].n_cols;
            if (!fits((vklm_format)format, n_cols))
                continue;
            const float *values;
            float *x = malloc(n_cols * sizeof *x);
            double *both = malloc(2 * n * sizeof *both), *size = malloc(2 * n * sizeof *size);
            vklm_lab_random(s, x, n_cols);
            vklm_weight w = vklm_lab_weight(lab, 2, (vklm_format)format, 2 * n, n_cols, &values);
            vklm_op_matvec_swiglu op = {.label = "swiglu",
                                        .weight = &w,
                                        .x = vklm_lab_input(lab, x, n_cols * sizeof *x),
                                        .y = vklm_lab_output(lab, NULL, n)};
            vklm_lab_run(lab, record_swiglu, &op);
            double *xd = to_double(x, n_cols);
            vklm_lab_matmul(lab, values, xd, 1, 2 * n, n_cols, both, size);
            // |d silu / dz| <= 1.1, exp is good to 3 + 2 |z| units (Vulkan's precision table), and
            // an error of the gate is multiplied by up, and the other way round.
            for (uint32_t r = 0; r < n; r++) {
                double gate = both[r], up = both[n + r];
                size[r] = 1.1 * size[r] * fabs(up) + size[n + r] * fabs(vklm_ref_silu(gate)) +
                          (8 + 2 * fabs(gate)) * fabs(vklm_ref_silu(gate) * up);
                both[r] = vklm_ref_silu(gate) * up;
            }
            vklm_lab_check("swiglu", vklm_lab_read(lab, op.y), both, size, n,
                           chain(lab, (vklm_format)format, n_cols));
            free(x), free(xd), free(both), free(size);
            vklm_lab_clear(lab);
        }
    vklm_lab_close(lab);
}

static void record_residual(vklm_gpu_cmd *cmd, const void *op)
{
    vklm_op_matvec_residual_record(cmd, op);
}

Test(matvec, residual_and_norm)
{
    vklm_lab *lab = open_or_skip();
    for (int format = 0; format < VKLM_FORMAT_COUNT; format++)
        for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++) {
            uint32_t n = shapes[s].n_rows, n_cols = shapes[s].n_cols;
            if (!fits((vklm_format)format, n_cols))
                continue;
            const float *values, zero = 0;
            float *x = malloc(n_cols * sizeof *x), *y = malloc(n * sizeof *y),
                  *norm = malloc(n * sizeof *norm);
            double *sum = malloc(n * sizeof *sum), *size = malloc(n * sizeof *size),
                   *normed = malloc(n * sizeof *normed);
            vklm_lab_random(s, x, n_cols);
            vklm_lab_random(s + 100, y, n);
            vklm_lab_random(s + 200, norm, n);
            vklm_weight w = vklm_lab_weight(lab, 3, (vklm_format)format, n, n_cols, &values);
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
            vklm_lab_check("residual", vklm_lab_read(lab, op.y), sum, size, n,
                           chain(lab, (vklm_format)format, n_cols));
            // The norm is judged on what the kernel itself put into y: n additions in its longest
            // chain at most, and the square root.
            double *got = to_double(vklm_lab_read(lab, op.y), n);
            vklm_ref_rmsnorm(got, norm, n, 1e-5, normed);
            for (uint32_t r = 0; r < n; r++)
                size[r] = fabs(normed[r]);
            vklm_lab_check("norm", vklm_lab_read(lab, op.yn), normed, size, n, (double)n / 4 + 16);
            cr_assert_eq(memcmp(vklm_lab_read(lab, op.counter), &zero, 4), 0,
                         "the counter is not 0");
            free(x), free(xd), free(y), free(norm), free(sum), free(size), free(normed), free(got);
            vklm_lab_clear(lab);
        }
    vklm_lab_close(lab);
}

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
        cr_assert(fabs(value - want[i]) <= bound, "%s: element %zu is %.9g, wanted %.9g", what, i,
                  value, want[i]);
    }
}

typedef struct {
    uint32_t n_heads, n_kv_heads, head_dim, n_cols, position;
} qkv_case;

static void check_qkv(vklm_lab *lab, vklm_format format, qkv_case c, bool kv_q8)
{
    enum { N_CTX = 24 };
    const uint32_t n_all = c.n_heads + 2 * c.n_kv_heads, d = c.head_dim, n = n_all * d;
    const size_t cache = (size_t)c.n_kv_heads * N_CTX * d;
    const size_t words =
        kv_q8 ? (size_t)vklm_format_bytes(VKLM_FORMAT_Q8, c.n_kv_heads * N_CTX, d) / 4 : cache / 2;
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
        .kv_q8 = kv_q8,
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
        size_t at = ((size_t)h * N_CTX + c.position) * d, row = (c.n_heads + h) * d;
        if (kv_q8) {
            size_t value = row + c.n_kv_heads * d;
            vklm_lab_check_q8("k", k, c.n_kv_heads * N_CTX, d, h * N_CTX + c.position, y + row,
                              size + row, factor);
            vklm_lab_check_q8("v", v, c.n_kv_heads * N_CTX, d, h * N_CTX + c.position, y + value,
                              size + value, factor);
            continue;
        }
        check_f16("k", k + at, y + row, size + row, d, factor);
        check_f16("v", v + at, y + row + c.n_kv_heads * d, size + row + c.n_kv_heads * d, d,
                  factor);
    }
    for (size_t i = 0; i < cache && !kv_q8; i++) // the other positions keep their poison
        if (i / d % N_CTX != c.position)
            cr_assert(isnan(*(vklm_lab_read(lab, op.k) + i / 2)), "k: a write at element %zu", i);
    for (size_t i = 0; i < cache / 4 && kv_q8; i++)
        if (i * 4 / d % N_CTX != c.position)
            cr_assert(isnan(*(vklm_lab_read(lab, op.k) + i)), "k: a write at word %zu", i);
    for (uint32_t i = 0; i < 2 * c.n_kv_heads; i++)
        cr_assert_eq(vklm_lab_read(lab, op.counters)[i], 0, "counter %u is not 0", i);
    free(x), free(xd), free(rope), free(y), free(size), free(zeros);
    vklm_lab_clear(lab);
}

Test(matvec, qkv_with_rotary_embedding)
{
    static const qkv_case cases[] = {
        {1, 1, 8, 8, 0},    {2, 2, 64, 256, 5},    {4, 2, 32, 96, 23},
        {4, 1, 80, 160, 7}, {2, 2, 128, 2048, 11}, {2, 1, 96, 40, 1},
        {2, 2, 256, 64, 3}, {2, 1, 32, 768, 20},   {4, 4, 64, 256, 23},
    };
    vklm_lab *lab = open_or_skip();
    for (int format = 0; format < VKLM_FORMAT_COUNT; format++)
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
            for (int q8 = 0; q8 <= (cases[i].head_dim % 64 == 0); q8++)
                if (fits((vklm_format)format, cases[i].n_cols))
                    check_qkv(lab, (vklm_format)format, cases[i], q8);
    vklm_lab_close(lab);
}
