#include "checkpoint/arch.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"

enum { CONFIG_MAX_BYTES = 1 << 20 };

// A parser over one JSON object with a sticky failure, so that reading the fields is a straight
// list.
typedef struct {
    const cJSON *json;
    const char *name; // of the file
    vklm_status status;
} fields;

static bool absent(const cJSON *item)
{
    return !item || cJSON_IsNull(item);
}

static const cJSON *find(const fields *f, const char *key)
{
    return cJSON_GetObjectItemCaseSensitive(f->json, key);
}

// A whole number in [low, high]; `fallback` (unless it is 0) when the field is absent.
static uint32_t whole(fields *f, const char *key, uint32_t low, uint32_t high, uint32_t fallback)
{
    const cJSON *item = find(f, key);
    if (f->status != VKLM_OK || (absent(item) && fallback))
        return fallback;
    if (absent(item)) {
        f->status = vklm_fail(VKLM_BAD_FILE, "%s: no %s", f->name, key);
        return 0;
    }
    double v = item->valuedouble;
    if (!cJSON_IsNumber(item) || v != floor(v) || v < low || v > high) {
        f->status = vklm_fail(VKLM_BAD_FILE, "%s: %s is not a whole number from %u to %u", f->name,
                              key, low, high);
        return 0;
    }
    return (uint32_t)v;
}

static double positive(fields *f, const cJSON *item, const char *key)
{
    if (f->status == VKLM_OK &&
        !(cJSON_IsNumber(item) && item->valuedouble > 0 && isfinite(item->valuedouble)))
        f->status = vklm_fail(VKLM_BAD_FILE, "%s: %s is not a positive number", f->name, key);
    return f->status == VKLM_OK ? item->valuedouble : 0;
}

static bool flag(fields *f, const char *key)
{
    const cJSON *item = find(f, key);
    if (f->status == VKLM_OK && !absent(item) && !cJSON_IsBool(item))
        f->status = vklm_fail(VKLM_BAD_FILE, "%s: %s is not true or false", f->name, key);
    return cJSON_IsTrue(item);
}

static void refuse(fields *f, bool wrong, const char *what)
{
    if (f->status == VKLM_OK && wrong)
        f->status = vklm_fail(VKLM_UNSUPPORTED, "%s: %s is not supported", f->name, what);
}

static void read_architecture(fields *f, vklm_arch *arch)
{
    const cJSON *list = find(f, "architectures"), *type = find(f, "model_type");
    const cJSON *first = cJSON_GetArrayItem(list, 0);
    const char *architecture = cJSON_IsString(first)  ? first->valuestring
                               : cJSON_IsString(type) ? type->valuestring
                                                      : NULL;
    static const char *const known[][2] = {{"llama", "LlamaForCausalLM"},
                                           {"mixtral", "MixtralForCausalLM"}};
    for (size_t i = 0; architecture && i < sizeof known / sizeof *known; i++)
        if (strcmp(architecture, known[i][0]) == 0 || strcmp(architecture, known[i][1]) == 0)
            snprintf(arch->architecture, sizeof arch->architecture, "%s", known[i][1]);
    if (!architecture)
        f->status = vklm_fail(VKLM_BAD_FILE, "%s: names no architecture", f->name);
    else if (arch->architecture[0] == '\0')
        f->status = vklm_fail(VKLM_UNSUPPORTED,
                              "%s: architecture %s; LlamaForCausalLM and MixtralForCausalLM are "
                              "supported",
                              f->name, architecture);
}

static bool is_mixtral(const vklm_arch *arch)
{
    return strcmp(arch->architecture, "MixtralForCausalLM") == 0;
}

// What a token's MLP is: one for all, or top_k of n_experts.
static void read_experts(fields *f, vklm_arch *arch)
{
    if (!is_mixtral(arch))
        return;
    arch->n_experts = whole(f, "num_local_experts", 2, VKLM_ARCH_MAX_EXPERTS, 0);
    arch->top_k = whole(f, "num_experts_per_tok", 1, VKLM_ARCH_MAX_TOP_K, 0);
    if (f->status == VKLM_OK && arch->top_k > arch->n_experts)
        f->status =
            vklm_fail(VKLM_BAD_FILE, "%s: num_experts_per_tok is %u, but num_local_experts is %u",
                      f->name, arch->top_k, arch->n_experts);
    const cJSON *window = find(f, "sliding_window");
    refuse(f,
           !absent(window) && !(cJSON_IsNumber(window) && window->valuedouble >= arch->n_positions),
           "a sliding_window shorter than the context");
}

