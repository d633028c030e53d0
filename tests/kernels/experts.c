// The kernels of layers with experts against double precision: router, groups, and the experts'
// products, for one token and for many.
#include <criterion/criterion.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/lab.h"
#include "kernels/routing.h"
#include "ops/experts.h"
#include "ops/tune.h"
#include "ref/ops.h"

static vklm_lab *open_or_skip(void)
{
    vklm_lab *lab = vklm_lab_open();
    if (!lab)
        cr_skip_test("no Vulkan: %s", vklm_error_message());
    return lab;
}

static vklm_tuning tuning_of(const vklm_lab *lab)
{
    return vklm_tune_select(vklm_gpu_device_caps(vklm_lab_device(lab)));
}

static double *to_double(const float *x, size_t n)
{
    double *y = malloc(n * sizeof *y);
    for (size_t i = 0; i < n; i++)
        y[i] = (double)x[i];
    return y;
}

static vklm_expert_groups new_groups(vklm_lab *lab, routing r)
{
    const vklm_gpu_caps *caps = vklm_gpu_device_caps(vklm_lab_device(lab));
    const uint32_t n = r.n_tokens * r.top_k;
    return (vklm_expert_groups){
        .dispatch = vklm_lab_output(lab, NULL, 6),
        .tiles = vklm_lab_output(
            lab, NULL, (size_t)vklm_op_expert_tiles(caps, r.n_tokens, r.n_experts, r.top_k) * 4),
        .entries = vklm_lab_output(lab, NULL, n),
        .places = vklm_lab_output(lab, NULL, n),
    };
}

static void record_group(vklm_gpu_cmd *cmd, const void *op)
{
    vklm_op_expert_group_record(cmd, op);
}

static void check_tiles(vklm_lab *lab, const vklm_expert_groups *g, routing r,
                        const uint32_t *counts)
{
    const vklm_tuning tuning = tuning_of(lab);
    uint32_t first = 0, tile = 0;
    for (uint32_t e = 0; e < r.n_experts; e++) {
        for (uint32_t at = 0; at < counts[e]; at += tuning.tile_tokens, tile++) {
            uint32_t left = counts[e] - at;
            const float *words = vklm_lab_read(lab, g->tiles) + 4 * (size_t)tile;
            cr_assert_eq(routing_word(words, 0), e);
            cr_assert_eq(routing_word(words, 1), first + at);
            cr_assert_eq(routing_word(words, 2),
                         left < tuning.tile_tokens ? left : tuning.tile_tokens);
        }
        first += counts[e];
    }
    const float *dispatch = vklm_lab_read(lab, g->dispatch);
    const uint32_t wanted[] = {(2 * 40 + tuning.tile_rows - 1) / tuning.tile_rows, tile, 1,
                               (24 + tuning.tile_rows - 1) / tuning.tile_rows,     tile, 1};
    for (size_t i = 0; i < 6; i++)
        cr_assert_eq(routing_word(dispatch, i), wanted[i], "dispatch word %zu", i);
}

static void check_group(vklm_lab *lab, routing r)
{
    struct vklm_args_route *routes = routing_make(r);
    const uint32_t n = r.n_tokens * r.top_k;
    vklm_experts experts = {
        .n_experts = r.n_experts, .top_k = r.top_k, .n_hidden = 24, .n_intermediate = 40};
    vklm_expert_groups groups = new_groups(lab, r);
    vklm_op_expert_group op = {.experts = &experts,
                               .routes = vklm_lab_input(lab, routes, n * sizeof *routes),
                               .groups = &groups,
                               .n_tokens = r.n_tokens};
    vklm_lab_run(lab, record_group, &op);
    uint32_t counts[MAX_EXPERTS] = {0}, place = 0;
    for (uint32_t e = 0; e < r.n_experts; e++) // a stable sort by expert
        for (uint32_t i = 0; i < n; i++)
            if (routes[i].expert == e) {
                cr_assert_eq(routing_word(vklm_lab_read(lab, groups.places), i), place, "entry %u",
                             i);
                cr_assert_eq(routing_word(vklm_lab_read(lab, groups.entries), place), i, "row %u",
                             place);
                counts[e]++;
                place++;
            }
    check_tiles(lab, &groups, r, counts);
    free(routes);
    vklm_lab_clear(lab);
}

