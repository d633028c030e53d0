// Causal attention over the KV cache:
//
//   y[t, h] = sum_p softmax_p(q[t, h] . k[h', p] / sqrt(head_dim)) v[h', p],  h' = h / (n_heads /
//   n_kv_heads)
//
// k, v: f16 [n_kv_heads, n_ctx, head_dim], or with kv_q8 q8 (quant/format.h) of that shape;
// n_heads % n_kv_heads == 0; head_dim % 8 == 0 (q8: % 64 == 0), at most 256.
#ifndef VKLM_OPS_ATTENTION_H
#define VKLM_OPS_ATTENTION_H

#include "gpu/cmd.h"

// One token at step.position, over positions 0 .. step.position. Recorded once for every length up
// to n_ctx. q, y: f32 [n_heads, head_dim]; partial: vklm_op_attention_decode_scratch bytes;
// counter: u32 [n_heads], zero before and after; y8, or nothing: y in 8 bits (ops/input8.h),
// head_dim % 32 == 0
typedef struct {
    vklm_gpu_view q, k, v, step, y, y8, partial, counter;
    uint32_t n_heads, n_kv_heads, head_dim, n_ctx;
    bool kv_q8;
} vklm_op_attention_decode;
void vklm_op_attention_decode_record(vklm_gpu_cmd *cmd, const vklm_op_attention_decode *op);

uint64_t vklm_op_attention_decode_scratch(const vklm_gpu_caps *caps, uint32_t n_heads,
                                          uint32_t head_dim, uint32_t n_ctx);

// n_tokens tokens from `position` on, whose k and v are in the cache already.
// qkv: f32 [n_tokens, (n_heads + 2 n_kv_heads) * head_dim], of which q is read;
// y: f32 [n_tokens, n_heads * head_dim]
typedef struct {
    vklm_gpu_view qkv, k, v, y;
    uint32_t n_tokens, position, n_heads, n_kv_heads, head_dim, n_ctx;
    bool kv_q8;
} vklm_op_attention_prefill;
void vklm_op_attention_prefill_record(vklm_gpu_cmd *cmd, const vklm_op_attention_prefill *op);

#endif
