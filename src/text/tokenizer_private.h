// text/tokenizer_private.h: what a tokenizer is made of, for the files that read and run it.
#ifndef VKLM_TEXT_TOKENIZER_PRIVATE_H
#define VKLM_TEXT_TOKENIZER_PRIVATE_H

#include <vklm/text.h>

#include "base/json.h"
#include "text/added_tokens.h"
#include "text/decoder.h"
#include "text/ids.h"
#include "text/normalizer.h"
#include "text/unigram.h"

typedef struct {
    size_t offset; // of its NUL-terminated text in vklm_tokenizer.text
    size_t len;
    bool special;
} vklm_piece;

// Invariants, once opened:
//  1. pieces[0 .. n_vocab) are the Unigram vocabulary, in which no piece is there twice;
//     pieces[n_vocab .. n) are added tokens that are not in it.
//  2. All texts are valid UTF-8, and so is whatever normalizer and decoder make of them.
//  3. Nothing changes any more.
struct vklm_tokenizer {
    vklm_string text;
    vklm_piece *pieces; // [n]
    size_t n, n_vocab, capacity;
    vklm_unigram unigram;
    bool *special; // [n_vocab] which of them are special tokens
    vklm_normalizer normalizer;
    vklm_added_tokens raw;        // looked for in the text as it came
    vklm_added_tokens normalized; // … in normalized text
    vklm_ids before, after;       // what add_special_tokens puts around the ids
    vklm_decoder decoder;
};

// A mark is a character of MARK_BYTES bytes that stands inside a spelled-out special token and
// keeps it text.
enum { VKLM_MARK_BYTES = 3 };

// Appends a text with a mark behind the first character of each special token in it.
void vklm_tokenizer_mark(const vklm_tokenizer *tokenizer, const char *text, size_t len,
                         const char *mark, vklm_string *out);

// vklm_tokenizer_encode of a text that may hold marks, which are not part of it.
vklm_status vklm_tokenizer_encode_marked(const vklm_tokenizer *tokenizer, const char *text,
                                         size_t len, const char *mark, uint32_t **out_ids,
                                         size_t *out_n_ids);

// Fills an all-zero tokenizer from a parsed tokenizer.json. The message does not name the file yet.
vklm_status vklm_tokenizer_read(vklm_tokenizer *tokenizer, const cJSON *root);

// Its parts normalizer, pre_tokenizer and decoder.
vklm_status vklm_tokenizer_read_pipeline(vklm_tokenizer *tokenizer, const cJSON *root);

// Its part post_processor; the pieces must be there.
vklm_status vklm_tokenizer_read_template(vklm_tokenizer *tokenizer, const cJSON *root);

// An integer from 0 to limit - 1; false when `item` is anything else.
bool vklm_tokenizer_read_id(const cJSON *item, size_t limit, uint32_t *out_id);

#endif
