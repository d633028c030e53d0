// Expressions.
#include "text/jinja_eval.h"

static vklm_jinja_value eval_name(vklm_jinja_machine *m, const vklm_jinja_node *node)
{
    const vklm_jinja_value *found = vklm_jinja_scope_find(m, m->scope, node->text, true);
    if (found)
        return *found;
    const vklm_jinja_function *function = vklm_jinja_find_global(node->text);
    if (function)
        return (vklm_jinja_value){.kind = VKLM_JINJA_FUNCTION, .bound = {function, NULL}};
    static const char *const unsupported[] = {"cycler", "joiner", "lipsum", "self"};
    for (size_t i = 0; i < sizeof unsupported / sizeof *unsupported; i++)
        if (vklm_jinja_is(node->text, unsupported[i]))
            vklm_jinja_fail(m, VKLM_UNSUPPORTED, "'%s'", unsupported[i]);
    return vklm_jinja_undefined();
}

static size_t count_nodes(const vklm_jinja_node *first)
{
    size_t n = 0;
    for (; first; first = first->next)
        n++;
    return n;
}

static vklm_jinja_value eval_list(vklm_jinja_machine *m, const vklm_jinja_node *node)
{
    vklm_jinja_list_type type =
        node->kind == VKLM_JINJA_NODE_TUPLE ? VKLM_JINJA_TUPLE : VKLM_JINJA_PLAIN_LIST;
    vklm_jinja_list *list = vklm_jinja_list_new(m, count_nodes(node->first), type);
    size_t i = 0;
    for (const vklm_jinja_node *item = node->first; list && item; item = item->next)
        list->items[i++] = vklm_jinja_eval(m, item);
    return vklm_jinja_list_close(m, list);
}

static vklm_jinja_value eval_dict(vklm_jinja_machine *m, const vklm_jinja_node *node)
{
    vklm_jinja_dict *dict = vklm_jinja_dict_new(m, count_nodes(node->first) / 2);
    for (const vklm_jinja_node *key = node->first; dict && key; key = key->next->next) {
        vklm_jinja_value name = vklm_jinja_eval(m, key);
        vklm_jinja_dict_put(m, dict, name, vklm_jinja_eval(m, key->next));
    }
    return vklm_jinja_dict_close(m, dict);
}

static vklm_jinja_arguments eval_arguments(vklm_jinja_machine *m, const vklm_jinja_node *first)
{
    size_t n = count_nodes(first), i = 0;
    vklm_jinja_arguments args = {vklm_jinja_alloc(m, n, sizeof *args.items), 0};
    for (; args.items && i < n; i++, first = first->next) {
        bool keyword = first->kind == VKLM_JINJA_NODE_KEYWORD;
        args.items[i].name = keyword ? first->text : VKLM_JINJA_TEXT("");
        args.items[i].value = vklm_jinja_eval(m, keyword ? first->a : first);
    }
    args.n = i;
    return args;
}

static vklm_jinja_value eval_call(vklm_jinja_machine *m, const vklm_jinja_node *node)
{
    vklm_jinja_value function = vklm_jinja_eval(m, node->a);
    vklm_jinja_arguments args = eval_arguments(m, node->first);
    m->line = node->line;
    if (function.kind == VKLM_JINJA_FUNCTION)
        return vklm_jinja_call(m, function.bound.function, function.bound.self, &args);
    vklm_jinja_fail(m, VKLM_JINJA_WRONG, "%.*s is %s and cannot be called", (int)node->a->text.len,
                    node->a->text.data, vklm_jinja_kind_name(&function));
    return vklm_jinja_undefined();
}

static vklm_jinja_value eval_filter_or_test(vklm_jinja_machine *m, const vklm_jinja_node *node)
{
    bool is_filter = node->kind == VKLM_JINJA_NODE_FILTER;
    vklm_jinja_value input = vklm_jinja_eval(m, node->a);
    vklm_jinja_arguments args = eval_arguments(m, node->first);
    m->line = node->line;
    const vklm_jinja_function *function =
        is_filter ? vklm_jinja_find_filter(node->text) : vklm_jinja_find_test(node->text);
    if (function)
        return vklm_jinja_call(m, function, &input, &args);
    vklm_jinja_fail(m, VKLM_UNSUPPORTED, "the %s '%.*s'", is_filter ? "filter" : "test",
                    (int)node->text.len, node->text.data);
    return vklm_jinja_undefined();
}

