#include "text/jinja_lexer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "text/jinja_text.h"
#include "text/unicode.h"

typedef struct {
    vklm_jinja_machine *m;
    const char *text; // newlines are \n, and one at the very end is gone
    size_t len, at;
    size_t counted;                     // m->line is right for this offset
    bool line_starting;                 // what was consumed last ended with a newline
    char closing[VKLM_JINJA_MAX_DEPTH]; // brackets that are open inside a tag
    size_t n_closing;
    vklm_jinja_token *tokens;
    size_t n, capacity;
} lexer;

static void count_lines(lexer *x)
{
    for (; x->counted < x->at; x->counted++)
        x->m->line += x->text[x->counted] == '\n';
}

static vklm_jinja_token *add(lexer *x, vklm_jinja_token_type type, size_t start, size_t end)
{
    static vklm_jinja_token nowhere;
    if (!vklm_array_grow(&x->tokens, &x->capacity, x->n + 1, sizeof *x->tokens)) {
        x->m->status = vklm_fail_memory("a chat template");
        return &nowhere;
    }
    vklm_jinja_token *token = &x->tokens[x->n++];
    *token = (vklm_jinja_token){
        .type = type, .line = x->m->line, .text = {x->text + start, end - start}};
    return token;
}

static bool looking_at(const lexer *x, size_t at, const char *literal)
{
    size_t len = strlen(literal);
    return x->len - at >= len && memcmp(x->text + at, literal, len) == 0;
}

static size_t skip_space(const lexer *x, size_t at)
{
    return at + vklm_jinja_leading_space(x->text + at, x->len - at);
}

// Text up to a tag that begins at `end` with the sign `sign`: - strips all white space before it;
// without a sign, a block or comment that stands first on its line strips its indentation.
static void add_data(lexer *x, size_t start, size_t end, char sign, bool is_print)
{
    size_t stop = end;
    if (sign == '-') {
        stop -= vklm_jinja_trailing_space(x->text + start, end - start);
    } else if (sign != '+' && !is_print) {
        size_t line = end;
        while (line > start && x->text[line - 1] != '\n')
            line--;
        bool at_line_start = line > start || x->line_starting;
        if (at_line_start && vklm_jinja_leading_space(x->text + line, end - line) == end - line)
            stop = line;
    }
    if (stop > start)
        add(x, VKLM_JINJA_DATA, start, stop);
}

// Behind a tag's "%}" or "#}" at `close`, which `sign` may precede: where the text goes on.
static size_t after_close(const lexer *x, size_t close, char sign)
{
    size_t at = close + 2;
    if (sign == '-')
        return skip_space(x, at);
    return at + (sign != '+' && at < x->len && x->text[at] == '\n');
}

static void consume(lexer *x, size_t end)
{
    x->at = end;
    x->line_starting = end > 0 && x->text[end - 1] == '\n';
    count_lines(x);
}

static void lex_comment(lexer *x, size_t at)
{
    for (size_t close = at; close + 1 < x->len; close++) {
        if (!looking_at(x, close, "#}"))
            continue;
        char sign = close > at ? x->text[close - 1] : ' ';
        consume(x, after_close(x, close, sign));
        return;
    }
    vklm_jinja_fail(x->m, VKLM_JINJA_WRONG, "a comment without an end");
    x->at = x->len;
}

// Matches {%[-+]? word [-+]?%} at `at`. *out_sign is the sign in front, *out_close where %} is and
// *out_close_sign the one before it.
static bool match_tag(const lexer *x, size_t at, const char *word, char *out_sign,
                      size_t *out_close, char *out_close_sign)
{
    if (!looking_at(x, at, "{%"))
        return false;
    at += 2;
    *out_sign = at < x->len && (x->text[at] == '-' || x->text[at] == '+') ? x->text[at] : ' ';
    at = skip_space(x, at + (*out_sign != ' '));
    if (!looking_at(x, at, word))
        return false;
    at = skip_space(x, at + strlen(word));
    *out_close_sign = at < x->len && (x->text[at] == '-' || x->text[at] == '+') ? x->text[at] : ' ';
    *out_close = at + (*out_close_sign != ' ');
    return looking_at(x, *out_close, "%}");
}

// {% raw %}: everything up to {% endraw %} is text. The opening tag does not eat a newline behind
// it.
static bool lex_raw(lexer *x, size_t start, size_t at)
{
    char sign, close_sign, end_sign, end_close_sign;
    size_t close, end_close;
    if (!match_tag(x, at, "raw", &sign, &close, &close_sign) || close_sign == '+')
        return false;
    add_data(x, start, at, sign, false);
    consume(x, close_sign == '-' ? skip_space(x, close + 2) : close + 2);
    for (size_t end = x->at; end < x->len; end++)
        if (match_tag(x, end, "endraw", &end_sign, &end_close, &end_close_sign)) {
            add_data(x, x->at, end, end_sign, false);
            consume(x, after_close(x, end_close, end_close_sign));
            return true;
        }
    vklm_jinja_fail(x->m, VKLM_JINJA_WRONG, "a raw block without an end");
    x->at = x->len;
    return true;
}

