// Rows in f16: as the host makes them, and the kernel that does.
#include "kernels/input16.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/half.h"
#include "kernels/cases.h"
#include "ops/input16.h"

void input16_fill(input16_kind kind, float *x, uint32_t n_rows, uint32_t n_cols)
{
    static const float outliers[] = {600, 1e5f, -7e4f, 3e6f};
    const size_t n = (size_t)n_rows * n_cols;
    vklm_lab_random(n_rows, x, n);
    for (size_t i = 0; kind == INPUT16_EXACT && i < n; i++)
        x[i] = rintf(x[i] * 1024) / 1024;
    for (size_t i = 0; kind == INPUT16_OUTLIERS && i < 4; i++)
        x[i * 7 % n_rows * n_cols + (2 * i + 1) * n_cols / 8] = outliers[i];
    if (kind == INPUT16_HUGE)
        x[n - 1] = 1e30f;
    if (kind == INPUT16_NOT_FINITE) {
        x[2 * n_cols + 40] = INFINITY;
        x[5 * n_cols + 3] = NAN;
    }
}

static float largest(const float *x, size_t n)
{
    float most = 0;
    for (size_t i = 0; i < n; i++)
        if (isfinite(x[i]))
            most = fmaxf(most, fabsf(x[i]));
    return most;
}

static void pack(float *x, size_t n, unsigned char *row)
{
    const float most = largest(x, n);
    const float scale = ldexpf(1, most > 0 ? ilogbf(most) - 14 : 0);
    for (size_t i = 0; i < n; i++) {
        const uint16_t h = vklm_half_to_f16(x[i] / scale);
        memcpy(row + 2 * i, &h, sizeof h);
        x[i] = vklm_half_from_f16(h) * scale;
    }
    memcpy(row + 2 * n, &scale, sizeof scale);
}

vklm_gpu_view vklm_case_input16(vklm_lab *lab, float *x, size_t n_rows, size_t n_cols)
{
    const size_t bytes = (size_t)vklm_op_input16_bytes(n_cols);
    unsigned char *rows = calloc(n_rows, bytes);
    for (size_t r = 0; r < n_rows; r++)
        pack(x + r * n_cols, n_cols, rows + r * bytes);
    vklm_gpu_view view = vklm_lab_input(lab, rows, n_rows * bytes);
    free(rows);
    return view;
}

static void record_input16(vklm_gpu_cmd *cmd, const void *op)
{
    vklm_op_input16_record(cmd, op);
}

// The direction in which values are rounded is open: each is off by less than 2^-10 of itself, or
// 2^-24 of the scale where that is more.
static void check_row(const unsigned char *row, const float *x, size_t n)
{
    const float most = largest(x, n);
    float scale, most_h = 0;
    int exponent;
    memcpy(&scale, row + 2 * n, sizeof scale);
    vklm_lab_require(frexpf(scale, &exponent) == 0.5f, "input16: the scale %g is no power of two",
                     (double)scale);
    for (size_t i = 0; i < n; i++) {
        uint16_t bits;
        memcpy(&bits, row + 2 * i, sizeof bits);
        const float h = vklm_half_from_f16(bits);
        if (isfinite(x[i])) {
            most_h = fmaxf(most_h, fabsf(h));
            vklm_lab_require(fabsf(h * scale - x[i]) <= fabsf(x[i]) * 0x1p-10f + scale * 0x1p-24f,
                             "input16: element %zu is %g, wanted %g", i, (double)(h * scale),
                             (double)x[i]);
        } else {
            vklm_lab_require(isnan(x[i]) ? isnan(h) : h == x[i],
                             "input16: element %zu is %g, wanted %g", i, (double)h, (double)x[i]);
        }
    }
    vklm_lab_require(most == 0 || (most_h >= 0x1p14f && most_h <= 0x1p15f),
                     "input16: the largest of a row is %g times %g", (double)most_h, (double)scale);
}

static void run_input16(vklm_lab *lab, vklm_format format, const uint32_t *n)
{
    (void)format;
    const size_t n_x = (size_t)n[0] * n[1], bytes = (size_t)vklm_op_input16_bytes(n[1]);
    float *x = malloc(n_x * sizeof *x);
    input16_fill((input16_kind)n[2], x, n[0], n[1]);
    memset(x, 0, n[1] * sizeof *x); // a row of zeros
    vklm_op_input16 op = {.x = vklm_lab_input(lab, x, n_x * sizeof *x),
                          .y = vklm_lab_output(lab, NULL, n[0] * bytes / sizeof(float)),
                          .n_rows = n[0],
                          .n_cols = n[1]};
    vklm_lab_run(lab, record_input16, &op);
    const unsigned char *rows = (const unsigned char *)(const void *)vklm_lab_read(lab, op.y);
    for (size_t r = 0; r < n[0] && !vklm_lab_is_dry(lab); r++)
        check_row(rows + r * bytes, x + r * n[1], n[1]);
    free(x);
    vklm_lab_finish_case(lab, record_input16, &op);
}

static vklm_case_cost cost_input16(vklm_format format, const uint32_t *n)
{
    (void)format;
    return (vklm_case_cost){.flop = 2.0 * n[0] * n[1], .bytes = n[0] * (6.0 * n[1] + 4)};
}

static const vklm_case_shape shapes[] = {
    {{2, 8, INPUT16_RANDOM}, 0},
    {{9, 24, INPUT16_EXACT}, 0},
    {{33, 2048, INPUT16_OUTLIERS}, 0},
    {{3, 776, INPUT16_HUGE}, 0},
    {{6, 7168, INPUT16_NOT_FINITE}, 0},
    {{256, 2048, INPUT16_RANDOM}, VKLM_CASE_1_8B},
    {{256, 7168, INPUT16_RANDOM}, VKLM_CASE_1_8B},
    {{256, 5120, INPUT16_RANDOM}, VKLM_CASE_13B},
    {{256, 13824, INPUT16_RANDOM}, VKLM_CASE_13B},
};

const vklm_case_family vklm_case_input16_rows = {
    .name = "input16",
    .dims = {"tokens", "columns", "inputs"},
    .tier = VKLM_TIER_COOP,
    .shapes = shapes,
    .n_shapes = sizeof shapes / sizeof *shapes,
    .run = run_input16,
    .cost = cost_input16,
};
