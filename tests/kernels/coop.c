// The coop tier's products against double precision: dense, and of grouped experts.
//
// The bound. w and x are rounded to f16, in a direction that Vulkan leaves open: each is off by at
// most 2^-10 of itself, or by 2^-24 where that is more; x is divided by 1 / 64 before, or by what
// brings the tile's largest |x| below 2^15. Products of f16 are exact in f32; a matrix unit may cut
// off sums where it should round: 2^-23 of the sum of magnitudes for each addition.
#include <criterion/criterion.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "kernels/lab.h"
#include "kernels/routing.h"
#include "ops/experts.h"
#include "ops/matmul.h"
#include "ops/tune.h"
#include "ref/ops.h"

static vklm_lab *open_or_skip(void)
{
    vklm_lab *lab = vklm_lab_open_tiers(VKLM_TIER_COOP);
    if (!lab)
        cr_skip_test("no Vulkan: %s", vklm_error_message());
    const vklm_gpu_caps *caps = vklm_gpu_device_caps(vklm_lab_device(lab));
    if (caps->tiers & VKLM_TIER_COOP)
        return lab;
    char name[sizeof caps->name];
    snprintf(name, sizeof name, "%s", caps->name);
    vklm_lab_close(lab);
    cr_skip_test("%s has no cooperative matrices of f16 into f32", name);
    return NULL;
}

// What differs between the cases' inputs.
typedef enum {
    RANDOM,   // uniform in [-1, 1)
    EXACT,    // multiples of 2^-10: f16 holds them, and the bound is that of sums in f32
    OUTLIERS, // beyond f16 here and there, growing along the columns
    HUGE,     // beyond what leaves anything of the others
} inputs;

static void fill_inputs(inputs kind, float *x, uint32_t n_tokens, uint32_t n_cols)
{
    static const float outliers[] = {600, 1e5f, -7e4f, 3e6f};
    const size_t n = (size_t)n_tokens * n_cols;
    vklm_lab_random(n_tokens, x, n);
    for (size_t i = 0; kind == EXACT && i < n; i++)
        x[i] = rintf(x[i] * 1024) / 1024;
    for (size_t i = 0; kind == OUTLIERS && i < 4; i++)
        x[i * 7 % n_tokens * n_cols + (2 * i + 1) * n_cols / 8] = outliers[i];
    if (kind == HUGE)
        x[n - 1] = 1e30f;
}

static double largest(const float *x, size_t n)
{
    double most = 0;
    for (size_t i = 0; i < n; i++)
        most = fmax(most, fabs((double)x[i]));
    return most;
}

// The reference for one token, and the bound in units of 2^-24. `most`: the largest |x| of its
// tile, or more.
static void expect(const vklm_lab *lab, const float *values, const float *x, inputs kind,
                   double most, uint32_t n_rows, uint32_t n_cols, double *y, double *bound)
{
    double *xd = malloc(n_cols * sizeof *xd), sum_x = 0;
    for (uint32_t k = 0; k < n_cols; k++) {
        xd[k] = (double)x[k];
        sum_x += fabs(xd[k]);
    }
    vklm_lab_matmul(lab, values, xd, 1, n_rows, n_cols, y, bound);
    // scale >= 2^14 / most
    const double w_floor = 1, x_floor = most > 512 ? most * 0x1p-14 : 1.0 / 64;
    const double rounding = kind == EXACT ? 0 : 0x1p14 + 0x1p14 + 16;
    for (uint32_t r = 0; r < n_rows; r++) {
        double sum_w = 0;
        for (uint32_t k = 0; k < n_cols; k++)
            sum_w += fabs((double)values[(size_t)r * n_cols + k]);
        bound[r] = bound[r] * (rounding + 2 * (n_cols + 4)) + w_floor * sum_x + x_floor * sum_w;
    }
    free(xd);
}

static void record_matmul(vklm_gpu_cmd *cmd, const void *op)
{
    vklm_op_matmul_record(cmd, op);
}

typedef struct {
    vklm_format format;
    uint32_t n_tokens, n_rows, n_cols;
    bool add;
    inputs kind;
} matmul_case;

