// The packed formats: what their bytes mean, how well the packers choose them, and bad input.
#include <criterion/criterion.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/half.h"
#include "base/rng.h"
#include "checkpoint/safetensors.h"
#include "quant/pack.h"

// Made by data/make_quant_goldens.py, which shares no code with this project.
typedef struct {
    vklm_file_map map;
    vklm_safetensors header;
} goldens;

static void open_goldens(goldens *g)
{
    const char *path = VKLM_TEST_DATA "/golden/quant.safetensors";
    cr_assert_eq(vklm_file_map_open(path, &g->map), VKLM_OK, "%s", vklm_error_message());
    cr_assert_eq(vklm_safetensors_parse(g->map.data, g->map.size, path, &g->header), VKLM_OK, "%s",
                 vklm_error_message());
}

static const void *golden(const goldens *g, const char *name, const vklm_tensor_info **out_info)
{
    const vklm_tensor_info *info = vklm_safetensors_find(&g->header, name);
    cr_assert(info, "no tensor %s", name);
    if (out_info)
        *out_info = info;
    return g->map.data + info->offset;
}

static void close_goldens(goldens *g)
{
    vklm_safetensors_finish(&g->header);
    vklm_file_map_close(&g->map);
}

// Packs f32 rows; the matrix is freed by the caller. *out_bad as vklm_pack_rows has it.
static unsigned char *pack(vklm_format format, const float *values, uint32_t n_rows,
                           uint32_t n_cols, const float *importance, unsigned n_threads,
                           uint64_t *out_bad)
{
    vklm_workers *workers;
    cr_assert_eq(vklm_workers_create(n_threads, &workers), VKLM_OK);
    unsigned char *matrix = calloc(1, vklm_format_bytes(format, n_rows, n_cols));
    vklm_format_plane planes[VKLM_FORMAT_MAX_PLANES];
    vklm_pack_job job = {.format = format,
                         .stored = VKLM_FORMAT_F32,
                         .source = values,
                         .n_rows = n_rows,
                         .n_cols = n_cols,
                         .importance = importance};
    uint32_t n = vklm_format_planes(format, n_rows, n_cols, planes);
    for (uint32_t p = 0; p < n; p++)
        job.planes[p] = matrix + planes[p].offset;
    bool good = vklm_pack_rows(workers, &job, out_bad);
    cr_expect_eq(good, *out_bad == UINT64_MAX);
    vklm_workers_destroy(workers);
    return matrix;
}

// sqrt(sum h (packed - values)^2 / sum h values^2)
static double pack_error(vklm_format format, const float *values, uint32_t n_rows, uint32_t n_cols,
                         const float *importance, const float *measure)
{
    uint64_t bad;
    unsigned char *matrix = pack(format, values, n_rows, n_cols, importance, 1, &bad);
    cr_assert_eq(bad, UINT64_MAX);
    float *row = malloc(n_cols * sizeof *row);
    double error = 0, size = 0;
    for (uint32_t r = 0; r < n_rows; r++) {
        vklm_format_unpack_rows(format, matrix, n_rows, n_cols, r, 1, row);
        for (uint32_t i = 0; i < n_cols; i++) {
            double w = (double)values[r * n_cols + i], d = (double)row[i] - w;
            double h = measure ? (double)measure[i] : 1;
            error += h * d * d;
            size += h * w * w;
        }
    }
    free(row);
    free(matrix);
    return sqrt(error / size);
}

// Roughly Gaussian, and sometimes far out.
static void fill(uint64_t seed, float spread, float *out, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint32_t u[4];
        vklm_rng_philox(seed, i, u);
        float sum = 0;
        for (int k = 0; k < 4; k++)
            sum += (float)u[k] * 0x1p-32f - 0.5f;
        out[i] = sum * spread * (u[0] % 97 == 0 ? 6.0f : 1.0f);
    }
}

Test(quant, bytes_mean_what_numpy_says)
{
    static const struct {
        const char *bytes, *values;
        vklm_format format;
    } cases[] = {{"q8.bytes", "q8.values", VKLM_FORMAT_Q8},
                 {"q4.bytes", "q4.values", VKLM_FORMAT_Q4}};
    goldens g;
    open_goldens(&g);
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        const vklm_tensor_info *bytes, *info;
        const void *matrix = golden(&g, cases[c].bytes, &bytes);
        const float *values = golden(&g, cases[c].values, &info);
        uint32_t n_rows = (uint32_t)info->shape[0], n_cols = (uint32_t)info->shape[1];
        cr_assert_eq(vklm_format_bytes(cases[c].format, n_rows, n_cols), bytes->bytes);
        float *got = malloc(n_rows * n_cols * sizeof *got);
        vklm_format_unpack_rows(cases[c].format, matrix, n_rows, n_cols, 0, n_rows, got);
        for (uint32_t i = 0; i < n_rows * n_cols; i++)
            cr_assert_eq(got[i], values[i], "%s: element %u is %.9g, numpy says %.9g",
                         cases[c].values, i, (double)got[i], (double)values[i]);
        free(got);
    }
    close_goldens(&g);
}

