#include "text/jinja_value.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"

// Blocks hold many small objects; a large object gets a block of its own.
struct vklm_jinja_block {
    vklm_jinja_block *next;
    size_t used, capacity;
    max_align_t data[];
};

enum { BLOCK_BYTES = 64 << 10 };

void vklm_jinja_machine_finish(vklm_jinja_machine *m)
{
    while (m->heap) {
        vklm_jinja_block *next = m->heap->next;
        free(m->heap);
        m->heap = next;
    }
}

void vklm_jinja_fail(vklm_jinja_machine *m, vklm_status status, const char *format, ...)
{
    if (m->status != VKLM_OK)
        return;
    char sentence[512];
    va_list args;
    va_start(args, format);
    vsnprintf(sentence, sizeof sentence, format, args);
    va_end(args);
    for (char *c = sentence; *c; c++)
        if ((unsigned char)*c < 0x20)
            *c = ' ';
    m->status = vklm_fail(status, "line %u: %s", m->line, sentence);
}

bool vklm_jinja_spend(vklm_jinja_machine *m, size_t steps)
{
    m->steps += steps;
    if (m->steps > VKLM_JINJA_MAX_STEPS)
        vklm_jinja_fail(m, VKLM_UNSUPPORTED, "the template takes too many steps");
    return m->status == VKLM_OK;
}

void *vklm_jinja_alloc(vklm_jinja_machine *m, size_t count, size_t size)
{
    if (m->status != VKLM_OK)
        return NULL;
    if (size && count > VKLM_JINJA_MAX_HEAP / size) {
        vklm_jinja_fail(m, VKLM_UNSUPPORTED, "the template takes too much memory");
        return NULL;
    }
    const size_t align = _Alignof(max_align_t);
    size_t bytes = (count * size + align - 1) / align * align;
    vklm_jinja_block *block = m->heap;
    if (!block || block->capacity - block->used < bytes) {
        size_t capacity = bytes > BLOCK_BYTES / 4 ? bytes : BLOCK_BYTES;
        m->heap_bytes += capacity;
        if (m->heap_bytes > VKLM_JINJA_MAX_HEAP) {
            vklm_jinja_fail(m, VKLM_UNSUPPORTED, "the template takes too much memory");
            return NULL;
        }
        block = vklm_alloc(1, sizeof *block + capacity);
        if (!block) {
            m->status = vklm_fail_memory("a chat template");
            return NULL;
        }
        block->capacity = capacity;
        // A block that is full at once goes behind the first, which may have room left.
        vklm_jinja_block **place = m->heap && bytes == capacity ? &m->heap->next : &m->heap;
        block->next = *place;
        *place = block;
    }
    void *memory = (char *)block->data + block->used;
    block->used += bytes;
    return memory;
}

void vklm_jinja_append(vklm_jinja_machine *m, vklm_string *s, const char *data, size_t len)
{
    if (!vklm_jinja_spend(m, len / 16))
        return;
    if (len > VKLM_JINJA_MAX_TEXT - s->len)
        vklm_jinja_fail(m, VKLM_UNSUPPORTED, "the template makes a text of more than %d bytes",
                        VKLM_JINJA_MAX_TEXT);
    else
        vklm_string_append(s, data, len);
    if (s->failed && m->status == VKLM_OK)
        m->status = vklm_fail_memory("a chat template");
}

vklm_jinja_value vklm_jinja_take(vklm_jinja_machine *m, vklm_string *s)
{
    char *copy = vklm_jinja_alloc(m, s->len, 1);
    vklm_jinja_text text = {copy ? copy : "", copy ? s->len : 0};
    if (copy && s->len)
        memcpy(copy, s->data, s->len);
    vklm_string_finish(s);
    return vklm_jinja_string(text);
}

static unsigned value_depth(const vklm_jinja_value *value)
{
    if (value->kind == VKLM_JINJA_LIST)
        return value->list->depth;
    return value->kind == VKLM_JINJA_DICT ? value->dict->depth : 0;
}

static void check_depth(vklm_jinja_machine *m, unsigned depth)
{
    if (depth > VKLM_JINJA_MAX_DEPTH)
        vklm_jinja_fail(m, VKLM_UNSUPPORTED, "more than %d lists in each other",
                        VKLM_JINJA_MAX_DEPTH);
}

vklm_jinja_list *vklm_jinja_list_new(vklm_jinja_machine *m, size_t n, vklm_jinja_list_type type)
{
    vklm_jinja_value *items = vklm_jinja_alloc(m, n, sizeof *items);
    vklm_jinja_list *list = vklm_jinja_alloc(m, 1, sizeof *list);
    if (!items || !list || !vklm_jinja_spend(m, n))
        return NULL;
    *list = (vklm_jinja_list){.items = items, .n = n, .type = type};
    return list;
}