static void check_matmul(vklm_lab *lab, matmul_case c, vklm_lab_record record)
{
    const size_t n = (size_t)c.n_tokens * c.n_rows, n_x = (size_t)c.n_tokens * c.n_cols;
    const float *values;
    float *x = malloc(n_x * sizeof *x), *old = malloc(n * sizeof *old);
    double *y = malloc(n * sizeof *y), *bound = malloc(n * sizeof *bound);
    fill_inputs(c.kind, x, c.n_tokens, c.n_cols);
    vklm_lab_random(c.n_rows, old, n);
    vklm_weight w = vklm_lab_weight(lab, 5, c.format, c.n_rows, c.n_cols, &values);
    vklm_op_matmul op = {.label = "matmul",
                         .weight = &w,
                         .x = vklm_lab_input(lab, x, n_x * sizeof *x),
                         .y = vklm_lab_output(lab, c.add ? old : NULL, n),
                         .n_tokens = c.n_tokens,
                         .add = c.add};
    vklm_lab_run(lab, record, &op);
    const double most = largest(x, n_x);
    for (uint32_t t = 0; t < c.n_tokens; t++)
        expect(lab, values, x + (size_t)t * c.n_cols, c.kind, most, c.n_rows, c.n_cols,
               y + (size_t)t * c.n_rows, bound + (size_t)t * c.n_rows);
    for (size_t i = 0; c.add && i < n; i++) {
        y[i] += (double)old[i];
        bound[i] += fabs((double)old[i]) + fabs(y[i]);
    }
    char what[96];
    snprintf(what, sizeof what, "matmul %s %u tokens, %ux%u, inputs %d%s",
             vklm_format_name(c.format), c.n_tokens, c.n_rows, c.n_cols, c.kind,
             c.add ? ", added" : "");
    vklm_lab_check(what, vklm_lab_read(lab, op.y), y, bound, n, 1);
    free(x), free(old), free(y), free(bound);
    vklm_lab_clear(lab);
}

static const vklm_format formats[] = {VKLM_FORMAT_F16, VKLM_FORMAT_BF16, VKLM_FORMAT_Q8,
                                      VKLM_FORMAT_Q4};
enum { N_FORMATS = sizeof formats / sizeof *formats };

static const struct {
    uint32_t n_tokens, n_rows, n_cols;
} shapes[] = {{8, 1, 8},    {8, 64, 16},   {9, 65, 24},   {64, 64, 64},   {63, 130, 40},
              {65, 3, 776}, {9, 331, 96},  {129, 70, 16}, {33, 96, 2048}, {12, 128, 5120},
              {8, 1, 256},  {67, 65, 768}, {16, 33, 7168}};
enum { N_SHAPES = sizeof shapes / sizeof *shapes };

Test(coop, tiles_and_edges)
{
    vklm_lab *lab = open_or_skip();
    for (size_t f = 0; f < N_FORMATS; f++)
        for (size_t i = 0; i < N_SHAPES; i++)
            if (shapes[i].n_cols % vklm_format_group(formats[f]) == 0)
                check_matmul(lab,
                             (matmul_case){formats[f], shapes[i].n_tokens, shapes[i].n_rows,
                                           shapes[i].n_cols, i % 2, RANDOM},
                             record_matmul);
    vklm_lab_close(lab);
}

// Where f16 holds every operand, no more is lost than by sums in f32: nothing is left out or
// counted twice.
Test(coop, exact_operands)
{
    vklm_lab *lab = open_or_skip();
    for (size_t f = 0; f < 2; f++) // f16, bf16
        for (size_t i = 0; i < N_SHAPES; i++)
            check_matmul(lab,
                         (matmul_case){formats[f], shapes[i].n_tokens, shapes[i].n_rows,
                                       shapes[i].n_cols, i % 2, EXACT},
                         record_matmul);
    vklm_lab_close(lab);
}

Test(coop, inputs_beyond_f16)
{
    vklm_lab *lab = open_or_skip();
    for (size_t f = 0; f < N_FORMATS; f++)
        for (inputs kind = OUTLIERS; kind <= HUGE; kind++) {
            check_matmul(lab, (matmul_case){formats[f], 8, 40, 256, false, kind}, record_matmul);
            check_matmul(lab, (matmul_case){formats[f], 70, 20, 2048, true, kind}, record_matmul);
        }
    vklm_lab_close(lab);
}

