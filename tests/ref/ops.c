#include "ref/ops.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

void vklm_ref_matmul(const float *w, const double *x, size_t n_tokens, size_t n_rows, size_t n_cols,
                     double *y, double *magnitude)
{
    for (size_t t = 0; t < n_tokens; t++)
        for (size_t r = 0; r < n_rows; r++) {
            double sum = 0, size = 0;
            for (size_t k = 0; k < n_cols; k++) {
                double term = (double)w[r * n_cols + k] * x[t * n_cols + k];
                sum += term;
                size += fabs(term);
            }
            y[t * n_rows + r] = sum;
            if (magnitude)
                magnitude[t * n_rows + r] = size;
        }
}

void vklm_ref_rmsnorm(const double *x, const float *norm, size_t n, double eps, double *y)
{
    double square = 0;
    for (size_t i = 0; i < n; i++)
        square += x[i] * x[i];
    double factor = 1 / sqrt(square / (double)n + eps);
    for (size_t i = 0; i < n; i++)
        y[i] = x[i] * factor * (double)norm[i];
}

double vklm_ref_silu(double z)
{
    return z / (1 + exp(-z));
}

void vklm_ref_route(const double *scores, size_t n, size_t k, uint32_t *experts, double *weights)
{
    double total = 0;
    for (size_t slot = 0; slot < k; slot++) {
        size_t best = n;
        for (size_t e = 0; e < n; e++) {
            bool taken = false;
            for (size_t s = 0; s < slot; s++)
                taken |= experts[s] == e;
            if (!taken && (best == n || scores[e] > scores[best]))
                best = e;
        }
        experts[slot] = (uint32_t)best;
        total += weights[slot] = exp(scores[best] - scores[experts[0]]);
    }
    for (size_t slot = 0; slot < k; slot++)
        weights[slot] /= total;
}

void vklm_ref_rope(double *head, size_t n, uint32_t position, double theta)
{
    for (size_t i = 0; i < n / 2; i++) {
        float frequency = (float)(1 / pow(theta, (double)(2 * i) / (double)n));
        double angle = (double)((float)position * frequency);
        double a = head[i], b = head[i + n / 2];
        head[i] = a * cos(angle) - b * sin(angle);
        head[i + n / 2] = b * cos(angle) + a * sin(angle);
    }
}

void vklm_ref_attention(const double *q, const double *k, const double *v, size_t length, size_t n,
                        size_t stride, double scale, double *y)
{
    double *weights = malloc(length * sizeof *weights), most = -INFINITY, total = 0;
    for (size_t p = 0; p < length; p++) {
        weights[p] = 0;
        for (size_t i = 0; i < n; i++)
            weights[p] += scale * q[i] * k[p * stride + i];
        most = fmax(most, weights[p]);
    }
    for (size_t p = 0; p < length; p++)
        total += weights[p] = exp(weights[p] - most);
    for (size_t i = 0; i < n; i++) {
        y[i] = 0;
        for (size_t p = 0; p < length; p++)
            y[i] += weights[p] / total * v[p * stride + i];
    }
    free(weights);
}
