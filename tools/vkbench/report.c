#include "vkbench/report.h"

#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/utf8.h"

typedef enum { TEXT, NUMBER, PERCENT, GIB } column_kind;

enum { MAX_COLUMNS = 13 };

typedef struct {
    const char *title, *path;
    column_kind kind;
} column;

static const struct {
    const char *name, *title;
    column columns[MAX_COLUMNS];
} sections[] = {
    {"info", "Device", {{"", "name", TEXT}, {"", "value", TEXT}}},
    {"check",
     "Kernels against double precision",
     {{"kernel", "name", TEXT},
      {"tier", "tier", TEXT},
      {"cases", "cases", NUMBER},
      {"result", "result", TEXT},
      {"error / bound", "error_share_of_bound", PERCENT},
      {"", "error", TEXT}}},
    {"pipelines",
     "Pipelines, as the driver compiled them",
     {{"shader and constants", "name", TEXT},
      {"tier", "tier", TEXT},
      {"registers", "registers", NUMBER},
      {"spilled", "spilled", NUMBER},
      {"occupancy", "occupancy", NUMBER},
      {"instructions a weight", "loop.instructions_per_weight", NUMBER},
      {"loop", "loop.instructions", NUMBER},
      {"loads", "loop.loads", NUMBER},
      {"statistics", "text", TEXT}}},
    {"compiled",
     "The device's compiler: registers, spills, scratch, lowest occupancy; instructions a weight "
     "in "
     "the innermost loop of matvec",
     {{"device", "name", TEXT},
      {"pipelines", "pipelines", NUMBER},
      {"most registers", "registers", NUMBER},
      {"that spill", "spilling", NUMBER},
      {"spills", "spills", NUMBER},
      {"scratch", "scratch", NUMBER},
      {"occupancy", "occupancy", NUMBER},
      {"which is", "occupancy_is", TEXT},
      {"f16", "matvec_f16", NUMBER},
      {"q8", "matvec_q8", NUMBER},
      {"q4", "matvec_q4", NUMBER},
      {"q8 dot8", "matvec_dot8_q8", NUMBER},
      {"q4 dot8", "matvec_dot8_q4", NUMBER}}},
    {"mem",
     "Memory",
     {{"", "name", TEXT},
      {"GB/s", "gbs.median", NUMBER},
      {"p5", "gbs.p5", NUMBER},
      {"p95", "gbs.p95", NUMBER},
      {"", "note", TEXT}}},
    {"alu",
     "Arithmetic",
     {{"", "name", TEXT},
      {"Gop/s", "gops.median", NUMBER},
      {"p5", "gops.p5", NUMBER},
      {"p95", "gops.p95", NUMBER},
      {"operations a run", "operations", NUMBER},
      {"", "note", TEXT}}},
    {"lat",
     "Latency",
     {{"", "name", TEXT},
      {"us", "us.median", NUMBER},
      {"p5", "us.p5", NUMBER},
      {"p95", "us.p95", NUMBER}}},
    {"ops",
     "Kernels, cold caches, each judged against double precision first",
     {{"kernel", "name", TEXT},
      {"tier", "tier", TEXT},
      {"us", "us.median", NUMBER},
      {"p5", "us.p5", NUMBER},
      {"p95", "us.p95", NUMBER},
      {"GB/s", "gbs", NUMBER},
      {"GFLOP/s", "gflops", NUMBER},
      {"of roofline", "roofline_share", PERCENT},
      {"which is", "roof", TEXT},
      {"", "note", TEXT}}},
    {"results",
     "Models",
     {{"", "name", TEXT},
      {"tokens/s", "tokens_per_second.median", NUMBER},
      {"p5", "tokens_per_second.p5", NUMBER},
      {"p95", "tokens_per_second.p95", NUMBER},
      {"of roofline", "roofline_share", PERCENT},
      {"which is", "roof", TEXT},
      {"us a layer", "layer_us", NUMBER},
      {"CPU us a token", "cpu_us_per_token", NUMBER},
      {"GiB", "peak_device_bytes", GIB},
      {"", "note", TEXT}}},
    {"predict",
     "What the memory's speed allows, tokens/s",
     {{"model, weights, depth", "name", TEXT},
      {"GiB at 4096", "needs_bytes", GIB},
      {"fits", "fits", TEXT},
      {"at most", "tokens_per_second", NUMBER},
      {"measured", "measured", NUMBER},
      {"efficiency", "efficiency", PERCENT}}},
};
enum { N_SECTIONS = sizeof sections / sizeof *sections };

