// Attention over the f16 and the q8 cache against double precision.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/half.h"
#include "kernels/cases.h"
#include "kernels/input8.h"
#include "ops/attention.h"
#include "ops/rope_kv.h"
#include "ops/tune.h"
#include "ref/ops.h"

typedef struct {
    uint32_t n_heads, n_kv_heads, head_dim, n_ctx;
} heads;

// A random cache [n_kv_heads, n_ctx, head_dim]: on the device in a format, here as the doubles of
// it.
static vklm_gpu_view random_cache(vklm_lab *lab, uint64_t seed, heads s, vklm_format format,
                                  double **out_values)
{
    const float *values;
    size_t n = (size_t)s.n_kv_heads * s.n_ctx * s.head_dim;
    vklm_weight w = vklm_lab_weight(lab, seed, format, s.n_kv_heads * s.n_ctx, s.head_dim, &values);
    *out_values = malloc(n * sizeof **out_values);
    for (size_t i = 0; i < n; i++)
        (*out_values)[i] = (double)values[i];
    return w.data;
}

// Random ones; and ones whose scores f16 can hold.
typedef enum {
    QUERIES_RANDOM,
    QUERIES_ZERO,  // all positions weigh the same
    QUERIES_LARGE, // one element beyond f16's range; head sizes that are powers of four
} query_kind;

// How errors grow, in units of 2^-24.
typedef struct {
    double score;    // of a score, for each |scale| |q| |k|
    double position; // of the result, for each position,
    double rest;     // and what does not depend on their number
} error_bound;

// f32 sums.
static error_bound base_bound(uint32_t head_dim, double factor)
{
    return (error_bound){factor * (head_dim / 4 + 4), factor / 4, factor * 32};
}

// y of one query head over `length` positions, and the size of its error: an error e of a score
// changes its weight by a factor exp(e); scores are sums of head_dim terms, all of at most |scale|
// |q| |k|.
static void reference(const double *q, const double *k, const double *v, heads s, uint32_t head,
                      uint32_t length, error_bound bound, double *y, double *size)
{
    const size_t d = s.head_dim;
    size_t kv = (size_t)(head / (s.n_heads / s.n_kv_heads)) * s.n_ctx * d;
    double scale = 1 / sqrt((double)d), largest = 0, score_size = 0;
    vklm_ref_attention(q, k + kv, v + kv, length, d, d, scale, y);
    for (size_t p = 0; p < length; p++) {
        double sum = 0;
        for (size_t i = 0; i < d; i++) {
            sum += fabs(scale * q[i] * k[kv + p * d + i]);
            largest = fmax(largest, fabs(v[kv + p * d + i]));
        }
        score_size = fmax(score_size, sum);
    }
    for (size_t i = 0; i < d; i++) // 2: both the numerator and the denominator carry it
        size[i] =
            largest * 2 * (score_size * bound.score + (double)length * bound.position + bound.rest);
}

static void record_decode(vklm_gpu_cmd *cmd, const void *op)
{
    vklm_op_attention_decode_record(cmd, op);
}

