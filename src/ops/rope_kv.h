// Rotary embedding (Su et al., "RoFormer", 2021; the "rotate half" form) of q and k, and the write
// of k and v to the cache, for n_tokens tokens from `position` on.
//
// qkv: f32 [n_tokens, (n_heads + 2 n_kv_heads) * head_dim], q rotated in place;
// rope: f32 [n_ctx, head_dim / 2, 2] (cos, sin); k, v: f16 [n_kv_heads, n_ctx, head_dim],
// head_dim % 4 == 0; with kv_q8 q8 (quant/format.h) of that shape, head_dim % 64 == 0, at most 256.
#ifndef VKLM_OPS_ROPE_KV_H
#define VKLM_OPS_ROPE_KV_H

#include "gpu/cmd.h"

typedef struct {
    vklm_gpu_view qkv, rope, k, v;
    uint32_t n_tokens, position, n_heads, n_kv_heads, head_dim, n_ctx;
    bool kv_q8;
} vklm_op_rope_kv;

void vklm_op_rope_kv_record(vklm_gpu_cmd *cmd, const vklm_op_rope_kv *op);

#endif
