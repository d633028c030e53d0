// vklm chat
#include "vklm/commands.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <vklm/vklm.h>

#include "base/file.h"
#include "vklm/answer.h"
#include "vklm/console.h"
#include "vklm/line_reader.h"
#include "vklm/messages.h"
#include "vklm/options.h"

static const char help[] =
    "usage: vklm chat MODEL [OPTION...]\n\n"
    "A conversation in the terminal, by the model's own chat template. MODEL is a Hugging Face "
    "model folder.\n"
    "Ctrl-C stops an answer, Ctrl-D ends the program, /help tells the rest. Without a terminal "
    "each line of\n"
    "standard input is a message.\n\n"
    "      --system TEXT       the system message (default: that of the LLM-jp models)\n"
    "      --no-system         none\n"
    "      --load FILE         go on with a conversation that /save wrote\n"
    "      --allow-special     special tokens such as </s> that you type are real ones, not "
    "text\n" VKLM_GENERATION_OPTIONS_HELP(
        "1024") "  -v, --verbose           say more\n" VKLM_MODEL_OPTIONS_HELP;

static const char commands_help[] =
    "  /reset        begin anew\n"
    "  /undo         take back your last message and its answer\n"
    "  /regen        answer the last message again\n"
    "  /forget       drop the oldest message and its answer, to make room\n"
    "  /save FILE    write the conversation to a file\n"
    "  /load FILE    go on with a conversation from a file\n"
    "  /stats        tokens and speed\n"
    "  /help         this\n"
    "  /quit         leave; so does Ctrl-D\n"
    "A message of several lines: end each line but the last with a backslash, or put \"\"\" before "
    "and behind.\n"
    "A message that begins with a slash: type two. Ctrl-C stops the answer.\n";

typedef struct {
    vklm_engine_params engine_params;
    vklm_generation generation;
    const char *system, *load;
    bool allow_special, verbose;
    vklm_tokenizer *tokenizer;
    vklm_chat_template *chat_template;
    vklm_engine *engine;
    vklm_session *session;
    vklm_messages messages;
    // Of the last answer, and of all.
    size_t n_prompt, n_computed, n_generated;
    double prompt_seconds, seconds;
    size_t n_turns, all_prompt, all_computed, all_generated;
} chat;

static void show(void *opaque, const char *text, size_t len)
{
    (void)opaque;
    fwrite(text, 1, len, stdout);
    fflush(stdout);
}

static void say(const char *text)
{
    fflush(stdout);
    fprintf(stderr, "%s\n", text);
}

static void offer_room(const chat *c)
{
    fflush(stdout);
    fprintf(stderr,
            "[The context of %u tokens is full. /forget drops the oldest message, /undo the last "
            "one, /reset "
            "all",
            vklm_session_n_ctx(c->session));
    uint32_t most = vklm_engine_model(c->engine)->n_ctx;
    if (vklm_session_n_ctx(c->session) < most)
        fprintf(stderr, "; vklm chat --ctx %u has more room", most);
    fprintf(stderr, ".]\n");
}

static void count(chat *c, size_t n_prompt, const vklm_answer *a)
{
    c->n_prompt = n_prompt;
    c->n_computed = a->n_computed;
    c->n_generated = a->n_ids;
    c->prompt_seconds = a->prompt_seconds;
    c->seconds = a->seconds;
    c->n_turns++;
    c->all_prompt += n_prompt;
    c->all_computed += a->n_computed;
    c->all_generated += a->n_ids;
}

static void say_how_it_ended(const chat *c, const char *stop)
{
    if (strcmp(stop, "interrupted") == 0)
        say("[stopped]");
    else if (strcmp(stop, "length") == 0)
        fprintf(stderr, "[cut at %u tokens; -n allows more]\n", c->generation.max_tokens);
    else if (strcmp(stop, "context") == 0)
        offer_room(c);
}

// Answers the conversation so far, and adds the answer to it. All that the session holds already
// stays there: the new prompt begins like the old one, answer included.
static vklm_status answer(chat *c)
{
    uint32_t *prompt = NULL;
    size_t n = 0;
    vklm_answer a = {0};
    vklm_answer_params how = {
        .tokenizer = c->tokenizer,
        .generation = &c->generation,
        .engine = c->engine,
        .engine_params = &c->engine_params,
        .on_text = show,
    };
    vklm_console_catch_every_interrupt();
    vklm_status status =
        vklm_chat_template_encode(c->chat_template, c->tokenizer, c->messages.items, c->messages.n,
                                  true, !c->allow_special, &prompt, &n);
    if (status == VKLM_OK)
        status = vklm_answer_generate(c->session, prompt, n, &how, &a);
    if (status == VKLM_OK) {
        printf("\n");
        fflush(stdout);
        say_how_it_ended(c, a.stop);
        count(c, n, &a);
        status = vklm_messages_add(&c->messages, "assistant", a.text.data ? a.text.data : "",
                                   a.text.len);
    }
    vklm_answer_finish(&a);
    vklm_free(prompt);
    return status;
}

