// model/layer.h: one transformer block, straight-line.
#ifndef VKLM_MODEL_LAYER_H
#define VKLM_MODEL_LAYER_H

#include "gpu/cmd.h"
#include "model/activations.h"
#include "model/kv_cache.h"
#include "model/weights.h"

// On entry a->x holds the residual stream and a->xn its RMSNorm with this layer's attn_norm; on
// exit x holds the next one and xn its RMSNorm with next_norm (the next layer's attn_norm, or the
// final norm).

// One token at a->step's position: five dispatches.
void vklm_layer_decode_record(vklm_gpu_cmd *cmd, const vklm_weights *weights, uint32_t layer,
                              const vklm_kv_cache *kv, const vklm_activations *a,
                              vklm_gpu_view next_norm);

// n_tokens tokens from `position` on, one per row. `alone`: they are no part of a longer prompt
// (vklm_op_matmul.alone).
void vklm_layer_prefill_record(vklm_gpu_cmd *cmd, const vklm_weights *weights, uint32_t layer,
                               const vklm_kv_cache *kv, const vklm_activations *a,
                               vklm_gpu_view next_norm, uint32_t n_tokens, uint32_t position,
                               bool alone);

// a->xn in 8 bits, where the dot8 tier has it and the weights are packed; otherwise no view.
vklm_gpu_view vklm_layer_xn8(const vklm_weights *weights, const vklm_activations *a);

// The norm that follows a layer.
vklm_gpu_view vklm_layer_next_norm(const vklm_weights *weights, uint32_t layer);

#endif