// What is not finite shows in its token's results, and in no other's.
Test(coop, inputs_not_finite)
{
    enum { TOKENS = 10, ROWS = 20, COLS = 64 };
    vklm_lab *lab = open_or_skip();
    const float *values;
    float x[TOKENS * COLS];
    double y[ROWS], bound[ROWS];
    vklm_lab_random(1, x, TOKENS * COLS);
    x[2 * COLS + 40] = INFINITY;
    x[5 * COLS + 3] = NAN;
    vklm_weight w = vklm_lab_weight(lab, 5, VKLM_FORMAT_BF16, ROWS, COLS, &values);
    vklm_op_matmul op = {.label = "matmul",
                         .weight = &w,
                         .x = vklm_lab_input(lab, x, sizeof x),
                         .y = vklm_lab_output(lab, NULL, TOKENS * ROWS),
                         .n_tokens = TOKENS};
    vklm_lab_run(lab, record_matmul, &op);
    for (uint32_t t = 0; t < TOKENS; t++) {
        const float *got = vklm_lab_read(lab, op.y) + t * ROWS;
        for (uint32_t r = 0; r < ROWS && (t == 2 || t == 5); r++)
            cr_expect(!isfinite(got[r]), "token %u, row %u: %g", t, r, (double)got[r]);
        if (t == 2 || t == 5)
            continue;
        expect(lab, values, x + t * COLS, RANDOM, 1, ROWS, COLS, y, bound);
        vklm_lab_check("beside what is not finite", got, y, bound, ROWS, 1);
    }
    vklm_lab_close(lab);
}

// Tiles that tuning gives to other devices, by way of a dispatch of its own.
static const struct {
    uint32_t tile_tokens, tile_rows, subgroups_tokens, subgroups_rows;
} tiles[] = {{16, 16, 1, 1}, {64, 32, 2, 1}, {128, 128, 8, 4}};
static size_t tile; // the one that record_tile takes

static void record_tile(vklm_gpu_cmd *cmd, const void *data)
{
    const vklm_op_matmul *op = data;
    const vklm_gpu_caps *caps = vklm_gpu_device_caps(vklm_gpu_cmd_device(cmd));
    const vklm_coop_shape *shape = vklm_gpu_caps_coop_shape(caps);
    const uint32_t tokens = tiles[tile].tile_tokens, rows = tiles[tile].tile_rows;
    const uint32_t m = tiles[tile].subgroups_tokens, n = tiles[tile].subgroups_rows;
    struct vklm_args_matmul args = {.weight = vklm_gpu_view_address(op->weight->data),
                                    .x = vklm_gpu_view_address(op->x),
                                    .y = vklm_gpu_view_address(op->y),
                                    .n_rows = op->weight->n_rows,
                                    .n_cols = op->weight->n_cols,
                                    .n_tokens = op->n_tokens};
    vklm_gpu_cmd_dispatch(
        cmd,
        &(vklm_gpu_dispatch){
            .label = "matmul",
            .shader = op->weight->format == VKLM_FORMAT_Q4 ? "matmul_coop_q4" : "matmul_coop_f16",
            .constants = {m * n * caps->min_subgroup_size, 0, tokens, rows, op->add, [7] = shape->m,
                          shape->n, shape->k, m, n},
            .smallest_subgroups = true,
            .args = &args,
            .args_bytes = sizeof args,
            .groups = {(op->n_tokens + tokens - 1) / tokens, (args.n_rows + rows - 1) / rows},
            .reads = {op->weight->data, op->x},
            .writes = {op->y},
        });
}

Test(coop, other_tiles)
{
    vklm_lab *lab = open_or_skip();
    for (tile = 0; tile < sizeof tiles / sizeof *tiles; tile++) {
        check_matmul(lab, (matmul_case){VKLM_FORMAT_F16, 131, 140, 72, true, EXACT}, record_tile);
        check_matmul(lab, (matmul_case){VKLM_FORMAT_Q4, 20, 130, 256, false, OUTLIERS},
                     record_tile);
    }
    vklm_lab_close(lab);
}

// Grouped experts: gate and up, or down.
typedef struct {
    vklm_op_expert_group group;
    vklm_op_expert_matmul matmul;
} grouped;

static void record_grouped(vklm_gpu_cmd *cmd, const void *op)
{
    const grouped *g = op;
    vklm_op_expert_group_record(cmd, &g->group);
    vklm_op_expert_matmul_record(cmd, &g->matmul);
}