static void check_decode(vklm_lab *lab, vklm_format format, heads s, uint32_t length, bool dot8)
{
    const size_t n = (size_t)s.n_heads * s.head_dim;
    double *k, *v, *y = malloc(n * sizeof *y), *size = malloc(n * sizeof *size),
                   *qd = malloc(n * sizeof *qd);
    float *q = malloc(n * sizeof *q), *zeros = calloc(s.n_heads, sizeof *zeros);
    vklm_lab_random(length, q, n);
    const vklm_gpu_caps *caps = vklm_gpu_device_caps(vklm_lab_device(lab));
    struct vklm_args_step step = {.position = length - 1};
    vklm_op_attention_decode op = {
        .q = vklm_lab_input(lab, q, n * sizeof *q),
        .k = random_cache(lab, 1, s, format, &k),
        .v = random_cache(lab, 2, s, format, &v),
        .step = vklm_lab_input(lab, &step, sizeof step),
        .y = vklm_lab_output(lab, NULL, n),
        .partial = vklm_lab_output(
            lab, NULL, vklm_op_attention_decode_scratch(caps, s.n_heads, s.head_dim, s.n_ctx) / 4),
        .counter = vklm_lab_output(lab, zeros, s.n_heads),
        .n_heads = s.n_heads,
        .n_kv_heads = s.n_kv_heads,
        .head_dim = s.head_dim,
        .n_ctx = s.n_ctx,
        .kv_q8 = format == VKLM_FORMAT_Q8,
    };
    if (dot8)
        op.y8 = vklm_case_output8(lab, 1, n, 1);
    vklm_lab_run(lab, record_decode, &op);
    for (size_t i = 0; i < n; i++)
        qd[i] = (double)q[i];
    for (uint32_t h = 0; h < s.n_heads; h++)
        reference(qd + h * s.head_dim, k, v, s, h, length, base_bound(s.head_dim, 1),
                  y + h * s.head_dim, size + h * s.head_dim);
    char what[96];
    snprintf(what, sizeof what, "decode %s %u/%u heads of %u, %u positions",
             vklm_format_name(format), s.n_heads, s.n_kv_heads, s.head_dim, length);
    vklm_lab_check(what, vklm_lab_read(lab, op.y), y, size, n, 1);
    for (uint32_t h = 0; h < s.n_heads; h++)
        vklm_lab_require(vklm_lab_read(lab, op.counter)[h] == 0, "counter %u is not 0", h);
    if (dot8)
        vklm_case_check8(lab, what, op.y8, vklm_lab_read(lab, op.y), 1, n, 1);
    free(k), free(v), free(y), free(size), free(qd), free(q), free(zeros);
    vklm_lab_finish_case(lab, record_decode, &op);
}

static void run_decode(vklm_lab *lab, vklm_format format, const uint32_t *n)
{
    check_decode(lab, format, (heads){n[0], n[1], n[2], n[3]}, n[4], false);
}

static void run_decode_dot8(vklm_lab *lab, vklm_format format, const uint32_t *n)
{
    check_decode(lab, format, (heads){n[0], n[1], n[2], n[3]}, n[4], true);
}

// q k and p v, once each for every position; k and v are read once.
static vklm_case_cost cost_decode(vklm_format format, const uint32_t *n)
{
    return (vklm_case_cost){.flop = 4.0 * n[0] * n[4] * n[2],
                            .bytes = 2 * vklm_case_weight_bytes(format, n[1] * n[4], n[2])};
}

static const vklm_case_shape decode_shapes[] = {
    {{1, 1, 8, 16, 1}, 0},
    {{1, 1, 8, 16, 2}, 0},
    {{1, 1, 8, 16, 16}, 0},
    {{2, 2, 64, 300, 1}, 0},
    {{2, 2, 64, 300, 7}, 0},
    {{2, 2, 64, 300, 128}, 0},
    {{2, 2, 64, 300, 129}, 0},
    {{2, 2, 64, 300, 300}, 0},
    {{4, 2, 32, 200, 1}, 0},
    {{4, 2, 32, 200, 128}, 0},
    {{4, 2, 32, 200, 199}, 0},
    {{4, 2, 32, 200, 200}, 0},
    {{3, 1, 80, 140, 9}, 0},
    {{3, 1, 80, 140, 140}, 0},
    {{2, 2, 96, 140, 31}, 0},
    {{2, 2, 96, 140, 130}, 0},
    {{2, 2, 128, 1000, 1}, 0},
    {{2, 2, 128, 1000, 127}, 0},
    {{2, 2, 128, 1000, 257}, 0},
    {{2, 2, 128, 1000, 1000}, 0},
    {{2, 1, 256, 150, 3}, 0},
    {{2, 1, 256, 150, 150}, 0},
    {{40, 40, 128, 4096, 3001}, 0},
    {{16, 16, 128, 4096, 128}, VKLM_CASE_1_8B},
    {{16, 16, 128, 4096, 1024}, VKLM_CASE_1_8B},
    {{16, 16, 128, 4096, 4096}, VKLM_CASE_1_8B},
    {{40, 40, 128, 4096, 128}, VKLM_CASE_13B | VKLM_CASE_8X13B},
    {{40, 40, 128, 4096, 1024}, VKLM_CASE_13B | VKLM_CASE_8X13B},
    {{40, 40, 128, 4096, 4096}, VKLM_CASE_13B | VKLM_CASE_8X13B},
};

