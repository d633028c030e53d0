// vklm run
#include "vklm/commands.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <vklm/vklm.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "vklm/answer.h"
#include "vklm/console.h"
#include "vklm/messages.h"
#include "vklm/options.h"

static const char help[] =
    "usage: vklm run MODEL [-p TEXT | -f FILE] [OPTION...]\n\n"
    "Continues a text, or with --chat answers it. MODEL is a Hugging Face model folder; the text "
    "comes from -p,\n"
    "from a file, or from standard input. Defaults are those of LLM-jp's model cards.\n\n"
    "  -p, --prompt TEXT       the text to continue\n"
    "  -f, --file FILE         the file that holds it\n"
    "      --chat              the text is a question: put it into the model's chat template\n"
    "      --system TEXT       the system message of --chat (default: that of the LLM-jp models)\n"
    "      --no-system         none\n"
    "      --allow-special     special tokens such as </s> in the question of --chat are real "
    "ones\n"
    "      --bos, --no-bos     begin with the beginning-of-text token, or not (default: not; a "
    "chat template\n"
    "                          brings its own)\n" VKLM_GENERATION_OPTIONS_HELP(
        "100") "      --json              one JSON object at the end instead of text as it comes\n"
               "  -v, --verbose           say more\n" VKLM_MODEL_OPTIONS_HELP;

enum { PROMPT_MAX_BYTES = 64 << 20 };

typedef struct {
    vklm_engine_params engine;
    vklm_generation generation;
    const char *prompt, *file, *system;
    bool chat, allow_special, bos, json, verbose;
} settings;

static void show(void *opaque, const char *text, size_t len)
{
    (void)opaque;
    fwrite(text, 1, len, stdout);
    fflush(stdout);
}

static double per_second(uint64_t n, double seconds)
{
    return seconds > 0 ? (double)n / seconds : 0;
}

static void print_timings(double load, size_t n_prompt, const vklm_answer *a)
{
    fprintf(stderr,
            "load %.2f s | prompt %zu tokens, %.1f tokens/s | generated %zu tokens, %.1f tokens/s",
            load, n_prompt, per_second(n_prompt, a->prompt_seconds), a->n_ids,
            per_second(a->n_ids, a->seconds));
    fprintf(stderr, " | stopped: %s\n", a->stop);
}

static void print_json(const vklm_answer *a, const uint32_t *prompt, size_t n_prompt, uint64_t seed,
                       double load)
{
    vklm_string s = {0};
    vklm_string_print(&s, "{\"text\":");
    vklm_json_quote(&s, a->text.data ? a->text.data : "", a->text.len);
    vklm_string_print(&s, ",\"prompt_ids\":[");
    for (size_t i = 0; i < n_prompt; i++)
        vklm_string_print(&s, "%s%u", i ? "," : "", prompt[i]);
    vklm_string_print(&s, "],\"ids\":[");
    for (size_t i = 0; i < a->n_ids; i++)
        vklm_string_print(&s, "%s%u", i ? "," : "", a->ids[i]);
    vklm_string_print(
        &s,
        "],\"stop\":\"%s\",\"seed\":%llu,\"timings\":{\"load_seconds\":%.6f,"
        "\"prompt_tokens\":%zu,\"prompt_seconds\":%.6f,\"prompt_tokens_per_second\":%.3f,"
        "\"generated_tokens\":%zu,\"generated_seconds\":%.6f,"
        "\"generated_tokens_per_second\":%.3f}}",
        a->stop, (unsigned long long)seed, load, n_prompt, a->prompt_seconds,
        per_second(n_prompt, a->prompt_seconds), a->n_ids, a->seconds,
        per_second(a->n_ids, a->seconds));
    if (!s.failed)
        printf("%s\n", s.data);
    vklm_string_finish(&s);
}

