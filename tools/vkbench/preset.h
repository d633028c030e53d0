// vkbench/preset.h: the LLM-jp-3.1 models by their shapes, and what a token of them must move and
// compute.
#ifndef VKLM_BENCH_PRESET_H
#define VKLM_BENCH_PRESET_H

#include "checkpoint/arch.h"
#include "quant/format.h"

typedef struct {
    const char *name;                   // "llm-jp-3.1-1.8b"
    const char *option;                 // "1.8b"
    vklm_arch arch;                     // of an expert where there are several
    uint32_t n_experts, n_experts_used; // 1 for dense models
} vklm_bench_preset;

const vklm_bench_preset *vklm_bench_presets(size_t *out_n);

// By either name; NULL, with a sentence that lists them.
const vklm_bench_preset *vklm_bench_preset_find(const char *name);

// Bytes of all weights on the device, and of those that one token reads (its embedding row aside).
double vklm_bench_preset_bytes(const vklm_bench_preset *preset, vklm_format format,
                               double *out_token);

// Keys and values of one position, f16.
double vklm_bench_preset_kv_bytes(const vklm_bench_preset *preset);

// Operations of one token at a position; `head`: with the logits.
double vklm_bench_preset_flop(const vklm_bench_preset *preset, double position, bool head);

// The larger of the format's own bytes and the activations': what must fit the device for a context
// of n_ctx.
double vklm_bench_preset_needs(const vklm_bench_preset *preset, vklm_format format, uint32_t n_ctx);

#endif
