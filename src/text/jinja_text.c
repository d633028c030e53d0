#include "text/jinja_text.h"

#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "text/unicode.h"

// str.isspace knows the separators U+001C to U+001F beside White_Space.
static bool is_space(uint32_t code)
{
    return vklm_unicode_is_space(code) || (code >= 0x1C && code <= 0x1F);
}

size_t vklm_jinja_leading_space(const char *text, size_t len)
{
    size_t at = 0, n;
    uint32_t code;
    while ((n = vklm_utf8_decode(text + at, len - at, &code)) > 0 && is_space(code))
        at += n;
    return at;
}

size_t vklm_jinja_trailing_space(const char *text, size_t len)
{
    size_t end = len, n;
    uint32_t code;
    while ((n = vklm_unicode_last(text, end, &code)) > 0 && is_space(code))
        end -= n;
    return len - end;
}

// `n_digits` digits of base 8 or 16 at text[0..]: how many there are, and their value.
static size_t read_digits(vklm_jinja_text text, size_t n_digits, unsigned base, uint32_t *out)
{
    static const char digits[] = "0123456789abcdef";
    size_t n = 0;
    for (*out = 0; n < n_digits && n < text.len; n++) {
        char c =
            text.data[n] >= 'A' && text.data[n] <= 'F' ? (char)(text.data[n] + 32) : text.data[n];
        const char *found = memchr(digits, c, base);
        if (!found)
            break;
        *out = *out * base + (uint32_t)(found - digits);
    }
    return n;
}

static void append_code(vklm_jinja_machine *m, vklm_string *s, uint32_t code)
{
    char utf8[4];
    if (code > 0x10FFFF || (code >= 0xD800 && code < 0xE000))
        vklm_jinja_fail(m, VKLM_UNSUPPORTED, "the code point U+%X in a string", code);
    else
        vklm_jinja_append(m, s, utf8, vklm_utf8_encode(code, utf8));
}

// One escape, `text` beginning behind its backslash; returns the bytes used.
static size_t append_escape(vklm_jinja_machine *m, vklm_string *s, vklm_jinja_text text)
{
    static const char simple[] = "\\'\"abfnrtv", meaning[] = "\\'\"\a\b\f\n\r\t\v";
    const char c = *text.data;
    const char *found = memchr(simple, c, sizeof simple - 1);
    uint32_t code;
    if (found) {
        vklm_jinja_append(m, s, meaning + (found - simple), 1);
        return 1;
    }
    if (c == '\n')
        return 1;
    if (c >= '0' && c <= '7') {
        size_t n = read_digits(text, 3, 8, &code);
        append_code(m, s, code);
        return n;
    }
    size_t wanted = c == 'x' ? 2 : c == 'u' ? 4 : c == 'U' ? 8 : 0;
    if (wanted > 0) {
        vklm_jinja_text rest = {text.data + 1, text.len - 1};
        if (read_digits(rest, wanted, 16, &code) < wanted)
            vklm_jinja_fail(m, VKLM_JINJA_WRONG, "a broken \\%c escape in a string", c);
        else
            append_code(m, s, code);
        return 1 + wanted;
    }
    if (c == 'N' || (unsigned char)c >= 0x80)
        vklm_jinja_fail(m, VKLM_UNSUPPORTED, "the escape \\%.*s in a string",
                        (int)vklm_utf8_length(text.data, text.len), text.data);
    vklm_jinja_append(m, s, "\\", 1); // no escape: the backslash stays
    return 0;
}

vklm_jinja_value vklm_jinja_unescape(vklm_jinja_machine *m, vklm_jinja_text text)
{
    vklm_string s = {0};
    const char *slash;
    while (text.len > 1 && m->status == VKLM_OK && (slash = memchr(text.data, '\\', text.len))) {
        size_t before = (size_t)(slash - text.data);
        vklm_jinja_append(m, &s, text.data, before);
        vklm_jinja_text rest = {slash + 1, text.len - before - 1};
        size_t used = append_escape(m, &s, rest);
        if (used > rest.len)
            break;
        text = (vklm_jinja_text){rest.data + used, rest.len - used};
    }
    vklm_jinja_append(m, &s, text.data, text.len);
    return vklm_jinja_take(m, &s);
}