Test(experts, groups)
{
    vklm_lab *lab = open_or_skip();
    const uint32_t most = tuning_of(lab).prefill_tokens;
    const routing cases[] = {
        {2, 1, 1, 1, 1},     {4, 1, 33, 0, 1},        {8, 2, 31, 3, 1},     {8, 2, 32, 0, 5},
        {8, 2, most, 1, 3},  {8, 2, most, 0, 7},      {64, 8, most, 11, 9}, {3, 3, 70, 1, 1},
        {64, 1, most, 0, 1}, {16, 4, most - 1, 5, 3},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        check_group(lab, cases[i]);
    vklm_lab_close(lab);
}

// Random experts in a format, and the values of their matrices.
typedef struct {
    vklm_experts e;
    const float *gate_up[MAX_EXPERTS], *down[MAX_EXPERTS];
} experts_case;

static void make_experts(vklm_lab *lab, vklm_format format, uint32_t n_experts, uint32_t top_k,
                         uint32_t n_hidden, uint32_t n_intermediate, experts_case *out)
{
    struct vklm_args_expert rows[MAX_EXPERTS];
    for (uint32_t e = 0; e < n_experts; e++) {
        vklm_weight w = vklm_lab_weight(lab, 2 * e + 10, format, 2 * n_intermediate, n_hidden,
                                        &out->gate_up[e]);
        rows[e].gate_up = vklm_gpu_view_address(w.data);
        w = vklm_lab_weight(lab, 2 * e + 11, format, n_hidden, n_intermediate, &out->down[e]);
        rows[e].down = vklm_gpu_view_address(w.data);
    }
    out->e = (vklm_experts){.table = vklm_lab_input(lab, rows, n_experts * sizeof *rows),
                            .gate_up_format = format,
                            .down_format = format,
                            .n_experts = n_experts,
                            .top_k = top_k,
                            .n_hidden = n_hidden,
                            .n_intermediate = n_intermediate};
}

static const struct {
    uint32_t n_experts, top_k, n_hidden, n_intermediate;
} shapes[] = {{2, 1, 8, 8},     {4, 1, 24, 40},   {8, 2, 96, 160},   {16, 4, 64, 104},
              {3, 2, 256, 512}, {3, 2, 5120, 32}, {3, 2, 32, 13824}, {8, 8, 256, 256}};

static bool fits(vklm_format format, size_t shape)
{
    return shapes[shape].n_hidden % vklm_format_group(format) == 0 &&
           shapes[shape].n_intermediate % vklm_format_group(format) == 0;
}

static double chain(const vklm_lab *lab, uint32_t n_cols)
{
    vklm_tuning t = tuning_of(lab);
    return (double)(n_cols / 8 / t.matvec_lanes + 1) + 8 + t.matvec_lanes;
}

static void record_swiglu(vklm_gpu_cmd *cmd, const void *op)
{
    vklm_op_expert_swiglu_record(cmd, op);
}

static void check_swiglu(vklm_lab *lab, vklm_format format, size_t s)
{
    const uint32_t k = shapes[s].top_k, h = shapes[s].n_hidden, m = shapes[s].n_intermediate;
    experts_case c;
    make_experts(lab, format, shapes[s].n_experts, k, h, m, &c);
    struct vklm_args_route *routes =
        routing_make((routing){shapes[s].n_experts, k, 1, 0, shapes[s].n_experts - 1});
    float *x = malloc(h * sizeof *x);
    double *both = malloc(2 * m * sizeof *both), *size = malloc(2 * m * sizeof *size);
    vklm_lab_random(s, x, h);
    vklm_op_expert_swiglu op = {.experts = &c.e,
                                .routes = vklm_lab_input(lab, routes, k * sizeof *routes),
                                .x = vklm_lab_input(lab, x, h * sizeof *x),
                                .y = vklm_lab_output(lab, NULL, (size_t)k * m)};
    vklm_lab_run(lab, record_swiglu, &op);
    double *xd = to_double(x, h);
    for (uint32_t slot = 0; slot < k; slot++) {
        vklm_ref_matmul(c.gate_up[routes[slot].expert], xd, 1, 2 * m, h, both, size);
        for (uint32_t r = 0; r < m; r++) { // as in the dense kernel's test
            double gate = both[r], up = both[m + r];
            size[r] = 1.1 * size[r] * fabs(up) + size[m + r] * fabs(vklm_ref_silu(gate)) +
                      (8 + 2 * fabs(gate)) * fabs(vklm_ref_silu(gate) * up);
            both[r] = vklm_ref_silu(gate) * up;
        }
        vklm_lab_check("expert swiglu", vklm_lab_read(lab, op.y) + slot * m, both, size, m,
                       chain(lab, h));
    }
    free(routes), free(x), free(xd), free(both), free(size);
    vklm_lab_clear(lab);
}

Test(experts, swiglu_of_one_token)
{
    vklm_lab *lab = open_or_skip();
    for (int format = 0; format < VKLM_FORMAT_COUNT; format++)
        for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++)
            if (fits((vklm_format)format, s))
                check_swiglu(lab, (vklm_format)format, s);
    vklm_lab_close(lab);
}