Test(quant, q4_is_no_worse_than_q4_k)
{
    static const char *const sets[] = {"gaussian", "heavy"};
    goldens g;
    open_goldens(&g);
    for (int s = 0; s < 2; s++) {
        char name[32];
        const vklm_tensor_info *info;
        snprintf(name, sizeof name, "%s.rows", sets[s]);
        const uint16_t *rows = golden(&g, name, &info);
        size_t n = (size_t)(info->shape[0] * info->shape[1]);
        float *values = malloc(n * sizeof *values);
        vklm_format_unpack(VKLM_FORMAT_F16, rows, n, values);
        snprintf(name, sizeof name, "%s.q4_k", sets[s]);
        double theirs = (double)*(const float *)golden(&g, name, NULL);
        double ours = pack_error(VKLM_FORMAT_Q4, values, (uint32_t)info->shape[0],
                                 (uint32_t)info->shape[1], NULL, NULL);
        fprintf(stderr, "%s rows: relative RMS error q4 %.5f, Q4_K %.5f, q8 %.5f\n", sets[s], ours,
                theirs,
                pack_error(VKLM_FORMAT_Q8, values, (uint32_t)info->shape[0],
                           (uint32_t)info->shape[1], NULL, NULL));
        cr_expect(ours <= theirs, "%s rows: q4 %.5f, Q4_K %.5f", sets[s], ours, theirs);
        free(values);
    }
    close_goldens(&g);
}

// Blocks that a careless search would lose: what is representable stays, and nothing becomes NaN.
Test(quant, unusual_blocks_survive)
{
    enum { N = 256 };
    static const struct {
        const char *what;
        float base, spread;
        double q8, q4; // largest relative error
    } cases[] = {
        {"zeros", 0, 0, 0, 0},
        {"a constant", 0.75f, 0, 4e-3, 4e-3},
        {"a negative constant", -3, 0, 4e-3, 4e-3},
        {"all positive, far from zero", 5, 0.01f, 4e-3, 4e-3},
        {"all negative, far from zero", -5, 0.01f, 4e-3, 4e-3},
        {"large", 0, 30000, 7e-3, 0.1},
        {"small", 0, 1e-3f, 7e-3, 0.1},
        {"tiny", 0, 3e-5f, 2e-2, 0.1},
        {"below f16", 0, 1e-12f, 1, 1},
    };
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        float values[N];
        fill(c, cases[c].spread, values, N);
        for (int i = 0; i < N; i++)
            values[i] = values[i] / (cases[c].base != 0 ? 1 : 6) + cases[c].base;
        for (int f = VKLM_FORMAT_Q8; f <= VKLM_FORMAT_Q4; f++) {
            double error = pack_error((vklm_format)f, values, 1, N, NULL, NULL);
            double most = f == VKLM_FORMAT_Q8 ? cases[c].q8 : cases[c].q4;
            if (cases[c].base != 0 || cases[c].spread > 0)
                cr_expect(error <= most, "%s in %s: error %g", cases[c].what,
                          vklm_format_name((vklm_format)f), error);
            else
                cr_expect(isnan(error), "zeros become %g", error); // 0 / 0: every value is still 0
        }
    }
}

// Errors where they matter become smaller, and a column that does not matter costs nothing.
Test(quant, importance_moves_the_error)
{
    enum { ROWS = 16, COLS = 1024 };
    float *values = malloc(ROWS * COLS * sizeof *values), importance[COLS];
    fill(11, 0.02f, values, ROWS * COLS);
    for (int i = 0; i < COLS; i++)
        importance[i] = i % 7 == 0 ? 25 : i % 5 == 0 ? 0 : 1;
    for (int f = VKLM_FORMAT_Q8; f <= VKLM_FORMAT_Q4; f++) {
        double with = pack_error((vklm_format)f, values, ROWS, COLS, importance, importance);
        double without = pack_error((vklm_format)f, values, ROWS, COLS, NULL, importance);
        cr_expect(with < without, "%s: weighted error %g, unweighted packing %g",
                  vklm_format_name((vklm_format)f), with, without);
    }
    memset(importance, 0, sizeof importance); // nothing matters: any finite answer will do
    for (int f = VKLM_FORMAT_Q8; f <= VKLM_FORMAT_Q4; f++)
        cr_expect(pack_error((vklm_format)f, values, ROWS, COLS, importance, NULL) < 0.2);
    free(values);
}

