// The kernels of layers with experts against double precision: groups, and the products of
// one token, with its inputs in f32 and in 8 bits (the dot8 tier).
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/cases.h"
#include "kernels/input8.h"
#include "kernels/routing.h"
#include "ops/experts.h"
#include "ops/tune.h"
#include "ref/ops.h"

static vklm_tuning tuning_of(const vklm_lab *lab)
{
    return vklm_tune_select(vklm_gpu_device_caps(vklm_lab_device(lab)));
}

static void record_group(vklm_gpu_cmd *cmd, const void *op)
{
    vklm_op_expert_group_record(cmd, op);
}

static void check_tiles(vklm_lab *lab, const vklm_expert_groups *g, routing r,
                        const uint32_t *counts)
{
    const vklm_tune_tile size = vklm_tune_expert_matmul(vklm_gpu_device_caps(vklm_lab_device(lab)));
    uint32_t first = 0, tile = 0;
    for (uint32_t e = 0; e < r.n_experts; e++) {
        const uint32_t first_tile = tile,
                       n_tiles = (counts[e] + size.tile_tokens - 1) / size.tile_tokens;
        for (uint32_t at = 0; at < counts[e]; at += size.tile_tokens, tile++) {
            uint32_t left = counts[e] - at;
            const struct vklm_args_tile want = {e, first + at,
                                                left < size.tile_tokens ? left : size.tile_tokens,
                                                first_tile, n_tiles};
            struct vklm_args_tile got;
            memcpy(&got, vklm_lab_read(lab, g->tiles) + tile * sizeof got / sizeof(float),
                   sizeof got);
            vklm_lab_require(memcmp(&got, &want, sizeof got) == 0,
                             "tile %u is (%u, %u, %u) of (%u, %u)", tile, got.expert, got.first,
                             got.n, got.first_tile, got.n_tiles);
        }
        first += counts[e];
    }
    const float *dispatch = vklm_lab_read(lab, g->dispatch);
    const uint32_t wanted[] = {(2 * 40 + size.tile_rows - 1) / size.tile_rows, tile, 1,
                               (24 + size.tile_rows - 1) / size.tile_rows,     tile, 1};
    for (size_t i = 0; i < 6; i++)
        vklm_lab_require(vklm_lab_word(dispatch, i) == wanted[i], "dispatch word %zu is %u", i,
                         vklm_lab_word(dispatch, i));
}

static void check_group(vklm_lab *lab, routing r)
{
    struct vklm_args_route *routes = routing_make(r);
    const uint32_t n = r.n_tokens * r.top_k;
    vklm_experts experts = {
        .n_experts = r.n_experts, .top_k = r.top_k, .n_hidden = 24, .n_intermediate = 40};
    vklm_expert_groups groups = experts_groups(lab, r);
    vklm_op_expert_group op = {.experts = &experts,
                               .routes = vklm_lab_input(lab, routes, n * sizeof *routes),
                               .groups = &groups,
                               .n_tokens = r.n_tokens};
    vklm_lab_run(lab, record_group, &op);
    uint32_t counts[MAX_EXPERTS] = {0}, place = 0;
    for (uint32_t e = 0; e < r.n_experts; e++) // a stable sort by expert
        for (uint32_t i = 0; i < n; i++)
            if (routes[i].expert == e) {
                vklm_lab_require(vklm_lab_word(vklm_lab_read(lab, groups.places), i) == place,
                                 "entry %u has the place %u, wanted %u", i,
                                 vklm_lab_word(vklm_lab_read(lab, groups.places), i), place);
                vklm_lab_require(vklm_lab_word(vklm_lab_read(lab, groups.entries), place) == i,
                                 "place %u has the entry %u, wanted %u", place,
                                 vklm_lab_word(vklm_lab_read(lab, groups.entries), place), i);
                counts[e]++;
                place++;
            }
    check_tiles(lab, &groups, r, counts);
    free(routes);
    vklm_lab_finish_case(lab, record_group, &op);
}

static void run_group(vklm_lab *lab, vklm_format format, const uint32_t *n)
{
    (void)format;
    check_group(lab, (routing){n[1], n[2], routing_capped(lab, n[0]), n[3], n[4]});
}

