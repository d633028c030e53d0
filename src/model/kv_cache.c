#include "model/kv_cache.h"

#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "gpu/device.h"
#include "quant/format.h"

static const char *const kinds[VKLM_KV_KINDS] = {
    [VKLM_KV_AUTO] = "auto", [VKLM_KV_F16] = "f16", [VKLM_KV_Q8] = "q8"};

const char *vklm_kv_kind_name(vklm_kv_kind kind)
{
    return (unsigned)kind < VKLM_KV_KINDS ? kinds[kind] : "unknown";
}

vklm_status vklm_kv_kind_find(const char *name, vklm_kv_kind *out_kind)
{
    for (int i = 0; i < VKLM_KV_KINDS; i++)
        if (strcmp(name, kinds[i]) == 0) {
            *out_kind = (vklm_kv_kind)i;
            return VKLM_OK;
        }
    return vklm_fail(VKLM_INVALID_ARGUMENT, "no KV format '%s'; there are auto, f16 and q8", name);
}

vklm_kv_kind vklm_kv_cache_kind(const vklm_arch *arch, vklm_kv_kind kind)
{
    return kind == VKLM_KV_Q8 && arch->head_dim % 64 == 0 ? VKLM_KV_Q8 : VKLM_KV_F16;
}

uint64_t vklm_kv_cache_layer_bytes(const vklm_arch *arch, vklm_kv_kind kind, uint32_t n_ctx)
{
    vklm_format format =
        vklm_kv_cache_kind(arch, kind) == VKLM_KV_Q8 ? VKLM_FORMAT_Q8 : VKLM_FORMAT_F16;
    return vklm_format_bytes(format, arch->n_kv_heads * n_ctx, arch->head_dim);
}

vklm_status vklm_kv_cache_init(vklm_gpu_device *device, const vklm_arch *arch, vklm_kv_kind kind,
                               uint32_t n_ctx, vklm_kv_cache *out_cache)
{
    *out_cache = (vklm_kv_cache){.kind = vklm_kv_cache_kind(arch, kind), .n_ctx = n_ctx};
    size_t n = 2 * (size_t)arch->n_layers;
    vklm_gpu_layout layout;
    vklm_gpu_layout_init(vklm_gpu_device_caps(device), &layout);
    vklm_gpu_slot *slots = vklm_alloc(n, sizeof *slots);
    out_cache->layers = vklm_alloc(arch->n_layers, sizeof *out_cache->layers);
    vklm_status status = slots && out_cache->layers ? VKLM_OK : vklm_fail_memory("the KV cache");
    for (size_t i = 0; i < n && status == VKLM_OK; i++)
        status =
            vklm_gpu_layout_add(&layout, vklm_kv_cache_layer_bytes(arch, kind, n_ctx), &slots[i]);
    if (status == VKLM_OK)
        status = vklm_gpu_arena_create(device, &layout, &out_cache->arena);
    for (size_t i = 0; i < arch->n_layers && status == VKLM_OK; i++)
        out_cache->layers[i] = (vklm_kv_layer){
            .k = vklm_gpu_arena_view(out_cache->arena, slots[2 * i]),
            .v = vklm_gpu_arena_view(out_cache->arena, slots[2 * i + 1]),
        };
    free(slots);
    vklm_gpu_layout_finish(&layout);
    if (status != VKLM_OK)
        vklm_kv_cache_finish(out_cache);
    return status;
}

void vklm_kv_cache_finish(vklm_kv_cache *cache)
{
    vklm_gpu_arena_destroy(cache->arena);
    free(cache->layers);
    *cache = (vklm_kv_cache){0};
}
