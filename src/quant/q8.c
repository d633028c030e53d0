// q8: 8-bit weights, 8.5 bits each with their scales.
//
//   value = scale * q / 128          q: int8 in -127 .. 127; scale: f16, one per block of 32
//   columns
//
//   plane 0   q      1 byte per column
//   plane 1   scale  2 bytes per block, little-endian f16
//
// The factor 1/128 keeps the scales of ordinary weights (a few thousandths) out of f16's subnormal
// range, which some devices flush to zero. A product of scale and q has at most 19 bits: it is
// exact in f32, so a value is the same on every device.
#include "quant/format_private.h"

#include <math.h>
#include <string.h>

#include "base/half.h"

enum { LANES = VKLM_PACK_LANES, CANDIDATES = 5 };

typedef struct {
    float w[VKLM_BLOCK][LANES], h[VKLM_BLOCK][LANES]; // values and their weights
    float scale[LANES];                               // of a unit of q
} blocks;

// Per lane: sum h w q and sum h q^2 of the rounded blocks at 1 / inverse.
static inline void project(const blocks *b, const float inverse[LANES], float wq[LANES],
                           float qq[LANES])
{
    for (int l = 0; l < LANES; l++)
        wq[l] = qq[l] = 0;
    for (int i = 0; i < VKLM_BLOCK; i++) {
#pragma omp simd
        for (int l = 0; l < LANES; l++) {
            float q = b->w[i][l] * inverse[l];
            q = q < -127.0f ? -127.0f : q;
            q = q > 127.0f ? 127.0f : q;
            q = (q + 12582912.0f) - 12582912.0f; // 1.5 * 2^23: rounds to a whole number
            float hq = b->h[i][l] * q;
            wq[l] += hq * b->w[i][l];
            qq[l] += hq * q;
        }
    }
}

// The scale of least squared error: a few ways to round, each with its best scale for those q. The
// error is sum h w^2 - wq^2 / qq, so the largest quotient wins.
VKLM_VECTOR_CLONES static void search_scales(blocks *b)
{
    float most[LANES] = {0}, gain[LANES] = {0}, inverse[LANES], wq[LANES], qq[LANES];
    for (int i = 0; i < VKLM_BLOCK; i++)
        for (int l = 0; l < LANES; l++)
            most[l] = fabsf(b->w[i][l]) > most[l] ? fabsf(b->w[i][l]) : most[l];
    for (int l = 0; l < LANES; l++)
        b->scale[l] = 0;
    for (int c = 0; c < CANDIDATES; c++) {
        for (int l = 0; l < LANES; l++)
            inverse[l] = most[l] > 0 ? (127.0f - 0.5f * (float)c) / most[l] : 0;
        project(b, inverse, wq, qq);
        for (int l = 0; l < LANES; l++) {
            float scale = qq[l] > 0 ? wq[l] / qq[l] : 0, g = scale * wq[l];
            if (g > gain[l]) {
                gain[l] = g;
                b->scale[l] = scale;
            }
        }
    }
    // Weights of zero would leave a block without a scale.
    for (int l = 0; l < LANES; l++)
        if (!(b->scale[l] > 0))
            b->scale[l] = most[l] / 127;
}

static bool store(const float *values, float unit, unsigned char *quants, unsigned char *scale)
{
    uint16_t half = vklm_half_to_f16(unit * 128);
    if ((half & 0x7C00) == 0x7C00)
        return false;
    vklm_put16(scale, half);
    float rounded = vklm_half_from_f16(half) / 128, inverse = rounded > 0 ? 1 / rounded : 0;
    for (int i = 0; i < VKLM_BLOCK; i++) {
        float q = values[i] * inverse;
        q = q < -127.0f ? -127.0f : q > 127.0f ? 127.0f : q;
        q = (q + 12582912.0f) - 12582912.0f;
        quants[i] = (unsigned char)(int8_t)q;
    }
    return true;
}

bool vklm_q8_pack_row(const float *row, const float *importance, uint32_t n_cols,
                      unsigned char *const planes[])
{
    blocks b;
    const uint32_t n = n_cols / VKLM_BLOCK;
    for (uint32_t first = 0; first < n; first += LANES) {
        uint32_t here = n - first < LANES ? n - first : LANES;
        vklm_pack_transpose(row + first * VKLM_BLOCK, here, b.w);
        if (importance)
            vklm_pack_transpose(importance + first * VKLM_BLOCK, here, b.h);
        for (int i = 0; i < VKLM_BLOCK && !importance; i++)
            for (int l = 0; l < LANES; l++)
                b.h[i][l] = 1;
        search_scales(&b);
        for (uint32_t l = 0; l < here; l++)
            if (!store(row + (first + l) * VKLM_BLOCK, b.scale[l],
                       planes[0] + (first + l) * VKLM_BLOCK, planes[1] + (first + l) * 2))
                return false;
    }
    return true;
}

void vklm_q8_unpack_row(const unsigned char *const planes[], uint32_t n_cols, float *out)
{
    for (uint32_t i = 0; i < n_cols; i++) {
        float scale = vklm_half_from_f16(vklm_get16(planes[1] + i / VKLM_BLOCK * 2));
        out[i] = scale * (1.0f / 128) * (float)(int8_t)planes[0][i];
    }
}

void vklm_pack_transpose(const float *values, uint32_t n_blocks, float out[VKLM_BLOCK][LANES])
{
    if (n_blocks < LANES)
        memset(out, 0, VKLM_BLOCK * sizeof *out);
    for (uint32_t l = 0; l < n_blocks; l++)
        for (uint32_t i = 0; i < VKLM_BLOCK; i++)
            out[i][l] = values[l * VKLM_BLOCK + i];
}