static void record_down(vklm_gpu_cmd *cmd, const void *op)
{
    vklm_op_expert_down_record(cmd, op);
}

static void check_down(vklm_lab *lab, vklm_format format, size_t s)
{
    const uint32_t k = shapes[s].top_k, h = shapes[s].n_hidden, m = shapes[s].n_intermediate;
    const float zero = 0;
    experts_case c;
    make_experts(lab, format, shapes[s].n_experts, k, h, m, &c);
    struct vklm_args_route *routes =
        routing_make((routing){shapes[s].n_experts, k, 1, 0, shapes[s].n_experts - 1});
    float *x = malloc((size_t)k * m * sizeof *x), *y = malloc(h * sizeof *y),
          *norm = malloc(h * sizeof *norm);
    double *want = malloc(h * sizeof *want), *size = malloc(h * sizeof *size),
           *one = malloc(h * sizeof *one), *one_size = malloc(h * sizeof *one_size);
    vklm_lab_random(s, x, (size_t)k * m);
    vklm_lab_random(s + 100, y, h);
    vklm_lab_random(s + 200, norm, h);
    vklm_op_expert_down op = {.experts = &c.e,
                              .routes = vklm_lab_input(lab, routes, k * sizeof *routes),
                              .x = vklm_lab_input(lab, x, (size_t)k * m * sizeof *x),
                              .y = vklm_lab_output(lab, y, h),
                              .norm = vklm_lab_input(lab, norm, h * sizeof *norm),
                              .yn = vklm_lab_output(lab, NULL, h),
                              .counter = vklm_lab_output(lab, &zero, 1),
                              .eps = 1e-5f};
    vklm_lab_run(lab, record_down, &op);
    double *xd = to_double(x, (size_t)k * m);
    for (uint32_t r = 0; r < h; r++)
        want[r] = (double)y[r], size[r] = fabs(want[r]);
    for (uint32_t slot = 0; slot < k; slot++) {
        struct vklm_args_route route = routes[slot];
        vklm_ref_matmul(c.down[route.expert], xd + slot * m, 1, h, m, one, one_size);
        for (uint32_t r = 0; r < h; r++) {
            want[r] += (double)route.weight * one[r];
            size[r] += fabs((double)route.weight) * one_size[r];
        }
    }
    vklm_lab_check("expert down", vklm_lab_read(lab, op.y), want, size, h, chain(lab, m) + k + 1);
    double *got = to_double(vklm_lab_read(lab, op.y), h);
    vklm_ref_rmsnorm(got, norm, h, 1e-5, want);
    for (uint32_t r = 0; r < h; r++)
        size[r] = fabs(want[r]);
    vklm_lab_check("norm", vklm_lab_read(lab, op.yn), want, size, h, (double)h / 4 + 16);
    cr_assert_eq(memcmp(vklm_lab_read(lab, op.counter), &zero, 4), 0, "the counter is not 0");
    free(routes), free(x), free(xd), free(y), free(norm), free(want), free(size), free(one);
    free(one_size), free(got);
    vklm_lab_clear(lab);
}

Test(experts, down_of_one_token)
{
    vklm_lab *lab = open_or_skip();
    for (int format = 0; format < VKLM_FORMAT_COUNT; format++)
        for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++)
            if (fits((vklm_format)format, s))
                check_down(lab, (vklm_format)format, s);
    vklm_lab_close(lab);
}

