// The query, key and value product of one token against double precision, with its rotary embedding
// and what it writes into the cache.
#include <math.h>
#include <stdlib.h>

#include "base/half.h"
#include "kernels/cases.h"
#include "kernels/input8.h"
#include "kernels/matvec.h"
#include "ops/matvec.h"

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
    bool kv_q8, dot8;
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
    if (c.dot8)
        op.x8 = vklm_case_input8(lab, x, 1, c.n_cols, 1);
    vklm_lab_run(lab, record_qkv, &op);
    double *xd = vklm_lab_doubles(x, c.n_cols);
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
    double factor = vklm_case_matvec_chain(lab, format, c.n_cols, c.dot8) + 2;
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

static qkv_case case_of(const uint32_t *n, bool dot8)
{
    return (qkv_case){.n_heads = n[0],
                      .n_kv_heads = n[1],
                      .head_dim = n[2],
                      .n_cols = n[3],
                      .position = n[4],
                      .kv_q8 = n[5] == 8,
                      .dot8 = dot8};
}

static void run_qkv(vklm_lab *lab, vklm_format format, const uint32_t *n)
{
    check_qkv(lab, format, case_of(n, false));
}

static void run_qkv_dot8(vklm_lab *lab, vklm_format format, const uint32_t *n)
{
    check_qkv(lab, format, case_of(n, true));
}

static vklm_case_cost cost_qkv(vklm_format format, const uint32_t *n)
{
    uint32_t n_rows = (n[0] + 2 * n[1]) * n[2];
    return (vklm_case_cost){.flop = 2.0 * n_rows * n[3],
                            .bytes = vklm_case_weight_bytes(format, n_rows, n[3])};
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
    .columns = vklm_case_fourth,
};

static const vklm_case_shape matvec_qkv_dot8_shapes[] = {
    {{2, 2, 64, 256, 5, 16}, 0},
    {{2, 2, 64, 256, 5, 8}, 0},
    {{4, 1, 80, 192, 7, 16}, 0},
    {{2, 2, 128, 2048, 11, 16}, 0},
    {{2, 2, 128, 2048, 11, 8}, 0},
    {{2, 1, 256, 512, 3, 16}, 0},
    {{2, 1, 256, 512, 3, 8}, 0},
    {{16, 16, 128, 2048, 9, 16}, VKLM_CASE_1_8B},
    {{16, 16, 128, 2048, 9, 8}, VKLM_CASE_1_8B},
    {{40, 40, 128, 5120, 9, 16}, VKLM_CASE_13B | VKLM_CASE_8X13B},
    {{40, 40, 128, 5120, 9, 8}, VKLM_CASE_13B | VKLM_CASE_8X13B},
};

const vklm_case_family vklm_case_matvec_qkv_dot8 = {
    .name = "matvec.qkv.dot8",
    .dims = {"heads", "kv heads", "head size", "columns", "position", "bits of the cache"},
    .formats = true,
    .format_mask = VKLM_CASE_PACKED,
    .tier = VKLM_TIER_DOT8,
    .shapes = matvec_qkv_dot8_shapes,
    .n_shapes = sizeof matvec_qkv_dot8_shapes / sizeof *matvec_qkv_dot8_shapes,
    .run = run_qkv_dot8,
    .cost = cost_qkv,
    .columns = vklm_case_fourth,
};
