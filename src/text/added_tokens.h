// text/added_tokens.h: tokens that are cut out of a text before it is segmented, such as "</s>", as
// huggingface/tokenizers does it (tokenizer/added_vocabulary.rs: find_matches).
#ifndef VKLM_TEXT_ADDED_TOKENS_H
#define VKLM_TEXT_ADDED_TOKENS_H

#include "text/trie.h"

typedef struct {
    vklm_string content; // as it is looked for: normalized if the token is
    uint32_t id;
    bool single_word; // only where no word character touches it
    bool lstrip;      // takes the white space on its left with it
    bool rstrip;      // … on its right
    bool special;
} vklm_added_token;

// A set of tokens that are looked for together. All-zero is empty.
typedef struct {
    vklm_added_token *tokens; // [n]
    size_t n, capacity;
    vklm_trie trie; // of their contents; values are places in `tokens`
} vklm_added_tokens;

// Appends a token and takes its content over, also on failure.
vklm_status vklm_added_tokens_add(vklm_added_tokens *set, const vklm_added_token *token);

// To be called once, after the last token was added.
vklm_status vklm_added_tokens_build(vklm_added_tokens *set);
void vklm_added_tokens_finish(vklm_added_tokens *set);

// Where a search has come to. Starts all-zero.
typedef struct {
    size_t done; // text[0..done) has been handed out
    size_t next; // the search goes on here: behind the last match, without the space it took
} vklm_added_search;

// What lies ahead: text[*out_start..*out_end) is a gap, followed by `token`; no token at the end of
// text.
typedef struct {
    size_t gap_start, gap_end; // may be empty
    const vklm_added_token *token;
} vklm_added_match;

// The next token in text[0..len), valid UTF-8: leftmost, longest, not overlapping. With
// `plain_special` special tokens are text. The last match of a text has no token.
vklm_added_match vklm_added_tokens_next(const vklm_added_tokens *set, vklm_added_search *search,
                                        const char *text, size_t len, bool plain_special);

#endif
