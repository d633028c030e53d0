// vkbench/subject.h: the model that `vkbench model` measures, or as many of its layers as are asked
// for, opened as the engine does.
#ifndef VKLM_BENCH_SUBJECT_H
#define VKLM_BENCH_SUBJECT_H

#include "model/decode_plan.h"
#include "model/prefill.h"
#include "vkbench/bench.h"

typedef struct {
    vklm_bench *bench;
    const char *name;         // of the model
    const char *weights_name; // "q4", "mixed"
    vklm_arch arch;           // the whole model's
    uint32_t n_layers;        // of them that are here
    uint32_t n_ctx;
    vklm_weights *weights;
    vklm_kv_cache kv;
    vklm_activations activations;
    vklm_decode_plan decode;
    vklm_prefill prefill;
    vklm_gpu_cmd *timed; // one token, with a timestamp and a barrier after every command
    uint64_t peak_bytes;
} vklm_bench_subject;

// The folder or the preset of the options; `weights`: vklm_bench_weights of a preset. n_ctx is what
// is wanted, and becomes what a folder's model has.
vklm_status vklm_bench_subject_open(vklm_bench *bench, unsigned weights, uint32_t n_ctx,
                                    vklm_bench_subject *out_subject);
void vklm_bench_subject_close(vklm_bench_subject *subject); // takes a half-opened one

// Draws from what logits there are, always the likeliest: the chain of the decode plan then goes on
// at `position`.
vklm_status vklm_bench_subject_draw(vklm_bench_subject *subject, uint32_t position);

#endif
