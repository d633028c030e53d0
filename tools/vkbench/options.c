#include "vkbench/options.h"

#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/cases.h"
#include "vkbench/preset.h"

const char vklm_bench_options_help[] =
    "  --device D          number or part of the name of a device (vklm devices lists them)\n"
    "  --tiers T           base, dot8 or coop: kernels up to that tier only\n"
    "  --seconds S         time per measured number (1; in a tour 0.2); ops on a CPU device leaves "
    "out\n"
    "                      what takes more than 20 times as long a run\n"
    "  --json --md --csv   the report in another form, on standard output\n"
    "  --svg FILE          draws the roofline and the bandwidth curve\n"
    "  --compare OLD.json  judges every number by an earlier report; exit status 1 when one is "
    "worse\n"
    "  --formats F,...     ops, check: weight formats\n"
    "  --models M,...      ops: 1.8b, 13b, 8x13b\n"
    "  --kernels K,...     ops, check, compile: only kernels whose names begin so\n"
    "  --preset P          model: llm-jp-3.1-1.8b (the default), llm-jp-3.1-13b, llm-jp-3.1-8x13b\n"
    "  --weights F,...     model, predict: weights of a preset: f32, f16, bf16 (the default), q8, "
    "q4, "
    "mixed;\n"
    "                      q4 and mixed keep in q8 what the engine's recipes do\n"
    "  --kv f16|q8         model: format of the KV cache (f16)\n"
    "  -p N, -n N          model: tokens to read (512) and to write (128); 0 leaves it out\n"
    "  -d N,...            model: depths of the context before that (0)\n"
    "  --layers N          model: so many layers, the result scaled to all of them\n"
    "  --report FILE       check: where to write the report (written anyway when something is "
    "wrong)\n"
    "  --inject KERNEL     check: alters that kernel's results, to see what a failure looks like\n"
    "  --validation        with the Khronos validation layer; slow\n";

static bool wrong(const char *format, ...) VKLM_PRINTF(1, 2);

static bool wrong(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fputs("vkbench: ", stderr);
    vfprintf(stderr, format, args);
    fputs("; see vkbench --help\n", stderr);
    va_end(args);
    return false;
}

static bool whole(const char *option, const char *text, uint32_t high, uint32_t *out)
{
    char *end;
    errno = 0;
    unsigned long value = strtoul(text, &end, 10);
    if (!isdigit((unsigned char)*text) || *end || errno || value > high)
        return wrong("%s takes a whole number up to %u, not '%s'", option, high, text);
    *out = (uint32_t)value;
    return true;
}

// Calls take(one, opaque) for each part of a list with commas.
static bool each(const char *text, bool (*take)(const char *one, void *opaque), void *opaque)
{
    char one[64];
    for (;;) {
        size_t n = strcspn(text, ",");
        snprintf(one, sizeof one, "%.*s", (int)(n < sizeof one ? n : sizeof one - 1), text);
        if (!take(one, opaque))
            return false;
        if (!text[n])
            return true;
        text += n + 1;
    }
}

static bool take_format(const char *one, void *opaque)
{
    for (int f = 0; f < VKLM_FORMAT_COUNT; f++)
        if (strcmp(one, vklm_format_name((vklm_format)f)) == 0) {
            *(unsigned *)opaque |= 1u << f;
            return true;
        }
    fprintf(stderr, "vkbench: no weight format '%s'; there are", one);
    for (int f = 0; f < VKLM_FORMAT_COUNT; f++)
        fprintf(stderr, "%s %s", f ? "," : "", vklm_format_name((vklm_format)f));
    fputs("\n", stderr);
    return false;
}

// A format, or the recipe of several (vkbench/preset.h).
static bool take_weights(const char *one, void *opaque)
{
    if (strcmp(one, vklm_bench_weights_name(VKLM_BENCH_MIXED)) != 0)
        return take_format(one, opaque);
    *(unsigned *)opaque |= 1u << VKLM_BENCH_MIXED;
    return true;
}

static bool take_model(const char *one, void *opaque)
{
    static const char *const names[] = {"1.8b", "13b", "8x13b"}; // in the order of VKLM_CASE_*
    for (unsigned i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(one, names[i]) == 0) {
            *(unsigned *)opaque |= 1u << i;
            return true;
        }
    return wrong("no model '%s'; there are 1.8b, 13b and 8x13b", one);
}