const vklm_case_family vklm_case_attention_decode = {
    .name = "attention.decode",
    .dims = {"heads", "kv heads", "head size", "context", "positions"},
    .formats = true,
    .cache = true,
    .shapes = decode_shapes,
    .n_shapes = sizeof decode_shapes / sizeof *decode_shapes,
    .run = run_decode,
    .cost = cost_decode,
    .columns = vklm_case_third,
};

// One split and several, the result in 8 bits as well.
static const vklm_case_shape decode_dot8_shapes[] = {
    {{3, 3, 32, 300, 1}, 0},
    {{3, 3, 32, 300, 101}, 0},
    {{3, 3, 32, 300, 300}, 0},
    {{3, 3, 64, 300, 1}, 0},
    {{3, 3, 64, 300, 101}, 0},
    {{3, 3, 64, 300, 300}, 0},
    {{3, 3, 128, 300, 1}, 0},
    {{3, 3, 128, 300, 101}, 0},
    {{3, 3, 128, 300, 300}, 0},
    {{3, 3, 256, 300, 1}, 0},
    {{3, 3, 256, 300, 101}, 0},
    {{3, 3, 256, 300, 300}, 0},
    {{16, 16, 128, 4096, 1024}, VKLM_CASE_1_8B},
    {{40, 40, 128, 4096, 1024}, VKLM_CASE_13B | VKLM_CASE_8X13B},
};

const vklm_case_family vklm_case_attention_decode_dot8 = {
    .name = "attention.decode.dot8",
    .dims = {"heads", "kv heads", "head size", "context", "positions"},
    .formats = true,
    .cache = true,
    .tier = VKLM_TIER_DOT8,
    .shapes = decode_dot8_shapes,
    .n_shapes = sizeof decode_dot8_shapes / sizeof *decode_dot8_shapes,
    .run = run_decode_dot8,
    .cost = cost_decode,
    .columns = vklm_case_third,
};

static void record_prefill(vklm_gpu_cmd *cmd, const void *op)
{
    vklm_op_attention_prefill_record(cmd, op);
}

// The coop tier rounds q, weights, and what q8 stands for, to f16, in a direction that Vulkan
// leaves open: each is off by at most 2^-10 of itself, a weight by 2^-24 where that is more. A
// matrix unit may cut off sums where it should round: 2^-23 of the sum of magnitudes for each
// addition. Where queries are exact, so are scores but for the last multiplication and the
// exponential's argument.
static error_bound coop_bound(uint32_t head_dim, vklm_format format, query_kind queries)
{
    const double f16 = 0x1p14, q8 = format == VKLM_FORMAT_Q8 ? f16 : 0;
    const bool exact = queries != QUERIES_RANDOM;
    return (error_bound){q8 + (exact ? 8 : f16 + 2 * (head_dim + 4)), 4,
                         q8 + (queries == QUERIES_ZERO ? 64 : f16 + 64)};
}

static error_bound prefill_bound(vklm_lab *lab, vklm_format format,
                                 const vklm_op_attention_prefill *op, query_kind queries)
{
    const vklm_gpu_caps *caps = vklm_gpu_device_caps(vklm_lab_device(lab));
    if (vklm_tune_attention_prefill_coop(caps, op->head_dim, op->n_heads, op->n_tokens, op->kv_q8)
            .shader)
        return coop_bound(op->head_dim, format, queries);
    // The running maximum rescales what was summed before: a rounding or two per tile of keys.
    return base_bound(op->head_dim, 2);
}

// [n_tokens, row] of the qkv buffer.
static float *make_queries(query_kind queries, heads s, uint32_t n_tokens, size_t row,
                           uint64_t seed)
{
    float *qkv = malloc(n_tokens * row * sizeof *qkv);
    vklm_lab_random(seed, qkv, n_tokens * row);
    for (size_t i = 0; i < n_tokens * (size_t)s.n_heads; i++) {
        float *q = qkv + i / s.n_heads * row + i % s.n_heads * s.head_dim;
        for (size_t k = 0; k < s.head_dim && queries != QUERIES_RANDOM; k++)
            q[k] = 0;
        if (queries == QUERIES_LARGE)
            q[i * 7 % s.head_dim] = i % 3 ? 0x1p17f : -0x1p17f;
    }
    return qkv;
}