// transformers 4: rope_theta and rope_scaling; 5: rope_parameters {rope_type, rope_theta}.
static void read_rope(fields *f, vklm_arch *arch)
{
    const cJSON *parameters = find(f, "rope_parameters"), *scaling = find(f, "rope_scaling");
    const cJSON *theta = cJSON_IsObject(parameters)
                             ? cJSON_GetObjectItemCaseSensitive(parameters, "rope_theta")
                             : find(f, "rope_theta");
    const cJSON *both[] = {parameters, scaling};
    for (int i = 0; i < 2; i++) {
        const cJSON *type = cJSON_GetObjectItemCaseSensitive(both[i], "rope_type");
        if (absent(type))
            type = cJSON_GetObjectItemCaseSensitive(both[i], "type");
        refuse(f,
               !absent(type) &&
                   !(cJSON_IsString(type) && strcmp(type->valuestring, "default") == 0),
               "scaled rotary embedding");
    }
    arch->rope_theta = !absent(theta)     ? positive(f, theta, "rope_theta")
                       : is_mixtral(arch) ? 1e6    // MixtralConfig's default
                                          : 10000; // LlamaConfig's default
}

// transformers 4: torch_dtype; 5: dtype. Anything else is taken for the usual one.
static vklm_dtype read_dtype(const fields *f)
{
    const cJSON *item = find(f, "dtype");
    if (absent(item))
        item = find(f, "torch_dtype");
    const char *name = cJSON_IsString(item) ? item->valuestring : "";
    return strcmp(name, "float32") == 0   ? VKLM_DTYPE_F32
           : strcmp(name, "float16") == 0 ? VKLM_DTYPE_F16
                                          : VKLM_DTYPE_BF16;
}

static void read_ids(const cJSON *json, vklm_arch *arch)
{
    const cJSON *bos = cJSON_GetObjectItemCaseSensitive(json, "bos_token_id");
    const cJSON *eos = cJSON_GetObjectItemCaseSensitive(json, "eos_token_id");
    if (cJSON_IsNumber(bos) && bos->valuedouble >= 0 && bos->valuedouble < arch->n_vocab) {
        arch->has_bos = true;
        arch->bos_id = (uint32_t)bos->valuedouble;
    }
    if (absent(eos))
        return;
    arch->n_eos = 0;
    int n = cJSON_IsArray(eos) ? cJSON_GetArraySize(eos) : 1;
    for (int i = 0; i < n && arch->n_eos < VKLM_ARCH_MAX_EOS; i++) {
        const cJSON *id = cJSON_IsArray(eos) ? cJSON_GetArrayItem(eos, i) : eos;
        if (cJSON_IsNumber(id) && id->valuedouble >= 0 && id->valuedouble < arch->n_vocab)
            arch->eos_ids[arch->n_eos++] = (uint32_t)id->valuedouble;
    }
}

static void check_shapes(fields *f, const vklm_arch *arch)
{
    if (f->status != VKLM_OK)
        return;
    if (arch->n_heads % arch->n_kv_heads != 0)
        f->status = vklm_fail(VKLM_BAD_FILE,
                              "%s: num_attention_heads %u is no multiple of num_key_value_heads %u",
                              f->name, arch->n_heads, arch->n_kv_heads);
    else if (arch->head_dim % 8 != 0)
        f->status = vklm_fail(VKLM_UNSUPPORTED, "%s: head_dim %u; multiples of 8 are supported",
                              f->name, arch->head_dim);
    else if (arch->n_hidden % 8 != 0 || arch->n_intermediate % 8 != 0)
        f->status = vklm_fail(VKLM_UNSUPPORTED,
                              "%s: hidden_size %u and intermediate_size %u; multiples of 8 are "
                              "supported",
                              f->name, arch->n_hidden, arch->n_intermediate);
}

