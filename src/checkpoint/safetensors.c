#include "checkpoint/safetensors.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"

enum { MAX_HEADER_BYTES = 100 << 20 }; // the format's own limit

static const struct {
    const char *name;
    size_t bytes;
} dtypes[VKLM_DTYPE_COUNT] = {
    [VKLM_DTYPE_F32] = {"F32", 4}, [VKLM_DTYPE_F16] = {"F16", 2}, [VKLM_DTYPE_BF16] = {"BF16", 2},
    [VKLM_DTYPE_I32] = {"I32", 4}, [VKLM_DTYPE_U8] = {"U8", 1},
};

const char *vklm_dtype_name(vklm_dtype dtype)
{
    return dtypes[dtype].name;
}

size_t vklm_dtype_bytes(vklm_dtype dtype)
{
    return dtypes[dtype].bytes;
}

// A JSON number that is a whole number below 2^53.
static bool whole_number(const cJSON *item, uint64_t *out)
{
    if (!cJSON_IsNumber(item) || !(item->valuedouble >= 0) || item->valuedouble >= 0x1p53 ||
        item->valuedouble != floor(item->valuedouble))
        return false;
    *out = (uint64_t)item->valuedouble;
    return true;
}

static vklm_status parse_dtype(const cJSON *entry, vklm_tensor_info *out)
{
    const cJSON *dtype = cJSON_GetObjectItemCaseSensitive(entry, "dtype");
    if (!cJSON_IsString(dtype))
        return vklm_fail(VKLM_BAD_FILE, "no dtype");
    for (int i = 0; i < VKLM_DTYPE_COUNT; i++)
        if (strcmp(dtype->valuestring, dtypes[i].name) == 0) {
            out->dtype = (vklm_dtype)i;
            return VKLM_OK;
        }
    return vklm_fail(VKLM_UNSUPPORTED, "dtype %s; F32, F16 and BF16 are supported",
                     dtype->valuestring);
}

// The shape, and the bytes that it asks for.
static vklm_status parse_shape(const cJSON *entry, vklm_tensor_info *out, uint64_t *out_bytes)
{
    const cJSON *shape = cJSON_GetObjectItemCaseSensitive(entry, "shape"), *dim;
    if (!cJSON_IsArray(shape) || cJSON_GetArraySize(shape) > VKLM_TENSOR_MAX_DIMS)
        return vklm_fail(VKLM_BAD_FILE, "no shape of at most %d dimensions", VKLM_TENSOR_MAX_DIMS);
    *out_bytes = dtypes[out->dtype].bytes;
    cJSON_ArrayForEach(dim, shape)
    {
        uint64_t n;
        if (!whole_number(dim, &n) || (n && *out_bytes > UINT64_MAX / n))
            return vklm_fail(VKLM_BAD_FILE, "its shape is not made of sizes");
        *out_bytes *= n;
        out->shape[out->n_dims++] = n;
    }
    return VKLM_OK;
}

static vklm_status parse_tensor(const cJSON *entry, uint64_t data_begin, uint64_t file_size,
                                vklm_tensor_info *out)
{
    uint64_t bytes = 0, begin, end;
    vklm_status status = parse_dtype(entry, out);
    if (status == VKLM_OK)
        status = parse_shape(entry, out, &bytes);
    if (status != VKLM_OK)
        return status;
    const cJSON *range = cJSON_GetObjectItemCaseSensitive(entry, "data_offsets");
    if (cJSON_GetArraySize(range) != 2 || !whole_number(cJSON_GetArrayItem(range, 0), &begin) ||
        !whole_number(cJSON_GetArrayItem(range, 1), &end) || begin > end)
        return vklm_fail(VKLM_BAD_FILE, "data_offsets is not a pair of offsets");
    if (end > file_size - data_begin)
        return vklm_fail(VKLM_BAD_FILE,
                         "its data ends at byte %llu, the file at %llu: the file is truncated",
                         (unsigned long long)(data_begin + end), (unsigned long long)file_size);
    if (end - begin != bytes)
        return vklm_fail(VKLM_BAD_FILE, "its shape wants %llu bytes, data_offsets hold %llu",
                         (unsigned long long)bytes, (unsigned long long)(end - begin));
    out->offset = data_begin + begin;
    out->bytes = bytes;
    out->name = strdup(entry->string);
    return out->name ? VKLM_OK : vklm_fail_memory("a tensor's name");
}