const vklm_bench_quantity *vklm_bench_quantities(size_t *out_n)
{
    static const vklm_bench_quantity list[] = {
        {"mem", "gbs", "GB/s", true},
        {"alu", "gops", "Gop/s", true},
        {"lat", "us", "us", false},
        {"ops", "us", "us", false},
        {"results", "tokens_per_second", "tokens/s", true},
    };
    *out_n = sizeof list / sizeof *list;
    return list;
}

const cJSON *vklm_bench_member(const cJSON *row, const char *path)
{
    const char *dot = strchr(path, '.');
    if (!dot)
        return cJSON_GetObjectItemCaseSensitive(row, path);
    char head[64];
    snprintf(head, sizeof head, "%.*s", (int)(dot - path), path);
    return vklm_bench_member(cJSON_GetObjectItemCaseSensitive(row, head), dot + 1);
}

static void cell(const cJSON *row, const column *c, char *out, size_t size)
{
    const cJSON *item = vklm_bench_member(row, c->path);
    *out = '\0';
    if (cJSON_IsString(item)) {
        snprintf(out, size, "%s", item->valuestring);
    } else if (cJSON_IsNumber(item)) {
        double v = item->valuedouble;
        if (c->kind == PERCENT)
            snprintf(out, size, "%.*f %%", v < 0.1 ? 1 : 0, 100 * v);
        else if (c->kind == GIB)
            snprintf(out, size, "%.2f", v / (1 << 30));
        else if (v >= 1e7)
            snprintf(out, size, "%.3g", v);
        else
            snprintf(out, size, "%.*f",
                     v == (double)(long long)v || v >= 1000 ? 0
                     : v >= 100                             ? 1
                     : v >= 1                               ? 2
                                                            : 4,
                     v);
    }
}

enum { CELL_BYTES = 2048 };

// A column that no row fills is left out.
static size_t columns_of(const cJSON *rows, const column *all, column *out)
{
    size_t n = 0;
    for (size_t c = 0; c < MAX_COLUMNS && all[c].path; c++) {
        const cJSON *row;
        bool used = false;
        cJSON_ArrayForEach(row, rows) used |= vklm_bench_member(row, all[c].path) != NULL;
        if (used)
            out[n++] = all[c];
    }
    return n;
}

static void print_text(FILE *to, const cJSON *rows, const column *columns, size_t n)
{
    int widths[MAX_COLUMNS] = {0};
    char text[CELL_BYTES];
    const cJSON *row;
    for (size_t c = 0; c < n; c++) {
        widths[c] = (int)strlen(columns[c].title);
        cJSON_ArrayForEach(row, rows)
        {
            cell(row, &columns[c], text, sizeof text);
            int w = (int)strlen(text);
            widths[c] = w > widths[c] && w < 200 ? w : widths[c];
        }
    }
    bool titles = false;
    for (size_t c = 0; c < n; c++)
        titles |= *columns[c].title != '\0';
    for (size_t c = 0; c < n && titles; c++)
        fprintf(to, columns[c].kind == TEXT ? "%s%-*s" : "%s%*s", c ? "  " : "  ", widths[c],
                columns[c].title);
    fputs(titles ? "\n" : "", to);
    cJSON_ArrayForEach(row, rows)
    {
        for (size_t c = 0; c < n; c++) {
            cell(row, &columns[c], text, sizeof text);
            if (columns[c].kind != TEXT)
                fprintf(to, "  %*s", widths[c], text);
            else if (c + 1 == n)
                fprintf(to, "  %s", text);
            else
                fprintf(to, "  %-*s", widths[c], text);
        }
        fputs("\n", to);
    }
}

