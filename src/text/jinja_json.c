// json.dumps(value, ensure_ascii=False, indent=None) of Python.
#include <stdio.h>

#include "base/utf8.h"
#include "text/jinja_eval.h"

typedef struct {
    vklm_jinja_machine *m;
    vklm_string *out;
    int64_t indent; // -1: on one line
    bool ascii;
} printer;

static void put(printer *p, const char *text, size_t len)
{
    vklm_jinja_append(p->m, p->out, text, len);
}

static void print_escape(printer *p, uint32_t code)
{
    char text[16];
    int len;
    if (code >= 0x10000) // a surrogate pair
        len = snprintf(text, sizeof text, "\\u%04x\\u%04x", 0xD7C0 + (code >> 10),
                       0xDC00 + (code & 0x3FF));
    else
        len = snprintf(text, sizeof text, "\\u%04x", code);
    put(p, text, (size_t)len);
}

static void print_text(printer *p, vklm_jinja_text text)
{
    static const char special[] = "\"\\\n\r\t\f\b", letters[] = "\"\\nrtfb";
    uint32_t code;
    size_t n;
    put(p, "\"", 1);
    for (size_t at = 0; (n = vklm_utf8_decode(text.data + at, text.len - at, &code)) > 0 &&
                        vklm_jinja_spend(p->m, 1);
         at += n) {
        const char *found = NULL;
        for (const char *s = special; *s && !found; s++)
            found = (unsigned char)*s == code ? s : NULL;
        if (found) {
            put(p, "\\", 1);
            put(p, letters + (found - special), 1);
        } else if (code < 0x20 || (p->ascii && code > 0x7E)) {
            print_escape(p, code);
        } else {
            put(p, text.data + at, n);
        }
    }
    put(p, "\"", 1);
}

static void begin_line(printer *p, unsigned level)
{
    if (p->indent < 0)
        return;
    put(p, "\n", 1);
    for (int64_t i = 0; i < p->indent * level && p->m->status == VKLM_OK; i++)
        put(p, " ", 1);
}

static void print_value(printer *p, const vklm_jinja_value *value, unsigned level);

// What stands in front of item i: a comma, and a line of its own or a space.
static void begin_item(printer *p, size_t i, unsigned level)
{
    if (i > 0)
        put(p, ", ", p->indent < 0 ? 2 : 1);
    begin_line(p, level + 1);
}

static void print_list(printer *p, const vklm_jinja_list *list, unsigned level)
{
    put(p, "[", 1);
    for (size_t i = 0; i < list->n && vklm_jinja_spend(p->m, 1); i++) {
        begin_item(p, i, level);
        print_value(p, &list->items[i], level + 1);
    }
    if (list->n > 0)
        begin_line(p, level);
    put(p, "]", 1);
}

static void print_scalar(printer *p, const vklm_jinja_value *value)
{
    vklm_jinja_text text;
    switch (value->kind) {
    case VKLM_JINJA_NONE:
        put(p, "null", 4);
        break;
    case VKLM_JINJA_BOOL:
        put(p, value->truth ? "true" : "false", value->truth ? 4 : 5);
        break;
    case VKLM_JINJA_INT:
    case VKLM_JINJA_FLOAT:
        text = vklm_jinja_to_text(p->m, value);
        if (text.len > 0 && (text.data[text.len - 1] == 'n' || text.data[text.len - 1] == 'f'))
            vklm_jinja_fail(p->m, VKLM_UNSUPPORTED, "tojson of a number that is not finite");
        put(p, text.data, text.len);
        break;
    default:
        vklm_jinja_fail(p->m, VKLM_JINJA_WRONG, "tojson of %s", vklm_jinja_kind_name(value));
    }
}

static void print_key(printer *p, const vklm_jinja_value *key)
{
    bool is_string = key->kind == VKLM_JINJA_STRING;
    if (is_string)
        print_text(p, key->text);
    else
        put(p, "\"", 1);
    if (!is_string) {
        print_scalar(p, key);
        put(p, "\"", 1);
    }
    put(p, ": ", 2);
}

static void print_dict(printer *p, const vklm_jinja_dict *dict, unsigned level)
{
    put(p, "{", 1);
    for (size_t i = 0; i < dict->n && vklm_jinja_spend(p->m, 1); i++) {
        begin_item(p, i, level);
        print_key(p, &dict->keys[i]);
        print_value(p, &dict->values[i], level + 1);
    }
    if (dict->n > 0)
        begin_line(p, level);
    put(p, "}", 1);
}

static void print_value(printer *p, const vklm_jinja_value *value, unsigned level)
{
    if (value->kind == VKLM_JINJA_STRING)
        print_text(p, value->text);
    else if (value->kind == VKLM_JINJA_LIST && value->list->type <= VKLM_JINJA_TUPLE)
        print_list(p, value->list, level);
    else if (value->kind == VKLM_JINJA_DICT)
        print_dict(p, value->dict, level);
    else
        print_scalar(p, value);
}

void vklm_jinja_print_json(vklm_jinja_machine *m, vklm_string *out, const vklm_jinja_value *value,
                           int64_t indent, bool ascii)
{
    printer p = {.m = m, .out = out, .indent = indent, .ascii = ascii};
    print_value(&p, value, 0);
}
