// text/jinja_text.h: what Python's str does, on UTF-8.
#ifndef VKLM_TEXT_JINJA_TEXT_H
#define VKLM_TEXT_JINJA_TEXT_H

#include "text/jinja_value.h"

// Bytes of white space (str.isspace) at the start and at the end.
size_t vklm_jinja_leading_space(const char *text, size_t len);
size_t vklm_jinja_trailing_space(const char *text, size_t len);

// What stands between the quotes of a string literal.
vklm_jinja_value vklm_jinja_unescape(vklm_jinja_machine *m, vklm_jinja_text text);

// Without the characters of `chars` (NULL: white space) at its ends.
vklm_jinja_text vklm_jinja_strip(vklm_jinja_machine *m, vklm_jinja_text text,
                                 const vklm_jinja_text *chars, bool left, bool right);

// The parts between separators (NULL: runs of white space), at most `most` cuts (-1: any number).
vklm_jinja_value vklm_jinja_split(vklm_jinja_machine *m, vklm_jinja_text text,
                                  const vklm_jinja_text *separator, int64_t most);

// `most` -1: all. An empty `from` stands before each character and at the end.
vklm_jinja_value vklm_jinja_replace(vklm_jinja_machine *m, vklm_jinja_text text,
                                    vklm_jinja_text from, vklm_jinja_text to, int64_t most);

// Case is known for ASCII and for scripts without case; a text with other letters fails.
typedef enum {
    VKLM_JINJA_UPPER,
    VKLM_JINJA_LOWER,
    VKLM_JINJA_CAPITALIZE, // first upper, rest lower
    VKLM_JINJA_TITLE,      // the same for each run of letters (the method)
    VKLM_JINJA_WORDS,      // … for each word after white space or one of -({[< (the filter)
} vklm_jinja_case;
vklm_jinja_value vklm_jinja_recase(vklm_jinja_machine *m, vklm_jinja_text text,
                                   vklm_jinja_case how);

// In characters.
size_t vklm_jinja_text_length(vklm_jinja_machine *m, vklm_jinja_text text);

// The byte offset of the first `part` in `text`, or SIZE_MAX.
size_t vklm_jinja_text_find(vklm_jinja_machine *m, vklm_jinja_text text, vklm_jinja_text part);

bool vklm_jinja_starts_with(vklm_jinja_text text, vklm_jinja_text part);
bool vklm_jinja_ends_with(vklm_jinja_text text, vklm_jinja_text part);

#endif