static bool lex_name(lexer *x)
{
    size_t start = x->at, n;
    uint32_t code;
    while ((n = vklm_utf8_decode(x->text + x->at, x->len - x->at, &code)) > 0 &&
           vklm_unicode_is_word(code))
        x->at += n;
    if (x->at > start)
        add(x, VKLM_JINJA_NAME, start, x->at);
    return x->at > start;
}

static size_t skip_digits(const lexer *x, size_t at)
{
    while (at < x->len && ((x->text[at] >= '0' && x->text[at] <= '9') ||
                           (x->text[at] == '_' && at + 1 < x->len && x->text[at + 1] >= '0' &&
                            x->text[at + 1] <= '9')))
        at++;
    return at;
}

static bool is_digit_at(const lexer *x, size_t at)
{
    return at < x->len && x->text[at] >= '0' && x->text[at] <= '9';
}

// Where the float that begins at x->at ends; x->at when it is none. After a dot ("a.0.1") it never
// is.
static size_t float_end(const lexer *x)
{
    size_t whole = skip_digits(x, x->at), at = whole;
    if (x->at > 0 && x->text[x->at - 1] == '.')
        return x->at;
    if (at < x->len && x->text[at] == '.' && is_digit_at(x, at + 1))
        at = skip_digits(x, at + 1);
    if (at < x->len && (x->text[at] == 'e' || x->text[at] == 'E')) {
        size_t digits = at + 1;
        digits += digits < x->len && (x->text[digits] == '+' || x->text[digits] == '-');
        if (is_digit_at(x, digits))
            at = skip_digits(x, digits);
    }
    return at > whole ? at : x->at;
}

static void lex_number(lexer *x)
{
    size_t start = x->at, float_stop = float_end(x);
    size_t end = float_stop > start ? float_stop : skip_digits(x, start);
    char digits[64];
    size_t n = 0;
    for (size_t i = start; i < end && n < sizeof digits - 1; i++)
        if (x->text[i] != '_')
            digits[n++] = x->text[i];
    digits[n] = '\0';
    vklm_jinja_token *token = add(x, VKLM_JINJA_CONSTANT, start, end);
    errno = 0;
    if (float_stop > start)
        token->value = vklm_jinja_float(strtod(digits, NULL));
    else
        token->value = vklm_jinja_int(strtoll(digits, NULL, 10));
    bool other_base =
        digits[0] == '0' && n == 1 && end < x->len && memchr("xXoObB", x->text[end], 6);
    if (n == sizeof digits - 1 || (errno && float_stop == start) || other_base)
        vklm_jinja_fail(x->m, VKLM_UNSUPPORTED, "the number %.20s", digits);
    // Python's integers have no leading zeros; jinja2 reads such digits one number after the other.
    if (float_stop == start && n > 1 && digits[0] == '0' && strspn(digits, "0") < n)
        vklm_jinja_fail(x->m, VKLM_JINJA_WRONG, "the number %.20s begins with 0", digits);
    x->at = end;
}

static void lex_string(lexer *x)
{
    const char quote = x->text[x->at];
    size_t end = x->at + 1;
    while (end < x->len && x->text[end] != quote)
        end += x->text[end] == '\\' ? 2 : 1;
    if (end >= x->len) {
        vklm_jinja_fail(x->m, VKLM_JINJA_WRONG, "a string without an end");
        x->at = x->len;
        return;
    }
    vklm_jinja_token *token = add(x, VKLM_JINJA_CONSTANT, x->at, end + 1);
    token->value =
        vklm_jinja_unescape(x->m, (vklm_jinja_text){x->text + x->at + 1, end - x->at - 1});
    x->at = end + 1;
    count_lines(x);
}

static void balance(lexer *x, char c)
{
    const char *pairs = "()[]{}", *found = strchr(pairs, c);
    if (!found)
        return;
    if ((found - pairs) % 2 == 0) {
        if (x->n_closing == sizeof x->closing)
            vklm_jinja_fail(x->m, VKLM_UNSUPPORTED, "more than %d brackets in each other",
                            VKLM_JINJA_MAX_DEPTH);
        else
            x->closing[x->n_closing++] = found[1];
    } else if (x->n_closing == 0 || x->closing[--x->n_closing] != c) {
        vklm_jinja_fail(x->m, VKLM_JINJA_WRONG, "unexpected '%c'", c);
    }
}

