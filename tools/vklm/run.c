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
#include "vklm/console.h"
#include "vklm/model_options.h"
#include "vklm/options.h"

static const char help[] =
    "usage: vklm run MODEL [-p TEXT | -f FILE] [OPTION...]\n\n"
    "Continues a text. MODEL is a Hugging Face model folder; the text comes from -p, from a file, or from\n"
    "standard input. Defaults are those of LLM-jp's model cards.\n\n"
    "  -p, --prompt TEXT       the text to continue\n"
    "  -f, --file FILE         the file that holds it\n"
    "  -n, --tokens N          generate at most N tokens (default 100)\n"
    "      --temp T            temperature (default 0.7); 0 is --greedy\n"
    "      --top-k K           keep the K most likely tokens (default 50; 0: all)\n"
    "      --top-p P           keep the most likely tokens up to probability P (default 0.95; 1: all)\n"
    "      --min-p P           drop tokens below P times the most likely one (default 0)\n"
    "      --repeat-penalty R  make tokens that occurred less likely (default 1.05; 1: off)\n"
    "      --seed N            draw the same tokens again (default 0: a new seed each time)\n"
    "      --greedy            always the most likely token\n"
    "      --bos, --no-bos     begin with the beginning-of-text token, or not (default: not)\n"
    "      --ignore-eos        go on past the end-of-text token\n"
    "      --json              one JSON object at the end instead of text as it comes\n"
    "  -v, --verbose           say more\n" VKLM_MODEL_OPTIONS_HELP;

enum { PROMPT_MAX_BYTES = 64 << 20 };

typedef struct {
    vklm_engine_params engine;
    vklm_sampling_params sampling;
    const char *prompt, *file;
    uint32_t max_tokens;
    bool bos, ignore_eos, json, verbose;
} settings;

// What is generated, as it comes.
typedef struct {
    vklm_decode_stream *stream;
    vklm_string text;
    uint32_t *ids; // [max_tokens]
    uint32_t n_ids;
    bool print;
    vklm_status status;
} output;

static void take_text(output *out, const char *text, size_t len)
{
    if (out->print) {
        fwrite(text, 1, len, stdout);
        fflush(stdout);
    } else {
        vklm_string_append(&out->text, text, len);
    }
}

static bool take_token(void *opaque, uint32_t id)
{
    output *out = opaque;
    const char *text;
    size_t len;
    out->ids[out->n_ids++] = id;
    out->status = vklm_decode_stream_push(out->stream, id, &text, &len);
    if (out->status != VKLM_OK)
        return false;
    take_text(out, text, len);
    return !vklm_console_interrupted();
}

static const char *stop_name(vklm_stop_reason reason)
{
    static const char *const names[] = {
        [VKLM_STOP_LENGTH] = "length",
        [VKLM_STOP_EOS] = "eos",
        [VKLM_STOP_CONTEXT] = "context",
        [VKLM_STOP_CALLER] = "interrupted",
    };
    return names[reason];
}

static double per_second(uint64_t n, double seconds)
{
    return seconds > 0 ? (double)n / seconds : 0;
}

static void print_timings(double load, size_t n_prompt, double first, uint32_t n_generated,
                          double generated, vklm_stop_reason reason)
{
    fprintf(stderr, "load %.2f s | prompt %zu tokens, %.1f tokens/s | generated %u tokens, %.1f tokens/s",
            load, n_prompt, per_second(n_prompt, first), n_generated,
            per_second(n_generated, generated));
    fprintf(stderr, " | stopped: %s\n", stop_name(reason));
}

static void print_json(const output *out, const uint32_t *prompt, size_t n_prompt, uint64_t seed,
                       vklm_stop_reason reason, const double seconds[3])
{
    vklm_string s = {0};
    vklm_string_print(&s, "{\"text\":");
    vklm_json_quote(&s, out->text.data ? out->text.data : "", out->text.len);
    vklm_string_print(&s, ",\"prompt_ids\":[");
    for (size_t i = 0; i < n_prompt; i++)
        vklm_string_print(&s, "%s%u", i ? "," : "", prompt[i]);
    vklm_string_print(&s, "],\"ids\":[");
    for (uint32_t i = 0; i < out->n_ids; i++)
        vklm_string_print(&s, "%s%u", i ? "," : "", out->ids[i]);
    vklm_string_print(&s,
                      "],\"stop\":\"%s\",\"seed\":%llu,\"timings\":{\"load_seconds\":%.6f,"
                      "\"prompt_tokens\":%zu,\"prompt_seconds\":%.6f,\"prompt_tokens_per_second\":%.3f,"
                      "\"generated_tokens\":%u,\"generated_seconds\":%.6f,"
                      "\"generated_tokens_per_second\":%.3f}}",
                      stop_name(reason), (unsigned long long)seed, seconds[0], n_prompt, seconds[1],
                      per_second(n_prompt, seconds[1]), out->n_ids, seconds[2],
                      per_second(out->n_ids, seconds[2]));
    if (!s.failed)
        printf("%s\n", s.data);
    vklm_string_finish(&s);
}