static int by_offset(const void *a, const void *b)
{
    const vklm_tensor_info *x = a, *y = b;
    if (x->offset != y->offset)
        return x->offset < y->offset ? -1 : 1;
    return (x->bytes > y->bytes) - (x->bytes < y->bytes); // empty tensors first
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const vklm_tensor_info *)a)->name, ((const vklm_tensor_info *)b)->name);
}

static vklm_status check_tensors(vklm_safetensors *header, const char *name)
{
    size_t n = header->n_tensors;
    vklm_tensor_info *t = header->tensors;
    qsort(t, n, sizeof *t, by_offset);
    for (size_t i = 1; i < n; i++)
        if (t[i].offset < t[i - 1].offset + t[i - 1].bytes)
            return vklm_fail(VKLM_BAD_FILE, "%s: tensors %s and %s overlap", name, t[i - 1].name,
                             t[i].name);
    qsort(t, n, sizeof *t, by_name);
    for (size_t i = 1; i < n; i++)
        if (strcmp(t[i].name, t[i - 1].name) == 0)
            return vklm_fail(VKLM_BAD_FILE, "%s: tensor %s stands twice", name, t[i].name);
    return VKLM_OK;
}

static vklm_status parse_notes(const cJSON *json, const char *name, vklm_safetensors *header)
{
    size_t n = (size_t)cJSON_GetArraySize(json);
    header->notes = vklm_alloc(n, sizeof *header->notes);
    if (!header->notes)
        return vklm_fail_memory(name);
    const cJSON *entry;
    cJSON_ArrayForEach(entry, json)
    {
        if (!entry->string || !cJSON_IsString(entry))
            continue; // the format knows strings only; others are not for us
        vklm_safetensors_note *note = &header->notes[header->n_notes++];
        note->key = strdup(entry->string);
        note->value = strdup(entry->valuestring);
        if (!note->key || !note->value)
            return vklm_fail_memory(name);
    }
    return VKLM_OK;
}

static vklm_status parse_entries(const cJSON *json, uint64_t data_begin, uint64_t file_size,
                                 const char *name, vklm_safetensors *header)
{
    if (!cJSON_IsObject(json))
        return vklm_fail(VKLM_BAD_FILE, "%s: the header is not a JSON object", name);
    header->tensors = vklm_alloc((size_t)cJSON_GetArraySize(json), sizeof *header->tensors);
    if (!header->tensors)
        return vklm_fail_memory(name);
    const cJSON *entry;
    cJSON_ArrayForEach(entry, json)
    {
        vklm_status status;
        if (strcmp(entry->string, "__metadata__") == 0 && !header->notes) {
            status = parse_notes(entry, name, header);
            if (status != VKLM_OK)
                return status;
            continue;
        }
        status = parse_tensor(entry, data_begin, file_size, &header->tensors[header->n_tensors]);
        if (status != VKLM_OK)
            return vklm_fail_prefix(status, "%s: tensor %s", name, entry->string);
        header->n_tensors++;
    }
    return check_tensors(header, name);
}

