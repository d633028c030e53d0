// Comparing two reports, with the noise of both.
#include <math.h>
#include <string.h>

#include "vkbench/report.h"

// Below this nothing is called a change, however steady the numbers were.
static const double LEAST_CHANGE = 0.03;

typedef struct {
    double median, noise; // noise: half of p5 .. p95, relative
} value;

static bool read_value(const cJSON *row, const char *key, value *out)
{
    const cJSON *o = cJSON_GetObjectItemCaseSensitive(row, key);
    const cJSON *median = vklm_bench_member(o, "median"), *p5 = vklm_bench_member(o, "p5"),
                *p95 = vklm_bench_member(o, "p95");
    if (!cJSON_IsNumber(median) || !cJSON_IsNumber(p5) || !cJSON_IsNumber(p95) ||
        median->valuedouble <= 0)
        return false;
    *out = (value){.median = median->valuedouble,
                   .noise = (p95->valuedouble - p5->valuedouble) / 2 / median->valuedouble};
    return true;
}

// Rows are the same when name and tier are.
static const cJSON *find(const cJSON *rows, const cJSON *wanted)
{
    const cJSON *row, *name = cJSON_GetObjectItemCaseSensitive(wanted, "name"),
                      *tier = cJSON_GetObjectItemCaseSensitive(wanted, "tier");
    cJSON_ArrayForEach(row, rows)
    {
        const cJSON *n = cJSON_GetObjectItemCaseSensitive(row, "name"),
                    *t = cJSON_GetObjectItemCaseSensitive(row, "tier");
        if (cJSON_IsString(n) && cJSON_IsString(name) &&
            strcmp(n->valuestring, name->valuestring) == 0 &&
            (!cJSON_IsString(tier) ||
             (cJSON_IsString(t) && strcmp(t->valuestring, tier->valuestring) == 0)))
            return row;
    }
    return NULL;
}

// A change counts when it is larger than the two spreads together: medians that moved less could be
// the same run twice.
static const char *judge(value old, value now, bool higher_is_better, double *out_change,
                         double *out_noise)
{
    *out_change = now.median / old.median - 1;
    *out_noise = fmax(LEAST_CHANGE, hypot(old.noise, now.noise));
    double better = higher_is_better ? *out_change : 1 / (1 + *out_change) - 1;
    return better < -*out_noise ? "WORSE" : better > *out_noise ? "better" : "same";
}

static void print_line(FILE *to, vklm_bench_output output, const char *name, const char *unit,
                       value old, value now, double change, double noise, const char *verdict)
{
    const char *format =
        output == VKLM_BENCH_MARKDOWN ? "| %s | %.4g | %.4g | %s | %+.1f %% | %.1f %% | %s |\n"
        : output == VKLM_BENCH_CSV    ? "\"%s\",%.17g,%.17g,%s,%.3f,%.3f,%s\n"
                                   : "  %-56s %12.4g %12.4g %-9s %+7.1f %%  noise %5.1f %%  %s\n";
    fprintf(to, format, name, old.median, now.median, unit, 100 * change, 100 * noise, verdict);
}

static unsigned compare_section(FILE *to, const cJSON *old, const cJSON *now,
                                const vklm_bench_quantity *q, vklm_bench_output output,
                                unsigned *out_n)
{
    const cJSON *row, *old_rows = cJSON_GetObjectItemCaseSensitive(old, q->section);
    unsigned worse = 0;
    cJSON_ArrayForEach(row, cJSON_GetObjectItemCaseSensitive(now, q->section))
    {
        value before, after;
        double change, noise;
        if (!read_value(row, q->value, &after) ||
            !read_value(find(old_rows, row), q->value, &before))
            continue;
        const char *verdict = judge(before, after, q->higher_is_better, &change, &noise);
        worse += *verdict == 'W';
        ++*out_n;
        print_line(to, output, cJSON_GetObjectItemCaseSensitive(row, "name")->valuestring, q->unit,
                   before, after, change, noise, verdict);
    }
    return worse;
}

vklm_status vklm_bench_compare(FILE *to, const cJSON *old, const char *old_name, const cJSON *now,
                               vklm_bench_output output, unsigned *out_worse)
{
    const char *a = cJSON_GetObjectItemCaseSensitive(old, "device")->valuestring;
    const char *b = cJSON_GetObjectItemCaseSensitive(now, "device")->valuestring;
    unsigned n = 0;
    size_t n_quantities;
    const vklm_bench_quantity *quantities = vklm_bench_quantities(&n_quantities);
    *out_worse = 0;
    if (strcmp(a, b) != 0)
        return vklm_fail(VKLM_INVALID_ARGUMENT, "%s: measured on %s; this is %s", old_name, a, b);
    if (output == VKLM_BENCH_MARKDOWN)
        fprintf(to,
                "\n### Compared with %s\n\n| | before | now | | change | noise | |\n"
                "|---|--:|--:|---|--:|--:|---|\n",
                old_name);
    else if (output == VKLM_BENCH_TEXT)
        fprintf(to, "\nCompared with %s\n", old_name);
    for (size_t i = 0; i < n_quantities; i++)
        *out_worse += compare_section(to, old, now, &quantities[i], output, &n);
    if (n == 0)
        return vklm_fail(VKLM_INVALID_ARGUMENT, "%s: no number that was measured now", old_name);
    if (output == VKLM_BENCH_TEXT || output == VKLM_BENCH_MARKDOWN)
        fprintf(to, "\n%u of %u are worse beyond the noise.\n", *out_worse, n);
    return VKLM_OK;
}