static vklm_status parse_object(fields *f, vklm_arch *arch)
{
    if (!cJSON_IsObject(f->json))
        return vklm_fail(VKLM_BAD_FILE, "%s: not a JSON object", f->name);
    read_architecture(f, arch);
    arch->n_vocab = whole(f, "vocab_size", 1, 1 << 24, 0);
    arch->n_hidden = whole(f, "hidden_size", 8, 1 << 16, 0);
    arch->n_intermediate = whole(f, "intermediate_size", 8, 1 << 20, 0);
    arch->n_layers = whole(f, "num_hidden_layers", 1, 1024, 0);
    arch->n_heads = whole(f, "num_attention_heads", 1, 4096, 0);
    arch->n_kv_heads =
        whole(f, "num_key_value_heads", 1, 4096, is_mixtral(arch) ? 8 : arch->n_heads);
    arch->head_dim =
        whole(f, "head_dim", 8, 256, arch->n_heads ? arch->n_hidden / arch->n_heads : 0);
    arch->n_positions =
        whole(f, "max_position_embeddings", 1, 1 << 24, is_mixtral(arch) ? 131072 : 2048);
    read_experts(f, arch);
    if (f->status == VKLM_OK && (arch->head_dim < 8 || arch->head_dim > 256))
        f->status = vklm_fail(VKLM_UNSUPPORTED, "%s: head_dim %u; 8 to 256 are supported", f->name,
                              arch->head_dim);
    if (f->status == VKLM_OK)
        arch->rms_eps = (float)positive(f, find(f, "rms_norm_eps"), "rms_norm_eps");
    read_rope(f, arch);
    arch->tied = flag(f, "tie_word_embeddings");
    arch->dtype = read_dtype(f);
    refuse(f, flag(f, "attention_bias"), "attention_bias");
    refuse(f, flag(f, "mlp_bias"), "mlp_bias");
    refuse(f, !absent(find(f, "quantization_config")), "quantization_config");
    const cJSON *act = find(f, "hidden_act");
    refuse(f, !absent(act) && !(cJSON_IsString(act) && strcmp(act->valuestring, "silu") == 0),
           "a hidden_act other than silu");
    check_shapes(f, arch);
    if (f->status == VKLM_OK)
        read_ids(f->json, arch);
    return f->status;
}

vklm_status vklm_arch_parse(const char *text, size_t len, const char *name, vklm_arch *out_arch)
{
    *out_arch = (vklm_arch){0};
    cJSON *json;
    vklm_status status = vklm_json_parse(text, len, name, &json);
    if (status == VKLM_OK)
        status = parse_object(&(fields){.json = json, .name = name}, out_arch);
    cJSON_Delete(json);
    return status;
}

vklm_status vklm_arch_load(const char *folder, vklm_arch *out_arch)
{
    if (!vklm_file_is_folder(folder))
        return vklm_fail(VKLM_NOT_FOUND, "%s: no such folder; a model is a folder with config.json",
                         folder);
    vklm_string path = {0}, text = {0};
    vklm_file_join(&path, folder, "config.json");
    vklm_status status = path.failed ? vklm_fail_memory("a path")
                                     : vklm_file_read(path.data, CONFIG_MAX_BYTES, &text);
    if (status == VKLM_OK)
        status = vklm_arch_parse(text.data ? text.data : "", text.len, path.data, out_arch);
    vklm_string_finish(&path);
    vklm_string_finish(&text);
    if (status != VKLM_OK)
        return status;

    vklm_file_join(&path, folder, "generation_config.json");
    cJSON *json = NULL;
    if (path.failed) {
        status = vklm_fail_memory("a path");
    } else if (vklm_file_exists(path.data)) {
        status = vklm_json_load(path.data, CONFIG_MAX_BYTES, &json);
        if (status == VKLM_OK)
            read_ids(json, out_arch);
        cJSON_Delete(json);
    }
    vklm_string_finish(&path);
    return status;
}
