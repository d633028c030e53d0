// The dot8 tier's kernels: packed weights against inputs in 8 bits, in double precision; and that
// the kernels which make such inputs make them of what they also give in f32.
#include <criterion/criterion.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/lab.h"
#include "ops/attention.h"
#include "ops/embed.h"
#include "ops/input8.h"
#include "ops/matvec.h"
#include "ref/ops.h"

static const vklm_format formats[] = {VKLM_FORMAT_Q8, VKLM_FORMAT_Q4};

// LLM-jp's own columns among them; q4 takes multiples of 256.
static const struct {
    uint32_t n_rows, n_cols;
} shapes[] = {{1, 64},    {3, 192},    {64, 256},   {37, 512},
              {130, 768}, {331, 2048}, {512, 5120}, {96, 13824}};

static vklm_lab *open_or_skip(void)
{
    vklm_lab *lab = vklm_lab_open_tiers(VKLM_TIER_BASE | VKLM_TIER_DOT8);
    if (!lab)
        cr_skip_test("no Vulkan: %s", vklm_error_message());
    if (!(vklm_gpu_device_caps(vklm_lab_device(lab))->tiers & VKLM_TIER_DOT8)) {
        vklm_lab_close(lab);
        cr_skip_test("the device has no integer dot product");
    }
    return lab;
}

static bool fits(vklm_format format, uint32_t n_cols)
{
    return n_cols % vklm_format_group(format) == 0;
}

// x in 8 bits, on the device; x becomes what that means.
static vklm_gpu_view make_input8(vklm_lab *lab, float *x, size_t n)
{
    unsigned char *packed = calloc(1, vklm_op_input8_bytes(n));
    for (size_t b = 0; b < n / 32; b++) {
        float largest = 0, scale[2];
        int sum = 0;
        for (size_t i = b * 32; i < b * 32 + 32; i++)
            largest = fmaxf(largest, fabsf(x[i]));
        scale[0] = largest / 127;
        for (size_t i = b * 32; i < b * 32 + 32; i++) {
            int q = largest > 0 ? (int)rintf(x[i] * (127 / largest)) : 0;
            packed[i] = (unsigned char)(int8_t)q;
            sum += q;
            x[i] = scale[0] * (float)q;
        }
        scale[1] = scale[0] * (float)sum;
        memcpy(packed + n + 8 * b, scale, sizeof scale);
    }
    vklm_gpu_view view = vklm_lab_input(lab, packed, vklm_op_input8_bytes(n));
    free(packed);
    return view;
}

static vklm_gpu_view output8(vklm_lab *lab, size_t n)
{
    return vklm_lab_output(lab, NULL, vklm_op_input8_bytes(n) / sizeof(float));
}

// A vector in 8 bits says what y says: within half a unit of its block's scale, whose largest
// element is 127 of them.
static void check_input8(vklm_lab *lab, const char *what, vklm_gpu_view view, const float *y,
                         size_t n)
{
    const unsigned char *bytes = (const unsigned char *)(const void *)vklm_lab_read(lab, view);
    for (size_t b = 0; b < n / 32; b++) {
        float scale[2], largest = 0;
        int sum = 0;
        memcpy(scale, bytes + n + 8 * b, sizeof scale);
        for (size_t i = b * 32; i < b * 32 + 32; i++) {
            int q = (int8_t)bytes[i];
            sum += q;
            largest = fmaxf(largest, fabsf(y[i]));
            cr_assert_leq(fabsf(scale[0] * (float)q - y[i]), scale[0] * 0.5001f, "%s: element %zu",
                          what, i);
        }
        // a division is good to 2.5 units
        cr_assert_float_eq(scale[0] * 127, largest, largest * 0x1p-20f, "%s: block %zu", what, b);
        cr_assert_float_eq(scale[1], scale[0] * (float)sum, fabsf(scale[1]) * 0x1p-22f, "%s", what);
    }
}

// Products of a block are exact integers; what rounds are the scales, the sums of a lane's blocks
// and the workgroup's.
static double chain(const vklm_lab *lab, uint32_t n_cols)
{
    vklm_tuning t = vklm_tune_select(vklm_gpu_device_caps(vklm_lab_device(lab)));
    return (double)(n_cols / 64 / t.matvec_lanes + 1) * 3 + 8 + t.matvec_lanes;
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
                         .x8 = make_input8(lab, x, n_cols),
                         .y = vklm_lab_output(lab, NULL, n_rows)};
    vklm_lab_run(lab, record_matvec, &op);
    double *xd = to_double(x, n_cols);
    vklm_lab_matmul(lab, values, xd, 1, n_rows, n_cols, y, size);
    char what[96];
    snprintf(what, sizeof what, "matvec dot8 %s %ux%u", vklm_format_name(format), n_rows, n_cols);
    vklm_lab_check(what, vklm_lab_read(lab, op.y), y, size, n_rows, chain(lab, n_cols));
    free(x), free(xd), free(y), free(size);
    vklm_lab_clear(lab);
}

