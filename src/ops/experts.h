// The MLPs of a layer with experts, for the routes that ops/router.h has made.
//
// Where an expert's weights lie is a row of a table in device memory: what is recorded stays valid
// when a row changes between submits. All experts of a layer have one shape, and one format per
// matrix.
#ifndef VKLM_OPS_EXPERTS_H
#define VKLM_OPS_EXPERTS_H

#include "gpu/cmd.h"
#include "ops/weight.h"

typedef struct {
    vklm_gpu_view table;        // vklm_args_expert [n_experts]
    vklm_format gate_up_format; // of matrices [2 n_intermediate, n_hidden]: gate rows, then up rows
    vklm_format down_format;    // of matrices [n_hidden, n_intermediate]
    uint32_t n_experts, top_k, n_hidden, n_intermediate;
} vklm_experts;

// One token, two dispatches. routes: vklm_args_route [top_k]. x8, y8, yn8: as in ops/matvec.h, with
// top_k vectors in 8 bits side by side where x or y is [top_k, ...].

// y[s] = silu(G xn) * (U xn) of expert routes[s].  xn: f32 [n_hidden], y: f32 [top_k,
// n_intermediate]; counters: u32 [top_k, n_intermediate / 32], zero before and after, with y8
typedef struct {
    const vklm_experts *experts;
    vklm_gpu_view routes, x, x8, y, y8, counters;
} vklm_op_expert_swiglu;
void vklm_op_expert_swiglu_record(vklm_gpu_cmd *cmd, const vklm_op_expert_swiglu *op);

// y += sum_s routes[s].weight * D x[s], in the order of s;  yn = y * norm / sqrt(mean(y^2) + eps).
// x: f32 [top_k, n_intermediate]; y, norm, yn: f32 [n_hidden]; counter: u32, zero before and after
typedef struct {
    const vklm_experts *experts;
    vklm_gpu_view routes, x, x8, y, norm, yn, yn8, counter;
    float eps;
} vklm_op_expert_down;
void vklm_op_expert_down_record(vklm_gpu_cmd *cmd, const vklm_op_expert_down *op);

// Many tokens: group them by expert, multiply each group by its expert's matrices, and combine.
// Rows of the grouped tensors: expert by expert, within one in the order of the tokens.
typedef struct {
    vklm_gpu_view dispatch; // u32 [2, 3]: workgroups of the gate and up, and of the down projection
    vklm_gpu_view tiles;    // vklm_args_tile [vklm_op_expert_tiles]
    vklm_gpu_view entries;  // u32 [n_tokens * top_k]: grouped row -> token * top_k + slot
    vklm_gpu_view places;   // u32 [n_tokens, top_k]: the grouped row of each
} vklm_expert_groups;

// Room for tiles of n_tokens tokens, wherever they go.
uint32_t vklm_op_expert_tiles(const vklm_gpu_caps *caps, uint32_t n_tokens, uint32_t n_experts,
                              uint32_t top_k);

// routes: vklm_args_route [n_tokens, top_k], a token's experts distinct; n_tokens at most tuning's
// chunk
typedef struct {
    const vklm_experts *experts;
    vklm_gpu_view routes;
    const vklm_expert_groups *groups; // out
    uint32_t n_tokens;
} vklm_op_expert_group;
void vklm_op_expert_group_record(vklm_gpu_cmd *cmd, const vklm_op_expert_group *op);

// y = gate_up x of each row's expert.  x: f32 [n_tokens, n_hidden], y: f32 [n_tokens * top_k, 2
// n_intermediate] down: y = down x.  x: f32 [n_tokens * top_k, n_intermediate], y: f32 [n_tokens *
// top_k, n_hidden]
typedef struct {
    const vklm_experts *experts;
    const vklm_expert_groups *groups;
    vklm_gpu_view x, y;
    vklm_gpu_view x8;  // rows in 8 bits, where vklm_op_expert_matmul_takes8; x is not read then
    uint32_t x8_terms; // as in ops/matmul.h
    vklm_gpu_view x16; // the same in f16, where vklm_op_expert_matmul_takes16
    bool down;
} vklm_op_expert_matmul;
bool vklm_op_expert_matmul_takes8(const vklm_gpu_cmd *cmd, const vklm_experts *experts, bool down);
bool vklm_op_expert_matmul_takes16(const vklm_gpu_cmd *cmd, const vklm_experts *experts, bool down);
void vklm_op_expert_matmul_record(vklm_gpu_cmd *cmd, const vklm_op_expert_matmul *op);

// x[t] += sum_s routes[t, s].weight * rows[places[t, s]], in the order of s.
// rows: f32 [n_tokens * top_k, n_hidden], x: f32 [n_tokens, n_hidden]
typedef struct {
    const vklm_experts *experts;
    const vklm_expert_groups *groups;
    vklm_gpu_view routes, rows, x;
    uint32_t n_tokens;
} vklm_op_expert_combine;
void vklm_op_expert_combine_record(vklm_gpu_cmd *cmd, const vklm_op_expert_combine *op);

#endif
