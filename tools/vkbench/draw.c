// The chart: on top the roofline with each kernel as a point, below bandwidth against the size of
// what is read. Colours are classes, in a light and a dark set; the viewer's preference chooses.
#include <math.h>
#include <string.h>

#include "base/file.h"
#include "vkbench/report.h"

enum {
    WIDTH = 1000,
    LEFT = 70,
    PLOT = 560, // width of a plot
    TOP_1 = 84,
    HEIGHT_1 = 420,
    TOP_2 = 590,
    HEIGHT_2 = 260,
    HEIGHT = 900,
    LEGEND = 670,
    MAX_POINTS = 200,
    MAX_LEGEND = 52,
};

typedef struct {
    const char *name;
    double x, y;  // FLOP per byte, GFLOP/s
    double share; // of the roofline
    int kind;     // class of colour
} point;

typedef struct {
    double low, high; // of log10 (roofline) or of the value
    double from, to;  // pixels
    bool logarithmic;
} axis;

static double at(const axis *a, double value)
{
    double v = a->logarithmic ? log10(value) : value;
    return a->from + (v - a->low) / (a->high - a->low) * (a->to - a->from);
}

static void escaped(vklm_string *s, const char *text)
{
    for (; *text; text++)
        if (*text == '<' || *text == '&')
            vklm_string_print(s, *text == '<' ? "&lt;" : "&amp;");
        else
            vklm_string_append(s, text, 1);
}

static void text(vklm_string *s, double x, double y, const char *class, const char *what)
{
    vklm_string_print(s, "<text x='%.1f' y='%.1f' class='%s'>", x, y, class);
    escaped(s, what);
    vklm_string_print(s, "</text>\n");
}

static void line(vklm_string *s, double x1, double y1, double x2, double y2, const char *class)
{
    vklm_string_print(s, "<line x1='%.1f' y1='%.1f' x2='%.1f' y2='%.1f' class='%s'/>\n", x1, y1, x2,
                      y2, class);
}

static const char style[] =
    "<style>\n"
    "text{font-family:system-ui,'DejaVu Sans',sans-serif;font-size:12px;fill:#24292f}\n"
    ".bg{fill:#ffffff} .title{font-size:17px;font-weight:600} "
    ".head{font-size:14px;font-weight:600}\n"
    ".dim{fill:#59636e} .right{text-anchor:end;fill:#59636e} "
    ".mid{text-anchor:middle;fill:#59636e}\n"
    ".num{font-size:10px;text-anchor:middle} .small{font-size:11px} "
    ".warn{fill:#b35900;font-weight:600;text-anchor:end}\n"
    ".grid{stroke:#d8dee4;stroke-width:1} .axis{stroke:#59636e;stroke-width:1}\n"
    ".roof{stroke:#24292f;stroke-width:2;fill:none} "
    ".roof2{stroke:#59636e;stroke-width:1.5;stroke-dasharray:6 4}\n"
    ".k0{fill:#0969da;stroke:#0969da} .k1{fill:#bc4c00;stroke:#bc4c00} "
    ".k2{fill:#1a7f37;stroke:#1a7f37}\n"
    ".k3{fill:#8250df;stroke:#8250df} .curve{fill:none;stroke-width:2} .t0{fill:#0969da} "
    ".t1{fill:#bc4c00}\n"
    "@media(prefers-color-scheme:dark){\n"
    "text{fill:#e6edf3} .bg{fill:#0d1117} .dim,.right,.mid{fill:#9198a1} .warn{fill:#f0a95b}\n"
    ".grid{stroke:#2b3138} .axis{stroke:#9198a1} .roof{stroke:#e6edf3} .roof2{stroke:#9198a1}\n"
    ".k0{fill:#58a6ff;stroke:#58a6ff} .k1{fill:#ff9e64;stroke:#ff9e64} "
    ".k2{fill:#56d364;stroke:#56d364}\n"
    ".k3{fill:#bc8cff;stroke:#bc8cff} .curve{fill:none} .t0{fill:#58a6ff} .t1{fill:#ff9e64}\n"
    "}\n</style>\n";

