#include "text/jinja_eval.h"

#define CODE(name)                                                                                 \
    static vklm_jinja_value name(vklm_jinja_machine *m, const vklm_jinja_value *self,              \
                                 const vklm_jinja_value *args, const vklm_jinja_arguments *all)
#define UNUSED(x) ((void)(x))

// A test that is true of some kinds.
#define KIND_TEST(name, condition)                                                                 \
    CODE(name)                                                                                     \
    {                                                                                              \
        UNUSED(m), UNUSED(args), UNUSED(all);                                                      \
        return vklm_jinja_bool(condition);                                                         \
    }

KIND_TEST(is_defined, self->kind != VKLM_JINJA_UNDEFINED)
KIND_TEST(is_undefined, self->kind == VKLM_JINJA_UNDEFINED)
KIND_TEST(is_none, self->kind == VKLM_JINJA_NONE)
KIND_TEST(is_string, self->kind == VKLM_JINJA_STRING)
KIND_TEST(is_mapping, self->kind == VKLM_JINJA_DICT)
KIND_TEST(is_boolean, self->kind == VKLM_JINJA_BOOL)
KIND_TEST(is_true, self->kind == VKLM_JINJA_BOOL && self->truth)
KIND_TEST(is_false, self->kind == VKLM_JINJA_BOOL && !self->truth)
KIND_TEST(is_integer, self->kind == VKLM_JINJA_INT)
KIND_TEST(is_float, self->kind == VKLM_JINJA_FLOAT)
KIND_TEST(is_number, self->kind == VKLM_JINJA_BOOL || self->kind == VKLM_JINJA_INT ||
                         self->kind == VKLM_JINJA_FLOAT)
KIND_TEST(is_iterable, self->kind == VKLM_JINJA_UNDEFINED || self->kind == VKLM_JINJA_STRING ||
                           self->kind == VKLM_JINJA_LIST || self->kind == VKLM_JINJA_DICT ||
                           self->kind == VKLM_JINJA_LOOP)

// len() and indexing work on it; also on undefined, as far as this test can tell.
CODE(is_sequence)
{
    UNUSED(args), UNUSED(all);
    if (self->kind == VKLM_JINJA_LIST && self->list->type == VKLM_JINJA_VIEW)
        vklm_jinja_fail(m, VKLM_UNSUPPORTED, "whether a range or view is a sequence");
    return vklm_jinja_bool(
        self->kind == VKLM_JINJA_UNDEFINED || self->kind == VKLM_JINJA_STRING ||
        self->kind == VKLM_JINJA_DICT ||
        (self->kind == VKLM_JINJA_LIST && self->list->type != VKLM_JINJA_ITERATOR));
}

static vklm_jinja_value divides(vklm_jinja_machine *m, const vklm_jinja_value *self,
                                vklm_jinja_value by, int64_t wanted)
{
    vklm_jinja_value rest = vklm_jinja_binary(m, VKLM_JINJA_TEXT("%"), self, &by);
    vklm_jinja_value value = vklm_jinja_int(wanted);
    return vklm_jinja_bool(vklm_jinja_equal(m, &rest, &value));
}

CODE(is_odd)
{
    UNUSED(args), UNUSED(all);
    return divides(m, self, vklm_jinja_int(2), 1);
}

CODE(is_even)
{
    UNUSED(args), UNUSED(all);
    return divides(m, self, vklm_jinja_int(2), 0);
}

CODE(is_divisible)
{
    UNUSED(all);
    return divides(m, self, args[0], 0);
}

#define ORDER_TEST(name, sign)                                                                     \
    CODE(name)                                                                                     \
    {                                                                                              \
        UNUSED(all);                                                                               \
        return vklm_jinja_bool(vklm_jinja_test_order(m, VKLM_JINJA_TEXT(sign), self, &args[0]));   \
    }

ORDER_TEST(is_equal, "==")
ORDER_TEST(is_unequal, "!=")
ORDER_TEST(is_less, "<")
ORDER_TEST(is_at_most, "<=")
ORDER_TEST(is_greater, ">")
ORDER_TEST(is_at_least, ">=")
ORDER_TEST(is_in, "in")

const vklm_jinja_function *vklm_jinja_find_test(vklm_jinja_text name)
{
    static const vklm_jinja_function table[] = {
        {"defined", "", 0, is_defined},    {"undefined", "", 0, is_undefined},
        {"none", "", 0, is_none},          {"string", "", 0, is_string},
        {"mapping", "", 0, is_mapping},    {"iterable", "", 0, is_iterable},
        {"sequence", "", 0, is_sequence},  {"number", "", 0, is_number},
        {"integer", "", 0, is_integer},    {"float", "", 0, is_float},
        {"boolean", "", 0, is_boolean},    {"true", "", 0, is_true},
        {"false", "", 0, is_false},        {"odd", "", 0, is_odd},
        {"even", "", 0, is_even},          {"divisibleby", "num", 1, is_divisible},
        {"eq", "other", 1, is_equal},      {"equalto", "other", 1, is_equal},
        {"==", "other", 1, is_equal},      {"ne", "other", 1, is_unequal},
        {"!=", "other", 1, is_unequal},    {"lt", "other", 1, is_less},
        {"lessthan", "other", 1, is_less}, {"<", "other", 1, is_less},
        {"le", "other", 1, is_at_most},    {"<=", "other", 1, is_at_most},
        {"gt", "other", 1, is_greater},    {"greaterthan", "other", 1, is_greater},
        {">", "other", 1, is_greater},     {"ge", "other", 1, is_at_least},
        {">=", "other", 1, is_at_least},   {"in", "seq", 1, is_in},
    };
    return vklm_jinja_find(table, sizeof table / sizeof *table, name);
}
