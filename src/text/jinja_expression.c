// The expressions of a template: jinja2's grammar, lowest precedence first in the order of the
// functions from the end of the file: if-else, or, and, not, comparison, + -, ~, * / // %, sign,
// postfix, filter.
#include <string.h>

#include "text/jinja_parser_private.h"

static bool at_operator(const vklm_jinja_parser *p, const char *text)
{
    return vklm_jinja_at(p, VKLM_JINJA_OPERATOR, text);
}

static bool accept_operator(vklm_jinja_parser *p, const char *text)
{
    return vklm_jinja_accept(p, VKLM_JINJA_OPERATOR, text);
}

static void expect_operator(vklm_jinja_parser *p, const char *text)
{
    vklm_jinja_expect(p, VKLM_JINJA_OPERATOR, text);
}

static bool accept_name(vklm_jinja_parser *p, const char *text)
{
    return vklm_jinja_accept(p, VKLM_JINJA_NAME, text);
}

// A node with the text of the token that is next, a name.
static vklm_jinja_node *make_named(vklm_jinja_parser *p, vklm_jinja_node_kind kind,
                                   vklm_jinja_node *a)
{
    vklm_jinja_text text = p->token->text;
    vklm_jinja_node *node = vklm_jinja_make(p, kind, a, NULL, NULL);
    vklm_jinja_expect(p, VKLM_JINJA_NAME, NULL);
    if (node)
        node->text = text;
    return node;
}

static vklm_jinja_node *make_constant(vklm_jinja_parser *p, vklm_jinja_value value)
{
    vklm_jinja_node *node = vklm_jinja_make(p, VKLM_JINJA_NODE_CONST, NULL, NULL, NULL);
    if (node)
        node->value = value;
    return node;
}

static void add_part(vklm_jinja_parser *p, vklm_jinja_node *owner, vklm_jinja_node ***end,
                     vklm_jinja_node *part)
{
    vklm_jinja_link(end, part);
    vklm_jinja_deepen(p, owner, part);
}

// Neighbouring string literals are one.
static vklm_jinja_node *parse_constant(vklm_jinja_parser *p)
{
    vklm_jinja_value value = p->token->value;
    vklm_string joined = {0};
    vklm_jinja_skip(p);
    while (value.kind == VKLM_JINJA_STRING && vklm_jinja_at(p, VKLM_JINJA_CONSTANT, NULL) &&
           p->token->value.kind == VKLM_JINJA_STRING) {
        if (joined.len == 0)
            vklm_jinja_append(p->m, &joined, value.text.data, value.text.len);
        vklm_jinja_append(p->m, &joined, p->token->value.text.data, p->token->value.text.len);
        vklm_jinja_skip(p);
    }
    if (joined.len > 0)
        value = vklm_jinja_take(p->m, &joined);
    vklm_string_finish(&joined);
    return make_constant(p, value);
}

static vklm_jinja_node *parse_name(vklm_jinja_parser *p)
{
    static const struct {
        const char *name;
        vklm_jinja_value value;
    } constants[] = {
        {"true", {.kind = VKLM_JINJA_BOOL, .truth = true}},
        {"True", {.kind = VKLM_JINJA_BOOL, .truth = true}},
        {"false", {.kind = VKLM_JINJA_BOOL}},
        {"False", {.kind = VKLM_JINJA_BOOL}},
        {"none", {.kind = VKLM_JINJA_NONE}},
        {"None", {.kind = VKLM_JINJA_NONE}},
    };
    for (size_t i = 0; i < sizeof constants / sizeof *constants; i++)
        if (accept_name(p, constants[i].name))
            return make_constant(p, constants[i].value);
    return make_named(p, VKLM_JINJA_NODE_NAME, NULL);
}

static vklm_jinja_node *parse_list(vklm_jinja_parser *p)
{
    vklm_jinja_node *node = vklm_jinja_make(p, VKLM_JINJA_NODE_LIST, NULL, NULL, NULL);
    vklm_jinja_node **end = node ? &node->first : NULL;
    expect_operator(p, "[");
    while (node && !at_operator(p, "]") && vklm_jinja_spend(p->m, 1)) {
        if (node->first)
            expect_operator(p, ",");
        if (at_operator(p, "]"))
            break;
        add_part(p, node, &end, vklm_jinja_parse_expression(p));
    }
    expect_operator(p, "]");
    return node;
}