// Whether the conversation can go on after a failure, which it says.
static bool recover(const chat *c, vklm_status status)
{
    if (status == VKLM_CONTEXT_FULL) {
        offer_room(c);
        return true;
    }
    if (status == VKLM_CANCELLED) {
        say("[stopped before the answer began]");
        return true;
    }
    bool mild = status == VKLM_INVALID_ARGUMENT || status == VKLM_BAD_FILE ||
                status == VKLM_UNSUPPORTED || status == VKLM_NOT_FOUND || status == VKLM_IO_ERROR;
    if (mild)
        fprintf(stderr, "[%s]\n", vklm_error_message());
    return mild;
}

// A message of the user and its answer; without an answer the message is not kept either.
static vklm_status take_turn(chat *c, const char *text, size_t len)
{
    size_t before = c->messages.n;
    vklm_status status = vklm_messages_add(&c->messages, "user", text, len);
    if (status == VKLM_OK)
        status = answer(c);
    if (status != VKLM_OK)
        vklm_messages_cut(&c->messages, before);
    return status;
}

static bool is_role(const chat *c, size_t i, const char *role)
{
    return i < c->messages.n && strcmp(c->messages.items[i].role, role) == 0;
}

// Messages before the first of the user: the system's.
static size_t first_turn(const chat *c)
{
    size_t i = 0;
    while (i < c->messages.n && !is_role(c, i, "user"))
        i++;
    return i;
}

// --- Commands. Each gets what stands behind its name. ---

static vklm_status command_reset(chat *c, const char *argument)
{
    (void)argument;
    vklm_messages_cut(&c->messages, first_turn(c));
    say("[begun anew]");
    return VKLM_OK;
}

static vklm_status command_undo(chat *c, const char *argument)
{
    (void)argument;
    size_t i = c->messages.n;
    while (i > 0 && !is_role(c, i - 1, "user"))
        i--;
    if (i == 0)
        return vklm_fail(VKLM_INVALID_ARGUMENT, "there is no message to take back");
    fprintf(stderr, "[taken back: %s]\n", c->messages.items[i - 1].content);
    vklm_messages_cut(&c->messages, i - 1);
    return VKLM_OK;
}

static vklm_status command_forget(chat *c, const char *argument)
{
    (void)argument;
    size_t first = first_turn(c), next = first + 1;
    if (first == c->messages.n)
        return vklm_fail(VKLM_INVALID_ARGUMENT, "there is no message to forget");
    while (next < c->messages.n && !is_role(c, next, "user"))
        next++;
    fprintf(stderr, "[forgotten: %s]\n", c->messages.items[first].content);
    vklm_messages_remove(&c->messages, first, next - first);
    return VKLM_OK;
}

// The old answer comes back when there is no new one.
static vklm_status command_regen(chat *c, const char *argument)
{
    (void)argument;
    char *old = NULL;
    size_t n = c->messages.n;
    if (n > 0 && is_role(c, n - 1, "assistant")) {
        old = strdup(c->messages.items[n - 1].content ? c->messages.items[n - 1].content : "");
        if (!old)
            return vklm_fail_memory("an answer");
        vklm_messages_cut(&c->messages, --n);
    }
    if (n == 0 || !is_role(c, n - 1, "user")) {
        free(old);
        return vklm_fail(VKLM_INVALID_ARGUMENT, "there is no message to answer");
    }
    vklm_status status = answer(c);
    if (status != VKLM_OK && old && vklm_messages_add(&c->messages, "assistant", old, strlen(old)))
        status = VKLM_OUT_OF_MEMORY;
    free(old);
    return status;
}

static vklm_status command_save(chat *c, const char *argument)
{
    vklm_string text = {0};
    vklm_file_writer *writer = NULL;
    if (!*argument)
        return vklm_fail(VKLM_INVALID_ARGUMENT, "/save takes a file name");
    vklm_string_print(&text, "{\"messages\":");
    vklm_messages_print(&c->messages, &text);
    vklm_string_print(&text, "}\n");
    vklm_status status = text.failed ? vklm_fail_memory("a conversation") : VKLM_OK;
    if (status == VKLM_OK)
        status = vklm_file_writer_open(argument, &writer);
    if (status == VKLM_OK) {
        vklm_file_writer_write(writer, text.data, text.len);
        status = vklm_file_writer_commit(writer);
    }
    vklm_file_writer_close(writer);
    vklm_string_finish(&text);
    if (status == VKLM_OK)
        fprintf(stderr, "[%zu messages saved to %s]\n", c->messages.n, argument);
    return status;
}

