// model/kv_cache.h: keys and values of one session, f16.
#ifndef VKLM_MODEL_KV_CACHE_H
#define VKLM_MODEL_KV_CACHE_H

#include "checkpoint/arch.h"
#include "gpu/memory.h"

typedef struct {
    vklm_gpu_view k, v; // f16 [n_kv_heads, n_ctx, head_dim]: a head's positions lie side by side
} vklm_kv_layer;

typedef struct {
    uint32_t n_ctx;
    vklm_kv_layer *layers; // [n_layers]
    vklm_gpu_arena *arena;
} vklm_kv_cache;

// Bytes of one layer's k, or v.
uint64_t vklm_kv_cache_layer_bytes(const vklm_arch *arch, uint32_t n_ctx);

vklm_status vklm_kv_cache_init(vklm_gpu_device *device, const vklm_arch *arch, uint32_t n_ctx,
                               vklm_kv_cache *out_cache);
void vklm_kv_cache_finish(vklm_kv_cache *cache); // takes a zeroed one

#endif
