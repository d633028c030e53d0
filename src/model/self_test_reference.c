#include "model/self_test_reference.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/half.h"
#include "model/rope.h"

// n_cols % 4 == 0: four sums at a time, as one would be a chain of additions that wait for each
// other.
static void multiply(const float *w, const double *x, uint32_t n_rows, uint32_t n_cols, double *y)
{
    for (uint32_t r = 0; r < n_rows; r++, w += n_cols) {
        double sums[4] = {0};
        for (uint32_t c = 0; c < n_cols; c += 4)
            for (uint32_t k = 0; k < 4; k++)
                sums[k] += (double)w[c + k] * x[c + k];
        y[r] = (sums[0] + sums[1]) + (sums[2] + sums[3]);
    }
}

static void normalise(const vklm_self_test_model *m, const double *x, double *y)
{
    const uint32_t n = m->arch.n_hidden;
    double sum = 0;
    for (uint32_t i = 0; i < n; i++)
        sum += x[i] * x[i];
    for (uint32_t i = 0; i < n; i++)
        y[i] = x[i] / sqrt(sum / n + (double)m->arch.rms_eps) * (double)m->norm[i];
}

static void rotate(const vklm_arch *a, double *head, float (*rope)[2])
{
    const uint32_t half = a->head_dim / 2;
    for (uint32_t i = 0; i < half; i++) {
        double x = head[i], y = head[i + half], c = (double)rope[i][0], s = (double)rope[i][1];
        head[i] = x * c - y * s;
        head[i + half] = y * c + x * s;
    }
}

uint32_t vklm_self_test_gate_up(uint32_t expert)
{
    return expert % VKLM_SELF_TEST_MLPS;
}

uint32_t vklm_self_test_down(uint32_t expert)
{
    return (expert + expert / VKLM_SELF_TEST_MLPS) % VKLM_SELF_TEST_MLPS;
}

static double as_f16(double x)
{
    return (double)vklm_half_from_f16(vklm_half_to_f16((float)x));
}

// 32 numbers as a q8 cache has them (shaders/kv_store.glsl).
static void round_to_q8(double *x)
{
    double most = 0;
    for (uint32_t i = 0; i < 32; i++)
        most = fmax(most, fabs(x[i]));
    const double scale = as_f16(most * 128 / 127);
    for (uint32_t i = 0; i < 32 && scale > 0; i++)
        x[i] = fmax(-127, fmin(127, rint(x[i] / scale * 128))) * scale / 128;
}

// Keys and values, [n].
static void round_to_cache(vklm_kv_kind kind, double *x, uint32_t n)
{
    if (kind == VKLM_KV_Q8)
        for (uint32_t i = 0; i < n; i += 32)
            round_to_q8(x + i);
    else
        for (uint32_t i = 0; i < n; i++)
            x[i] = as_f16(x[i]);
}

static void scale(double *x, uint32_t n, double by)
{
    for (uint32_t i = 0; i < n; i++)
        x[i] *= by;
}

// One query head over positions 0 .. last of one key and value head; cache rows are kv_row apart.
static void attend(const vklm_arch *a, const double *q, const double *k, const double *v,
                   uint32_t last, size_t kv_row, double *weights, double *y)
{
    const uint32_t d = a->head_dim;
    double most = -INFINITY, total = 0;
    for (uint32_t p = 0; p <= last; p++) {
        weights[p] = 0;
        for (uint32_t i = 0; i < d; i++)
            weights[p] += q[i] * k[p * kv_row + i] / sqrt((double)d);
        most = fmax(most, weights[p]);
    }
    for (uint32_t i = 0; i < d; i++)
        y[i] = 0;
    for (uint32_t p = 0; p <= last; p++) {
        weights[p] = exp(weights[p] - most);
        total += weights[p];
        for (uint32_t i = 0; i < d; i++)
            y[i] += weights[p] * v[p * kv_row + i];
    }
    for (uint32_t i = 0; i < d; i++)
        y[i] /= total;
}

// x += attention; the cache is [n_layers, n, 2, n_kv_heads * head_dim].
static void attention_forward(vklm_self_test_pass *s, uint32_t layer, uint32_t position)
{
    const vklm_self_test_model *m = s->model;
    const vklm_arch *a = &m->arch;
    const vklm_self_test_layer *l = &m->layers[layer];
    const uint32_t d = a->head_dim, q_row = a->n_heads * d, kv_row = a->n_kv_heads * d;
    double *cache = s->cache + (size_t)layer * s->n * 2 * kv_row,
           *row = cache + position * 2 * kv_row;
    normalise(m, s->x, s->xn);
    multiply(l->qkv, s->xn, q_row + 2 * kv_row, a->n_hidden, s->qkv);
    scale(s->qkv, q_row + 2 * kv_row, s->factor[VKLM_SELF_TEST_QKV]);
    for (uint32_t h = 0; h < a->n_heads + a->n_kv_heads; h++)
        rotate(a, s->qkv + h * d, s->rope);
    memcpy(row, s->qkv + q_row, 2 * kv_row * sizeof *row);
    round_to_cache(m->kv, row, 2 * kv_row);
    scale(s->qkv, q_row, s->factor[VKLM_SELF_TEST_KEYS]); // scores grow alike
    for (uint32_t h = 0; h < a->n_heads; h++) {
        const double *k = cache + h / (a->n_heads / a->n_kv_heads) * d;
        attend(a, s->qkv + h * d, k, k + kv_row, position, 2 * kv_row, s->weights,
               s->heads + h * d);
    }
    multiply(l->out, s->heads, a->n_hidden, q_row, s->added);
    scale(s->added, a->n_hidden, s->factor[VKLM_SELF_TEST_OUT]);
    for (uint32_t i = 0; i < a->n_hidden; i++)
        s->x[i] += s->added[i];
}