static vklm_status generate(const settings *s, vklm_engine *engine, const vklm_tokenizer *tokenizer,
                            double load_seconds, const uint32_t *prompt, size_t n_prompt)
{
    vklm_session *session;
    vklm_session_params params = {.sampling = s->generation.sampling,
                                  .progress = vklm_console_prompt_progress};
    vklm_answer_params how = {.tokenizer = tokenizer,
                              .generation = &s->generation,
                              .engine = engine,
                              .engine_params = &s->engine,
                              .on_text = s->json ? NULL : show};
    vklm_answer answer = {0};
    vklm_status status = vklm_session_create(engine, &params, &session);
    if (status == VKLM_OK)
        status = vklm_answer_generate(session, prompt, n_prompt, &how, &answer);
    if (status == VKLM_OK) {
        if (s->json)
            print_json(&answer, prompt, n_prompt, vklm_session_seed(session), load_seconds);
        else
            printf("\n");
        fflush(stdout); // the text before the timings, also where both go to one file
        print_timings(load_seconds, n_prompt, &answer);
    }
    vklm_answer_finish(&answer);
    vklm_session_destroy(session);
    return status;
}

static vklm_status read_prompt(const settings *s, vklm_string *out)
{
    if (s->prompt)
        vklm_string_append(out, s->prompt, strlen(s->prompt));
    else if (s->file)
        return vklm_file_read(s->file, PROMPT_MAX_BYTES, out);
    else if (!vklm_options_read_stdin(out))
        return vklm_fail(VKLM_IO_ERROR, "there is no prompt");
    return out->failed ? vklm_fail_memory("the prompt") : VKLM_OK;
}

static vklm_status encode_question(const settings *s, const vklm_tokenizer *tokenizer,
                                   const vklm_string *text, uint32_t **out_ids, size_t *out_n)
{
    vklm_chat_template *chat_template;
    vklm_messages messages = {0};
    vklm_status status = vklm_chat_template_open(s->engine.model_dir, &chat_template);
    if (status == VKLM_OK && s->system)
        status = vklm_messages_add(&messages, "system", s->system, strlen(s->system));
    if (status == VKLM_OK)
        status = vklm_messages_add(&messages, "user", text->data, text->len);
    if (status == VKLM_OK)
        status = vklm_chat_template_encode(chat_template, tokenizer, messages.items, messages.n,
                                           true, !s->allow_special, out_ids, out_n);
    vklm_messages_finish(&messages);
    vklm_chat_template_close(chat_template);
    return status;
}

static vklm_status encode_prompt(const settings *s, const vklm_tokenizer *tokenizer,
                                 uint32_t **out_ids, size_t *out_n)
{
    vklm_string text = {0};
    vklm_encode_params params = {.add_special_tokens = s->bos};
    vklm_string_append(&text, "", 0);
    vklm_status status = read_prompt(s, &text);
    if (status == VKLM_OK && s->chat)
        status = encode_question(s, tokenizer, &text, out_ids, out_n);
    else if (status == VKLM_OK)
        status = vklm_tokenizer_encode(tokenizer, text.data, text.len, &params, out_ids, out_n);
    if (status != VKLM_OK)
        vklm_fail_prefix(status, "the prompt");
    else if (*out_n == 0)
        status = vklm_fail(VKLM_INVALID_ARGUMENT, "the prompt is empty; give a text, or --bos");
    vklm_string_finish(&text);
    return status;
}

static vklm_status run(settings *s)
{
    vklm_tokenizer *tokenizer = NULL;
    vklm_engine *engine = NULL;
    uint32_t *prompt = NULL;
    size_t n_prompt = 0;
    double begin = vklm_clock_seconds();
    // What needs no device first: a wrong prompt should not wait for gigabytes.
    vklm_status status = vklm_sampling_check(&s->generation.sampling);
    vklm_model_info info;
    if (status == VKLM_OK)
        status = vklm_model_info_load(s->engine.model_dir, &info);
    if (status == VKLM_OK)
        status = vklm_tokenizer_open(s->engine.model_dir, &tokenizer);
    if (status == VKLM_OK)
        status = encode_prompt(s, tokenizer, &prompt, &n_prompt);
    uint32_t n_ctx = s->engine.n_ctx ? s->engine.n_ctx : info.n_ctx;
    if (status == VKLM_OK && n_prompt > n_ctx)
        status =
            vklm_fail(VKLM_CONTEXT_FULL, "the prompt has %zu tokens; the context has room for %u",
                      n_prompt, n_ctx);
    if (status == VKLM_OK)
        status = vklm_model_open(&s->engine, &engine);
    if (status == VKLM_OK)
        status = generate(s, engine, tokenizer, vklm_clock_seconds() - begin, prompt, n_prompt);
    vklm_engine_close(engine);
    vklm_tokenizer_close(tokenizer);
    vklm_free(prompt);
    return status;
}

