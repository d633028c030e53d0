// base/utf8.h: UTF-8 by RFC 3629 (no surrogates, no overlong forms, nothing above U+10FFFF).
#ifndef VKLM_BASE_UTF8_H
#define VKLM_BASE_UTF8_H

#include <stddef.h>

// Bytes of the first well-formed character of text[0..len), 1 to 4; 0 when there is none.
size_t vklm_utf8_length(const char *text, size_t len);

// Offset of the first byte that does not belong to a well-formed character; `len` when all do.
size_t vklm_utf8_check(const char *text, size_t len);

// How many bytes at the end of text[0..len) are the beginning of a character that more bytes could
// complete: 0 to 3.
size_t vklm_utf8_incomplete_tail(const char *text, size_t len);

#endif