// a < b < c asks each once, and stops at the first that is false.
static vklm_jinja_value eval_comparison(vklm_jinja_machine *m, const vklm_jinja_node *node)
{
    vklm_jinja_value left = vklm_jinja_eval(m, node->a);
    for (const vklm_jinja_node *operand = node->first; operand; operand = operand->next) {
        vklm_jinja_value right = vklm_jinja_eval(m, operand->a);
        m->line = operand->line;
        if (!vklm_jinja_test_order(m, operand->text, &left, &right))
            return vklm_jinja_bool(false);
        left = right;
    }
    return vklm_jinja_bool(true);
}

static vklm_jinja_value eval_slice(vklm_jinja_machine *m, const vklm_jinja_node *node)
{
    vklm_jinja_value object = vklm_jinja_eval(m, node->a), parts[3];
    const vklm_jinja_node *part = node->first;
    for (int i = 0; i < 3; i++, part = part->next)
        parts[i] = vklm_jinja_eval(m, part);
    return vklm_jinja_slice(m, &object, parts);
}

static vklm_jinja_value eval_sign(vklm_jinja_machine *m, const vklm_jinja_node *node)
{
    vklm_jinja_value value = vklm_jinja_eval(m, node->a), negated = vklm_jinja_negate(m, &value);
    if (*node->text.data == '-')
        return negated;
    return value.kind == VKLM_JINJA_BOOL ? vklm_jinja_int(value.truth) : value;
}

// Operators whose operands are all evaluated first.
static vklm_jinja_value eval_operands(vklm_jinja_machine *m, const vklm_jinja_node *node)
{
    vklm_jinja_value a = vklm_jinja_eval(m, node->a), b = vklm_jinja_undefined();
    if (node->b)
        b = vklm_jinja_eval(m, node->b);
    m->line = node->line;
    switch (node->kind) {
    case VKLM_JINJA_NODE_ATTR:
        return vklm_jinja_attribute(m, &a, node->text);
    case VKLM_JINJA_NODE_ITEM:
        return vklm_jinja_item(m, &a, &b);
    case VKLM_JINJA_NODE_NOT:
        return vklm_jinja_bool(!vklm_jinja_truth(&a));
    default:
        return vklm_jinja_binary(m, node->text, &a, &b);
    }
}

// `and`, `or` and the inline if, which leave a side alone.
static vklm_jinja_value eval_choice(vklm_jinja_machine *m, const vklm_jinja_node *node)
{
    if (node->kind == VKLM_JINJA_NODE_COND) {
        vklm_jinja_value test = vklm_jinja_eval(m, node->b);
        if (vklm_jinja_truth(&test))
            return vklm_jinja_eval(m, node->a);
        return node->c ? vklm_jinja_eval(m, node->c) : vklm_jinja_undefined();
    }
    vklm_jinja_value a = vklm_jinja_eval(m, node->a);
    bool done = vklm_jinja_truth(&a) == (node->kind == VKLM_JINJA_NODE_OR);
    return done ? a : vklm_jinja_eval(m, node->b);
}

vklm_jinja_value vklm_jinja_eval(vklm_jinja_machine *m, const vklm_jinja_node *node)
{
    if (!node || !vklm_jinja_spend(m, 1))
        return vklm_jinja_undefined();
    m->line = node->line;
    switch (node->kind) {
    case VKLM_JINJA_NODE_CONST:
        return node->value;
    case VKLM_JINJA_NODE_NONE:
        return vklm_jinja_none();
    case VKLM_JINJA_NODE_BODY:
        return m->body;
    case VKLM_JINJA_NODE_NAME:
        return eval_name(m, node);
    case VKLM_JINJA_NODE_LIST:
    case VKLM_JINJA_NODE_TUPLE:
        return eval_list(m, node);
    case VKLM_JINJA_NODE_DICT:
        return eval_dict(m, node);
    case VKLM_JINJA_NODE_SLICE:
        return eval_slice(m, node);
    case VKLM_JINJA_NODE_CALL:
        return eval_call(m, node);
    case VKLM_JINJA_NODE_FILTER:
    case VKLM_JINJA_NODE_TEST:
        return eval_filter_or_test(m, node);
    case VKLM_JINJA_NODE_COMPARE:
        return eval_comparison(m, node);
    case VKLM_JINJA_NODE_SIGN:
        return eval_sign(m, node);
    case VKLM_JINJA_NODE_COND:
    case VKLM_JINJA_NODE_AND:
    case VKLM_JINJA_NODE_OR:
        return eval_choice(m, node);
    default:
        return eval_operands(m, node);
    }
}
