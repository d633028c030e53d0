// The router against double precision: of many tokens, and of one in the tail of the output
// projection.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/cases.h"
#include "kernels/routing.h"
#include "ops/matvec.h"
#include "ops/router.h"
#include "ref/ops.h"

// One token's routes against the reference. Where two scores that decide lie within the error of a
// score nothing can be said of the order: returns false then. The longest chain of additions of a
// score is n_cols: sizes are the sums of absolute terms.
static bool check_routes(const char *what, const double *scores, const double *sizes, uint32_t n,
                         uint32_t k, uint32_t n_cols, const float *words)
{
    uint32_t experts[8];
    double weights[8], error = 0, least = INFINITY, sum = 0;
    vklm_ref_route(scores, n, k, experts, weights);
    for (uint32_t e = 0; e < n; e++)
        error = fmax(error, sizes[e] * n_cols * 0x1p-24);
    for (uint32_t slot = 0; slot < k; slot++)
        for (uint32_t e = 0; e < n; e++)
            if (e != experts[slot] && scores[e] != scores[experts[slot]])
                least = fmin(least, fabs(scores[e] - scores[experts[slot]]));
    if (least <= 2 * error)
        return false;
    for (uint32_t slot = 0; slot < k; slot++) {
        struct vklm_args_route got = routing_route(words, slot);
        vklm_lab_require(got.expert == experts[slot], "%s: slot %u is expert %u, wanted %u", what,
                         slot, got.expert, experts[slot]);
        // an error of a score moves a weight by at most twice that share; exp is good to 3 + 2 |z|
        // units in the last place (Vulkan's precision table)
        double z = scores[experts[0]] - scores[experts[slot]];
        double bound = weights[slot] * (4 * error + (16 + 2 * z) * 0x1p-24) + 1e-30;
        vklm_lab_require(fabs((double)got.weight - weights[slot]) <= bound,
                         "%s: slot %u has weight %.9g, wanted %.9g", what, slot, (double)got.weight,
                         weights[slot]);
        sum += (double)got.weight;
    }
    vklm_lab_require(fabs(sum - 1) <= k * 0x1p-23, "%s: the weights' sum is %.9g", what, sum);
    return true;
}

static void record_router(vklm_gpu_cmd *cmd, const void *op)
{
    vklm_op_router_record(cmd, op);
}

// Random rows; with `ties` only that many different ones, in turn.
static float *random_router(uint64_t seed, uint32_t n_experts, uint32_t n_cols, uint32_t ties)
{
    float *rows = malloc((size_t)n_experts * n_cols * sizeof *rows);
    vklm_lab_random(seed, rows, (size_t)n_experts * n_cols);
    for (uint32_t e = ties; ties && e < n_experts; e++)
        memcpy(rows + (size_t)e * n_cols, rows + (size_t)(e % ties) * n_cols,
               n_cols * sizeof *rows);
    return rows;
}

static void check_router(vklm_lab *lab, uint32_t n_experts, uint32_t top_k, uint32_t n_cols,
                         uint32_t n_tokens, uint32_t ties)
{
    const size_t n = (size_t)n_tokens * n_cols, n_scores = (size_t)n_tokens * n_experts;
    const float zero = 0;
    float *x = malloc(n * sizeof *x), *rows = random_router(n_experts, n_experts, n_cols, ties);
    double *scores = malloc(n_scores * sizeof *scores), *sizes = malloc(n_scores * sizeof *sizes);
    vklm_lab_random(n_tokens + 1000, x, n);
    vklm_router router = {
        .weight = vklm_lab_input(lab, rows, (size_t)n_experts * n_cols * sizeof *rows),
        .routes = vklm_lab_output(lab, NULL, (size_t)n_tokens * top_k * 2),
        .status = vklm_lab_output(lab, &zero, 1),
        .n_experts = n_experts,
        .top_k = top_k,
        .layer = 3,
    };
    vklm_op_router op = {.router = &router,
                         .x = vklm_lab_input(lab, x, n * sizeof *x),
                         .n_tokens = n_tokens,
                         .n_cols = n_cols};
    vklm_lab_run(lab, record_router, &op);
    double *xd = vklm_lab_doubles(x, n);
    vklm_ref_matmul(rows, xd, n_tokens, n_experts, n_cols, scores, sizes);
    uint32_t checked = 0;
    for (uint32_t t = 0; t < n_tokens; t++) {
        char what[96];
        snprintf(what, sizeof what, "router %u of %u, %u columns, token %u", top_k, n_experts,
                 n_cols, t);
        checked += check_routes(what, scores + (size_t)t * n_experts, sizes + (size_t)t * n_experts,
                                n_experts, top_k, n_cols,
                                vklm_lab_read(lab, router.routes) + (size_t)t * top_k * 2);
    }
    vklm_lab_require(checked * 10 >= n_tokens * 9, "only %u of %u tokens are clear", checked,
                     n_tokens);
    vklm_lab_require(vklm_lab_word(vklm_lab_read(lab, router.status), 0) == 0,
                     "the status is not 0");
    free(x), free(xd), free(rows), free(scores), free(sizes);
    vklm_lab_finish_case(lab, record_router, &op);
}

