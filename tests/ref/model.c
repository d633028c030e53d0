#include "ref/model.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/half.h"
#include "quant/format.h"
#include "ref/ops.h"

// The matrix that holds a role's rows in a packed model, and the roles that it is made of.
static const struct {
    vklm_matrix_class class;
    vklm_tensor_role first, last;
} packed_as[VKLM_TENSOR_ROLES] = {
    [VKLM_TENSOR_EMBED] = {VKLM_MATRIX_EMBED, VKLM_TENSOR_EMBED, VKLM_TENSOR_EMBED},
    [VKLM_TENSOR_Q] = {VKLM_MATRIX_QKV, VKLM_TENSOR_Q, VKLM_TENSOR_V},
    [VKLM_TENSOR_K] = {VKLM_MATRIX_QKV, VKLM_TENSOR_Q, VKLM_TENSOR_V},
    [VKLM_TENSOR_V] = {VKLM_MATRIX_QKV, VKLM_TENSOR_Q, VKLM_TENSOR_V},
    [VKLM_TENSOR_O] = {VKLM_MATRIX_OUT, VKLM_TENSOR_O, VKLM_TENSOR_O},
    [VKLM_TENSOR_GATE] = {VKLM_MATRIX_GATE_UP, VKLM_TENSOR_GATE, VKLM_TENSOR_UP},
    [VKLM_TENSOR_UP] = {VKLM_MATRIX_GATE_UP, VKLM_TENSOR_GATE, VKLM_TENSOR_UP},
    [VKLM_TENSOR_DOWN] = {VKLM_MATRIX_DOWN, VKLM_TENSOR_DOWN, VKLM_TENSOR_DOWN},
    [VKLM_TENSOR_LM_HEAD] = {VKLM_MATRIX_LM_HEAD, VKLM_TENSOR_LM_HEAD, VKLM_TENSOR_LM_HEAD},
};

static float *packed_weights(const vklm_source *s, vklm_tensor_role role, uint32_t layer,
                             uint32_t expert)
{
    uint64_t shape[2];
    char name[64];
    if (vklm_tensor_shape(&s->arch, role, shape) == 1 || role == VKLM_TENSOR_ROUTER) {
        char full[VKLM_TENSOR_NAME_BYTES];
        vklm_tensor_name(role, layer, full);
        const vklm_tensor_info *info = vklm_safetensors_find(&s->packed->header, full);
        float *values = info ? malloc(info->bytes) : NULL;
        if (values)
            memcpy(values, s->packed->map.data + info->offset, info->bytes);
        return values;
    }
    const char *class = vklm_matrix_class_name(packed_as[role].class);
    if (s->arch.n_experts &&
        (packed_as[role].class == VKLM_MATRIX_GATE_UP || packed_as[role].class == VKLM_MATRIX_DOWN))
        snprintf(name, sizeof name, "layers.%u.experts.%u.%s", layer, expert, class);
    else
        snprintf(name, sizeof name, vklm_tensor_per_layer(role) ? "layers.%u.%s" : "%.0u%s", layer,
                 class);
    uint32_t n_rows = 0, first = 0;
    for (vklm_tensor_role r = packed_as[role].first; r <= packed_as[role].last; r++) {
        uint64_t part[2];
        vklm_tensor_shape(&s->arch, r, part);
        first += r < role ? (uint32_t)part[0] : 0;
        n_rows += (uint32_t)part[0];
    }
    vklm_packed_matrix m;
    float *values = malloc(shape[0] * shape[1] * sizeof *values);
    if (values && vklm_packed_find(s->packed, name, n_rows, (uint32_t)shape[1], &m) == VKLM_OK)
        vklm_format_unpack_rows(m.format, m.data, n_rows, m.n_cols, first, (uint32_t)shape[0],
                                values);
    return values;
}

static float *expert_weights(const vklm_source *s, vklm_tensor_role role, uint32_t layer,
                             uint32_t expert)
{
    if (s->arch.tied && role == VKLM_TENSOR_LM_HEAD)
        role = VKLM_TENSOR_EMBED;
    if (s->packed)
        return packed_weights(s, role, layer, expert);
    vklm_tensor t = vklm_checkpoint_expert_tensor(s->checkpoint, role, layer, expert);
    size_t n = (size_t)(t.info->bytes / vklm_dtype_bytes(t.info->dtype));
    float *values = malloc(n * sizeof *values);
    if (values)
        vklm_format_unpack(vklm_format_of_dtype(t.info->dtype), t.data, n, values);
    return values;
}

static float *weights_of(const vklm_source *s, vklm_tensor_role role, uint32_t layer)
{
    return expert_weights(s, role, layer, 0);
}

static void project_expert(const vklm_source *c, vklm_tensor_role role, uint32_t layer,
                           uint32_t expert, const double *x, size_t n_tokens, double *y)
{
    uint64_t shape[2];
    vklm_tensor_shape(&c->arch, role, shape);
    float *w = expert_weights(c, role, layer, expert);
    vklm_ref_matmul(w, x, n_tokens, shape[0], shape[1], y, NULL);
    free(w);
}

static void project(const vklm_source *c, vklm_tensor_role role, uint32_t layer, const double *x,
                    size_t n_tokens, double *y)
{
    project_expert(c, role, layer, 0, x, n_tokens, y);
}

static void normalise(const vklm_source *c, vklm_tensor_role role, uint32_t layer, const double *x,
                      size_t n_tokens, double *y)
{
    const vklm_arch *a = &c->arch;
    float *w = weights_of(c, role, layer);
    for (size_t t = 0; t < n_tokens; t++)
        vklm_ref_rmsnorm(x + t * a->n_hidden, w, a->n_hidden, (double)a->rms_eps,
                         y + t * a->n_hidden);
    free(w);
}

