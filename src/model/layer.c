#include "model/layer.h"

#include "ops/attention.h"
#include "ops/experts.h"
#include "ops/input16.h"
#include "ops/input8.h"
#include "ops/matmul.h"
#include "ops/matvec.h"
#include "ops/rmsnorm.h"
#include "ops/router.h"
#include "ops/rope_kv.h"
#include "ops/swiglu.h"

vklm_gpu_view vklm_layer_next_norm(const vklm_weights *weights, uint32_t layer)
{
    return layer + 1 < weights->arch.n_layers ? weights->layers[layer + 1].attn_norm
                                              : weights->final_norm;
}

// The 8-bit form of a vector, for matrices of a format that may be multiplied with it.
static vklm_gpu_view input8(vklm_format format, vklm_gpu_view view)
{
    return vklm_format_is_packed(format) ? view : (vklm_gpu_view){0};
}

vklm_gpu_view vklm_layer_xn8(const vklm_weights *weights, const vklm_activations *a)
{
    return input8(weights->layers[0].qkv.format, a->xn8);
}

static vklm_gpu_view norm_counter(const vklm_arch *arch, const vklm_activations *a)
{
    return vklm_activations_floats(a->counters, arch->n_heads, 1);
}

// The layer's router, for n_tokens tokens; zero in models without experts.
static vklm_router router_of(const vklm_weights *weights, uint32_t layer, const vklm_activations *a,
                             uint32_t n_tokens)
{
    const vklm_arch *arch = &weights->arch;
    if (arch->n_experts == 0)
        return (vklm_router){0};
    const uint64_t route_bytes = sizeof(struct vklm_args_route);
    return (vklm_router){
        .weight = weights->layers[layer].router,
        .routes = vklm_gpu_view_part(a->routes, 0, (uint64_t)n_tokens * arch->top_k * route_bytes),
        .status = a->status,
        .n_experts = arch->n_experts,
        .top_k = arch->top_k,
        .layer = layer,
    };
}

// One MLP for every token.
static void decode_mlp(vklm_gpu_cmd *cmd, const vklm_weights *weights, uint32_t layer,
                       const vklm_activations *a, vklm_gpu_view next_norm)
{
    const vklm_arch *arch = &weights->arch;
    const vklm_layer_weights *w = &weights->layers[layer];
    vklm_gpu_view xn = vklm_activations_floats(a->xn, 0, arch->n_hidden);
    vklm_gpu_view mlp = vklm_activations_floats(a->mlp, 0, arch->n_intermediate);

    // mlp = silu(G xn) * (U xn)
    vklm_op_matvec_swiglu_record(cmd,
                                 &(vklm_op_matvec_swiglu){.label = "gate up",
                                                          .weight = &w->gate_up,
                                                          .x = xn,
                                                          .x8 = vklm_layer_xn8(weights, a),
                                                          .y = mlp,
                                                          .y8 = input8(w->down.format, a->mlp8),
                                                          .counters = a->mlp_counters});
    // x += D mlp; xn = norm(x)
    vklm_op_matvec_residual_record(cmd, &(vklm_op_matvec_residual){
                                            .label = "down",
                                            .weight = &w->down,
                                            .x = mlp,
                                            .x8 = a->mlp8,
                                            .y = vklm_activations_floats(a->x, 0, arch->n_hidden),
                                            .norm = next_norm,
                                            .yn = xn,
                                            .yn8 = vklm_layer_xn8(weights, a),
                                            .counter = norm_counter(arch, a),
                                            .eps = arch->rms_eps,
                                        });
}

