#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "text/jinja_eval.h"
#include "text/jinja_text.h"

#define CODE(name)                                                                                 \
    static vklm_jinja_value name(vklm_jinja_machine *m, const vklm_jinja_value *self,              \
                                 const vklm_jinja_value *args, const vklm_jinja_arguments *all)
#define UNUSED(x) ((void)(x))

static bool is_absent(const vklm_jinja_value *value)
{
    return value->kind == VKLM_JINJA_ABSENT;
}

static vklm_jinja_value refuse(vklm_jinja_machine *m, const char *filter,
                               const vklm_jinja_value *self)
{
    vklm_jinja_fail(m, VKLM_JINJA_WRONG, "the filter %s cannot take %s", filter,
                    vklm_jinja_kind_name(self));
    return vklm_jinja_undefined();
}

CODE(trim)
{
    UNUSED(all);
    vklm_jinja_text text = vklm_jinja_to_text(m, self);
    bool white = is_absent(&args[0]) || args[0].kind == VKLM_JINJA_NONE;
    if (!white && args[0].kind != VKLM_JINJA_STRING)
        return refuse(m, "trim", &args[0]);
    return vklm_jinja_string(vklm_jinja_strip(m, text, white ? NULL : &args[0].text, true, true));
}

CODE(length)
{
    UNUSED(args), UNUSED(all);
    switch (self->kind) {
    case VKLM_JINJA_UNDEFINED:
        return vklm_jinja_int(0);
    case VKLM_JINJA_STRING:
        return vklm_jinja_int((int64_t)vklm_jinja_text_length(m, self->text));
    case VKLM_JINJA_DICT:
        return vklm_jinja_int((int64_t)self->dict->n);
    case VKLM_JINJA_LIST:
        if (self->list->type != VKLM_JINJA_ITERATOR)
            return vklm_jinja_int((int64_t)self->list->n);
        return refuse(m, "length", self);
    default:
        return refuse(m, "length", self);
    }
}

CODE(upper)
{
    UNUSED(args), UNUSED(all);
    return vklm_jinja_recase(m, vklm_jinja_to_text(m, self), VKLM_JINJA_UPPER);
}

CODE(lower)
{
    UNUSED(args), UNUSED(all);
    return vklm_jinja_recase(m, vklm_jinja_to_text(m, self), VKLM_JINJA_LOWER);
}

CODE(capitalize)
{
    UNUSED(args), UNUSED(all);
    return vklm_jinja_recase(m, vklm_jinja_to_text(m, self), VKLM_JINJA_CAPITALIZE);
}

CODE(title)
{
    UNUSED(args), UNUSED(all);
    return vklm_jinja_recase(m, vklm_jinja_to_text(m, self), VKLM_JINJA_WORDS);
}

CODE(to_string)
{
    UNUSED(args), UNUSED(all);
    return vklm_jinja_string(vklm_jinja_to_text(m, self));
}

CODE(or_default)
{
    UNUSED(m), UNUSED(all);
    bool use = self->kind == VKLM_JINJA_UNDEFINED ||
               (vklm_jinja_truth(&args[1]) && !vklm_jinja_truth(self));
    if (!use)
        return *self;
    return is_absent(&args[0]) ? vklm_jinja_string(VKLM_JINJA_TEXT("")) : args[0];
}

CODE(tojson)
{
    UNUSED(all);
    int64_t indent = -1;
    vklm_string s = {0};
    bool no_indent = is_absent(&args[1]) || args[1].kind == VKLM_JINJA_NONE;
    if (!no_indent && (!vklm_jinja_to_integer(&args[1], &indent) || indent < 0 || indent > 64))
        vklm_jinja_fail(m, VKLM_UNSUPPORTED, "this indent of tojson");
    if (vklm_jinja_truth(&args[2]) || vklm_jinja_truth(&args[3]))
        vklm_jinja_fail(m, VKLM_UNSUPPORTED, "separators and sort_keys of tojson");
    vklm_jinja_print_json(m, &s, self, indent, vklm_jinja_truth(&args[0]));
    return vklm_jinja_take(m, &s);
}