vklm_jinja_value vklm_jinja_list_close(vklm_jinja_machine *m, vklm_jinja_list *list)
{
    if (!list)
        return vklm_jinja_undefined();
    for (size_t i = 0; i < list->n; i++) {
        unsigned depth = value_depth(&list->items[i]);
        list->depth = depth > list->depth ? depth : list->depth;
    }
    check_depth(m, ++list->depth);
    return (vklm_jinja_value){.kind = VKLM_JINJA_LIST, .list = list};
}

vklm_jinja_dict *vklm_jinja_dict_new(vklm_jinja_machine *m, size_t n)
{
    vklm_jinja_value *keys = vklm_jinja_alloc(m, n, sizeof *keys);
    vklm_jinja_value *values = vklm_jinja_alloc(m, n, sizeof *values);
    vklm_jinja_dict *dict = vklm_jinja_alloc(m, 1, sizeof *dict);
    if (!keys || !values || !dict)
        return NULL;
    *dict = (vklm_jinja_dict){.keys = keys, .values = values, .capacity = n};
    return dict;
}

const vklm_jinja_value *vklm_jinja_dict_find(vklm_jinja_machine *m, const vklm_jinja_dict *dict,
                                             const vklm_jinja_value *key)
{
    if (!vklm_jinja_spend(m, dict->n / 4))
        return NULL;
    if (key->kind == VKLM_JINJA_DICT ||
        (key->kind == VKLM_JINJA_LIST && key->list->type == VKLM_JINJA_PLAIN_LIST)) {
        vklm_jinja_fail(m, VKLM_JINJA_WRONG, "%s cannot be a key", vklm_jinja_kind_name(key));
        return NULL;
    }
    for (size_t i = 0; i < dict->n; i++)
        if (vklm_jinja_equal(m, &dict->keys[i], key))
            return &dict->values[i];
    return NULL;
}

void vklm_jinja_dict_put(vklm_jinja_machine *m, vklm_jinja_dict *dict, vklm_jinja_value key,
                         vklm_jinja_value value)
{
    if (!dict)
        return;
    const vklm_jinja_value *old = vklm_jinja_dict_find(m, dict, &key);
    if (m->status != VKLM_OK || (!old && dict->n == dict->capacity))
        return;
    size_t i = old ? (size_t)(old - dict->values) : dict->n++;
    if (!old)
        dict->keys[i] = key;
    dict->values[i] = value;
}

vklm_jinja_value vklm_jinja_dict_close(vklm_jinja_machine *m, vklm_jinja_dict *dict)
{
    if (!dict)
        return vklm_jinja_undefined();
    for (size_t i = 0; i < dict->n; i++) {
        unsigned depth = value_depth(&dict->values[i]);
        dict->depth = depth > dict->depth ? depth : dict->depth;
    }
    check_depth(m, ++dict->depth);
    return (vklm_jinja_value){.kind = VKLM_JINJA_DICT, .dict = dict};
}

vklm_jinja_value *vklm_jinja_scope_find(vklm_jinja_machine *m, vklm_jinja_scope *scope,
                                        vklm_jinja_text name, bool outer)
{
    for (; scope; scope = outer ? scope->parent : NULL)
        for (vklm_jinja_variable *v = scope->first; v; v = v->next) {
            if (!vklm_jinja_spend(m, 1))
                return NULL;
            if (vklm_jinja_same(v->name, name))
                return &v->value;
        }
    return NULL;
}

void vklm_jinja_scope_set(vklm_jinja_machine *m, vklm_jinja_scope *scope, vklm_jinja_text name,
                          vklm_jinja_value value)
{
    vklm_jinja_value *old = vklm_jinja_scope_find(m, scope, name, false);
    if (old) {
        *old = value;
        return;
    }
    vklm_jinja_variable *variable = vklm_jinja_alloc(m, 1, sizeof *variable);
    if (!variable)
        return;
    *variable = (vklm_jinja_variable){.name = name, .value = value, .next = scope->first};
    scope->first = variable;
}

