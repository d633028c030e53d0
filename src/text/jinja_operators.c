#include <math.h>

#include "text/jinja_eval.h"
#include "text/jinja_text.h"

static vklm_jinja_value refuse(vklm_jinja_machine *m, vklm_jinja_text name,
                               const vklm_jinja_value *a, const vklm_jinja_value *b)
{
    vklm_jinja_fail(m, VKLM_JINJA_WRONG, "%s %.*s %s", vklm_jinja_kind_name(a), (int)name.len,
                    name.data, vklm_jinja_kind_name(b));
    return vklm_jinja_undefined();
}

static vklm_jinja_value unsupported(vklm_jinja_machine *m, const char *what)
{
    vklm_jinja_fail(m, VKLM_UNSUPPORTED, "%s", what);
    return vklm_jinja_undefined();
}

static vklm_jinja_value join(vklm_jinja_machine *m, vklm_jinja_text a, vklm_jinja_text b)
{
    vklm_string s = {0};
    vklm_jinja_append(m, &s, a.data, a.len);
    vklm_jinja_append(m, &s, b.data, b.len);
    return vklm_jinja_take(m, &s);
}

static vklm_jinja_value join_lists(vklm_jinja_machine *m, const vklm_jinja_list *a,
                                   const vklm_jinja_list *b)
{
    vklm_jinja_list *list = vklm_jinja_list_new(m, a->n + b->n, a->type);
    for (size_t i = 0; list && i < list->n; i++)
        list->items[i] = i < a->n ? a->items[i] : b->items[i - a->n];
    return vklm_jinja_list_close(m, list);
}

static vklm_jinja_value repeat(vklm_jinja_machine *m, vklm_jinja_text text, int64_t times)
{
    vklm_string s = {0};
    for (int64_t i = 0; i < times && text.len > 0 && vklm_jinja_spend(m, 1); i++)
        vklm_jinja_append(m, &s, text.data, text.len);
    return vklm_jinja_take(m, &s);
}

// Python rounds quotients down, and a remainder has the sign of the divisor.
static vklm_jinja_value divide_integers(int64_t a, int64_t b, bool remainder)
{
    int64_t quotient = a / b, rest = a % b;
    bool down = rest != 0 && (rest < 0) != (b < 0);
    return vklm_jinja_int(remainder ? rest + (down ? b : 0) : quotient - down);
}

static vklm_jinja_value divide_reals(double a, double b, bool remainder)
{
    double rest = fmod(a, b), quotient = (a - rest) / b;
    if (rest != 0 && (rest < 0) != (b < 0)) {
        rest += b;
        quotient -= 1;
    }
    if (remainder)
        return vklm_jinja_float(rest == 0 ? copysign(0, b) : rest);
    double whole = floor(quotient);
    return vklm_jinja_float(quotient - whole > 0.5 ? whole + 1 : whole);
}

static vklm_jinja_value integers(vklm_jinja_machine *m, char name, bool floor_division, int64_t a,
                                 int64_t b)
{
    int64_t result = 0;
    bool overflow = false;
    if (name == '+')
        overflow = __builtin_add_overflow(a, b, &result);
    else if (name == '-')
        overflow = __builtin_sub_overflow(a, b, &result);
    else if (name == '*')
        overflow = __builtin_mul_overflow(a, b, &result);
    else if (a == INT64_MIN && b == -1)
        overflow = true;
    else if (name == '%' || floor_division)
        return divide_integers(a, b, name == '%');
    else
        return vklm_jinja_float((double)a / (double)b);
    if (overflow)
        return unsupported(m, "an integer of more than 64 bits");
    return vklm_jinja_int(result);
}

static vklm_jinja_value reals(char name, bool floor_division, double a, double b)
{
    switch (name) {
    case '+':
        return vklm_jinja_float(a + b);
    case '-':
        return vklm_jinja_float(a - b);
    case '*':
        return vklm_jinja_float(a * b);
    default:
        return name == '%' || floor_division ? divide_reals(a, b, name == '%')
                                             : vklm_jinja_float(a / b);
    }
}

static vklm_jinja_value numbers(vklm_jinja_machine *m, vklm_jinja_text name,
                                const vklm_jinja_value *a, const vklm_jinja_value *b)
{
    int64_t ia, ib;
    double ra, rb;
    vklm_jinja_to_real(a, &ra);
    vklm_jinja_to_real(b, &rb);
    if ((*name.data == '/' || *name.data == '%') && rb == 0) {
        vklm_jinja_fail(m, VKLM_JINJA_WRONG, "division by zero");
        return vklm_jinja_undefined();
    }
    if (vklm_jinja_to_integer(a, &ia) && vklm_jinja_to_integer(b, &ib))
        return integers(m, *name.data, name.len == 2, ia, ib);
    return reals(*name.data, name.len == 2, ra, rb);
}