// The prompt is computed, and then tokens are drawn until something stops it.
static vklm_status generate(const settings *s, vklm_engine *engine, double load_seconds,
                            const uint32_t *prompt, size_t n_prompt, output *out)
{
    vklm_session *session;
    vklm_session_params params = {.sampling = s->sampling, .progress = vklm_console_prompt_progress};
    vklm_status status = vklm_session_create(engine, &params, &session);
    if (status != VKLM_OK)
        return status;
    vklm_stop_reason reason = VKLM_STOP_LENGTH;
    double begin = vklm_clock_seconds(), prompt_end = begin;
    status = vklm_session_append(session, prompt, n_prompt);
    if (status == VKLM_OK) {
        prompt_end = vklm_clock_seconds();
        status = vklm_session_generate(session, s->max_tokens, s->ignore_eos, take_token, out, &reason);
    }
    if (status == VKLM_OK)
        status = out->status;
    double end = vklm_clock_seconds();
    const char *rest;
    size_t len;
    if (status == VKLM_OK)
        status = vklm_decode_stream_flush(out->stream, &rest, &len);
    if (status == VKLM_OK) {
        take_text(out, rest, len);
        double seconds[3] = {load_seconds, prompt_end - begin, end - prompt_end};
        if (s->json)
            print_json(out, prompt, n_prompt, vklm_session_seed(session), reason, seconds);
        else
            printf("\n");
        fflush(stdout); // the text before the timings, also where both go to one file
        print_timings(load_seconds, n_prompt, seconds[1], out->n_ids, seconds[2], reason);
    }
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

static vklm_status encode_prompt(const settings *s, const vklm_tokenizer *tokenizer,
                                 uint32_t **out_ids, size_t *out_n)
{
    vklm_string text = {0};
    vklm_encode_params params = {.add_special_tokens = s->bos};
    vklm_status status = read_prompt(s, &text);
    if (status == VKLM_OK)
        status = vklm_tokenizer_encode(tokenizer, text.data ? text.data : "", text.len, &params,
                                       out_ids, out_n);
    if (status != VKLM_OK)
        vklm_fail_prefix(status, "the prompt");
    else if (*out_n == 0)
        status = vklm_fail(VKLM_INVALID_ARGUMENT, "the prompt is empty; give a text, or --bos");
    vklm_string_finish(&text);
    return status;
}

// The stream begins with the prompt, unprinted: a space at the beginning of the answer belongs to it.
static vklm_status open_stream(const vklm_tokenizer *tokenizer, const uint32_t *prompt,
                               size_t n_prompt, vklm_decode_stream **out_stream)
{
    vklm_status status = vklm_decode_stream_create(tokenizer, true, out_stream);
    const char *text;
    size_t len;
    for (size_t i = 0; i < n_prompt && status == VKLM_OK; i++)
        status = vklm_decode_stream_push(*out_stream, prompt[i], &text, &len);
    return status;
}

static vklm_status run(settings *s)
{
    vklm_tokenizer *tokenizer = NULL;
    vklm_engine *engine = NULL;
    uint32_t *prompt = NULL;
    size_t n_prompt = 0;
    output out = {.print = !s->json, .ids = vklm_alloc(s->max_tokens, sizeof *out.ids)};
    double begin = vklm_clock_seconds();
    vklm_status status = out.ids ? VKLM_OK : vklm_fail_memory("the answer");
    // What needs no device first: a wrong prompt should not wait for gigabytes.
    if (status == VKLM_OK)
        status = vklm_sampling_check(&s->sampling);
    vklm_model_info info;
    if (status == VKLM_OK)
        status = vklm_model_info_load(s->engine.model_dir, &info);
    if (status == VKLM_OK)
        status = vklm_tokenizer_open(s->engine.model_dir, &tokenizer);
    if (status == VKLM_OK)
        status = encode_prompt(s, tokenizer, &prompt, &n_prompt);
    if (status == VKLM_OK)
        status = open_stream(tokenizer, prompt, n_prompt, &out.stream);
    uint32_t n_ctx = s->engine.n_ctx ? s->engine.n_ctx : info.n_ctx;
    if (status == VKLM_OK && n_prompt > n_ctx)
        status = vklm_fail(VKLM_CONTEXT_FULL,
                           "the prompt has %zu tokens; the context has room for %u", n_prompt, n_ctx);
    if (status == VKLM_OK)
        status = vklm_model_open(&s->engine, &engine);
    if (status == VKLM_OK)
        status = generate(s, engine, vklm_clock_seconds() - begin, prompt, n_prompt, &out);
    vklm_engine_close(engine);
    vklm_decode_stream_destroy(out.stream);
    vklm_tokenizer_close(tokenizer);
    vklm_string_finish(&out.text);
    free(out.ids);
    vklm_free(prompt);
    return status;
}

// Values of getopt_long for options without a letter.
enum {
    OPTION_TEMP = VKLM_OPTION_LAST,
    OPTION_TOP_K,
    OPTION_TOP_P,
    OPTION_MIN_P,
    OPTION_REPEAT,
    OPTION_SEED,
    OPTION_GREEDY,
    OPTION_BOS,
    OPTION_NO_BOS,
    OPTION_IGNORE_EOS,
    OPTION_JSON,
};

static bool take_sampling_option(int o, const char *argument, vklm_sampling_params *p)
{
    uint64_t number = 0;
    bool good = true;
    switch (o) {
    case OPTION_TEMP:
        good = vklm_options_real("run", "--temp", argument, 0, 100, &p->temperature);
        p->greedy = p->greedy || (good && p->temperature == 0);
        break;
    case OPTION_TOP_K:
        good = vklm_options_whole("run", "--top-k", argument, 0, 1 << 30, &number);
        p->top_k = number ? (int)number : -1;
        break;
    case OPTION_TOP_P:
        good = vklm_options_real("run", "--top-p", argument, 1e-6, 1, &p->top_p);
        break;
    case OPTION_MIN_P:
        good = vklm_options_real("run", "--min-p", argument, 0, 1, &p->min_p);
        break;
    case OPTION_REPEAT:
        good = vklm_options_real("run", "--repeat-penalty", argument, 0.01, 100,
                                 &p->repetition_penalty);
        break;
    case OPTION_SEED:
        good = vklm_options_whole("run", "--seed", argument, 0, UINT64_MAX, &p->seed);
        break;
    case OPTION_GREEDY:
        p->greedy = true;
        break;
    default:
        good = false;
    }
    return good;
}

// 0, or the exit status.
static int take_option(int o, const char *argument, settings *s)
{
    uint64_t number = 0;
    switch (o) {
    case 'p':
        s->prompt = argument;
        return 0;
    case 'f':
        s->file = argument;
        return 0;
    case 'n':
        if (!vklm_options_whole("run", "-n", argument, 1, 1 << 24, &number))
            return 2;
        s->max_tokens = (uint32_t)number;
        return 0;
    case 'v':
        s->verbose = true;
        return 0;
    case OPTION_BOS:
    case OPTION_NO_BOS:
        s->bos = o == OPTION_BOS;
        return 0;
    case OPTION_IGNORE_EOS:
        s->ignore_eos = true;
        return 0;
    case OPTION_JSON:
        s->json = true;
        return 0;
    }
    int taken = vklm_model_option("run", o, argument, &s->engine);
    if (taken == 0)
        taken = take_sampling_option(o, argument, &s->sampling) ? 1 : -1;
    return taken == 1 ? 0 : 2;
}

int vklm_command_run(int argc, char **argv)
{
    static const struct option options[] = {
        {"prompt", required_argument, NULL, 'p'},
        {"file", required_argument, NULL, 'f'},
        {"tokens", required_argument, NULL, 'n'},
        {"temp", required_argument, NULL, OPTION_TEMP},
        {"top-k", required_argument, NULL, OPTION_TOP_K},
        {"top-p", required_argument, NULL, OPTION_TOP_P},
        {"min-p", required_argument, NULL, OPTION_MIN_P},
        {"repeat-penalty", required_argument, NULL, OPTION_REPEAT},
        {"seed", required_argument, NULL, OPTION_SEED},
        {"greedy", no_argument, NULL, OPTION_GREEDY},
        {"bos", no_argument, NULL, OPTION_BOS},
        {"no-bos", no_argument, NULL, OPTION_NO_BOS},
        {"ignore-eos", no_argument, NULL, OPTION_IGNORE_EOS},
        {"json", no_argument, NULL, OPTION_JSON},
        {"verbose", no_argument, NULL, 'v'},
        {"help", no_argument, NULL, 'h'},
        VKLM_MODEL_OPTIONS,
        {0}};
    settings s = {.max_tokens = 100};
    for (int o; (o = getopt_long(argc, argv, "p:f:n:vh", options, NULL)) != -1;) {
        if (o == 'h') {
            fputs(help, stdout);
            return 0;
        }
        int status = o == '?' ? 2 : take_option(o, optarg, &s);
        if (status)
            return status;
    }
    if (optind != argc - 1 || (s.prompt && s.file))
        return vklm_options_misused("run", "takes one model folder, and -p or -f");
    s.engine.model_dir = argv[optind];
    vklm_console_open(s.verbose ? VKLM_LOG_DEBUG : VKLM_LOG_INFO);
    vklm_console_catch_interrupt();
    return run(&s) == VKLM_OK ? 0 : vklm_options_failed();
}