static int kind_of(const char *name)
{
    static const char *const kinds[] = {"matvec", "matmul", "attention"};
    for (int i = 0; i < 3; i++)
        if (strncmp(name, kinds[i], strlen(kinds[i])) == 0)
            return i;
    return 3;
}

static size_t collect(const cJSON *report, point *points)
{
    size_t n = 0;
    const cJSON *row;
    cJSON_ArrayForEach(row, cJSON_GetObjectItemCaseSensitive(report, "ops"))
    {
        const cJSON *flop = vklm_bench_member(row, "flop"),
                    *bytes = vklm_bench_member(row, "bytes"),
                    *us = vklm_bench_member(row, "us.median"),
                    *share = vklm_bench_member(row, "roofline_share");
        if (!flop || !bytes || !us || !share || us->valuedouble <= 0 || n == MAX_POINTS)
            continue;
        const char *name = cJSON_GetObjectItem(row, "name")->valuestring;
        points[n++] = (point){.name = name,
                              .x = flop->valuedouble / bytes->valuedouble,
                              .y = flop->valuedouble / us->valuedouble * 1e-3,
                              .share = share->valuedouble,
                              .kind = kind_of(name)};
    }
    return n;
}

static void decade(double value, char *out, size_t size)
{
    snprintf(out, size,
             value >= 1e6   ? "%.0fM"
             : value >= 1e3 ? "%.0fk"
                            : "%g",
             value >= 1e6   ? value / 1e6
             : value >= 1e3 ? value / 1e3
                            : value);
}

static void log_grid(vklm_string *s, const axis *x, const axis *y)
{
    char label[32];
    for (double e = x->low; e <= x->high + 0.01; e++) {
        line(s, at(x, pow(10, e)), y->from, at(x, pow(10, e)), y->to, "grid");
        decade(pow(10, e), label, sizeof label);
        text(s, at(x, pow(10, e)), y->from + 18, "mid", label);
    }
    for (double e = y->low; e <= y->high + 0.01; e++) {
        line(s, x->from, at(y, pow(10, e)), x->to, at(y, pow(10, e)), "grid");
        decade(pow(10, e), label, sizeof label);
        text(s, x->from - 8, at(y, pow(10, e)) + 4, "right", label);
    }
    line(s, x->from, y->from, x->to, y->from, "axis");
    line(s, x->from, y->from, x->from, y->to, "axis");
}

// A point's number goes where no other number is yet: beside it, or further out in eight
// directions.
static void place_number(const point *p, const axis *x, const axis *y, double placed[][2], size_t n)
{
    double px = at(x, p->x), py = at(y, p->y);
    for (int ring = 1; ring < 12; ring++)
        for (int direction = 0; direction < 8; direction++) {
            double angle = direction * 0.785398, cx = px + 13 * ring * cos(angle),
                   cy = py - 12 * ring * sin(angle);
            bool free = cx > x->from + 8 && cx < x->to - 8 && cy > y->to + 6 && cy < y->from - 6;
            for (size_t i = 0; i < n && free; i++)
                free = fabs(placed[i][0] - cx) > 15 || fabs(placed[i][1] - cy) > 11;
            if (free || ring == 11) {
                placed[n][0] = cx;
                placed[n][1] = cy;
                return;
            }
        }
}

static void draw_points(vklm_string *s, const point *points, size_t n, const axis *x, const axis *y)
{
    static const char *const kinds[] = {"matvec (one token)", "matmul (many tokens)", "attention",
                                        "other"};
    double placed[2 * MAX_POINTS][2];
    char label[32];
    for (size_t i = 0; i < n; i++) { // points keep the numbers off, too
        placed[i][0] = at(x, points[i].x);
        placed[i][1] = at(y, points[i].y);
        vklm_string_print(s, "<circle cx='%.1f' cy='%.1f' r='4' class='k%d'><title>", placed[i][0],
                          placed[i][1], points[i].kind);
        escaped(s, points[i].name);
        vklm_string_print(s, "</title></circle>\n");
    }
    for (size_t i = 0; i < n && i < MAX_LEGEND; i++) {
        place_number(&points[i], x, y, placed, n + i);
        snprintf(label, sizeof label, "%zu", i + 1);
        text(s, placed[n + i][0], placed[n + i][1] + 4, "num", label);
    }
    bool seen[4] = {false};
    for (size_t i = 0; i < n; i++)
        seen[points[i].kind] = true;
    double at_x = x->from + 14;
    for (int k = 0; k < 4; k++)
        if (seen[k]) {
            vklm_string_print(s, "<circle cx='%.1f' cy='%d' r='4' class='k%d'/>\n", at_x,
                              TOP_1 - 12, k);
            text(s, at_x + 9, TOP_1 - 8, "small", kinds[k]);
            at_x += 24 + 6.3 * (double)strlen(kinds[k]);
        }
}

