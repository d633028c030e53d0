// vklm tokenize, vklm detokenize
#include "vklm/commands.h"

#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <vklm/vklm.h>

#include "base/json.h"
#include "vklm/messages.h"
#include "vklm/options.h"

static const char tokenize_help[] =
    "usage: vklm tokenize MODEL [TEXT] [--bos] [--json]\n"
    "       vklm tokenize MODEL --jsonl [--bos]\n\n"
    "Prints the token ids of a text, by default that of standard input, just as it is. MODEL is a\n"
    "folder with a tokenizer.json; needs no device.\n\n"
    "      --bos               put in front what the model begins with (<s>)\n"
    "      --json              print {\"ids\":[...],\"pieces\":[...]}\n"
    "      --jsonl             answer each line of standard input: {\"text\":\"...\"} by "
    "{\"ids\":[...]},\n"
    "                          {\"ids\":[...]} by "
    "{\"text\":\"...\",\"text_skip_special\":\"...\"},\n"
    "                          {\"messages\":[...],\"add_generation_prompt\":true} by what the "
    "model's "
    "chat\n"
    "                          template makes of them, {\"text\":\"...\",\"ids\":[...]}, and one "
    "that "
    "fails\n"
    "                          by {\"error\":\"...\"}\n";

static const char detokenize_help[] =
    "usage: vklm detokenize MODEL [ID...] [--skip-special]\n\n"
    "Prints the text of token ids, separated by spaces or commas, by default those of standard "
    "input.\n"
    "MODEL is a folder with a tokenizer.json; needs no device.\n\n"
    "      --skip-special      leave special tokens such as </s> out\n";

// A text and its ids, one made from the other. All-zero is empty.
typedef struct {
    vklm_string text;
    uint32_t *ids;
    size_t n;
} work;

static void finish_work(work *w)
{
    vklm_string_finish(&w->text);
    vklm_free(w->ids);
    *w = (work){0};
}

static vklm_status encode(const vklm_tokenizer *t, work *w, bool bos)
{
    vklm_encode_params params = {.add_special_tokens = bos};
    vklm_string_append(&w->text, "", 0);
    if (w->text.failed)
        return vklm_fail_memory("the text");
    return vklm_tokenizer_encode(t, w->text.data, w->text.len, &params, &w->ids, &w->n);
}

static void append_ids(vklm_string *out, const uint32_t *ids, size_t n, const char *between)
{
    for (size_t i = 0; i < n; i++)
        vklm_string_print(out, "%s%u", i ? between : "", ids[i]);
}

static void append_ids_member(vklm_string *out, const work *w)
{
    vklm_string_print(out, "\"ids\":[");
    append_ids(out, w->ids, w->n, ",");
    vklm_string_print(out, "]");
}

// Prints a line and clears it. False when memory or the output failed.
static bool print_line(vklm_string *line)
{
    vklm_string_append(line, "\n", 1);
    bool good = !line->failed && fwrite(line->data, 1, line->len, stdout) == line->len &&
                fflush(stdout) == 0;
    if (!good)
        vklm_fail(VKLM_IO_ERROR, "cannot write to standard output");
    line->len = 0;
    return good;
}

static void append_text_member(vklm_string *out, const char *name, const char *text, size_t len)
{
    vklm_string_print(out, "\"%s\":", name);
    vklm_json_quote(out, text, len);
}

// {"ids":[...]} -> {"text":"...","text_skip_special":"..."}
static vklm_status answer_ids(const vklm_tokenizer *t, const cJSON *ids, vklm_string *out)
{
    work w = {0};
    const cJSON *item;
    char *text[2] = {NULL, NULL};
    size_t len[2] = {0, 0};
    vklm_status status = VKLM_OK;
    w.ids = vklm_alloc((size_t)cJSON_GetArraySize(ids), sizeof *w.ids);
    if (!w.ids)
        return vklm_fail_memory("the ids");
    cJSON_ArrayForEach(item, ids)
    {
        double id = cJSON_IsNumber(item) ? item->valuedouble : -1;
        if (!(id >= 0 && id <= UINT32_MAX && id == floor(id))) {
            status = vklm_fail(VKLM_INVALID_ARGUMENT, "ids[%zu] must be a token id", w.n);
            break;
        }
        w.ids[w.n++] = (uint32_t)id;
    }
    for (int skip = 0; status == VKLM_OK && skip < 2; skip++)
        status = vklm_tokenizer_decode(t, w.ids, w.n, skip, &text[skip], &len[skip]);
    if (status == VKLM_OK) {
        append_text_member(out, "text", text[0], len[0]);
        vklm_string_print(out, ",");
        append_text_member(out, "text_skip_special", text[1], len[1]);
    }
    vklm_free(text[0]);
    vklm_free(text[1]);
    finish_work(&w);
    return status;
}