static void check_experts(vklm_lab *lab, vklm_format format, routing r, uint32_t h, uint32_t m,
                          bool down, inputs kind)
{
    const uint32_t n = r.n_tokens * r.top_k, n_cols = down ? m : h, width = down ? h : 2 * m;
    const uint32_t n_x = down ? n : r.n_tokens;
    const vklm_gpu_caps *caps = vklm_gpu_device_caps(vklm_lab_device(lab));
    const float *values[MAX_EXPERTS];
    struct vklm_args_expert table[MAX_EXPERTS] = {0};
    for (uint32_t e = 0; e < r.n_experts; e++) {
        vklm_weight w = vklm_lab_weight(lab, e + 10, format, width, n_cols, &values[e]);
        table[e].gate_up = table[e].down = vklm_gpu_view_address(w.data);
    }
    vklm_experts experts = {.table = vklm_lab_input(lab, table, r.n_experts * sizeof *table),
                            .gate_up_format = format,
                            .down_format = format,
                            .n_experts = r.n_experts,
                            .top_k = r.top_k,
                            .n_hidden = h,
                            .n_intermediate = m};
    const uint32_t n_tiles = vklm_op_expert_tiles(caps, r.n_tokens, r.n_experts, r.top_k);
    vklm_expert_groups groups = {.dispatch = vklm_lab_output(lab, NULL, 6),
                                 .tiles = vklm_lab_output(lab, NULL, (size_t)n_tiles * 4),
                                 .entries = vklm_lab_output(lab, NULL, n),
                                 .places = vklm_lab_output(lab, NULL, n)};
    struct vklm_args_route *routes = routing_make(r);
    float *x = malloc((size_t)n_x * n_cols * sizeof *x);
    double *y = malloc(width * sizeof *y), *bound = malloc(width * sizeof *bound);
    fill_inputs(kind, x, n_x, n_cols);
    grouped op = {.group = {.experts = &experts,
                            .routes = vklm_lab_input(lab, routes, n * sizeof *routes),
                            .groups = &groups,
                            .n_tokens = r.n_tokens},
                  .matmul = {.experts = &experts,
                             .groups = &groups,
                             .x = vklm_lab_input(lab, x, (size_t)n_x * n_cols * sizeof *x),
                             .y = vklm_lab_output(lab, NULL, (size_t)n * width),
                             .down = down}};
    vklm_lab_run(lab, record_grouped, &op);
    const double most = largest(x, (size_t)n_x * n_cols);
    for (uint32_t i = 0; i < n; i++) {
        size_t place = routing_word(vklm_lab_read(lab, groups.places), i);
        size_t row = down ? place : i / r.top_k;
        expect(lab, values[routes[i].expert], x + row * n_cols, kind, most, width, n_cols, y,
               bound);
        vklm_lab_check(down ? "grouped down" : "grouped gate up",
                       vklm_lab_read(lab, op.matmul.y) + place * width, y, bound, width, 1);
    }
    free(routes), free(x), free(y), free(bound);
    vklm_lab_clear(lab);
}

Test(coop, grouped_experts)
{
    static const routing routings[] = {
        {2, 1, 3, 1, 1}, {8, 2, 65, 3, 1}, {4, 1, 128, 0, 1}, {3, 2, 100, 1, 1}};
    vklm_lab *lab = open_or_skip();
    for (size_t f = 0; f < N_FORMATS; f++)
        for (size_t i = 0; i < sizeof routings / sizeof *routings; i++) {
            const bool q4 = formats[f] == VKLM_FORMAT_Q4;
            const inputs kind = i == 1 ? OUTLIERS : f < 2 ? EXACT : RANDOM;
            if (f > 0 && i > 1)
                continue; // a pipeline takes seconds to compile
            check_experts(lab, formats[f], routings[i], q4 ? 256 : 96, q4 ? 512 : 64, i % 2, kind);
        }
    vklm_lab_close(lab);
}

Test(coop_big, real_shapes)
{
    vklm_lab *lab = open_or_skip();
    check_matmul(lab, (matmul_case){VKLM_FORMAT_BF16, 64, 6144, 2048, false, RANDOM},
                 record_matmul);
    check_matmul(lab, (matmul_case){VKLM_FORMAT_Q8, 17, 5120, 13824, true, OUTLIERS},
                 record_matmul);
    check_matmul(lab, (matmul_case){VKLM_FORMAT_Q4, 8, 99584, 2048, false, RANDOM}, record_matmul);
    vklm_lab_close(lab);
}