// top_k experts e, of weight r_e, chosen by the token.
static void decode_experts(vklm_gpu_cmd *cmd, const vklm_weights *weights, uint32_t layer,
                           const vklm_activations *a, vklm_gpu_view next_norm)
{
    const vklm_arch *arch = &weights->arch;
    const vklm_experts *experts = &weights->layers[layer].experts;
    vklm_gpu_view routes = router_of(weights, layer, a, 1).routes;
    vklm_gpu_view xn = vklm_activations_floats(a->xn, 0, arch->n_hidden);
    vklm_gpu_view mlp =
        vklm_activations_floats(a->mlp, 0, (uint64_t)arch->top_k * arch->n_intermediate);

    // mlp_e = silu(G_e xn) * (U_e xn)
    vklm_op_expert_swiglu_record(
        cmd, &(vklm_op_expert_swiglu){.experts = experts,
                                      .routes = routes,
                                      .x = xn,
                                      .x8 = vklm_layer_xn8(weights, a),
                                      .y = mlp,
                                      .y8 = input8(experts->down_format, a->mlp8),
                                      .counters = a->mlp_counters});
    // x += sum_e r_e D_e mlp_e; xn = norm(x)
    vklm_op_expert_down_record(cmd, &(vklm_op_expert_down){
                                        .experts = experts,
                                        .routes = routes,
                                        .x = mlp,
                                        .x8 = a->mlp8,
                                        .y = vklm_activations_floats(a->x, 0, arch->n_hidden),
                                        .norm = next_norm,
                                        .yn = xn,
                                        .yn8 = vklm_layer_xn8(weights, a),
                                        .counter = norm_counter(arch, a),
                                        .eps = arch->rms_eps,
                                    });
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
    vklm_gpu_view attention_counters = vklm_activations_floats(a->counters, 0, arch->n_heads);
    vklm_router router = router_of(weights, layer, a, 1);

    // q, k, v = W xn; rotate q and k; k and v into the cache
    vklm_op_matvec_qkv_record(cmd, &(vklm_op_matvec_qkv){
                                       .label = "qkv",
                                       .weight = &w->qkv,
                                       .x = xn,
                                       .x8 = vklm_layer_xn8(weights, a),
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
                                             .y8 = input8(w->out.format, a->heads8),
                                             .partial = a->partial,
                                             .counter = attention_counters,
                                             .n_heads = arch->n_heads,
                                             .n_kv_heads = arch->n_kv_heads,
                                             .head_dim = arch->head_dim,
                                             .n_ctx = kv->n_ctx,
                                             .kv_q8 = q8,
                                         });
    // x += W heads; xn = norm(x); and which experts xn goes to
    vklm_op_matvec_residual_record(cmd, &(vklm_op_matvec_residual){
                                            .label = "attention out",
                                            .weight = &w->out,
                                            .x = heads,
                                            .x8 = a->heads8,
                                            .y = x,
                                            .norm = w->mlp_norm,
                                            .yn = xn,
                                            .yn8 = vklm_layer_xn8(weights, a),
                                            .counter = norm_counter(arch, a),
                                            .eps = arch->rms_eps,
                                            .router = arch->n_experts ? &router : NULL,
                                        });
    if (arch->n_experts)
        decode_experts(cmd, weights, layer, a, next_norm);
    else
        decode_mlp(cmd, weights, layer, a, next_norm);
}

// n_rows rows of n_cols of a prompt's inputs in 8 bits.
static vklm_gpu_view rows8(vklm_gpu_cmd *cmd, const vklm_activations *a, vklm_gpu_view x,
                           uint32_t n_rows, uint32_t n_cols, uint32_t terms)
{
    vklm_gpu_view y =
        vklm_gpu_view_part(a->inputs, 0, (uint64_t)n_rows * terms * vklm_op_input8_bytes(n_cols));
    vklm_op_input8_record(
        cmd, &(vklm_op_input8){.x = x, .y = y, .n_rows = n_rows, .n_cols = n_cols, .terms = terms});
    return y;
}

// The same in f16.
static vklm_gpu_view rows16(vklm_gpu_cmd *cmd, const vklm_activations *a, vklm_gpu_view x,
                            uint32_t n_rows, uint32_t n_cols)
{
    vklm_gpu_view y = vklm_gpu_view_part(a->inputs, 0, n_rows * vklm_op_input16_bytes(n_cols));
    vklm_op_input16_record(cmd,
                           &(vklm_op_input16){.x = x, .y = y, .n_rows = n_rows, .n_cols = n_cols});
    return y;
}

