// vkbench/preset.h: the LLM-jp-3.1 models by their shapes, and what a token of them must move and
// compute.
#ifndef VKLM_BENCH_PRESET_H
#define VKLM_BENCH_PRESET_H

#include "checkpoint/arch.h"
#include "model/kv_cache.h"
#include "model/recipe.h"

typedef struct {
    const char *name;   // "llm-jp-3.1-1.8b"
    const char *option; // "1.8b"
    vklm_arch arch;
} vklm_bench_preset;

const vklm_bench_preset *vklm_bench_presets(size_t *out_n);

// By either name; NULL, with a sentence that lists them.
const vklm_bench_preset *vklm_bench_preset_find(const char *name);

// What a model's weights are in: a vklm_format, whose bit options.formats has; of q8 and q4 the
// engine's recipe (model/recipe.h), and one more, its mixed one.
enum { VKLM_BENCH_MIXED = VKLM_FORMAT_COUNT, VKLM_BENCH_WEIGHTS };
const char *vklm_bench_weights_name(unsigned weights);
vklm_weights_kind vklm_bench_weights_kind(unsigned weights);
vklm_dtype vklm_bench_weights_dtype(unsigned weights); // as the checkpoint would have them

// Bytes of all weights on the device, and of those that one token reads (its embedding row aside).
double vklm_bench_preset_bytes(const vklm_bench_preset *preset, unsigned weights,
                               double *out_token);

// Keys and values of one position.
double vklm_bench_preset_kv_bytes(const vklm_bench_preset *preset, vklm_kv_kind kv);

// Operations of one token at a position; `head`: with the logits.
double vklm_bench_preset_flop(const vklm_bench_preset *preset, double position, bool head);

// What must fit the device for a context of n_ctx: weights, cache, and room for the activations.
double vklm_bench_preset_needs(const vklm_bench_preset *preset, unsigned weights, vklm_kv_kind kv,
                               uint32_t n_ctx);

#endif
