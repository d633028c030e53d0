#include "checkpoint/checkpoint.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"

enum { INDEX_MAX_BYTES = 64 << 20 };

typedef struct {
    char *path;
    vklm_file_map map;
    vklm_safetensors header;
} shard;

struct vklm_checkpoint {
    vklm_arch arch;
    shard *shards;
    size_t n_shards, capacity;
};

static char *join(const char *folder, const char *name)
{
    vklm_string path = {0};
    vklm_file_join(&path, folder, name);
    if (path.failed)
        vklm_string_finish(&path);
    return path.data;
}

// Takes over `path`.
static vklm_status add_shard(vklm_checkpoint *c, char *path)
{
    if (!path || !vklm_array_grow(&c->shards, &c->capacity, c->n_shards + 1, sizeof *c->shards)) {
        free(path);
        return vklm_fail_memory("the checkpoint's files");
    }
    shard *s = &c->shards[c->n_shards++];
    *s = (shard){.path = path};
    vklm_status status = vklm_file_map_open(path, &s->map);
    if (status == VKLM_OK)
        status = vklm_safetensors_parse(s->map.data, s->map.size, path, &s->header);
    return status;
}

// The file that the index names for a tensor must be a plain name in the same folder.
static vklm_status add_indexed_shard(vklm_checkpoint *c, const char *folder, const char *index_path,
                                     const cJSON *entry)
{
    if (!cJSON_IsString(entry) || entry->valuestring[0] == '\0' || strchr(entry->valuestring, '/'))
        return vklm_fail(VKLM_BAD_FILE, "%s: tensor %s is not in a file of this folder", index_path,
                         entry->string);
    char *path = join(folder, entry->valuestring);
    for (size_t i = 0; path && i < c->n_shards; i++)
        if (strcmp(c->shards[i].path, path) == 0) {
            free(path);
            return VKLM_OK;
        }
    return add_shard(c, path);
}

static vklm_status open_index(vklm_checkpoint *c, const char *folder, const char *index_path)
{
    cJSON *json;
    vklm_status status = vklm_json_load(index_path, INDEX_MAX_BYTES, &json);
    const cJSON *map = cJSON_GetObjectItemCaseSensitive(json, "weight_map"), *entry;
    if (status == VKLM_OK && !cJSON_IsObject(map))
        status = vklm_fail(VKLM_BAD_FILE, "%s: no weight_map", index_path);
    if (status == VKLM_OK)
        cJSON_ArrayForEach(entry, map)
        {
            status = add_indexed_shard(c, folder, index_path, entry);
            if (status != VKLM_OK)
                break;
        }
    cJSON_Delete(json);
    return status;
}

static vklm_status open_files(vklm_checkpoint *c, const char *folder)
{
    char *single = join(folder, "model.safetensors");
    char *index = join(folder, "model.safetensors.index.json");
    vklm_status status;
    if (!single || !index) {
        status = vklm_fail_memory("a path");
    } else if (vklm_file_exists(index)) {
        status = open_index(c, folder, index);
    } else if (vklm_file_exists(single)) {
        status = add_shard(c, single);
        single = NULL;
    } else {
        status =
            vklm_fail(VKLM_NOT_FOUND,
                      "%s: neither model.safetensors nor model.safetensors.index.json", folder);
    }
    free(single);
    free(index);
    return status;
}

static bool find_tensor(const vklm_checkpoint *c, const char *name, vklm_tensor *out,
                        const char **out_path)
{
    for (size_t i = 0; i < c->n_shards; i++) {
        const vklm_tensor_info *info = vklm_safetensors_find(&c->shards[i].header, name);
        if (info) {
            *out = (vklm_tensor){.info = info,
                                 .data = c->shards[i].map.data + info->offset,
                                 .map = &c->shards[i].map};
            *out_path = c->shards[i].path;
            return true;
        }
    }
    return false;
}

static void print_shape(vklm_string *s, const uint64_t *shape, uint32_t n_dims)
{
    vklm_string_append(s, "[", 1);
    for (uint32_t i = 0; i < n_dims; i++)
        vklm_string_print(s, "%s%llu", i ? ", " : "", (unsigned long long)shape[i]);
    vklm_string_append(s, "]", 1);
}

static vklm_status check_tensor(const vklm_checkpoint *c, const char *folder, vklm_tensor_role role,
                                uint32_t layer)
{
    char name[VKLM_TENSOR_NAME_BYTES];
    vklm_tensor tensor;
    const char *path;
    vklm_tensor_name(role, layer, name);
    if (!find_tensor(c, name, &tensor, &path))
        return vklm_fail(VKLM_BAD_FILE, "%s: tensor %s is missing", folder, name);
    uint64_t shape[2];
    uint32_t n_dims = vklm_tensor_shape(&c->arch, role, shape);
    if (tensor.info->n_dims != n_dims ||
        memcmp(tensor.info->shape, shape, n_dims * sizeof *shape) != 0) {
        vklm_string wanted = {0}, found = {0};
        print_shape(&wanted, shape, n_dims);
        print_shape(&found, tensor.info->shape, tensor.info->n_dims);
        vklm_fail(VKLM_BAD_FILE, "%s: tensor %s has shape %s, config.json asks for %s", path, name,
                  found.data ? found.data : "?", wanted.data ? wanted.data : "?");
        vklm_string_finish(&wanted);
        vklm_string_finish(&found);
        return VKLM_BAD_FILE;
    }
    if (tensor.info->dtype > VKLM_DTYPE_BF16)
        return vklm_fail(VKLM_UNSUPPORTED,
                         "%s: tensor %s is %s; BF16, F16 and F32 weights are supported", path, name,
                         vklm_dtype_name(tensor.info->dtype));
    return VKLM_OK;
}