static vklm_jinja_node *parse_dict(vklm_jinja_parser *p)
{
    vklm_jinja_node *node = vklm_jinja_make(p, VKLM_JINJA_NODE_DICT, NULL, NULL, NULL);
    vklm_jinja_node **end = node ? &node->first : NULL;
    expect_operator(p, "{");
    while (node && !at_operator(p, "}") && vklm_jinja_spend(p->m, 1)) {
        if (node->first)
            expect_operator(p, ",");
        if (at_operator(p, "}"))
            break;
        add_part(p, node, &end, vklm_jinja_parse_expression(p));
        expect_operator(p, ":");
        add_part(p, node, &end, vklm_jinja_parse_expression(p));
    }
    expect_operator(p, "}");
    return node;
}

static vklm_jinja_node *parse_primary(vklm_jinja_parser *p)
{
    if (vklm_jinja_at(p, VKLM_JINJA_NAME, NULL))
        return parse_name(p);
    if (vklm_jinja_at(p, VKLM_JINJA_CONSTANT, NULL))
        return parse_constant(p);
    if (at_operator(p, "["))
        return parse_list(p);
    if (at_operator(p, "{"))
        return parse_dict(p);
    if (!accept_operator(p, "(")) {
        vklm_jinja_unexpected(p, "an expression");
        return NULL;
    }
    vklm_jinja_node *node;
    if (at_operator(p, ")"))
        node = vklm_jinja_make(p, VKLM_JINJA_NODE_TUPLE, NULL, NULL, NULL);
    else
        node = vklm_jinja_parse_tuple(p, VKLM_JINJA_WITH_COND, NULL);
    expect_operator(p, ")");
    return node;
}

// The arguments of a call, as node->first: expressions, then name=expression.
static void parse_arguments(vklm_jinja_parser *p, vklm_jinja_node *node)
{
    vklm_jinja_node **end = node ? &node->first : NULL;
    bool keywords = false;
    expect_operator(p, "(");
    while (node && !at_operator(p, ")") && vklm_jinja_spend(p->m, 1)) {
        if (node->first)
            expect_operator(p, ",");
        if (at_operator(p, ")"))
            break;
        if (at_operator(p, "*") || at_operator(p, "**"))
            vklm_jinja_fail(p->m, VKLM_UNSUPPORTED, "* or ** among arguments");
        bool keyword = vklm_jinja_at(p, VKLM_JINJA_NAME, NULL) &&
                       vklm_jinja_next_is(p, VKLM_JINJA_OPERATOR, "=");
        if (keywords && !keyword)
            vklm_jinja_fail(p->m, VKLM_JINJA_WRONG, "an argument behind a named one");
        keywords = keyword;
        vklm_jinja_node *part;
        if (keyword) {
            part = make_named(p, VKLM_JINJA_NODE_KEYWORD, NULL);
            expect_operator(p, "=");
            vklm_jinja_node *value = vklm_jinja_parse_expression(p);
            if (part)
                part->a = value;
            vklm_jinja_deepen(p, part, value);
        } else {
            part = vklm_jinja_parse_expression(p);
        }
        add_part(p, node, &end, part);
    }
    expect_operator(p, ")");
}

static vklm_jinja_node *parse_slice_part(vklm_jinja_parser *p)
{
    if (at_operator(p, ":") || at_operator(p, "]") || at_operator(p, ","))
        return vklm_jinja_make(p, VKLM_JINJA_NODE_NONE, NULL, NULL, NULL);
    return vklm_jinja_parse_expression(p);
}

