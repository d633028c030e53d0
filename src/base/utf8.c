#include "base/utf8.h"

#include <stdbool.h>

// Table 3-7 of the Unicode standard: for a lead byte, how many bytes follow it and the range of the
// first of them; the others are 80..BF.
static size_t followers(unsigned char lead, unsigned char *low, unsigned char *high)
{
    *low = 0x80, *high = 0xBF;
    if (lead >= 0xC2 && lead <= 0xDF)
        return 1;
    if (lead >= 0xE0 && lead <= 0xEF) {
        *low = lead == 0xE0 ? 0xA0 : 0x80;
        *high = lead == 0xED ? 0x9F : 0xBF;
        return 2;
    }
    if (lead >= 0xF0 && lead <= 0xF4) {
        *low = lead == 0xF0 ? 0x90 : 0x80;
        *high = lead == 0xF4 ? 0x8F : 0xBF;
        return 3;
    }
    return 0;
}

// Well-formed bytes at the start of text, of the `*wanted` that its lead byte asks for (0: no
// lead).
static size_t match(const unsigned char *text, size_t len, size_t *wanted)
{
    *wanted = 0;
    if (len == 0)
        return 0;
    if (text[0] < 0x80)
        return *wanted = 1;
    unsigned char low, high;
    size_t n = followers(text[0], &low, &high);
    if (n == 0)
        return 0;
    *wanted = n + 1;
    size_t i = 1;
    while (i <= n && i < len && text[i] >= low && text[i] <= high) {
        low = 0x80, high = 0xBF;
        i++;
    }
    return i;
}

size_t vklm_utf8_length(const char *text, size_t len)
{
    size_t wanted, got = match((const unsigned char *)text, len, &wanted);
    return wanted && got == wanted ? got : 0;
}

size_t vklm_utf8_check(const char *text, size_t len)
{
    size_t at = 0, n;
    while (at < len && (n = vklm_utf8_length(text + at, len - at)) > 0)
        at += n;
    return at;
}

size_t vklm_utf8_incomplete_tail(const char *text, size_t len)
{
    for (size_t tail = len < 3 ? len : 3; tail > 0; tail--) {
        size_t wanted, got = match((const unsigned char *)text + len - tail, tail, &wanted);
        if (wanted > tail && got == tail)
            return tail;
    }
    return 0;
}

size_t vklm_utf8_decode(const char *text, size_t len, uint32_t *out_code)
{
    static const unsigned char lead_bits[] = {0, 0x7F, 0x1F, 0x0F, 0x07};
    size_t n = vklm_utf8_length(text, len);
    uint32_t code = n ? (unsigned char)text[0] & lead_bits[n] : 0;
    for (size_t i = 1; i < n; i++)
        code = code << 6 | ((unsigned char)text[i] & 0x3F);
    *out_code = code;
    return n;
}

size_t vklm_utf8_encode(uint32_t code, char out[4])
{
    if (code < 0x80) {
        out[0] = (char)code;
        return 1;
    }
    size_t n = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    for (size_t i = n - 1; i > 0; i--, code >>= 6)
        out[i] = (char)(0x80 | (code & 0x3F));
    out[0] = (char)((0xF00u >> n & 0xFF) | code); // C0, E0, F0
    return n;
}