// A product of a prompt, with its input in f16 where matrix units take it, in 8 bits where the dot8
// tier does. With experts the columns of a few tokens stay in f32: qkv and out are 6 % of 8x13b's
// layer, and rounding their inputs would turn close choices of its router for nothing.
static void matmul(vklm_gpu_cmd *cmd, const vklm_arch *arch, const vklm_activations *a,
                   vklm_op_matmul op)
{
    const bool f32 = arch->n_experts && op.alone && op.n_tokens <= VKLM_OP_MATMUL_FEW;
    if (vklm_op_matmul_takes16(cmd, op.weight, op.n_tokens, op.alone))
        op.x16 = rows16(cmd, a, op.x, op.n_tokens, op.weight->n_cols);
    else if (!f32 && vklm_op_matmul_takes8(cmd, op.weight, op.n_tokens, op.alone))
        op.x8 = rows8(cmd, a, op.x, op.n_tokens, op.weight->n_cols, op.x8_terms);
    vklm_op_matmul_record(cmd, &op);
}

// The same with n_rows inputs of experts.
static void expert_matmul(vklm_gpu_cmd *cmd, const vklm_activations *a, uint64_t n_rows,
                          vklm_op_expert_matmul op)
{
    const vklm_experts *e = op.experts;
    const uint32_t n_cols = op.down ? e->n_intermediate : e->n_hidden;
    if (vklm_op_expert_matmul_takes16(cmd, e, op.down))
        op.x16 = rows16(cmd, a, op.x, (uint32_t)n_rows, n_cols);
    else if (vklm_op_expert_matmul_takes8(cmd, e, op.down))
        op.x8 = rows8(cmd, a, op.x, (uint32_t)n_rows, n_cols, op.x8_terms);
    vklm_op_expert_matmul_record(cmd, &op);
}

static void prefill_mlp(vklm_gpu_cmd *cmd, const vklm_weights *weights, uint32_t layer,
                        const vklm_activations *a, uint32_t n_tokens, bool alone)
{
    const vklm_arch *arch = &weights->arch;
    const vklm_layer_weights *w = &weights->layers[layer];
    const uint64_t n = n_tokens;
    vklm_gpu_view xn = vklm_activations_floats(a->xn, 0, n * arch->n_hidden);
    vklm_gpu_view gate_up = vklm_activations_floats(a->gate_up, 0, n * w->gate_up.n_rows);
    vklm_gpu_view mlp = vklm_activations_floats(a->mlp, 0, n * arch->n_intermediate);

    vklm_importance_sums_record(cmd, a->sums, layer, VKLM_MATRIX_GATE_UP, xn, n_tokens);
    matmul(cmd, arch, a,
           (vklm_op_matmul){.label = "gate up",
                            .weight = &w->gate_up,
                            .x = xn,
                            .x8_terms = VKLM_TERMS,
                            .y = gate_up,
                            .n_tokens = n_tokens,
                            .alone = alone});
    vklm_op_swiglu_record(cmd, &(vklm_op_swiglu){.gate_up = gate_up,
                                                 .y = mlp,
                                                 .n_tokens = n_tokens,
                                                 .n_cols = arch->n_intermediate});
    vklm_importance_sums_record(cmd, a->sums, layer, VKLM_MATRIX_DOWN, mlp, n_tokens);
    matmul(cmd, arch, a,
           (vklm_op_matmul){.label = "down",
                            .weight = &w->down,
                            .x = mlp,
                            .x8_terms = VKLM_TERMS_DOWN,
                            .y = vklm_activations_floats(a->x, 0, n * arch->n_hidden),
                            .n_tokens = n_tokens,
                            .add = true,
                            .alone = alone});
}