// Scores that are no numbers: the status names the layer, the routes stay in range, other tokens
// keep theirs.
static void check_not_finite(vklm_lab *lab, uint32_t n_experts, uint32_t top_k, uint32_t n_cols,
                             uint32_t n_tokens, float bad)
{
    const size_t n = (size_t)n_tokens * n_cols;
    const float zero = 0;
    float *x = malloc(n * sizeof *x), *rows = random_router(1, n_experts, n_cols, 0);
    vklm_lab_random(2, x, n);
    x[2 * n_cols + 7] = x[2 * n_cols + 8] = bad; // of token 2; two of 3e38 overflow together
    for (uint32_t e = 0; e < n_experts; e++)
        rows[e * n_cols + 7] = rows[e * n_cols + 8] = 1;
    vklm_router router = {
        .weight = vklm_lab_input(lab, rows, (size_t)n_experts * n_cols * sizeof *rows),
        .routes = vklm_lab_output(lab, NULL, (size_t)n_tokens * top_k * 2),
        .status = vklm_lab_output(lab, &zero, 1),
        .n_experts = n_experts,
        .top_k = top_k,
        .layer = 7,
    };
    vklm_op_router op = {.router = &router,
                         .x = vklm_lab_input(lab, x, n * sizeof *x),
                         .n_tokens = n_tokens,
                         .n_cols = n_cols};
    vklm_lab_run(lab, record_router, &op);
    const uint32_t status = vklm_lab_word(vklm_lab_read(lab, router.status), 0);
    vklm_lab_require(status == 8, "status %u after %g", status, (double)bad);
    for (uint32_t i = 0; i < n_tokens * top_k; i++) {
        struct vklm_args_route got = routing_route(vklm_lab_read(lab, router.routes), i);
        const bool right = i / top_k == 2 ? got.expert == i % top_k && got.weight == 0
                                          : got.expert < n_experts && got.weight > 0;
        vklm_lab_require(right, "after %g route %u is expert %u with weight %g", (double)bad, i,
                         got.expert, (double)got.weight);
    }
    free(x), free(rows);
    vklm_lab_finish_case(lab, record_router, &op);
}

static void run_router(vklm_lab *lab, vklm_format format, const uint32_t *n)
{
    static const float bad[] = {NAN, INFINITY, -INFINITY, 3e38f};
    (void)format;
    if (n[5])
        check_not_finite(lab, n[0], n[1], n[2], n[3], bad[n[5] - 1]);
    else
        check_router(lab, n[0], n[1], n[2], n[3], n[4]);
}

static vklm_case_cost cost_router(vklm_format format, const uint32_t *n)
{
    (void)format;
    return (vklm_case_cost){.flop = 2.0 * n[0] * n[2] * n[3],
                            .bytes = 4.0 * n[2] * (n[0] + (double)n[3])};
}

static const vklm_case_shape router_shapes[] = {
    {{2, 1, 8, 1, 0, 0}, 0},     {{2, 2, 24, 20, 0, 0}, 0},
    {{3, 3, 96, 20, 0, 0}, 0},   {{4, 1, 64, 40, 0, 0}, 0},
    {{8, 2, 5120, 3, 0, 0}, 0},  {{16, 4, 776, 9, 0, 0}, 0},
    {{64, 8, 256, 10, 0, 0}, 0}, {{61, 5, 40, 10, 0, 0}, 0},
    {{6, 2, 64, 20, 2, 0}, 0},   {{8, 3, 96, 20, 1, 0}, 0},
    {{64, 8, 24, 10, 3, 0}, 0},  {{5, 2, 16, 4, 0, 1}, 0},
    {{5, 2, 16, 4, 0, 2}, 0},    {{5, 2, 16, 4, 0, 3}, 0},
    {{5, 2, 16, 4, 0, 4}, 0},    {{8, 2, 5120, 128, 0, 0}, VKLM_CASE_8X13B},
};

