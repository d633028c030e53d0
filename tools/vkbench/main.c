// vkbench: what this GPU can do, and how close the engine is to it.
#include <stdio.h>
#include <string.h>

#include <vklm/vklm.h>

#include "base/clock.h"
#include "base/file.h"
#include "kernels/cases.h"
#include "vkbench/measure.h"
#include "vkbench/options.h"
#include "vkbench/report.h"

static const char help[] =
    "usage: vkbench [COMMAND] [OPTION...]\n\n"
    "Without a command: a tour of all of them in about a minute.\n\n"
    "  info                the device: driver, memory, limits, tiers, and what to know about them\n"
    "  mem                 bandwidth: caches to memory, copies, host and device\n"
    "  alu                 arithmetic: f32, f16, int8, cooperative matrices\n"
    "  lat                 latency: dispatches, barriers, submits, atomics\n"
    "  ops                 the engine's kernels at the models' shapes, each judged before it is "
    "timed\n"
    "  model [FOLDER]      a model's speed, from its folder or with generated weights (--preset)\n"
    "  predict             what the memory's speed allows each model\n"
    "  check               every kernel against double precision; exit status 1 when one is wrong\n"
    "  compile             every pipeline as the driver compiled it; exit status 1 on spills\n"
    "  compare OLD NEW     judges a report by an earlier one; exit status 1 when a number is "
    "worse\n\n";

// Seconds at which the sections of a tour end, so that all of it takes about a minute.
static const double TOUR_OPS_SECONDS = 40;

static int failed(void)
{
    fprintf(stderr, "vkbench: %s\n", vklm_error_message());
    return 1;
}

static void show(const vklm_bench *b, const char *section)
{
    if (b->options.output == VKLM_BENCH_TEXT)
        vklm_bench_print_section(stdout, b->report, section, VKLM_BENCH_TEXT);
}

// Fastest on this device of what fits it: the smallest format, and the format of the download.
static void choose_tour_model(vklm_bench *b)
{
    vklm_bench_options *o = &b->options;
    o->preset = "1.8b";
    o->formats = 1u << VKLM_FORMAT_BF16;
    if (vklm_bench_is_cpu(b)) {
        o->n_layers = 1;
        o->n_prompt = 16;
        o->n_generate = 8;
    }
}

// The arithmetic of the tour's beginning once more: a device that got hot, or was asleep, tells so.
static vklm_status check_clock(vklm_bench *b)
{
    double now, before = b->peak_gflops[VKLM_BENCH_F32];
    vklm_status status = vklm_bench_measure_peak(b, VKLM_BENCH_F32, &now);
    if (status == VKLM_OK && before > 0 && !(now > 0.85 * before && now < 1.15 * before))
        vklm_bench_warn(b,
                        "f32 arithmetic is at %.0f %% of what it was at the beginning: the clock "
                        "changed, or other programs are at work",
                        100 * now / before);
    return status;
}

static vklm_status tour(vklm_bench *b)
{
    static const struct {
        const char *section;
        vklm_status (*run)(vklm_bench *bench);
    } modes[] = {{"info", vklm_bench_info},      {"mem", vklm_bench_mem},
                 {"alu", vklm_bench_alu},        {"lat", vklm_bench_lat},
                 {"ops", vklm_bench_ops},        {"results", vklm_bench_model},
                 {"predict", vklm_bench_predict}};
    vklm_status status = VKLM_OK;
    for (size_t i = 0; i < sizeof modes / sizeof *modes && status == VKLM_OK; i++) {
        b->deadline = vklm_clock_seconds() + TOUR_OPS_SECONDS;
        b->options.formats =
            ~((1u << VKLM_FORMAT_BF16) - 1); // what models are stored in, and smaller
        b->options.models = VKLM_CASE_1_8B;
        if (modes[i].run == vklm_bench_model)
            choose_tour_model(b);
        status = modes[i].run(b);
        show(b, modes[i].section);
        if (modes[i].run == vklm_bench_model && status == VKLM_OUT_OF_DEVICE_MEMORY) {
            vklm_bench_warn(b, "%s", vklm_error_message());
            status = VKLM_OK;
        }
    }
    return status == VKLM_OK ? check_clock(b) : status;
}

static vklm_status write_report(const vklm_bench *b, const char *path)
{
    vklm_file_writer *writer;
    char *text = cJSON_Print(b->report);
    vklm_status status =
        text ? vklm_file_writer_open(path, &writer) : vklm_fail_memory("the report");
    if (status == VKLM_OK) {
        vklm_file_writer_write(writer, text, strlen(text));
        status = vklm_file_writer_commit(writer);
        vklm_file_writer_close(writer);
    }
    cJSON_free(text);
    return status;
}

// Exit status of a mode whose verdict is `right`; a report is kept when it is not, or when one was
// asked for.
static int verdict(const vklm_bench *b, bool right, const char *what)
{
    const char *path = b->options.report ? b->options.report : "vkbench-check.json";
    FILE *to = b->options.output == VKLM_BENCH_TEXT ? stdout : stderr;
    if (!right || b->options.report) {
        if (write_report(b, path) != VKLM_OK)
            return failed();
        fprintf(to, "\nThe report is in %s%s\n", path,
                right ? "" : ": please attach it when you tell us about this");
    }
    if (!right)
        fprintf(stderr, "vkbench: %s\n", what);
    return right ? 0 : 1;
}

