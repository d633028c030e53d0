// vklm batch
#include "vklm/commands.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <vklm/vklm.h>

#include "base/clock.h"
#include "base/file.h"
#include "vklm/answer.h"
#include "vklm/batch.h"
#include "vklm/console.h"
#include "vklm/options.h"

static const char help[] =
    "usage: vklm batch MODEL --in QUESTIONS --out ANSWERS [OPTION...]\n\n"
    "Answers many questions. QUESTIONS has a JSON object in each line (or is a JSON list of them), "
    "with one of\n"
    "\"prompt\": \"a text to continue\", \"turns\": [\"a question\", ...] and \"messages\": [...], "
    "and any of\n"
    "max_tokens, temperature, top_k, top_p, min_p, repetition_penalty, frequency_penalty, "
    "presence_penalty,\n"
    "logit_bias, stop, seed, ignore_eos, add_special_tokens. ANSWERS gets a line for each: the "
    "object with\n"
    "\"response\" (a list for turns), \"finish\", \"prompt_tokens\", \"tokens\" and \"seed\", or "
    "with \"error\". What ANSWERS\n"
    "has already is not asked again: run the same command to go on after an interruption.\n\n"
    "      --in FILE           the questions\n"
    "      --out FILE          the answers\n"
    "      --recipe NAME       mt_bench, ja_mt_bench, safety: read llm-jp-judge's questions and "
    "write what its\n"
    "                          'evaluate' reads, with its settings; llm-jp-eval: "
    "*.eval-prompt.json to\n"
    "                          *.eval-generated.json. Options given here win over a recipe's "
    "settings\n"
    "      --chat, --no-chat   ask llm-jp-eval's prompts by the chat template, or as they are "
    "(default: chat)\n"
    "      --strict            a line that is wrong or has no answer ends the run\n"
    "      --system TEXT       the system message of turns (default: that of the LLM-jp models)\n"
    "      --no-system         none\n"
    "      --allow-special     special tokens such as </s> in turns and messages are real ones\n"
    "      --bos, --no-bos     begin with the beginning-of-text token, or not (default: not; a "
    "chat template\n"
    "                          brings its own, and vLLM's LLM.chat adds a "
    "second)\n" VKLM_GENERATION_OPTIONS_HELP("1024") VKLM_MODEL_OPTIONS_HELP;

typedef struct {
    vklm_engine_params engine_params;
    vklm_batch_source source;
    const char *out_path;
    bool allow_special;
    vklm_batch batch;
    vklm_tokenizer *tokenizer;
    vklm_chat_template *chat_template; // NULL when no item needs it
    vklm_engine *engine;
    vklm_session *session;
    vklm_string
        stream_path; // where lines go: out_path, or a file beside it that becomes it at the end
    FILE *stream;
    size_t n_old, n_done; // answered before this run, and now
    size_t n_tokens, n_errors;
    double begin, shown;
} batch_run;

// --- The progress bar ---

static void print_time(double seconds)
{
    unsigned long s = (unsigned long)(seconds + 0.5);
    if (s >= 3600)
        fprintf(stderr, "%lu:%02lu:%02lu", s / 3600, s / 60 % 60, s % 60);
    else
        fprintf(stderr, "%lu:%02lu", s / 60, s % 60);
}

// On a terminal, a few times a second. Time left: as long for each as for those of this run.
static void show_progress(void *opaque, const char *text, size_t len)
{
    enum { WIDTH = 24 };
    batch_run *r = opaque;
    double now = vklm_clock_seconds(), elapsed = now - r->begin;
    (void)text, (void)len;
    if (!isatty(STDERR_FILENO) || now - r->shown < 0.25)
        return;
    r->shown = now;
    size_t done = r->n_old + r->n_done, filled = done * WIDTH / r->batch.n;
    fprintf(stderr, "\r[%.*s%.*s] %zu of %zu, %.1f tokens/s", (int)filled,
            "========================", (int)(WIDTH - filled), "                        ", done,
            r->batch.n, elapsed > 0 ? (double)r->n_tokens / elapsed : 0);
    if (r->n_done > 0) {
        fprintf(stderr, ", time left ");
        print_time(elapsed / (double)r->n_done * (double)(r->batch.n - done));
    }
    fprintf(stderr, "\033[K");
    fflush(stderr);
}

static void erase_progress(void)
{
    if (isatty(STDERR_FILENO))
        fprintf(stderr, "\r\033[K");
}

// --- Answers ---

