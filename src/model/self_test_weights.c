// The self-test's model: random weights, packed as a real one's are, on the device and on the host.
#include "model/self_test_weights.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/half.h"
#include "base/rng.h"
#include "model/rope.h"
#include "quant/pack.h"

enum { N_LAYERS = 2 };

// About that of what a layer adds: then neither is lost in the other, and norms do not hide that
// all layers add too much.
static const float EMBED_DEVIATION = 0.5f;

static float random_number(vklm_self_test_weights *w, size_t i)
{
    return 2 * vklm_rng_uniform(w->seed, i) - 1;
}

// A view of the one slab that everything lies in; `data` is uploaded.
static vklm_status put(vklm_self_test_weights *w, const void *data, uint64_t bytes,
                       vklm_gpu_view *out)
{
    vklm_gpu_slot slot;
    vklm_status status = vklm_gpu_layout_add(&w->layout, bytes, &slot);
    if (status == VKLM_OK) {
        *out = vklm_gpu_arena_view(w->device.arena, slot);
        status = vklm_gpu_stage_upload(w->stage, data, *out);
    }
    return status;
}

// The bytes of a matrix of these values in the rig's format.
static bool pack(const vklm_self_test_weights *w, const float *values, uint32_t n_rows,
                 uint32_t n_cols, void *out)
{
    const size_t n = (size_t)n_rows * n_cols;
    uint16_t *halves = out;
    uint64_t bad;
    if (vklm_format_is_packed(w->format)) {
        vklm_pack_job job = {.format = w->format,
                             .stored = VKLM_FORMAT_F32,
                             .source = values,
                             .n_rows = n_rows,
                             .n_cols = n_cols};
        vklm_format_plane planes[VKLM_FORMAT_MAX_PLANES];
        uint32_t n_planes = vklm_format_planes(w->format, n_rows, n_cols, planes);
        for (uint32_t i = 0; i < n_planes; i++)
            job.planes[i] = (unsigned char *)out + planes[i].offset;
        return vklm_pack_rows(NULL, &job, &bad);
    }
    if (w->format == VKLM_FORMAT_F32)
        memcpy(out, values, n * sizeof *values);
    for (size_t i = 0; i < n && w->format != VKLM_FORMAT_F32; i++)
        halves[i] = w->format == VKLM_FORMAT_F16 ? vklm_half_to_f16(values[i])
                                                 : vklm_half_to_bf16(values[i]);
    return true;
}

// Uniform random numbers of a standard deviation as the format keeps them: on the device and as
// f32.
static vklm_status make_numbers(vklm_self_test_weights *w, float deviation, uint32_t n_rows,
                                uint32_t n_cols, float **out_values, vklm_weight *out)
{
    const size_t n = (size_t)n_rows * n_cols;
    const uint64_t bytes = vklm_format_bytes(w->format, n_rows, n_cols);
    float *values = *out_values = vklm_alloc(n, sizeof *values);
    void *packed = vklm_alloc((size_t)bytes, 1);
    w->seed++;
    for (size_t i = 0; i < n && values; i++)
        values[i] = random_number(w, i) * sqrtf(3) * deviation;
    vklm_status status = values && packed && pack(w, values, n_rows, n_cols, packed)
                             ? VKLM_OK
                             : vklm_fail_memory("the self-test");
    *out = (vklm_weight){.format = w->format, .n_rows = n_rows, .n_cols = n_cols};
    if (status == VKLM_OK) {
        vklm_format_unpack_rows(w->format, packed, n_rows, n_cols, 0, n_rows, values);
        status = put(w, packed, bytes, &out->data);
    }
    free(packed);
    return status;
}

// A matrix that leaves the variance of what it is multiplied with.
static vklm_status make_matrix(vklm_self_test_weights *w, uint32_t n_rows, uint32_t n_cols,
                               float **out_values, vklm_weight *out)
{
    return make_numbers(w, 1 / sqrtf((float)n_cols), n_rows, n_cols, out_values, out);
}

static vklm_status make_mlp(vklm_self_test_weights *w, vklm_self_test_mlp *mlp,
                            vklm_weight *out_gate_up, vklm_weight *out_down)
{
    const vklm_arch *a = &w->host.arch;
    vklm_status status =
        make_matrix(w, 2 * a->n_intermediate, a->n_hidden, &mlp->gate_up, out_gate_up);
    if (status == VKLM_OK)
        status = make_matrix(w, a->n_hidden, a->n_intermediate, &mlp->down, out_down);
    return status;
}