static void draw_legend(vklm_string *s, const point *points, size_t n)
{
    char label[200];
    const size_t shown = n < MAX_LEGEND ? n : MAX_LEGEND;
    text(s, LEGEND, TOP_1 - 8, "head", "kernels, share of the roofline");
    for (size_t i = 0; i < shown; i++) {
        double y = TOP_1 + 12 + 15 * (double)i;
        snprintf(label, sizeof label, "%zu", i + 1);
        vklm_string_print(s, "<circle cx='%d' cy='%.1f' r='3.5' class='k%d'/>\n", LEGEND + 4, y - 4,
                          points[i].kind);
        text(s, LEGEND + 28, y, "right small", label);
        text(s, LEGEND + 34, y, "small", points[i].name);
        snprintf(label, sizeof label, "%.0f %%", 100 * points[i].share);
        text(s, WIDTH - 20, y, "right small", label);
    }
    if (n > shown) {
        snprintf(label, sizeof label, "and %zu more in the table", n - shown);
        text(s, LEGEND + 34, TOP_1 + 12 + 15 * (double)shown, "dim", label);
    }
}

// A dashed ceiling, unless one is near below it or above; *highest follows.
static void draw_ceiling(vklm_string *s, const char *name, double peak, double gbs, double *highest,
                         const axis *x, const axis *y)
{
    char label[128];
    if (peak < 1.15 * *highest)
        return;
    *highest = peak;
    double from = fmin(peak / gbs, pow(10, x->high));
    line(s, at(x, from), at(y, peak), x->to, at(y, peak), "roof2");
    snprintf(label, sizeof label, "%s %.4g Gop/s", name, peak);
    text(s, x->to - 4, at(y, peak) - 5, "right small", label);
}

// Other rates of arithmetic than f32.
static void draw_ceilings(vklm_string *s, const cJSON *report, double gbs, double f32,
                          const axis *x, const axis *y)
{
    const cJSON *row;
    cJSON_ArrayForEach(row, cJSON_GetObjectItemCaseSensitive(report, "alu"))
    {
        const cJSON *gops = vklm_bench_member(row, "gops.median");
        const char *name = cJSON_GetObjectItem(row, "name")->valuestring;
        if (gops && strncmp(name, "f32", 3) != 0)
            draw_ceiling(s, name, gops->valuedouble, gbs, &f32, x, y);
    }
    for (vklm_bench_arithmetic i = VKLM_BENCH_INT8; i < VKLM_BENCH_ARITHMETICS; i++)
        draw_ceiling(s, vklm_bench_arithmetic_name(i), vklm_bench_reported_peak(report, i), gbs,
                     &f32, x, y);
}

