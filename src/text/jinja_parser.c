// Statements. Expressions are in jinja_expression.c.
#include <string.h>

#include "text/jinja_parser_private.h"

static const vklm_jinja_token end_token = {.type = VKLM_JINJA_END};

const vklm_jinja_token *vklm_jinja_peek(const vklm_jinja_parser *p)
{
    return p->m->status == VKLM_OK ? p->token : &end_token;
}

void vklm_jinja_skip(vklm_jinja_parser *p)
{
    if (p->token->type != VKLM_JINJA_END)
        p->token++;
    p->m->line = p->token->line;
}

static bool token_is(const vklm_jinja_token *token, vklm_jinja_token_type type, const char *text)
{
    return token->type == type && (!text || vklm_jinja_is(token->text, text));
}

bool vklm_jinja_at(const vklm_jinja_parser *p, vklm_jinja_token_type type, const char *text)
{
    return token_is(vklm_jinja_peek(p), type, text);
}

bool vklm_jinja_next_is(const vklm_jinja_parser *p, vklm_jinja_token_type type, const char *text)
{
    return p->token->type != VKLM_JINJA_END && token_is(p->token + 1, type, text);
}

bool vklm_jinja_accept(vklm_jinja_parser *p, vklm_jinja_token_type type, const char *text)
{
    if (!vklm_jinja_at(p, type, text))
        return false;
    vklm_jinja_skip(p);
    return true;
}

void vklm_jinja_unexpected(vklm_jinja_parser *p, const char *wanted)
{
    const vklm_jinja_token *found = p->token;
    size_t len = found->text.len < 40 ? found->text.len : 40;
    if (found->type == VKLM_JINJA_END)
        vklm_jinja_fail(p->m, VKLM_JINJA_WRONG, "wanted %s, found the end of the template", wanted);
    else
        vklm_jinja_fail(p->m, VKLM_JINJA_WRONG, "wanted %s, found '%.*s'", wanted, (int)len,
                        found->text.data);
}

void vklm_jinja_expect(vklm_jinja_parser *p, vklm_jinja_token_type type, const char *text)
{
    static const char *const names[] = {[VKLM_JINJA_PRINT_END] = "'}}'",
                                        [VKLM_JINJA_TAG_END] = "'%}'",
                                        [VKLM_JINJA_NAME] = "a name"};
    char quoted[32];
    if (vklm_jinja_accept(p, type, text))
        return;
    if (text)
        snprintf(quoted, sizeof quoted, "'%s'", text);
    vklm_jinja_unexpected(p, text ? quoted : names[type]);
}

vklm_jinja_node *vklm_jinja_make(vklm_jinja_parser *p, vklm_jinja_node_kind kind,
                                 vklm_jinja_node *a, vklm_jinja_node *b, vklm_jinja_node *c)
{
    vklm_jinja_node *node = vklm_jinja_alloc(p->m, 1, sizeof *node);
    if (!node)
        return NULL;
    *node = (vklm_jinja_node){.kind = kind, .line = p->m->line, .a = a, .b = b, .c = c};
    vklm_jinja_deepen(p, node, a);
    vklm_jinja_deepen(p, node, b);
    vklm_jinja_deepen(p, node, c);
    return node;
}

void vklm_jinja_deepen(vklm_jinja_parser *p, vklm_jinja_node *node, const vklm_jinja_node *part)
{
    if (node && part && part->depth >= node->depth)
        node->depth = part->depth + 1;
    if (node && node->depth > VKLM_JINJA_MAX_DEPTH)
        vklm_jinja_fail(p->m, VKLM_UNSUPPORTED, "more than %d constructs in each other",
                        VKLM_JINJA_MAX_DEPTH);
}

void vklm_jinja_link(vklm_jinja_node ***end, vklm_jinja_node *node)
{
    if (!node)
        return;
    **end = node;
    *end = &node->next;
}

// Recursion stops at the same depth that trees do.
bool vklm_jinja_enter(vklm_jinja_parser *p)
{
    if (++p->depth > VKLM_JINJA_MAX_DEPTH)
        vklm_jinja_fail(p->m, VKLM_UNSUPPORTED, "more than %d constructs in each other",
                        VKLM_JINJA_MAX_DEPTH);
    return vklm_jinja_spend(p->m, 1);
}

static bool at_tag(const vklm_jinja_parser *p, const char *const *names)
{
    for (; vklm_jinja_at(p, VKLM_JINJA_TAG_BEGIN, NULL) && *names; names++)
        if (vklm_jinja_next_is(p, VKLM_JINJA_NAME, *names))
            return true;
    return false;
}

