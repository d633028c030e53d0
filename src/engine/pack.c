// Packed copies of models: made on demand, and kept.
#include <vklm/convert.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/array.h"
#include "base/hash.h"
#include "engine/engine_private.h"
#include "model/packer.h"

// What a model folder has beside its weights, where it has it.
static const char *const SMALL_FILES[] = {
    "config.json",           "generation_config.json",  "tokenizer.json",
    "tokenizer_config.json", "special_tokens_map.json", "chat_template.jinja",
    "chat_template.json",    "added_tokens.json",       "LICENSE",
};

static vklm_status copy_small_files(const char *from, const char *to)
{
    vklm_status status = VKLM_OK;
    for (size_t i = 0; i < sizeof SMALL_FILES / sizeof *SMALL_FILES && status == VKLM_OK; i++) {
        vklm_string source = {0}, copy = {0};
        vklm_file_join(&source, from, SMALL_FILES[i]);
        vklm_file_join(&copy, to, SMALL_FILES[i]);
        if (source.failed || copy.failed)
            status = vklm_fail_memory("a path");
        else if (vklm_file_exists(source.data))
            status = vklm_file_copy(source.data, copy.data);
        vklm_string_finish(&source);
        vklm_string_finish(&copy);
    }
    return status;
}

static vklm_status write_weights(const vklm_pack_params *params, const vklm_source *source,
                                 const char *folder)
{
    vklm_importance importance = {0};
    vklm_weights_plan *plan = NULL;
    vklm_string path = {0};
    vklm_status status = VKLM_OK;
    vklm_file_join(&path, folder, VKLM_PACKED_FILE);
    if (path.failed)
        status = vklm_fail_memory("a path");
    if (status == VKLM_OK && params->importance)
        status = vklm_importance_open(params->importance, &importance);
    if (status == VKLM_OK)
        status = vklm_weights_plan_create(
            source, params->weights ? params->weights : VKLM_WEIGHTS_Q4, NULL, &plan);
    if (status == VKLM_OK)
        status = vklm_packed_write(plan,
                                   &(vklm_load_params){
                                       .progress = params->progress,
                                       .opaque = params->opaque,
                                       .importance = params->importance ? &importance : NULL,
                                   },
                                   path.data);
    vklm_weights_plan_destroy(plan);
    vklm_importance_close(&importance);
    vklm_string_finish(&path);
    return status;
}

// The work is done in `folder`.part, which becomes `folder` at the end.
static vklm_status pack_into(const vklm_pack_params *params, const vklm_source *source)
{
    vklm_string part = {0};
    vklm_string_append(&part, params->out_dir, strlen(params->out_dir));
    while (part.len > 1 && part.data[part.len - 1] == '/')
        part.len--;
    vklm_string_print(&part, ".%ld.part", (long)getpid());
    if (part.failed) {
        vklm_string_finish(&part);
        return vklm_fail_memory("a path");
    }
    vklm_status status = vklm_file_make_folders(part.data);
    if (status == VKLM_OK)
        status = copy_small_files(params->model_dir, part.data);
    if (status == VKLM_OK)
        status = write_weights(params, source, part.data);
    if (status == VKLM_OK)
        status = vklm_file_rename(part.data, params->out_dir);
    if (status != VKLM_OK)
        vklm_file_remove_folder(part.data);
    vklm_string_finish(&part);
    return status;
}

vklm_status vklm_model_pack(const vklm_pack_params *params)
{
    if (vklm_file_exists(params->out_dir) && !vklm_file_is_empty_folder(params->out_dir))
        return vklm_fail(VKLM_INVALID_ARGUMENT, "%s: exists already", params->out_dir);
    vklm_source source;
    vklm_status status = vklm_source_open(params->model_dir, false, &source);
    if (status != VKLM_OK)
        return status;
    if (source.packed)
        status =
            vklm_fail(VKLM_INVALID_ARGUMENT, "%s: packed already, as %s; pack the original model",
                      params->model_dir, vklm_weights_kind_name(source.packed->kind));
    else
        status = pack_into(params, &source);
    vklm_source_close(&source);
    return status;
}

