// Which experts each token is sent to, and with what weight:
//
//   s = R x,  routes = the top_k largest s[e], of equal ones the lower e first,  weights = softmax
//   over them
//
// which is softmax over all experts, renormalised over the chosen (Jiang et al., "Mixtral of
// Experts", 2024). When a score is not finite the status word, if it is 0, becomes 1 + layer, and
// the routes are the first experts with weight 0.
#ifndef VKLM_OPS_ROUTER_H
#define VKLM_OPS_ROUTER_H

#include "gpu/cmd.h"

typedef struct {
    vklm_gpu_view weight;             // f32 [n_experts, n_cols]
    vklm_gpu_view routes;             // vklm_args_route [n_tokens, top_k]
    vklm_gpu_view status;             // u32
    uint32_t n_experts, top_k, layer; // top_k <= n_experts <= 64
} vklm_router;

// For n_tokens tokens x: f32 [n_tokens, n_cols]. One token's router is part of matvec_residual
// (ops/matvec.h).
typedef struct {
    const vklm_router *router;
    vklm_gpu_view x;
    uint32_t n_tokens, n_cols;
} vklm_op_router;
void vklm_op_router_record(vklm_gpu_cmd *cmd, const vklm_op_router *op);

// False, with the recorder's failure set, unless the counts are ones that the kernels take.
bool vklm_router_check(vklm_gpu_cmd *cmd, uint32_t n_experts, uint32_t top_k);

#endif