enum { MAX_FILE_BYTES = 64 << 20 };

static vklm_status command_load(chat *c, const char *argument)
{
    cJSON *json = NULL;
    vklm_messages messages = {0};
    if (!*argument)
        return vklm_fail(VKLM_INVALID_ARGUMENT, "/load takes a file name");
    vklm_status status = vklm_json_load(argument, MAX_FILE_BYTES, &json);
    if (status == VKLM_OK) {
        status = vklm_messages_read(cJSON_GetObjectItemCaseSensitive(json, "messages"), &messages);
        if (status != VKLM_OK)
            vklm_fail_prefix(status, "%s", argument);
    }
    cJSON_Delete(json);
    if (status != VKLM_OK) {
        vklm_messages_finish(&messages);
        return status;
    }
    vklm_messages_finish(&c->messages);
    c->messages = messages;
    fprintf(stderr, "[%zu messages loaded from %s]\n", messages.n, argument);
    if (messages.n > 0 && is_role(c, messages.n - 1, "user"))
        say("[the last one has no answer yet: /regen]");
    return VKLM_OK;
}

static double per_second(size_t n, double seconds)
{
    return seconds > 0 ? (double)n / seconds : 0;
}

static vklm_status command_stats(chat *c, const char *argument)
{
    (void)argument;
    uint32_t n_held;
    vklm_session_tokens(c->session, &n_held);
    fprintf(stderr, "context      %u of %u tokens in the KV cache\n", n_held,
            vklm_session_n_ctx(c->session));
    fprintf(stderr,
            "last answer  prompt %zu tokens: %zu computed (%.1f tokens/s), %zu kept from before; "
            "generated %zu "
            "(%.1f tokens/s)\n",
            c->n_prompt, c->n_computed, per_second(c->n_computed, c->prompt_seconds),
            c->n_prompt - c->n_computed, c->n_generated, per_second(c->n_generated, c->seconds));
    fprintf(stderr, "all %-8zu prompt %zu tokens: %zu computed, %zu kept; generated %zu\n",
            c->n_turns, c->all_prompt, c->all_computed, c->all_prompt - c->all_computed,
            c->all_generated);
    fprintf(stderr, "seed         %llu\n", (unsigned long long)vklm_session_seed(c->session));
    return VKLM_OK;
}

static vklm_status command_help(chat *c, const char *argument)
{
    (void)c, (void)argument;
    fputs(commands_help, stderr);
    return VKLM_OK;
}

static vklm_status run_command(chat *c, char *text)
{
    static const struct {
        const char *name;
        vklm_status (*run)(chat *, const char *);
    } commands[] = {
        {"/reset", command_reset},   {"/undo", command_undo}, {"/regen", command_regen},
        {"/forget", command_forget}, {"/save", command_save}, {"/load", command_load},
        {"/stats", command_stats},   {"/help", command_help},
    };
    size_t len = strcspn(text, " ");
    char *argument = text + len + strspn(text + len, " ");
    for (size_t i = strlen(argument); i > 0 && argument[i - 1] == ' '; i--)
        argument[i - 1] = '\0';
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        if (strlen(commands[i].name) == len && strncmp(text, commands[i].name, len) == 0)
            return commands[i].run(c, argument);
    return vklm_fail(VKLM_INVALID_ARGUMENT, "there is no command %.*s; /help lists them", (int)len,
                     text);
}

// Until the end of the input, or a failure that ends all.
static vklm_status talk(chat *c, vklm_line_reader *reader)
{
    vklm_string text = {0};
    vklm_status status = VKLM_OK;
    for (;;) {
        if (!vklm_line_reader_edits(reader))
            vklm_console_release_interrupt();
        vklm_line_result result = vklm_line_reader_read(reader, &text);
        if (result == VKLM_LINE_END || text.failed)
            break;
        if (result == VKLM_LINE_CANCELLED || text.len == 0)
            continue;
        if (strcmp(text.data, "/quit") == 0)
            break;
        if (text.data[0] != '/')
            status = take_turn(c, text.data, text.len);
        else if (text.data[1] == '/')
            status = take_turn(c, text.data + 1, text.len - 1);
        else
            status = run_command(c, text.data);
        if (status != VKLM_OK && !recover(c, status))
            break;
        status = VKLM_OK;
    }
    if (text.failed)
        status = vklm_fail_memory("a message");
    vklm_string_finish(&text);
    return status;
}

