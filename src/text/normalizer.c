#include "text/normalizer.h"

#include <string.h>

void vklm_normalizer_finish(vklm_normalizer *normalizer)
{
    for (size_t i = 0; i < normalizer->n_steps; i++) {
        vklm_string_finish(&normalizer->steps[i].from);
        vklm_string_finish(&normalizer->steps[i].to);
    }
    *normalizer = (vklm_normalizer){0};
}

void vklm_text_replace(vklm_string *out, const char *text, size_t len, const vklm_string *from,
                       const vklm_string *to)
{
    const char *rest = text, *end = text + len;
    while ((size_t)(end - rest) >= from->len) {
        const char *first = memchr(rest, from->data[0], (size_t)(end - rest) - from->len + 1);
        if (!first)
            break;
        if (memcmp(first, from->data, from->len) == 0) {
            vklm_string_append(out, rest, (size_t)(first - rest));
            vklm_string_append(out, to->data, to->len);
            rest = first + from->len;
        } else {
            vklm_string_append(out, rest, (size_t)(first + 1 - rest));
            rest = first + 1;
        }
    }
    vklm_string_append(out, rest, (size_t)(end - rest));
}

void vklm_normalizer_run(const vklm_normalizer *normalizer, vklm_string *text, vklm_string *scratch)
{
    for (size_t i = 0; i < normalizer->n_steps && text->len > 0; i++) {
        const vklm_normalizer_step *step = &normalizer->steps[i];
        scratch->len = 0;
        scratch->failed = text->failed;
        if (step->from.len == 0) {
            vklm_string_append(scratch, step->to.data, step->to.len);
            vklm_string_append(scratch, text->data, text->len);
        } else {
            vklm_text_replace(scratch, text->data, text->len, &step->from, &step->to);
        }
        vklm_string swap = *text;
        *text = *scratch;
        *scratch = swap;
    }
}