static void check_prefill(vklm_lab *lab, vklm_format format, const uint32_t *dims,
                          query_kind queries)
{
    const heads s = {dims[0], dims[1], dims[2], dims[3]};
    const uint32_t position = dims[4], n_tokens = dims[5];
    const size_t row = (size_t)(s.n_heads + 2 * s.n_kv_heads) * s.head_dim, d = s.head_dim;
    const size_t n = (size_t)n_tokens * s.n_heads * d;
    double *k, *v, *y = malloc(n * sizeof *y), *size = malloc(n * sizeof *size),
                   *qd = malloc(d * sizeof *qd);
    float *qkv = make_queries(queries, s, n_tokens, row, position + n_tokens);
    vklm_op_attention_prefill op = {
        .qkv = vklm_lab_input(lab, qkv, n_tokens * row * sizeof *qkv),
        .k = random_cache(lab, 3, s, format, &k),
        .v = random_cache(lab, 4, s, format, &v),
        .y = vklm_lab_output(lab, NULL, n),
        .n_tokens = n_tokens,
        .position = position,
        .n_heads = s.n_heads,
        .n_kv_heads = s.n_kv_heads,
        .head_dim = s.head_dim,
        .n_ctx = s.n_ctx,
        .kv_q8 = format == VKLM_FORMAT_Q8,
    };
    const error_bound bound = prefill_bound(lab, format, &op, queries);
    vklm_lab_run(lab, record_prefill, &op);
    for (uint32_t t = 0; t < n_tokens; t++)
        for (uint32_t h = 0; h < s.n_heads; h++) {
            for (size_t i = 0; i < d; i++)
                qd[i] = (double)qkv[t * row + h * d + i];
            size_t at = (t * s.n_heads + h) * d;
            reference(qd, k, v, s, h, position + t + 1, bound, y + at, size + at);
        }
    char what[96];
    snprintf(what, sizeof what, "prefill %s %u/%u heads of %u, %u tokens at %u, queries %d",
             vklm_format_name(format), s.n_heads, s.n_kv_heads, s.head_dim, n_tokens, position,
             (int)queries);
    vklm_lab_check(what, vklm_lab_read(lab, op.y), y, size, n, 1);
    free(k), free(v), free(y), free(size), free(qd), free(qkv);
    vklm_lab_finish_case(lab, record_prefill, &op);
}

static void run_prefill(vklm_lab *lab, vklm_format format, const uint32_t *n)
{
    check_prefill(lab, format, n, QUERIES_RANDOM);
}

static void run_zero_queries(vklm_lab *lab, vklm_format format, const uint32_t *n)
{
    check_prefill(lab, format, n, QUERIES_ZERO);
}

static void run_large_queries(vklm_lab *lab, vklm_format format, const uint32_t *n)
{
    check_prefill(lab, format, n, QUERIES_LARGE);
}

// Token t sees position + t + 1 positions.
static vklm_case_cost cost_prefill(vklm_format format, const uint32_t *n)
{
    double pairs = (double)n[5] * n[4] + 0.5 * n[5] * (n[5] + 1.0);
    return (vklm_case_cost){.flop = 4.0 * n[0] * n[2] * pairs,
                            .bytes =
                                2 * vklm_case_weight_bytes(format, n[1] * (n[4] + n[5]), n[2]) +
                                2.0 * 4 * n[0] * n[2] * n[5]};
}

static const vklm_case_shape prefill_shapes[] = {
    {{1, 1, 8, 16, 0, 1}, 0},
    {{1, 1, 8, 16, 0, 16}, 0},
    {{2, 2, 64, 100, 0, 33}, 0},
    {{2, 2, 64, 100, 31, 17}, 0},
    {{4, 2, 32, 150, 63, 80}, 0},
    {{3, 1, 80, 70, 5, 19}, 0},
    {{2, 2, 96, 70, 32, 32}, 0},
    {{2, 2, 128, 300, 0, 128}, 0},
    {{2, 1, 128, 300, 250, 50}, 0},
    {{2, 1, 256, 60, 15, 33}, 0},
    {{2, 2, 128, 4096, 4055, 41}, 0},
    {{2, 1, 256, 4096, 4063, 33}, 0},
    {{16, 16, 128, 4096, 0, 128}, VKLM_CASE_1_8B},
    {{16, 16, 128, 4096, 896, 128}, VKLM_CASE_1_8B},
    {{40, 40, 128, 4096, 0, 128}, VKLM_CASE_13B | VKLM_CASE_8X13B},
    {{40, 40, 128, 4096, 896, 128}, VKLM_CASE_13B | VKLM_CASE_8X13B},
};