// Many tokens: group, gate and up; and group, down, combine.
typedef struct {
    vklm_op_expert_group group;
    vklm_op_expert_matmul matmul;
    vklm_op_expert_combine combine; // unless it has no rows
} grouped;

static void record_grouped(vklm_gpu_cmd *cmd, const void *op)
{
    const grouped *g = op;
    vklm_op_expert_group_record(cmd, &g->group);
    vklm_op_expert_matmul_record(cmd, &g->matmul);
    if (g->combine.rows.buffer)
        vklm_op_expert_combine_record(cmd, &g->combine);
}

static void check_gate_up(vklm_lab *lab, vklm_format format, size_t s, routing r)
{
    const uint32_t h = shapes[s].n_hidden, width = 2 * shapes[s].n_intermediate;
    const size_t n_rows = (size_t)r.n_tokens * r.top_k, n_x = (size_t)r.n_tokens * h;
    experts_case c;
    make_experts(lab, format, r.n_experts, r.top_k, h, width / 2, &c);
    vklm_expert_groups groups = new_groups(lab, r);
    struct vklm_args_route *routes = routing_make(r);
    float *x = malloc(n_x * sizeof *x);
    double *y = malloc(width * sizeof *y), *size = malloc(width * sizeof *size);
    vklm_lab_random(s, x, n_x);
    grouped op = {.group = {.experts = &c.e,
                            .routes = vklm_lab_input(lab, routes, n_rows * sizeof *routes),
                            .groups = &groups,
                            .n_tokens = r.n_tokens},
                  .matmul = {.experts = &c.e,
                             .groups = &groups,
                             .x = vklm_lab_input(lab, x, n_x * sizeof *x),
                             .y = vklm_lab_output(lab, NULL, n_rows * width)}};
    vklm_lab_run(lab, record_grouped, &op);
    double *xd = to_double(x, n_x);
    for (uint32_t i = 0; i < n_rows; i++) {
        size_t place = routing_word(vklm_lab_read(lab, groups.places), i);
        vklm_ref_matmul(c.gate_up[routes[i].expert], xd + (size_t)(i / r.top_k) * h, 1, width, h, y,
                        size);
        vklm_lab_check("grouped gate up", vklm_lab_read(lab, op.matmul.y) + place * width, y, size,
                       width, h + 2);
    }
    free(routes), free(x), free(xd), free(y), free(size);
    vklm_lab_clear(lab);
}

static void check_down_and_combine(vklm_lab *lab, vklm_format format, size_t s, routing r)
{
    const uint32_t h = shapes[s].n_hidden, m = shapes[s].n_intermediate;
    const size_t n_rows = (size_t)r.n_tokens * r.top_k, n = (size_t)r.n_tokens * h;
    experts_case c;
    make_experts(lab, format, r.n_experts, r.top_k, h, m, &c);
    vklm_expert_groups groups = new_groups(lab, r);
    struct vklm_args_route *routes = routing_make(r);
    float *x = malloc(n_rows * m * sizeof *x), *old = malloc(n * sizeof *old);
    double *one = malloc(h * sizeof *one), *one_size = malloc(h * sizeof *one_size);
    vklm_lab_random(s, x, n_rows * m);
    vklm_lab_random(s + 1, old, n);
    vklm_gpu_view routes_view = vklm_lab_input(lab, routes, n_rows * sizeof *routes);
    vklm_gpu_view rows = vklm_lab_output(lab, NULL, n_rows * h);
    grouped op = {.group = {.experts = &c.e,
                            .routes = routes_view,
                            .groups = &groups,
                            .n_tokens = r.n_tokens},
                  .matmul = {.experts = &c.e,
                             .groups = &groups,
                             .x = vklm_lab_input(lab, x, n_rows * m * sizeof *x),
                             .y = rows,
                             .down = true},
                  .combine = {.experts = &c.e,
                              .groups = &groups,
                              .routes = routes_view,
                              .rows = rows,
                              .x = vklm_lab_output(lab, old, n),
                              .n_tokens = r.n_tokens}};
    vklm_lab_run(lab, record_grouped, &op);
    double *xd = to_double(x, n_rows * m), *want = to_double(old, n), *size = to_double(old, n);
    for (size_t i = 0; i < n; i++)
        size[i] = fabs(size[i]);
    for (uint32_t i = 0; i < n_rows; i++) {
        struct vklm_args_route route = routes[i];
        size_t place = routing_word(vklm_lab_read(lab, groups.places), i), t = i / r.top_k;
        vklm_ref_matmul(c.down[route.expert], xd + place * m, 1, h, m, one, one_size);
        for (uint32_t k = 0; k < h; k++) {
            want[t * h + k] += (double)route.weight * one[k];
            size[t * h + k] += fabs((double)route.weight) * one_size[k];
        }
    }
    vklm_lab_check("combined", vklm_lab_read(lab, op.combine.x), want, size, n,
                   m + 2 * r.top_k + 2);
    free(routes), free(x), free(xd), free(old), free(one), free(one_size), free(want), free(size);
    vklm_lab_clear(lab);
}

