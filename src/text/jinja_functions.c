// Global functions, and the methods of strings and dicts.
#include <string.h>

#include "base/clock.h"
#include "text/jinja_eval.h"
#include "text/jinja_text.h"

const vklm_jinja_function *vklm_jinja_find(const vklm_jinja_function *table, size_t n,
                                           vklm_jinja_text name)
{
    for (size_t i = 0; i < n; i++)
        if (vklm_jinja_is(name, table[i].name))
            return &table[i];
    return NULL;
}

// The place of `name` in a list of names, or -1.
static int find_parameter(const char *names, vklm_jinja_text name)
{
    int place = 0;
    for (const char *at = names; at && *at; place++) {
        size_t len = strcspn(at, " ");
        if (len == name.len && memcmp(at, name.data, len) == 0)
            return place;
        at += len + (at[len] == ' ');
    }
    return -1;
}

static int count_parameters(const char *names)
{
    int n = *names != '\0';
    for (; *names; names++)
        n += *names == ' ';
    return n;
}

vklm_jinja_value vklm_jinja_call(vklm_jinja_machine *m, const vklm_jinja_function *function,
                                 const vklm_jinja_value *self, const vklm_jinja_arguments *args)
{
    vklm_jinja_value bound[VKLM_JINJA_MAX_PARAMETERS] = {0};
    if (m->status != VKLM_OK)
        return vklm_jinja_undefined();
    if (!function->parameters)
        return function->code(m, self, bound, args);
    const int n = count_parameters(function->parameters);
    bool good = true;
    for (size_t i = 0; good && i < args->n; i++) {
        const vklm_jinja_argument *arg = &args->items[i];
        int place = arg->name.len ? find_parameter(function->parameters, arg->name) : (int)i;
        good = place >= 0 && place < n && bound[place].kind == VKLM_JINJA_ABSENT;
        if (good)
            bound[place] = arg->value;
    }
    for (unsigned i = 0; i < function->n_required; i++)
        good = good && bound[i].kind != VKLM_JINJA_ABSENT;
    if (good)
        return function->code(m, self, bound, args);
    vklm_jinja_fail(m, VKLM_JINJA_WRONG, "%s takes other arguments: (%s)", function->name,
                    function->parameters);
    return vklm_jinja_undefined();
}

static bool is_absent(const vklm_jinja_value *value)
{
    return value->kind == VKLM_JINJA_ABSENT;
}

// A string argument. False after a failure.
static bool get_text(vklm_jinja_machine *m, const vklm_jinja_value *value, vklm_jinja_text *out)
{
    *out = value->text;
    if (value->kind == VKLM_JINJA_STRING)
        return true;
    *out = VKLM_JINJA_TEXT("");
    vklm_jinja_fail(m, VKLM_JINJA_WRONG, "wanted a string as an argument, found %s",
                    vklm_jinja_kind_name(value));
    return false;
}

static int64_t get_integer(vklm_jinja_machine *m, const vklm_jinja_value *value, int64_t absent)
{
    int64_t integer = absent;
    if (!is_absent(value) && !vklm_jinja_to_integer(value, &integer))
        vklm_jinja_fail(m, VKLM_JINJA_WRONG, "wanted an integer as an argument, found %s",
                        vklm_jinja_kind_name(value));
    return integer;
}

#define CODE(name)                                                                                 \
    static vklm_jinja_value name(vklm_jinja_machine *m, const vklm_jinja_value *self,              \
                                 const vklm_jinja_value *args, const vklm_jinja_arguments *all)
#define UNUSED(x) ((void)(x))

CODE(raise_exception)
{
    UNUSED(self), UNUSED(all);
    vklm_jinja_text message = vklm_jinja_to_text(m, &args[0]);
    vklm_jinja_fail(m, VKLM_INVALID_ARGUMENT, "the template refuses these messages: %.*s",
                    (int)(message.len < 300 ? message.len : 300), message.data);
    return vklm_jinja_undefined();
}

