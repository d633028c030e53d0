#include "base/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/utf8.h"

// Rewrites every \u0000 escape in place as C0 80 (shorter, so it fits). A backslash that is itself
// escaped does not begin one.
static size_t replace_nul_escapes(char *text, size_t len)
{
    size_t to = 0;
    for (size_t from = 0; from < len;) {
        if (text[from] != '\\' || from + 1 >= len) {
            text[to++] = text[from++];
        } else if (len - from >= 6 && memcmp(text + from, "\\u0000", 6) == 0) {
            text[to++] = (char)0xC0, text[to++] = (char)0x80;
            from += 6;
        } else {
            text[to++] = text[from++];
            text[to++] = text[from++];
        }
    }
    return to;
}

vklm_status vklm_json_parse(const char *text, size_t len, const char *name, cJSON **out_json)
{
    *out_json = NULL;
    size_t good = vklm_utf8_check(text, len);
    if (good < len)
        return vklm_fail(VKLM_BAD_FILE, "%s: not UTF-8 at byte %zu", name, good);
    vklm_string copy = {0};
    vklm_string_append(&copy, text, len);
    if (copy.failed)
        return vklm_fail_memory(name);
    copy.len = replace_nul_escapes(copy.data, copy.len);
    copy.data[copy.len] = '\0';
    const char *end = NULL;
    *out_json = cJSON_ParseWithLengthOpts(copy.data, copy.len + 1, &end, 1);
    vklm_status status = VKLM_OK;
    if (!*out_json)
        status = vklm_fail(VKLM_BAD_FILE, "%s: not valid JSON near byte %zu", name,
                           end ? (size_t)(end - copy.data) : 0);
    vklm_string_finish(&copy);
    return status;
}

vklm_status vklm_json_load(const char *path, size_t max_bytes, cJSON **out_json)
{
    *out_json = NULL;
    vklm_string text = {0};
    vklm_status status = vklm_file_read(path, max_bytes, &text);
    if (status == VKLM_OK)
        status = vklm_json_parse(text.data ? text.data : "", text.len, path, out_json);
    vklm_string_finish(&text);
    return status;
}

void vklm_json_text(const cJSON *string_item, vklm_string *out)
{
    const char *s = string_item->valuestring;
    vklm_string_append(out, "", 0);
    for (const char *nul; (nul = strstr(s, "\xC0\x80")); s = nul + 2) {
        vklm_string_append(out, s, (size_t)(nul - s));
        vklm_string_append(out, "", 1);
    }
    vklm_string_append(out, s, strlen(s));
}

void vklm_json_quote(vklm_string *out, const char *text, size_t len)
{
    vklm_string_append(out, "\"", 1);
    for (size_t i = 0; i < len;) {
        unsigned char c = (unsigned char)text[i];
        size_t n = vklm_utf8_length(text + i, len - i);
        if (n == 0)
            vklm_string_append(out, "\xEF\xBF\xBD", 3);
        else if (c == '"' || c == '\\')
            vklm_string_print(out, "\\%c", c);
        else if (c == '\n')
            vklm_string_append(out, "\\n", 2);
        else if (c < 0x20 || c == 0x7F)
            vklm_string_print(out, "\\u%04x", c);
        else
            vklm_string_append(out, text + i, n);
        i += n ? n : 1;
    }
    vklm_string_append(out, "\"", 1);
}

const char *vklm_json_kind(const cJSON *item)
{
    if (!item)
        return "nothing";
    if (cJSON_IsString(item))
        return "a string";
    if (cJSON_IsNumber(item))
        return "a number";
    if (cJSON_IsBool(item))
        return "a boolean";
    if (cJSON_IsArray(item))
        return "an array";
    return cJSON_IsObject(item) ? "an object" : "null";
}

vklm_json_excerpt vklm_json_show(const cJSON *item)
{
    vklm_json_excerpt shown;
    if (!cJSON_IsString(item)) {
        snprintf(shown.text, sizeof shown.text, "%s", vklm_json_kind(item));
        return shown;
    }
    const char *text = item->valuestring;
    const size_t most = sizeof shown.text - sizeof "\"\"..."; // room for quotes, dots and a NUL
    size_t len = strlen(text), kept = len < most ? len : most;
    kept -= vklm_utf8_incomplete_tail(text, kept);
    snprintf(shown.text, sizeof shown.text, "\"%.*s%s\"", (int)kept, text, kept < len ? "..." : "");
    for (char *c = shown.text; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7F)
            *c = '?';
    return shown;
}
