#include "checkpoint/checkpoint.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"

enum { INDEX_MAX_BYTES = 64 << 20, EXPERT_ROLES = VKLM_TENSOR_DOWN - VKLM_TENSOR_GATE + 1 };

typedef struct {
    char *path;
    vklm_file_map map;
    vklm_safetensors header;
    bool *known; // [header.n_tensors]: the architecture has such a tensor
} shard;

struct vklm_checkpoint {
    vklm_arch arch;
    shard *shards;
    size_t n_shards, capacity;
    // Experts that lie together in one tensor, as matrices of their own: [n_layers, n_experts,
    // EXPERT_ROLES]; zero where a matrix is a tensor. NULL in models without experts.
    vklm_tensor *slices;
    vklm_tensor_info *slice_infos;
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
    if (status == VKLM_OK) {
        s->known = vklm_alloc(s->header.n_tensors + 1, sizeof *s->known);
        if (!s->known)
            status = vklm_fail_memory("the checkpoint's files");
    }
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

static vklm_tensor *expert_slice(const vklm_checkpoint *c, vklm_tensor_role role, uint32_t layer,
                                 uint32_t expert)
{
    size_t row = (size_t)layer * c->arch.n_experts + expert;
    return &c->slices[row * EXPERT_ROLES + (size_t)(role - VKLM_TENSOR_GATE)];
}

static void name_role(const vklm_checkpoint *c, vklm_tensor_role role, uint32_t layer,
                      uint32_t expert, char out_name[VKLM_TENSOR_NAME_BYTES])
{
    if (vklm_tensor_count(&c->arch, role) > 1)
        vklm_tensor_expert_name(role, layer, expert, out_name);
    else
        vklm_tensor_name(role, layer, out_name);
}

// A tensor of the architecture by its name, by its newer name, or cut out of a larger one.
static bool find_role(const vklm_checkpoint *c, vklm_tensor_role role, uint32_t layer,
                      uint32_t expert, vklm_tensor *out, const char **out_path)
{
    char name[VKLM_TENSOR_NAME_BYTES];
    name_role(c, role, layer, expert, name);
    if (find_tensor(c, name, out, out_path))
        return true;
    if (c->arch.n_experts == 0 || !vklm_tensor_fused_name(role, layer, name))
        return false;
    if (role == VKLM_TENSOR_ROUTER)
        return find_tensor(c, name, out, out_path);
    *out = *expert_slice(c, role, layer, expert);
    return out->info != NULL;
}

static void print_shape(vklm_string *s, const uint64_t *shape, uint32_t n_dims)
{
    vklm_string_append(s, "[", 1);
    for (uint32_t i = 0; i < n_dims; i++)
        vklm_string_print(s, "%s%llu", i ? ", " : "", (unsigned long long)shape[i]);
    vklm_string_append(s, "]", 1);
}

static vklm_status check_shape(const vklm_tensor_info *info, const char *path,
                               const uint64_t *shape, uint32_t n_dims)
{
    if (info->n_dims != n_dims || memcmp(info->shape, shape, n_dims * sizeof *shape) != 0) {
        vklm_string wanted = {0}, found = {0};
        print_shape(&wanted, shape, n_dims);
        print_shape(&found, info->shape, info->n_dims);
        vklm_fail(VKLM_BAD_FILE, "%s: tensor %s has shape %s, config.json asks for %s", path,
                  info->name, found.data ? found.data : "?", wanted.data ? wanted.data : "?");
        vklm_string_finish(&wanted);
        vklm_string_finish(&found);
        return VKLM_BAD_FILE;
    }
    if (info->dtype > VKLM_DTYPE_BF16)
        return vklm_fail(VKLM_UNSUPPORTED,
                         "%s: tensor %s is %s; BF16, F16 and F32 weights are supported", path,
                         info->name, vklm_dtype_name(info->dtype));
    return VKLM_OK;
}

// Remembers that the architecture knows the tensor, wherever it stands.
static void mark_known(vklm_checkpoint *c, const char *name)
{
    for (size_t i = 0; i < c->n_shards; i++) {
        const vklm_tensor_info *info = vklm_safetensors_find(&c->shards[i].header, name);
        if (info)
            c->shards[i].known[info - c->shards[i].header.tensors] = true;
    }
}

// One of the two tensors that hold all experts of a layer, cut into one matrix per expert and role.
static vklm_status cut_experts(vklm_checkpoint *c, vklm_tensor_role first, vklm_tensor_role last,
                               uint32_t layer)
{
    const vklm_arch *a = &c->arch;
    char name[VKLM_TENSOR_NAME_BYTES];
    vklm_tensor all;
    const char *path;
    vklm_tensor_fused_name(first, layer, name);
    if (!find_tensor(c, name, &all, &path))
        return VKLM_OK; // its experts stand alone, or are missing: the check of each will say
    mark_known(c, name);
    const uint32_t n_parts = last - first + 1;
    uint64_t shape[2], whole[3];
    vklm_tensor_shape(a, first, shape);
    whole[0] = a->n_experts, whole[1] = n_parts * shape[0], whole[2] = shape[1];
    vklm_status status = check_shape(all.info, path, whole, 3);
    for (uint32_t i = 0; i < a->n_experts * n_parts && status == VKLM_OK; i++) {
        vklm_tensor *slice = expert_slice(c, first + i % n_parts, layer, i / n_parts);
        vklm_tensor_info *info = &c->slice_infos[slice - c->slices];
        *info = *all.info;
        info->n_dims = 2;
        memcpy(info->shape, shape, sizeof shape);
        info->bytes = all.info->bytes / (a->n_experts * n_parts);
        info->offset += i * info->bytes;
        *slice = (vklm_tensor){.info = info, .data = all.data + i * info->bytes, .map = all.map};
    }
    return status;
}

static vklm_status cut_all_experts(vklm_checkpoint *c)
{
    const size_t n = (size_t)c->arch.n_layers * c->arch.n_experts * EXPERT_ROLES;
    if (n == 0)
        return VKLM_OK;
    c->slices = vklm_alloc(n, sizeof *c->slices);
    c->slice_infos = vklm_alloc(n, sizeof *c->slice_infos);
    vklm_status status = c->slices && c->slice_infos ? VKLM_OK : vklm_fail_memory("a checkpoint");
    for (uint32_t layer = 0; layer < c->arch.n_layers && status == VKLM_OK; layer++) {
        status = cut_experts(c, VKLM_TENSOR_GATE, VKLM_TENSOR_UP, layer);
        if (status == VKLM_OK)
            status = cut_experts(c, VKLM_TENSOR_DOWN, VKLM_TENSOR_DOWN, layer);
    }
    return status;
}

static vklm_status check_tensor(vklm_checkpoint *c, const char *folder, vklm_tensor_role role,
                                uint32_t layer, uint32_t expert)
{
    char name[VKLM_TENSOR_NAME_BYTES];
    vklm_tensor tensor;
    const char *path = folder;
    if (!find_role(c, role, layer, expert, &tensor, &path)) {
        name_role(c, role, layer, expert, name);
        return vklm_fail(VKLM_BAD_FILE, "%s: tensor %s is missing", folder, name);
    }
    mark_known(c, tensor.info->name);
    uint64_t shape[2];
    uint32_t n_dims = vklm_tensor_shape(&c->arch, role, shape);
    return check_shape(tensor.info, path, shape, n_dims);
}

// A role's tensor stands in the file: not so for a tied lm_head (a copy of it may, and is not
// used).
static bool is_stored(const vklm_arch *arch, vklm_tensor_role role)
{
    return role != VKLM_TENSOR_LM_HEAD || !arch->tied;
}

static bool is_ignored(const char *name)
{
    size_t len = strlen(name);
    const char *buffer = ".rotary_emb.inv_freq"; // derived; old versions of transformers saved it
    return len > strlen(buffer) && strcmp(name + len - strlen(buffer), buffer) == 0;
}

static vklm_status check_role(vklm_checkpoint *c, const char *folder, vklm_tensor_role role)
{
    if (!is_stored(&c->arch, role)) {
        char name[VKLM_TENSOR_NAME_BYTES];
        vklm_tensor_name(role, 0, name);
        mark_known(c, name);
        return VKLM_OK;
    }
    const uint32_t n_layers = vklm_tensor_per_layer(role) ? c->arch.n_layers : 1;
    const uint32_t n = vklm_tensor_count(&c->arch, role);
    vklm_status status = VKLM_OK;
    for (uint32_t layer = 0; layer < n_layers; layer++)
        for (uint32_t expert = 0; expert < n && status == VKLM_OK; expert++)
            status = check_tensor(c, folder, role, layer, expert);
    return status;
}

static vklm_status check_tensors(vklm_checkpoint *c, const char *folder)
{
    vklm_status status = cut_all_experts(c);
    for (int role = 0; role < VKLM_TENSOR_ROLES && status == VKLM_OK; role++)
        status = check_role(c, folder, (vklm_tensor_role)role);
    for (size_t i = 0; i < c->n_shards && status == VKLM_OK; i++) {
        const shard *s = &c->shards[i];
        for (size_t t = 0; t < s->header.n_tensors && status == VKLM_OK; t++)
            if (!s->known[t] && !is_ignored(s->header.tensors[t].name))
                status = vklm_fail(VKLM_BAD_FILE,
                                   "%s: tensor %s is not part of a %s of %u layers; is config.json "
                                   "that of these weights?",
                                   s->path, s->header.tensors[t].name, c->arch.architecture,
                                   c->arch.n_layers);
    }
    return status;
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
        free(checkpoint->shards[i].known);
    }
    free(checkpoint->slices);
    free(checkpoint->slice_infos);
    free(checkpoint->shards);
    free(checkpoint);
}

const vklm_arch *vklm_checkpoint_arch(const vklm_checkpoint *checkpoint)
{
    return &checkpoint->arch;
}

vklm_tensor vklm_checkpoint_expert_tensor(const vklm_checkpoint *checkpoint, vklm_tensor_role role,
                                          uint32_t layer, uint32_t expert)
{
    if (!is_stored(&checkpoint->arch, role))
        role = VKLM_TENSOR_EMBED;
    const char *path;
    vklm_tensor tensor = {0};
    bool found = find_role(checkpoint, role, layer, expert, &tensor, &path);
    assert(found);
    (void)found;
    return tensor;
}

vklm_tensor vklm_checkpoint_tensor(const vklm_checkpoint *checkpoint, vklm_tensor_role role,
                                   uint32_t layer)
{
    return vklm_checkpoint_expert_tensor(checkpoint, role, layer, 0);
}

uint64_t vklm_checkpoint_bytes(const vklm_checkpoint *checkpoint)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < checkpoint->n_shards; i++)
        for (size_t t = 0; t < checkpoint->shards[i].header.n_tensors; t++)
            sum += checkpoint->shards[i].header.tensors[t].bytes;
    return sum;
}
