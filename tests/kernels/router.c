// The router against double precision: of many tokens, and of one in the tail of the output
// projection.
#include <criterion/criterion.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/lab.h"
#include "kernels/routing.h"
#include "ops/matvec.h"
#include "ops/router.h"
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
        cr_assert_eq(got.expert, experts[slot], "%s: slot %u is expert %u, wanted %u", what, slot,
                     got.expert, experts[slot]);
        // an error of a score moves a weight by at most twice that share; exp is good to 3 + 2 |z|
        // units in the last place (Vulkan's precision table)
        double z = scores[experts[0]] - scores[experts[slot]];
        double bound = weights[slot] * (4 * error + (16 + 2 * z) * 0x1p-24) + 1e-30;
        cr_assert(fabs((double)got.weight - weights[slot]) <= bound,
                  "%s: slot %u has weight %.9g, wanted %.9g", what, slot, (double)got.weight,
                  weights[slot]);
        sum += (double)got.weight;
    }
    cr_assert_float_eq(sum, 1, k * 0x1p-23, "%s: the weights' sum is %.9g", what, sum);
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
    double *xd = to_double(x, n);
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
    cr_assert(checked * 10 >= n_tokens * 9, "only %u of %u tokens are clear", checked, n_tokens);
    cr_assert_eq(memcmp(vklm_lab_read(lab, router.status), &zero, 4), 0, "the status is not 0");
    free(x), free(xd), free(rows), free(scores), free(sizes);
    vklm_lab_clear(lab);
}

Test(router, many_tokens)
{
    static const struct {
        uint32_t n_experts, top_k, n_cols, n_tokens, ties;
    } cases[] = {
        {2, 1, 8, 1, 0},    {2, 2, 24, 20, 0},  {3, 3, 96, 20, 0},   {4, 1, 64, 40, 0},
        {8, 2, 5120, 3, 0}, {16, 4, 776, 9, 0}, {64, 8, 256, 10, 0}, {61, 5, 40, 10, 0},
        {6, 2, 64, 20, 2},  {8, 3, 96, 20, 1},  {64, 8, 24, 10, 3},
    };
    vklm_lab *lab = open_or_skip();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        check_router(lab, cases[i].n_experts, cases[i].top_k, cases[i].n_cols, cases[i].n_tokens,
                     cases[i].ties);
    vklm_lab_close(lab);
}

// Scores that are no numbers: the status names the layer, the routes stay in range, other tokens
// keep theirs.
Test(router, scores_that_are_not_finite)
{
    enum { EXPERTS = 5, TOP_K = 2, N = 16, TOKENS = 4 };
    static const float bad[] = {NAN, INFINITY, -INFINITY, 3e38f};
    vklm_lab *lab = open_or_skip();
    for (size_t b = 0; b < sizeof bad / sizeof *bad; b++) {
        float x[TOKENS * N], *rows = random_router(1, EXPERTS, N, 0);
        const float zero = 0;
        vklm_lab_random(2, x, TOKENS * N);
        x[2 * N + 7] = x[2 * N + 8] = bad[b]; // of token 2; two of 3e38 overflow together
        for (int e = 0; e < EXPERTS; e++)
            rows[e * N + 7] = rows[e * N + 8] = 1;
        vklm_router router = {
            .weight = vklm_lab_input(lab, rows, EXPERTS * N * sizeof *rows),
            .routes = vklm_lab_output(lab, NULL, TOKENS * TOP_K * 2),
            .status = vklm_lab_output(lab, &zero, 1),
            .n_experts = EXPERTS,
            .top_k = TOP_K,
            .layer = 7,
        };
        vklm_op_router op = {.router = &router,
                             .x = vklm_lab_input(lab, x, sizeof x),
                             .n_tokens = TOKENS,
                             .n_cols = N};
        vklm_lab_run(lab, record_router, &op);
        uint32_t status;
        memcpy(&status, vklm_lab_read(lab, router.status), sizeof status);
        cr_assert_eq(status, 8, "status %u after %g", status, (double)bad[b]);
        for (uint32_t i = 0; i < TOKENS * TOP_K; i++) {
            struct vklm_args_route got = routing_route(vklm_lab_read(lab, router.routes), i);
            cr_assert_lt(got.expert, EXPERTS);
            cr_assert(i / TOP_K != 2 || (got.expert == i % TOP_K && got.weight == 0));
            cr_assert(i / TOP_K == 2 || got.weight > 0);
        }
        free(rows);
        vklm_lab_clear(lab);
    }
    vklm_lab_close(lab);
}

static void record_residual(vklm_gpu_cmd *cmd, const void *op)
{
    vklm_op_matvec_residual_record(cmd, op);
}

// One token: the router in the tail of the output projection, judged on the yn that it was given.
static void check_decode_router(vklm_lab *lab, uint32_t n_experts, uint32_t top_k, uint32_t n,
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
    double *yn = to_double(vklm_lab_read(lab, op.yn), n);
    vklm_ref_matmul(rows, yn, 1, n_experts, n, scores, sizes);
    cr_assert(check_routes("decode", scores, sizes, n_experts, top_k, n,
                           vklm_lab_read(lab, router.routes)),
              "the case decides nothing: choose another seed");
    cr_assert_eq(memcmp(vklm_lab_read(lab, router.status), &zero, 4), 0);
    free(x), free(y), free(yn), free(norm), free(rows);
    vklm_lab_clear(lab);
}

Test(router, one_token)
{
    vklm_lab *lab = open_or_skip();
    check_decode_router(lab, 2, 1, 8, 0);
    check_decode_router(lab, 8, 2, 96, 0);
    check_decode_router(lab, 64, 8, 256, 0);
    check_decode_router(lab, 8, 2, 1024, 0);
    check_decode_router(lab, 6, 2, 104, 2);
    vklm_lab_close(lab);
}
