// tokenizer.json, and a text through what it describes: the ids are tokens, and their text is
// UTF-8.
#include "fuzz/fuzz.h"

#include <assert.h>
#include <string.h>

#include "base/utf8.h"
#include "text/tokenizer_private.h"

static void round_trip(const vklm_tokenizer *t)
{
    static const char text[] = "Hello  world\n 日本語\t<s> a</s>😀";
    uint32_t *ids;
    size_t n, len;
    char *back;
    if (vklm_tokenizer_encode(t, text, sizeof text - 1,
                              &(vklm_encode_params){.add_special_tokens = true}, &ids,
                              &n) != VKLM_OK)
        return;
    for (size_t i = 0; i < n; i++)
        assert(ids[i] < vklm_tokenizer_size(t));
    if (vklm_tokenizer_decode(t, ids, n, false, &back, &len) == VKLM_OK) {
        assert(vklm_utf8_check(back, len) == len);
        vklm_free(back);
    }
    vklm_free(ids);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    cJSON *root;
    if (vklm_json_parse((const char *)data, size, "tokenizer.json", &root) != VKLM_OK)
        return 0;
    vklm_tokenizer *t = vklm_alloc(1, sizeof *t);
    if (t && vklm_tokenizer_read(t, root) == VKLM_OK)
        round_trip(t);
    vklm_tokenizer_close(t);
    cJSON_Delete(root);
    return 0;
}