// The attribute that join, map and selectattr look up in each item. Dots would mean a path.
static vklm_jinja_value get_member(vklm_jinja_machine *m, const vklm_jinja_value *item,
                                   const vklm_jinja_value *name)
{
    if (name->kind != VKLM_JINJA_STRING || memchr(name->text.data, '.', name->text.len)) {
        vklm_jinja_fail(m, VKLM_UNSUPPORTED, "an attribute that is not one plain name");
        return vklm_jinja_undefined();
    }
    return vklm_jinja_item(m, item, name);
}

CODE(join)
{
    UNUSED(all);
    vklm_string s = {0};
    const vklm_jinja_list *items = vklm_jinja_iterate(m, self);
    vklm_jinja_text between = VKLM_JINJA_TEXT("");
    if (!is_absent(&args[0]))
        between = vklm_jinja_to_text(m, &args[0]);
    bool of_items = is_absent(&args[1]) || args[1].kind == VKLM_JINJA_NONE;
    for (size_t i = 0; items && i < items->n && vklm_jinja_spend(m, 1); i++) {
        vklm_jinja_value part =
            of_items ? items->items[i] : get_member(m, &items->items[i], &args[1]);
        vklm_jinja_text text = vklm_jinja_to_text(m, &part);
        if (i > 0)
            vklm_jinja_append(m, &s, between.data, between.len);
        vklm_jinja_append(m, &s, text.data, text.len);
    }
    return vklm_jinja_take(m, &s);
}

CODE(first)
{
    UNUSED(args), UNUSED(all);
    const vklm_jinja_list *items = vklm_jinja_iterate(m, self);
    return items && items->n > 0 ? items->items[0] : vklm_jinja_undefined();
}

CODE(last)
{
    UNUSED(args), UNUSED(all);
    if (self->kind == VKLM_JINJA_LIST && self->list->type == VKLM_JINJA_ITERATOR)
        return refuse(m, "last", self);
    const vklm_jinja_list *items = vklm_jinja_iterate(m, self);
    return items && items->n > 0 ? items->items[items->n - 1] : vklm_jinja_undefined();
}

static vklm_jinja_value copy_list(vklm_jinja_machine *m, const vklm_jinja_list *items,
                                  vklm_jinja_list_type type)
{
    vklm_jinja_list *list = items ? vklm_jinja_list_new(m, items->n, type) : NULL;
    if (list && items->n)
        memcpy(list->items, items->items, items->n * sizeof *items->items);
    return vklm_jinja_list_close(m, list);
}

CODE(to_list)
{
    UNUSED(args), UNUSED(all);
    return copy_list(m, vklm_jinja_iterate(m, self), VKLM_JINJA_PLAIN_LIST);
}

CODE(items)
{
    UNUSED(args), UNUSED(all);
    static const vklm_jinja_list nothing = {0};
    static const vklm_jinja_arguments none = {0};
    if (self->kind == VKLM_JINJA_UNDEFINED)
        return copy_list(m, &nothing, VKLM_JINJA_ITERATOR);
    if (self->kind != VKLM_JINJA_DICT)
        return refuse(m, "items", self);
    const vklm_jinja_function *method =
        vklm_jinja_find_method(VKLM_JINJA_DICT, VKLM_JINJA_TEXT("items"));
    vklm_jinja_value pairs = vklm_jinja_call(m, method, self, &none);
    if (pairs.kind != VKLM_JINJA_LIST)
        return pairs;
    return copy_list(m, pairs.list, VKLM_JINJA_ITERATOR);
}