// {"text":"..."} -> {"ids":[...]}
static vklm_status answer_text(const vklm_tokenizer *t, const cJSON *text, bool bos,
                               vklm_string *out)
{
    work w = {0};
    vklm_json_text(text, &w.text);
    vklm_status status = encode(t, &w, bos);
    if (status == VKLM_OK)
        append_ids_member(out, &w);
    finish_work(&w);
    return status;
}

// {"messages":[...],"add_generation_prompt":true} -> {"text":"...","ids":[...]}. The template
// brings its own <s>, and special tokens that a message spells out are real ones, as in Hugging
// Face.
static vklm_status answer_messages(const vklm_tokenizer *t, const vklm_chat_template *chat_template,
                                   const cJSON *line, vklm_string *out)
{
    vklm_messages messages = {0};
    work w = {0};
    char *text = NULL;
    size_t len = 0;
    const cJSON *generate = cJSON_GetObjectItemCaseSensitive(line, "add_generation_prompt");
    vklm_status status =
        vklm_messages_read(cJSON_GetObjectItemCaseSensitive(line, "messages"), &messages);
    if (status == VKLM_OK)
        status = vklm_chat_template_render(chat_template, messages.items, messages.n,
                                           cJSON_IsTrue(generate), &text, &len);
    if (status == VKLM_OK) {
        append_text_member(out, "text", text, len);
        vklm_string_append(&w.text, text, len);
        status = encode(t, &w, false);
    }
    if (status == VKLM_OK) {
        vklm_string_print(out, ",");
        append_ids_member(out, &w);
    }
    vklm_free(text);
    finish_work(&w);
    vklm_messages_finish(&messages);
    return status;
}

// What answers lines. The chat template is opened by the first line that needs it.
typedef struct {
    const vklm_tokenizer *tokenizer;
    const char *model_dir;
    vklm_chat_template *chat_template;
    bool bos;
} answerer;

// The members of the answer to one line, without braces.
static vklm_status answer_line(answerer *a, const char *line, size_t len, size_t number,
                               vklm_string *out)
{
    char name[32];
    cJSON *json;
    snprintf(name, sizeof name, "line %zu", number);
    vklm_status status = vklm_json_parse(line, len, name, &json);
    if (status != VKLM_OK)
        return status;
    const cJSON *text = cJSON_GetObjectItemCaseSensitive(json, "text");
    const cJSON *ids = cJSON_GetObjectItemCaseSensitive(json, "ids");
    bool is_chat = cJSON_GetObjectItemCaseSensitive(json, "messages") != NULL;
    if (is_chat && !a->chat_template)
        status = vklm_chat_template_open(a->model_dir, &a->chat_template);
    if (status == VKLM_OK && is_chat)
        status = answer_messages(a->tokenizer, a->chat_template, json, out);
    else if (status == VKLM_OK && cJSON_IsString(text))
        status = answer_text(a->tokenizer, text, a->bos, out);
    else if (status == VKLM_OK && cJSON_IsArray(ids))
        status = answer_ids(a->tokenizer, ids, out);
    else if (status == VKLM_OK)
        status = vklm_fail(VKLM_INVALID_ARGUMENT, "%s: wanted a text, ids or messages", name);
    cJSON_Delete(json);
    return status;
}

static int answer_lines(answerer *a)
{
    char *line = NULL;
    size_t capacity = 0;
    vklm_string out = {0};
    bool good = true;
    for (size_t number = 1; good; number++) {
        ssize_t len = getline(&line, &capacity, stdin);
        if (len < 0)
            break;
        vklm_string_print(&out, "{");
        size_t before = out.len;
        if (answer_line(a, line, (size_t)len, number, &out) != VKLM_OK) {
            out.len = before;
            append_text_member(&out, "error", vklm_error_message(), strlen(vklm_error_message()));
        }
        vklm_string_print(&out, "}");
        good = print_line(&out);
    }
    vklm_string_finish(&out);
    free(line);
    return good ? 0 : vklm_options_failed();
}