// Spread evenly, all on the same experts (others get none), more tokens than a tile has.
Test(experts, grouped_products)
{
    vklm_lab *lab = open_or_skip();
    const uint32_t most = tuning_of(lab).prefill_tokens;
    for (int format = 0; format < VKLM_FORMAT_COUNT; format++)
        for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++) {
            const uint32_t n = shapes[s].n_experts, k = shapes[s].top_k;
            const bool large = shapes[s].n_hidden * shapes[s].n_intermediate > 1 << 15;
            const routing cases[] = {
                {n, k, 1, 0, 1}, {n, k, large ? 5 : 37, 1, n - 1}, {n, k, large ? 9 : most, 0, 1}};
            for (size_t i = 0; i < 3 && fits((vklm_format)format, s); i++) {
                check_gate_up(lab, (vklm_format)format, s, cases[i]);
                check_down_and_combine(lab, (vklm_format)format, s, cases[i]);
            }
        }
    vklm_lab_close(lab);
}

// LLM-jp 8x13b's own widths, with two experts of it: the full output range of each product.
Test(experts_big, real_shapes)
{
    enum { H = 5120, M = 13824 };
    vklm_lab *lab = open_or_skip();
    experts_case c;
    make_experts(lab, VKLM_FORMAT_BF16, 2, 2, H, M, &c);
    struct vklm_args_route *routes = routing_make((routing){2, 2, 1, 0, 1});
    float *x = malloc(2 * M * sizeof *x);
    const float zero = 0;
    double *y = malloc(H * sizeof *y), *size = malloc(H * sizeof *size),
           *one = malloc(H * sizeof *one), *one_size = malloc(H * sizeof *one_size);
    vklm_lab_random(5, x, 2 * M);
    float *old = calloc(H, sizeof *old), *norm = calloc(H, sizeof *norm);
    vklm_op_expert_down op = {.experts = &c.e,
                              .routes = vklm_lab_input(lab, routes, 2 * sizeof *routes),
                              .x = vklm_lab_input(lab, x, 2 * M * sizeof *x),
                              .y = vklm_lab_output(lab, old, H),
                              .norm = vklm_lab_input(lab, norm, H * sizeof *norm),
                              .yn = vklm_lab_output(lab, NULL, H),
                              .counter = vklm_lab_output(lab, &zero, 1),
                              .eps = 1e-5f};
    vklm_lab_run(lab, record_down, &op);
    double *xd = to_double(x, 2 * M);
    memset(y, 0, H * sizeof *y), memset(size, 0, H * sizeof *size);
    for (uint32_t slot = 0; slot < 2; slot++) {
        struct vklm_args_route route = routes[slot];
        vklm_ref_matmul(c.down[route.expert], xd + slot * M, 1, H, M, one, one_size);
        for (uint32_t r = 0; r < H; r++) {
            y[r] += (double)route.weight * one[r];
            size[r] += fabs((double)route.weight) * one_size[r];
        }
    }
    vklm_lab_check("8x13b down", vklm_lab_read(lab, op.y), y, size, H, chain(lab, M) + 3);
    free(routes), free(x), free(xd), free(y), free(size), free(one), free(one_size), free(old);
    free(norm);
    vklm_lab_close(lab);
}
