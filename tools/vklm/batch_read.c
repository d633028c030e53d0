#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/rng.h"
#include "vklm/batch.h"

enum { MAX_FILE_BYTES = 1 << 30 };

bool vklm_batch_find_form(const char *recipe, vklm_batch_form *out_form)
{
    static const struct {
        const char *name;
        vklm_batch_form form;
    } recipes[] = {{"mt_bench", VKLM_BATCH_MT_BENCH},
                   {"ja_mt_bench", VKLM_BATCH_MT_BENCH},
                   {"safety", VKLM_BATCH_SAFETY},
                   {"llm-jp-eval", VKLM_BATCH_EVAL}};
    for (size_t i = 0; i < sizeof recipes / sizeof *recipes; i++)
        if (strcmp(recipe, recipes[i].name) == 0) {
            *out_form = recipes[i].form;
            return true;
        }
    return false;
}

static void finish_item(vklm_batch_item *item)
{
    for (size_t i = 0; i < item->n_turns; i++)
        free(item->turns[i]);
    free(item->turns);
    cJSON_Delete(item->row);
    vklm_messages_finish(&item->messages);
    vklm_generation_finish(&item->generation);
}

void vklm_batch_finish(vklm_batch *batch)
{
    for (size_t i = 0; i < batch->n; i++)
        finish_item(&batch->items[i]);
    free(batch->items);
    cJSON_Delete(batch->whole);
    *batch = (vklm_batch){0};
}

// A member that must be a string; the sentence names it.
static vklm_status get_string(const cJSON *row, const char *name, const cJSON **out)
{
    *out = cJSON_GetObjectItemCaseSensitive(row, name);
    if (cJSON_IsString(*out))
        return VKLM_OK;
    return vklm_fail(VKLM_INVALID_ARGUMENT, "%s must be a string, not %s", name,
                     vklm_json_kind(*out));
}

static vklm_status add_turns(vklm_batch_item *item, const cJSON *turns, const char *name)
{
    const cJSON *turn = cJSON_IsArray(turns) ? turns->child : turns;
    size_t n = cJSON_IsArray(turns) ? (size_t)cJSON_GetArraySize(turns) : 1;
    if (n == 0)
        return vklm_fail(VKLM_INVALID_ARGUMENT, "%s is empty", name);
    item->many = cJSON_IsArray(turns);
    item->turns = vklm_alloc(n, sizeof *item->turns);
    if (!item->turns)
        return vklm_fail_memory("a question");
    for (; item->n_turns < n; turn = turn->next) {
        if (!cJSON_IsString(turn))
            return vklm_fail(VKLM_INVALID_ARGUMENT, "%s must be a string or strings, not %s", name,
                             vklm_json_kind(turn));
        if (!(item->turns[item->n_turns] = strdup(turn->valuestring)))
            return vklm_fail_memory("a question");
        item->n_turns++;
    }
    return VKLM_OK;
}

static vklm_status add_system(vklm_batch_item *item, const char *system)
{
    return system ? vklm_messages_add(&item->messages, "system", system, strlen(system)) : VKLM_OK;
}

// {"prompt": "..."}: raw; {"prompt": [...]} or {"turns": [...]}: turns of a chat; {"messages":
// [...]}.
static vklm_status read_line(const vklm_batch_source *source, const cJSON *row,
                             vklm_batch_item *item)
{
    const cJSON *prompt = cJSON_GetObjectItemCaseSensitive(row, "prompt");
    const cJSON *turns = cJSON_GetObjectItemCaseSensitive(row, "turns");
    const cJSON *messages = cJSON_GetObjectItemCaseSensitive(row, "messages");
    const cJSON *special = cJSON_GetObjectItemCaseSensitive(row, "add_special_tokens");
    vklm_status status = vklm_generation_read(row, &item->generation);
    if (cJSON_IsBool(special))
        item->add_special_tokens = cJSON_IsTrue(special);
    if (status != VKLM_OK)
        return status;
    if (!prompt + !turns + !messages != 2)
        return vklm_fail(VKLM_INVALID_ARGUMENT, "wanted one of prompt, turns and messages");
    item->row = cJSON_Duplicate(row, true);
    if (!item->row)
        return vklm_fail_memory("a question");
    static const char *const ours[] = {"response", "finish", "prompt_tokens", "tokens", "error"};
    for (size_t i = 0; i < sizeof ours / sizeof *ours; i++) // a line of answers may be asked again
        cJSON_DeleteItemFromObjectCaseSensitive(item->row, ours[i]);
    if (messages)
        return vklm_messages_read(messages, &item->messages);
    item->raw = cJSON_IsString(prompt);
    status = item->raw ? VKLM_OK : add_system(item, source->system);
    if (status == VKLM_OK)
        status = add_turns(item, prompt ? prompt : turns, prompt ? "prompt" : "turns");
    return status;
}

