// The decode kernels: one token against a weight matrix, each with what follows it fused in.
//
// All weights are [n_rows, n_cols] in any format, n_cols a multiple of its group; vectors are f32.
// Views written and views read are distinct.
#ifndef VKLM_OPS_MATVEC_H
#define VKLM_OPS_MATVEC_H

#include "gpu/cmd.h"
#include "ops/router.h"
#include "ops/weight.h"

// On the dot8 tier packed weights are multiplied with inputs in 8 bits (ops/input8.h). x8, where it
// is there, is x in that form; y8 and yn8 ask for what the next operation multiplies in that form
// too, for lengths that are multiples of 64.

// y = W x.  x: [n_cols], y: [n_rows]
typedef struct {
    const char *label;
    const vklm_weight *weight;
    vklm_gpu_view x, x8, y;
} vklm_op_matvec;
void vklm_op_matvec_record(vklm_gpu_cmd *cmd, const vklm_op_matvec *op);

// y[r] = silu(W[r] . x) * (W[n + r] . x), n = n_rows / 2: gate rows, then up rows.  x: [n_cols], y:
// [n]; counters: u32 [n / 32], zero before and after, with y8
typedef struct {
    const char *label;
    const vklm_weight *weight;
    vklm_gpu_view x, x8, y, y8, counters;
} vklm_op_matvec_swiglu;
void vklm_op_matvec_swiglu_record(vklm_gpu_cmd *cmd, const vklm_op_matvec_swiglu *op);

// y += W x,  yn = y * norm / sqrt(mean(y^2) + eps).  x: [n_cols]; y, norm, yn: [n_rows];
// counter: u32, zero before and after. router, unless NULL: and the routes of yn, one token
typedef struct {
    const char *label;
    const vklm_weight *weight;
    vklm_gpu_view x, x8, y, norm, yn, yn8, counter;
    float eps;
    const vklm_router *router;
} vklm_op_matvec_residual;
void vklm_op_matvec_residual_record(vklm_gpu_cmd *cmd, const vklm_op_matvec_residual *op);

// (q | k | v) = W x with rotary embedding of q and k; k and v go to the cache at step.position.
// weight: [(n_heads + 2 n_kv_heads) * head_dim, n_cols]; rope: [n_ctx, head_dim / 2, 2] (cos, sin);
// q: [n_heads, head_dim]; k, v: f16 [n_kv_heads, n_ctx, head_dim], head_dim % 4 == 0; or, with
// kv_q8, q8 (quant/format.h) of that shape, head_dim % 64 == 0, and then scratch: [2 n_kv_heads,
// head_dim] and counters: u32 [2 n_kv_heads], zero before and after
typedef struct {
    const char *label;
    const vklm_weight *weight;
    vklm_gpu_view x, x8, step, rope, q, k, v, scratch, counters;
    bool kv_q8;
    uint32_t n_heads, n_kv_heads, head_dim, n_ctx;
} vklm_op_matvec_qkv;
void vklm_op_matvec_qkv_record(vklm_gpu_cmd *cmd, const vklm_op_matvec_qkv *op);

#endif