static void draw_roofline(vklm_string *s, const cJSON *report)
{
    point points[MAX_POINTS];
    size_t n = collect(report, points);
    const cJSON *read = vklm_bench_member(report, "reference.read_gbs"), *row;
    const double reported = vklm_bench_reported_peak(report, VKLM_BENCH_F32);
    double gbs = read ? read->valuedouble : 1, f32 = reported > 0 ? reported : 1, most = f32,
           least = f32;
    double low_x = 0.1, high_x = 100;
    cJSON_ArrayForEach(row, cJSON_GetObjectItemCaseSensitive(report, "alu"))
    {
        const cJSON *gops = vklm_bench_member(row, "gops.median");
        most = gops && gops->valuedouble > most ? gops->valuedouble : most;
    }
    for (vklm_bench_arithmetic i = VKLM_BENCH_INT8; i < VKLM_BENCH_ARITHMETICS; i++)
        most = fmax(most, vklm_bench_reported_peak(report, i));
    for (size_t i = 0; i < n; i++) {
        low_x = fmin(low_x, points[i].x);
        high_x = fmax(high_x, points[i].x);
        least = fmin(least, points[i].y);
        most = fmax(most, points[i].y);
    }
    high_x = fmax(high_x, f32 / gbs);
    axis x = {floor(log10(low_x)), ceil(log10(high_x)), LEFT, LEFT + PLOT, true};
    least = fmin(least, gbs * pow(10, x.low) * 2);
    axis y = {floor(log10(least)), ceil(log10(1.2 * most)), TOP_1 + HEIGHT_1, TOP_1, true};
    log_grid(s, &x, &y);
    text(s, LEFT + PLOT / 2, TOP_1 + HEIGHT_1 + 36, "mid", "operations per byte of device memory");
    text(s, LEFT - 50, TOP_1 - 14, "dim", "GFLOP/s");
    double knee = f32 / gbs, start = fmax(pow(10, x.low), pow(10, y.low) / gbs);
    vklm_string_print(s, "<path d='M%.1f %.1f L%.1f %.1f L%.1f %.1f' class='roof'/>\n",
                      at(&x, start), at(&y, gbs * start), at(&x, knee), at(&y, f32), x.to,
                      at(&y, f32));
    char label[128];
    snprintf(label, sizeof label, "f32 %.4g GFLOP/s", f32);
    text(s, x.to - 4, at(&y, f32) - 6, "right small", label);
    snprintf(label, sizeof label, "memory %.4g GB/s", gbs);
    double slope =
        -atan2(at(&y, gbs * start) - at(&y, f32), at(&x, knee) - at(&x, start)) * 57.29578;
    double mid = pow(start, 0.3) * pow(knee, 0.7); // above the crowd
    vklm_string_print(
        s, "<text transform='translate(%.1f %.1f) rotate(%.1f)' class='mid small'>%s</text>\n",
        at(&x, mid), at(&y, gbs * mid) - 7, slope, label);
    draw_ceilings(s, report, gbs, f32, &x, &y);
    draw_points(s, points, n, &x, &y);
    draw_legend(s, points, n);
}

// -- bandwidth

// Its name stands at its end, `apart` from another name's height when that is near. Returns its own
// height.
static double draw_curve(vklm_string *s, const cJSON *report, const char *kind, int color,
                         const axis *x, const axis *y, const char *what, double apart)
{
    const cJSON *row;
    double last_x = 0, last_y = 0;
    bool first = true;
    vklm_string_print(s, "<path class='curve k%d' style='fill:none' d='", color);
    for (int pass = 0; pass < 2; pass++) {
        cJSON_ArrayForEach(row, cJSON_GetObjectItemCaseSensitive(report, "mem"))
        {
            const cJSON *k = cJSON_GetObjectItem(row, "kind"),
                        *gbs = vklm_bench_member(row, "gbs.median");
            if (!k || !gbs || strcmp(k->valuestring, kind) != 0)
                continue;
            last_x = at(x, cJSON_GetObjectItem(row, "bytes")->valuedouble);
            last_y = at(y, gbs->valuedouble);
            if (pass == 0)
                vklm_string_print(s, "%c%.1f %.1f ", first ? 'M' : 'L', last_x, last_y);
            else
                vklm_string_print(s, "<circle cx='%.1f' cy='%.1f' r='3.5' class='k%d'/>\n", last_x,
                                  last_y, color);
            first = false;
        }
        if (pass == 0)
            vklm_string_print(s, "'/>\n");
    }
    if (fabs(last_y - apart) < 15)
        last_y = apart + (last_y < apart ? -15 : 15);
    vklm_string_print(s, "<text x='%.1f' y='%.1f' class='t%d'>%s</text>\n", last_x + 10, last_y + 4,
                      color, what);
    return last_y;
}