// What follows the measurements: the other forms of the report, the chart, the comparison.
static int finish(vklm_bench *b, const cJSON *old)
{
    const vklm_bench_options *o = &b->options;
    unsigned worse = 0;
    vklm_bench_report_drift(b);
    if (o->output == VKLM_BENCH_TEXT)
        vklm_bench_print_tail(stdout, b->report, o->output);
    else
        vklm_bench_print(stdout, b->report, o->output);
    if (o->svg && vklm_bench_draw(b->report, o->svg) != VKLM_OK)
        return failed();
    if (old && vklm_bench_compare(
                   o->output == VKLM_BENCH_JSON ? stderr : stdout, old, o->compare, b->report,
                   o->output == VKLM_BENCH_JSON ? VKLM_BENCH_TEXT : o->output, &worse) != VKLM_OK)
        return failed();
    return worse ? 1 : 0;
}

static int run(const char *command, vklm_bench *b, const cJSON *old)
{
    static const struct {
        const char *name, *section;
        vklm_status (*run)(vklm_bench *bench);
    } modes[] = {{"info", "info", vklm_bench_info},
                 {"mem", "mem", vklm_bench_mem},
                 {"alu", "alu", vklm_bench_alu},
                 {"lat", "lat", vklm_bench_lat},
                 {"ops", "ops", vklm_bench_ops},
                 {"model", "results", vklm_bench_model},
                 {"predict", "predict", vklm_bench_predict}};
    bool right = true;
    const char *section = NULL, *what = NULL;
    vklm_status status = VKLM_OK;
    if (b->options.output == VKLM_BENCH_TEXT)
        vklm_bench_print_head(stdout, b->report, VKLM_BENCH_TEXT);
    if (strcmp(command, "tour") == 0) {
        status = tour(b);
    } else if (strcmp(command, "check") == 0) {
        status = vklm_bench_check(b, &right);
        section = "check";
        what = "a kernel is wrong on this device, or the validation layer objects";
    } else if (strcmp(command, "compile") == 0) {
        status = vklm_bench_compile(b, &right);
        section = "pipelines";
        what = "pipelines spill registers or use scratch memory";
    }
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++)
        if (strcmp(command, modes[i].name) == 0) {
            status = modes[i].run(b);
            section = modes[i].section;
        }
    if (section)
        show(b, section);
    if (strcmp(command, "compile") == 0)
        show(b, "compiled");
    if (status != VKLM_OK)
        return failed();
    int exit_status = finish(b, old);
    if (exit_status == 0 && strcmp(command, "check") == 0)
        return verdict(b, right, what);
    if (!right)
        fprintf(stderr, "vkbench: %s\n", what);
    return right ? exit_status : 1;
}

static int compare_files(char **paths, const vklm_bench_options *options)
{
    cJSON *old = NULL, *now = NULL;
    unsigned worse = 0;
    vklm_status status = vklm_bench_load(paths[0], &old);
    if (status == VKLM_OK)
        status = vklm_bench_load(paths[1], &now);
    if (status == VKLM_OK)
        status = vklm_bench_compare(stdout, old, paths[0], now, options->output, &worse);
    cJSON_Delete(old);
    cJSON_Delete(now);
    return status == VKLM_OK ? worse > 0 : failed();
}

static bool known(const char *command)
{
    static const char *const commands[] = {"tour",  "info",    "mem",   "alu",     "lat",    "ops",
                                           "model", "predict", "check", "compile", "compare"};
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        if (strcmp(command, commands[i]) == 0)
            return true;
    return false;
}

int main(int argc, char **argv)
{
    const bool named = argc > 1 && argv[1][0] != '-';
    const char *command = named ? argv[1] : "tour";
    vklm_bench_options options;
    bool wants_help;
    int first;
    if (argc == 2 && strcmp(argv[1], "--version") == 0) {
        printf("vkbench %s\n", vklm_version());
        return 0;
    }
    if (!known(command)) {
        fprintf(stderr, "vkbench: no command '%s'; see vkbench --help\n", command);
        return 2;
    }
    vklm_log_set(vklm_bench_log, NULL, VKLM_LOG_DEBUG);
    int n = vklm_bench_options_read(argc - named, argv + named, &options, &first, &wants_help);
    if (wants_help) {
        printf("%s%s", help, vklm_bench_options_help);
        return 0;
    }
    argv += named;
    if (n < 0)
        return 2;
    if (strcmp(command, "compare") == 0 && n == 2)
        return compare_files(argv + first, &options);
    if (n > (strcmp(command, "model") == 0) || strcmp(command, "compare") == 0) {
        fprintf(stderr, "vkbench: %s takes %s; see vkbench --help\n", command,
                strcmp(command, "compare") == 0 ? "two reports"
                : strcmp(command, "model") == 0 ? "one folder"
                                                : "no arguments");
        return 2;
    }
    options.tour = strcmp(command, "tour") == 0;
    options.dry = strcmp(command, "compile") == 0;
    if (options.seconds <= 0)
        options.seconds = options.tour ? 0.2 : 1;
    options.model_dir = n == 1 ? argv[first] : NULL;
    options.preset = options.preset ? options.preset : "1.8b";
    cJSON *old = NULL;
    vklm_bench bench = {0};
    int status;
    if ((options.compare && vklm_bench_load(options.compare, &old) != VKLM_OK) ||
        vklm_bench_open(&options, &bench) != VKLM_OK)
        status = failed();
    else
        status = run(command, &bench, old);
    vklm_bench_close(&bench);
    cJSON_Delete(old);
    return status;
}