// What is still all-zero takes vLLM's defaults, which the judge's and llm-jp-eval's settings start
// from.
static void take_vllm_defaults(vklm_sampling_params *p, float temperature, float top_p)
{
    if (p->temperature == 0 && !p->greedy) {
        p->temperature = temperature;
        p->greedy = temperature == 0;
    }
    p->top_p = p->top_p == 0 ? top_p : p->top_p;
    p->top_k = p->top_k == 0 ? -1 : p->top_k;
    p->repetition_penalty = p->repetition_penalty == 0 ? 1 : p->repetition_penalty;
}

static bool add_member(cJSON *row, const char *name, const cJSON *value)
{
    return cJSON_AddItemToObject(row, name, cJSON_Duplicate(value, true));
}

// The temperatures of llm-jp-judge's config/benchmark/generate.yaml.
static float category_temperature(const char *category)
{
    static const struct {
        const char *name;
        float temperature;
    } categories[] = {
        {"writing", 0.7f}, {"roleplay", 0.7f}, {"extraction", 0}, {"math", 0},
        {"coding", 0},     {"reasoning", 0},   {"stem", 0.1f},    {"humanities", 0.1f},
    };
    for (size_t i = 0; i < sizeof categories / sizeof *categories; i++)
        if (strcmp(category, categories[i].name) == 0)
            return categories[i].temperature;
    return 0.7f;
}

// {"question_id", "category", "turns": [...]} -> {"ID", "prompt": [...], "category"}
static vklm_status read_mt_bench(const vklm_batch_source *source, const cJSON *row,
                                 vklm_batch_item *item)
{
    const cJSON *category, *turns = cJSON_GetObjectItemCaseSensitive(row, "turns");
    const cJSON *id = cJSON_GetObjectItemCaseSensitive(row, "question_id");
    vklm_status status = get_string(row, "category", &category);
    if (status == VKLM_OK && (!cJSON_IsArray(turns) || !id))
        status = vklm_fail(VKLM_INVALID_ARGUMENT, "wanted question_id and turns");
    if (status == VKLM_OK)
        status = add_system(item, source->system);
    if (status == VKLM_OK)
        status = add_turns(item, turns, "turns");
    if (status != VKLM_OK)
        return status;
    take_vllm_defaults(&item->generation.sampling, category_temperature(category->valuestring), 1);
    item->row = cJSON_CreateObject();
    bool good = item->row && add_member(item->row, "ID", id) &&
                add_member(item->row, "prompt", turns) &&
                add_member(item->row, "category", category);
    return good ? VKLM_OK : vklm_fail_memory("a question");
}

// {"ID", "text", "output"} -> {"ID", "text", "prompt", "reference"}
static vklm_status read_safety(const vklm_batch_source *source, const cJSON *row,
                               vklm_batch_item *item)
{
    const cJSON *text, *output, *id = cJSON_GetObjectItemCaseSensitive(row, "ID");
    vklm_status status = get_string(row, "text", &text);
    if (status == VKLM_OK)
        status = get_string(row, "output", &output);
    if (status == VKLM_OK && !id)
        status = vklm_fail(VKLM_INVALID_ARGUMENT, "wanted an ID");
    if (status == VKLM_OK)
        status = add_system(item, source->system);
    if (status == VKLM_OK)
        status = add_turns(item, text, "text");
    if (status != VKLM_OK)
        return status;
    take_vllm_defaults(&item->generation.sampling, 1, 0.95f);
    item->row = cJSON_CreateObject();
    bool good = item->row && add_member(item->row, "ID", id) &&
                add_member(item->row, "text", text) && add_member(item->row, "prompt", text) &&
                add_member(item->row, "reference", output);
    return good ? VKLM_OK : vklm_fail_memory("a question");
}