static vklm_status encode(const batch_run *r, const vklm_batch_item *item,
                          const vklm_messages *messages, uint32_t **out_ids, size_t *out_n)
{
    vklm_encode_params params = {.add_special_tokens = item->add_special_tokens};
    if (item->raw)
        return vklm_tokenizer_encode(r->tokenizer, item->turns[0], strlen(item->turns[0]), &params,
                                     out_ids, out_n);
    uint32_t *before = NULL, *ids = NULL;
    size_t n_before = 0, n = 0;
    vklm_status status = vklm_chat_template_encode(r->chat_template, r->tokenizer, messages->items,
                                                   messages->n, true, !r->allow_special, &ids, &n);
    if (status == VKLM_OK && item->add_special_tokens) // what an empty text becomes
        status = vklm_tokenizer_encode(r->tokenizer, "", 0, &params, &before, &n_before);
    if (status == VKLM_OK && !(*out_ids = vklm_alloc(n_before + n, sizeof **out_ids)))
        status = vklm_fail_memory("a prompt");
    if (status == VKLM_OK) {
        memcpy(*out_ids, before ? before : ids, n_before * sizeof *ids);
        memcpy(*out_ids + n_before, ids, n * sizeof *ids);
        *out_n = n_before + n;
    }
    vklm_free(before);
    vklm_free(ids);
    return status;
}

static vklm_status answer_turn(batch_run *r, const vklm_batch_item *item, vklm_messages *messages,
                               vklm_batch_answer *out)
{
    uint32_t *prompt = NULL;
    size_t n = 0;
    vklm_answer a = {0};
    vklm_answer_params how = {.tokenizer = r->tokenizer,
                              .generation = &item->generation,
                              .engine = r->engine,
                              .engine_params = &r->engine_params,
                              .on_text = show_progress,
                              .opaque = r};
    vklm_status status = encode(r, item, messages, &prompt, &n);
    if (status == VKLM_OK && n == 0)
        status = vklm_fail(VKLM_INVALID_ARGUMENT, "the prompt is empty");
    if (status == VKLM_OK)
        status = vklm_answer_generate(r->session, prompt, n, &how, &a);
    if (status == VKLM_OK && strcmp(a.stop, "interrupted") == 0)
        status = vklm_fail(VKLM_CANCELLED, "interrupted");
    if (status == VKLM_OK) {
        vklm_string_append(&a.text, "", 0);
        cJSON *text = vklm_batch_text(&a.text);
        if (!text || !cJSON_AddItemToArray(out->texts, text))
            status = vklm_fail_memory("an answer");
        out->finish = a.stop;
        out->n_prompt += n;
        out->n_tokens += a.n_ids;
        r->n_tokens += a.n_ids;
    }
    if (status == VKLM_OK && !item->raw)
        status = vklm_messages_add(messages, "assistant", a.text.data, a.text.len);
    vklm_answer_finish(&a);
    vklm_free(prompt);
    return status;
}

// Each item starts from an empty session, so that its answer does not depend on what was asked
// before it. Its own turns keep the KV cache.
static vklm_status answer_item(batch_run *r, const vklm_batch_item *item, vklm_batch_answer *out)
{
    vklm_messages messages = {0};
    vklm_status status = vklm_session_rewind(r->session, 0);
    if (status == VKLM_OK)
        status = vklm_session_set_sampling(r->session, &item->generation.sampling);
    for (size_t i = 0; i < item->messages.n && status == VKLM_OK; i++) {
        const vklm_chat_message *m = &item->messages.items[i];
        status =
            vklm_messages_add(&messages, m->role, m->content, m->content ? strlen(m->content) : 0);
    }
    if (status == VKLM_OK && item->n_turns == 0)
        status = answer_turn(r, item, &messages, out);
    for (size_t i = 0; i < item->n_turns && status == VKLM_OK; i++) {
        if (!item->raw)
            status = vklm_messages_add(&messages, "user", item->turns[i], strlen(item->turns[i]));
        if (status == VKLM_OK)
            status = answer_turn(r, item, &messages, out);
    }
    vklm_messages_finish(&messages);
    return status;
}

// --- The run ---

// One write for the line and its end: a line without its end is an answer that is not there.
static vklm_status write_line(batch_run *r, const cJSON *line)
{
    char *text = cJSON_PrintUnformatted(line);
    if (!text)
        return vklm_fail_memory("an answer");
    fprintf(r->stream, "%s\n", text);
    cJSON_free(text);
    if (fflush(r->stream) != 0)
        return vklm_fail(VKLM_IO_ERROR, "%s: cannot write", r->stream_path.data);
    return VKLM_OK;
}

