// Statements.
#include "text/jinja_eval.h"

typedef enum { GO_ON, BREAK, CONTINUE } jump;

static jump run_list(vklm_jinja_machine *m, const vklm_jinja_node *node);

void vklm_jinja_scope_enter(vklm_jinja_machine *m)
{
    vklm_jinja_scope *scope = vklm_jinja_alloc(m, 1, sizeof *scope);
    if (!scope)
        return;
    scope->parent = m->scope;
    m->scope = scope;
}

void vklm_jinja_scope_leave(vklm_jinja_machine *m, vklm_jinja_scope *outer)
{
    m->scope = outer;
}

static void assign_attribute(vklm_jinja_machine *m, const vklm_jinja_node *target,
                             vklm_jinja_value value)
{
    const vklm_jinja_value object = vklm_jinja_eval(m, target->a);
    if (object.kind != VKLM_JINJA_NAMESPACE)
        vklm_jinja_fail(m, VKLM_JINJA_WRONG, "cannot set an attribute of %s, only of a namespace",
                        vklm_jinja_kind_name(&object));
    else if (*target->text.data == '_')
        vklm_jinja_fail(m, VKLM_JINJA_WRONG, "the name %.*s in a namespace", (int)target->text.len,
                        target->text.data);
    else
        vklm_jinja_scope_set(m, object.names, target->text, value);
}

void vklm_jinja_assign(vklm_jinja_machine *m, const vklm_jinja_node *target, vklm_jinja_value value)
{
    m->line = target->line;
    if (target->kind == VKLM_JINJA_NODE_NAME) {
        vklm_jinja_scope_set(m, m->scope, target->text, value);
        return;
    }
    if (target->kind == VKLM_JINJA_NODE_NSATTR) {
        assign_attribute(m, target, value);
        return;
    }
    const vklm_jinja_list *items = vklm_jinja_iterate(m, &value);
    size_t i = 0, n = items ? items->n : 0;
    for (const vklm_jinja_node *part = target->first; part; part = part->next, i++)
        if (i < n)
            vklm_jinja_assign(m, part, items->items[i]);
    if (i != n)
        vklm_jinja_fail(m, VKLM_JINJA_WRONG, "%zu values for %zu names", n, i);
}

static jump run_if(vklm_jinja_machine *m, const vklm_jinja_node *node)
{
    for (;;) {
        vklm_jinja_value test = vklm_jinja_eval(m, node->a);
        if (vklm_jinja_truth(&test))
            return run_list(m, node->first);
        const vklm_jinja_node *otherwise = node->second;
        bool is_elif = otherwise && otherwise->kind == VKLM_JINJA_NODE_IF && !otherwise->next;
        if (!is_elif || m->status != VKLM_OK)
            return run_list(m, otherwise);
        node = otherwise;
    }
}

// Each item has a scope of its own. As in jinja2, the else branch also runs when no iteration came
// to its end: an iteration left by break or continue does not count.
static jump run_for(vklm_jinja_machine *m, const vklm_jinja_node *node)
{
    vklm_jinja_value items = vklm_jinja_eval(m, node->b);
    vklm_jinja_scope *outer = m->scope;
    vklm_jinja_loop *loop = vklm_jinja_alloc(m, 1, sizeof *loop);
    bool any_complete = false;
    m->line = node->line;
    if (!loop)
        return GO_ON;
    *loop = (vklm_jinja_loop){.items = vklm_jinja_iterate(m, &items),
                              .target = node->a,
                              .filter = node->c,
                              .scope = outer,
                              .index0 = -1};
    vklm_jinja_value self = {.kind = VKLM_JINJA_LOOP, .loop = loop};
    while (loop->items && vklm_jinja_loop_step(m, loop)) {
        vklm_jinja_scope_enter(m);
        vklm_jinja_scope_set(m, m->scope, VKLM_JINJA_TEXT("loop"), self);
        vklm_jinja_assign(m, node->a, loop->current);
        jump how = run_list(m, node->first);
        vklm_jinja_scope_leave(m, outer);
        any_complete |= how == GO_ON;
        if (how == BREAK)
            break;
    }
    if (any_complete || !node->second)
        return GO_ON;
    vklm_jinja_scope_enter(m);
    jump how = run_list(m, node->second);
    vklm_jinja_scope_leave(m, outer);
    return how;
}

// What the body renders becomes a value.
static jump run_set_block(vklm_jinja_machine *m, const vklm_jinja_node *node)
{
    vklm_string captured = {0}, *out = m->out;
    vklm_jinja_scope *outer = m->scope;
    m->out = &captured;
    vklm_jinja_scope_enter(m);
    jump how = run_list(m, node->first);
    vklm_jinja_scope_leave(m, outer);
    m->out = out;
    vklm_jinja_value value = vklm_jinja_take(m, &captured);
    if (how != GO_ON)
        return how;
    if (node->b) {
        m->body = value;
        value = vklm_jinja_eval(m, node->b);
    }
    vklm_jinja_assign(m, node->a, value);
    return GO_ON;
}

static void print(vklm_jinja_machine *m, const vklm_jinja_node *node)
{
    vklm_jinja_value value = vklm_jinja_eval(m, node->a);
    m->line = node->line;
    vklm_jinja_text text = vklm_jinja_to_text(m, &value);
    vklm_jinja_append(m, m->out, text.data, text.len);
}

static jump run_node(vklm_jinja_machine *m, const vklm_jinja_node *node)
{
    vklm_jinja_scope *outer = m->scope;
    jump how;
    switch (node->kind) {
    case VKLM_JINJA_NODE_TEXT:
        vklm_jinja_append(m, m->out, node->text.data, node->text.len);
        return GO_ON;
    case VKLM_JINJA_NODE_PRINT:
        print(m, node);
        return GO_ON;
    case VKLM_JINJA_NODE_IF:
        return run_if(m, node);
    case VKLM_JINJA_NODE_FOR:
        return run_for(m, node);
    case VKLM_JINJA_NODE_SET:
        vklm_jinja_assign(m, node->a, vklm_jinja_eval(m, node->b));
        return GO_ON;
    case VKLM_JINJA_NODE_SET_BLOCK:
        return run_set_block(m, node);
    case VKLM_JINJA_NODE_BREAK:
        return BREAK;
    case VKLM_JINJA_NODE_CONTINUE:
        return CONTINUE;
    default: // a scope
        vklm_jinja_scope_enter(m);
        how = run_list(m, node->first);
        vklm_jinja_scope_leave(m, outer);
        return how;
    }
}

static jump run_list(vklm_jinja_machine *m, const vklm_jinja_node *node)
{
    jump how = GO_ON;
    for (; node && how == GO_ON && vklm_jinja_spend(m, 1); node = node->next)
        how = run_node(m, node);
    return how;
}

void vklm_jinja_run(vklm_jinja_machine *m, const vklm_jinja_node *first)
{
    run_list(m, first);
}