static vklm_jinja_node *parse_subscript(vklm_jinja_parser *p, vklm_jinja_node *object)
{
    expect_operator(p, "[");
    vklm_jinja_node *part = parse_slice_part(p), *node;
    if (accept_operator(p, ":")) {
        node = vklm_jinja_make(p, VKLM_JINJA_NODE_SLICE, object, NULL, NULL);
        vklm_jinja_node **end = node ? &node->first : NULL;
        vklm_jinja_node *stop = parse_slice_part(p), *step = NULL;
        if (accept_operator(p, ":"))
            step = parse_slice_part(p);
        else
            step = vklm_jinja_make(p, VKLM_JINJA_NODE_NONE, NULL, NULL, NULL);
        if (!node)
            return NULL;
        add_part(p, node, &end, part);
        add_part(p, node, &end, stop);
        add_part(p, node, &end, step);
    } else {
        if (part && part->kind == VKLM_JINJA_NODE_NONE)
            vklm_jinja_unexpected(p, "an expression");
        node = vklm_jinja_make(p, VKLM_JINJA_NODE_ITEM, object, part, NULL);
    }
    if (at_operator(p, ","))
        vklm_jinja_fail(p->m, VKLM_UNSUPPORTED, "several subscripts in one []");
    expect_operator(p, "]");
    return node;
}

// a.name, or a.0, which is a[0].
static vklm_jinja_node *parse_attribute(vklm_jinja_parser *p, vklm_jinja_node *object)
{
    expect_operator(p, ".");
    if (vklm_jinja_at(p, VKLM_JINJA_CONSTANT, NULL) && p->token->value.kind == VKLM_JINJA_INT)
        return vklm_jinja_make(p, VKLM_JINJA_NODE_ITEM, object, parse_constant(p), NULL);
    return make_named(p, VKLM_JINJA_NODE_ATTR, object);
}

static vklm_jinja_node *parse_call(vklm_jinja_parser *p, vklm_jinja_node *object)
{
    vklm_jinja_node *node = vklm_jinja_make(p, VKLM_JINJA_NODE_CALL, object, NULL, NULL);
    parse_arguments(p, node);
    return node;
}

static vklm_jinja_node *parse_postfix(vklm_jinja_parser *p, vklm_jinja_node *node)
{
    while (vklm_jinja_spend(p->m, 1)) {
        if (at_operator(p, "."))
            node = parse_attribute(p, node);
        else if (at_operator(p, "["))
            node = parse_subscript(p, node);
        else if (at_operator(p, "("))
            node = parse_call(p, node);
        else
            break;
    }
    return node;
}

static void refuse_dotted(vklm_jinja_parser *p)
{
    if (at_operator(p, "."))
        vklm_jinja_fail(p->m, VKLM_UNSUPPORTED, "a filter or test with a dot in its name");
}

vklm_jinja_node *vklm_jinja_parse_filters(vklm_jinja_parser *p, vklm_jinja_node *input)
{
    while (accept_operator(p, "|")) {
        input = make_named(p, VKLM_JINJA_NODE_FILTER, input);
        refuse_dotted(p);
        if (at_operator(p, "("))
            parse_arguments(p, input);
    }
    return input;
}

// Behind `is`. Like jinja2, takes a following name, constant or bracket as the test's only
// argument.
static vklm_jinja_node *parse_test(vklm_jinja_parser *p, vklm_jinja_node *object)
{
    bool negated = accept_name(p, "not");
    vklm_jinja_node *node = make_named(p, VKLM_JINJA_NODE_TEST, object);
    refuse_dotted(p);
    bool ends = vklm_jinja_at(p, VKLM_JINJA_NAME, "else") ||
                vklm_jinja_at(p, VKLM_JINJA_NAME, "or") || vklm_jinja_at(p, VKLM_JINJA_NAME, "and");
    bool starts = vklm_jinja_at(p, VKLM_JINJA_NAME, NULL) ||
                  vklm_jinja_at(p, VKLM_JINJA_CONSTANT, NULL) || at_operator(p, "[") ||
                  at_operator(p, "{");
    if (at_operator(p, "(")) {
        parse_arguments(p, node);
    } else if (starts && !ends && node) {
        if (vklm_jinja_at(p, VKLM_JINJA_NAME, "is"))
            vklm_jinja_fail(p->m, VKLM_JINJA_WRONG, "two tests in a row");
        node->first = parse_postfix(p, parse_primary(p));
        vklm_jinja_deepen(p, node, node->first);
    }
    return negated ? vklm_jinja_make(p, VKLM_JINJA_NODE_NOT, node, NULL, NULL) : node;
}