Test(quant, threads_give_the_same_bytes)
{
    enum { ROWS = 67, COLS = 512 };
    float *values = malloc(ROWS * COLS * sizeof *values);
    fill(12, 0.02f, values, ROWS * COLS);
    for (int f = VKLM_FORMAT_Q8; f <= VKLM_FORMAT_Q4; f++) {
        uint64_t bad;
        unsigned char *one = pack((vklm_format)f, values, ROWS, COLS, NULL, 1, &bad);
        unsigned char *five = pack((vklm_format)f, values, ROWS, COLS, NULL, 5, &bad);
        cr_expect_eq(memcmp(one, five, vklm_format_bytes((vklm_format)f, ROWS, COLS)), 0);
        free(one), free(five);
    }
    free(values);
}

Test(quant, bad_weights_are_found)
{
    enum { ROWS = 40, COLS = 256 };
    float *values = malloc(ROWS * COLS * sizeof *values);
    static const float bad_values[] = {NAN, INFINITY, -INFINITY, 1e20f};
    for (size_t b = 0; b < sizeof bad_values / sizeof *bad_values; b++)
        for (int f = VKLM_FORMAT_Q8; f <= VKLM_FORMAT_Q4; f++) {
            uint64_t bad;
            fill(13, 0.02f, values, ROWS * COLS);
            values[17 * COLS + 200] = values[31 * COLS + 5] = bad_values[b];
            free(pack((vklm_format)f, values, ROWS, COLS, NULL, 3, &bad));
            cr_expect_eq(bad, 17 * COLS + 200, "%s, %g: element %llu",
                         vklm_format_name((vklm_format)f), (double)bad_values[b],
                         (unsigned long long)bad);
        }
    static const struct {
        vklm_format format;
        uint16_t bits;
        bool bad;
    } halves[] = {{VKLM_FORMAT_F16, 0x7C00, true},  {VKLM_FORMAT_F16, 0xFE01, true},
                  {VKLM_FORMAT_F16, 0x7BFF, false}, {VKLM_FORMAT_BF16, 0x7F80, true},
                  {VKLM_FORMAT_BF16, 0xFFC1, true}, {VKLM_FORMAT_BF16, 0x7F7F, false}};
    uint16_t *stored = calloc(3000000, sizeof *stored);
    vklm_workers *workers;
    cr_assert_eq(vklm_workers_create(3, &workers), VKLM_OK);
    for (size_t i = 0; i < sizeof halves / sizeof *halves; i++) {
        stored[2345678] = stored[2999999] = halves[i].bits;
        uint64_t found = vklm_pack_find_bad(workers, halves[i].format, stored, 3000000);
        cr_expect_eq(found, halves[i].bad ? 2345678 : 3000000, "%04x: %llu", halves[i].bits,
                     (unsigned long long)found);
    }
    vklm_workers_destroy(workers);
    free(stored);
    free(values);
}

Test(quant, formats_have_names_and_sizes)
{
    vklm_format f;
    for (int i = 0; i < VKLM_FORMAT_COUNT; i++)
        cr_expect(vklm_format_find(vklm_format_name((vklm_format)i), &f) && f == (vklm_format)i);
    cr_expect_not(vklm_format_find("q5", &f));
    cr_expect_eq(vklm_format_bytes(VKLM_FORMAT_BF16, 3, 8), 48);
    cr_expect_eq(vklm_format_bytes(VKLM_FORMAT_Q8, 4, 2048) * 8, 4 * 2048 * 17 / 2);
    cr_expect_eq(vklm_format_bytes(VKLM_FORMAT_Q4, 4, 2048) * 8 * 1000, 4 * 2048 * 4625);
    vklm_format_plane planes[VKLM_FORMAT_MAX_PLANES];
    cr_expect_eq(vklm_format_planes(VKLM_FORMAT_Q8, 5, 96, planes), 2);
    cr_expect(planes[1].offset == 480 && planes[1].row_bytes == 6);
    cr_expect_eq(vklm_format_bytes(VKLM_FORMAT_Q8, 5, 96), 512);
}
