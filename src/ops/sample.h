// The next token, drawn on the device: biases, penalties, temperature, top-k, top-p, min-p and the
// draw, in the order and with the formulas of Hugging Face's `generate` (shaders/sample.comp has
// them).
//
// It reports the token in `sampled`, counts it in `counts` and moves `step` on to it. A report
// whose flag is not zero was not drawn: the host must do it from the logits. top_k is at most 256
// here, and there are at most VKLM_SAMPLE_MOST_BIAS biases.
#ifndef VKLM_OPS_SAMPLE_H
#define VKLM_OPS_SAMPLE_H

#include "gpu/cmd.h"

enum { VKLM_OP_SAMPLE_MAX_TOP_K = 256 };

// logits: f32 [n_vocab]; counts: u32 [n_vocab]; settings:
// VKLM_OP_SAMPLE_SETTINGS bytes, a vklm_args_sampling and the list of biases; step: vklm_args_step;
// list: vklm_op_sample_scratch bytes, its first two words zero before and after; counter: u32, zero
// before and after; sampled: vklm_args_sampled [n], a ring, of which step.slot % n is written (it
// is never read, so it may be host memory); candidates: [VKLM_SAMPLE_MOST] pairs of u32 id and f32
// probability, those of the last draw in ascending order of id
typedef struct {
    vklm_gpu_view logits, counts, settings, step, list, counter, sampled, candidates;
    uint32_t n_vocab;
} vklm_op_sample;
void vklm_op_sample_record(vklm_gpu_cmd *cmd, const vklm_op_sample *op);

uint64_t vklm_op_sample_scratch(uint32_t n_vocab);

enum {
    VKLM_OP_SAMPLE_SETTINGS =
        sizeof(struct vklm_args_sampling) + VKLM_SAMPLE_MOST_BIAS * sizeof(struct vklm_args_bias)
};

#endif
