// vklm importance
#include "vklm/commands.h"

#include <getopt.h>
#include <stdio.h>

#include <vklm/vklm.h>

#include "base/file.h"
#include "vklm/console.h"
#include "vklm/model_options.h"
#include "vklm/options.h"

static const char help[] =
    "usage: vklm importance MODEL -f TEXT --out FILE [OPTION...]\n\n"
    "Runs a model over a text and writes how large the inputs of every weight matrix are, column "
    "by column:\n"
    "'vklm pack --importance FILE' then puts its errors where they matter least. A few hundred "
    "kilobytes of\n"
    "text like what the model is for are enough.\n\n"
    "  -f, --file TEXT         the text\n"
    "      --out FILE          where the result goes (safetensors)\n" VKLM_MODEL_OPTIONS_HELP;

enum { TEXT_MAX_BYTES = 64 << 20 };

static vklm_status encode(const char *model, const char *path, uint32_t **out_ids, size_t *out_n)
{
    vklm_string text = {0};
    vklm_tokenizer *tokenizer = NULL;
    vklm_encode_params params = {0};
    vklm_status status = vklm_file_read(path, TEXT_MAX_BYTES, &text);
    if (status == VKLM_OK)
        status = vklm_tokenizer_open(model, &tokenizer);
    if (status == VKLM_OK)
        status = vklm_tokenizer_encode(tokenizer, text.data ? text.data : "", text.len, &params,
                                       out_ids, out_n);
    if (status == VKLM_OK && *out_n == 0)
        status = vklm_fail(VKLM_INVALID_ARGUMENT, "%s: there is no text in it", path);
    vklm_tokenizer_close(tokenizer);
    vklm_string_finish(&text);
    return status;
}

static vklm_status run(vklm_engine_params *params, const char *text, const char *out)
{
    vklm_engine *engine = NULL;
    vklm_session *session = NULL;
    uint32_t *ids = NULL;
    size_t n = 0;
    vklm_session_params session_params = {.progress = vklm_console_prompt_progress};
    vklm_status status = encode(params->model_dir, text, &ids, &n);
    if (status == VKLM_OK)
        status = vklm_model_open(params, &engine);
    if (status == VKLM_OK)
        status = vklm_session_create(engine, &session_params, &session);
    if (status == VKLM_OK)
        status = vklm_session_write_importance(session, ids, n, out);
    if (status == VKLM_OK)
        fprintf(stderr, "%zu tokens: %s\n", n, out);
    vklm_session_destroy(session);
    vklm_engine_close(engine);
    vklm_free(ids);
    return status;
}

int vklm_command_importance(int argc, char **argv)
{
    static const struct option options[] = {{"file", required_argument, NULL, 'f'},
                                            {"out", required_argument, NULL, 'o'},
                                            {"help", no_argument, NULL, 'h'},
                                            VKLM_MODEL_OPTIONS,
                                            {0}};
    vklm_engine_params params = {0};
    const char *text = NULL, *out = NULL;
    for (int o; (o = getopt_long(argc, argv, "f:h", options, NULL)) != -1;) {
        if (o == 'h') {
            fputs(help, stdout);
            return 0;
        }
        if (o == 'f')
            text = optarg;
        else if (o == 'o')
            out = optarg;
        else if (vklm_model_option("importance", o, optarg, &params) != 1)
            return 2;
    }
    if (optind != argc - 1 || !text || !out)
        return vklm_options_misused("importance", "takes one model folder, -f and --out");
    params.model_dir = argv[optind];
    vklm_console_open(VKLM_LOG_INFO);
    vklm_console_catch_interrupt();
    return run(&params, text, out) == VKLM_OK ? 0 : vklm_options_failed();
}