// What is wrong with one question is its answer; what is wrong with the device or the disk ends the
// run.
static bool is_of_item(vklm_status status)
{
    return status == VKLM_CONTEXT_FULL || status == VKLM_INVALID_ARGUMENT ||
           status == VKLM_BAD_FILE || status == VKLM_UNSUPPORTED;
}

static vklm_status do_item(batch_run *r, const vklm_batch_item *item)
{
    vklm_batch_answer a = {.texts = cJSON_CreateArray()};
    vklm_status status = a.texts ? VKLM_OK : vklm_fail_memory("an answer");
    if (status == VKLM_OK)
        status = answer_item(r, item, &a);
    bool failed = is_of_item(status);
    const char *error = failed ? vklm_error_message() : NULL;
    if (failed && (r->source.strict || r->source.form == VKLM_BATCH_EVAL)) {
        vklm_fail_prefix(status, "%s, line %zu", r->source.path, item->line);
    } else if (failed || status == VKLM_OK) {
        r->n_errors += failed;
        cJSON *line = vklm_batch_line(r->source.form, item, &a, error);
        status = line ? write_line(r, line) : vklm_fail_memory("an answer");
        cJSON_Delete(line);
    }
    cJSON_Delete(a.texts);
    return status;
}

static void on_bad_line(const char *path, size_t line, const char *message)
{
    fprintf(stderr, "warning: %s, line %zu is left out: %s\n", path, line, message);
}

static vklm_status open_stream(batch_run *r)
{
    r->stream = fopen(r->stream_path.data, "a");
    return r->stream ? VKLM_OK : vklm_fail(VKLM_IO_ERROR, "%s: cannot write", r->stream_path.data);
}

// What needs no device first.
static vklm_status prepare(batch_run *r)
{
    bool eval = r->source.form == VKLM_BATCH_EVAL, needs_template = false;
    vklm_string_print(&r->stream_path, "%s%s", r->out_path, eval ? ".partial" : "");
    vklm_status status = r->stream_path.failed ? vklm_fail_memory("a path") : VKLM_OK;
    if (status == VKLM_OK && eval && vklm_file_exists(r->out_path))
        status = vklm_fail(VKLM_INVALID_ARGUMENT, "%s is there already", r->out_path);
    if (status == VKLM_OK)
        status = vklm_batch_read(&r->source, &r->batch);
    if (status == VKLM_OK)
        status = vklm_batch_take_old(&r->batch, r->source.path, r->stream_path.data, &r->n_old);
    for (size_t i = r->n_old; i < r->batch.n; i++)
        needs_template |= !r->batch.items[i].raw;
    if (status == VKLM_OK)
        status = vklm_tokenizer_open(r->engine_params.model_dir, &r->tokenizer);
    if (status == VKLM_OK && needs_template)
        status = vklm_chat_template_open(r->engine_params.model_dir, &r->chat_template);
    if (status == VKLM_OK)
        status = open_stream(r);
    if (status == VKLM_OK &&
        (r->source.form == VKLM_BATCH_MT_BENCH || r->source.form == VKLM_BATCH_SAFETY))
        status = vklm_batch_write_metadata(r->out_path, r->engine_params.model_dir);
    return status;
}

static vklm_status answer_all(batch_run *r)
{
    vklm_status status = VKLM_OK;
    if (r->n_old < r->batch.n) {
        status = vklm_model_open(&r->engine_params, &r->engine);
        if (status == VKLM_OK)
            status = vklm_session_create(r->engine, NULL, &r->session);
    }
    if (r->n_old > 0)
        fprintf(stderr, "going on after %zu answers of %zu\n", r->n_old, r->batch.n);
    r->begin = vklm_clock_seconds();
    while (status == VKLM_OK && r->n_old + r->n_done < r->batch.n) {
        status = do_item(r, &r->batch.items[r->n_old + r->n_done]);
        r->n_done += status == VKLM_OK;
    }
    erase_progress();
    if (status == VKLM_CANCELLED)
        vklm_fail(status, "interrupted with %zu answers of %zu; the same command goes on",
                  r->n_old + r->n_done, r->batch.n);
    return status;
}

static void print_summary(const batch_run *r)
{
    double seconds = vklm_clock_seconds() - r->begin;
    size_t n = r->n_old + r->n_done;
    fprintf(stderr, "%zu answer%s in %s", n, n == 1 ? "" : "s", r->out_path);
    if (r->n_errors > 0)
        fprintf(stderr, ", %zu of them errors", r->n_errors);
    if (r->batch.n_bad > 0)
        fprintf(stderr, ", %zu lines left out", r->batch.n_bad);
    fprintf(stderr, " | %zu tokens, %.1f tokens/s\n", r->n_tokens,
            seconds > 0 ? (double)r->n_tokens / seconds : 0);
}

