// Stop strings in streamed text.
#include <stdlib.h>
#include <string.h>

#include <vklm/text.h>

#include "base/array.h"

// Invariants:
// 1. held.data[handed..] is what the caller has not seen; before it is what the last call handed
// out.
// 2. No stop string is complete in it unless `stopped`.
struct vklm_stop_filter {
    char **strings; // [n]
    size_t n;
    vklm_string held;
    size_t handed;
    bool stopped;
};

vklm_status vklm_stop_filter_create(const char *const *strings, size_t n,
                                    vklm_stop_filter **out_filter)
{
    *out_filter = NULL;
    for (size_t i = 0; i < n; i++)
        if (!*strings[i])
            return vklm_fail(VKLM_INVALID_ARGUMENT, "a stop string must not be empty");
    vklm_stop_filter *f = vklm_alloc(1, sizeof *f);
    if (f)
        f->strings = vklm_alloc(n, sizeof *f->strings);
    bool good = f && f->strings;
    for (; good && f->n < n; f->n++)
        good = (f->strings[f->n] = strdup(strings[f->n])) != NULL;
    if (!good) {
        vklm_stop_filter_destroy(f);
        return vklm_fail_memory("stop strings");
    }
    *out_filter = f;
    return VKLM_OK;
}

void vklm_stop_filter_destroy(vklm_stop_filter *filter)
{
    if (!filter)
        return;
    for (size_t i = 0; filter->strings && i < filter->n; i++)
        free(filter->strings[i]);
    free(filter->strings);
    vklm_string_finish(&filter->held);
    free(filter);
}

// Whether text[0..len) begins with a stop string, or (*out_maybe) is the beginning of one.
static bool matches(const vklm_stop_filter *f, const char *text, size_t len, bool *out_maybe)
{
    *out_maybe = false;
    for (size_t i = 0; i < f->n; i++) {
        size_t wanted = strlen(f->strings[i]);
        if (memcmp(text, f->strings[i], len < wanted ? len : wanted) != 0)
            continue;
        if (len >= wanted)
            return true;
        *out_maybe = true;
    }
    return false;
}

// How much of text[0..len) can be shown: up to the first stop string that is complete, or to what
// may become one.
static size_t shown_length(vklm_stop_filter *f, const char *text, size_t len)
{
    size_t first_maybe = len;
    for (size_t at = 0; at < len; at++) {
        bool maybe;
        f->stopped = matches(f, text + at, len - at, &maybe);
        if (f->stopped)
            return at;
        first_maybe = maybe && at < first_maybe ? at : first_maybe;
    }
    return first_maybe;
}

static void forget_handed(vklm_stop_filter *f)
{
    if (f->handed)
        memmove(f->held.data, f->held.data + f->handed, f->held.len - f->handed);
    f->held.len -= f->handed;
    f->handed = 0;
}

vklm_status vklm_stop_filter_push(vklm_stop_filter *filter, const char *text, size_t len,
                                  const char **out_text, size_t *out_len, bool *out_stopped)
{
    *out_text = "";
    *out_len = 0;
    *out_stopped = filter->stopped;
    if (filter->stopped)
        return VKLM_OK;
    forget_handed(filter);
    vklm_string_append(&filter->held, text, len);
    if (filter->held.failed)
        return vklm_fail_memory("a text");
    filter->handed = shown_length(filter, filter->held.data, filter->held.len);
    *out_text = filter->held.data;
    *out_len = filter->handed;
    *out_stopped = filter->stopped;
    return VKLM_OK;
}

vklm_status vklm_stop_filter_flush(vklm_stop_filter *filter, const char **out_text, size_t *out_len)
{
    *out_text = "";
    *out_len = 0;
    if (filter->stopped)
        return VKLM_OK;
    forget_handed(filter);
    vklm_string_append(&filter->held, "", 0);
    if (filter->held.failed)
        return vklm_fail_memory("a text");
    *out_text = filter->held.data;
    *out_len = filter->handed = filter->held.len;
    return VKLM_OK;
}
