// vklm/generation.h: how answers are drawn and when they end: the options of every subcommand that
// generates, and the same settings as members of a JSON object.
#ifndef VKLM_TOOLS_GENERATION_H
#define VKLM_TOOLS_GENERATION_H

#include <vklm/vklm.h>

#include "base/json.h"
#include "vklm/model_options.h"

// Values of getopt_long for them; -n is one of them, too.
enum {
    VKLM_OPTION_TEMP = VKLM_OPTION_LAST,
    VKLM_OPTION_TOP_K,
    VKLM_OPTION_TOP_P,
    VKLM_OPTION_MIN_P,
    VKLM_OPTION_REPEAT,
    VKLM_OPTION_FREQUENCY,
    VKLM_OPTION_PRESENCE,
    VKLM_OPTION_BIAS,
    VKLM_OPTION_STOP,
    VKLM_OPTION_SEED,
    VKLM_OPTION_GREEDY,
    VKLM_OPTION_IGNORE_EOS,
    VKLM_GENERATION_LAST,
};

#define VKLM_GENERATION_OPTIONS                                                                    \
    {"tokens", required_argument, NULL, 'n'}, {"temp", required_argument, NULL, VKLM_OPTION_TEMP}, \
        {"top-k", required_argument, NULL, VKLM_OPTION_TOP_K},                                     \
        {"top-p", required_argument, NULL, VKLM_OPTION_TOP_P},                                     \
        {"min-p", required_argument, NULL, VKLM_OPTION_MIN_P},                                     \
        {"repeat-penalty", required_argument, NULL, VKLM_OPTION_REPEAT},                           \
        {"frequency-penalty", required_argument, NULL, VKLM_OPTION_FREQUENCY},                     \
        {"presence-penalty", required_argument, NULL, VKLM_OPTION_PRESENCE},                       \
        {"logit-bias", required_argument, NULL, VKLM_OPTION_BIAS},                                 \
        {"stop", required_argument, NULL, VKLM_OPTION_STOP},                                       \
        {"seed", required_argument, NULL, VKLM_OPTION_SEED},                                       \
        {"greedy", no_argument, NULL, VKLM_OPTION_GREEDY},                                         \
    {                                                                                              \
        "ignore-eos", no_argument, NULL, VKLM_OPTION_IGNORE_EOS                                    \
    }

// Their lines of --help; `tokens` is the default of -n, a string literal.
#define VKLM_GENERATION_OPTIONS_HELP(tokens)                                                        \
    "  -n, --tokens N          generate at most N tokens (default " tokens ")\n"                    \
    "      --temp T            temperature (default 0.7); 0 is --greedy\n"                          \
    "      --top-k K           keep the K most likely tokens (default 50; 0: all)\n"                \
    "      --top-p P           keep the most likely tokens up to probability P (default 0.95; 1: "  \
    "all)\n"                                                                                        \
    "      --min-p P           drop tokens below P times the most likely one (default 0)\n"         \
    "      --repeat-penalty R  make tokens that occurred less likely (default 1.05; 1: off)\n"      \
    "      --frequency-penalty F  … those that were generated, each time they were (default 0)\n" \
    "      --presence-penalty P   … those that were generated, however often (default 0)\n"       \
    "      --logit-bias ID:B   add B to the logit of a token; may be given several times\n"         \
    "      --stop TEXT         end the answer before this text; may be given several times\n"       \
    "      --seed N            draw the same tokens again (default 0: a new seed each time)\n"      \
    "      --greedy            always the most likely token\n"                                      \
    "      --ignore-eos        go on past the end-of-text token\n"

// All-zero is the default but for max_tokens, which the command sets when the user did not.
typedef struct {
    vklm_sampling_params sampling; // its bias is the list below
    vklm_logit_bias *bias;         // [sampling.n_bias]
    char **stops;                  // [n_stops]
    size_t n_stops, bias_capacity, stops_capacity;
    uint32_t max_tokens;
    bool ignore_eos;
} vklm_generation;

void vklm_generation_finish(vklm_generation *generation);

// *out_copy is the same, and finished on its own.
vklm_status vklm_generation_copy(const vklm_generation *from, vklm_generation *out_copy);

// Takes one option. 1: taken; 0: not one of these; -1: wrong, and said so.
int vklm_generation_option(const char *command, int option, const char *argument,
                           vklm_generation *generation);

// Takes what a JSON object has of max_tokens, temperature (0: greedy), top_k (-1 or 0: all), top_p,
// min_p, repetition_penalty, frequency_penalty, presence_penalty, logit_bias {"ID": B}, stop (a
// string or a list), seed, ignore_eos. Null is as if it were not there. VKLM_INVALID_ARGUMENT names
// the member.
vklm_status vklm_generation_read(const cJSON *object, vklm_generation *generation);

#endif
