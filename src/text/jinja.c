#include "text/jinja.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "text/jinja_eval.h"

enum { MAX_SOURCE_BYTES = 1 << 20 };

struct vklm_jinja {
    vklm_jinja_machine machine; // holds the tree
    const vklm_jinja_node *top;
};

vklm_status vklm_jinja_create(const char *source, size_t len, vklm_jinja **out_jinja)
{
    *out_jinja = NULL;
    size_t good = vklm_utf8_check(source, len);
    if (good < len)
        return vklm_fail(VKLM_BAD_FILE, "not UTF-8 at byte %zu", good);
    if (len > MAX_SOURCE_BYTES)
        return vklm_fail(VKLM_UNSUPPORTED, "a template of %zu bytes, more than %d", len,
                         MAX_SOURCE_BYTES);
    vklm_jinja *jinja = vklm_alloc(1, sizeof *jinja);
    if (!jinja)
        return vklm_fail_memory("a chat template");
    jinja->top = vklm_jinja_parse(&jinja->machine, source, len);
    vklm_status status = jinja->machine.status;
    if (status == VKLM_OK)
        *out_jinja = jinja;
    else
        vklm_jinja_destroy(jinja);
    return status;
}

void vklm_jinja_destroy(vklm_jinja *jinja)
{
    if (!jinja)
        return;
    vklm_jinja_machine_finish(&jinja->machine);
    free(jinja);
}

static vklm_jinja_value from_json(vklm_jinja_machine *m, const cJSON *item);

static vklm_jinja_value from_text(vklm_jinja_machine *m, const cJSON *item)
{
    vklm_string s = {0};
    vklm_json_text(item, &s);
    if (s.failed)
        m->status = vklm_fail_memory("a chat template");
    return vklm_jinja_take(m, &s);
}

static vklm_jinja_value from_array(vklm_jinja_machine *m, const cJSON *array)
{
    vklm_jinja_list *list =
        vklm_jinja_list_new(m, (size_t)cJSON_GetArraySize(array), VKLM_JINJA_PLAIN_LIST);
    size_t i = 0;
    const cJSON *item;
    cJSON_ArrayForEach(item, array)
    {
        if (list)
            list->items[i++] = from_json(m, item);
    }
    return vklm_jinja_list_close(m, list);
}

static vklm_jinja_value from_object(vklm_jinja_machine *m, const cJSON *object)
{
    vklm_jinja_dict *dict = vklm_jinja_dict_new(m, (size_t)cJSON_GetArraySize(object));
    const cJSON *item;
    cJSON_ArrayForEach(item, object)
    {
        cJSON name = {.type = cJSON_String, .valuestring = item->string};
        vklm_jinja_value key = from_text(m, &name);
        vklm_jinja_dict_put(m, dict, key, from_json(m, item));
    }
    return vklm_jinja_dict_close(m, dict);
}

static vklm_jinja_value from_json(vklm_jinja_machine *m, const cJSON *item)
{
    if (cJSON_IsString(item))
        return from_text(m, item);
    if (cJSON_IsArray(item))
        return from_array(m, item);
    if (cJSON_IsObject(item))
        return from_object(m, item);
    if (cJSON_IsBool(item))
        return vklm_jinja_bool(cJSON_IsTrue(item));
    if (!cJSON_IsNumber(item))
        return vklm_jinja_none();
    double number = item->valuedouble;
    return number == floor(number) && fabs(number) <= 0x1p53 ? vklm_jinja_int((int64_t)number)
                                                             : vklm_jinja_float(number);
}

vklm_status vklm_jinja_render(const vklm_jinja *jinja, const cJSON *variables, vklm_string *out)
{
    vklm_jinja_machine m = {.out = out};
    const cJSON *item;
    vklm_jinja_scope_enter(&m);
    cJSON_ArrayForEach(item, variables)
    {
        vklm_jinja_text name = {item->string, strlen(item->string)};
        if (m.scope)
            vklm_jinja_scope_set(&m, m.scope, name, from_json(&m, item));
    }
    if (m.status == VKLM_OK)
        vklm_jinja_run(&m, jinja->top->first);
    if (m.status == VKLM_OK && out->failed)
        m.status = vklm_fail_memory("a chat template");
    vklm_jinja_machine_finish(&m);
    return m.status;
}
