#include "text/jinja_eval.h"

// The next item that passes the filter, which sees the target and what is around the loop.
static bool fetch(vklm_jinja_machine *m, vklm_jinja_loop *loop, vklm_jinja_value *out)
{
    while (loop->next < loop->items->n && vklm_jinja_spend(m, 1)) {
        *out = loop->items->items[loop->next++];
        if (!loop->filter)
            return true;
        vklm_jinja_scope *inside = m->scope;
        m->scope = loop->scope;
        vklm_jinja_scope_enter(m);
        vklm_jinja_assign(m, loop->target, *out);
        vklm_jinja_value passes = vklm_jinja_eval(m, loop->filter);
        m->scope = inside;
        if (vklm_jinja_truth(&passes))
            return true;
    }
    return false;
}

static bool peek(vklm_jinja_machine *m, vklm_jinja_loop *loop)
{
    if (!loop->has_after && !loop->ended) {
        loop->has_after = fetch(m, loop, &loop->after);
        loop->ended = !loop->has_after;
    }
    return loop->has_after;
}

bool vklm_jinja_loop_step(vklm_jinja_machine *m, vklm_jinja_loop *loop)
{
    if (!peek(m, loop) || m->status != VKLM_OK)
        return false;
    loop->before = loop->current;
    loop->current = loop->after;
    loop->has_after = false;
    loop->index0++;
    return true;
}

// Needs all items that are left to pass the filter now.
static int64_t length(vklm_jinja_machine *m, vklm_jinja_loop *loop)
{
    if (loop->filter && !loop->ended) {
        vklm_jinja_list *rest =
            vklm_jinja_list_new(m, loop->items->n - loop->next, VKLM_JINJA_PLAIN_LIST);
        size_t n = 0;
        while (rest && fetch(m, loop, &rest->items[n]))
            n++;
        if (!rest)
            return 0;
        rest->n = n;
        loop->items = rest;
        loop->next = 0;
        loop->filter = NULL;
    }
    return (int64_t)(loop->items->n - loop->next) + loop->has_after + loop->index0 + 1;
}

vklm_jinja_value vklm_jinja_loop_attribute(vklm_jinja_machine *m, vklm_jinja_loop *loop,
                                           vklm_jinja_text name)
{
    if (vklm_jinja_is(name, "index0"))
        return vklm_jinja_int(loop->index0);
    if (vklm_jinja_is(name, "index"))
        return vklm_jinja_int(loop->index0 + 1);
    if (vklm_jinja_is(name, "first"))
        return vklm_jinja_bool(loop->index0 == 0);
    if (vklm_jinja_is(name, "last"))
        return vklm_jinja_bool(!peek(m, loop));
    if (vklm_jinja_is(name, "length"))
        return vklm_jinja_int(length(m, loop));
    if (vklm_jinja_is(name, "revindex"))
        return vklm_jinja_int(length(m, loop) - loop->index0);
    if (vklm_jinja_is(name, "revindex0"))
        return vklm_jinja_int(length(m, loop) - loop->index0 - 1);
    if (vklm_jinja_is(name, "depth"))
        return vklm_jinja_int(1);
    if (vklm_jinja_is(name, "depth0"))
        return vklm_jinja_int(0);
    if (vklm_jinja_is(name, "previtem"))
        return loop->index0 == 0 ? vklm_jinja_undefined() : loop->before;
    if (vklm_jinja_is(name, "nextitem"))
        return peek(m, loop) ? loop->after : vklm_jinja_undefined();
    if (vklm_jinja_is(name, "cycle") || vklm_jinja_is(name, "changed"))
        vklm_jinja_fail(m, VKLM_UNSUPPORTED, "loop.%.*s", (int)name.len, name.data);
    return vklm_jinja_undefined();
}