Test(dot8, matvec)
{
    vklm_lab *lab = open_or_skip();
    for (size_t f = 0; f < 2; f++)
        for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
            if (fits(formats[f], shapes[i].n_cols))
                check_matvec(lab, formats[f], shapes[i].n_rows, shapes[i].n_cols);
    vklm_lab_close(lab);
}

static void record_swiglu(vklm_gpu_cmd *cmd, const void *op)
{
    vklm_op_matvec_swiglu_record(cmd, op);
}

static void check_swiglu(vklm_lab *lab, vklm_format format, uint32_t n, uint32_t n_cols)
{
    const float *values;
    float *x = malloc(n_cols * sizeof *x), *zeros = calloc(n / 32, sizeof *zeros);
    double *both = malloc(2 * n * sizeof *both), *size = malloc(2 * n * sizeof *size);
    vklm_lab_random(n, x, n_cols);
    vklm_weight w = vklm_lab_weight(lab, 2, format, 2 * n, n_cols, &values);
    vklm_op_matvec_swiglu op = {.label = "swiglu",
                                .weight = &w,
                                .x = vklm_lab_input(lab, x, n_cols * sizeof *x),
                                .x8 = make_input8(lab, x, n_cols),
                                .y = vklm_lab_output(lab, NULL, n),
                                .y8 = output8(lab, n),
                                .counters = vklm_lab_output(lab, zeros, n / 32)};
    vklm_lab_run(lab, record_swiglu, &op);
    double *xd = to_double(x, n_cols);
    vklm_lab_matmul(lab, values, xd, 1, 2 * n, n_cols, both, size);
    // An error of the gate is multiplied by up, and the other way round; see the base tier's test.
    for (uint32_t r = 0; r < n; r++) {
        double gate = both[r], up = both[n + r];
        size[r] = 1.1 * size[r] * fabs(up) + size[n + r] * fabs(vklm_ref_silu(gate)) +
                  (8 + 2 * fabs(gate)) * fabs(vklm_ref_silu(gate) * up);
        both[r] = vklm_ref_silu(gate) * up;
    }
    vklm_lab_check("swiglu dot8", vklm_lab_read(lab, op.y), both, size, n, chain(lab, n_cols));
    check_input8(lab, "swiglu", op.y8, vklm_lab_read(lab, op.y), n);
    cr_assert_eq(memcmp(vklm_lab_read(lab, op.counters), zeros, n / 32 * sizeof *zeros), 0);
    free(x), free(xd), free(zeros), free(both), free(size);
    vklm_lab_clear(lab);
}

Test(dot8, swiglu)
{
    static const uint32_t rows[] = {64, 192, 1024};
    vklm_lab *lab = open_or_skip();
    for (size_t f = 0; f < 2; f++)
        for (size_t i = 0; i < 3; i++)
            for (uint32_t n_cols = 64; n_cols <= 2048; n_cols *= 4)
                if (fits(formats[f], n_cols))
                    check_swiglu(lab, formats[f], rows[i], n_cols);
    vklm_lab_close(lab);
}

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
        .x8 = make_input8(lab, x, n_cols),
        .y = vklm_lab_output(lab, y, n),
        .norm = vklm_lab_input(lab, norm, n * sizeof *norm),
        .yn = vklm_lab_output(lab, NULL, n),
        .yn8 = output8(lab, n),
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
    vklm_lab_check("residual dot8", vklm_lab_read(lab, op.y), sum, size, n, chain(lab, n_cols));
    double *got = to_double(vklm_lab_read(lab, op.y), n);
    vklm_ref_rmsnorm(got, norm, n, 1e-5, normed);
    for (uint32_t r = 0; r < n; r++)
        size[r] = fabs(normed[r]);
    vklm_lab_check("norm", vklm_lab_read(lab, op.yn), normed, size, n, (double)n / 4 + 16);
    check_input8(lab, "norm", op.yn8, vklm_lab_read(lab, op.yn), n);
    free(x), free(xd), free(y), free(norm), free(sum), free(size), free(normed), free(got);
    vklm_lab_clear(lab);
}

