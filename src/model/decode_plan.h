// model/decode_plan.h: one token's command buffer, recorded once and replayed.
//
// Invariant: nothing recorded depends on the token or its position: both come from the step buffer,
// which the host's few bytes are copied into at the head of the command buffer.
#ifndef VKLM_MODEL_DECODE_PLAN_H
#define VKLM_MODEL_DECODE_PLAN_H

#include "gpu/cmd.h"
#include "model/layer.h"

typedef struct {
    const vklm_weights *weights;
    const vklm_kv_cache *kv;
    const vklm_activations *activations;
    vklm_gpu_view tap; // optional: f32 [n_layers + 1, n_hidden], the residual stream after the embedding
                       // and after each layer, for tests
    vklm_gpu_cmd *cmd;
} vklm_decode_plan;

// Records. What the plan points to must outlive it.
vklm_status vklm_decode_plan_init(vklm_gpu_device *device, const vklm_weights *weights,
                                  const vklm_kv_cache *kv, const vklm_activations *activations,
                                  vklm_gpu_view tap, vklm_decode_plan *out_plan);
void vklm_decode_plan_finish(vklm_decode_plan *plan); // takes a zeroed one

// Runs one token at `position`, which must be below n_ctx; *out_logits [n_vocab] lies in the readback
// buffer until the next run.
vklm_status vklm_decode_plan_run(vklm_decode_plan *plan, uint32_t token, uint32_t position,
                                 const float **out_logits);

#endif