vklm_status vklm_safetensors_parse(const unsigned char *data, uint64_t size, const char *name,
                                   vklm_safetensors *out_header)
{
    *out_header = (vklm_safetensors){0};
    if (size < 8)
        return vklm_fail(VKLM_BAD_FILE, "%s: %llu bytes are no safetensors file", name,
                         (unsigned long long)size);
    uint64_t length = 0;
    for (int i = 7; i >= 0; i--)
        length = length << 8 | data[i];
    if (length > size - 8 || length > MAX_HEADER_BYTES)
        return vklm_fail(
            VKLM_BAD_FILE, "%s: the header claims %llu bytes, the file has %llu (limit %d)", name,
            (unsigned long long)length, (unsigned long long)(size - 8), MAX_HEADER_BYTES);
    cJSON *json;
    vklm_status status = vklm_json_parse((const char *)data + 8, (size_t)length, name, &json);
    if (status == VKLM_OK)
        status = parse_entries(json, 8 + length, size, name, out_header);
    cJSON_Delete(json);
    if (status != VKLM_OK)
        vklm_safetensors_finish(out_header);
    return status;
}

void vklm_safetensors_finish(vklm_safetensors *header)
{
    for (size_t i = 0; i < header->n_tensors; i++)
        free(header->tensors[i].name);
    for (size_t i = 0; i < header->n_notes; i++) {
        free(header->notes[i].key);
        free(header->notes[i].value);
    }
    free(header->notes);
    free(header->tensors);
    *header = (vklm_safetensors){0};
}

const vklm_tensor_info *vklm_safetensors_find(const vklm_safetensors *header, const char *name)
{
    vklm_tensor_info key = {.name = (char *)(uintptr_t)name};
    return header->n_tensors
               ? bsearch(&key, header->tensors, header->n_tensors, sizeof key, by_name)
               : NULL;
}

const char *vklm_safetensors_note_of(const vklm_safetensors *header, const char *key)
{
    for (size_t i = 0; i < header->n_notes; i++)
        if (strcmp(header->notes[i].key, key) == 0)
            return header->notes[i].value;
    return NULL;
}

void vklm_safetensors_print_header(const vklm_tensor_info *tensors, size_t n, vklm_string *out)
{
    char key[] = "format", value[] = "pt";
    vklm_safetensors_note note = {.key = key, .value = value};
    vklm_safetensors_print_header_notes(tensors, n, &note, 1, out);
}

void vklm_safetensors_print_header_notes(const vklm_tensor_info *tensors, size_t n,
                                         const vklm_safetensors_note *notes, size_t n_notes,
                                         vklm_string *out)
{
    vklm_string json = {0};
    vklm_string_print(&json, "{\"__metadata__\":{");
    for (size_t i = 0; i < n_notes; i++) {
        vklm_string_append(&json, ",", i > 0);
        vklm_json_quote(&json, notes[i].key, strlen(notes[i].key));
        vklm_string_append(&json, ":", 1);
        vklm_json_quote(&json, notes[i].value, strlen(notes[i].value));
    }
    vklm_string_append(&json, "}", 1);
    uint64_t at = 0;
    for (size_t i = 0; i < n; i++) {
        vklm_string_append(&json, ",", 1);
        vklm_json_quote(&json, tensors[i].name, strlen(tensors[i].name));
        vklm_string_print(&json, ":{\"dtype\":\"%s\",\"shape\":[", dtypes[tensors[i].dtype].name);
        for (uint32_t d = 0; d < tensors[i].n_dims; d++)
            vklm_string_print(&json, "%s%llu", d ? "," : "",
                              (unsigned long long)tensors[i].shape[d]);
        vklm_string_print(&json, "],\"data_offsets\":[%llu,%llu]}", (unsigned long long)at,
                          (unsigned long long)(at + tensors[i].bytes));
        at += tensors[i].bytes;
    }
    vklm_string_append(&json, "}", 1);
    while ((json.len + 8) % 64 != 0 && !json.failed)
        vklm_string_append(&json, " ", 1);
    char length[8];
    for (int i = 0; i < 8; i++)
        length[i] = (char)((uint64_t)json.len >> 8 * i & 0xFF);
    vklm_string_append(out, length, sizeof length);
    vklm_string_append(out, json.data ? json.data : "", json.len);
    out->failed |= json.failed;
    vklm_string_finish(&json);
}
