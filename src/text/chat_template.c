// Chat templates: where a model keeps them, and what they are given.
#include <stdlib.h>
#include <string.h>

#include <vklm/text.h>

#include "base/file.h"
#include "base/utf8.h"
#include "text/jinja.h"
#include "text/tokenizer_private.h"

enum { MAX_FILE_BYTES = 64 << 20, MAX_TEMPLATE_BYTES = 1 << 20 };

struct vklm_chat_template {
    vklm_jinja *jinja;
    cJSON *tokens; // {"bos_token": "<s>", …}
};

// A JSON object of the folder. Without the file *out_json is NULL, and that is fine.
static vklm_status load_json(const char *model_dir, const char *name, cJSON **out_json)
{
    vklm_string path = {0};
    vklm_file_join(&path, model_dir, name);
    vklm_status status = path.failed ? vklm_fail_memory("a path") : VKLM_OK;
    *out_json = NULL;
    if (status == VKLM_OK && vklm_file_exists(path.data))
        status = vklm_json_load(path.data, MAX_FILE_BYTES, out_json);
    if (status == VKLM_OK && *out_json && !cJSON_IsObject(*out_json))
        status = vklm_fail(VKLM_BAD_FILE, "%s: wanted an object, found %s", path.data,
                           vklm_json_kind(*out_json));
    vklm_string_finish(&path);
    return status;
}

// The text of a special token, spelled out or as {"content": …}.
static const cJSON *token_text(const cJSON *object, const char *name)
{
    const cJSON *token = cJSON_GetObjectItemCaseSensitive(object, name);
    if (cJSON_IsObject(token))
        token = cJSON_GetObjectItemCaseSensitive(token, "content");
    return cJSON_IsString(token) ? token : NULL;
}

// As in transformers: special_tokens_map.json overrides tokenizer_config.json unless the latter
// lists its added tokens, which newer versions do.
static vklm_status read_tokens(const cJSON *config, const cJSON *map, cJSON **out_tokens)
{
    static const char *const names[] = {"bos_token", "eos_token", "unk_token", "sep_token",
                                        "pad_token", "cls_token", "mask_token"};
    bool is_old = !cJSON_GetObjectItemCaseSensitive(config, "added_tokens_decoder");
    *out_tokens = cJSON_CreateObject();
    bool good = *out_tokens;
    for (size_t i = 0; good && i < sizeof names / sizeof *names; i++) {
        const cJSON *text = is_old ? token_text(map, names[i]) : NULL;
        text = text ? text : token_text(config, names[i]);
        if (text)
            good = cJSON_AddStringToObject(*out_tokens, names[i], text->valuestring);
    }
    return good ? VKLM_OK : vklm_fail_memory("a chat template");
}

// chat_template of tokenizer_config.json: a text, or a list of {"name", "template"}.
static vklm_status find_template(const cJSON *config, const char *model_dir, vklm_string *out)
{
    const cJSON *found = cJSON_GetObjectItemCaseSensitive(config, "chat_template"), *item;
    if (cJSON_IsArray(found)) {
        const cJSON *list = found;
        found = NULL;
        cJSON_ArrayForEach(item, list)
        {
            const cJSON *name = cJSON_GetObjectItemCaseSensitive(item, "name");
            if (cJSON_IsString(name) && strcmp(name->valuestring, "default") == 0)
                found = cJSON_GetObjectItemCaseSensitive(item, "template");
        }
    }
    if (!found || cJSON_IsNull(found))
        return vklm_fail(VKLM_NOT_FOUND, "%s: the model has no chat template", model_dir);
    if (!cJSON_IsString(found))
        return vklm_fail(VKLM_BAD_FILE,
                         "%s/tokenizer_config.json: chat_template must be a string, "
                         "not %s",
                         model_dir, vklm_json_kind(found));
    vklm_json_text(found, out);
    return out->failed ? vklm_fail_memory("a chat template") : VKLM_OK;
}

