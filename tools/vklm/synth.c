// vklm synth
#include "vklm/commands.h"

#include <getopt.h>

#include <vklm/vklm.h>

#include "vklm/console.h"
#include "vklm/options.h"

#include <stdio.h>

static const char help[] =
    "usage: vklm synth --preset NAME --out DIR [--layers N] [--seed N]\n\n"
    "Writes a random checkpoint of a real model's shapes, names, dtype and files, for load tests "
    "and\n"
    "benchmarks without a download. The same seed gives the same bytes. It has no tokenizer.\n\n"
    "      --preset NAME       llm-jp-3.1-1.8b (3.7 GB), llm-jp-3.1-13b (27 GB), llm-jp-3.1-8x13b\n"
    "                          (146 GB), tiny, tiny-moe\n"
    "      --out DIR           the folder to make\n"
    "      --layers N          so many layers instead of the model's own\n"
    "      --seed N            other values (default 0)\n";

int vklm_command_synth(int argc, char **argv)
{
    static const struct option options[] = {
        {"preset", required_argument, NULL, 'p'}, {"out", required_argument, NULL, 'o'},
        {"layers", required_argument, NULL, 'l'}, {"seed", required_argument, NULL, 's'},
        {"help", no_argument, NULL, 'h'},         {0}};
    vklm_synth_params params = {.progress = vklm_console_write_progress};
    uint64_t number;
    for (int o; (o = getopt_long(argc, argv, "h", options, NULL)) != -1;) {
        switch (o) {
        case 'h':
            fputs(help, stdout);
            return 0;
        case 'p':
            params.preset = optarg;
            break;
        case 'o':
            params.out_dir = optarg;
            break;
        case 'l':
            if (!vklm_options_whole("synth", "--layers", optarg, 1, 1024, &number))
                return 2;
            params.n_layers = (uint32_t)number;
            break;
        case 's':
            if (!vklm_options_whole("synth", "--seed", optarg, 0, UINT64_MAX, &params.seed))
                return 2;
            break;
        default:
            return 2;
        }
    }
    if (optind != argc || !params.preset || !params.out_dir)
        return vklm_options_misused("synth", "takes --preset and --out");
    vklm_console_open(VKLM_LOG_INFO);
    vklm_console_catch_interrupt();
    return vklm_model_synth(&params) == VKLM_OK ? 0 : vklm_options_failed();
}