// Routes are read, entries and places written.
static vklm_case_cost cost_group(vklm_format format, const uint32_t *n)
{
    (void)format;
    return (vklm_case_cost){.flop = 2.0 * n[0] * n[2], .bytes = 16.0 * n[0] * n[2]};
}

static const vklm_case_shape group_shapes[] = {
    {{1, 2, 1, 1, 1}, 0},
    {{33, 4, 1, 0, 1}, 0},
    {{31, 8, 2, 3, 1}, 0},
    {{32, 8, 2, 0, 5}, 0},
    {{512, 8, 2, 1, 3}, 0},
    {{512, 8, 2, 0, 7}, 0},
    {{512, 64, 8, 11, 9}, 0},
    {{70, 3, 3, 1, 1}, 0},
    {{512, 64, 1, 0, 1}, 0},
    {{511, 16, 4, 5, 3}, 0},
    {{512, 8, 2, 3, 1}, VKLM_CASE_8X13B},
};

const vklm_case_family vklm_case_expert_group = {
    .name = "expert.group",
    .dims = {"tokens", "experts", "of a token", "step", "stride"},
    .shapes = group_shapes,
    .n_shapes = sizeof group_shapes / sizeof *group_shapes,
    .run = run_group,
    .cost = cost_group,
};

static uint32_t decode_columns(const uint32_t *n)
{
    return experts_columns(n[2], n[3]);
}

// As of the dense kernels, whose code these share; a packed value is rounded on its way.
static double chain(const vklm_lab *lab, uint32_t n_cols, bool dot8)
{
    vklm_tuning t = tuning_of(lab);
    return (double)(n_cols / (dot8 ? 64 : 8) / t.matvec_lanes + 1) * (dot8 ? 3 : 1) + 8 +
           t.matvec_lanes;
}

static void record_swiglu(vklm_gpu_cmd *cmd, const void *op)
{
    vklm_op_expert_swiglu_record(cmd, op);
}

static void check_swiglu(vklm_lab *lab, vklm_format format, experts_shape s, bool dot8)
{
    const uint32_t k = s.top_k, h = s.n_hidden, m = s.n_intermediate;
    experts_case c;
    experts_make(lab, format, s, false, &c);
    struct vklm_args_route *routes = routing_make((routing){s.n_experts, k, 1, 0, s.n_experts - 1});
    const uint32_t n_counters = k * m / 32;
    float *x = malloc(h * sizeof *x), *zeros = calloc(k * m, sizeof *zeros);
    double *both = calloc(2 * m, sizeof *both), *size = calloc(2 * m, sizeof *size);
    vklm_lab_random(h + m, x, h);
    vklm_op_expert_swiglu op = {.experts = &c.e,
                                .routes = vklm_lab_input(lab, routes, k * sizeof *routes),
                                .x = vklm_lab_input(lab, x, h * sizeof *x),
                                .y = vklm_lab_output(lab, NULL, (size_t)k * m)};
    if (dot8) {
        op.x8 = vklm_case_input8(lab, x, 1, h, 1);
        op.y8 = vklm_case_output8(lab, k, m, 1);
        op.counters = vklm_lab_output(lab, zeros, n_counters);
    }
    vklm_lab_run(lab, record_swiglu, &op);
    double *xd = vklm_lab_doubles(x, h);
    for (uint32_t slot = 0; slot < k; slot++) {
        experts_multiply(lab, c.values[routes[slot].expert], xd, 2 * m, h, dot8, both, size);
        for (uint32_t r = 0; r < m; r++) { // as in the dense kernel's test
            double gate = both[r], up = both[m + r];
            size[r] = 1.1 * size[r] * fabs(up) + size[m + r] * fabs(vklm_ref_silu(gate)) +
                      (8 + 2 * fabs(gate)) * fabs(vklm_ref_silu(gate) * up);
            both[r] = vklm_ref_silu(gate) * up;
        }
        vklm_lab_check("expert swiglu", vklm_lab_read(lab, op.y) + slot * m, both, size, m,
                       chain(lab, h, dot8));
    }
    if (dot8)
        vklm_case_check8(lab, "expert swiglu", op.y8, vklm_lab_read(lab, op.y), k, m, 1);
    for (uint32_t i = 0; dot8 && i < n_counters; i++)
        vklm_lab_require(vklm_lab_word(vklm_lab_read(lab, op.counters), i) == 0,
                         "counter %u is not 0", i);
    free(routes), free(x), free(xd), free(zeros), free(both), free(size);
    vklm_lab_finish_case(lab, record_swiglu, &op);
}