static void draw_bandwidth(vklm_string *s, const cJSON *report)
{
    double low = 1e300, high = 0, most = 0;
    const cJSON *row;
    cJSON_ArrayForEach(row, cJSON_GetObjectItemCaseSensitive(report, "mem"))
    {
        const char *kind = cJSON_GetObjectItem(row, "kind")->valuestring;
        const cJSON *gbs = vklm_bench_member(row, "gbs.median");
        if (!gbs || (strcmp(kind, "read16") != 0 && strcmp(kind, "read4") != 0))
            continue;
        double bytes = cJSON_GetObjectItem(row, "bytes")->valuedouble;
        low = fmin(low, bytes);
        high = fmax(high, bytes);
        most = fmax(most, gbs->valuedouble);
    }
    if (high <= low)
        return;
    double step = pow(10, floor(log10(most)));
    step = most / step > 5 ? step * 2 : most / step > 2 ? step : step / 2;
    axis x = {log10(low), log10(high), LEFT, LEFT + PLOT, true};
    axis y = {0, step * ceil(most / step), TOP_2 + HEIGHT_2, TOP_2, false};
    char label[64];
    text(s, LEFT - 50, TOP_2 - 18, "head",
         "Reading, GB/s, by the size of what is read again and again");
    for (double bytes = low; bytes <= high * 1.01; bytes *= 4) {
        line(s, at(&x, bytes), y.from, at(&x, bytes), y.to, "grid");
        snprintf(label, sizeof label,
                 bytes >= 1 << 30   ? "%.0f GiB"
                 : bytes >= 1 << 20 ? "%.0f MiB"
                                    : "%.0f KiB",
                 bytes / (bytes >= 1 << 30   ? 1 << 30
                          : bytes >= 1 << 20 ? 1 << 20
                                             : 1 << 10));
        text(s, at(&x, bytes), y.from + 18, "mid", label);
    }
    for (double v = 0; v <= y.high * 1.001; v += step) {
        line(s, x.from, at(&y, v), x.to, at(&y, v), "grid");
        snprintf(label, sizeof label, "%g", v);
        text(s, x.from - 8, at(&y, v) + 4, "right", label);
    }
    line(s, x.from, y.from, x.to, y.from, "axis");
    double wide = draw_curve(s, report, "read16", 0, &x, &y, "16-byte lanes", -100);
    draw_curve(s, report, "read4", 1, &x, &y, "4-byte lanes", wide);
}

vklm_status vklm_bench_draw(const cJSON *report, const char *path)
{
    vklm_string s = {0};
    const cJSON *label = cJSON_GetObjectItem(report, "label");
    char title[700];
    vklm_string_print(&s,
                      "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 %d %d' width='%d' "
                      "height='%d'>\n%s<rect width='%d' height='%d' class='bg'/>\n",
                      WIDTH, HEIGHT, WIDTH, HEIGHT, style, WIDTH, HEIGHT);
    text(&s, 20, 30, "title", cJSON_GetObjectItem(report, "device")->valuestring);
    snprintf(title, sizeof title, "%s, vkbench %s, %s",
             cJSON_GetObjectItem(report, "driver")->valuestring,
             cJSON_GetObjectItem(report, "vkbench")->valuestring,
             cJSON_GetObjectItem(report, "time")->valuestring);
    text(&s, 20, 50, "dim", title);
    if (label)
        text(&s, WIDTH - 20, 50, "warn", label->valuestring);
    draw_roofline(&s, report);
    draw_bandwidth(&s, report);
    vklm_string_print(&s, "</svg>\n");
    vklm_status status = s.failed ? vklm_fail_memory("the chart") : VKLM_OK;
    vklm_file_writer *writer = NULL;
    if (status == VKLM_OK)
        status = vklm_file_writer_open(path, &writer);
    if (status == VKLM_OK) {
        vklm_file_writer_write(writer, s.data, s.len);
        status = vklm_file_writer_commit(writer);
    }
    vklm_file_writer_close(writer);
    vklm_string_finish(&s);
    return status;
}