CODE(make_range)
{
    UNUSED(self), UNUSED(all);
    int64_t first = get_integer(m, &args[0], 0), stop = get_integer(m, &args[1], 0);
    int64_t step = get_integer(m, &args[2], 1);
    if (is_absent(&args[1]))
        stop = first, first = 0;
    const int64_t far = INT64_C(1) << 60;
    if (step == 0 || first < -far || first > far || stop < -far || stop > far) {
        vklm_jinja_fail(m, VKLM_JINJA_WRONG, "this range");
        return vklm_jinja_undefined();
    }
    uint64_t span = (uint64_t)(step > 0 ? stop - first : first - stop);
    uint64_t stride = step > 0 ? (uint64_t)step : -(uint64_t)step;
    bool empty = step > 0 ? stop <= first : stop >= first;
    uint64_t n = empty ? 0 : (span - 1) / stride + 1;
    if (n > VKLM_JINJA_MAX_RANGE) {
        vklm_jinja_fail(m, VKLM_JINJA_WRONG, "a range of more than %d", VKLM_JINJA_MAX_RANGE);
        return vklm_jinja_undefined();
    }
    vklm_jinja_list *list = vklm_jinja_list_new(m, n, VKLM_JINJA_VIEW);
    for (size_t i = 0; list && i < n; i++)
        list->items[i] = vklm_jinja_int(first + (int64_t)i * step);
    return vklm_jinja_list_close(m, list);
}

CODE(make_namespace)
{
    UNUSED(self), UNUSED(args);
    vklm_jinja_scope *names = vklm_jinja_alloc(m, 1, sizeof *names);
    for (size_t i = 0; names && i < all->n; i++) {
        const vklm_jinja_argument *arg = &all->items[i];
        if (arg->name.len == 0)
            vklm_jinja_fail(m, VKLM_UNSUPPORTED, "namespace() with an argument without a name");
        else if (*arg->name.data == '_')
            vklm_jinja_fail(m, VKLM_JINJA_WRONG, "the name %.*s in a namespace", (int)arg->name.len,
                            arg->name.data);
        else
            vklm_jinja_scope_set(m, names, arg->name, arg->value);
    }
    return names ? (vklm_jinja_value){.kind = VKLM_JINJA_NAMESPACE, .names = names}
                 : vklm_jinja_undefined();
}

CODE(make_dict)
{
    UNUSED(self), UNUSED(args);
    vklm_jinja_dict *dict = vklm_jinja_dict_new(m, all->n);
    for (size_t i = 0; dict && i < all->n; i++) {
        if (all->items[i].name.len == 0)
            vklm_jinja_fail(m, VKLM_UNSUPPORTED, "dict() with an argument without a name");
        vklm_jinja_dict_put(m, dict, vklm_jinja_string(all->items[i].name), all->items[i].value);
    }
    return vklm_jinja_dict_close(m, dict);
}

// The local time. Only what every C library prints alike.
CODE(print_time)
{
    UNUSED(self), UNUSED(all);
    char format[128], text[512];
    vklm_jinja_text given;
    vklm_string s = {0};
    if (!get_text(m, &args[0], &given))
        return vklm_jinja_undefined();
    bool good = given.len < sizeof format && !memchr(given.data, '\0', given.len);
    for (size_t i = 0; good && i < given.len; i++)
        if (given.data[i] == '%')
            good = ++i < given.len && strchr("aAbBdHIjmMpSyY%", given.data[i]);
    if (!good) {
        vklm_jinja_fail(m, VKLM_UNSUPPORTED, "this strftime_now format");
        return vklm_jinja_undefined();
    }
    memcpy(format, given.data, given.len);
    format[given.len] = '\0';
    size_t n = vklm_clock_print(text, sizeof text, format);
    vklm_jinja_append(m, &s, text, n);
    return vklm_jinja_take(m, &s);
}

const vklm_jinja_function *vklm_jinja_find_global(vklm_jinja_text name)
{
    static const vklm_jinja_function table[] = {
        {"raise_exception", "message", 1, raise_exception},
        {"range", "start stop step", 1, make_range},
        {"namespace", NULL, 0, make_namespace},
        {"dict", NULL, 0, make_dict},
        {"strftime_now", "format", 1, print_time},
    };
    return vklm_jinja_find(table, sizeof table / sizeof *table, name);
}

static vklm_jinja_value strip(vklm_jinja_machine *m, const vklm_jinja_value *self,
                              const vklm_jinja_value *chars, bool left, bool right)
{
    vklm_jinja_text set;
    bool white = is_absent(chars) || chars->kind == VKLM_JINJA_NONE;
    if (!white && !get_text(m, chars, &set))
        return vklm_jinja_undefined();
    return vklm_jinja_string(vklm_jinja_strip(m, self->text, white ? NULL : &set, left, right));
}