// sum += weight * MLP(xn)
static void mlp_forward(vklm_self_test_pass *s, const float *gate_up, const float *down,
                        double weight)
{
    const vklm_arch *a = &s->model->arch;
    const uint32_t n = a->n_intermediate;
    multiply(gate_up, s->xn, 2 * n, a->n_hidden, s->gate_up);
    scale(s->gate_up, 2 * n, s->factor[VKLM_SELF_TEST_GATE_UP]);
    for (uint32_t i = 0; i < n; i++)
        s->gate_up[i] *= s->gate_up[n + i] / (1 + exp(-s->gate_up[i]));
    multiply(down, s->gate_up, a->n_hidden, n, s->added);
    for (uint32_t i = 0; i < a->n_hidden; i++)
        s->sum[i] += weight * s->factor[VKLM_SELF_TEST_DOWN] * s->added[i];
}

// The MLPs of the top_k experts of largest score. Returns the distance to the next score.
static double experts_forward(vklm_self_test_pass *s, uint32_t layer)
{
    const vklm_arch *a = &s->model->arch;
    const vklm_self_test_layer *l = &s->model->layers[layer];
    double scores[VKLM_ARCH_MAX_EXPERTS], last = INFINITY, most = 0, total = 0;
    uint32_t chosen[VKLM_ARCH_MAX_TOP_K + 1];
    bool taken[VKLM_ARCH_MAX_EXPERTS] = {false};
    multiply(l->router, s->xn, a->n_experts, a->n_hidden, scores);
    for (uint32_t k = 0; k <= a->top_k && k < a->n_experts; k++) {
        uint32_t best = a->n_experts;
        for (uint32_t e = 0; e < a->n_experts; e++)
            if (!taken[e] && (best == a->n_experts || scores[e] > scores[best]))
                best = e;
        taken[best] = true;
        chosen[k] = best;
        most = k == 0 ? scores[best] : most;
        total += k < a->top_k ? exp(scores[best] - most) : 0;
        last = k == a->top_k ? scores[chosen[k - 1]] - scores[best] : INFINITY;
    }
    for (uint32_t k = 0; k < a->top_k; k++)
        mlp_forward(s, l->mlps[vklm_self_test_gate_up(chosen[k])].gate_up,
                    l->mlps[vklm_self_test_down(chosen[k])].down,
                    exp(scores[chosen[k]] - most) / total);
    return last;
}

double vklm_self_test_pass_step(vklm_self_test_pass *s, uint32_t position, uint32_t id,
                                double *out_logits)
{
    const vklm_self_test_model *m = s->model;
    const vklm_arch *a = &m->arch;
    double closest = INFINITY;
    for (uint32_t i = 0; i < a->n_hidden; i++)
        s->x[i] = s->factor[VKLM_SELF_TEST_EMBED] * (double)m->embed[(size_t)id * a->n_hidden + i];
    vklm_rope_row(a->rope_theta, a->head_dim, position, s->rope);
    for (uint32_t layer = 0; layer < a->n_layers; layer++) {
        const vklm_self_test_mlp *mlp = &m->layers[layer].mlps[0];
        attention_forward(s, layer, position);
        normalise(m, s->x, s->xn);
        memset(s->sum, 0, a->n_hidden * sizeof *s->sum);
        if (a->n_experts)
            closest = fmin(closest, experts_forward(s, layer));
        else
            mlp_forward(s, mlp->gate_up, mlp->down, 1);
        for (uint32_t i = 0; i < a->n_hidden; i++)
            s->x[i] += s->sum[i];
    }
    normalise(m, s->x, s->xn);
    multiply(m->lm_head, s->xn, a->n_vocab, a->n_hidden, out_logits);
    scale(out_logits, a->n_vocab, s->factor[VKLM_SELF_TEST_LM_HEAD]);
    return closest;
}

vklm_status vklm_self_test_pass_init(const vklm_self_test_model *m, uint32_t n,
                                     vklm_self_test_pass *s)
{
    const vklm_arch *a = &m->arch;
    const size_t d = a->head_dim, q_row = a->n_heads * d, kv_row = a->n_kv_heads * d;
    *s = (vklm_self_test_pass){.model = m, .n = n};
    for (int i = 0; i < VKLM_SELF_TEST_PARTS; i++)
        s->factor[i] = 1;
    const struct {
        double **part;
        size_t n;
    } parts[] = {
        {&s->x, a->n_hidden},
        {&s->xn, a->n_hidden},
        {&s->qkv, q_row + 2 * kv_row},
        {&s->heads, q_row},
        {&s->gate_up, 2 * a->n_intermediate},
        {&s->added, a->n_hidden},
        {&s->sum, a->n_hidden},
        {&s->weights, n},
        {&s->cache, (size_t)a->n_layers * n * 2 * kv_row},
    };
    const size_t n_parts = sizeof parts / sizeof *parts;
    size_t total = 0;
    for (size_t i = 0; i < n_parts; i++)
        total += parts[i].n;
    s->memory = vklm_alloc(total, sizeof *s->memory);
    s->rope = vklm_alloc(d / 2, sizeof *s->rope);
    if (!s->memory || !s->rope) {
        vklm_self_test_pass_finish(s);
        return vklm_fail_memory("the self-test");
    }
    double *next = s->memory;
    for (size_t i = 0; i < n_parts; i++) {
        *parts[i].part = next;
        next += parts[i].n;
    }
    return VKLM_OK;
}

void vklm_self_test_pass_finish(vklm_self_test_pass *pass)
{
    free(pass->memory);
    free(pass->rope);
    *pass = (vklm_self_test_pass){0};
}