vklm_status vklm_model_verify(const char *model_dir, vklm_load_callback progress, void *opaque)
{
    vklm_source source;
    vklm_status status = vklm_source_open(model_dir, false, &source);
    if (status != VKLM_OK)
        return status;
    const vklm_packed *p = source.packed;
    if (!p)
        status = vklm_fail(VKLM_INVALID_ARGUMENT, "%s: not packed, so there are no checksums",
                           model_dir);
    uint64_t done = 0, total = vklm_source_bytes(&source);
    for (size_t i = 0; status == VKLM_OK && i + 1 < p->header.n_tensors; i++) {
        status = vklm_packed_verify(p, p->in_order[i]);
        vklm_file_map_drop(&p->map, p->in_order[i]->offset, p->in_order[i]->bytes);
        done += p->in_order[i]->bytes;
        if (status == VKLM_OK && progress && !progress(opaque, done, total))
            status = vklm_fail(VKLM_CANCELLED, "verifying was cancelled");
    }
    vklm_source_close(&source);
    return status;
}

// A number for what a checkpoint holds: its shapes, and the ends of every tensor's data. A model
// that was trained on differs in all of them.
static uint64_t fingerprint(const vklm_source *source, const vklm_importance *importance)
{
    const vklm_arch *a = &source->arch;
    const uint32_t shapes[] = {a->n_vocab,  a->n_hidden,  a->n_intermediate,
                               a->n_layers, a->n_heads,   a->n_kv_heads,
                               a->head_dim, a->n_experts, a->top_k};
    uint64_t hash = vklm_hash64(shapes, sizeof shapes, 0);
    for (int role = 0; role < VKLM_TENSOR_ROLES; role++) {
        const uint32_t n = vklm_tensor_count(a, (vklm_tensor_role)role);
        const uint32_t n_layers = vklm_tensor_per_layer((vklm_tensor_role)role) ? a->n_layers : 1;
        for (uint32_t i = 0; i < n_layers * n; i++) {
            vklm_tensor t = vklm_checkpoint_expert_tensor(source->checkpoint,
                                                          (vklm_tensor_role)role, i / n, i % n);
            size_t piece = t.info->bytes < 4096 ? (size_t)t.info->bytes : 4096;
            hash = vklm_hash64(t.data, piece, hash);
            hash = vklm_hash64(t.data + t.info->bytes - piece, piece, hash);
        }
    }
    return importance ? vklm_hash64(importance->map.data, (size_t)importance->map.size, hash)
                      : hash;
}

// params->packed_folder/NAME-KIND-FINGERPRINT
static vklm_status name_copy(const vklm_engine_params *params, vklm_weights_kind kind,
                             const vklm_source *source, vklm_string *out_path)
{
    vklm_importance importance = {0};
    if (params->importance) {
        vklm_status status = vklm_importance_open(params->importance, &importance);
        if (status != VKLM_OK)
            return status;
    }
    const char *dir = params->model_dir;
    size_t end = strlen(dir), begin;
    while (end > 0 && dir[end - 1] == '/')
        end--;
    for (begin = end; begin > 0 && dir[begin - 1] != '/';)
        begin--;
    bool plain = end > begin && dir[begin] != '.';
    vklm_file_join(out_path, params->packed_folder, "");
    vklm_string_append(out_path, plain ? dir + begin : "model", plain ? end - begin : 5);
    vklm_string_print(
        out_path, "-%s-%016llx", vklm_weights_kind_name(kind),
        (unsigned long long)fingerprint(source, params->importance ? &importance : NULL));
    vklm_importance_close(&importance);
    return out_path->failed ? vklm_fail_memory("a path") : VKLM_OK;
}

vklm_status vklm_packed_copy_use(const vklm_engine_params *params, vklm_weights_kind kind,
                                 vklm_source *source)
{
    if (!source->checkpoint || kind == VKLM_WEIGHTS_F16)
        return VKLM_OK;
    vklm_string path = {0};
    vklm_source copy = {0};
    vklm_status status = name_copy(params, kind, source, &path);
    if (status == VKLM_OK && !vklm_packed_exists(path.data)) {
        vklm_log(VKLM_LOG_INFO, "packing once, to %s", path.data);
        status = vklm_model_pack(&(vklm_pack_params){.model_dir = params->model_dir,
                                                     .out_dir = path.data,
                                                     .weights = kind,
                                                     .importance = params->importance,
                                                     .progress = params->progress,
                                                     .opaque = params->opaque});
    }
    if (status == VKLM_OK)
        status = vklm_source_open(path.data, false, &copy);
    if (status == VKLM_OK) {
        vklm_source_close(source);
        *source = copy;
    } else if (status == VKLM_IO_ERROR) {
        vklm_log(VKLM_LOG_WARNING, "no packed copy is kept: %s", vklm_error_message());
        status = VKLM_OK;
    }
    vklm_string_finish(&path);
    return status;
}
