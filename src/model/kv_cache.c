#include "model/kv_cache.h"

#include <stdlib.h>

#include "base/array.h"
#include "gpu/device.h"

uint64_t vklm_kv_cache_layer_bytes(const vklm_arch *arch, uint32_t n_ctx)
{
    return (uint64_t)arch->n_kv_heads * n_ctx * arch->head_dim * 2;
}

vklm_status vklm_kv_cache_init(vklm_gpu_device *device, const vklm_arch *arch, uint32_t n_ctx,
                               vklm_kv_cache *out_cache)
{
    *out_cache = (vklm_kv_cache){.n_ctx = n_ctx};
    size_t n = 2 * (size_t)arch->n_layers;
    vklm_gpu_layout layout;
    vklm_gpu_layout_init(vklm_gpu_device_caps(device), &layout);
    vklm_gpu_slot *slots = vklm_alloc(n, sizeof *slots);
    out_cache->layers = vklm_alloc(arch->n_layers, sizeof *out_cache->layers);
    vklm_status status = slots && out_cache->layers ? VKLM_OK : vklm_fail_memory("the KV cache");
    for (size_t i = 0; i < n && status == VKLM_OK; i++)
        status = vklm_gpu_layout_add(&layout, vklm_kv_cache_layer_bytes(arch, n_ctx), &slots[i]);
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