CODE(reverse)
{
    UNUSED(args), UNUSED(all);
    if (self->kind == VKLM_JINJA_STRING) {
        const vklm_jinja_value parts[3] = {vklm_jinja_none(), vklm_jinja_none(),
                                           vklm_jinja_int(-1)};
        return vklm_jinja_slice(m, self, parts);
    }
    if (self->kind == VKLM_JINJA_LIST && self->list->type == VKLM_JINJA_ITERATOR)
        return refuse(m, "reverse", self);
    const vklm_jinja_list *from = vklm_jinja_iterate(m, self);
    vklm_jinja_list *list = from ? vklm_jinja_list_new(m, from->n, VKLM_JINJA_ITERATOR) : NULL;
    for (size_t i = 0; list && i < list->n; i++)
        list->items[i] = from->items[list->n - 1 - i];
    return vklm_jinja_list_close(m, list);
}

// A number as Python's int() and float() read it, white space around it included.
static bool read_number(vklm_jinja_machine *m, vklm_jinja_text text, double *out)
{
    char digits[64];
    text = vklm_jinja_strip(m, text, NULL, true, true);
    bool strange = text.len >= sizeof digits;
    for (size_t i = 0; i < text.len && !strange; i++) // other digits, 1_000, inf and nan
        strange = (unsigned char)text.data[i] >= 0x80 || strchr("_nN", text.data[i]);
    if (strange) {
        vklm_jinja_fail(m, VKLM_UNSUPPORTED, "this text as a number");
        return false;
    }
    memcpy(digits, text.data, text.len);
    digits[text.len] = '\0';
    if (text.len == 0 || strspn(digits, "+-0123456789.eE") != text.len)
        return false;
    char *end;
    *out = strtod(digits, &end);
    return *end == '\0';
}

CODE(to_int)
{
    UNUSED(all);
    int64_t integer;
    double real = 0;
    if (!is_absent(&args[1]))
        vklm_jinja_fail(m, VKLM_UNSUPPORTED, "a base for the filter int");
    if (self->kind == VKLM_JINJA_UNDEFINED)
        return refuse(m, "int", self);
    if (vklm_jinja_to_integer(self, &integer))
        return vklm_jinja_int(integer);
    bool good = self->kind == VKLM_JINJA_FLOAT && isfinite(self->real);
    if (good)
        real = self->real;
    else if (self->kind == VKLM_JINJA_STRING)
        good = read_number(m, self->text, &real) && isfinite(real);
    if (!good)
        return is_absent(&args[0]) ? vklm_jinja_int(0) : args[0];
    if (fabs(real) > 0x1p53) {
        vklm_jinja_fail(m, VKLM_UNSUPPORTED, "an integer of more than 53 bits");
        return vklm_jinja_undefined();
    }
    return vklm_jinja_int((int64_t)real);
}

CODE(to_float)
{
    UNUSED(all);
    double real;
    if (self->kind == VKLM_JINJA_UNDEFINED)
        return refuse(m, "float", self);
    if (vklm_jinja_to_real(self, &real))
        return vklm_jinja_float(real);
    if (self->kind == VKLM_JINJA_STRING && read_number(m, self->text, &real))
        return vklm_jinja_float(real);
    return is_absent(&args[0]) ? vklm_jinja_float(0) : args[0];
}

CODE(absolute)
{
    UNUSED(args), UNUSED(all);
    double real;
    if (!vklm_jinja_to_real(self, &real))
        return refuse(m, "abs", self);
    vklm_jinja_value plain = self->kind == VKLM_JINJA_BOOL ? vklm_jinja_int(self->truth) : *self;
    return real < 0 || signbit(real) ? vklm_jinja_negate(m, &plain) : plain;
}

CODE(replace)
{
    UNUSED(all);
    int64_t most = -1;
    if (!is_absent(&args[2]) && args[2].kind != VKLM_JINJA_NONE &&
        !vklm_jinja_to_integer(&args[2], &most))
        return refuse(m, "replace", &args[2]);
    vklm_jinja_text text = vklm_jinja_to_text(m, self);
    vklm_jinja_text from = vklm_jinja_to_text(m, &args[0]);
    return vklm_jinja_replace(m, text, from, vklm_jinja_to_text(m, &args[1]), most);
}