Test(dot8, residual_and_norm)
{
    static const uint32_t rows[] = {64, 320, 2048};
    vklm_lab *lab = open_or_skip();
    for (size_t f = 0; f < 2; f++)
        for (size_t i = 0; i < 3; i++)
            for (uint32_t n_cols = 64; n_cols <= 1024; n_cols *= 4)
                if (fits(formats[f], n_cols))
                    check_residual(lab, formats[f], rows[i], n_cols);
    vklm_lab_close(lab);
}

static void record_embed(vklm_gpu_cmd *cmd, const void *op)
{
    vklm_op_embed_record(cmd, op);
}

Test(dot8, embed)
{
    vklm_lab *lab = open_or_skip();
    for (int format = 0; format < VKLM_FORMAT_COUNT; format++) {
        enum { N = 512, VOCAB = 9 };
        const float *values;
        float norm[N];
        uint32_t token = 5;
        vklm_lab_random(1, norm, N);
        vklm_weight table = vklm_lab_weight(lab, 7, (vklm_format)format, VOCAB, N, &values);
        vklm_op_embed op = {.table = &table,
                            .tokens = vklm_lab_input(lab, &token, sizeof token),
                            .norm = vklm_lab_input(lab, norm, sizeof norm),
                            .x = vklm_lab_output(lab, NULL, N),
                            .xn = vklm_lab_output(lab, NULL, N),
                            .xn8 = output8(lab, N),
                            .n_rows = 1,
                            .eps = 1e-5f};
        vklm_lab_run(lab, record_embed, &op);
        double *x = to_double(vklm_lab_read(lab, op.x), N), normed[N], size[N];
        vklm_ref_rmsnorm(x, norm, N, 1e-5, normed);
        for (int i = 0; i < N; i++)
            size[i] = fabs(normed[i]);
        vklm_lab_check("embed", vklm_lab_read(lab, op.xn), normed, size, N, N / 4.0 + 16);
        check_input8(lab, "embed", op.xn8, vklm_lab_read(lab, op.xn), N);
        free(x);
        vklm_lab_clear(lab);
    }
    vklm_lab_close(lab);
}

static void record_attention(vklm_gpu_cmd *cmd, const void *op)
{
    vklm_op_attention_decode_record(cmd, op);
}

// One split and several; the f32 result is the base tier's test's.
Test(dot8, attention)
{
    enum { HEADS = 3, CTX = 300 };
    static const uint32_t dims[] = {32, 64, 128, 256}, positions[] = {0, 100, 299};
    vklm_lab *lab = open_or_skip();
    for (size_t d = 0; d < 4; d++)
        for (size_t p = 0; p < 3; p++) {
            const uint32_t n = HEADS * dims[d];
            const size_t cache = (size_t)HEADS * CTX * dims[d];
            const struct vklm_args_step step = {.position = positions[p]};
            float *q = malloc(n * sizeof *q), zeros[HEADS] = {0};
            uint16_t *kv = malloc(cache * sizeof *kv);
            vklm_lab_random(n, q, n);
            for (size_t i = 0; i < cache; i++)
                kv[i] = (uint16_t)(0x3000 + i * 7919 % 0x0C00); // f16, 1/8 to 1
            const vklm_gpu_caps *caps = vklm_gpu_device_caps(vklm_lab_device(lab));
            uint64_t scratch = vklm_op_attention_decode_scratch(caps, HEADS, dims[d], CTX);
            float *partial = calloc(1, scratch);
            vklm_op_attention_decode op = {
                .q = vklm_lab_input(lab, q, n * sizeof *q),
                .k = vklm_lab_input(lab, kv, cache * sizeof *kv),
                .v = vklm_lab_input(lab, kv, cache * sizeof *kv),
                .step = vklm_lab_input(lab, &step, sizeof step),
                .y = vklm_lab_output(lab, NULL, n),
                .y8 = output8(lab, n),
                .partial = vklm_lab_input(lab, partial, scratch),
                .counter = vklm_lab_output(lab, zeros, HEADS),
                .n_heads = HEADS,
                .n_kv_heads = HEADS,
                .head_dim = dims[d],
                .n_ctx = CTX,
            };
            vklm_lab_run(lab, record_attention, &op);
            check_input8(lab, "attention", op.y8, vklm_lab_read(lab, op.y), n);
            free(q), free(kv), free(partial);
            vklm_lab_clear(lab);
        }
    vklm_lab_close(lab);
}