static void run_swiglu(vklm_lab *lab, vklm_format format, const uint32_t *n)
{
    check_swiglu(lab, format, (experts_shape){n[0], n[1], n[2], n[3]}, false);
}

static void run_swiglu_dot8(vklm_lab *lab, vklm_format format, const uint32_t *n)
{
    check_swiglu(lab, format, (experts_shape){n[0], n[1], n[2], n[3]}, true);
}

static void record_down(vklm_gpu_cmd *cmd, const void *op)
{
    vklm_op_expert_down_record(cmd, op);
}

static void check_down(vklm_lab *lab, vklm_format format, experts_shape s, bool dot8)
{
    const uint32_t k = s.top_k, h = s.n_hidden, m = s.n_intermediate;
    const float zero = 0;
    experts_case c;
    experts_make(lab, format, s, true, &c);
    struct vklm_args_route *routes = routing_make((routing){s.n_experts, k, 1, 0, s.n_experts - 1});
    float *x = malloc((size_t)k * m * sizeof *x), *y = malloc(h * sizeof *y),
          *norm = malloc(h * sizeof *norm);
    double *want = calloc(h, sizeof *want), *size = calloc(h, sizeof *size),
           *one = calloc(h, sizeof *one), *one_size = calloc(h, sizeof *one_size);
    vklm_lab_random(h + m, x, (size_t)k * m);
    vklm_lab_random(h + m + 100, y, h);
    vklm_lab_random(h + m + 200, norm, h);
    vklm_op_expert_down op = {.experts = &c.e,
                              .routes = vklm_lab_input(lab, routes, k * sizeof *routes),
                              .x = vklm_lab_input(lab, x, (size_t)k * m * sizeof *x),
                              .y = vklm_lab_output(lab, y, h),
                              .norm = vklm_lab_input(lab, norm, h * sizeof *norm),
                              .yn = vklm_lab_output(lab, NULL, h),
                              .counter = vklm_lab_output(lab, &zero, 1),
                              .eps = 1e-5f};
    if (dot8) {
        op.x8 = vklm_case_input8(lab, x, k, m, 1);
        op.yn8 = vklm_case_output8(lab, 1, h, 1);
    }
    vklm_lab_run(lab, record_down, &op);
    double *xd = vklm_lab_doubles(x, (size_t)k * m);
    for (uint32_t r = 0; r < h; r++)
        want[r] = (double)y[r], size[r] = fabs(want[r]);
    for (uint32_t slot = 0; slot < k; slot++) {
        struct vklm_args_route route = routes[slot];
        experts_multiply(lab, c.values[route.expert], xd + slot * m, h, m, dot8, one, one_size);
        for (uint32_t r = 0; r < h; r++) {
            want[r] += (double)route.weight * one[r];
            size[r] += fabs((double)route.weight) * one_size[r];
        }
    }
    vklm_lab_check("expert down", vklm_lab_read(lab, op.y), want, size, h,
                   chain(lab, m, dot8) + k + 1);
    double *got = vklm_lab_doubles(vklm_lab_read(lab, op.y), h);
    vklm_ref_rmsnorm(got, norm, h, 1e-5, want);
    for (uint32_t r = 0; r < h; r++)
        size[r] = fabs(want[r]);
    vklm_lab_check("norm", vklm_lab_read(lab, op.yn), want, size, h, (double)h / 4 + 16);
    vklm_lab_require(vklm_lab_word(vklm_lab_read(lab, op.counter), 0) == 0, "the counter is not 0");
    if (dot8)
        vklm_case_check8(lab, "norm", op.yn8, vklm_lab_read(lab, op.yn), 1, h, 1);
    free(routes), free(x), free(xd), free(y), free(norm), free(want), free(size), free(one);
    free(one_size), free(got);
    vklm_lab_finish_case(lab, record_down, &op);
}