const vklm_case_family vklm_case_attention_prefill = {
    .name = "attention.prefill",
    .dims = {"heads", "kv heads", "head size", "context", "position", "tokens"},
    .formats = true,
    .cache = true,
    .shapes = prefill_shapes,
    .n_shapes = sizeof prefill_shapes / sizeof *prefill_shapes,
    .run = run_prefill,
    .cost = cost_prefill,
    .columns = vklm_case_third,
};

// Chunks that begin anywhere, edges of tiles; heads that the device's matrices do not divide are
// left to the base tier.
const vklm_case_family vklm_case_attention_prefill_coop = {
    .name = "attention.prefill.coop",
    .dims = {"heads", "kv heads", "head size", "context", "position", "tokens"},
    .formats = true,
    .cache = true,
    .tier = VKLM_TIER_COOP,
    .shapes = prefill_shapes,
    .n_shapes = sizeof prefill_shapes / sizeof *prefill_shapes,
    .run = run_prefill,
    .cost = cost_prefill,
    .columns = vklm_case_third,
};

// What is left out or counted twice shows where all positions weigh the same.
static const vklm_case_shape prefill_exact_shapes[] = {
    {{2, 2, 64, 100, 0, 33}, 0},    {{2, 2, 64, 100, 31, 17}, 0}, {{4, 2, 32, 150, 63, 80}, 0},
    {{3, 1, 80, 70, 5, 19}, 0},     {{2, 2, 96, 70, 32, 32}, 0},  {{2, 2, 128, 300, 0, 128}, 0},
    {{2, 1, 128, 300, 250, 50}, 0}, {{2, 1, 256, 60, 15, 33}, 0},
};

const vklm_case_family vklm_case_attention_prefill_coop_exact = {
    .name = "attention.prefill.coop.exact",
    .dims = {"heads", "kv heads", "head size", "context", "position", "tokens"},
    .formats = true,
    .cache = true,
    .tier = VKLM_TIER_COOP,
    .shapes = prefill_exact_shapes,
    .n_shapes = sizeof prefill_exact_shapes / sizeof *prefill_exact_shapes,
    .run = run_zero_queries,
    .cost = cost_prefill,
    .columns = vklm_case_third,
};

static const vklm_case_shape prefill_large_shapes[] = {
    {{2, 2, 64, 100, 0, 33}, 0}, {{2, 1, 64, 100, 31, 17}, 0}, {{1, 1, 256, 60, 15, 33}, 0}};

const vklm_case_family vklm_case_attention_prefill_coop_large = {
    .name = "attention.prefill.coop.large",
    .dims = {"heads", "kv heads", "head size", "context", "position", "tokens"},
    .formats = true,
    .cache = true,
    .format_mask = 1 << VKLM_FORMAT_F16,
    .tier = VKLM_TIER_COOP,
    .shapes = prefill_large_shapes,
    .n_shapes = sizeof prefill_large_shapes / sizeof *prefill_large_shapes,
    .run = run_large_queries,
    .cost = cost_prefill,
    .columns = vklm_case_third,
};

static void record_rope(vklm_gpu_cmd *cmd, const void *op)
{
    vklm_op_rope_kv_record(cmd, op);
}

// One head of one token as it should lie in qkv or in the cache, and the size of its error.
static void turn(const float *head, const float *angles, bool turned, size_t d, double *want,
                 double *size)
{
    for (size_t i = 0; i < d / 2; i++) {
        double a = (double)head[i], b = (double)head[i + d / 2];
        double cosine = (double)angles[2 * i], sine = (double)angles[2 * i + 1];
        want[i] = turned ? a * cosine - b * sine : a;
        want[i + d / 2] = turned ? b * cosine + a * sine : b;
        size[i] = size[i + d / 2] = turned ? 2 : 0;
    }
}

// A row of the f16 cache: values of at most 2, cut or rounded once more; unturned ones exactly.
static void check_f16(const char *what, const uint16_t *got, const double *want, const double *size,
                      size_t n)
{
    for (size_t i = 0; i < n; i++) {
        double value = (double)vklm_half_from_f16(got[i]);
        double exact = (double)vklm_half_from_f16(vklm_half_to_f16((float)want[i]));
        vklm_lab_require(size[i] > 0 ? fabs(value - want[i]) <= 0x1p-10 : value == exact,
                         "%s: element %zu is %g, wanted %g", what, i, value, want[i]);
    }
}