const vklm_case_family vklm_case_router = {
    .name = "router",
    .dims = {"experts", "of a token", "columns", "tokens", "different rows", "not finite"},
    .shapes = router_shapes,
    .n_shapes = sizeof router_shapes / sizeof *router_shapes,
    .run = run_router,
    .cost = cost_router,
};

static void record_residual(vklm_gpu_cmd *cmd, const void *op)
{
    vklm_op_matvec_residual_record(cmd, op);
}

// One token: the router in the tail of the output projection, judged on the yn that it was given.
static void check_decode(vklm_lab *lab, uint32_t n_experts, uint32_t top_k, uint32_t n,
                         uint32_t ties)
{
    const float *values, zero = 0;
    float *x = malloc(n * sizeof *x), *y = malloc(n * sizeof *y), *norm = malloc(n * sizeof *norm);
    float *rows = random_router(n, n_experts, n, ties);
    double scores[MAX_EXPERTS], sizes[MAX_EXPERTS];
    vklm_lab_random(1, x, n);
    vklm_lab_random(2, y, n);
    vklm_lab_random(3, norm, n);
    vklm_weight w = vklm_lab_weight(lab, 4, VKLM_FORMAT_F16, n, n, &values);
    vklm_router router = {
        .weight = vklm_lab_input(lab, rows, (size_t)n_experts * n * sizeof *rows),
        .routes = vklm_lab_output(lab, NULL, top_k * 2),
        .status = vklm_lab_output(lab, &zero, 1),
        .n_experts = n_experts,
        .top_k = top_k,
    };
    vklm_op_matvec_residual op = {
        .label = "residual",
        .weight = &w,
        .x = vklm_lab_input(lab, x, n * sizeof *x),
        .y = vklm_lab_output(lab, y, n),
        .norm = vklm_lab_input(lab, norm, n * sizeof *norm),
        .yn = vklm_lab_output(lab, NULL, n),
        .counter = vklm_lab_output(lab, &zero, 1),
        .eps = 1e-5f,
        .router = &router,
    };
    vklm_lab_run(lab, record_residual, &op);
    double *yn = vklm_lab_doubles(vklm_lab_read(lab, op.yn), n);
    vklm_ref_matmul(rows, yn, 1, n_experts, n, scores, sizes);
    vklm_lab_require(check_routes("decode", scores, sizes, n_experts, top_k, n,
                                  vklm_lab_read(lab, router.routes)),
                     "the case decides nothing: choose another seed");
    vklm_lab_require(vklm_lab_word(vklm_lab_read(lab, router.status), 0) == 0,
                     "the status is not 0");
    free(x), free(y), free(yn), free(norm), free(rows);
    vklm_lab_finish_case(lab, record_residual, &op);
}

static void run_decode(vklm_lab *lab, vklm_format format, const uint32_t *n)
{
    (void)format;
    check_decode(lab, n[0], n[1], n[2], n[3]);
}

static vklm_case_cost cost_decode(vklm_format format, const uint32_t *n)
{
    (void)format;
    return (vklm_case_cost){.flop = 2.0 * n[2] * (n[2] + n[0]),
                            .bytes = vklm_case_weight_bytes(VKLM_FORMAT_F16, n[2], n[2]) +
                                     4.0 * n[0] * n[2]};
}

static const vklm_case_shape decode_shapes[] = {
    {{2, 1, 8, 0}, 0},    {{8, 2, 96, 0}, 0},  {{64, 8, 256, 0}, 0},
    {{8, 2, 1024, 0}, 0}, {{6, 2, 104, 2}, 0}, {{8, 2, 5120, 0}, VKLM_CASE_8X13B},
};

const vklm_case_family vklm_case_router_decode = {
    .name = "router.decode",
    .dims = {"experts", "of a token", "columns", "different rows"},
    .shapes = decode_shapes,
    .n_shapes = sizeof decode_shapes / sizeof *decode_shapes,
    .run = run_decode,
    .cost = cost_decode,
};