static int tokenize_text(const vklm_tokenizer *t, const char *text, bool bos, bool json)
{
    work w = {0};
    vklm_string line = {0};
    if (text)
        vklm_string_append(&w.text, text, strlen(text));
    else if (!vklm_options_read_stdin(&w.text))
        return 1;
    bool good = encode(t, &w, bos) == VKLM_OK;
    if (good && json) {
        vklm_string_print(&line, "{");
        append_ids_member(&line, &w);
        vklm_string_print(&line, ",\"pieces\":[");
        for (size_t i = 0; i < w.n; i++) {
            const char *piece = vklm_tokenizer_piece(t, w.ids[i]);
            vklm_string_print(&line, i ? "," : "");
            vklm_json_quote(&line, piece, strlen(piece));
        }
        vklm_string_print(&line, "]}");
    } else if (good) {
        append_ids(&line, w.ids, w.n, " ");
    }
    good = good && print_line(&line);
    vklm_string_finish(&line);
    finish_work(&w);
    return good ? 0 : vklm_options_failed();
}

int vklm_command_tokenize(int argc, char **argv)
{
    static const struct option options[] = {{"bos", no_argument, NULL, 'b'},
                                            {"json", no_argument, NULL, 'j'},
                                            {"jsonl", no_argument, NULL, 'l'},
                                            {"help", no_argument, NULL, 'h'},
                                            {0}};
    bool bos = false, json = false, lines = false;
    for (int o; (o = getopt_long(argc, argv, "h", options, NULL)) != -1;) {
        if (o == 'h') {
            fputs(tokenize_help, stdout);
            return 0;
        }
        if (o == '?')
            return 2;
        bos |= o == 'b';
        json |= o == 'j';
        lines |= o == 'l';
    }
    int n_arguments = argc - optind;
    if (n_arguments < 1 || n_arguments > 2)
        return vklm_options_misused("tokenize", "takes a model folder and at most one text");
    if (lines && (json || n_arguments == 2))
        return vklm_options_misused("tokenize", "--jsonl takes no text and no --json");
    vklm_tokenizer *t;
    if (vklm_tokenizer_open(argv[optind], &t) != VKLM_OK)
        return vklm_options_failed();
    answerer a = {.tokenizer = t, .model_dir = argv[optind], .bos = bos};
    int result = lines ? answer_lines(&a)
                       : tokenize_text(t, n_arguments == 2 ? argv[optind + 1] : NULL, bos, json);
    vklm_chat_template_close(a.chat_template);
    vklm_tokenizer_close(t);
    return result;
}

static int detokenize(const char *model_dir, const work *w, bool skip_special)
{
    vklm_tokenizer *t;
    char *text = NULL;
    size_t len;
    vklm_status status = vklm_tokenizer_open(model_dir, &t);
    if (status == VKLM_OK)
        status = vklm_tokenizer_decode(t, w->ids, w->n, skip_special, &text, &len);
    vklm_string line = {0};
    if (status == VKLM_OK) {
        vklm_string_append(&line, text, len);
        status = print_line(&line) ? VKLM_OK : VKLM_IO_ERROR;
    }
    vklm_string_finish(&line);
    vklm_free(text);
    vklm_tokenizer_close(t);
    return status == VKLM_OK ? 0 : vklm_options_failed();
}

int vklm_command_detokenize(int argc, char **argv)
{
    static const struct option options[] = {
        {"skip-special", no_argument, NULL, 's'}, {"help", no_argument, NULL, 'h'}, {0}};
    bool skip_special = false;
    for (int o; (o = getopt_long(argc, argv, "h", options, NULL)) != -1;) {
        if (o == 'h') {
            fputs(detokenize_help, stdout);
            return 0;
        }
        if (o == '?')
            return 2;
        skip_special = true;
    }
    if (optind == argc)
        return vklm_options_misused("detokenize", "takes a model folder and ids");
    const char *model_dir = argv[optind++];
    work w = {0};
    bool from_stdin = optind == argc;
    for (; optind < argc; optind++)
        vklm_string_print(&w.text, "%s ", argv[optind]);
    if (from_stdin && !vklm_options_read_stdin(&w.text))
        return 1;
    vklm_string_append(&w.text, "", 0);
    if (w.text.failed) {
        vklm_fail_memory("the ids");
        return vklm_options_failed();
    }
    int result = 2;
    if (vklm_options_ids("detokenize", w.text.data, &w.ids, &w.n))
        result = detokenize(model_dir, &w, skip_special);
    finish_work(&w);
    return result;
}