static void print_markdown(FILE *to, const cJSON *rows, const column *columns, size_t n)
{
    char text[CELL_BYTES];
    const cJSON *row;
    for (size_t c = 0; c < n; c++)
        fprintf(to, "| %s ", columns[c].title);
    fputs("|\n", to);
    for (size_t c = 0; c < n; c++)
        fputs(columns[c].kind == TEXT ? "|---" : "|--:", to);
    fputs("|\n", to);
    cJSON_ArrayForEach(row, rows)
    {
        for (size_t c = 0; c < n; c++) {
            cell(row, &columns[c], text, sizeof text);
            fprintf(to, "| %s ", text);
        }
        fputs("|\n", to);
    }
}

// Every value with all its digits.
static void print_csv(FILE *to, const char *section, const cJSON *rows, const column *columns,
                      size_t n)
{
    const cJSON *row;
    fputs("section", to);
    for (size_t c = 0; c < n; c++)
        fprintf(to, ",%s", columns[c].path);
    fputs("\n", to);
    cJSON_ArrayForEach(row, rows)
    {
        fputs(section, to);
        for (size_t c = 0; c < n; c++) {
            const cJSON *item = vklm_bench_member(row, columns[c].path);
            fputc(',', to);
            if (cJSON_IsNumber(item))
                fprintf(to, "%.17g", item->valuedouble);
            if (!cJSON_IsString(item))
                continue;
            fputc('"', to);
            for (const char *s = item->valuestring; *s; s++)
                fprintf(to, *s == '"' ? "\"\"" : "%c", *s);
            fputc('"', to);
        }
        fputs("\n", to);
    }
}

void vklm_bench_print_section(FILE *to, const cJSON *report, const char *section,
                              vklm_bench_output output)
{
    for (size_t s = 0; s < N_SECTIONS; s++) {
        if (strcmp(sections[s].name, section) != 0)
            continue;
        const cJSON *rows = cJSON_GetObjectItemCaseSensitive(report, section);
        column columns[MAX_COLUMNS];
        size_t n = columns_of(rows, sections[s].columns, columns);
        if (n == 0)
            return;
        if (output == VKLM_BENCH_MARKDOWN) {
            fprintf(to, "\n### %s\n\n", sections[s].title);
            print_markdown(to, rows, columns, n);
        } else if (output == VKLM_BENCH_CSV) {
            print_csv(to, section, rows, columns, n);
        } else {
            fprintf(to, "\n%s\n", sections[s].title);
            print_text(to, rows, columns, n);
        }
        fflush(to);
    }
}

static const char *string_of(const cJSON *o, const char *key)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(o, key);
    return cJSON_IsString(item) ? item->valuestring : "";
}

void vklm_bench_print_head(FILE *to, const cJSON *report, vklm_bench_output output)
{
    const char *label = string_of(report, "label");
    if (output == VKLM_BENCH_MARKDOWN)
        fprintf(to, "## %s\n\n%s, vkbench %s, %s\n", string_of(report, "device"),
                string_of(report, "driver"), string_of(report, "vkbench"),
                string_of(report, "time"));
    else if (output == VKLM_BENCH_TEXT)
        fprintf(to, "%s\n%s, vkbench %s\n", string_of(report, "device"),
                string_of(report, "driver"), string_of(report, "vkbench"));
    if (*label && (output == VKLM_BENCH_TEXT || output == VKLM_BENCH_MARKDOWN))
        fprintf(to, output == VKLM_BENCH_TEXT ? "*** %s ***\n" : "\n**%s**\n", label);
    fflush(to);
}

void vklm_bench_print(FILE *to, const cJSON *report, vklm_bench_output output)
{
    if (output == VKLM_BENCH_JSON) {
        char *text = cJSON_Print(report);
        fprintf(to, "%s\n", text ? text : "{}");
        cJSON_free(text);
        return;
    }
    vklm_bench_print_head(to, report, output);
    for (size_t s = 0; s < N_SECTIONS; s++)
        vklm_bench_print_section(to, report, sections[s].name, output);
    vklm_bench_print_tail(to, report, output);
}