// The router, and the table of the experts' addresses.
static vklm_status make_experts(vklm_self_test_weights *w, uint32_t layer)
{
    const vklm_arch *a = &w->host.arch;
    vklm_layer_weights *l = &w->device.layers[layer];
    vklm_self_test_layer *h = &w->host.layers[layer];
    vklm_weight gate_up[VKLM_SELF_TEST_MLPS], down[VKLM_SELF_TEST_MLPS];
    struct vklm_args_expert table[VKLM_ARCH_MAX_EXPERTS];
    const size_t n_router = (size_t)a->n_experts * a->n_hidden;
    vklm_status status = VKLM_OK;
    for (uint32_t i = 0; i < VKLM_SELF_TEST_MLPS && status == VKLM_OK; i++)
        status = make_mlp(w, &h->mlps[i], &gate_up[i], &down[i]);
    if (status == VKLM_OK && !(h->router = vklm_alloc(n_router, sizeof *h->router)))
        status = vklm_fail_memory("the self-test");
    if (status != VKLM_OK)
        return status;
    w->seed++;
    for (size_t i = 0; i < n_router; i++)
        h->router[i] = random_number(w, i) * sqrtf(3.0f / (float)a->n_hidden);
    for (uint32_t e = 0; e < a->n_experts; e++)
        table[e] = (struct vklm_args_expert){
            .gate_up = vklm_gpu_view_address(gate_up[vklm_self_test_gate_up(e)].data),
            .down = vklm_gpu_view_address(down[vklm_self_test_down(e)].data)};
    l->experts = (vklm_experts){.gate_up_format = w->format,
                                .down_format = w->format,
                                .n_experts = a->n_experts,
                                .top_k = a->top_k,
                                .n_hidden = a->n_hidden,
                                .n_intermediate = a->n_intermediate};
    status = put(w, h->router, n_router * sizeof *h->router, &l->router);
    if (status == VKLM_OK)
        status = put(w, table, a->n_experts * sizeof *table, &l->experts.table);
    return status;
}

static vklm_status make_layer(vklm_self_test_weights *w, uint32_t layer)
{
    const vklm_arch *a = &w->host.arch;
    vklm_layer_weights *l = &w->device.layers[layer];
    vklm_self_test_layer *h = &w->host.layers[layer];
    const uint32_t heads = a->n_heads * a->head_dim, kv = a->n_kv_heads * a->head_dim;
    l->attn_norm = l->mlp_norm = w->device.final_norm;
    vklm_status status = make_matrix(w, heads + 2 * kv, a->n_hidden, &h->qkv, &l->qkv);
    if (status == VKLM_OK)
        status = make_matrix(w, a->n_hidden, heads, &h->out, &l->out);
    if (status != VKLM_OK)
        return status;
    return a->n_experts ? make_experts(w, layer) : make_mlp(w, &h->mlps[0], &l->gate_up, &l->down);
}

static vklm_status make_vectors(vklm_self_test_weights *w)
{
    const vklm_arch *a = &w->host.arch;
    const uint32_t n_ctx = a->n_positions;
    float(*rope)[2] = vklm_alloc((size_t)n_ctx * a->head_dim / 2, sizeof *rope);
    w->host.norm = vklm_alloc(a->n_hidden, sizeof *w->host.norm);
    vklm_status status = rope && w->host.norm ? VKLM_OK : vklm_fail_memory("the self-test");
    for (uint32_t i = 0; i < n_ctx && status == VKLM_OK; i++)
        vklm_rope_row(a->rope_theta, a->head_dim, i, rope + (size_t)i * (a->head_dim / 2));
    for (uint32_t i = 0; i < a->n_hidden && status == VKLM_OK; i++)
        w->host.norm[i] = 1 + 0.5f * random_number(w, i);
    if (status == VKLM_OK)
        status = put(w, w->host.norm, a->n_hidden * sizeof(float), &w->device.final_norm);
    if (status == VKLM_OK)
        status = put(w, rope, (uint64_t)n_ctx * a->head_dim * sizeof(float), &w->device.rope);
    free(rope);
    return status;
}