CODE(str_strip)
{
    UNUSED(all);
    return strip(m, self, &args[0], true, true);
}

CODE(str_lstrip)
{
    UNUSED(all);
    return strip(m, self, &args[0], true, false);
}

CODE(str_rstrip)
{
    UNUSED(all);
    return strip(m, self, &args[0], false, true);
}

CODE(str_split)
{
    UNUSED(all);
    vklm_jinja_text separator;
    bool white = is_absent(&args[0]) || args[0].kind == VKLM_JINJA_NONE;
    int64_t most = get_integer(m, &args[1], -1);
    if (!white && !get_text(m, &args[0], &separator))
        return vklm_jinja_undefined();
    return vklm_jinja_split(m, self->text, white ? NULL : &separator, most);
}

// Whether `test` holds for the argument, or for one of a tuple.
static vklm_jinja_value test_ends(vklm_jinja_machine *m, const vklm_jinja_value *self,
                                  const vklm_jinja_value *arg,
                                  bool (*test)(vklm_jinja_text, vklm_jinja_text))
{
    vklm_jinja_text part;
    if (arg->kind != VKLM_JINJA_LIST || arg->list->type != VKLM_JINJA_TUPLE)
        return vklm_jinja_bool(get_text(m, arg, &part) && test(self->text, part));
    for (size_t i = 0; i < arg->list->n; i++)
        if (get_text(m, &arg->list->items[i], &part) && test(self->text, part))
            return vklm_jinja_bool(true);
    return vklm_jinja_bool(false);
}

CODE(str_startswith)
{
    UNUSED(all);
    return test_ends(m, self, &args[0], vklm_jinja_starts_with);
}

CODE(str_endswith)
{
    UNUSED(all);
    return test_ends(m, self, &args[0], vklm_jinja_ends_with);
}

CODE(str_removeprefix)
{
    UNUSED(all);
    vklm_jinja_text text = self->text, part;
    if (get_text(m, &args[0], &part) && vklm_jinja_starts_with(text, part))
        text = (vklm_jinja_text){text.data + part.len, text.len - part.len};
    return vklm_jinja_string(text);
}

CODE(str_removesuffix)
{
    UNUSED(all);
    vklm_jinja_text text = self->text, part;
    if (get_text(m, &args[0], &part) && vklm_jinja_ends_with(text, part))
        text.len -= part.len;
    return vklm_jinja_string(text);
}

CODE(str_upper)
{
    UNUSED(args), UNUSED(all);
    return vklm_jinja_recase(m, self->text, VKLM_JINJA_UPPER);
}

CODE(str_lower)
{
    UNUSED(args), UNUSED(all);
    return vklm_jinja_recase(m, self->text, VKLM_JINJA_LOWER);
}

CODE(str_title)
{
    UNUSED(args), UNUSED(all);
    return vklm_jinja_recase(m, self->text, VKLM_JINJA_TITLE);
}

CODE(str_capitalize)
{
    UNUSED(args), UNUSED(all);
    return vklm_jinja_recase(m, self->text, VKLM_JINJA_CAPITALIZE);
}

CODE(str_replace)
{
    UNUSED(all);
    vklm_jinja_text from, to;
    if (!get_text(m, &args[0], &from) || !get_text(m, &args[1], &to))
        return vklm_jinja_undefined();
    return vklm_jinja_replace(m, self->text, from, to, get_integer(m, &args[2], -1));
}

CODE(str_find)
{
    UNUSED(all);
    vklm_jinja_text part;
    if (!get_text(m, &args[0], &part))
        return vklm_jinja_undefined();
    size_t at = vklm_jinja_text_find(m, self->text, part);
    if (at == SIZE_MAX)
        return vklm_jinja_int(-1);
    vklm_jinja_text before = {self->text.data, at};
    return vklm_jinja_int((int64_t)vklm_jinja_text_length(m, before));
}