// A role's tensor stands in the file: not so for a tied lm_head (a copy of it may, and is not
// used).
static bool is_stored(const vklm_arch *arch, vklm_tensor_role role)
{
    return role != VKLM_TENSOR_LM_HEAD || !arch->tied;
}

static bool is_known(const vklm_arch *arch, const char *name)
{
    size_t len = strlen(name);
    const char *buffer = ".rotary_emb.inv_freq"; // derived; old versions of transformers saved it
    if (len > strlen(buffer) && strcmp(name + len - strlen(buffer), buffer) == 0)
        return true;
    for (int role = 0; role < VKLM_TENSOR_ROLES; role++) {
        uint32_t n = vklm_tensor_per_layer((vklm_tensor_role)role) ? arch->n_layers : 1;
        for (uint32_t layer = 0; layer < n; layer++) {
            char known[VKLM_TENSOR_NAME_BYTES];
            vklm_tensor_name((vklm_tensor_role)role, layer, known);
            if (strcmp(known, name) == 0)
                return true;
        }
    }
    return false;
}

static vklm_status check_tensors(const vklm_checkpoint *c, const char *folder)
{
    for (int role = 0; role < VKLM_TENSOR_ROLES; role++) {
        uint32_t n = vklm_tensor_per_layer((vklm_tensor_role)role) ? c->arch.n_layers : 1;
        for (uint32_t layer = 0; layer < n && is_stored(&c->arch, (vklm_tensor_role)role);
             layer++) {
            vklm_status status = check_tensor(c, folder, (vklm_tensor_role)role, layer);
            if (status != VKLM_OK)
                return status;
        }
    }
    for (size_t i = 0; i < c->n_shards; i++)
        for (size_t t = 0; t < c->shards[i].header.n_tensors; t++)
            if (!is_known(&c->arch, c->shards[i].header.tensors[t].name))
                return vklm_fail(VKLM_BAD_FILE,
                                 "%s: tensor %s is not part of a %s of %u layers; is config.json "
                                 "that of these weights?",
                                 c->shards[i].path, c->shards[i].header.tensors[t].name,
                                 c->arch.architecture, c->arch.n_layers);
    return VKLM_OK;
}

vklm_status vklm_checkpoint_open(const char *folder, vklm_checkpoint **out_checkpoint)
{
    *out_checkpoint = NULL;
    vklm_checkpoint *c = vklm_alloc(1, sizeof *c);
    if (!c)
        return vklm_fail_memory("a checkpoint");
    vklm_status status = vklm_arch_load(folder, &c->arch);
    if (status == VKLM_OK)
        status = open_files(c, folder);
    if (status == VKLM_OK)
        status = check_tensors(c, folder);
    if (status != VKLM_OK) {
        vklm_checkpoint_close(c);
        return status;
    }
    *out_checkpoint = c;
    return VKLM_OK;
}

void vklm_checkpoint_close(vklm_checkpoint *checkpoint)
{
    if (!checkpoint)
        return;
    for (size_t i = 0; i < checkpoint->n_shards; i++) {
        vklm_safetensors_finish(&checkpoint->shards[i].header);
        vklm_file_map_close(&checkpoint->shards[i].map);
        free(checkpoint->shards[i].path);
    }
    free(checkpoint->shards);
    free(checkpoint);
}

const vklm_arch *vklm_checkpoint_arch(const vklm_checkpoint *checkpoint)
{
    return &checkpoint->arch;
}

vklm_tensor vklm_checkpoint_tensor(const vklm_checkpoint *checkpoint, vklm_tensor_role role,
                                   uint32_t layer)
{
    if (!is_stored(&checkpoint->arch, role))
        role = VKLM_TENSOR_EMBED;
    char name[VKLM_TENSOR_NAME_BYTES];
    const char *path;
    vklm_tensor tensor = {0};
    vklm_tensor_name(role, layer, name);
    bool found = find_tensor(checkpoint, name, &tensor, &path);
    assert(found);
    (void)found;
    return tensor;
}

uint64_t vklm_checkpoint_bytes(const vklm_checkpoint *checkpoint)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < checkpoint->n_shards; i++)
        for (size_t t = 0; t < checkpoint->shards[i].header.n_tensors; t++)
            sum += checkpoint->shards[i].header.tensors[t].bytes;
    return sum;
}
