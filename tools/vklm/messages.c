#include "vklm/messages.h"

#include <stdlib.h>
#include <string.h>

static char *copy(const char *text, size_t len)
{
    char *s = vklm_alloc(len + 1, 1);
    if (s && len)
        memcpy(s, text, len);
    return s;
}

vklm_status vklm_messages_add(vklm_messages *messages, const char *role, const char *content,
                              size_t content_len)
{
    if (content && memchr(content, '\0', content_len))
        return vklm_fail(VKLM_INVALID_ARGUMENT, "a message must not hold U+0000");
    if (!vklm_array_grow(&messages->items, &messages->capacity, messages->n + 1,
                         sizeof *messages->items))
        return vklm_fail_memory("a message");
    char *new_role = copy(role, strlen(role)), *text = content ? copy(content, content_len) : NULL;
    if (!new_role || (content && !text)) {
        free(new_role);
        free(text);
        return vklm_fail_memory("a message");
    }
    messages->items[messages->n++] = (vklm_chat_message){new_role, text};
    return VKLM_OK;
}

void vklm_messages_remove(vklm_messages *messages, size_t first, size_t n)
{
    for (size_t i = first; i < first + n; i++) {
        free((char *)messages->items[i].role);
        free((char *)messages->items[i].content);
    }
    for (size_t i = first + n; i < messages->n; i++)
        messages->items[i - n] = messages->items[i];
    messages->n -= n;
}

void vklm_messages_cut(vklm_messages *messages, size_t first)
{
    vklm_messages_remove(messages, first, messages->n - first);
}

void vklm_messages_finish(vklm_messages *messages)
{
    vklm_messages_cut(messages, 0);
    free(messages->items);
    *messages = (vklm_messages){0};
}

static vklm_status join_parts(const cJSON *parts, size_t index, vklm_string *out)
{
    const cJSON *part;
    cJSON_ArrayForEach(part, parts)
    {
        const cJSON *type = cJSON_GetObjectItemCaseSensitive(part, "type");
        const cJSON *text = cJSON_GetObjectItemCaseSensitive(part, "text");
        if (!cJSON_IsString(type) || strcmp(type->valuestring, "text") != 0 ||
            !cJSON_IsString(text))
            return vklm_fail(VKLM_INVALID_ARGUMENT,
                             "messages[%zu].content has a part that is not text", index);
        vklm_json_text(text, out);
    }
    return VKLM_OK;
}

static vklm_status read_message(const cJSON *item, size_t index, vklm_messages *messages)
{
    const cJSON *role = cJSON_GetObjectItemCaseSensitive(item, "role");
    const cJSON *content = cJSON_GetObjectItemCaseSensitive(item, "content");
    vklm_string text = {0};
    vklm_status status = VKLM_OK;
    if (!cJSON_IsString(role))
        return vklm_fail(VKLM_INVALID_ARGUMENT, "messages[%zu].role must be a string, not %s",
                         index, vklm_json_kind(role));
    if (cJSON_IsNull(content))
        return vklm_messages_add(messages, role->valuestring, NULL, 0);
    vklm_string_append(&text, "", 0);
    if (cJSON_IsString(content))
        vklm_json_text(content, &text);
    else if (cJSON_IsArray(content))
        status = join_parts(content, index, &text);
    else
        status = vklm_fail(VKLM_INVALID_ARGUMENT, "messages[%zu].content must be a string, not %s",
                           index, vklm_json_kind(content));
    if (status == VKLM_OK && text.failed)
        status = vklm_fail_memory("a message");
    if (status == VKLM_OK)
        status = vklm_messages_add(messages, role->valuestring, text.data, text.len);
    vklm_string_finish(&text);
    return status;
}

vklm_status vklm_messages_read(const cJSON *array, vklm_messages *messages)
{
    const cJSON *item;
    size_t index = 0;
    if (!cJSON_IsArray(array))
        return vklm_fail(VKLM_INVALID_ARGUMENT, "messages must be an array, not %s",
                         vklm_json_kind(array));
    cJSON_ArrayForEach(item, array)
    {
        vklm_status status = read_message(item, index++, messages);
        if (status != VKLM_OK)
            return status;
    }
    return VKLM_OK;
}

void vklm_messages_print(const vklm_messages *messages, vklm_string *out)
{
    vklm_string_append(out, "[", 1);
    for (size_t i = 0; i < messages->n; i++) {
        const vklm_chat_message *m = &messages->items[i];
        vklm_string_print(out, "%s{\"role\":", i ? "," : "");
        vklm_json_quote(out, m->role, strlen(m->role));
        vklm_string_print(out, ",\"content\":");
        if (m->content)
            vklm_json_quote(out, m->content, strlen(m->content));
        else
            vklm_string_print(out, "null");
        vklm_string_append(out, "}", 1);
    }
    vklm_string_append(out, "]", 1);
}
