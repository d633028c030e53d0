// text/jinja_lexer.h: a template cut into tokens, as jinja2's lexer does it with trim_blocks and
// lstrip_blocks on and keep_trailing_newline off (that is how transformers sets it up).
#ifndef VKLM_TEXT_JINJA_LEXER_H
#define VKLM_TEXT_JINJA_LEXER_H

#include "text/jinja_value.h"

typedef enum {
    VKLM_JINJA_END = 0, // of the template; also all there is after a failure
    VKLM_JINJA_DATA,    // text between tags
    VKLM_JINJA_PRINT_BEGIN,
    VKLM_JINJA_PRINT_END,
    VKLM_JINJA_TAG_BEGIN,
    VKLM_JINJA_TAG_END,
    VKLM_JINJA_NAME,
    VKLM_JINJA_CONSTANT, // a string or a number
    VKLM_JINJA_OPERATOR,
} vklm_jinja_token_type;

typedef struct {
    vklm_jinja_token_type type;
    unsigned line;
    vklm_jinja_text text;   // of data, names and operators
    vklm_jinja_value value; // of a constant
} vklm_jinja_token;

// Lexes a whole template, valid UTF-8. *out_tokens, which end with VKLM_JINJA_END, lie on the
// machine's heap, as do their texts.
void vklm_jinja_lex(vklm_jinja_machine *m, const char *source, size_t len,
                    const vklm_jinja_token **out_tokens);

#endif