// Whether the item's attribute (args 0) passes the test (args 1, with the other arguments), or is
// true.
static bool passes(vklm_jinja_machine *m, const vklm_jinja_value *item,
                   const vklm_jinja_arguments *all)
{
    vklm_jinja_value member = get_member(m, item, &all->items[0].value);
    if (all->n == 1)
        return vklm_jinja_truth(&member);
    const vklm_jinja_value *name = &all->items[1].value;
    const vklm_jinja_function *test =
        name->kind == VKLM_JINJA_STRING ? vklm_jinja_find_test(name->text) : NULL;
    vklm_jinja_arguments rest = {all->items + 2, all->n - 2};
    if (!test) {
        vklm_jinja_fail(m, VKLM_UNSUPPORTED, "this test in selectattr or rejectattr");
        return false;
    }
    vklm_jinja_value result = vklm_jinja_call(m, test, &member, &rest);
    return vklm_jinja_truth(&result);
}

static vklm_jinja_value select_items(vklm_jinja_machine *m, const vklm_jinja_value *self,
                                     const vklm_jinja_arguments *all, bool wanted)
{
    if (all->n == 0)
        return refuse(m, "selectattr without an attribute", self);
    const vklm_jinja_list *from = vklm_jinja_iterate(m, self);
    vklm_jinja_list *list = from ? vklm_jinja_list_new(m, from->n, VKLM_JINJA_ITERATOR) : NULL;
    size_t n = 0;
    for (size_t i = 0; list && i < from->n && vklm_jinja_spend(m, 1); i++)
        if (passes(m, &from->items[i], all) == wanted)
            list->items[n++] = from->items[i];
    if (list)
        list->n = n;
    return vklm_jinja_list_close(m, list);
}

CODE(selectattr)
{
    UNUSED(args);
    return select_items(m, self, all, true);
}

CODE(rejectattr)
{
    UNUSED(args);
    return select_items(m, self, all, false);
}

// Only map(attribute=name).
CODE(map)
{
    UNUSED(args);
    if (all->n != 1 || !vklm_jinja_is(all->items[0].name, "attribute")) {
        vklm_jinja_fail(m, VKLM_UNSUPPORTED, "the filter map with other than attribute=");
        return vklm_jinja_undefined();
    }
    const vklm_jinja_list *from = vklm_jinja_iterate(m, self);
    vklm_jinja_list *list = from ? vklm_jinja_list_new(m, from->n, VKLM_JINJA_ITERATOR) : NULL;
    for (size_t i = 0; list && i < list->n && vklm_jinja_spend(m, 1); i++)
        list->items[i] = get_member(m, &from->items[i], &all->items[0].value);
    return vklm_jinja_list_close(m, list);
}

const vklm_jinja_function *vklm_jinja_find_filter(vklm_jinja_text name)
{
    static const vklm_jinja_function table[] = {
        {"trim", "chars", 0, trim},
        {"length", "", 0, length},
        {"count", "", 0, length},
        {"upper", "", 0, upper},
        {"lower", "", 0, lower},
        {"capitalize", "", 0, capitalize},
        {"title", "", 0, title},
        {"string", "", 0, to_string},
        {"default", "default_value boolean", 0, or_default},
        {"d", "default_value boolean", 0, or_default},
        {"tojson", "ensure_ascii indent separators sort_keys", 0, tojson},
        {"join", "d attribute", 0, join},
        {"first", "", 0, first},
        {"last", "", 0, last},
        {"list", "", 0, to_list},
        {"items", "", 0, items},
        {"reverse", "", 0, reverse},
        {"int", "default base", 0, to_int},
        {"float", "default", 0, to_float},
        {"abs", "", 0, absolute},
        {"replace", "old new count", 2, replace},
        {"selectattr", NULL, 0, selectattr},
        {"rejectattr", NULL, 0, rejectattr},
        {"map", NULL, 0, map},
    };
    return vklm_jinja_find(table, sizeof table / sizeof *table, name);
}
