// vklm pack
#include "vklm/commands.h"

#include <getopt.h>
#include <stdio.h>

#include <vklm/vklm.h>

#include "base/clock.h"
#include "vklm/console.h"
#include "vklm/options.h"

static const char help[] =
    "usage: vklm pack MODEL --out DIR [--weights q8|mixed|q4] [--importance FILE]\n\n"
    "Writes a copy of a model folder with its weights packed: smaller, and loaded without work. "
    "DIR must not\n"
    "exist yet; it appears when it is complete. Needs no device.\n\n"
    "      --out DIR           the folder to make\n"
    "      --weights W         q8 (8.5 bits a weight), mixed, or q4 (4.6 bits; the default); f16 "
    "copies\n"
    "      --importance FILE   what 'vklm importance' found: errors go where they matter least\n";

static int run(vklm_pack_params *params)
{
    vklm_model_info before, after;
    params->progress = vklm_console_write_progress;
    double begin = vklm_clock_seconds();
    if (vklm_model_info_load(params->model_dir, &before) != VKLM_OK ||
        vklm_model_pack(params) != VKLM_OK ||
        vklm_model_info_load(params->out_dir, &after) != VKLM_OK)
        return vklm_options_failed();
    double seconds = vklm_clock_seconds() - begin;
    fprintf(stderr, "%s: %.2f GiB of %s to %.2f GiB of %s in %.1f s, %.0f MB/s\n", params->out_dir,
            (double)before.file_bytes / (1 << 30), before.dtype,
            (double)after.file_bytes / (1 << 30), after.dtype, seconds,
            (double)before.file_bytes * 1e-6 / seconds);
    return 0;
}

int vklm_command_pack(int argc, char **argv)
{
    static const struct option options[] = {{"out", required_argument, NULL, 'o'},
                                            {"weights", required_argument, NULL, 'w'},
                                            {"importance", required_argument, NULL, 'i'},
                                            {"help", no_argument, NULL, 'h'},
                                            {0}};
    vklm_pack_params params = {0};
    for (int o; (o = getopt_long(argc, argv, "h", options, NULL)) != -1;) {
        switch (o) {
        case 'h':
            fputs(help, stdout);
            return 0;
        case 'o':
            params.out_dir = optarg;
            break;
        case 'w':
            if (!vklm_options_weights("pack", optarg, &params.weights))
                return 2;
            break;
        case 'i':
            params.importance = optarg;
            break;
        default:
            return 2;
        }
    }
    if (optind != argc - 1 || !params.out_dir)
        return vklm_options_misused("pack", "takes one model folder and --out");
    params.model_dir = argv[optind];
    vklm_console_open(VKLM_LOG_INFO);
    vklm_console_catch_interrupt();
    return run(&params);
}