// The fastest model that was measured writing.
static const cJSON *best_result(const cJSON *report)
{
    const cJSON *row, *best = NULL;
    double most = 0;
    cJSON_ArrayForEach(row, cJSON_GetObjectItemCaseSensitive(report, "results"))
    {
        const cJSON *t = vklm_bench_member(row, "tokens_per_second.median");
        if (strncmp(string_of(row, "test"), "tg", 2) == 0 && t && t->valuedouble > most) {
            most = t->valuedouble;
            best = row;
        }
    }
    return best;
}

static void print_share_line(FILE *to, const cJSON *report)
{
    const cJSON *read = vklm_bench_member(report, "reference.read_gbs"),
                *best = best_result(report);
    if (!read && !best)
        return;
    fprintf(to, "\nvkbench %s | %s%s | %s", string_of(report, "vkbench"),
            string_of(report, "device"), *string_of(report, "label") ? " (CPU device)" : "",
            string_of(report, "driver"));
    if (read)
        fprintf(to, " | read %.4g GB/s", read->valuedouble);
    for (vklm_bench_arithmetic i = VKLM_BENCH_F32; i < VKLM_BENCH_ARITHMETICS; i++) {
        const double peak = vklm_bench_reported_peak(report, i);
        if (peak > 0)
            fprintf(to, " | %s %.4g GFLOP/s", vklm_bench_arithmetic_name(i), peak);
    }
    if (best) {
        const cJSON *share = cJSON_GetObjectItem(best, "roofline_share");
        fprintf(to, " | %s %s %s %.4g tokens/s, %.0f %% of the roofline%s",
                string_of(best, "model"), string_of(best, "weights"), string_of(best, "test"),
                vklm_bench_member(best, "tokens_per_second.median")->valuedouble,
                100 * (share ? share->valuedouble : 0), *string_of(best, "note") ? ", scaled" : "");
    }
    fputs("\n", to);
}

void vklm_bench_print_tail(FILE *to, const cJSON *report, vklm_bench_output output)
{
    const cJSON *item, *warnings = cJSON_GetObjectItemCaseSensitive(report, "warnings");
    if (output == VKLM_BENCH_CSV || output == VKLM_BENCH_JSON)
        return;
    if (cJSON_GetArraySize(warnings))
        fputs(output == VKLM_BENCH_TEXT ? "\nTo know\n" : "\n### To know\n\n", to);
    cJSON_ArrayForEach(item, warnings)
        fprintf(to, output == VKLM_BENCH_TEXT ? "  - %s\n" : "- %s\n", item->valuestring);
    print_share_line(to, report);
    fflush(to);
}

vklm_status vklm_bench_load(const char *path, cJSON **out_report)
{
    vklm_status status = vklm_json_load(path, 64 << 20, out_report);
    if (status != VKLM_OK)
        return status;
    const cJSON *format = cJSON_GetObjectItemCaseSensitive(*out_report, "format");
    const cJSON *device = cJSON_GetObjectItemCaseSensitive(*out_report, "device");
    if (!cJSON_GetObjectItemCaseSensitive(*out_report, "vkbench") || !cJSON_IsNumber(format) ||
        !cJSON_IsString(device))
        status = vklm_fail(VKLM_BAD_FILE, "%s: not a report of vkbench --json", path);
    else if (format->valuedouble != VKLM_BENCH_REPORT_FORMAT)
        status = vklm_fail(VKLM_BAD_FILE,
                           "%s: a report of format %g (vkbench %s); this vkbench reads "
                           "format %d",
                           path, format->valuedouble, string_of(*out_report, "vkbench"),
                           VKLM_BENCH_REPORT_FORMAT);
    if (status != VKLM_OK) {
        cJSON_Delete(*out_report);
        *out_report = NULL;
    }
    return status;
}
