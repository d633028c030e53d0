#include "kernels/input8.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ops/input8.h"

// x becomes what the rounding takes off it.
static void pack(double *x, size_t n, unsigned char *packed)
{
    for (size_t b = 0; b < n / 32; b++) {
        float largest = 0, scale[2];
        int sum = 0;
        for (size_t i = b * 32; i < b * 32 + 32; i++)
            largest = fmaxf(largest, fabsf((float)x[i]));
        scale[0] = largest / 127;
        for (size_t i = b * 32; i < b * 32 + 32; i++) {
            int q = largest > 0 ? (int)rintf((float)x[i] * (127 / largest)) : 0;
            packed[i] = (unsigned char)(int8_t)q;
            sum += q;
            x[i] -= (double)scale[0] * q;
        }
        scale[1] = scale[0] * (float)sum;
        memcpy(packed + n + 8 * b, scale, sizeof scale);
    }
}

vklm_gpu_view vklm_case_input8(vklm_lab *lab, float *x, size_t n_vectors, size_t n, uint32_t terms)
{
    const size_t bytes = (size_t)vklm_op_input8_bytes(n);
    unsigned char *packed = calloc(n_vectors * terms, bytes);
    for (size_t v = 0; v < n_vectors; v++) {
        double *left = vklm_lab_doubles(x + v * n, n);
        for (uint32_t term = 0; term < terms; term++)
            pack(left, n, packed + (v * terms + term) * bytes);
        for (size_t i = 0; i < n; i++)
            x[v * n + i] = (float)((double)x[v * n + i] - left[i]);
        free(left);
    }
    vklm_gpu_view view = vklm_lab_input(lab, packed, n_vectors * terms * bytes);
    free(packed);
    return view;
}

vklm_gpu_view vklm_case_output8(vklm_lab *lab, size_t n_vectors, size_t n, uint32_t terms)
{
    return vklm_lab_output(lab, NULL,
                           n_vectors * terms * (size_t)vklm_op_input8_bytes(n) / sizeof(float));
}

// y becomes what the vector does not say of it; it may be off by `slack`.
static void check(const char *what, const unsigned char *bytes, float *y, size_t n, float slack)
{
    for (size_t b = 0; b < n / 32; b++) {
        float scale[2], largest = 0;
        int sum = 0;
        memcpy(scale, bytes + n + 8 * b, sizeof scale);
        for (size_t i = b * 32; i < b * 32 + 32; i++) {
            int q = (int8_t)bytes[i];
            sum += q;
            largest = fmaxf(largest, fabsf(y[i]));
            vklm_lab_require(fabsf(scale[0] * (float)q - y[i]) <= scale[0] * 0.5001f + slack,
                             "%s in 8 bits: element %zu is %g, wanted %g", what, i,
                             (double)(scale[0] * (float)q), (double)y[i]);
            y[i] = fmaf(-scale[0], (float)q, y[i]);
        }
        // a division is good to 2.5 units
        vklm_lab_require(fabsf(scale[0] * 127 - largest) <= largest * 0x1p-20f + slack,
                         "%s in 8 bits: block %zu has the scale %g", what, b, (double)scale[0]);
        vklm_lab_require(fabsf(scale[1] - scale[0] * (float)sum) <= fabsf(scale[1]) * 0x1p-22f,
                         "%s in 8 bits: block %zu has the sum %g", what, b, (double)scale[1]);
    }
}

void vklm_case_check8(vklm_lab *lab, const char *what, vklm_gpu_view view, const float *y,
                      size_t n_vectors, size_t n, uint32_t terms)
{
    const unsigned char *bytes = (const unsigned char *)(const void *)vklm_lab_read(lab, view);
    float *left = malloc(n * sizeof *left);
    for (size_t v = 0; v < n_vectors; v++) {
        float largest = 0;
        memcpy(left, y + v * n, n * sizeof *left);
        for (size_t i = 0; i < n; i++)
            largest = fmaxf(largest, fabsf(left[i]));
        // What the first term leaves is a difference of two numbers that are rounded.
        for (uint32_t term = 0; term < terms; term++)
            check(what, bytes + (v * terms + term) * (size_t)vklm_op_input8_bytes(n), left, n,
                  (float)term * largest * 0x1p-24f);
    }
    free(left);
}
