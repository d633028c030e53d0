// vklm/model_options.h: the options of every subcommand that runs a model.
#ifndef VKLM_TOOLS_MODEL_OPTIONS_H
#define VKLM_TOOLS_MODEL_OPTIONS_H

#include <vklm/vklm.h>

// Values of getopt_long for them: above any character.
enum {
    VKLM_OPTION_DEVICE = 1000,
    VKLM_OPTION_CTX,
    VKLM_OPTION_VRAM,
    VKLM_OPTION_WEIGHTS,
    VKLM_OPTION_KV,
    VKLM_OPTION_IMPORTANCE,
    VKLM_OPTION_CACHE,
    VKLM_OPTION_VERIFY,
    VKLM_OPTION_VALIDATION,
    VKLM_OPTION_SERIAL,
    VKLM_OPTION_LAST,
};

// Rows for a `struct option` table.
#define VKLM_MODEL_OPTIONS                                                                         \
    {"device", required_argument, NULL, VKLM_OPTION_DEVICE},                                       \
        {"ctx", required_argument, NULL, VKLM_OPTION_CTX},                                         \
        {"weights", required_argument, NULL, VKLM_OPTION_WEIGHTS},                                 \
        {"kv", required_argument, NULL, VKLM_OPTION_KV},                                           \
        {"vram", required_argument, NULL, VKLM_OPTION_VRAM},                                       \
        {"importance", required_argument, NULL, VKLM_OPTION_IMPORTANCE},                           \
        {"cache", required_argument, NULL, VKLM_OPTION_CACHE},                                     \
        {"verify", no_argument, NULL, VKLM_OPTION_VERIFY},                                         \
        {"validation", no_argument, NULL, VKLM_OPTION_VALIDATION},                                 \
    {                                                                                              \
        "serial", no_argument, NULL, VKLM_OPTION_SERIAL                                            \
    }

// Their lines of --help.
#define VKLM_MODEL_OPTIONS_HELP                                                                    \
    "      --device D          the device: its number in 'vklm devices', or part of its name\n"    \
    "      --ctx N             room for N tokens (default: all that the model can)\n"              \
    "      --weights W         auto, f16 (as stored), q8, mixed or q4 (default auto: the best\n"   \
    "                          that fits)\n"                                                       \
    "      --kv K              keys and values: auto, f16 or q8 (default auto)\n"                  \
    "      --vram BYTES        use at most so much device memory; K, M and G may follow\n"         \
    "      --importance FILE   pack by what 'vklm importance' found\n"                             \
    "      --cache DIR         keep the packed model there and use it the next time\n"             \
    "      --verify            check a packed model's checksums while loading\n"                   \
    "      --validation        run under the Vulkan validation layers\n"                           \
    "      --serial            one GPU command at a time (to hunt a race; slow)\n"

// Takes one option into the parameters. 1: taken; 0: not one of these; -1: wrong, and said so.
int vklm_model_option(const char *command, int option, const char *argument,
                      vklm_engine_params *params);

// Opens with progress and the pipeline cache, and says on what.
vklm_status vklm_model_open(vklm_engine_params *params, vklm_engine **out_engine);

#endif