vklm_jinja_value vklm_jinja_binary(vklm_jinja_machine *m, vklm_jinja_text name,
                                   const vklm_jinja_value *a, const vklm_jinja_value *b)
{
    double real;
    int64_t times;
    const char c = *name.data;
    if (c == '~') {
        vklm_jinja_text left = vklm_jinja_to_text(m, a);
        return join(m, left, vklm_jinja_to_text(m, b));
    }
    if (vklm_jinja_to_real(a, &real) && vklm_jinja_to_real(b, &real))
        return numbers(m, name, a, b);
    if (c == '+' && a->kind == VKLM_JINJA_STRING && b->kind == VKLM_JINJA_STRING)
        return join(m, a->text, b->text);
    if (c == '+' && a->kind == VKLM_JINJA_LIST && b->kind == VKLM_JINJA_LIST &&
        a->list->type == b->list->type && a->list->type <= VKLM_JINJA_TUPLE)
        return join_lists(m, a->list, b->list);
    if (c == '*' && a->kind == VKLM_JINJA_STRING && vklm_jinja_to_integer(b, &times))
        return repeat(m, a->text, times);
    if (c == '*' && b->kind == VKLM_JINJA_STRING && vklm_jinja_to_integer(a, &times))
        return repeat(m, b->text, times);
    if (c == '*' && (a->kind == VKLM_JINJA_LIST || b->kind == VKLM_JINJA_LIST))
        return unsupported(m, "a list times a number");
    if (c == '%' && a->kind == VKLM_JINJA_STRING)
        return unsupported(m, "the format operator %");
    return refuse(m, name, a, b);
}

bool vklm_jinja_contains(vklm_jinja_machine *m, const vklm_jinja_value *container,
                         const vklm_jinja_value *item)
{
    if (container->kind == VKLM_JINJA_DICT)
        return vklm_jinja_dict_find(m, container->dict, item) != NULL;
    if (container->kind == VKLM_JINJA_STRING) {
        if (item->kind != VKLM_JINJA_STRING)
            refuse(m, VKLM_JINJA_TEXT("in"), item, container);
        return item->kind == VKLM_JINJA_STRING &&
               vklm_jinja_text_find(m, container->text, item->text) != SIZE_MAX;
    }
    const vklm_jinja_list *list = vklm_jinja_iterate(m, container);
    for (size_t i = 0; list && i < list->n && vklm_jinja_spend(m, 1); i++)
        if (vklm_jinja_equal(m, &list->items[i], item))
            return true;
    return false;
}

bool vklm_jinja_test_order(vklm_jinja_machine *m, vklm_jinja_text name, const vklm_jinja_value *a,
                           const vklm_jinja_value *b)
{
    double ra, rb;
    if (vklm_jinja_is(name, "in"))
        return vklm_jinja_contains(m, b, a);
    if (vklm_jinja_is(name, "not in"))
        return !vklm_jinja_contains(m, b, a);
    if (vklm_jinja_is(name, "=="))
        return vklm_jinja_equal(m, a, b);
    if (vklm_jinja_is(name, "!="))
        return !vklm_jinja_equal(m, a, b);
    if (vklm_jinja_to_real(a, &ra) && vklm_jinja_to_real(b, &rb) && (isnan(ra) || isnan(rb)))
        return false;
    int order = vklm_jinja_compare(m, a, b);
    bool or_equal = name.len == 2;
    return *name.data == '<' ? order < or_equal : order > -or_equal;
}

vklm_jinja_value vklm_jinja_negate(vklm_jinja_machine *m, const vklm_jinja_value *value)
{
    int64_t integer;
    if (value->kind == VKLM_JINJA_FLOAT)
        return vklm_jinja_float(-value->real);
    if (!vklm_jinja_to_integer(value, &integer)) {
        vklm_jinja_fail(m, VKLM_JINJA_WRONG, "the sign of %s", vklm_jinja_kind_name(value));
        return vklm_jinja_undefined();
    }
    return integer == INT64_MIN ? unsupported(m, "an integer of more than 64 bits")
                                : vklm_jinja_int(-integer);
}