static vklm_status run(batch_run *r)
{
    r->source.on_bad_line = on_bad_line;
    vklm_status status = prepare(r);
    if (status == VKLM_OK)
        status = answer_all(r);
    if (r->stream && fclose(r->stream) != 0 && status == VKLM_OK)
        status = vklm_fail(VKLM_IO_ERROR, "%s: cannot write", r->stream_path.data);
    if (status == VKLM_OK && r->source.form == VKLM_BATCH_EVAL)
        status = vklm_batch_write_eval(&r->batch, r->stream_path.data, r->out_path);
    if (status == VKLM_OK)
        print_summary(r);
    vklm_session_destroy(r->session);
    vklm_engine_close(r->engine);
    vklm_chat_template_close(r->chat_template);
    vklm_tokenizer_close(r->tokenizer);
    vklm_batch_finish(&r->batch);
    vklm_string_finish(&r->stream_path);
    return status;
}

enum {
    OPTION_IN = VKLM_GENERATION_LAST,
    OPTION_OUT,
    OPTION_RECIPE,
    OPTION_CHAT,
    OPTION_NO_CHAT,
    OPTION_STRICT,
    OPTION_SYSTEM,
    OPTION_NO_SYSTEM,
    OPTION_ALLOW_SPECIAL,
    OPTION_BOS,
    OPTION_NO_BOS,
};

// 0, or the exit status.
static int take_option(int o, const char *argument, batch_run *r)
{
    vklm_batch_source *s = &r->source;
    switch (o) {
    case OPTION_IN:
        s->path = argument;
        return 0;
    case OPTION_OUT:
        r->out_path = argument;
        return 0;
    case OPTION_RECIPE:
        return vklm_batch_find_form(argument, &s->form)
                   ? 0
                   : vklm_options_misused("batch", "there is no recipe '%s'", argument);
    case OPTION_CHAT:
    case OPTION_NO_CHAT:
        s->chat = o == OPTION_CHAT;
        return 0;
    case OPTION_STRICT:
        s->strict = true;
        return 0;
    case OPTION_SYSTEM:
    case OPTION_NO_SYSTEM:
        s->system = o == OPTION_SYSTEM ? argument : NULL;
        return 0;
    case OPTION_ALLOW_SPECIAL:
        r->allow_special = true;
        return 0;
    case OPTION_BOS:
    case OPTION_NO_BOS:
        s->add_special_tokens = o == OPTION_BOS;
        return 0;
    }
    int taken = vklm_model_option("batch", o, argument, &r->engine_params);
    if (taken == 0)
        taken = vklm_generation_option("batch", o, argument, &s->generation);
    return taken == 1 ? 0 : 2;
}

int vklm_command_batch(int argc, char **argv)
{
    static const struct option options[] = {
        {"in", required_argument, NULL, OPTION_IN},
        {"out", required_argument, NULL, OPTION_OUT},
        {"recipe", required_argument, NULL, OPTION_RECIPE},
        {"chat", no_argument, NULL, OPTION_CHAT},
        {"no-chat", no_argument, NULL, OPTION_NO_CHAT},
        {"strict", no_argument, NULL, OPTION_STRICT},
        {"system", required_argument, NULL, OPTION_SYSTEM},
        {"no-system", no_argument, NULL, OPTION_NO_SYSTEM},
        {"allow-special", no_argument, NULL, OPTION_ALLOW_SPECIAL},
        {"bos", no_argument, NULL, OPTION_BOS},
        {"no-bos", no_argument, NULL, OPTION_NO_BOS},
        {"help", no_argument, NULL, 'h'},
        VKLM_GENERATION_OPTIONS,
        VKLM_MODEL_OPTIONS,
        {0}};
    batch_run r = {.source = {.system = VKLM_LLM_JP_SYSTEM, .chat = true}};
    int status = 0;
    for (int o; status == 0 && (o = getopt_long(argc, argv, "n:h", options, NULL)) != -1;) {
        if (o == 'h') {
            fputs(help, stdout);
            return 0;
        }
        status = take_option(o, optarg, &r);
    }
    if (status == 0 && (optind != argc - 1 || !r.source.path || !r.out_path))
        status = vklm_options_misused("batch", "takes one model folder, --in and --out");
    if (status == 0) {
        r.engine_params.model_dir = argv[optind];
        vklm_console_open(VKLM_LOG_INFO);
        vklm_console_catch_interrupt();
        status = run(&r) == VKLM_OK ? 0 : vklm_options_failed();
    }
    vklm_generation_finish(&r.source.generation);
    return status;
}