// A sample of a *.eval-prompt.json: {"prompt", "system_prompt"?}
static vklm_status read_sample(const vklm_batch_source *source, const cJSON *row,
                               vklm_batch_item *item)
{
    const cJSON *prompt, *system = cJSON_GetObjectItemCaseSensitive(row, "system_prompt");
    vklm_status status = get_string(row, "prompt", &prompt);
    item->raw = !source->chat;
    item->add_special_tokens |= item->raw;
    if (status == VKLM_OK && !item->raw && cJSON_IsString(system) && *system->valuestring)
        status = add_system(item, system->valuestring);
    if (status == VKLM_OK)
        status = add_turns(item, prompt, "prompt");
    if (status != VKLM_OK)
        return status;
    take_vllm_defaults(&item->generation.sampling, 1, 1);
    item->row = cJSON_CreateObject();
    return item->row && add_member(item->row, "prompt", prompt) ? VKLM_OK
                                                                : vklm_fail_memory("a question");
}

// A seed of its own for each row, the same when a run is continued. The recipes begin with the
// judge's 1234, which it gives to every question of safety.
static uint64_t choose_seed(vklm_batch_form form, uint64_t given, size_t index)
{
    uint64_t first = given ? given : 1234;
    if (form == VKLM_BATCH_SAFETY)
        return first;
    if (form == VKLM_BATCH_LINES && !given)
        return (vklm_rng_seed() >> 11) | 1; // as many bits as a number of JSON has
    return first + index;
}

// Whether U+0000 is in any text (base/json.h says how it is written there).
static bool has_nul(const cJSON *item)
{
    bool found = (item->string && strstr(item->string, "\xC0\x80")) ||
                 (cJSON_IsString(item) && strstr(item->valuestring, "\xC0\x80"));
    for (const cJSON *part = item->child; part && !found; part = part->next)
        found = has_nul(part);
    return found;
}

static vklm_status read_row(const vklm_batch_source *source, const cJSON *row, size_t index,
                            vklm_batch_item *item)
{
    static vklm_status (*const readers[])(const vklm_batch_source *, const cJSON *,
                                          vklm_batch_item *) = {
        [VKLM_BATCH_LINES] = read_line,
        [VKLM_BATCH_MT_BENCH] = read_mt_bench,
        [VKLM_BATCH_SAFETY] = read_safety,
        [VKLM_BATCH_EVAL] = read_sample,
    };
    if (!cJSON_IsObject(row))
        return vklm_fail(VKLM_INVALID_ARGUMENT, "wanted an object, found %s", vklm_json_kind(row));
    if (has_nul(row))
        return vklm_fail(VKLM_INVALID_ARGUMENT, "a text must not hold U+0000");
    vklm_status status = vklm_generation_copy(&source->generation, &item->generation);
    vklm_sampling_params *p = &item->generation.sampling;
    item->add_special_tokens = source->add_special_tokens;
    p->seed = choose_seed(source->form, p->seed, index);
    if (status == VKLM_OK)
        status = readers[source->form](source, row, item);
    if (status == VKLM_OK)
        status = vklm_sampling_check(p);
    return status;
}

// Appends the item of a row; `status` is how the row could be parsed.
static vklm_status take_row(const vklm_batch_source *source, vklm_batch *batch, const cJSON *row,
                            size_t line, vklm_status status)
{
    if (!vklm_array_grow(&batch->items, &batch->capacity, batch->n + 1, sizeof *batch->items))
        return vklm_fail_memory("a batch");
    vklm_batch_item item = {.line = line};
    if (status == VKLM_OK)
        status = read_row(source, row, line - 1, &item);
    if (status == VKLM_OK) {
        batch->items[batch->n++] = item;
        return VKLM_OK;
    }
    finish_item(&item);
    if (status == VKLM_OUT_OF_MEMORY || source->strict)
        return vklm_fail_prefix(status, "%s, line %zu", source->path, line);
    source->on_bad_line(source->path, line, vklm_error_message());
    batch->n_bad++;
    return VKLM_OK;
}