// Room for everything, as one slab.
static vklm_status make_arena(vklm_gpu_device *device, vklm_self_test_weights *w)
{
    const vklm_arch *a = &w->host.arch;
    const uint32_t heads = a->n_heads * a->head_dim, kv = a->n_kv_heads * a->head_dim;
    const uint32_t n_mlps = a->n_experts ? VKLM_SELF_TEST_MLPS : 1;
    const struct {
        uint32_t n, n_rows, n_cols;
    } matrices[] = {
        {2, a->n_vocab, a->n_hidden},
        {N_LAYERS, heads + 2 * kv, a->n_hidden},
        {N_LAYERS, a->n_hidden, heads},
        {N_LAYERS * n_mlps, 2 * a->n_intermediate, a->n_hidden},
        {N_LAYERS * n_mlps, a->n_hidden, a->n_intermediate},
    };
    // Vectors, and what a layout adds between parts.
    uint64_t bytes = (uint64_t)(a->n_hidden + a->n_positions * a->head_dim) * sizeof(float) +
                     N_LAYERS * VKLM_ARCH_MAX_EXPERTS *
                         (a->n_hidden * sizeof(float) + sizeof(struct vklm_args_expert)) +
                     64 * VKLM_GPU_ALIGNMENT;
    for (size_t i = 0; i < sizeof matrices / sizeof *matrices; i++)
        bytes +=
            matrices[i].n * vklm_format_bytes(w->format, matrices[i].n_rows, matrices[i].n_cols);
    vklm_gpu_slot slot;
    vklm_gpu_layout all;
    vklm_gpu_layout_init(vklm_gpu_device_caps(device), &all);
    vklm_status status = vklm_gpu_layout_add(&all, bytes, &slot);
    if (status == VKLM_OK)
        status = vklm_gpu_arena_create(device, &all, &w->device.arena);
    vklm_gpu_layout_finish(&all);
    return status;
}

static vklm_arch arch_of(const vklm_self_test_case *test, uint32_t n_ctx)
{
    return (vklm_arch){.n_vocab = 300,
                       .n_hidden = 256,
                       .n_intermediate = test->n_experts ? 256 : 512,
                       .n_layers = N_LAYERS,
                       .n_heads = 4,
                       .n_kv_heads = test->grouped ? 2 : 4,
                       .head_dim = test->head_dim,
                       .n_experts = test->n_experts,
                       .top_k = test->top_k,
                       .n_positions = n_ctx,
                       .rms_eps = 1e-5f,
                       .rope_theta = 10000};
}

vklm_status vklm_self_test_weights_init(vklm_gpu_device *device, const vklm_self_test_case *test,
                                        uint32_t n_ctx, vklm_self_test_weights *w)
{
    const vklm_arch arch = arch_of(test, n_ctx);
    *w = (vklm_self_test_weights){.format = test->matrix, .seed = 1};
    w->host.arch = w->device.arch = arch;
    w->host.kv = test->kv;
    vklm_gpu_layout_init(vklm_gpu_device_caps(device), &w->layout);
    w->device.layers = vklm_alloc(N_LAYERS, sizeof *w->device.layers);
    w->host.layers = vklm_alloc(N_LAYERS, sizeof *w->host.layers);
    vklm_status status = w->device.layers && w->host.layers
                             ? vklm_gpu_stage_create(device, &w->stage)
                             : vklm_fail_memory("the self-test");
    if (status == VKLM_OK)
        status = make_arena(device, w);
    if (status == VKLM_OK)
        status = make_vectors(w);
    if (status == VKLM_OK)
        status = make_numbers(w, EMBED_DEVIATION, arch.n_vocab, arch.n_hidden, &w->host.embed,
                              &w->device.embed);
    if (status == VKLM_OK)
        status = make_matrix(w, arch.n_vocab, arch.n_hidden, &w->host.lm_head, &w->device.lm_head);
    for (uint32_t i = 0; i < N_LAYERS && status == VKLM_OK; i++)
        status = make_layer(w, i);
    return status == VKLM_OK ? vklm_gpu_stage_finish(w->stage) : status;
}

void vklm_self_test_weights_finish(vklm_self_test_weights *w)
{
    vklm_gpu_stage_destroy(w->stage);
    vklm_gpu_arena_destroy(w->device.arena);
    vklm_gpu_layout_finish(&w->layout);
    free(w->device.layers);
    for (uint32_t i = 0; i < N_LAYERS && w->host.layers; i++) {
        vklm_self_test_layer *l = &w->host.layers[i];
        free(l->qkv), free(l->out), free(l->router);
        for (uint32_t k = 0; k < VKLM_SELF_TEST_MLPS; k++)
            free(l->mlps[k].gate_up), free(l->mlps[k].down);
    }
    free(w->host.layers), free(w->host.embed), free(w->host.lm_head), free(w->host.norm);
}