static vklm_status parse_template(vklm_chat_template *t, const char *model_dir, const cJSON *config)
{
    vklm_string path = {0}, source = {0};
    vklm_file_join(&path, model_dir, "chat_template.jinja");
    vklm_status status = path.failed ? vklm_fail_memory("a path") : VKLM_OK;
    if (status == VKLM_OK && vklm_file_exists(path.data)) {
        status = vklm_file_read(path.data, MAX_TEMPLATE_BYTES, &source);
    } else if (status == VKLM_OK) {
        path.len = 0;
        vklm_file_join(&path, model_dir, "tokenizer_config.json: chat_template");
        status = find_template(config, model_dir, &source);
    }
    if (status == VKLM_OK) {
        status = vklm_jinja_create(source.data ? source.data : "", source.len, &t->jinja);
        if (status != VKLM_OK)
            vklm_fail_prefix(status, "%s", path.data);
    }
    vklm_string_finish(&path);
    vklm_string_finish(&source);
    return status;
}

vklm_status vklm_chat_template_open(const char *model_dir, vklm_chat_template **out_template)
{
    *out_template = NULL;
    cJSON *config = NULL, *map = NULL;
    vklm_chat_template *t = vklm_alloc(1, sizeof *t);
    vklm_status status = t ? VKLM_OK : vklm_fail_memory("a chat template");
    if (status == VKLM_OK)
        status = load_json(model_dir, "tokenizer_config.json", &config);
    if (status == VKLM_OK)
        status = load_json(model_dir, "special_tokens_map.json", &map);
    if (status == VKLM_OK)
        status = read_tokens(config, map, &t->tokens);
    if (status == VKLM_OK)
        status = parse_template(t, model_dir, config);
    if (status == VKLM_OK)
        *out_template = t;
    else
        vklm_chat_template_close(t);
    cJSON_Delete(config);
    cJSON_Delete(map);
    return status;
}

void vklm_chat_template_close(vklm_chat_template *chat_template)
{
    if (!chat_template)
        return;
    vklm_jinja_destroy(chat_template->jinja);
    cJSON_Delete(chat_template->tokens);
    free(chat_template);
}

static vklm_status check_text(const char *text, size_t index, const char *name)
{
    size_t len = text ? strlen(text) : 0, good = vklm_utf8_check(text, len);
    if (good == len)
        return VKLM_OK;
    return vklm_fail(VKLM_INVALID_ARGUMENT, "the %s of message %zu is not valid UTF-8 at byte %zu",
                     name, index, good);
}

// A member whose text stays the caller's.
static bool add_text(cJSON *object, const char *name, const char *text)
{
    cJSON *item = text ? cJSON_CreateStringReference(text) : cJSON_CreateNull();
    return cJSON_AddItemToObject(object, name, item);
}

static vklm_status add_messages(cJSON *variables, const vklm_chat_message *messages, size_t n)
{
    cJSON *list = cJSON_AddArrayToObject(variables, "messages");
    bool good = list;
    for (size_t i = 0; good && i < n; i++) {
        vklm_status status = check_text(messages[i].role, i, "role");
        if (status == VKLM_OK)
            status = check_text(messages[i].content, i, "content");
        if (status != VKLM_OK)
            return status;
        cJSON *message = cJSON_CreateObject();
        good = cJSON_AddItemToArray(list, message) && add_text(message, "role", messages[i].role) &&
               add_text(message, "content", messages[i].content);
    }
    return good ? VKLM_OK : vklm_fail_memory("the messages");
}

vklm_status vklm_chat_template_render(const vklm_chat_template *chat_template,
                                      const vklm_chat_message *messages, size_t n,
                                      bool add_generation_prompt, char **out_text, size_t *out_len)
{
    *out_text = NULL;
    *out_len = 0;
    vklm_string text = {0};
    cJSON *variables = cJSON_Duplicate(chat_template->tokens, true);
    bool good = variables && cJSON_AddNullToObject(variables, "tools") &&
                cJSON_AddNullToObject(variables, "documents") &&
                cJSON_AddBoolToObject(variables, "add_generation_prompt", add_generation_prompt);
    vklm_status status =
        good ? add_messages(variables, messages, n) : vklm_fail_memory("the messages");
    vklm_string_append(&text, "", 0);
    if (status == VKLM_OK) {
        status = vklm_jinja_render(chat_template->jinja, variables, &text);
        if (status != VKLM_OK)
            vklm_fail_prefix(status, "chat template");
    }
    cJSON_Delete(variables);
    if (status != VKLM_OK) {
        vklm_string_finish(&text);
        return status;
    }
    *out_text = text.data;
    *out_len = text.len;
    return VKLM_OK;
}