static void check_rope(vklm_lab *lab, vklm_format format, heads s, uint32_t position,
                       uint32_t n_tokens)
{
    const size_t d = s.head_dim, n_all = s.n_heads + 2 * (size_t)s.n_kv_heads;
    const size_t row = n_all * d, n = n_tokens * row;
    const uint32_t n_rows = s.n_kv_heads * s.n_ctx;
    const size_t words = (size_t)vklm_lab_matrix_bytes(format, n_rows, s.head_dim) / 4;
    float *qkv = malloc(n * sizeof *qkv), *rope = malloc(s.n_ctx * d * sizeof *rope);
    double *want = malloc(d * sizeof *want), *size = malloc(d * sizeof *size);
    vklm_lab_random(1, qkv, n);
    vklm_lab_random(2, rope, s.n_ctx * d);
    for (size_t i = 0; i < d; i++) // of the third token's first v: blocks of zeros stay zeros
        qkv[2 * row + (s.n_heads + s.n_kv_heads) * d + i] = 0;
    vklm_op_rope_kv op = {
        .qkv = vklm_lab_output(lab, qkv, n),
        .rope = vklm_lab_input(lab, rope, s.n_ctx * d * sizeof *rope),
        .k = vklm_lab_output(lab, NULL, words),
        .v = vklm_lab_output(lab, NULL, words),
        .n_tokens = n_tokens,
        .position = position,
        .n_heads = s.n_heads,
        .n_kv_heads = s.n_kv_heads,
        .head_dim = s.head_dim,
        .n_ctx = s.n_ctx,
        .kv_q8 = format == VKLM_FORMAT_Q8,
    };
    vklm_lab_run(lab, record_rope, &op);
    for (uint32_t t = 0; t < n_tokens; t++)
        for (uint32_t h = 0; h < n_all; h++) {
            const bool is_v = h >= s.n_heads + s.n_kv_heads;
            turn(qkv + t * row + h * d, rope + (position + t) * d, !is_v, d, want, size);
            if (h < s.n_heads) {
                vklm_lab_check("q", vklm_lab_read(lab, op.qkv) + t * row + h * d, want, size, d, 2);
                continue;
            }
            uint32_t at = (h - s.n_heads) % s.n_kv_heads * s.n_ctx + position + t;
            const float *cache = vklm_lab_read(lab, is_v ? op.v : op.k);
            if (format == VKLM_FORMAT_Q8)
                vklm_lab_check_q8(is_v ? "v" : "k", cache, n_rows, s.head_dim, at, want, size, 2);
            else
                check_f16(is_v ? "v" : "k", (const uint16_t *)(const void *)cache + at * d, want,
                          size, d);
        }
    free(qkv), free(rope), free(want), free(size);
    vklm_lab_finish_case(lab, record_rope, &op);
}

static void run_rope(vklm_lab *lab, vklm_format format, const uint32_t *n)
{
    check_rope(lab, format, (heads){n[0], n[1], n[2], n[3]}, n[4], n[5]);
}

static vklm_case_cost cost_rope(vklm_format format, const uint32_t *n)
{
    double values = (double)n[5] * n[2];
    return (vklm_case_cost){.flop = 3 * values * (n[0] + n[1]),
                            .bytes = values * (8 * n[0] + 4 * 2 * n[1] + 4) +
                                     2 * vklm_case_weight_bytes(format, n[1] * n[5], n[2])};
}

static const vklm_case_shape rope_shapes[] = {
    {{4, 2, 24, 20, 11, 5}, 0},
    {{4, 2, 128, 20, 11, 5}, 0},
    {{16, 16, 128, 512, 256, 128}, VKLM_CASE_1_8B},
    {{40, 40, 128, 512, 256, 128}, VKLM_CASE_13B | VKLM_CASE_8X13B},
};

const vklm_case_family vklm_case_rope_kv = {
    .name = "rope_kv",
    .dims = {"heads", "kv heads", "head size", "context", "position", "tokens"},
    .formats = true,
    .cache = true,
    .shapes = rope_shapes,
    .n_shapes = sizeof rope_shapes / sizeof *rope_shapes,
    .run = run_rope,
    .cost = cost_rope,
    .columns = vklm_case_third,
};
