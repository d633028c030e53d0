#include "vkbench/generated.h"

#include <math.h>
#include <stdlib.h>

#include "base/array.h"
#include "gpu/cmd.h"
#include "kernels/lab.h"
#include "model/rope.h"
#include "model/weights_plan.h"

enum {
    BLOCK = 1048573, // random numbers that are repeated; a prime, so that no two rows are alike
    MAX_SHAPES = 16, // of matrices, each with its format
};

typedef struct {
    vklm_gpu_device *device;
    vklm_gpu_stage *stage;
    const vklm_weights_plan *plan;
    vklm_gpu_arena *arena;
    float *block; // [BLOCK]
    vklm_weight made[MAX_SHAPES];
    size_t n_made;
} generator;

static vklm_status upload(generator *g, const void *data, vklm_gpu_view to)
{
    vklm_status status = vklm_gpu_stage_upload(g->stage, data, to);
    return status == VKLM_OK ? vklm_gpu_stage_finish(g->stage) : status;
}

// Values of about the size that keeps the residual stream near 1.
static vklm_status fill_matrix(generator *g, const vklm_weight *w)
{
    const size_t n = (size_t)w->n_rows * w->n_cols;
    float *values = vklm_alloc(n, sizeof *values);
    if (!values)
        return vklm_fail_memory("generated weights");
    float scale = 1 / sqrtf((float)w->n_cols);
    for (size_t i = 0; i < n; i++)
        values[i] = g->block[i % BLOCK] * scale;
    void *bytes = vklm_lab_matrix(w->format, w->n_rows, w->n_cols, values);
    free(values);
    if (!bytes)
        return vklm_fail_memory("generated weights");
    vklm_status status = upload(g, bytes, w->data);
    free(bytes);
    return status;
}

static vklm_status copy(generator *g, vklm_gpu_view from, vklm_gpu_view to)
{
    vklm_gpu_cmd *cmd;
    vklm_status status = vklm_gpu_cmd_create(g->device, NULL, &cmd);
    if (status != VKLM_OK)
        return status;
    vklm_gpu_cmd_begin(cmd);
    vklm_gpu_cmd_copy(cmd, "weights", from, to);
    status = vklm_gpu_cmd_end(cmd);
    if (status == VKLM_OK)
        status = vklm_gpu_cmd_submit(cmd);
    if (status == VKLM_OK)
        status = vklm_gpu_cmd_wait(cmd);
    vklm_gpu_cmd_destroy(cmd);
    return status;
}

static vklm_status make_matrix(void *opaque, const vklm_planned_matrix *m, vklm_weight *out)
{
    generator *g = opaque;
    *out = vklm_planned_matrix_weight(m, g->arena);
    for (size_t i = 0; i < g->n_made; i++)
        if (g->made[i].format == m->format && g->made[i].n_rows == m->n_rows &&
            g->made[i].n_cols == m->n_cols)
            return copy(g, g->made[i].data, out->data);
    if (g->n_made < MAX_SHAPES)
        g->made[g->n_made++] = *out;
    return fill_matrix(g, out);
}

// Norms of ones; a router's rows are random, so that tokens go to all experts.
static vklm_status make_vector(void *opaque, const vklm_planned_vector *v, vklm_gpu_view *out)
{
    generator *g = opaque;
    *out = vklm_gpu_arena_view(g->arena, v->slot);
    float *values = vklm_alloc(v->n, sizeof *values);
    if (!values)
        return vklm_fail_memory("generated weights");
    for (uint32_t i = 0; i < v->n; i++)
        values[i] = v->role == VKLM_TENSOR_ROUTER ? g->block[(i + 7919 * v->layer) % BLOCK] : 1;
    vklm_status status = upload(g, values, *out);
    free(values);
    return status;
}

static vklm_status make_table(void *opaque, uint32_t layer, const struct vklm_args_expert *rows)
{
    generator *g = opaque;
    return upload(g, rows, vklm_weights_plan_expert_rows(g->plan, g->arena, layer));
}

static vklm_status fill_rope(generator *g, vklm_gpu_view view)
{
    const vklm_arch *a = &g->plan->arch;
    float(*rows)[2] = vklm_alloc((size_t)a->n_positions * a->head_dim / 2, sizeof *rows);
    if (!rows)
        return vklm_fail_memory("generated weights");
    for (uint32_t p = 0; p < a->n_positions; p++)
        vklm_rope_row(a->rope_theta, a->head_dim, p, rows + (size_t)p * (a->head_dim / 2));
    vklm_status status = upload(g, rows, view);
    free(rows);
    return status;
}

static vklm_status generate(generator *g, vklm_weights *w)
{
    const vklm_weights_visitor visitor = {
        .matrix = make_matrix, .vector = make_vector, .table = make_table, .opaque = g};
    const vklm_arch *a = &g->plan->arch;
    vklm_status status = vklm_weights_plan_visit(g->plan, &visitor, w);
    if (a->n_experts)
        w->expert_table = vklm_gpu_arena_view(g->arena, g->plan->expert_table);
    for (uint32_t i = 0; a->n_experts && i < a->n_layers; i++)
        w->layers[i].experts.table = vklm_weights_plan_expert_rows(g->plan, g->arena, i);
    w->rope = vklm_gpu_arena_view(g->arena, g->plan->rope);
    return status == VKLM_OK ? fill_rope(g, w->rope) : status;
}

vklm_status vklm_bench_generate_weights(vklm_gpu_device *device, vklm_gpu_stage *stage,
                                        const vklm_arch *arch, vklm_weights_kind kind,
                                        vklm_weights **out_weights)
{
    const vklm_source source = {.arch = *arch};
    generator g = {.device = device, .stage = stage};
    vklm_weights_plan *plan = NULL;
    vklm_weights *w = NULL;
    *out_weights = NULL;
    g.block = vklm_alloc(BLOCK, sizeof *g.block);
    vklm_status status =
        g.block ? vklm_weights_plan_create(&source, kind, vklm_gpu_device_caps(device), &plan)
                : vklm_fail_memory("generated weights");
    if (status == VKLM_OK)
        status = vklm_weights_create(plan, &w);
    if (status == VKLM_OK)
        status = vklm_gpu_arena_create(device, &plan->layout, &w->arena);
    if (status == VKLM_OK) {
        vklm_lab_random(1, g.block, BLOCK);
        g.plan = plan;
        g.arena = w->arena;
        status = generate(&g, w);
    }
    vklm_weights_plan_destroy(plan);
    free(g.block);
    if (status != VKLM_OK) {
        vklm_weights_destroy(w);
        return status;
    }
    *out_weights = w;
    return VKLM_OK;
}