// The first of Unicode's noncharacters U+FDD0 to U+FDEF that is in no message.
static vklm_status choose_mark(const vklm_chat_message *messages, size_t n,
                               char out_mark[VKLM_MARK_BYTES + 1])
{
    for (uint32_t code = 0xFDD0; code <= 0xFDEF; code++) {
        bool used = false;
        out_mark[vklm_utf8_encode(code, out_mark)] = '\0';
        for (size_t i = 0; i < n && !used; i++)
            used = (messages[i].role && strstr(messages[i].role, out_mark)) ||
                   (messages[i].content && strstr(messages[i].content, out_mark));
        if (!used)
            return VKLM_OK;
    }
    return vklm_fail(VKLM_INVALID_ARGUMENT, "the messages hold every noncharacter of Unicode");
}

// The text with marks in its special tokens, NUL-terminated in `out`; NULL for NULL.
static vklm_status mark_text(const vklm_tokenizer *tokenizer, const char *text, const char *mark,
                             size_t index, vklm_string *out, const char **out_text)
{
    *out_text = NULL;
    vklm_status status = text ? check_text(text, index, "text") : VKLM_OK;
    if (!text || status != VKLM_OK)
        return status;
    vklm_tokenizer_mark(tokenizer, text, strlen(text), mark, out);
    vklm_string_append(out, "", 0);
    *out_text = out->data;
    return out->failed ? vklm_fail_memory("the messages") : VKLM_OK;
}

// Renders with a mark in each special token of the messages, and encodes around the marks.
static vklm_status encode_plain(const vklm_chat_template *chat_template,
                                const vklm_tokenizer *tokenizer, const vklm_chat_message *messages,
                                size_t n, bool add_generation_prompt, uint32_t **out_ids,
                                size_t *out_n_ids)
{
    char mark[VKLM_MARK_BYTES + 1], *text = NULL;
    size_t len;
    vklm_string *strings = vklm_alloc(2 * n, sizeof *strings);
    vklm_chat_message *marked = vklm_alloc(n, sizeof *marked);
    vklm_status status = strings && marked ? VKLM_OK : vklm_fail_memory("the messages");
    if (status == VKLM_OK)
        status = choose_mark(messages, n, mark);
    for (size_t i = 0; i < n && status == VKLM_OK; i++) {
        status = mark_text(tokenizer, messages[i].role, mark, i, &strings[2 * i], &marked[i].role);
        if (status == VKLM_OK)
            status = mark_text(tokenizer, messages[i].content, mark, i, &strings[2 * i + 1],
                               &marked[i].content);
    }
    if (status == VKLM_OK)
        status =
            vklm_chat_template_render(chat_template, marked, n, add_generation_prompt, &text, &len);
    if (status == VKLM_OK)
        status = vklm_tokenizer_encode_marked(tokenizer, text, len, mark, out_ids, out_n_ids);
    for (size_t i = 0; strings && i < 2 * n; i++)
        vklm_string_finish(&strings[i]);
    free(strings);
    free(marked);
    free(text);
    return status;
}

vklm_status vklm_chat_template_encode(const vklm_chat_template *chat_template,
                                      const vklm_tokenizer *tokenizer,
                                      const vklm_chat_message *messages, size_t n,
                                      bool add_generation_prompt, bool plain_special,
                                      uint32_t **out_ids, size_t *out_n_ids)
{
    char *text;
    size_t len;
    *out_ids = NULL;
    *out_n_ids = 0;
    if (plain_special)
        return encode_plain(chat_template, tokenizer, messages, n, add_generation_prompt, out_ids,
                            out_n_ids);
    vklm_status status =
        vklm_chat_template_render(chat_template, messages, n, add_generation_prompt, &text, &len);
    if (status == VKLM_OK)
        status = vklm_tokenizer_encode(tokenizer, text, len, NULL, out_ids, out_n_ids);
    free(text);
    return status;
}