// What needs no device first: a model without a template should not wait for gigabytes.
static vklm_status open_all(chat *c)
{
    vklm_status status = vklm_sampling_check(&c->generation.sampling);
    if (status == VKLM_OK)
        status = vklm_tokenizer_open(c->engine_params.model_dir, &c->tokenizer);
    if (status == VKLM_OK)
        status = vklm_chat_template_open(c->engine_params.model_dir, &c->chat_template);
    if (status == VKLM_OK && c->system)
        status = vklm_messages_add(&c->messages, "system", c->system, strlen(c->system));
    if (status == VKLM_OK && c->load)
        status = command_load(c, c->load);
    vklm_console_catch_interrupt();
    if (status == VKLM_OK)
        status = vklm_model_open(&c->engine_params, &c->engine);
    vklm_session_params params = {.sampling = c->generation.sampling,
                                  .progress = vklm_console_prompt_progress};
    if (status == VKLM_OK)
        status = vklm_session_create(c->engine, &params, &c->session);
    return status;
}

static vklm_status run(chat *c)
{
    vklm_line_reader *reader = NULL;
    vklm_status status = open_all(c);
    if (status == VKLM_OK && !(reader = vklm_line_reader_open()))
        status = vklm_fail_memory("the line editor");
    if (status == VKLM_OK && vklm_line_reader_edits(reader))
        fprintf(stderr, "%s, %u tokens of context. /help lists the commands, Ctrl-D leaves.\n",
                c->engine_params.model_dir, vklm_session_n_ctx(c->session));
    if (status == VKLM_OK)
        status = talk(c, reader);
    vklm_line_reader_close(reader);
    vklm_session_destroy(c->session);
    vklm_engine_close(c->engine);
    vklm_chat_template_close(c->chat_template);
    vklm_tokenizer_close(c->tokenizer);
    vklm_messages_finish(&c->messages);
    vklm_generation_finish(&c->generation);
    return status;
}

enum {
    OPTION_SYSTEM = VKLM_GENERATION_LAST,
    OPTION_NO_SYSTEM,
    OPTION_LOAD,
    OPTION_ALLOW_SPECIAL,
};

// 0, or the exit status.
static int take_option(int o, const char *argument, chat *c)
{
    int taken = vklm_model_option("chat", o, argument, &c->engine_params);
    if (taken == 0)
        taken = vklm_generation_option("chat", o, argument, &c->generation);
    if (taken != 0)
        return taken == 1 ? 0 : 2;
    if (o == OPTION_SYSTEM || o == OPTION_NO_SYSTEM)
        c->system = o == OPTION_SYSTEM ? argument : NULL;
    else if (o == OPTION_LOAD)
        c->load = argument;
    else if (o == OPTION_ALLOW_SPECIAL)
        c->allow_special = true;
    else if (o == 'v')
        c->verbose = true;
    else
        return 2;
    return 0;
}

int vklm_command_chat(int argc, char **argv)
{
    static const struct option options[] = {
        {"system", required_argument, NULL, OPTION_SYSTEM},
        {"no-system", no_argument, NULL, OPTION_NO_SYSTEM},
        {"load", required_argument, NULL, OPTION_LOAD},
        {"allow-special", no_argument, NULL, OPTION_ALLOW_SPECIAL},
        {"verbose", no_argument, NULL, 'v'},
        {"help", no_argument, NULL, 'h'},
        VKLM_GENERATION_OPTIONS,
        VKLM_MODEL_OPTIONS,
        {0}};
    chat c = {.generation.max_tokens = 1024, .system = VKLM_LLM_JP_SYSTEM};
    int status = 0;
    for (int o; status == 0 && (o = getopt_long(argc, argv, "n:vh", options, NULL)) != -1;) {
        if (o == 'h') {
            fputs(help, stdout);
            return 0;
        }
        status = take_option(o, optarg, &c);
    }
    if (status == 0 && optind != argc - 1)
        status = vklm_options_misused("chat", "takes one model folder");
    if (status != 0) {
        vklm_generation_finish(&c.generation);
        return status;
    }
    c.engine_params.model_dir = argv[optind];
    vklm_console_open(c.verbose ? VKLM_LOG_DEBUG : VKLM_LOG_WARNING);
    return run(&c) == VKLM_OK ? 0 : vklm_options_failed();
}
