// text/jinja_parser_private.h: what the two halves of the parser share.
#ifndef VKLM_TEXT_JINJA_PARSER_PRIVATE_H
#define VKLM_TEXT_JINJA_PARSER_PRIVATE_H

#include <stdio.h>

#include "text/jinja_lexer.h"
#include "text/jinja_parser.h"

// After a failure every token seems to be the end of the template, so that all loops end.
typedef struct {
    vklm_jinja_machine *m;
    const vklm_jinja_token *token; // the next one
    unsigned depth;                // of the recursion
    unsigned loops;                // around this place
} vklm_jinja_parser;

// Tokens. `text` NULL matches any.
const vklm_jinja_token *vklm_jinja_peek(const vklm_jinja_parser *p);
void vklm_jinja_skip(vklm_jinja_parser *p);
bool vklm_jinja_at(const vklm_jinja_parser *p, vklm_jinja_token_type type, const char *text);
bool vklm_jinja_next_is(const vklm_jinja_parser *p, vklm_jinja_token_type type, const char *text);
bool vklm_jinja_accept(vklm_jinja_parser *p, vklm_jinja_token_type type, const char *text);
void vklm_jinja_expect(vklm_jinja_parser *p, vklm_jinja_token_type type, const char *text);
void vklm_jinja_unexpected(vklm_jinja_parser *p, const char *wanted);

// Nodes. NULL parts are fine, and NULL is the result after a failure.
vklm_jinja_node *vklm_jinja_make(vklm_jinja_parser *p, vklm_jinja_node_kind kind,
                                 vklm_jinja_node *a, vklm_jinja_node *b, vklm_jinja_node *c);
void vklm_jinja_deepen(vklm_jinja_parser *p, vklm_jinja_node *node, const vklm_jinja_node *part);
void vklm_jinja_link(vklm_jinja_node ***end, vklm_jinja_node *node);

// Counts one more level; false after a failure. The caller counts it down again either way.
bool vklm_jinja_enter(vklm_jinja_parser *p);

typedef enum { VKLM_JINJA_NO_COND, VKLM_JINJA_WITH_COND } vklm_jinja_cond;

// One expression, or a tuple of several without parentheses. NO_COND leaves an `if` behind it
// alone; so does the name `end`, if not NULL, end a tuple that has a comma last.
vklm_jinja_node *vklm_jinja_parse_tuple(vklm_jinja_parser *p, vklm_jinja_cond cond,
                                        const char *end);
vklm_jinja_node *vklm_jinja_parse_expression(vklm_jinja_parser *p);

// | filter | filter … behind `input`.
vklm_jinja_node *vklm_jinja_parse_filters(vklm_jinja_parser *p, vklm_jinja_node *input);

// What `set` and `for` assign to: names, maybe several, or (`attributes`) an attribute of a
// namespace.
vklm_jinja_node *vklm_jinja_parse_target(vklm_jinja_parser *p, const char *end, bool attributes);

#endif
