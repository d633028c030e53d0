// base/utf8.h: UTF-8 by RFC 3629 (no surrogates, no overlong forms, nothing above U+10FFFF).
#ifndef VKLM_BASE_UTF8_H
#define VKLM_BASE_UTF8_H

#include <stddef.h>
#include <stdint.h>

// Bytes of the first well-formed character of text[0..len), 1 to 4; 0 when there is none.
size_t vklm_utf8_length(const char *text, size_t len);

// Offset of the first byte that does not belong to a well-formed character; `len` when all do.
size_t vklm_utf8_check(const char *text, size_t len);

// How many bytes at the end of text[0..len) are the beginning of a character that more bytes could
// complete: 0 to 3.
size_t vklm_utf8_incomplete_tail(const char *text, size_t len);

// The code point of the first character of text[0..len), and its bytes; 0 bytes when there is none.
size_t vklm_utf8_decode(const char *text, size_t len, uint32_t *out_code);

// Writes a code point (not a surrogate, at most U+10FFFF) and gives its bytes, 1 to 4.
size_t vklm_utf8_encode(uint32_t code, char out[4]);

#endif
