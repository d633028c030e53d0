#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "vklm/batch.h"

cJSON *vklm_batch_text(const vklm_string *text)
{
    vklm_string quoted = {0};
    if (!text->failed)
        vklm_json_quote(&quoted, text->data, text->len);
    cJSON *item = text->failed || quoted.failed ? NULL : cJSON_CreateRaw(quoted.data);
    vklm_string_finish(&quoted);
    return item;
}

static cJSON *fill(size_t n, cJSON *(*make)(void))
{
    cJSON *list = cJSON_CreateArray();
    for (size_t i = 0; i < n; i++)
        cJSON_AddItemToArray(list, make());
    return list;
}

// llm-jp-judge's: pattern and error_messages are of its own use, for answers that it makes itself.
static void add_judge_members(cJSON *line, const vklm_batch_item *item, vklm_batch_answer *a,
                              const char *error)
{
    while ((size_t)cJSON_GetArraySize(a->texts) < item->n_turns)
        cJSON_AddItemToArray(a->texts, cJSON_CreateString(""));
    cJSON *pattern = fill(item->n_turns, cJSON_CreateNull);
    cJSON *errors = fill(item->n_turns, cJSON_CreateArray);
    if (error)
        cJSON_AddItemToArray(cJSON_GetArrayItem(errors, (int)item->n_turns - 1),
                             cJSON_CreateString(error));
    cJSON *const members[] = {a->texts, pattern, errors};
    static const char *const names[] = {"response", "pattern", "error_messages"};
    a->texts = NULL;
    for (int i = 0; i < 3; i++) {
        cJSON *value = item->many ? members[i] : cJSON_DetachItemFromArray(members[i], 0);
        cJSON_AddItemToObject(line, names[i], value);
        if (!item->many)
            cJSON_Delete(members[i]);
    }
}

static void add_members(cJSON *line, const vklm_batch_item *item, vklm_batch_answer *a,
                        const char *error)
{
    if (error) {
        cJSON_AddStringToObject(line, "error", error);
        return;
    }
    cJSON *response = item->many ? a->texts : cJSON_DetachItemFromArray(a->texts, 0);
    if (item->many)
        a->texts = NULL;
    cJSON_AddItemToObject(line, "response", response);
    cJSON_AddStringToObject(line, "finish", a->finish);
    cJSON_AddNumberToObject(line, "prompt_tokens", (double)a->n_prompt);
    cJSON_AddNumberToObject(line, "tokens", (double)a->n_tokens);
    if (!cJSON_GetObjectItemCaseSensitive(line, "seed"))
        cJSON_AddNumberToObject(line, "seed", (double)item->generation.sampling.seed);
}

cJSON *vklm_batch_line(vklm_batch_form form, const vklm_batch_item *item, vklm_batch_answer *answer,
                       const char *error)
{
    cJSON *line = cJSON_Duplicate(item->row, true);
    if (!line)
        return NULL;
    if (form == VKLM_BATCH_EVAL)
        cJSON_AddItemToObject(line, "generated", cJSON_DetachItemFromArray(answer->texts, 0));
    else if (form == VKLM_BATCH_LINES)
        add_members(line, item, answer, error);
    else
        add_judge_members(line, item, answer, error);
    return line;
}

// Whether a line that was written before answers this item: it has all members of its row.
static bool answers_item(const cJSON *line, const vklm_batch_item *item)
{
    for (const cJSON *member = item->row->child; member; member = member->next)
        if (!cJSON_Compare(member, cJSON_GetObjectItemCaseSensitive(line, member->string), true))
            return false;
    return true;
}

