#include "model/layer.h"

#include "ops/attention.h"
#include "ops/matmul.h"
#include "ops/matvec.h"
#include "ops/rmsnorm.h"
#include "ops/rope_kv.h"
#include "ops/swiglu.h"

vklm_gpu_view vklm_layer_next_norm(const vklm_weights *weights, uint32_t layer)
{
    return layer + 1 < weights->arch.n_layers ? weights->layers[layer + 1].attn_norm
                                              : weights->final_norm;
}

void vklm_layer_decode_record(vklm_gpu_cmd *cmd, const vklm_weights *weights, uint32_t layer,
                              const vklm_kv_cache *kv, const vklm_activations *a,
                              vklm_gpu_view next_norm)
{
    const vklm_arch *arch = &weights->arch;
    const vklm_layer_weights *w = &weights->layers[layer];
    const vklm_kv_layer *cache = &kv->layers[layer];
    const bool q8 = kv->kind == VKLM_KV_Q8;
    const uint64_t n_q = (uint64_t)arch->n_heads * arch->head_dim;
    vklm_gpu_view x = vklm_activations_floats(a->x, 0, arch->n_hidden);
    vklm_gpu_view xn = vklm_activations_floats(a->xn, 0, arch->n_hidden);
    vklm_gpu_view q = vklm_activations_floats(a->qkv, 0, n_q);
    vklm_gpu_view heads = vklm_activations_floats(a->heads, 0, n_q);
    vklm_gpu_view mlp = vklm_activations_floats(a->mlp, 0, arch->n_intermediate);
    vklm_gpu_view attention_counters = vklm_activations_floats(a->counters, 0, arch->n_heads);
    vklm_gpu_view norm_counter = vklm_activations_floats(a->counters, arch->n_heads, 1);

    // q, k, v = W xn; rotate q and k; k and v into the cache
    vklm_op_matvec_qkv_record(cmd, &(vklm_op_matvec_qkv){
                                       .label = "qkv",
                                       .weight = &w->qkv,
                                       .x = xn,
                                       .step = a->step,
                                       .rope = weights->rope,
                                       .q = q,
                                       .k = cache->k,
                                       .v = cache->v,
                                       .scratch = q8 ? a->kv_row : (vklm_gpu_view){0},
                                       .counters = q8 ? a->kv_counters : (vklm_gpu_view){0},
                                       .kv_q8 = q8,
                                       .n_heads = arch->n_heads,
                                       .n_kv_heads = arch->n_kv_heads,
                                       .head_dim = arch->head_dim,
                                       .n_ctx = kv->n_ctx,
                                   });
    // heads = softmax(q k^T / sqrt(head_dim)) v
    vklm_op_attention_decode_record(cmd, &(vklm_op_attention_decode){
                                             .q = q,
                                             .k = cache->k,
                                             .v = cache->v,
                                             .step = a->step,
                                             .y = heads,
                                             .partial = a->partial,
                                             .counter = attention_counters,
                                             .n_heads = arch->n_heads,
                                             .n_kv_heads = arch->n_kv_heads,
                                             .head_dim = arch->head_dim,
                                             .n_ctx = kv->n_ctx,
                                             .kv_q8 = q8,
                                         });
    // x += W heads; xn = norm(x)
    vklm_op_matvec_residual_record(cmd, &(vklm_op_matvec_residual){
                                            .label = "attention out",
                                            .weight = &w->out,
                                            .x = heads,
                                            .y = x,
                                            .norm = w->mlp_norm,
                                            .yn = xn,
                                            .counter = norm_counter,
                                            .eps = arch->rms_eps,
                                        });
    // mlp = silu(G xn) * (U xn)
    vklm_op_matvec_swiglu_record(
        cmd,
        &(vklm_op_matvec_swiglu){.label = "gate up", .weight = &w->gate_up, .x = xn, .y = mlp});
    // x += D mlp; xn = norm(x)
    vklm_op_matvec_residual_record(cmd, &(vklm_op_matvec_residual){
                                            .label = "down",
                                            .weight = &w->down,
                                            .x = mlp,
                                            .y = x,
                                            .norm = next_norm,
                                            .yn = xn,
                                            .counter = norm_counter,
                                            .eps = arch->rms_eps,
                                        });
}

