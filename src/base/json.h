// base/json.h: cJSON with what it lacks: UTF-8 is checked, strings may hold U+0000, and a missing
// or mistyped member is an error that names it.
//
// cJSON strings end at their first NUL. vklm_json_parse therefore turns the escape \u0000 into the
// two bytes C0 80, which no valid UTF-8 text holds, and vklm_json_text turns them back.
#ifndef VKLM_BASE_JSON_H
#define VKLM_BASE_JSON_H

#include <cjson/cJSON.h>

#include "base/array.h"

// Parses text[0..len). `name` is for the error message. Release with cJSON_Delete.
vklm_status vklm_json_parse(const char *text, size_t len, const char *name, cJSON **out_json);

// Reads and parses a file of at most `max_bytes`.
vklm_status vklm_json_load(const char *path, size_t max_bytes, cJSON **out_json);

// Appends the text of a string item to `out`, U+0000 included.
void vklm_json_text(const cJSON *string_item, vklm_string *out);

// Appends text[0..len) as a JSON string with its quotes. Valid UTF-8 is kept as it is; what is not
// becomes U+FFFD.
void vklm_json_quote(vklm_string *out, const char *text, size_t len);

// What an item is, for an error message: "a string", "an array" …; "nothing" when it is NULL.
const char *vklm_json_kind(const cJSON *item);

// A string for an error message, in quotes, cut short and without control characters; of any other
// item its kind.
typedef struct {
    char text[64];
} vklm_json_excerpt;
vklm_json_excerpt vklm_json_show(const cJSON *item);

#endif