static vklm_jinja_node *parse_statement(vklm_jinja_parser *p);

// Everything up to a tag with one of the names, of which the {% and the name are consumed;
// *out_which is the name. `names` NULL: to the end of the template.
static void parse_body(vklm_jinja_parser *p, vklm_jinja_node *owner, vklm_jinja_node **out_list,
                       const char *const *names, vklm_jinja_text *out_which)
{
    vklm_jinja_node **end = out_list, *node;
    *out_which = VKLM_JINJA_TEXT("");
    while (vklm_jinja_peek(p)->type != VKLM_JINJA_END) {
        if (vklm_jinja_at(p, VKLM_JINJA_DATA, NULL)) {
            node = vklm_jinja_make(p, VKLM_JINJA_NODE_TEXT, NULL, NULL, NULL);
            if (node)
                node->text = p->token->text;
            vklm_jinja_skip(p);
        } else if (vklm_jinja_accept(p, VKLM_JINJA_PRINT_BEGIN, NULL)) {
            node = vklm_jinja_parse_tuple(p, VKLM_JINJA_WITH_COND, NULL);
            node = vklm_jinja_make(p, VKLM_JINJA_NODE_PRINT, node, NULL, NULL);
            vklm_jinja_expect(p, VKLM_JINJA_PRINT_END, NULL);
        } else if (names && at_tag(p, names)) {
            vklm_jinja_skip(p);
            *out_which = p->token->text;
            vklm_jinja_skip(p);
            return;
        } else {
            vklm_jinja_expect(p, VKLM_JINJA_TAG_BEGIN, NULL);
            node = parse_statement(p);
            vklm_jinja_expect(p, VKLM_JINJA_TAG_END, NULL);
        }
        vklm_jinja_link(&end, node);
        vklm_jinja_deepen(p, owner, node);
    }
    if (names)
        vklm_jinja_unexpected(p, names[0]);
}

// The same behind the %} of the tag that opens the body; a colon may stand before it.
static void parse_block(vklm_jinja_parser *p, vklm_jinja_node *owner, vklm_jinja_node **out_list,
                        const char *const *names, vklm_jinja_text *out_which)
{
    vklm_jinja_accept(p, VKLM_JINJA_OPERATOR, ":");
    vklm_jinja_expect(p, VKLM_JINJA_TAG_END, NULL);
    parse_body(p, owner, out_list, names, out_which);
}

static vklm_jinja_node *parse_if(vklm_jinja_parser *p)
{
    static const char *const ends[] = {"endif", "elif", "else", NULL}, *const last[] = {"endif",
                                                                                        NULL};
    vklm_jinja_text which;
    vklm_jinja_node *top = NULL, *above = NULL;
    do { // each elif is the else of the one before
        vklm_jinja_node *test = vklm_jinja_parse_tuple(p, VKLM_JINJA_NO_COND, NULL);
        vklm_jinja_node *node = vklm_jinja_make(p, VKLM_JINJA_NODE_IF, test, NULL, NULL);
        if (!node)
            return NULL;
        parse_block(p, node, &node->first, ends, &which);
        top = top ? top : node;
        if (above)
            above->second = node;
        above = node;
        if (vklm_jinja_is(which, "else"))
            parse_block(p, node, &node->second, last, &which);
        if (node != top) // a chain of them is one construct deep, however long
            vklm_jinja_deepen(p, top, node);
    } while (vklm_jinja_is(which, "elif") && p->m->status == VKLM_OK);
    return top;
}

static vklm_jinja_node *parse_for(vklm_jinja_parser *p)
{
    static const char *const ends[] = {"endfor", "else", NULL}, *const last[] = {"endfor", NULL};
    vklm_jinja_text which;
    vklm_jinja_node *target = vklm_jinja_parse_target(p, "in", false), *filter = NULL;
    vklm_jinja_expect(p, VKLM_JINJA_NAME, "in");
    vklm_jinja_node *list = vklm_jinja_parse_tuple(p, VKLM_JINJA_NO_COND, "recursive");
    if (vklm_jinja_accept(p, VKLM_JINJA_NAME, "if"))
        filter = vklm_jinja_parse_expression(p);
    if (vklm_jinja_at(p, VKLM_JINJA_NAME, "recursive"))
        vklm_jinja_fail(p->m, VKLM_UNSUPPORTED, "a recursive for");
    vklm_jinja_node *node = vklm_jinja_make(p, VKLM_JINJA_NODE_FOR, target, list, filter);
    if (!node)
        return NULL;
    p->loops++;
    parse_block(p, node, &node->first, ends, &which);
    p->loops--;
    if (vklm_jinja_is(which, "else"))
        parse_block(p, node, &node->second, last, &which);
    return node;
}

