// What a model folder holds, for the public.
#include "engine/engine_private.h"

#include <stdio.h>
#include <string.h>

#include "model/kv_cache.h"

static bool all_have(const vklm_checkpoint *checkpoint, vklm_tensor_role role, uint32_t layer,
                     vklm_dtype dtype)
{
    const uint32_t n = vklm_tensor_count(vklm_checkpoint_arch(checkpoint), role);
    for (uint32_t expert = 0; expert < n; expert++)
        if (vklm_checkpoint_expert_tensor(checkpoint, role, layer, expert).info->dtype != dtype)
            return false;
    return true;
}

static const char *dtype_of(const vklm_source *source)
{
    static const char *const names[VKLM_DTYPE_COUNT] = {
        [VKLM_DTYPE_F32] = "f32", [VKLM_DTYPE_F16] = "f16", [VKLM_DTYPE_BF16] = "bf16"};
    const vklm_checkpoint *checkpoint = source->checkpoint;
    if (source->packed)
        return vklm_weights_kind_name(source->packed->kind);
    vklm_dtype first = vklm_checkpoint_tensor(checkpoint, VKLM_TENSOR_EMBED, 0).info->dtype;
    for (uint32_t layer = 0; layer < source->arch.n_layers; layer++)
        for (vklm_tensor_role role = VKLM_TENSOR_Q; role <= VKLM_TENSOR_DOWN; role++)
            if (role != VKLM_TENSOR_MLP_NORM && role != VKLM_TENSOR_ROUTER &&
                !all_have(checkpoint, role, layer, first))
                return "mixed";
    return names[first];
}

void vklm_model_info_fill(const vklm_source *source, vklm_model_info *out)
{
    const vklm_arch *arch = &source->arch;
    *out = (vklm_model_info){
        .n_parameters = vklm_arch_parameters(arch),
        .n_active_parameters = vklm_arch_active_parameters(arch),
        .file_bytes = vklm_source_bytes(source),
        .n_vocab = arch->n_vocab,
        .n_hidden = arch->n_hidden,
        .n_intermediate = arch->n_intermediate,
        .n_layers = arch->n_layers,
        .n_heads = arch->n_heads,
        .n_kv_heads = arch->n_kv_heads,
        .head_dim = arch->head_dim,
        .n_experts = arch->n_experts,
        .top_k = arch->top_k,
        .n_ctx = arch->n_positions,
        .rope_theta = arch->rope_theta,
        .rms_eps = (double)arch->rms_eps,
        .tied_embeddings = arch->tied,
        .kv_bytes_per_token = 2 * arch->n_layers * vklm_kv_cache_layer_bytes(arch, VKLM_KV_F16, 1),
        .n_eos = arch->n_eos,
    };
    snprintf(out->architecture, sizeof out->architecture, "%s", arch->architecture);
    snprintf(out->dtype, sizeof out->dtype, "%s", dtype_of(source));
    _Static_assert(sizeof out->eos_ids == sizeof arch->eos_ids, "as many eos ids");
    memcpy(out->eos_ids, arch->eos_ids, sizeof out->eos_ids);
}

vklm_status vklm_model_info_load(const char *model_dir, vklm_model_info *out_info)
{
    vklm_source source;
    vklm_status status = vklm_source_open(model_dir, false, &source);
    if (status != VKLM_OK)
        return status;
    vklm_model_info_fill(&source, out_info);
    vklm_source_close(&source);
    return VKLM_OK;
}
