#include "vkbench/generated.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "gpu/cmd.h"
#include "kernels/lab.h"
#include "model/rope.h"

enum {
    BLOCK = 1048573
}; // random numbers that are repeated; a prime, so that no two rows are alike

typedef struct {
    vklm_gpu_device *device;
    vklm_gpu_stage *stage;
    vklm_gpu_layout layout;
    const vklm_arch *arch;
    vklm_format format;
    float *block; // [BLOCK]
} generator;

typedef struct {
    vklm_gpu_slot attn_norm, mlp_norm, qkv, out, gate_up, down;
} layer_slots;

static vklm_status plan_matrix(generator *g, uint32_t n_rows, uint32_t n_cols, vklm_gpu_slot *out)
{
    return vklm_gpu_layout_add(&g->layout, vklm_lab_matrix_bytes(g->format, n_rows, n_cols), out);
}

static vklm_status plan_vector(generator *g, vklm_gpu_slot *out)
{
    return vklm_gpu_layout_add(&g->layout, g->arch->n_hidden * sizeof(float), out);
}

static vklm_status plan_layer(generator *g, layer_slots *s)
{
    const vklm_arch *a = g->arch;
    vklm_status status = plan_vector(g, &s->attn_norm);
    if (status == VKLM_OK)
        status = plan_vector(g, &s->mlp_norm);
    if (status == VKLM_OK)
        status =
            plan_matrix(g, (a->n_heads + 2 * a->n_kv_heads) * a->head_dim, a->n_hidden, &s->qkv);
    if (status == VKLM_OK)
        status = plan_matrix(g, a->n_hidden, a->n_heads * a->head_dim, &s->out);
    if (status == VKLM_OK)
        status = plan_matrix(g, 2 * a->n_intermediate, a->n_hidden, &s->gate_up);
    if (status == VKLM_OK)
        status = plan_matrix(g, a->n_hidden, a->n_intermediate, &s->down);
    return status;
}

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
    void *bytes = vklm_lab_matrix(g->format, w->n_rows, w->n_cols, values);
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

static vklm_status fill_norm(generator *g, vklm_gpu_view view)
{
    float *ones = vklm_alloc(g->arch->n_hidden, sizeof *ones);
    if (!ones)
        return vklm_fail_memory("generated weights");
    for (uint32_t i = 0; i < g->arch->n_hidden; i++)
        ones[i] = 1;
    vklm_status status = upload(g, ones, view);
    free(ones);
    return status;
}

static vklm_status fill_rope(generator *g, vklm_gpu_view view)
{
    const vklm_arch *a = g->arch;
    float(*rows)[2] = vklm_alloc((size_t)a->n_positions * a->head_dim / 2, sizeof *rows);
    if (!rows)
        return vklm_fail_memory("generated weights");
    for (uint32_t p = 0; p < a->n_positions; p++)
        vklm_rope_row(a->rope_theta, a->head_dim, p, rows + (size_t)p * (a->head_dim / 2));
    vklm_status status = upload(g, rows, view);
    free(rows);
    return status;
}

static vklm_weight matrix(const generator *g, const vklm_weights *w, vklm_gpu_slot slot,
                          uint32_t n_rows, uint32_t n_cols)
{
    return (vklm_weight){.data = vklm_gpu_arena_view(w->arena, slot),
                         .format = g->format,
                         .n_rows = n_rows,
                         .n_cols = n_cols};
}