void vklm_layer_prefill_record(vklm_gpu_cmd *cmd, const vklm_weights *weights, uint32_t layer,
                               const vklm_kv_cache *kv, const vklm_activations *a,
                               vklm_gpu_view next_norm, uint32_t n_tokens, uint32_t position)
{
    const vklm_arch *arch = &weights->arch;
    const vklm_layer_weights *w = &weights->layers[layer];
    const vklm_kv_layer *cache = &kv->layers[layer];
    const bool q8 = kv->kind == VKLM_KV_Q8;
    const uint64_t n = n_tokens, n_q = (uint64_t)arch->n_heads * arch->head_dim;
    vklm_gpu_view x = vklm_activations_floats(a->x, 0, n * arch->n_hidden);
    vklm_gpu_view xn = vklm_activations_floats(a->xn, 0, n * arch->n_hidden);
    vklm_gpu_view qkv = vklm_activations_floats(a->qkv, 0, n * w->qkv.n_rows);
    vklm_gpu_view heads = vklm_activations_floats(a->heads, 0, n * n_q);
    vklm_gpu_view gate_up = vklm_activations_floats(a->gate_up, 0, n * w->gate_up.n_rows);
    vklm_gpu_view mlp = vklm_activations_floats(a->mlp, 0, n * arch->n_intermediate);

    vklm_importance_sums_record(cmd, a->sums, layer, VKLM_MATRIX_QKV, xn, n_tokens);
    vklm_op_matmul_record(
        cmd, &(vklm_op_matmul){
                 .label = "qkv", .weight = &w->qkv, .x = xn, .y = qkv, .n_tokens = n_tokens});
    vklm_op_rope_kv_record(cmd, &(vklm_op_rope_kv){
                                    .qkv = qkv,
                                    .rope = weights->rope,
                                    .k = cache->k,
                                    .v = cache->v,
                                    .n_tokens = n_tokens,
                                    .position = position,
                                    .n_heads = arch->n_heads,
                                    .n_kv_heads = arch->n_kv_heads,
                                    .head_dim = arch->head_dim,
                                    .n_ctx = kv->n_ctx,
                                    .kv_q8 = q8,
                                });
    vklm_op_attention_prefill_record(cmd, &(vklm_op_attention_prefill){
                                              .qkv = qkv,
                                              .k = cache->k,
                                              .v = cache->v,
                                              .y = heads,
                                              .n_tokens = n_tokens,
                                              .position = position,
                                              .n_heads = arch->n_heads,
                                              .n_kv_heads = arch->n_kv_heads,
                                              .head_dim = arch->head_dim,
                                              .n_ctx = kv->n_ctx,
                                              .kv_q8 = q8,
                                          });
    vklm_importance_sums_record(cmd, a->sums, layer, VKLM_MATRIX_OUT, heads, n_tokens);
    vklm_op_matmul_record(cmd, &(vklm_op_matmul){.label = "attention out",
                                                 .weight = &w->out,
                                                 .x = heads,
                                                 .y = x,
                                                 .n_tokens = n_tokens,
                                                 .add = true});
    vklm_op_rmsnorm_record(cmd, &(vklm_op_rmsnorm){.x = x,
                                                   .norm = w->mlp_norm,
                                                   .y = xn,
                                                   .n_rows = n_tokens,
                                                   .n_cols = arch->n_hidden,
                                                   .eps = arch->rms_eps});
    vklm_importance_sums_record(cmd, a->sums, layer, VKLM_MATRIX_GATE_UP, xn, n_tokens);
    vklm_op_matmul_record(cmd, &(vklm_op_matmul){.label = "gate up",
                                                 .weight = &w->gate_up,
                                                 .x = xn,
                                                 .y = gate_up,
                                                 .n_tokens = n_tokens});
    vklm_op_swiglu_record(cmd, &(vklm_op_swiglu){.gate_up = gate_up,
                                                 .y = mlp,
                                                 .n_tokens = n_tokens,
                                                 .n_cols = arch->n_intermediate});
    vklm_importance_sums_record(cmd, a->sums, layer, VKLM_MATRIX_DOWN, mlp, n_tokens);
    vklm_op_matmul_record(cmd, &(vklm_op_matmul){.label = "down",
                                                 .weight = &w->down,
                                                 .x = mlp,
                                                 .y = x,
                                                 .n_tokens = n_tokens,
                                                 .add = true});
    vklm_op_rmsnorm_record(cmd, &(vklm_op_rmsnorm){.x = x,
                                                   .norm = next_norm,
                                                   .y = xn,
                                                   .n_rows = n_tokens,
                                                   .n_cols = arch->n_hidden,
                                                   .eps = arch->rms_eps});
}