// Every token is top_k rows of the grouped tensors, which lie expert by expert.
static void prefill_experts(vklm_gpu_cmd *cmd, const vklm_weights *weights, uint32_t layer,
                            const vklm_activations *a, uint32_t n_tokens)
{
    const vklm_arch *arch = &weights->arch;
    const vklm_experts *experts = &weights->layers[layer].experts;
    const uint64_t n = n_tokens, n_rows = n * arch->top_k;
    const vklm_router router = router_of(weights, layer, a, n_tokens);
    vklm_gpu_view x = vklm_activations_floats(a->x, 0, n * arch->n_hidden);
    vklm_gpu_view xn = vklm_activations_floats(a->xn, 0, n * arch->n_hidden);
    vklm_gpu_view gate_up =
        vklm_activations_floats(a->gate_up, 0, n_rows * 2 * arch->n_intermediate);
    vklm_gpu_view mlp = vklm_activations_floats(a->mlp, 0, n_rows * arch->n_intermediate);
    vklm_gpu_view out = vklm_activations_floats(a->expert_out, 0, n_rows * arch->n_hidden);

    vklm_importance_sums_record(cmd, a->sums, layer, VKLM_MATRIX_GATE_UP, xn, n_tokens);
    vklm_op_router_record(
        cmd, &(vklm_op_router){
                 .router = &router, .x = xn, .n_tokens = n_tokens, .n_cols = arch->n_hidden});
    vklm_op_expert_group_record(cmd, &(vklm_op_expert_group){.experts = experts,
                                                             .routes = router.routes,
                                                             .groups = &a->groups,
                                                             .n_tokens = n_tokens});
    expert_matmul(cmd, a, n_tokens,
                  (vklm_op_expert_matmul){.experts = experts,
                                          .groups = &a->groups,
                                          .x = xn,
                                          .x8_terms = VKLM_TERMS,
                                          .y = gate_up});
    vklm_op_swiglu_record(cmd, &(vklm_op_swiglu){.gate_up = gate_up,
                                                 .y = mlp,
                                                 .n_tokens = (uint32_t)n_rows,
                                                 .n_cols = arch->n_intermediate});
    vklm_importance_sums_record(cmd, a->sums, layer, VKLM_MATRIX_DOWN, mlp, (uint32_t)n_rows);
    expert_matmul(cmd, a, n_rows,
                  (vklm_op_expert_matmul){.experts = experts,
                                          .groups = &a->groups,
                                          .x = mlp,
                                          .x8_terms = VKLM_TERMS_DOWN,
                                          .y = out,
                                          .down = true});
    vklm_op_expert_combine_record(cmd, &(vklm_op_expert_combine){.experts = experts,
                                                                 .groups = &a->groups,
                                                                 .routes = router.routes,
                                                                 .rows = out,
                                                                 .x = x,
                                                                 .n_tokens = n_tokens});
}

void vklm_layer_prefill_record(vklm_gpu_cmd *cmd, const vklm_weights *weights, uint32_t layer,
                               const vklm_kv_cache *kv, const vklm_activations *a,
                               vklm_gpu_view next_norm, uint32_t n_tokens, uint32_t position,
                               bool alone)
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

    vklm_importance_sums_record(cmd, a->sums, layer, VKLM_MATRIX_QKV, xn, n_tokens);
    matmul(cmd, arch, a,
           (vklm_op_matmul){.label = "qkv",
                            .weight = &w->qkv,
                            .x = xn,
                            .x8_terms = VKLM_TERMS_QKV,
                            .y = qkv,
                            .n_tokens = n_tokens,
                            .alone = alone});
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
    matmul(cmd, arch, a,
           (vklm_op_matmul){.label = "attention out",
                            .weight = &w->out,
                            .x = heads,
                            .x8_terms = VKLM_TERMS,
                            .y = x,
                            .n_tokens = n_tokens,
                            .add = true,
                            .alone = alone});
    vklm_op_rmsnorm_record(cmd, &(vklm_op_rmsnorm){.x = x,
                                                   .norm = w->mlp_norm,
                                                   .y = xn,
                                                   .n_rows = n_tokens,
                                                   .n_cols = arch->n_hidden,
                                                   .eps = arch->rms_eps});
    if (arch->n_experts)
        prefill_experts(cmd, weights, layer, a, n_tokens);
    else
        prefill_mlp(cmd, weights, layer, a, n_tokens, alone);
    vklm_op_rmsnorm_record(cmd, &(vklm_op_rmsnorm){.x = x,
                                                   .norm = next_norm,
                                                   .y = xn,
                                                   .n_rows = n_tokens,
                                                   .n_cols = arch->n_hidden,
                                                   .eps = arch->rms_eps});
}
