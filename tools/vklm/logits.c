// vklm logits
#include "vklm/commands.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#include <vklm/vklm.h>

#include "vklm/console.h"
#include "vklm/model_options.h"
#include "vklm/options.h"

static const char help[] =
    "usage: vklm logits MODEL --ids \"1 2 3\" --out FILE.safetensors [OPTION...]\n\n"
    "Computes a text given as token ids and writes the logits after each of them: the f32 tensor "
    "'logits'\n"
    "[n_tokens, vocab_size], for comparison with other implementations.\n\n"
    "      --ids IDS           the tokens, separated by spaces or commas\n"
    "      --out FILE          where the logits go\n"
    "      --router            also which experts each token went to in each layer: the i32 "
    "tensor\n"
    "                          'experts' [n_layers, n_tokens, top_k], and the f32 tensor "
    "'expert_weights'\n" VKLM_MODEL_OPTIONS_HELP;

static vklm_status write_logits(vklm_engine_params *params, const uint32_t *ids, size_t n,
                                bool router, const char *path)
{
    vklm_engine *engine;
    vklm_session *session = NULL;
    vklm_status status = vklm_model_open(params, &engine);
    if (status == VKLM_OK)
        status = vklm_session_create(engine, NULL, &session);
    if (status == VKLM_OK)
        status = vklm_session_write_logits(session, ids, n, router, path);
    if (status == VKLM_OK)
        fprintf(stderr, "%zu tokens, %u logits each: %s\n", n, vklm_engine_model(engine)->n_vocab,
                path);
    vklm_session_destroy(session);
    vklm_engine_close(engine);
    return status;
}

int vklm_command_logits(int argc, char **argv)
{
    static const struct option options[] = {{"ids", required_argument, NULL, 'i'},
                                            {"out", required_argument, NULL, 'o'},
                                            {"router", no_argument, NULL, 'r'},
                                            {"help", no_argument, NULL, 'h'},
                                            VKLM_MODEL_OPTIONS,
                                            {0}};
    vklm_engine_params params = {0};
    const char *text = NULL, *path = NULL;
    bool router = false;
    for (int o; (o = getopt_long(argc, argv, "h", options, NULL)) != -1;) {
        if (o == 'h') {
            fputs(help, stdout);
            return 0;
        }
        if (o == 'i')
            text = optarg;
        else if (o == 'o')
            path = optarg;
        else if (o == 'r')
            router = true;
        else if (vklm_model_option("logits", o, optarg, &params) != 1)
            return 2;
    }
    if (optind != argc - 1 || !text || !path)
        return vklm_options_misused("logits", "takes one model folder, --ids and --out");
    params.model_dir = argv[optind];
    uint32_t *ids;
    size_t n;
    if (!vklm_options_ids("logits", text, &ids, &n))
        return 2;
    vklm_console_open(VKLM_LOG_INFO);
    vklm_status status = write_logits(&params, ids, n, router, path);
    free(ids);
    return status == VKLM_OK ? 0 : vklm_options_failed();
}
