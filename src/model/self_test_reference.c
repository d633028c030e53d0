#include "model/self_test_reference.h"

#include <math.h>
#include <stdlib.h>

#include "base/array.h"
#include "base/half.h"
#include "model/rope.h"

static void multiply(const float *w, const double *x, uint32_t n_rows, uint32_t n_cols, double *y)
{
    for (uint32_t r = 0; r < n_rows; r++) {
        y[r] = 0;
        for (uint32_t c = 0; c < n_cols; c++)
            y[r] += (double)w[(size_t)r * n_cols + c] * x[c];
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

static double as_f16(double x)
{
    return (double)vklm_half_from_f16(vklm_half_to_f16((float)x));
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

typedef struct {
    double *x, *xn, *qkv, *heads, *gate_up, *added, *weights, *cache;
    float (*rope)[2];
} scratch;

// cache: [n_layers, n, 2, n_kv_heads * head_dim].
static void layer_forward(const vklm_self_test_model *m, uint32_t layer, uint32_t position,
                          uint32_t n, scratch *s)
{
    const vklm_arch *a = &m->arch;
    const vklm_self_test_layer *l = &m->layers[layer];
    const uint32_t d = a->head_dim, q_row = a->n_heads * d, kv_row = a->n_kv_heads * d;
    double *cache = s->cache + (size_t)layer * n * 2 * kv_row, *row = cache + position * 2 * kv_row;
    normalise(m, s->x, s->xn);
    multiply(l->qkv, s->xn, q_row + 2 * kv_row, a->n_hidden, s->qkv);
    for (uint32_t h = 0; h < a->n_heads + a->n_kv_heads; h++)
        rotate(a, s->qkv + h * d, s->rope);
    for (uint32_t i = 0; i < 2 * kv_row; i++)
        row[i] = as_f16(s->qkv[q_row + i]);
    for (uint32_t h = 0; h < a->n_heads; h++) {
        const double *k = cache + h / (a->n_heads / a->n_kv_heads) * d;
        attend(a, s->qkv + h * d, k, k + kv_row, position, 2 * kv_row, s->weights,
               s->heads + h * d);
    }
    multiply(l->out, s->heads, a->n_hidden, q_row, s->added);
    for (uint32_t i = 0; i < a->n_hidden; i++)
        s->x[i] += s->added[i];
    normalise(m, s->x, s->xn);
    multiply(l->gate_up, s->xn, 2 * a->n_intermediate, a->n_hidden, s->gate_up);
    for (uint32_t i = 0; i < a->n_intermediate; i++)
        s->gate_up[i] *= s->gate_up[a->n_intermediate + i] / (1 + exp(-s->gate_up[i]));
    multiply(l->down, s->gate_up, a->n_hidden, a->n_intermediate, s->added);
    for (uint32_t i = 0; i < a->n_hidden; i++)
        s->x[i] += s->added[i];
}

vklm_status vklm_self_test_forward(const vklm_self_test_model *m, const uint32_t *ids, uint32_t n,
                                   double *out_logits)
{
    const vklm_arch *a = &m->arch;
    const size_t d = a->head_dim, q_row = a->n_heads * d, kv_row = a->n_kv_heads * d;
    const size_t sizes[] = {a->n_hidden,
                            a->n_hidden,
                            q_row + 2 * kv_row,
                            q_row,
                            2 * a->n_intermediate,
                            a->n_hidden,
                            n,
                            (size_t)a->n_layers * n * 2 * kv_row};
    scratch s;
    double **parts[] = {&s.x, &s.xn, &s.qkv, &s.heads, &s.gate_up, &s.added, &s.weights, &s.cache};
    size_t total = 0;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        total += sizes[i];
    double *memory = vklm_alloc(total, sizeof *memory);
    s.rope = vklm_alloc(d / 2, sizeof *s.rope);
    if (!memory || !s.rope) {
        free(memory);
        free(s.rope);
        return vklm_fail_memory("the self-test");
    }
    double *next = memory;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        *parts[i] = next;
        next += sizes[i];
    }
    for (uint32_t t = 0; t < n; t++) {
        for (uint32_t i = 0; i < a->n_hidden; i++)
            s.x[i] = (double)m->embed[(size_t)ids[t] * a->n_hidden + i];
        vklm_rope_row(a->rope_theta, a->head_dim, t, s.rope);
        for (uint32_t layer = 0; layer < a->n_layers; layer++)
            layer_forward(m, layer, t, n, &s);
        normalise(m, s.x, s.xn);
        multiply(m->lm_head, s.xn, a->n_vocab, a->n_hidden, out_logits + (size_t)t * a->n_vocab);
    }
    free(memory);
    free(s.rope);
    return VKLM_OK;
}