static bool take_depth(const char *one, void *opaque)
{
    vklm_bench_options *o = opaque;
    if (o->n_depths == VKLM_BENCH_MAX_DEPTHS)
        return wrong("-d takes at most %d depths", VKLM_BENCH_MAX_DEPTHS);
    return whole("-d", one, 1 << 20, &o->depths[o->n_depths++]);
}

static bool take_tiers(const char *text, unsigned *out)
{
    static const char *const names[] = {"base", "dot8", "coop"};
    for (unsigned i = 0; i < 3; i++)
        if (strcmp(text, names[i]) == 0) {
            *out = (1u << (i + 1)) - 1;
            return true;
        }
    return wrong("--tiers takes base, dot8 or coop, not '%s'", text);
}

static bool take_seconds(const char *text, double *out)
{
    char *end;
    *out = strtod(text, &end);
    if (!*text || *end || !(*out > 0 && *out <= 60))
        return wrong("--seconds takes a number up to 60, not '%s'", text);
    return true;
}

static bool take(int option, const char *value, vklm_bench_options *o)
{
    switch (option) {
    case 'D':
        o->device = value;
        return true;
    case 'T':
        return take_tiers(value, &o->tiers);
    case 's':
        return take_seconds(value, &o->seconds);
    case 'j':
        o->output = VKLM_BENCH_JSON;
        return true;
    case 'm':
        o->output = VKLM_BENCH_MARKDOWN;
        return true;
    case 'c':
        o->output = VKLM_BENCH_CSV;
        return true;
    case 'S':
        o->svg = value;
        return true;
    case 'C':
        o->compare = value;
        return true;
    case 'f':
        return each(value, take_format, &o->formats);
    case 'w':
        return each(value, take_weights, &o->formats);
    case 'M':
        return each(value, take_model, &o->models);
    case 'K':
        o->kernels = value;
        return true;
    case 'P':
        o->preset = value;
        return true;
    case 'k':
        o->kv_q8 = strcmp(value, "q8") == 0;
        return o->kv_q8 || strcmp(value, "f16") == 0 ||
               wrong("--kv takes f16 or q8, not '%s'", value);
    case 'p':
        return whole("-p", value, 1 << 20, &o->n_prompt);
    case 'n':
        return whole("-n", value, 1 << 20, &o->n_generate);
    case 'd':
        return each(value, take_depth, o);
    case 'L':
        return whole("--layers", value, 1 << 16, &o->n_layers);
    case 'R':
        o->report = value;
        return true;
    case 'I':
        o->inject = value;
        return true;
    case 'v':
        o->validation = true;
        return true;
    default:
        return false;
    }
}

int vklm_bench_options_read(int argc, char **argv, vklm_bench_options *out_options, int *out_first,
                            bool *out_help)
{
    static const struct option options[] = {
        {"device", required_argument, NULL, 'D'},
        {"tiers", required_argument, NULL, 'T'},
        {"seconds", required_argument, NULL, 's'},
        {"json", no_argument, NULL, 'j'},
        {"md", no_argument, NULL, 'm'},
        {"csv", no_argument, NULL, 'c'},
        {"svg", required_argument, NULL, 'S'},
        {"compare", required_argument, NULL, 'C'},
        {"formats", required_argument, NULL, 'f'},
        {"weights", required_argument, NULL, 'w'},
        {"models", required_argument, NULL, 'M'},
        {"preset", required_argument, NULL, 'P'},
        {"kernels", required_argument, NULL, 'K'},
        {"kv", required_argument, NULL, 'k'},
        {"layers", required_argument, NULL, 'L'},
        {"report", required_argument, NULL, 'R'},
        {"inject", required_argument, NULL, 'I'},
        {"validation", no_argument, NULL, 'v'},
        {"help", no_argument, NULL, 'h'},
        {0},
    };
    *out_options = (vklm_bench_options){.n_prompt = 512, .n_generate = 128};
    *out_help = false;
    for (int o; (o = getopt_long(argc, argv, "hp:n:d:", options, NULL)) != -1;) {
        if (o == 'h')
            *out_help = true;
        else if (!take(o, optarg, out_options))
            return -1;
    }
    if (out_options->n_depths == 0)
        out_options->n_depths = 1; // depth 0
    if (out_options->models == 0)
        out_options->models = VKLM_CASE_1_8B | VKLM_CASE_13B | VKLM_CASE_8X13B;
    *out_first = optind;
    return argc - optind;
}