static vklm_status fill_layer(generator *g, vklm_weights *w, uint32_t layer, const layer_slots *s)
{
    const vklm_arch *a = g->arch;
    vklm_layer_weights *l = &w->layers[layer];
    *l = (vklm_layer_weights){
        .attn_norm = vklm_gpu_arena_view(w->arena, s->attn_norm),
        .mlp_norm = vklm_gpu_arena_view(w->arena, s->mlp_norm),
        .qkv = matrix(g, w, s->qkv, (a->n_heads + 2 * a->n_kv_heads) * a->head_dim, a->n_hidden),
        .out = matrix(g, w, s->out, a->n_hidden, a->n_heads * a->head_dim),
        .gate_up = matrix(g, w, s->gate_up, 2 * a->n_intermediate, a->n_hidden),
        .down = matrix(g, w, s->down, a->n_hidden, a->n_intermediate),
    };
    const vklm_layer_weights *first = &w->layers[0];
    const vklm_weight *to[] = {&l->qkv, &l->out, &l->gate_up, &l->down};
    const vklm_weight *from[] = {&first->qkv, &first->out, &first->gate_up, &first->down};
    vklm_status status = fill_norm(g, l->attn_norm);
    if (status == VKLM_OK)
        status = fill_norm(g, l->mlp_norm);
    for (size_t i = 0; i < sizeof to / sizeof *to && status == VKLM_OK; i++)
        status = layer == 0 ? fill_matrix(g, to[i]) : copy(g, from[i]->data, to[i]->data);
    return status;
}

static vklm_status generate(generator *g, vklm_weights *w, layer_slots *slots)
{
    const vklm_arch *a = g->arch;
    vklm_gpu_slot embed, head, norm, rope;
    vklm_status status = plan_matrix(g, a->n_vocab, a->n_hidden, &embed);
    for (uint32_t i = 0; i < a->n_layers && status == VKLM_OK; i++)
        status = plan_layer(g, &slots[i]);
    if (status == VKLM_OK)
        status = plan_matrix(g, a->n_vocab, a->n_hidden, &head);
    if (status == VKLM_OK)
        status = plan_vector(g, &norm);
    if (status == VKLM_OK)
        status = vklm_gpu_layout_add(&g->layout,
                                     (uint64_t)a->n_positions * a->head_dim * sizeof(float), &rope);
    if (status == VKLM_OK)
        status = vklm_gpu_arena_create(g->device, &g->layout, &w->arena);
    if (status != VKLM_OK)
        return status;
    w->embed = matrix(g, w, embed, a->n_vocab, a->n_hidden);
    w->lm_head = matrix(g, w, head, a->n_vocab, a->n_hidden);
    w->final_norm = vklm_gpu_arena_view(w->arena, norm);
    w->rope = vklm_gpu_arena_view(w->arena, rope);
    status = fill_matrix(g, &w->embed);
    if (status == VKLM_OK)
        status = copy(g, w->embed.data, w->lm_head.data);
    for (uint32_t i = 0; i < a->n_layers && status == VKLM_OK; i++)
        status = fill_layer(g, w, i, &slots[i]);
    if (status == VKLM_OK)
        status = fill_norm(g, w->final_norm);
    return status == VKLM_OK ? fill_rope(g, w->rope) : status;
}

vklm_status vklm_bench_generate_weights(vklm_gpu_device *device, vklm_gpu_stage *stage,
                                        const vklm_arch *arch, vklm_format format,
                                        vklm_weights **out_weights)
{
    generator g = {.device = device, .stage = stage, .arch = arch, .format = format};
    *out_weights = NULL;
    vklm_weights *w = vklm_alloc(1, sizeof *w);
    layer_slots *slots = vklm_alloc(arch->n_layers, sizeof *slots);
    g.block = vklm_alloc(BLOCK, sizeof *g.block);
    vklm_gpu_layout_init(vklm_gpu_device_caps(device), &g.layout);
    vklm_status status = VKLM_OK;
    if (w)
        w->layers = vklm_alloc(arch->n_layers, sizeof *w->layers);
    if (!w || !w->layers || !slots || !g.block)
        status = vklm_fail_memory("generated weights");
    if (status == VKLM_OK) {
        w->arch = *arch;
        vklm_lab_random(1, g.block, BLOCK);
        status = generate(&g, w, slots);
    }
    vklm_gpu_layout_finish(&g.layout);
    free(slots);
    free(g.block);
    if (status != VKLM_OK) {
        vklm_weights_destroy(w);
        return status;
    }
    *out_weights = w;
    return VKLM_OK;
}
