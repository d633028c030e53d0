// text/jinja_parser.h: the tree of a template, after jinja2's grammar.
#ifndef VKLM_TEXT_JINJA_PARSER_H
#define VKLM_TEXT_JINJA_PARSER_H

#include "text/jinja_value.h"

typedef enum {
    // Expressions.
    VKLM_JINJA_NODE_CONST,   // value
    VKLM_JINJA_NODE_NAME,    // text
    VKLM_JINJA_NODE_LIST,    // [first…]
    VKLM_JINJA_NODE_TUPLE,   // (first…)
    VKLM_JINJA_NODE_DICT,    // {first…}: key, value, key, value
    VKLM_JINJA_NODE_ATTR,    // a.text
    VKLM_JINJA_NODE_ITEM,    // a[b]
    VKLM_JINJA_NODE_SLICE,   // a[first : second : third]; NODE_NONE where left out
    VKLM_JINJA_NODE_CALL,    // a(first…)
    VKLM_JINJA_NODE_FILTER,  // a | text(first…)
    VKLM_JINJA_NODE_TEST,    // a is text(first…)
    VKLM_JINJA_NODE_KEYWORD, // text=a, among arguments
    VKLM_JINJA_NODE_NOT,     // not a
    VKLM_JINJA_NODE_SIGN,    // text a, text being + or -
    VKLM_JINJA_NODE_AND,     // a and b
    VKLM_JINJA_NODE_OR,      // a or b
    VKLM_JINJA_NODE_BINARY,  // a text b: + - * / // % ~
    VKLM_JINJA_NODE_COMPARE, // a, then each of first…: NODE_OPERAND
    VKLM_JINJA_NODE_OPERAND, // text a: == != < <= > >= in "not in"
    VKLM_JINJA_NODE_COND,    // a if b else c; c may be NULL
    VKLM_JINJA_NODE_NONE,    // a left-out part of a slice
    VKLM_JINJA_NODE_BODY, // what a filtered set block rendered: the innermost input of its filters
    // Statements.
    VKLM_JINJA_NODE_TEXT,      // text
    VKLM_JINJA_NODE_PRINT,     // {{ a }}
    VKLM_JINJA_NODE_IF,        // if a: first…, else: second…
    VKLM_JINJA_NODE_FOR,       // for a in b if c: first…, else: second…; c may be NULL
    VKLM_JINJA_NODE_SET,       // set a = b; a: NAME, TUPLE of them, or NSATTR
    VKLM_JINJA_NODE_SET_BLOCK, // set a: first…, through the filters b over NODE_BODY if b is not
                               // NULL
    VKLM_JINJA_NODE_NSATTR,    // a target: a.text, a being a NAME
    VKLM_JINJA_NODE_SCOPE,     // first…, with variables of its own
    VKLM_JINJA_NODE_BREAK,
    VKLM_JINJA_NODE_CONTINUE,
} vklm_jinja_node_kind;

typedef struct vklm_jinja_node vklm_jinja_node;
struct vklm_jinja_node {
    vklm_jinja_node_kind kind;
    unsigned line, depth; // depth: 1 + that of the deepest part
    vklm_jinja_text text;
    vklm_jinja_value value;
    vklm_jinja_node *a, *b, *c;
    vklm_jinja_node *first, *second; // lists, linked by next
    vklm_jinja_node *next;
};

// Parses a template on the machine's heap. NULL after a failure; an empty template is a SCOPE of
// nothing.
const vklm_jinja_node *vklm_jinja_parse(vklm_jinja_machine *m, const char *source, size_t len);

#endif