bool vklm_jinja_same(vklm_jinja_text a, vklm_jinja_text b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

bool vklm_jinja_is(vklm_jinja_text text, const char *literal)
{
    return vklm_jinja_same(text, (vklm_jinja_text){literal, strlen(literal)});
}

const char *vklm_jinja_kind_name(const vklm_jinja_value *value)
{
    static const char *const names[] = {
        "nothing",  "undefined", "none",   "a boolean",   "a number",        "a number",
        "a string", "a list",    "a dict", "a namespace", "the loop object", "a function",
    };
    return names[value->kind];
}

bool vklm_jinja_truth(const vklm_jinja_value *value)
{
    switch (value->kind) {
    case VKLM_JINJA_ABSENT:
    case VKLM_JINJA_UNDEFINED:
    case VKLM_JINJA_NONE:
        return false;
    case VKLM_JINJA_BOOL:
        return value->truth;
    case VKLM_JINJA_INT:
        return value->integer != 0;
    case VKLM_JINJA_FLOAT:
        return value->real != 0;
    case VKLM_JINJA_STRING:
        return value->text.len != 0;
    case VKLM_JINJA_LIST:
        return value->list->n != 0 || value->list->type == VKLM_JINJA_ITERATOR;
    case VKLM_JINJA_DICT:
        return value->dict->n != 0;
    default:
        return true;
    }
}

bool vklm_jinja_to_integer(const vklm_jinja_value *value, int64_t *out)
{
    *out = value->kind == VKLM_JINJA_BOOL ? value->truth : value->integer;
    return value->kind == VKLM_JINJA_BOOL || value->kind == VKLM_JINJA_INT;
}

bool vklm_jinja_to_real(const vklm_jinja_value *value, double *out)
{
    int64_t integer;
    if (vklm_jinja_to_integer(value, &integer)) {
        *out = (double)integer;
        return true;
    }
    *out = value->real;
    return value->kind == VKLM_JINJA_FLOAT;
}

static bool equal_lists(vklm_jinja_machine *m, const vklm_jinja_list *a, const vklm_jinja_list *b)
{
    if (a == b || a->type != b->type || a->type == VKLM_JINJA_ITERATOR)
        return a == b;
    if (a->type == VKLM_JINJA_VIEW)
        vklm_jinja_fail(m, VKLM_UNSUPPORTED, "comparing ranges, or views of a dict");
    if (a->n != b->n)
        return false;
    for (size_t i = 0; i < a->n; i++)
        if (!vklm_jinja_spend(m, 1) || !vklm_jinja_equal(m, &a->items[i], &b->items[i]))
            return false;
    return true;
}

static bool equal_dicts(vklm_jinja_machine *m, const vklm_jinja_dict *a, const vklm_jinja_dict *b)
{
    if (a->n != b->n)
        return false;
    for (size_t i = 0; i < a->n; i++) {
        const vklm_jinja_value *value = vklm_jinja_dict_find(m, b, &a->keys[i]);
        if (!value || !vklm_jinja_equal(m, &a->values[i], value))
            return false;
    }
    return true;
}

bool vklm_jinja_equal(vklm_jinja_machine *m, const vklm_jinja_value *a, const vklm_jinja_value *b)
{
    int64_t ia, ib;
    double ra, rb;
    if (vklm_jinja_to_integer(a, &ia) && vklm_jinja_to_integer(b, &ib))
        return ia == ib;
    if (vklm_jinja_to_real(a, &ra) && vklm_jinja_to_real(b, &rb))
        return ra == rb;
    if (a->kind != b->kind)
        return false;
    switch (a->kind) {
    case VKLM_JINJA_UNDEFINED:
    case VKLM_JINJA_NONE:
        return true;
    case VKLM_JINJA_STRING:
        return vklm_jinja_spend(m, a->text.len / 64) && vklm_jinja_same(a->text, b->text);
    case VKLM_JINJA_LIST:
        return equal_lists(m, a->list, b->list);
    case VKLM_JINJA_DICT:
        return equal_dicts(m, a->dict, b->dict);
    case VKLM_JINJA_NAMESPACE:
        return a->names == b->names;
    case VKLM_JINJA_LOOP:
        return a->loop == b->loop;
    default:
        return a->bound.function == b->bound.function && a->bound.self == b->bound.self;
    }
}

int vklm_jinja_compare(vklm_jinja_machine *m, const vklm_jinja_value *a, const vklm_jinja_value *b)
{
    int64_t ia, ib;
    double ra, rb;
    if (vklm_jinja_to_integer(a, &ia) && vklm_jinja_to_integer(b, &ib))
        return (ia > ib) - (ia < ib);
    if (vklm_jinja_to_real(a, &ra) && vklm_jinja_to_real(b, &rb))
        return (ra > rb) - (ra < rb);
    if (a->kind == VKLM_JINJA_STRING && b->kind == VKLM_JINJA_STRING) {
        size_t shorter = a->text.len < b->text.len ? a->text.len : b->text.len;
        vklm_jinja_spend(m, shorter / 64);
        // UTF-8 sorts as its code points do.
        int order = shorter ? memcmp(a->text.data, b->text.data, shorter) : 0;
        return order ? order : (a->text.len > b->text.len) - (a->text.len < b->text.len);
    }
    bool lists = a->kind == VKLM_JINJA_LIST && b->kind == VKLM_JINJA_LIST;
    vklm_jinja_fail(m, lists ? VKLM_UNSUPPORTED : VKLM_JINJA_WRONG, "cannot order %s and %s",
                    vklm_jinja_kind_name(a), vklm_jinja_kind_name(b));
    return 0;
}

// Python's repr of a float: the fewest digits that read back as the same number; an exponent below
// 1e-4 and from 1e16.
static void print_real(vklm_string *s, double real)
{
    char digits[32];
    if (!isfinite(real)) {
        vklm_string_print(s, "%s", isnan(real) ? "nan" : real < 0 ? "-inf" : "inf");
        return;
    }
    int precision = 0;
    do
        snprintf(digits, sizeof digits, "%.*e", precision, real);
    while (strtod(digits, NULL) != real && ++precision < 17);
    int exponent = atoi(strchr(digits, 'e') + 1);
    if (exponent >= -4 && exponent < 16) {
        int decimals = precision - exponent;
        vklm_string_print(s, "%.*f", decimals > 0 ? decimals : 1, real);
        return;
    }
    *strchr(digits, 'e') = '\0';
    vklm_string_print(s, "%se%c%02d", digits, exponent < 0 ? '-' : '+', abs(exponent));
}

vklm_jinja_text vklm_jinja_to_text(vklm_jinja_machine *m, const vklm_jinja_value *value)
{
    vklm_string s = {0};
    switch (value->kind) {
    case VKLM_JINJA_UNDEFINED:
        return VKLM_JINJA_TEXT("");
    case VKLM_JINJA_NONE:
        return VKLM_JINJA_TEXT("None");
    case VKLM_JINJA_BOOL:
        return value->truth ? VKLM_JINJA_TEXT("True") : VKLM_JINJA_TEXT("False");
    case VKLM_JINJA_STRING:
        return value->text;
    case VKLM_JINJA_INT:
        vklm_string_print(&s, "%lld", (long long)value->integer);
        break;
    case VKLM_JINJA_FLOAT:
        print_real(&s, value->real);
        break;
    default:
        vklm_jinja_fail(m, VKLM_UNSUPPORTED, "%s as text", vklm_jinja_kind_name(value));
    }
    if (s.failed && m->status == VKLM_OK)
        m->status = vklm_fail_memory("a chat template");
    return vklm_jinja_take(m, &s).text;
}

static const vklm_jinja_list *characters(vklm_jinja_machine *m, vklm_jinja_text text)
{
    size_t n = 0;
    for (size_t i = 0; i < text.len; i++)
        n += ((unsigned char)text.data[i] & 0xC0) != 0x80;
    vklm_jinja_list *list = vklm_jinja_list_new(m, n, VKLM_JINJA_PLAIN_LIST);
    for (size_t i = 0, at = 0; list && i < n; i++) {
        size_t len = vklm_utf8_length(text.data + at, text.len - at);
        list->items[i] = vklm_jinja_string((vklm_jinja_text){text.data + at, len});
        at += len;
    }
    return list;
}

const vklm_jinja_list *vklm_jinja_iterate(vklm_jinja_machine *m, const vklm_jinja_value *value)
{
    vklm_jinja_list *keys;
    switch (value->kind) {
    case VKLM_JINJA_UNDEFINED:
        return vklm_jinja_list_new(m, 0, VKLM_JINJA_PLAIN_LIST);
    case VKLM_JINJA_STRING:
        return characters(m, value->text);
    case VKLM_JINJA_LIST:
        // Python's would be empty the second time. Nobody means that.
        if (value->list->used)
            vklm_jinja_fail(m, VKLM_UNSUPPORTED, "going through what a filter yields twice");
        value->list->used = value->list->type == VKLM_JINJA_ITERATOR;
        return value->list;
    case VKLM_JINJA_DICT:
        keys = vklm_jinja_list_new(m, value->dict->n, VKLM_JINJA_PLAIN_LIST);
        for (size_t i = 0; keys && i < keys->n; i++)
            keys->items[i] = value->dict->keys[i];
        return keys;
    default:
        vklm_jinja_fail(m, VKLM_JINJA_WRONG, "cannot go through %s", vklm_jinja_kind_name(value));
        return NULL;
    }
}
