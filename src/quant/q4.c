// q4: affine 4-bit weights, 4.625 bits each with their scales.
//
//   value = d * s / 256 * q - m0 * m / 256      q: 0 .. 15
//
//   s, m: unsigned bytes, one pair per block of 32 columns; d, m0: f16, one pair per 256 columns.
//   m0 has the sign that the minima of its 8 blocks need, nearly always plus.
//
//   plane 0   q      16 bytes per block: byte i holds column i in its low and column 16 + i in its
//   high half plane 1   s, m   2 bytes per block plane 2   d, m0  4 bytes per 256 columns,
//   little-endian f16
//
// 16 bytes of plane 0 are one block, and a masked word of it is four bytes of q in the order of
// their columns: ready for packed integer dot products. The factor 1/256 keeps d and m0 of ordinary
// weights out of f16's subnormal range. d * s * q has 23 bits at most and m0 * m 19: both are exact
// in f32, so a value, rounded once, is the same on every device.
#include "quant/format_private.h"

#include <math.h>
#include <string.h>

#include "base/half.h"

enum { LANES = VKLM_PACK_LANES, GROUP = LANES * VKLM_BLOCK, Q_MAX = 15 };

// The blocks of 256 columns, one to a lane: value = scale * q + offset.
typedef struct {
    float w[VKLM_BLOCK][LANES], h[VKLM_BLOCK][LANES]; // values and their weights
    float sh[LANES], sw[LANES];                       // sum h, sum h w
    float scale[LANES], offset[LANES];
} blocks;

// What a choice of q gives: sum h q, sum h q^2, sum h w q.
typedef struct {
    float q[LANES], qq[LANES], wq[LANES];
} moments;

static inline void project(const blocks *b, const float inverse[LANES], const float offset[LANES],
                           moments *m)
{
    memset(m, 0, sizeof *m);
    for (int i = 0; i < VKLM_BLOCK; i++) {
#pragma omp simd
        for (int l = 0; l < LANES; l++) {
            float q = (b->w[i][l] - offset[l]) * inverse[l];
            q = q < 0.0f ? 0.0f : q;
            q = q > (float)Q_MAX ? (float)Q_MAX : q;
            q = (q + 12582912.0f) - 12582912.0f; // 1.5 * 2^23: rounds to a whole number
            float hq = b->h[i][l] * q;
            m->q[l] += hq;
            m->qq[l] += hq * q;
            m->wq[l] += hq * b->w[i][l];
        }
    }
}

// The line through (q, w) of least weighted squared error; how much it explains goes to gain.
static inline void fit(const blocks *b, const moments *m, float scale[LANES], float offset[LANES],
                       float gain[LANES])
{
#pragma omp simd
    for (int l = 0; l < LANES; l++) {
        // Centred on the mean, so that an offset far from zero costs no digits.
        float mean_q = m->q[l] / b->sh[l], mean_w = b->sw[l] / b->sh[l];
        float cqq = m->qq[l] - mean_q * m->q[l], cwq = m->wq[l] - mean_w * m->q[l];
        float s = cqq > 0 ? cwq / cqq : 0;
        scale[l] = s;
        offset[l] = mean_w - s * mean_q;
        gain[l] = s * cwq;
    }
}

static inline void keep_better(blocks *b, const moments *m, float best[LANES])
{
    float scale[LANES], offset[LANES], gain[LANES];
    fit(b, m, scale, offset, gain);
    for (int l = 0; l < LANES; l++) {
        bool better = gain[l] > best[l];
        best[l] = better ? gain[l] : best[l];
        b->scale[l] = better ? scale[l] : b->scale[l];
        b->offset[l] = better ? offset[l] : b->offset[l];
    }
}

// How much of a block's range is cut at either end before the line is fitted; the best of all pairs
// wins.
static const float CUTS[] = {-0.02f, 0.02f, 0.06f, 0.11f, 0.17f};
enum { N_CUTS = sizeof CUTS / sizeof *CUTS, REFINEMENTS = 4 };

VKLM_VECTOR_CLONES static void search_lines(blocks *b)
{
    float low[LANES], high[LANES], best[LANES], inverse[LANES], offset[LANES];
    memcpy(low, b->w[0], sizeof low);
    memcpy(high, b->w[0], sizeof high);
    memset(b->sh, 0, sizeof b->sh);
    memset(b->sw, 0, sizeof b->sw);
    for (int i = 0; i < VKLM_BLOCK; i++)
        for (int l = 0; l < LANES; l++) {
            low[l] = b->w[i][l] < low[l] ? b->w[i][l] : low[l];
            high[l] = b->w[i][l] > high[l] ? b->w[i][l] : high[l];
            b->sh[l] += b->h[i][l];
            b->sw[l] += b->h[i][l] * b->w[i][l];
        }
    for (int l = 0; l < LANES; l++) {
        best[l] = 0;
        b->scale[l] = 0;
        b->offset[l] = b->sw[l] / b->sh[l];
    }
    moments m;
    for (int c = 0; c < N_CUTS * N_CUTS; c++) {
        float from = CUTS[c / N_CUTS], to = 1 - CUTS[c % N_CUTS];
        for (int l = 0; l < LANES; l++) {
            float range = high[l] - low[l];
            inverse[l] = range > 0 ? (float)Q_MAX / ((to - from) * range) : 0;
            offset[l] = low[l] + from * range;
        }
        project(b, inverse, offset, &m);
        keep_better(b, &m, best);
    }
    for (int r = 0; r < REFINEMENTS; r++) { // round again at the best line, fit again
        for (int l = 0; l < LANES; l++)
            inverse[l] = b->scale[l] > 0 ? 1 / b->scale[l] : 0;
        project(b, inverse, b->offset, &m);
        keep_better(b, &m, best);
    }
}

