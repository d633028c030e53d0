// vklm score
#include "vklm/commands.h"

#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <vklm/vklm.h>

#include "base/file.h"
#include "base/json.h"
#include "vklm/console.h"
#include "vklm/model_options.h"
#include "vklm/options.h"

static const char help[] =
    "usage: vklm score MODEL [-f FILE | --ids \"1 2 3\"] [OPTION...]\n\n"
    "The natural logarithm of each token's probability after those before it, and the perplexity: "
    "exp of minus\n"
    "their mean. The text comes from a file, as token ids, or from standard input.\n\n"
    "  -f, --file FILE         the file with the text\n"
    "      --ids IDS           the tokens instead, separated by spaces or commas\n"
    "      --bos, --no-bos     begin with the beginning-of-text token, or not (default: not)\n"
    "      --window W          tokens that are computed together (default: the whole context, or "
    "--ctx)\n"
    "      --step S            a longer text is cut into windows that begin S tokens after each "
    "other (default:\n"
    "                          W/2); a token is scored in the first window that has it\n"
    "      --json              print {\"ids\",\"logprobs\",\"perplexity\",\"tokens\",\"windows\"}; "
    "logprobs begin\n"
    "                          with the second token\n" VKLM_MODEL_OPTIONS_HELP;

enum { MAX_TEXT_BYTES = 64 << 20 };

typedef struct {
    vklm_engine_params engine;
    const char *file;
    uint32_t *ids; // [n_ids], NULL: from a text
    size_t n_ids;
    uint32_t window, step;
    bool bos, json;
} settings;

// A text and what was found out about it.
typedef struct {
    uint32_t *ids;  // [n]
    float *logprob; // [n], the first one unused
    size_t n;
    uint32_t window, step, n_windows;
    double perplexity;
} score;

static vklm_status read_text(const settings *s, score *out)
{
    vklm_string text = {0};
    vklm_tokenizer *tokenizer = NULL;
    vklm_encode_params params = {.add_special_tokens = s->bos};
    vklm_status status = VKLM_OK;
    vklm_string_append(&text, "", 0);
    if (s->file)
        status = vklm_file_read(s->file, MAX_TEXT_BYTES, &text);
    else if (!vklm_options_read_stdin(&text))
        status = vklm_fail(VKLM_IO_ERROR, "there is no text");
    if (status == VKLM_OK)
        status = vklm_tokenizer_open(s->engine.model_dir, &tokenizer);
    if (status == VKLM_OK)
        status = vklm_tokenizer_encode(tokenizer, text.data, text.len, &params, &out->ids, &out->n);
    vklm_tokenizer_close(tokenizer);
    vklm_string_finish(&text);
    return status;
}

// Windows [0, W), [S, S + W), …: each scores what the one before it did not reach.
static vklm_status score_windows(vklm_session *session, score *r)
{
    size_t scored = 1;
    for (size_t first = 0; scored < r->n; first += r->step) {
        size_t left = r->n - first, n = left < r->window ? left : r->window;
        vklm_status status = vklm_session_score(session, r->ids + first, n,
                                                (uint32_t)(scored - first), r->logprob + scored);
        if (status != VKLM_OK)
            return status;
        scored = first + n;
        r->n_windows++;
    }
    double sum = 0;
    for (size_t i = 1; i < r->n; i++)
        sum += (double)r->logprob[i];
    r->perplexity = exp(-sum / (double)(r->n - 1));
    return VKLM_OK;
}

static vklm_status compute(settings *s, score *r)
{
    vklm_engine *engine = NULL;
    vklm_session *session = NULL;
    vklm_session_params params = {.progress = vklm_console_prompt_progress};
    vklm_status status = vklm_model_open(&s->engine, &engine);
    if (status == VKLM_OK)
        status = vklm_session_create(engine, &params, &session);
    if (status == VKLM_OK) {
        uint32_t n_ctx = vklm_session_n_ctx(session);
        r->window = s->window ? s->window : n_ctx;
        r->step = s->step ? s->step : (r->window + 1) / 2;
        if (r->window > n_ctx)
            status =
                vklm_fail(VKLM_INVALID_ARGUMENT,
                          "a window of %u tokens; the context has room for %u", r->window, n_ctx);
        else if (r->step >= r->window)
            status = vklm_fail(VKLM_INVALID_ARGUMENT,
                               "a step of %u tokens must be less than the window of %u", r->step,
                               r->window);
    }
    if (status == VKLM_OK)
        status = score_windows(session, r);
    vklm_session_destroy(session);
    vklm_engine_close(engine);
    return status;
}

static void print_json(const score *r)
{
    printf("{\"ids\":[");
    for (size_t i = 0; i < r->n; i++)
        printf("%s%u", i ? "," : "", r->ids[i]);
    printf("],\"logprobs\":[");
    for (size_t i = 1; i < r->n; i++)
        printf("%s%.7g", i > 1 ? "," : "", (double)r->logprob[i]);
    printf("],\"perplexity\":%.9g,\"tokens\":%zu,\"windows\":{\"size\":%u,\"step\":%u,\"count\":%u}"
           "}\n",
           r->perplexity, r->n - 1, r->window, r->step, r->n_windows);
}