static void lex_operator(lexer *x)
{
    static const char *const operators[] = {"**", "//", "==", "!=", ">=", "<=", "+", "-", "/",
                                            "*",  "%",  "~",  "[",  "]",  "(",  ")", "{", "}",
                                            ">",  "<",  "=",  ".",  ":",  "|",  ",", ";"};
    for (size_t i = 0; i < sizeof operators / sizeof *operators; i++) {
        if (!looking_at(x, x->at, operators[i]))
            continue;
        size_t end = x->at + strlen(operators[i]);
        balance(x, *operators[i]);
        add(x, VKLM_JINJA_OPERATOR, x->at, end);
        x->at = end;
        return;
    }
    vklm_jinja_fail(x->m, VKLM_JINJA_WRONG, "unexpected character '%.*s'",
                    (int)vklm_utf8_length(x->text + x->at, x->len - x->at), x->text + x->at);
}

// The end of a print ("}}", "-}}") or of a block ("%}", "-%}", "+%}") at x->at, unless a bracket is
// open.
static bool lex_tag_end(lexer *x, bool is_print)
{
    char sign = x->text[x->at];
    bool signed_end = sign == '-' || (sign == '+' && !is_print);
    size_t close = x->at + signed_end;
    if (x->n_closing > 0 || !looking_at(x, close, is_print ? "}}" : "%}"))
        return false;
    add(x, is_print ? VKLM_JINJA_PRINT_END : VKLM_JINJA_TAG_END, x->at, close + 2);
    if (is_print)
        consume(x, sign == '-' ? skip_space(x, close + 2) : close + 2);
    else
        consume(x, after_close(x, close, sign));
    return true;
}

static void lex_inside(lexer *x, bool is_print)
{
    x->n_closing = 0;
    while (vklm_jinja_spend(x->m, 1)) {
        if (x->at >= x->len) // the parser says what is missing
            return;
        if (lex_tag_end(x, is_print))
            return;
        size_t space = skip_space(x, x->at) - x->at;
        char c = x->text[x->at];
        if (space > 0) {
            x->at += space;
            count_lines(x);
        } else if (c >= '0' && c <= '9') {
            lex_number(x);
        } else if (c == '\'' || c == '"') {
            lex_string(x);
        } else if (!lex_name(x)) {
            lex_operator(x);
        }
    }
}

// From x->at, outside any tag, through the next tag or to the end of the template.
static void lex_data_and_tag(lexer *x)
{
    size_t start = x->at, at = start;
    while (at + 1 < x->len && !(x->text[at] == '{' && memchr("{%#", x->text[at + 1], 3)))
        at++;
    if (at + 1 >= x->len) {
        add_data(x, start, x->len, '+', false);
        x->at = x->len;
        return;
    }
    if (lex_raw(x, start, at))
        return;
    const char kind = x->text[at + 1];
    size_t inside = at + 2;
    char sign = inside < x->len ? x->text[inside] : ' ';
    bool is_signed = sign == '-' || sign == '+';
    add_data(x, start, at, is_signed ? sign : ' ', kind == '{');
    consume(x, inside + is_signed);
    if (kind == '#') {
        lex_comment(x, x->at);
        return;
    }
    add(x, kind == '{' ? VKLM_JINJA_PRINT_BEGIN : VKLM_JINJA_TAG_BEGIN, at, inside);
    lex_inside(x, kind == '{');
}

// The template on the machine's heap, with \r\n and \r as \n.
static void normalize(lexer *x, const char *source, size_t len)
{
    char *text = vklm_jinja_alloc(x->m, len + 1, 1);
    for (size_t i = 0; text && i < len; i++) {
        if (source[i] != '\r')
            text[x->len++] = source[i];
        else if (i + 1 == len || source[i + 1] != '\n')
            text[x->len++] = '\n';
    }
    if (x->len > 0 && text[x->len - 1] == '\n')
        x->len--;
    x->text = text;
}

void vklm_jinja_lex(vklm_jinja_machine *m, const char *source, size_t len,
                    const vklm_jinja_token **out_tokens)
{
    static const vklm_jinja_token nothing = {.type = VKLM_JINJA_END};
    lexer x = {.m = m, .line_starting = true};
    m->line = 1;
    normalize(&x, source, len);
    while (x.at < x.len && vklm_jinja_spend(m, 1))
        lex_data_and_tag(&x);
    add(&x, VKLM_JINJA_END, x.len, x.len);
    vklm_jinja_token *tokens = vklm_jinja_alloc(m, x.n, sizeof *tokens);
    if (tokens)
        memcpy(tokens, x.tokens, x.n * sizeof *tokens);
    free(x.tokens);
    *out_tokens = tokens ? tokens : &nothing;
}