static vklm_jinja_node *parse_filters_and_tests(vklm_jinja_parser *p, vklm_jinja_node *node)
{
    while (vklm_jinja_spend(p->m, 1)) {
        if (at_operator(p, "|"))
            node = vklm_jinja_parse_filters(p, node);
        else if (accept_name(p, "is"))
            node = parse_test(p, node);
        else if (at_operator(p, "("))
            node = parse_call(p, node);
        else
            break;
    }
    return node;
}

// A sign binds closer than a filter: -1 | abs is (-1) | abs.
static vklm_jinja_node *parse_unary(vklm_jinja_parser *p, bool with_filter)
{
    vklm_jinja_node *node;
    vklm_jinja_text sign = p->token->text;
    bool is_signed = at_operator(p, "-") || at_operator(p, "+");
    if (!vklm_jinja_enter(p)) {
        node = NULL;
    } else if (is_signed) {
        vklm_jinja_skip(p);
        node = vklm_jinja_make(p, VKLM_JINJA_NODE_SIGN, parse_unary(p, false), NULL, NULL);
        if (node)
            node->text = sign;
    } else {
        node = parse_primary(p);
    }
    p->depth--;
    node = parse_postfix(p, node);
    return with_filter ? parse_filters_and_tests(p, node) : node;
}

typedef vklm_jinja_node *(*parse_function)(vklm_jinja_parser *p);

// Operands joined by any of the operators, from the left.
static vklm_jinja_node *parse_binary(vklm_jinja_parser *p, const char *const *operators,
                                     parse_function parse_operand)
{
    vklm_jinja_node *left = parse_operand(p);
    for (const char *const *o = operators; *o && vklm_jinja_spend(p->m, 1);) {
        if (!accept_operator(p, *o)) {
            o++;
            continue;
        }
        left = vklm_jinja_make(p, VKLM_JINJA_NODE_BINARY, left, parse_operand(p), NULL);
        if (left)
            left->text = (vklm_jinja_text){*o, strlen(*o)};
        o = operators;
    }
    return left;
}

static vklm_jinja_node *parse_power(vklm_jinja_parser *p)
{
    vklm_jinja_node *node = parse_unary(p, true);
    if (at_operator(p, "**"))
        vklm_jinja_fail(p->m, VKLM_UNSUPPORTED, "the operator **");
    return node;
}

static vklm_jinja_node *parse_product(vklm_jinja_parser *p)
{
    static const char *const operators[] = {"*", "/", "//", "%", NULL};
    return parse_binary(p, operators, parse_power);
}

static vklm_jinja_node *parse_concatenation(vklm_jinja_parser *p)
{
    static const char *const operators[] = {"~", NULL};
    return parse_binary(p, operators, parse_product);
}

static vklm_jinja_node *parse_sum(vklm_jinja_parser *p)
{
    static const char *const operators[] = {"+", "-", NULL};
    return parse_binary(p, operators, parse_concatenation);
}

// The comparison operator that is next, consumed; NULL when there is none.
static const char *accept_comparison(vklm_jinja_parser *p)
{
    static const char *const operators[] = {"==", "!=", "<=", ">=", "<", ">"};
    for (size_t i = 0; i < sizeof operators / sizeof *operators; i++)
        if (accept_operator(p, operators[i]))
            return operators[i];
    if (accept_name(p, "in"))
        return "in";
    if (vklm_jinja_at(p, VKLM_JINJA_NAME, "not") && vklm_jinja_next_is(p, VKLM_JINJA_NAME, "in")) {
        vklm_jinja_skip(p);
        vklm_jinja_skip(p);
        return "not in";
    }
    return NULL;
}

static vklm_jinja_node *parse_comparison(vklm_jinja_parser *p)
{
    vklm_jinja_node *left = parse_sum(p), *node = NULL, **end = NULL;
    for (const char *name; vklm_jinja_spend(p->m, 1) && (name = accept_comparison(p));) {
        if (!node) {
            node = vklm_jinja_make(p, VKLM_JINJA_NODE_COMPARE, left, NULL, NULL);
            end = node ? &node->first : NULL;
        }
        vklm_jinja_node *operand =
            vklm_jinja_make(p, VKLM_JINJA_NODE_OPERAND, parse_sum(p), NULL, NULL);
        if (!node || !operand)
            return NULL;
        operand->text = (vklm_jinja_text){name, strlen(name)};
        add_part(p, node, &end, operand);
    }
    return node ? node : left;
}

