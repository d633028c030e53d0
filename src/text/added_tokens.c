#include "text/added_tokens.h"

#include <stdlib.h>

#include "base/utf8.h"
#include "text/unicode.h"

vklm_status vklm_added_tokens_add(vklm_added_tokens *set, const vklm_added_token *token)
{
    if (!vklm_array_grow(&set->tokens, &set->capacity, set->n + 1, sizeof *set->tokens)) {
        vklm_string content = token->content;
        vklm_string_finish(&content);
        return vklm_fail_memory("added tokens");
    }
    set->tokens[set->n++] = *token;
    return VKLM_OK;
}

vklm_status vklm_added_tokens_build(vklm_added_tokens *set)
{
    vklm_trie_entry *entries = vklm_alloc(set->n, sizeof *entries);
    if (!entries)
        return vklm_fail_memory("added tokens");
    for (size_t i = 0; i < set->n; i++)
        entries[i] =
            (vklm_trie_entry){set->tokens[i].content.data, set->tokens[i].content.len, (uint32_t)i};
    vklm_status status = vklm_trie_init(&set->trie, entries, set->n);
    free(entries);
    return status;
}

void vklm_added_tokens_finish(vklm_added_tokens *set)
{
    for (size_t i = 0; i < set->n; i++)
        vklm_string_finish(&set->tokens[i].content);
    free(set->tokens);
    vklm_trie_finish(&set->trie);
    *set = (vklm_added_tokens){0};
}

static bool touches_word(const char *text, size_t len, size_t start, size_t end)
{
    uint32_t code;
    return (vklm_unicode_last(text, start, &code) && vklm_unicode_is_word(code)) ||
           (vklm_utf8_decode(text + end, len - end, &code) && vklm_unicode_is_word(code));
}

static size_t space_before(const char *text, size_t start)
{
    uint32_t code;
    size_t n;
    while ((n = vklm_unicode_last(text, start, &code)) > 0 && vklm_unicode_is_space(code))
        start -= n;
    return start;
}

static size_t space_after(const char *text, size_t len, size_t end)
{
    uint32_t code;
    size_t n;
    while ((n = vklm_utf8_decode(text + end, len - end, &code)) > 0 && vklm_unicode_is_space(code))
        end += n;
    return end;
}

// The first match at or after *start, accepted or not; its bytes are [*start, *end).
static const vklm_added_token *find_from(const vklm_added_tokens *set, const char *text, size_t len,
                                         size_t *start, size_t *end)
{
    for (; *start < len; ++*start) {
        size_t n;
        uint32_t i = vklm_trie_find_longest(&set->trie, text + *start, len - *start, &n);
        if (i != VKLM_TRIE_NONE) {
            *end = *start + n;
            return &set->tokens[i];
        }
    }
    return NULL;
}

// A match that a flag forbids still uses its text up: the search goes on behind it.
vklm_added_match vklm_added_tokens_next(const vklm_added_tokens *set, vklm_added_search *search,
                                        const char *text, size_t len, bool plain_special)
{
    const vklm_added_token *token;
    size_t start = search->next, end = 0;
    for (; set->n > 0 && (token = find_from(set, text, len, &start, &end)) != NULL; start = end) {
        if ((plain_special && token->special) ||
            (token->single_word && touches_word(text, len, start, end)))
            continue;
        search->next = end;
        size_t from = token->lstrip ? space_before(text, start) : start;
        from = from < search->done ? search->done : from;
        vklm_added_match match = {search->done, from, token};
        search->done = token->rstrip ? space_after(text, len, end) : end;
        return match;
    }
    vklm_added_match rest = {search->done, len, NULL};
    search->done = search->next = len;
    return rest;
}