static bool is_in(uint32_t code, const vklm_jinja_text *chars)
{
    uint32_t other;
    size_t n;
    if (!chars)
        return is_space(code);
    for (size_t at = 0; (n = vklm_utf8_decode(chars->data + at, chars->len - at, &other)); at += n)
        if (other == code)
            return true;
    return false;
}

vklm_jinja_text vklm_jinja_strip(vklm_jinja_machine *m, vklm_jinja_text text,
                                 const vklm_jinja_text *chars, bool left, bool right)
{
    uint32_t code;
    size_t n, cost = chars ? chars->len + 1 : 1;
    while (left && (n = vklm_utf8_decode(text.data, text.len, &code)) > 0 && is_in(code, chars) &&
           vklm_jinja_spend(m, cost))
        text.data += n, text.len -= n;
    while (right && (n = vklm_unicode_last(text.data, text.len, &code)) > 0 && is_in(code, chars) &&
           vklm_jinja_spend(m, cost))
        text.len -= n;
    return text;
}

size_t vklm_jinja_text_find(vklm_jinja_machine *m, vklm_jinja_text text, vklm_jinja_text part)
{
    if (part.len == 0)
        return 0;
    for (size_t at = 0; part.len <= text.len - at; at++) {
        const char *found = memchr(text.data + at, part.data[0], text.len - at - part.len + 1);
        if (!found)
            break;
        size_t skipped = (size_t)(found - text.data) - at;
        if (!vklm_jinja_spend(m, skipped / 16 + part.len / 64 + 1))
            break;
        at += skipped;
        if (memcmp(found, part.data, part.len) == 0)
            return at;
    }
    return SIZE_MAX;
}

// Cuts the next part off *text; false when this was the last one.
static bool next_part(vklm_jinja_machine *m, vklm_jinja_text *text,
                      const vklm_jinja_text *separator, bool cut, vklm_jinja_text *out)
{
    size_t end, used;
    if (separator) {
        end = cut ? vklm_jinja_text_find(m, *text, *separator) : SIZE_MAX;
        used = separator->len;
    } else {
        uint32_t code;
        size_t n;
        for (end = 0; cut && (n = vklm_utf8_decode(text->data + end, text->len - end, &code)) > 0 &&
                      !is_space(code);)
            end += n;
        used = vklm_jinja_leading_space(text->data + end, text->len - end);
        if (!cut || end + used == text->len) {
            *out = (vklm_jinja_text){text->data, cut ? end : text->len};
            return false;
        }
    }
    *out = (vklm_jinja_text){text->data, end == SIZE_MAX ? text->len : end};
    if (end == SIZE_MAX)
        return false;
    *text = (vklm_jinja_text){text->data + end + used, text->len - end - used};
    return true;
}

vklm_jinja_value vklm_jinja_split(vklm_jinja_machine *m, vklm_jinja_text text,
                                  const vklm_jinja_text *separator, int64_t most)
{
    if (separator && separator->len == 0) {
        vklm_jinja_fail(m, VKLM_JINJA_WRONG, "split with an empty separator");
        return vklm_jinja_undefined();
    }
    vklm_jinja_spend(m, text.len / 16);
    if (!separator) {
        size_t space = vklm_jinja_leading_space(text.data, text.len);
        text = (vklm_jinja_text){text.data + space, text.len - space};
    }
    vklm_jinja_value *parts = NULL;
    size_t n = 0, capacity = 0;
    bool more = separator || text.len > 0;
    while (more && vklm_jinja_spend(m, 1)) {
        vklm_jinja_text part;
        more = next_part(m, &text, separator, most < 0 || n < (uint64_t)most, &part);
        if (n >= VKLM_JINJA_MAX_HEAP / sizeof *parts ||
            !vklm_array_grow(&parts, &capacity, n + 1, sizeof *parts)) {
            vklm_jinja_fail(m, VKLM_UNSUPPORTED, "the template takes too much memory");
            break;
        }
        parts[n++] = vklm_jinja_string(part);
    }
    vklm_jinja_list *list = vklm_jinja_list_new(m, n, VKLM_JINJA_PLAIN_LIST);
    if (list && n)
        memcpy(list->items, parts, n * sizeof *parts);
    free(parts);
    return vklm_jinja_list_close(m, list);
}