static vklm_jinja_node *parse_set(vklm_jinja_parser *p)
{
    static const char *const ends[] = {"endset", NULL};
    vklm_jinja_text which;
    vklm_jinja_node *target = vklm_jinja_parse_target(p, NULL, true);
    if (vklm_jinja_accept(p, VKLM_JINJA_OPERATOR, "=")) {
        vklm_jinja_node *value = vklm_jinja_parse_tuple(p, VKLM_JINJA_WITH_COND, NULL);
        return vklm_jinja_make(p, VKLM_JINJA_NODE_SET, target, value, NULL);
    }
    vklm_jinja_node *filters = NULL;
    if (vklm_jinja_at(p, VKLM_JINJA_OPERATOR, "|")) {
        filters = vklm_jinja_make(p, VKLM_JINJA_NODE_BODY, NULL, NULL, NULL);
        filters = vklm_jinja_parse_filters(p, filters);
    }
    vklm_jinja_node *node = vklm_jinja_make(p, VKLM_JINJA_NODE_SET_BLOCK, target, filters, NULL);
    if (node)
        parse_block(p, node, &node->first, ends, &which);
    return node;
}

// {% generation %} marks text for training; it renders as its body.
static vklm_jinja_node *parse_generation(vklm_jinja_parser *p)
{
    static const char *const ends[] = {"endgeneration", NULL};
    vklm_jinja_text which;
    vklm_jinja_node *node = vklm_jinja_make(p, VKLM_JINJA_NODE_SCOPE, NULL, NULL, NULL);
    unsigned loops = p->loops;
    p->loops = 0; // a loop outside cannot be left from here
    if (node)
        parse_block(p, node, &node->first, ends, &which);
    p->loops = loops;
    return node;
}

static vklm_jinja_node *parse_jump(vklm_jinja_parser *p, vklm_jinja_node_kind kind)
{
    if (p->loops == 0)
        vklm_jinja_fail(p->m, VKLM_JINJA_WRONG, "break or continue outside a loop");
    return vklm_jinja_make(p, kind, NULL, NULL, NULL);
}

static vklm_jinja_node *parse_tag(vklm_jinja_parser *p)
{
    static const char *const unsupported[] = {"autoescape", "block", "call",   "extends",
                                              "filter",     "from",  "import", "include",
                                              "macro",      "print", "with"};
    if (vklm_jinja_accept(p, VKLM_JINJA_NAME, "if"))
        return parse_if(p);
    if (vklm_jinja_accept(p, VKLM_JINJA_NAME, "for"))
        return parse_for(p);
    if (vklm_jinja_accept(p, VKLM_JINJA_NAME, "set"))
        return parse_set(p);
    if (vklm_jinja_accept(p, VKLM_JINJA_NAME, "generation"))
        return parse_generation(p);
    if (vklm_jinja_accept(p, VKLM_JINJA_NAME, "break"))
        return parse_jump(p, VKLM_JINJA_NODE_BREAK);
    if (vklm_jinja_accept(p, VKLM_JINJA_NAME, "continue"))
        return parse_jump(p, VKLM_JINJA_NODE_CONTINUE);
    for (size_t i = 0; i < sizeof unsupported / sizeof *unsupported; i++)
        if (vklm_jinja_at(p, VKLM_JINJA_NAME, unsupported[i]))
            vklm_jinja_fail(p->m, VKLM_UNSUPPORTED, "the tag '%s'", unsupported[i]);
    vklm_jinja_unexpected(p, "a tag that jinja2 knows");
    return NULL;
}

static vklm_jinja_node *parse_statement(vklm_jinja_parser *p)
{
    vklm_jinja_node *node = vklm_jinja_enter(p) ? parse_tag(p) : NULL;
    p->depth--;
    return node;
}

const vklm_jinja_node *vklm_jinja_parse(vklm_jinja_machine *m, const char *source, size_t len)
{
    vklm_jinja_parser p = {.m = m};
    vklm_jinja_text which;
    vklm_jinja_lex(m, source, len, &p.token);
    vklm_jinja_node *top = vklm_jinja_make(&p, VKLM_JINJA_NODE_SCOPE, NULL, NULL, NULL);
    if (top)
        parse_body(&p, top, &top->first, NULL, &which);
    return m->status == VKLM_OK ? top : NULL;
}