static void round_to_f16(double *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        x[i] = (double)vklm_half_from_f16(vklm_half_to_f16((float)x[i]));
}

typedef struct {
    double *normed, *q, *k, *v, *heads, *gate, *up, *added;
    double *scores; // of the router
} scratch;

static void attend(const vklm_arch *a, size_t n, bool round_kv, scratch *s)
{
    const size_t d = a->head_dim, q_row = a->n_heads * d, kv_row = a->n_kv_heads * d;
    for (size_t t = 0; t < n; t++) {
        for (size_t h = 0; h < a->n_heads; h++)
            vklm_ref_rope(s->q + t * q_row + h * d, d, (uint32_t)t, a->rope_theta);
        for (size_t h = 0; h < a->n_kv_heads; h++)
            vklm_ref_rope(s->k + t * kv_row + h * d, d, (uint32_t)t, a->rope_theta);
    }
    if (round_kv) {
        round_to_f16(s->k, n * kv_row);
        round_to_f16(s->v, n * kv_row);
    }
    for (size_t t = 0; t < n; t++)
        for (size_t h = 0; h < a->n_heads; h++) {
            size_t kv = h / (a->n_heads / a->n_kv_heads) * d;
            vklm_ref_attention(s->q + t * q_row + h * d, s->k + kv, s->v + kv, t + 1, d, kv_row,
                               1 / sqrt((double)d), s->heads + t * q_row + h * d);
        }
}

// added = the MLP, or an expert, of every token
static void mlp_forward(const vklm_source *c, uint32_t layer, uint32_t expert, size_t n,
                        const double *x, scratch *s, double *added)
{
    project_expert(c, VKLM_TENSOR_GATE, layer, expert, x, n, s->gate);
    project_expert(c, VKLM_TENSOR_UP, layer, expert, x, n, s->up);
    for (size_t i = 0; i < n * c->arch.n_intermediate; i++)
        s->gate[i] = vklm_ref_silu(s->gate[i]) * s->up[i];
    project_expert(c, VKLM_TENSOR_DOWN, layer, expert, s->gate, n, added);
}

static void experts_forward(const vklm_source *c, uint32_t layer, size_t n, double *x, scratch *s)
{
    const vklm_arch *a = &c->arch;
    const size_t h = a->n_hidden;
    project(c, VKLM_TENSOR_ROUTER, layer, s->normed, n, s->scores);
    for (size_t t = 0; t < n; t++) {
        uint32_t experts[VKLM_ARCH_MAX_TOP_K];
        double weights[VKLM_ARCH_MAX_TOP_K];
        vklm_ref_route(s->scores + t * a->n_experts, a->n_experts, a->top_k, experts, weights);
        for (size_t slot = 0; slot < a->top_k; slot++) {
            mlp_forward(c, layer, experts[slot], 1, s->normed + t * h, s, s->added);
            for (size_t i = 0; i < h; i++)
                x[t * h + i] += weights[slot] * s->added[i];
        }
    }
}

static void layer_forward(const vklm_source *c, uint32_t layer, size_t n, bool round_kv, double *x,
                          scratch *s)
{
    const vklm_arch *a = &c->arch;
    normalise(c, VKLM_TENSOR_ATTN_NORM, layer, x, n, s->normed);
    project(c, VKLM_TENSOR_Q, layer, s->normed, n, s->q);
    project(c, VKLM_TENSOR_K, layer, s->normed, n, s->k);
    project(c, VKLM_TENSOR_V, layer, s->normed, n, s->v);
    attend(a, n, round_kv, s);
    project(c, VKLM_TENSOR_O, layer, s->heads, n, s->added);
    for (size_t i = 0; i < n * a->n_hidden; i++)
        x[i] += s->added[i];
    normalise(c, VKLM_TENSOR_MLP_NORM, layer, x, n, s->normed);
    if (a->n_experts) {
        experts_forward(c, layer, n, x, s);
        return;
    }
    mlp_forward(c, layer, 0, n, s->normed, s, s->added);
    for (size_t i = 0; i < n * a->n_hidden; i++)
        x[i] += s->added[i];
}

bool vklm_ref_forward(const vklm_source *c, const uint32_t *ids, size_t n, bool round_kv,
                      double *hidden, double *logits)
{
    const vklm_arch *a = &c->arch;
    const size_t h = a->n_hidden, q = a->n_heads * a->head_dim, m = a->n_intermediate;
    double *memory = malloc(n * (2 * h + 4 * q + 2 * m + a->n_experts) * sizeof *memory);
    float *embed = weights_of(c, VKLM_TENSOR_EMBED, 0);
    if (!memory || !embed) {
        free(memory);
        free(embed);
        return false;
    }
    scratch s = {.normed = memory};
    s.added = s.normed + n * h;
    s.q = s.added + n * h;
    s.k = s.q + n * q;
    s.v = s.k + n * q;
    s.heads = s.v + n * q;
    s.gate = s.heads + n * q;
    s.up = s.gate + n * m;
    s.scores = s.up + n * m;
    for (size_t t = 0; t < n; t++)
        for (size_t i = 0; i < h; i++)
            hidden[t * h + i] = (double)embed[ids[t] * h + i];
    for (uint32_t layer = 0; layer < a->n_layers; layer++) {
        double *x = hidden + (layer + 1) * n * h;
        memcpy(x, x - n * h, n * h * sizeof *x);
        layer_forward(c, layer, n, round_kv, x, &s);
    }
    normalise(c, VKLM_TENSOR_FINAL_NORM, 0, hidden + a->n_layers * n * h, n, s.normed);
    project(c, VKLM_TENSOR_LM_HEAD, 0, s.normed, n, logits);
    free(memory);
    free(embed);
    return true;
}