vklm_jinja_value vklm_jinja_replace(vklm_jinja_machine *m, vklm_jinja_text text,
                                    vklm_jinja_text from, vklm_jinja_text to, int64_t most)
{
    vklm_string s = {0};
    for (int64_t done = 0; (most < 0 || done < most) && vklm_jinja_spend(m, 1); done++) {
        size_t at = vklm_jinja_text_find(m, text, from);
        if (at == SIZE_MAX)
            break;
        vklm_jinja_append(m, &s, text.data, at);
        vklm_jinja_append(m, &s, to.data, to.len);
        size_t step = at + from.len;
        if (from.len == 0) {
            step = vklm_utf8_length(text.data, text.len);
            vklm_jinja_append(m, &s, text.data, step);
        }
        text = (vklm_jinja_text){text.data + step, text.len - step};
        if (from.len == 0 && step == 0) // the place behind the last character was it
            break;
    }
    vklm_jinja_append(m, &s, text.data, text.len);
    return vklm_jinja_take(m, &s);
}

// Ranges above ASCII in which no character has case: symbols, kana, han, hangul, private use,
// emoji.
static bool has_no_case(uint32_t code)
{
    static const uint32_t ranges[][2] = {
        {0xA0, 0xA9},     {0xAB, 0xB4},       {0xB6, 0xB9},       {0xBB, 0xBF},
        {0xD7, 0xD7},     {0xF7, 0xF7},       {0x2000, 0x206F},   {0x20A0, 0x20CF},
        {0x2190, 0x24B5}, {0x24EA, 0x2BFF},   {0x2E80, 0xA63F},   {0xAC00, 0xD7FF},
        {0xE000, 0xFAFF}, {0xFDD0, 0xFDEF},   {0xFE00, 0xFF20},   {0xFF3B, 0xFF40},
        {0xFF5B, 0xFFFF}, {0x1F200, 0x1FAFF}, {0x20000, 0x3FFFF},
    };
    for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++)
        if (code >= ranges[i][0] && code <= ranges[i][1])
            return true;
    return false;
}

// Whether the character behind `code` begins a word; `first` at the start of the text.
static bool begins_word(vklm_jinja_case how, bool first, uint32_t before)
{
    bool letter = (before >= 'a' && before <= 'z') || (before >= 'A' && before <= 'Z');
    switch (how) {
    case VKLM_JINJA_UPPER:
        return true;
    case VKLM_JINJA_LOWER:
        return false;
    case VKLM_JINJA_CAPITALIZE:
        return first;
    case VKLM_JINJA_TITLE:
        return first || !letter;
    default:
        return first || is_space(before) ||
               (before > 0 && before < 0x80 && strchr("-({[<", (int)before));
    }
}

vklm_jinja_value vklm_jinja_recase(vklm_jinja_machine *m, vklm_jinja_text text, vklm_jinja_case how)
{
    vklm_string s = {0};
    uint32_t code, before = 0;
    size_t n;
    for (size_t at = 0;
         (n = vklm_utf8_decode(text.data + at, text.len - at, &code)) > 0 && vklm_jinja_spend(m, 1);
         at += n) {
        char c = text.data[at];
        if (code >= 0x80 && !has_no_case(code))
            vklm_jinja_fail(m, VKLM_UNSUPPORTED, "upper or lower case of '%.*s'", (int)n,
                            text.data + at);
        bool upper = begins_word(how, at == 0, before);
        if (upper && c >= 'a' && c <= 'z')
            c = (char)(c - 32);
        else if (!upper && c >= 'A' && c <= 'Z')
            c = (char)(c + 32);
        vklm_jinja_append(m, &s, n == 1 ? &c : text.data + at, n);
        before = code;
    }
    return vklm_jinja_take(m, &s);
}

size_t vklm_jinja_text_length(vklm_jinja_machine *m, vklm_jinja_text text)
{
    size_t n = 0;
    vklm_jinja_spend(m, text.len / 16);
    for (size_t i = 0; i < text.len; i++)
        n += ((unsigned char)text.data[i] & 0xC0) != 0x80;
    return n;
}

bool vklm_jinja_starts_with(vklm_jinja_text text, vklm_jinja_text part)
{
    return part.len <= text.len && (part.len == 0 || memcmp(text.data, part.data, part.len) == 0);
}

bool vklm_jinja_ends_with(vklm_jinja_text text, vklm_jinja_text part)
{
    return part.len <= text.len &&
           (part.len == 0 || memcmp(text.data + text.len - part.len, part.data, part.len) == 0);
}
