// model/kv_cache.h: keys and values of one session, in f16 or q8 (quant/format.h).
#ifndef VKLM_MODEL_KV_CACHE_H
#define VKLM_MODEL_KV_CACHE_H

#include <vklm/engine.h>

#include "checkpoint/arch.h"
#include "gpu/memory.h"

typedef struct {
    vklm_gpu_view k, v; // [n_kv_heads, n_ctx, head_dim]: a head's positions lie side by side
} vklm_kv_layer;

typedef struct {
    vklm_kv_kind kind; // F16 or Q8
    uint32_t n_ctx;
    vklm_kv_layer *layers; // [n_layers]
    vklm_gpu_arena *arena;
} vklm_kv_cache;

// Bytes of one layer's k, or v.
uint64_t vklm_kv_cache_layer_bytes(const vklm_arch *arch, vklm_kv_kind kind, uint32_t n_ctx);

// What a kind (not AUTO) is for this model: q8 needs heads of a multiple of 64.
vklm_kv_kind vklm_kv_cache_kind(const vklm_arch *arch, vklm_kv_kind kind);

vklm_status vklm_kv_cache_init(vklm_gpu_device *device, const vklm_arch *arch, vklm_kv_kind kind,
                               uint32_t n_ctx, vklm_kv_cache *out_cache);
void vklm_kv_cache_finish(vklm_kv_cache *cache); // takes a zeroed one

#endif