static vklm_status read_lines(const vklm_batch_source *source, const vklm_string *text,
                              vklm_batch *batch)
{
    vklm_status status = VKLM_OK;
    size_t number = 1;
    for (const char *at = text->data, *end = at + text->len; at < end && status == VKLM_OK;
         number++) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        size_t len = (size_t)((stop ? stop : end) - at);
        if (strspn(at, " \t\r") < len) { // an empty line is nothing
            cJSON *row = NULL;
            vklm_status parsed = vklm_json_parse(at, len, "the line", &row);
            status = take_row(source, batch, row, number, parsed);
            cJSON_Delete(row);
        }
        at = stop ? stop + 1 : end;
    }
    return status;
}

static vklm_status read_list(const vklm_batch_source *source, const cJSON *list, vklm_batch *batch)
{
    vklm_status status = VKLM_OK;
    size_t number = 1;
    for (const cJSON *row = list->child; row && status == VKLM_OK; row = row->next)
        status = take_row(source, batch, row, number++, VKLM_OK);
    return status;
}

// {"target_dataset", "config": {"output_length_delta"?}, "output_length", "samples": [...]}
static vklm_status read_eval(vklm_batch_source *source, vklm_batch *batch)
{
    const cJSON *whole = batch->whole;
    const cJSON *length = cJSON_GetObjectItemCaseSensitive(whole, "output_length");
    const cJSON *samples = cJSON_GetObjectItemCaseSensitive(whole, "samples");
    const cJSON *delta = cJSON_GetObjectItemCaseSensitive(
        cJSON_GetObjectItemCaseSensitive(whole, "config"), "output_length_delta");
    double tokens = cJSON_IsNumber(length) ? length->valuedouble : 0;
    tokens += cJSON_IsNumber(delta) ? delta->valuedouble : 0;
    if (!cJSON_IsArray(samples) || !(tokens >= 1 && tokens <= 1 << 24))
        return vklm_fail(VKLM_BAD_FILE, "%s: wanted output_length and samples", source->path);
    if (source->generation.max_tokens == 0)
        source->generation.max_tokens = (uint32_t)tokens;
    source->strict = true; // each sample must have its answer
    return read_list(source, samples, batch);
}

static vklm_status read_text(vklm_batch_source *source, vklm_string *text, vklm_batch *batch)
{
    size_t space = strspn(text->data, " \t\r\n");
    bool whole = source->form == VKLM_BATCH_EVAL || text->data[space] == '[';
    vklm_status status = VKLM_OK;
    if (whole)
        status = vklm_json_parse(text->data, text->len, source->path, &batch->whole);
    if (status == VKLM_OK && source->form == VKLM_BATCH_EVAL)
        return read_eval(source, batch);
    if (source->generation.max_tokens == 0)
        source->generation.max_tokens = 1024;
    if (status == VKLM_OK)
        status = whole ? read_list(source, batch->whole, batch) : read_lines(source, text, batch);
    return status;
}

vklm_status vklm_batch_read(const vklm_batch_source *source, vklm_batch *out_batch)
{
    *out_batch = (vklm_batch){0};
    vklm_batch_source own = *source;
    vklm_string text = {0};
    vklm_string_append(&text, "", 0);
    vklm_status status = vklm_file_read(source->path, MAX_FILE_BYTES, &text);
    if (status == VKLM_OK && text.failed)
        status = vklm_fail_memory("a batch");
    if (status == VKLM_OK)
        status = read_text(&own, &text, out_batch);
    if (status == VKLM_OK && out_batch->n == 0)
        status = vklm_fail(VKLM_INVALID_ARGUMENT, "%s: there is nothing to answer", source->path);
    vklm_string_finish(&text);
    return status;
}
