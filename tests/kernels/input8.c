#include "kernels/input8.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ops/input8.h"

static void pack(float *x, size_t n, unsigned char *packed)
{
    for (size_t b = 0; b < n / 32; b++) {
        float largest = 0, scale[2];
        int sum = 0;
        for (size_t i = b * 32; i < b * 32 + 32; i++)
            largest = fmaxf(largest, fabsf(x[i]));
        scale[0] = largest / 127;
        for (size_t i = b * 32; i < b * 32 + 32; i++) {
            int q = largest > 0 ? (int)rintf(x[i] * (127 / largest)) : 0;
            packed[i] = (unsigned char)(int8_t)q;
            sum += q;
            x[i] = scale[0] * (float)q;
        }
        scale[1] = scale[0] * (float)sum;
        memcpy(packed + n + 8 * b, scale, sizeof scale);
    }
}

vklm_gpu_view vklm_case_input8(vklm_lab *lab, float *x, size_t n_vectors, size_t n)
{
    const size_t bytes = (size_t)vklm_op_input8_bytes(n);
    unsigned char *packed = calloc(n_vectors, bytes);
    for (size_t v = 0; v < n_vectors; v++)
        pack(x + v * n, n, packed + v * bytes);
    vklm_gpu_view view = vklm_lab_input(lab, packed, n_vectors * bytes);
    free(packed);
    return view;
}

vklm_gpu_view vklm_case_output8(vklm_lab *lab, size_t n_vectors, size_t n)
{
    return vklm_lab_output(lab, NULL, n_vectors * (size_t)vklm_op_input8_bytes(n) / sizeof(float));
}

static void check(const char *what, const unsigned char *bytes, const float *y, size_t n)
{
    for (size_t b = 0; b < n / 32; b++) {
        float scale[2], largest = 0;
        int sum = 0;
        memcpy(scale, bytes + n + 8 * b, sizeof scale);
        for (size_t i = b * 32; i < b * 32 + 32; i++) {
            int q = (int8_t)bytes[i];
            sum += q;
            largest = fmaxf(largest, fabsf(y[i]));
            vklm_lab_require(fabsf(scale[0] * (float)q - y[i]) <= scale[0] * 0.5001f,
                             "%s in 8 bits: element %zu is %g, wanted %g", what, i,
                             (double)(scale[0] * (float)q), (double)y[i]);
        }
        // a division is good to 2.5 units
        vklm_lab_require(fabsf(scale[0] * 127 - largest) <= largest * 0x1p-20f,
                         "%s in 8 bits: block %zu has the scale %g", what, b, (double)scale[0]);
        vklm_lab_require(fabsf(scale[1] - scale[0] * (float)sum) <= fabsf(scale[1]) * 0x1p-22f,
                         "%s in 8 bits: block %zu has the sum %g", what, b, (double)scale[1]);
    }
}

void vklm_case_check8(vklm_lab *lab, const char *what, vklm_gpu_view view, const float *y,
                      size_t n_vectors, size_t n)
{
    const unsigned char *bytes = (const unsigned char *)(const void *)vklm_lab_read(lab, view);
    for (size_t v = 0; v < n_vectors; v++)
        check(what, bytes + v * (size_t)vklm_op_input8_bytes(n), y + v * n, n);
}