// Values of getopt_long for options without a letter.
enum {
    OPTION_CHAT = VKLM_GENERATION_LAST,
    OPTION_SYSTEM,
    OPTION_NO_SYSTEM,
    OPTION_ALLOW_SPECIAL,
    OPTION_BOS,
    OPTION_NO_BOS,
    OPTION_JSON,
};

// 0, or the exit status.
static int take_option(int o, const char *argument, settings *s)
{
    switch (o) {
    case 'p':
        s->prompt = argument;
        return 0;
    case 'f':
        s->file = argument;
        return 0;
    case 'v':
        s->verbose = true;
        return 0;
    case OPTION_CHAT:
        s->chat = true;
        return 0;
    case OPTION_SYSTEM:
    case OPTION_NO_SYSTEM:
        s->system = o == OPTION_SYSTEM ? argument : NULL;
        return 0;
    case OPTION_ALLOW_SPECIAL:
        s->allow_special = true;
        return 0;
    case OPTION_BOS:
    case OPTION_NO_BOS:
        s->bos = o == OPTION_BOS;
        return 0;
    case OPTION_JSON:
        s->json = true;
        return 0;
    }
    int taken = vklm_model_option("run", o, argument, &s->engine);
    if (taken == 0)
        taken = vklm_generation_option("run", o, argument, &s->generation);
    return taken == 1 ? 0 : 2;
}

int vklm_command_run(int argc, char **argv)
{
    static const struct option options[] = {
        {"prompt", required_argument, NULL, 'p'},
        {"file", required_argument, NULL, 'f'},
        {"chat", no_argument, NULL, OPTION_CHAT},
        {"system", required_argument, NULL, OPTION_SYSTEM},
        {"no-system", no_argument, NULL, OPTION_NO_SYSTEM},
        {"allow-special", no_argument, NULL, OPTION_ALLOW_SPECIAL},
        {"bos", no_argument, NULL, OPTION_BOS},
        {"no-bos", no_argument, NULL, OPTION_NO_BOS},
        {"json", no_argument, NULL, OPTION_JSON},
        {"verbose", no_argument, NULL, 'v'},
        {"help", no_argument, NULL, 'h'},
        VKLM_GENERATION_OPTIONS,
        VKLM_MODEL_OPTIONS,
        {0}};
    settings s = {.system = VKLM_LLM_JP_SYSTEM};
    for (int o; (o = getopt_long(argc, argv, "p:f:n:vh", options, NULL)) != -1;) {
        if (o == 'h') {
            fputs(help, stdout);
            return 0;
        }
        int status = o == '?' ? 2 : take_option(o, optarg, &s);
        if (status) {
            vklm_generation_finish(&s.generation);
            return status;
        }
    }
    if (optind != argc - 1 || (s.prompt && s.file)) {
        vklm_generation_finish(&s.generation);
        return vklm_options_misused("run", "takes one model folder, and -p or -f");
    }
    s.engine.model_dir = argv[optind];
    if (s.generation.max_tokens == 0)
        s.generation.max_tokens = s.chat ? 1024 : 100;
    vklm_console_open(s.verbose ? VKLM_LOG_DEBUG : VKLM_LOG_INFO);
    vklm_console_catch_interrupt();
    vklm_status status = run(&s);
    vklm_generation_finish(&s.generation);
    return status == VKLM_OK ? 0 : vklm_options_failed();
}