static vklm_jinja_node *parse_not(vklm_jinja_parser *p)
{
    if (!accept_name(p, "not"))
        return parse_comparison(p);
    vklm_jinja_node *node = vklm_jinja_enter(p) ? parse_not(p) : NULL;
    p->depth--;
    return vklm_jinja_make(p, VKLM_JINJA_NODE_NOT, node, NULL, NULL);
}

static vklm_jinja_node *parse_and(vklm_jinja_parser *p)
{
    vklm_jinja_node *left = parse_not(p);
    while (accept_name(p, "and"))
        left = vklm_jinja_make(p, VKLM_JINJA_NODE_AND, left, parse_not(p), NULL);
    return left;
}

static vklm_jinja_node *parse_or(vklm_jinja_parser *p)
{
    vklm_jinja_node *left = parse_and(p);
    while (accept_name(p, "or"))
        left = vklm_jinja_make(p, VKLM_JINJA_NODE_OR, left, parse_and(p), NULL);
    return left;
}

vklm_jinja_node *vklm_jinja_parse_expression(vklm_jinja_parser *p)
{
    vklm_jinja_node *node = vklm_jinja_enter(p) ? parse_or(p) : NULL;
    while (accept_name(p, "if")) {
        vklm_jinja_node *test = parse_or(p), *otherwise = NULL;
        if (accept_name(p, "else"))
            otherwise = vklm_jinja_parse_expression(p);
        node = vklm_jinja_make(p, VKLM_JINJA_NODE_COND, node, test, otherwise);
    }
    p->depth--;
    return node;
}

static bool at_tuple_end(const vklm_jinja_parser *p, const char *end)
{
    vklm_jinja_token_type type = vklm_jinja_peek(p)->type;
    return type == VKLM_JINJA_PRINT_END || type == VKLM_JINJA_TAG_END || at_operator(p, ")") ||
           (end && vklm_jinja_at(p, VKLM_JINJA_NAME, end));
}

// Parts with commas between them: the part itself when there is one without a comma, else a TUPLE.
static vklm_jinja_node *parse_parts(vklm_jinja_parser *p, parse_function parse_part,
                                    const char *end)
{
    vklm_jinja_node *first = parse_part(p);
    if (!at_operator(p, ","))
        return first;
    vklm_jinja_node *node = vklm_jinja_make(p, VKLM_JINJA_NODE_TUPLE, NULL, NULL, NULL);
    vklm_jinja_node **last = node ? &node->first : NULL;
    if (node)
        add_part(p, node, &last, first);
    while (node && accept_operator(p, ",") && !at_tuple_end(p, end))
        add_part(p, node, &last, parse_part(p));
    return node;
}

vklm_jinja_node *vklm_jinja_parse_tuple(vklm_jinja_parser *p, vklm_jinja_cond cond, const char *end)
{
    vklm_jinja_node *node = NULL;
    if (vklm_jinja_enter(p))
        node = parse_parts(p, cond == VKLM_JINJA_WITH_COND ? vklm_jinja_parse_expression : parse_or,
                           end);
    p->depth--;
    return node;
}

static vklm_jinja_node *parse_target_part(vklm_jinja_parser *p)
{
    if (accept_operator(p, "(")) {
        vklm_jinja_node *node = NULL;
        if (vklm_jinja_enter(p))
            node = parse_parts(p, parse_target_part, NULL);
        p->depth--;
        expect_operator(p, ")");
        return node;
    }
    vklm_jinja_node *name = parse_name(p);
    if (name && name->kind != VKLM_JINJA_NODE_NAME)
        vklm_jinja_fail(p->m, VKLM_JINJA_WRONG, "cannot assign to a constant");
    return name;
}

static vklm_jinja_node *parse_target_or_attribute(vklm_jinja_parser *p)
{
    vklm_jinja_node *node = parse_target_part(p);
    if (!node || node->kind != VKLM_JINJA_NODE_NAME || !accept_operator(p, "."))
        return node;
    return make_named(p, VKLM_JINJA_NODE_NSATTR, node);
}

vklm_jinja_node *vklm_jinja_parse_target(vklm_jinja_parser *p, const char *end, bool attributes)
{
    return parse_parts(p, attributes ? parse_target_or_attribute : parse_target_part, end);
}