static float at_most(float x, float most)
{
    return x < 0 ? 0 : x > most ? most : x;
}

static float to_byte(float x)
{
    return (at_most(x, 255) + 12582912.0f) - 12582912.0f;
}

// The f16 next to x that is not below it in magnitude, so that 255 steps reach x.
static uint16_t half_above(float x)
{
    uint16_t half = vklm_half_to_f16(x);
    return fabsf(vklm_half_from_f16(half)) < fabsf(x) ? (uint16_t)(half + 1) : half;
}

typedef struct {
    uint16_t d, m0;        // f16
    float d_unit, m0_unit; // of s and of m
} group_scale;

static bool choose_group(const blocks *b, group_scale *g)
{
    float scale = 0, low = 0, high = 0;
    for (int l = 0; l < LANES; l++) {
        scale = b->scale[l] > scale ? b->scale[l] : scale;
        low = -b->offset[l] > low ? -b->offset[l] : low;
        high = b->offset[l] > high ? b->offset[l] : high;
    }
    g->d = half_above(scale * (256.0f / 255));
    g->m0 = half_above((low >= high ? low : -high) * (256.0f / 255));
    g->d_unit = vklm_half_from_f16(g->d) / 256;
    g->m0_unit = vklm_half_from_f16(g->m0) / 256;
    return (g->d & 0x7C00) != 0x7C00 && (g->m0 & 0x7C00) != 0x7C00;
}

// Scales and minima as bytes. A scale is rounded first; the minimum is then the best one for it and
// for the q that it leads to.
VKLM_VECTOR_CLONES static void round_scales(blocks *b, const group_scale *g, float s[LANES],
                                            float minimum[LANES])
{
    float inverse[LANES];
    moments m;
    for (int l = 0; l < LANES; l++) {
        s[l] = g->d_unit > 0 ? to_byte(b->scale[l] / g->d_unit) : 0;
        b->scale[l] = s[l] * g->d_unit;
        inverse[l] = b->scale[l] > 0 ? 1 / b->scale[l] : 0;
    }
    for (int round = 0; round < 2; round++) {
        project(b, inverse, b->offset, &m);
        for (int l = 0; l < LANES; l++) {
            float offset = (b->sw[l] - b->scale[l] * m.q[l]) / b->sh[l];
            minimum[l] = g->m0_unit != 0 ? to_byte(-offset / g->m0_unit) : 0;
            b->offset[l] = -minimum[l] * g->m0_unit;
        }
    }
}

static bool pack_group(blocks *b, unsigned char *quants, unsigned char *scales, unsigned char *pair)
{
    search_lines(b);
    group_scale g;
    if (!choose_group(b, &g))
        return false;
    float s[LANES], minimum[LANES];
    round_scales(b, &g, s, minimum);
    vklm_put16(pair, g.d);
    vklm_put16(pair + 2, g.m0);
    for (int l = 0; l < LANES; l++) {
        scales[2 * l] = (unsigned char)s[l];
        scales[2 * l + 1] = (unsigned char)minimum[l];
        float inverse = b->scale[l] > 0 ? 1 / b->scale[l] : 0;
        unsigned char q[VKLM_BLOCK];
        for (int i = 0; i < VKLM_BLOCK; i++) {
            float x = at_most((b->w[i][l] - b->offset[l]) * inverse, Q_MAX);
            q[i] = (unsigned char)((x + 12582912.0f) - 12582912.0f);
        }
        for (int i = 0; i < VKLM_BLOCK / 2; i++)
            quants[l * VKLM_BLOCK / 2 + i] = (unsigned char)(q[i] | q[VKLM_BLOCK / 2 + i] << 4);
    }
    return true;
}

// Weights for the search: at least a trace of each, so that no sum is zero.
static void weigh(const float *importance, blocks *b)
{
    if (importance)
        vklm_pack_transpose(importance, LANES, b->h);
    for (int l = 0; l < LANES; l++) {
        float sum = 0;
        for (int i = 0; i < VKLM_BLOCK && importance; i++)
            sum += b->h[i][l];
        for (int i = 0; i < VKLM_BLOCK; i++)
            b->h[i][l] = sum > 0 ? b->h[i][l] / sum * VKLM_BLOCK + 1e-6f : 1;
    }
}

bool vklm_q4_pack_row(const float *row, const float *importance, uint32_t n_cols,
                      unsigned char *const planes[])
{
    blocks b;
    for (uint32_t g = 0; g < n_cols / GROUP; g++) {
        vklm_pack_transpose(row + g * GROUP, LANES, b.w);
        weigh(importance ? importance + g * GROUP : NULL, &b);
        if (!pack_group(&b, planes[0] + g * GROUP / 2, planes[1] + g * LANES * 2,
                        planes[2] + g * 4))
            return false;
    }
    return true;
}

void vklm_q4_unpack_row(const unsigned char *const planes[], uint32_t n_cols, float *out)
{
    for (uint32_t block = 0; block < n_cols / VKLM_BLOCK; block++, out += VKLM_BLOCK) {
        const unsigned char *pair = planes[2] + block / LANES * 4;
        float d = vklm_half_from_f16(vklm_get16(pair)) * (1.0f / 256),
              m0 = vklm_half_from_f16(vklm_get16(pair + 2)) * (1.0f / 256);
        float scale = d * (float)planes[1][2 * block],
              minimum = m0 * (float)planes[1][2 * block + 1];
        for (int i = 0; i < VKLM_BLOCK; i++) {
            unsigned char byte = planes[0][block * (VKLM_BLOCK / 2) + (unsigned)i % 16];
            out[i] = scale * (float)(i < 16 ? byte & 15 : byte >> 4) - minimum;
        }
    }
}
