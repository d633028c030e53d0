// A chat template, rendered with a conversation.
#include "fuzz/fuzz.h"

#include <assert.h>

#include "base/utf8.h"
#include "text/jinja.h"

static const char variables_text[] =
    "{\"bos_token\":\"<s>\",\"eos_token\":\"</"
    "s>\",\"add_generation_prompt\":true,\"tools\":null,\"messages\":["
    "{\"role\":\"system\",\"content\":\" Be brief. "
    "\"},{\"role\":\"user\",\"content\":\"こんにちは\"},"
    "{\"role\":\"assistant\",\"content\":\"はい\"},{\"role\":\"user\",\"content\":\"1+1?\"}]}";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    vklm_jinja *jinja;
    if (size > 4096 || vklm_jinja_create((const char *)data, size, &jinja) != VKLM_OK)
        return 0; // longer templates are only slower
    cJSON *variables;
    vklm_string out = {0};
    if (vklm_json_parse(variables_text, sizeof variables_text - 1, "variables", &variables) ==
        VKLM_OK) {
        if (vklm_jinja_render(jinja, variables, &out) == VKLM_OK && out.data)
            assert(vklm_utf8_check(out.data, out.len) == out.len);
        cJSON_Delete(variables);
    }
    vklm_string_finish(&out);
    vklm_jinja_destroy(jinja);
    return 0;
}