CODE(str_count)
{
    UNUSED(all);
    vklm_jinja_text part, rest = self->text;
    int64_t n = 0;
    if (!get_text(m, &args[0], &part))
        return vklm_jinja_undefined();
    if (part.len == 0)
        return vklm_jinja_int((int64_t)vklm_jinja_text_length(m, rest) + 1);
    for (size_t at; (at = vklm_jinja_text_find(m, rest, part)) != SIZE_MAX; n++) {
        size_t used = at + part.len;
        rest = (vklm_jinja_text){rest.data + used, rest.len - used};
    }
    return vklm_jinja_int(n);
}

CODE(str_join)
{
    UNUSED(all);
    vklm_string s = {0};
    const vklm_jinja_list *parts = vklm_jinja_iterate(m, &args[0]);
    for (size_t i = 0; parts && i < parts->n && vklm_jinja_spend(m, 1); i++) {
        vklm_jinja_text part;
        get_text(m, &parts->items[i], &part);
        if (i > 0)
            vklm_jinja_append(m, &s, self->text.data, self->text.len);
        vklm_jinja_append(m, &s, part.data, part.len);
    }
    return vklm_jinja_take(m, &s);
}

CODE(dict_get)
{
    UNUSED(all);
    const vklm_jinja_value *found = vklm_jinja_dict_find(m, self->dict, &args[0]);
    if (found)
        return *found;
    return is_absent(&args[1]) ? vklm_jinja_none() : args[1];
}

CODE(dict_keys)
{
    UNUSED(args), UNUSED(all);
    vklm_jinja_list *list = vklm_jinja_list_new(m, self->dict->n, VKLM_JINJA_VIEW);
    for (size_t i = 0; list && i < list->n; i++)
        list->items[i] = self->dict->keys[i];
    return vklm_jinja_list_close(m, list);
}

CODE(dict_values)
{
    UNUSED(args), UNUSED(all);
    vklm_jinja_list *list = vklm_jinja_list_new(m, self->dict->n, VKLM_JINJA_VIEW);
    for (size_t i = 0; list && i < list->n; i++)
        list->items[i] = self->dict->values[i];
    return vklm_jinja_list_close(m, list);
}

CODE(dict_items)
{
    UNUSED(args), UNUSED(all);
    vklm_jinja_list *list = vklm_jinja_list_new(m, self->dict->n, VKLM_JINJA_VIEW);
    for (size_t i = 0; list && i < list->n; i++) {
        vklm_jinja_list *pair = vklm_jinja_list_new(m, 2, VKLM_JINJA_TUPLE);
        if (!pair)
            break;
        pair->items[0] = self->dict->keys[i];
        pair->items[1] = self->dict->values[i];
        list->items[i] = vklm_jinja_list_close(m, pair);
    }
    return vklm_jinja_list_close(m, list);
}

// A / keeps a parameter from being given by name, as in Python.
static const vklm_jinja_function string_methods[] = {
    {"strip", "/chars", 0, str_strip},
    {"lstrip", "/chars", 0, str_lstrip},
    {"rstrip", "/chars", 0, str_rstrip},
    {"split", "sep maxsplit", 0, str_split},
    {"startswith", "/prefix", 1, str_startswith},
    {"endswith", "/suffix", 1, str_endswith},
    {"removeprefix", "/prefix", 1, str_removeprefix},
    {"removesuffix", "/suffix", 1, str_removesuffix},
    {"upper", "", 0, str_upper},
    {"lower", "", 0, str_lower},
    {"title", "", 0, str_title},
    {"capitalize", "", 0, str_capitalize},
    {"replace", "/old /new /count", 2, str_replace},
    {"find", "/sub", 1, str_find},
    {"count", "/sub", 1, str_count},
    {"join", "/iterable", 1, str_join},
};
static const vklm_jinja_function dict_methods[] = {
    {"get", "/key /default", 1, dict_get},
    {"items", "", 0, dict_items},
    {"keys", "", 0, dict_keys},
    {"values", "", 0, dict_values},
};

const vklm_jinja_function *vklm_jinja_find_method(vklm_jinja_kind kind, vklm_jinja_text name)
{
    if (kind == VKLM_JINJA_STRING)
        return vklm_jinja_find(string_methods, sizeof string_methods / sizeof *string_methods,
                               name);
    if (kind == VKLM_JINJA_DICT)
        return vklm_jinja_find(dict_methods, sizeof dict_methods / sizeof *dict_methods, name);
    return NULL;
}