static void run_down(vklm_lab *lab, vklm_format format, const uint32_t *n)
{
    check_down(lab, format, (experts_shape){n[0], n[1], n[2], n[3]}, false);
}

static void run_down_dot8(vklm_lab *lab, vklm_format format, const uint32_t *n)
{
    check_down(lab, format, (experts_shape){n[0], n[1], n[2], n[3]}, true);
}

static const vklm_case_shape decode_shapes[] = {
    {{2, 1, 8, 8}, 0},
    {{4, 1, 24, 40}, 0},
    {{8, 2, 96, 160}, 0},
    {{16, 4, 64, 104}, 0},
    {{3, 2, 256, 512}, 0},
    {{3, 2, 5120, 32}, 0},
    {{3, 2, 32, 13824}, 0},
    {{8, 8, 256, 256}, 0},
    {{2, 2, 5120, 13824}, VKLM_CASE_8X13B}, // the two of a token; the other six cost nothing
};

static const vklm_case_shape decode_dot8_shapes[] = {
    {{2, 1, 64, 64}, 0},
    {{8, 2, 192, 320}, 0},
    {{3, 2, 256, 512}, 0},
    {{3, 2, 5120, 64}, 0},
    {{3, 2, 64, 13824}, 0},
    {{8, 8, 256, 256}, 0},
    {{2, 2, 5120, 13824}, VKLM_CASE_8X13B},
};

static vklm_case_cost cost_swiglu(vklm_format format, const uint32_t *n)
{
    return (vklm_case_cost){.flop = 4.0 * n[1] * n[2] * n[3],
                            .bytes = n[1] * vklm_case_weight_bytes(format, 2 * n[3], n[2])};
}

static vklm_case_cost cost_down(vklm_format format, const uint32_t *n)
{
    return (vklm_case_cost){.flop = 2.0 * n[1] * n[2] * n[3],
                            .bytes = n[1] * vklm_case_weight_bytes(format, n[2], n[3])};
}

const vklm_case_family vklm_case_expert_swiglu = {
    .name = "expert.swiglu",
    .dims = {"experts", "of a token", "hidden", "intermediate"},
    .formats = true,
    .shapes = decode_shapes,
    .n_shapes = sizeof decode_shapes / sizeof *decode_shapes,
    .run = run_swiglu,
    .cost = cost_swiglu,
    .columns = decode_columns,
};

const vklm_case_family vklm_case_expert_swiglu_dot8 = {
    .name = "expert.swiglu.dot8",
    .dims = {"experts", "of a token", "hidden", "intermediate"},
    .formats = true,
    .format_mask = VKLM_CASE_PACKED,
    .tier = VKLM_TIER_DOT8,
    .shapes = decode_dot8_shapes,
    .n_shapes = sizeof decode_dot8_shapes / sizeof *decode_dot8_shapes,
    .run = run_swiglu_dot8,
    .cost = cost_swiglu,
    .columns = decode_columns,
};

const vklm_case_family vklm_case_expert_down = {
    .name = "expert.down",
    .dims = {"experts", "of a token", "hidden", "intermediate"},
    .formats = true,
    .shapes = decode_shapes,
    .n_shapes = sizeof decode_shapes / sizeof *decode_shapes,
    .run = run_down,
    .cost = cost_down,
    .columns = decode_columns,
};

const vklm_case_family vklm_case_expert_down_dot8 = {
    .name = "expert.down.dot8",
    .dims = {"experts", "of a token", "hidden", "intermediate"},
    .formats = true,
    .format_mask = VKLM_CASE_PACKED,
    .tier = VKLM_TIER_DOT8,
    .shapes = decode_dot8_shapes,
    .n_shapes = sizeof decode_dot8_shapes / sizeof *decode_dot8_shapes,
    .run = run_down_dot8,
    .cost = cost_down,
    .columns = decode_columns,
};
