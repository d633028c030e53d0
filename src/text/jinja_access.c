#include <string.h>

#include "base/utf8.h"
#include "text/jinja_eval.h"
#include "text/jinja_text.h"

// What Python's types have beside the methods in our tables. Those that would change their object
// are undefined in jinja2's sandbox, and so are all names with two underscores.
typedef struct {
    const char *refused;     // by the sandbox
    const char *unsupported; // by us
} python_names;

static const python_names string_names = {
    NULL,
    " casefold center encode expandtabs format format_map index isalnum isalpha isascii isdecimal "
    "isdigit isidentifier islower isnumeric isprintable isspace istitle isupper ljust maketrans "
    "partition rfind rindex rjust rpartition rsplit splitlines swapcase translate zfill "};
static const python_names list_names = {" append clear extend insert pop remove reverse sort ",
                                        " copy count index "};
static const python_names tuple_names = {NULL, " count index "};
static const python_names dict_names = {" clear pop popitem setdefault update ", " copy fromkeys "};
static const python_names number_names = {
    NULL,
    " as_integer_ratio bit_count bit_length conjugate denominator from_bytes fromhex hex imag "
    "is_integer numerator real to_bytes "};
static const python_names no_names = {NULL, NULL};

static bool is_one_of(vklm_jinja_text name, const char *names)
{
    for (const char *at = names; at && (at = strchr(at, ' ')) && at[1]; at++)
        if (strncmp(at + 1, name.data, name.len) == 0 && at[1 + name.len] == ' ')
            return name.len > 0;
    return false;
}

static const python_names *names_of(const vklm_jinja_value *object)
{
    switch (object->kind) {
    case VKLM_JINJA_BOOL:
    case VKLM_JINJA_INT:
    case VKLM_JINJA_FLOAT:
        return &number_names;
    case VKLM_JINJA_STRING:
        return &string_names;
    case VKLM_JINJA_DICT:
        return &dict_names;
    case VKLM_JINJA_LIST:
        return object->list->type == VKLM_JINJA_TUPLE ? &tuple_names : &list_names;
    default:
        return &no_names;
    }
}

// Python's getattr. False when there is no such attribute; *out is undefined then, too.
static bool get_attribute(vklm_jinja_machine *m, const vklm_jinja_value *object,
                          vklm_jinja_text name, vklm_jinja_value *out)
{
    *out = vklm_jinja_undefined();
    const vklm_jinja_function *method = vklm_jinja_find_method(object->kind, name);
    const python_names *names = names_of(object);
    if (method) {
        vklm_jinja_value *self = vklm_jinja_alloc(m, 1, sizeof *self);
        if (self) {
            *self = *object;
            *out = (vklm_jinja_value){.kind = VKLM_JINJA_FUNCTION, .bound = {method, self}};
        }
        return true;
    }
    if (object->kind == VKLM_JINJA_LOOP) {
        *out = vklm_jinja_loop_attribute(m, object->loop, name);
        return true;
    }
    if (object->kind == VKLM_JINJA_NAMESPACE) {
        const vklm_jinja_value *found = vklm_jinja_scope_find(m, object->names, name, false);
        *out = found ? *found : *out;
        return true;
    }
    bool foreign = object->kind == VKLM_JINJA_FUNCTION ||
                   (object->kind == VKLM_JINJA_LIST && object->list->type >= VKLM_JINJA_VIEW);
    if (foreign || is_one_of(name, names->unsupported))
        vklm_jinja_fail(m, VKLM_UNSUPPORTED, "the attribute '%.*s' of %s", (int)name.len, name.data,
                        vklm_jinja_kind_name(object));
    bool hidden = name.len >= 4 && memcmp(name.data, "__", 2) == 0 &&
                  memcmp(name.data + name.len - 2, "__", 2) == 0;
    return hidden || is_one_of(name, names->refused);
}

static void refuse_undefined(vklm_jinja_machine *m, vklm_jinja_text name)
{
    vklm_jinja_fail(m, VKLM_JINJA_WRONG, "'%.*s' of something undefined",
                    (int)(name.len < 60 ? name.len : 60), name.data);
}

vklm_jinja_value vklm_jinja_attribute(vklm_jinja_machine *m, const vklm_jinja_value *object,
                                      vklm_jinja_text name)
{
    vklm_jinja_value value, key = vklm_jinja_string(name);
    if (object->kind == VKLM_JINJA_UNDEFINED) {
        refuse_undefined(m, name);
        return vklm_jinja_undefined();
    }
    if (get_attribute(m, object, name, &value) || object->kind != VKLM_JINJA_DICT)
        return value;
    const vklm_jinja_value *found = vklm_jinja_dict_find(m, object->dict, &key);
    return found ? *found : vklm_jinja_undefined();
}

// The item at a position; `out` stays when there is none.
static void get_position(vklm_jinja_machine *m, const vklm_jinja_value *object, int64_t position,
                         vklm_jinja_value *out)
{
    const bool is_list = object->kind == VKLM_JINJA_LIST;
    if (is_list && object->list->type >= VKLM_JINJA_VIEW)
        vklm_jinja_fail(m, VKLM_UNSUPPORTED, "an item of a range, a view or what a filter yields");
    int64_t n = (int64_t)(is_list ? object->list->n : vklm_jinja_text_length(m, object->text));
    position += position < 0 ? n : 0;
    if (position < 0 || position >= n)
        return;
    if (is_list) {
        *out = object->list->items[position];
        return;
    }
    size_t at = 0, len = object->text.len;
    while (position-- > 0)
        at += vklm_utf8_length(object->text.data + at, len - at);
    *out = vklm_jinja_string((vklm_jinja_text){object->text.data + at,
                                               vklm_utf8_length(object->text.data + at, len - at)});
}