vklm_status vklm_batch_take_old(const vklm_batch *batch, const char *questions, const char *path,
                                size_t *out_n)
{
    vklm_string text = {0};
    *out_n = 0;
    if (!vklm_file_exists(path))
        return VKLM_OK;
    vklm_status status = vklm_file_read(path, SIZE_MAX, &text);
    size_t at = 0;
    const char *stop;
    while (status == VKLM_OK && at < text.len &&
           (stop = memchr(text.data + at, '\n', text.len - at))) {
        cJSON *line = NULL;
        size_t len = (size_t)(stop - text.data) - at;
        status = vklm_json_parse(text.data + at, len, path, &line);
        if (status == VKLM_OK && (*out_n == batch->n || !answers_item(line, &batch->items[*out_n])))
            status = vklm_fail(VKLM_INVALID_ARGUMENT,
                               "%s, line %zu: not an answer to a question of %s; give another file",
                               path, *out_n + 1, questions);
        cJSON_Delete(line);
        *out_n += status == VKLM_OK;
        at += len + 1;
    }
    if (status == VKLM_OK && at < text.len && truncate(path, (off_t)at) != 0)
        status = vklm_fail(VKLM_IO_ERROR, "%s: cannot cut off the last line", path);
    vklm_string_finish(&text);
    return status;
}

vklm_status vklm_batch_write_eval(const vklm_batch *batch, const char *lines, const char *path)
{
    vklm_string text = {0};
    vklm_file_writer *writer = NULL;
    cJSON *sample = cJSON_GetObjectItemCaseSensitive(batch->whole, "samples")->child;
    vklm_status status = vklm_file_read(lines, SIZE_MAX, &text);
    for (char *at = text.data, *stop; status == VKLM_OK && sample; sample = sample->next) {
        cJSON *line = NULL;
        stop = strchr(at, '\n');
        status = vklm_json_parse(at, (size_t)(stop - at), lines, &line);
        if (status == VKLM_OK) {
            vklm_string generated = {0};
            vklm_json_text(cJSON_GetObjectItemCaseSensitive(line, "generated"), &generated);
            cJSON_DeleteItemFromObjectCaseSensitive(sample, "generated");
            cJSON_AddItemToObject(sample, "generated", vklm_batch_text(&generated));
            vklm_string_finish(&generated);
        }
        cJSON_Delete(line);
        at = stop + 1;
    }
    char *json = status == VKLM_OK ? cJSON_Print(batch->whole) : NULL;
    if (status == VKLM_OK && !json)
        status = vklm_fail_memory("the answers");
    if (status == VKLM_OK)
        status = vklm_file_writer_open(path, &writer);
    if (status == VKLM_OK) {
        vklm_file_writer_write(writer, json, strlen(json));
        status = vklm_file_writer_commit(writer);
    }
    vklm_file_writer_close(writer);
    cJSON_free(json);
    vklm_string_finish(&text);
    if (status == VKLM_OK)
        unlink(lines);
    return status;
}

vklm_status vklm_batch_write_metadata(const char *answers, const char *model)
{
    const char *slash = strrchr(answers, '/');
    vklm_string path = {0}, text = {0};
    vklm_file_writer *writer = NULL;
    vklm_string_append(&path, answers, slash ? (size_t)(slash - answers) + 1 : 0);
    vklm_string_print(&path, "metadata.json");
    size_t len = strlen(model);
    while (len > 1 && model[len - 1] == '/')
        len--;
    const char *name = model + len;
    while (name > model && name[-1] != '/')
        name--;
    vklm_string_print(&text, "{\"model_name\": ");
    vklm_json_quote(&text, name, (size_t)(model + len - name));
    vklm_string_print(&text, "}\n");
    vklm_status status = path.failed || text.failed ? vklm_fail_memory("metadata") : VKLM_OK;
    if (status == VKLM_OK && !vklm_file_exists(path.data)) {
        status = vklm_file_writer_open(path.data, &writer);
        if (status == VKLM_OK) {
            vklm_file_writer_write(writer, text.data, text.len);
            status = vklm_file_writer_commit(writer);
        }
    }
    vklm_file_writer_close(writer);
    vklm_string_finish(&path);
    vklm_string_finish(&text);
    return status;
}
