// text/unicode.h: the two character classes that added tokens ask for.
#ifndef VKLM_TEXT_UNICODE_H
#define VKLM_TEXT_UNICODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// \s of a Unicode regular expression: the property White_Space.
bool vklm_unicode_is_space(uint32_t code);

// \w: Alphabetic, marks, decimal digits, connector punctuation and joiners (UTS #18, annex C).
bool vklm_unicode_is_word(uint32_t code);

// The last character of text[0..len), which is valid UTF-8, and its bytes; 0 bytes when len is 0.
size_t vklm_unicode_last(const char *text, size_t len, uint32_t *out_code);

#endif