vklm_jinja_value vklm_jinja_item(vklm_jinja_machine *m, const vklm_jinja_value *object,
                                 const vklm_jinja_value *key)
{
    vklm_jinja_value value = vklm_jinja_undefined();
    int64_t position;
    if (object->kind == VKLM_JINJA_UNDEFINED) {
        refuse_undefined(m, key->kind == VKLM_JINJA_STRING ? key->text : VKLM_JINJA_TEXT("[]"));
        return value;
    }
    if ((object->kind == VKLM_JINJA_LIST || object->kind == VKLM_JINJA_STRING) &&
        vklm_jinja_to_integer(key, &position)) {
        get_position(m, object, position, &value);
        return value;
    }
    bool hashable = key->kind != VKLM_JINJA_DICT &&
                    (key->kind != VKLM_JINJA_LIST || key->list->type != VKLM_JINJA_PLAIN_LIST);
    if (object->kind == VKLM_JINJA_DICT && hashable) {
        const vklm_jinja_value *found = vklm_jinja_dict_find(m, object->dict, key);
        if (found)
            return *found;
    }
    if (key->kind == VKLM_JINJA_STRING)
        get_attribute(m, object, key->text, &value);
    return value;
}

// One bound of a slice of n items, as Python clips it. `low` to `high` is where it may lie.
static int64_t clip(int64_t bound, int64_t n, int64_t low, int64_t high)
{
    if (bound < 0)
        bound = bound < -n ? low : bound + n;
    return bound < low ? low : bound > high ? high : bound;
}

// Python's slice.indices: the first item, and how many follow at `step`.
static void place_slice(const vklm_jinja_value parts[3], const int64_t bounds[3], int64_t n,
                        int64_t *out_start, size_t *out_count)
{
    const int64_t step = bounds[2];
    const int64_t low = step > 0 ? 0 : -1, high = step > 0 ? n : n - 1;
    int64_t start = step > 0 ? low : high, stop = step > 0 ? high : low;
    if (parts[0].kind != VKLM_JINJA_NONE)
        start = clip(bounds[0], n, low, high);
    if (parts[1].kind != VKLM_JINJA_NONE)
        stop = clip(bounds[1], n, low, high);
    int64_t span = step > 0 ? stop - start : start - stop;
    uint64_t stride = step > 0 ? (uint64_t)step : -(uint64_t)step;
    *out_start = start;
    *out_count = span > 0 ? (size_t)(((uint64_t)span - 1) / stride + 1) : 0;
}

static vklm_jinja_value slice_list(vklm_jinja_machine *m, const vklm_jinja_list *from,
                                   int64_t start, size_t count, int64_t step)
{
    vklm_jinja_list *list = vklm_jinja_list_new(m, count, from->type);
    for (size_t i = 0; list && i < count; i++)
        list->items[i] = from->items[start + (int64_t)i * step];
    return vklm_jinja_list_close(m, list);
}

static vklm_jinja_value slice_text(vklm_jinja_machine *m, const vklm_jinja_value *object,
                                   int64_t start, size_t count, int64_t step)
{
    const vklm_jinja_text text = object->text;
    if (step == 1) { // a stretch of the same bytes
        size_t at = 0, end;
        while (start-- > 0)
            at += vklm_utf8_length(text.data + at, text.len - at);
        for (end = at; count-- > 0;)
            end += vklm_utf8_length(text.data + end, text.len - end);
        return vklm_jinja_string((vklm_jinja_text){text.data + at, end - at});
    }
    vklm_string s = {0};
    const vklm_jinja_list *from = vklm_jinja_iterate(m, object);
    for (size_t i = 0; from && i < count; i++) {
        vklm_jinja_text c = from->items[start + (int64_t)i * step].text;
        vklm_jinja_append(m, &s, c.data, c.len);
    }
    return vklm_jinja_take(m, &s);
}

vklm_jinja_value vklm_jinja_slice(vklm_jinja_machine *m, const vklm_jinja_value *object,
                                  const vklm_jinja_value parts[3])
{
    int64_t bounds[3] = {0, 0, 1}, start;
    size_t count;
    const bool is_list = object->kind == VKLM_JINJA_LIST;
    bool good = is_list || object->kind == VKLM_JINJA_STRING;
    for (int i = 0; good && i < 3; i++)
        if (parts[i].kind != VKLM_JINJA_NONE)
            good = vklm_jinja_to_integer(&parts[i], &bounds[i]);
    if (!good || bounds[2] == 0) {
        vklm_jinja_fail(m, VKLM_JINJA_WRONG, "this slice of %s", vklm_jinja_kind_name(object));
        return vklm_jinja_undefined();
    }
    if (is_list && object->list->type >= VKLM_JINJA_VIEW) {
        vklm_jinja_fail(m, VKLM_UNSUPPORTED, "a slice of a range, a view or what a filter yields");
        return vklm_jinja_undefined();
    }
    size_t n = is_list ? object->list->n : vklm_jinja_text_length(m, object->text);
    place_slice(parts, bounds, (int64_t)n, &start, &count);
    return is_list ? slice_list(m, object->list, start, count, bounds[2])
                   : slice_text(m, object, start, count, bounds[2]);
}
