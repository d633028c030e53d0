// vklm/model_options.h: the options of every subcommand that runs a model.
#ifndef VKLM_TOOLS_MODEL_OPTIONS_H
#define VKLM_TOOLS_MODEL_OPTIONS_H

#include <vklm/vklm.h>

// Values of getopt_long for them: above any character.
enum {
    VKLM_OPTION_DEVICE = 1000,
    VKLM_OPTION_CTX,
    VKLM_OPTION_MEMORY,
    VKLM_OPTION_VALIDATION,
    VKLM_OPTION_SERIAL,
    VKLM_OPTION_LAST,
};

// Rows for a `struct option` table.
#define VKLM_MODEL_OPTIONS                                                                         \
    {"device", required_argument, NULL, VKLM_OPTION_DEVICE},                                       \
        {"ctx", required_argument, NULL, VKLM_OPTION_CTX},                                         \
        {"max-memory", required_argument, NULL, VKLM_OPTION_MEMORY},                               \
        {"validation", no_argument, NULL, VKLM_OPTION_VALIDATION},                                 \
        {"serial", no_argument, NULL, VKLM_OPTION_SERIAL}

// Their lines of --help.
#define VKLM_MODEL_OPTIONS_HELP                                                                    \
    "      --device D          the device: its number in 'vklm devices', or part of its name\n"    \
    "      --ctx N             room for N tokens (default: all that the model can)\n"              \
    "      --max-memory MIB    use at most so much device memory\n"                                \
    "      --validation        run under the Vulkan validation layers\n"                           \
    "      --serial            one GPU command at a time (to hunt a race; slow)\n"

// Takes one option into the parameters. 1: taken; 0: not one of these; -1: wrong, and said so.
int vklm_model_option(const char *command, int option, const char *argument,
                      vklm_engine_params *params);

// Opens with progress and the pipeline cache, and says on what.
vklm_status vklm_model_open(vklm_engine_params *params, vklm_engine **out_engine);

#endif
