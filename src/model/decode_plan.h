// model/decode_plan.h: one token's command buffers, recorded once and replayed.
//
// Invariant: nothing recorded depends on the token or its position: both come from the step buffer.
// Either the host writes it (run), or the token drawn last lies there already (draw, then chain
// after chain): then one submission after the other can be under way, and the host reads a few
// bytes a token. A token that may take too long for a watchdog is cut into several submissions.
#ifndef VKLM_MODEL_DECODE_PLAN_H
#define VKLM_MODEL_DECODE_PLAN_H

#include "gpu/cmd.h"
#include "model/layer.h"

typedef struct {
    vklm_gpu_device *device;
    const vklm_weights *weights;
    const vklm_kv_cache *kv;
    const vklm_activations *activations;
    vklm_gpu_view tap;   // optional: f32 [n_layers + 1, n_hidden], the residual stream after the
                         // embedding and after each layer, for tests
    vklm_gpu_cmd *run;   // the host's step, one token, its logits to the host
    vklm_gpu_cmd *fetch; // the logits to the host
    vklm_gpu_cmd *draw;  // the host's step, settings and counts; one draw from the logits
    vklm_gpu_cmd *chain; // one token, one draw
    // Of chain's commands: which is the first of the layers', and how many each layer has.
    size_t first_layer_command, n_layer_commands;
} vklm_decode_plan;

// Records. What the plan points to must outlive it.
vklm_status vklm_decode_plan_init(vklm_gpu_device *device, const vklm_weights *weights,
                                  const vklm_kv_cache *kv, const vklm_activations *activations,
                                  vklm_gpu_view tap, vklm_decode_plan *out_plan);
void vklm_decode_plan_finish(vklm_decode_plan *plan); // takes a zeroed one

// Runs one token at `position`, which must be below n_ctx; *out_logits [n_vocab] lies in the
// readback buffer until the next run.
vklm_status vklm_decode_plan_run(vklm_decode_plan *plan, uint32_t token, uint32_t position,
                                 const float **out_logits);

// Brings the logits that lie on the device to the host.
vklm_status vklm_decode_plan_fetch(vklm_decode_plan *plan, const float **out_logits);

// Of what the device can draw.
enum { VKLM_DECODE_PLAN_MAX_TOP_K = 256, VKLM_DECODE_PLAN_MAX_BIASES = VKLM_SAMPLE_MOST_BIAS };

// Draws from the logits that lie on the device, which are those after the token at `position`; the
// draw is the n_drawn-th of its seed. The host's `sampling`, the counts and the list of biases,
// which it has written to vklm_decode_plan_counts and _biases before, hold for all that follows.
// The report is slot 0.
vklm_status vklm_decode_plan_draw(vklm_decode_plan *plan, const struct vklm_args_sampling *sampling,
                                  uint32_t position, uint32_t n_drawn,
                                  struct vklm_args_sampled *out_sampled);
uint32_t *vklm_decode_plan_counts(const vklm_decode_plan *plan);              // [n_vocab]
struct vklm_args_bias *vklm_decode_plan_biases(const vklm_decode_plan *plan); // [sampling.n_bias]

// Submits n <= VKLM_GPU_MAX_RUNS more tokens: each computes the token drawn last and draws another,
// and gets a ticket. The report of the i-th token since draw is slot i. At most VKLM_GPU_MAX_RUNS
// reports may be waiting to be read.
vklm_status vklm_decode_plan_chain(vklm_decode_plan *plan, uint32_t n, uint64_t *out_tickets);
vklm_status vklm_decode_plan_wait(vklm_decode_plan *plan, uint64_t ticket, uint32_t slot,
                                  struct vklm_args_sampled *out_sampled);

#endif