static void print_text(const score *r, const char *model_dir)
{
    vklm_tokenizer *tokenizer = NULL;
    if (vklm_tokenizer_open(model_dir, &tokenizer) != VKLM_OK)
        tokenizer = NULL; // a model may come without one: no pieces then
    for (size_t i = 1; i < r->n; i++) {
        const char *piece = tokenizer ? vklm_tokenizer_piece(tokenizer, r->ids[i]) : NULL;
        printf("%zu\t%u\t%.6f\t%s\n", i, r->ids[i], (double)r->logprob[i], piece ? piece : "");
    }
    vklm_tokenizer_close(tokenizer);
    printf("perplexity %.6f over %zu tokens, in %u window%s of at most %u tokens", r->perplexity,
           r->n - 1, r->n_windows, r->n_windows == 1 ? "" : "s", r->window);
    if (r->n_windows > 1)
        printf(" that begin %u tokens after each other", r->step);
    printf("\n");
}

static vklm_status run(settings *s)
{
    score r = {0};
    vklm_status status = VKLM_OK;
    r.ids = s->ids;
    r.n = s->n_ids;
    if (!r.ids)
        status = read_text(s, &r);
    if (status == VKLM_OK && r.n < 2)
        status =
            vklm_fail(VKLM_INVALID_ARGUMENT,
                      "the text has %zu token%s; the second is the first that has a probability",
                      r.n, r.n == 1 ? "" : "s");
    if (status == VKLM_OK && !(r.logprob = vklm_alloc(r.n, sizeof *r.logprob)))
        status = vklm_fail_memory("a score");
    if (status == VKLM_OK)
        status = compute(s, &r);
    if (status == VKLM_OK && s->json)
        print_json(&r);
    else if (status == VKLM_OK)
        print_text(&r, s->engine.model_dir);
    free(r.ids);
    free(r.logprob);
    return status;
}

enum {
    OPTION_IDS = VKLM_OPTION_LAST,
    OPTION_BOS,
    OPTION_NO_BOS,
    OPTION_WINDOW,
    OPTION_STEP,
    OPTION_JSON,
};

// 0, or the exit status.
static int take_option(int o, const char *argument, settings *s)
{
    uint64_t number = 0;
    switch (o) {
    case 'f':
        s->file = argument;
        return 0;
    case OPTION_IDS:
        free(s->ids);
        s->ids = NULL;
        if (!vklm_options_ids("score", argument, &s->ids, &s->n_ids))
            return 2;
        return s->n_ids ? 0 : vklm_options_misused("score", "--ids takes token ids");
    case OPTION_BOS:
    case OPTION_NO_BOS:
        s->bos = o == OPTION_BOS;
        return 0;
    case OPTION_WINDOW:
        if (!vklm_options_whole("score", "--window", argument, 2, UINT32_MAX, &number))
            return 2;
        s->window = (uint32_t)number;
        return 0;
    case OPTION_STEP:
        if (!vklm_options_whole("score", "--step", argument, 1, UINT32_MAX, &number))
            return 2;
        s->step = (uint32_t)number;
        return 0;
    case OPTION_JSON:
        s->json = true;
        return 0;
    default:
        return vklm_model_option("score", o, argument, &s->engine) == 1 ? 0 : 2;
    }
}

int vklm_command_score(int argc, char **argv)
{
    static const struct option options[] = {{"file", required_argument, NULL, 'f'},
                                            {"ids", required_argument, NULL, OPTION_IDS},
                                            {"bos", no_argument, NULL, OPTION_BOS},
                                            {"no-bos", no_argument, NULL, OPTION_NO_BOS},
                                            {"window", required_argument, NULL, OPTION_WINDOW},
                                            {"step", required_argument, NULL, OPTION_STEP},
                                            {"json", no_argument, NULL, OPTION_JSON},
                                            {"help", no_argument, NULL, 'h'},
                                            VKLM_MODEL_OPTIONS,
                                            {0}};
    settings s = {0};
    for (int o; (o = getopt_long(argc, argv, "f:h", options, NULL)) != -1;) {
        if (o == 'h') {
            fputs(help, stdout);
            return 0;
        }
        int status = take_option(o, optarg, &s);
        if (status) {
            free(s.ids);
            return status;
        }
    }
    if (optind != argc - 1 || (s.file && s.ids)) {
        free(s.ids);
        return vklm_options_misused("score", "takes one model folder, and -f or --ids");
    }
    s.engine.model_dir = argv[optind];
    vklm_console_open(VKLM_LOG_INFO);
    vklm_console_catch_interrupt();
    return run(&s) == VKLM_OK ? 0 : vklm_options_failed();
}
