// shaders/args.h: what the host passes to the kernels, declared once for C and for GLSL.
//
// Every struct here is one kernel family's push constants: 4-byte scalars and buffer addresses
// only, addresses first (they are 8-byte aligned), at most 128 bytes, the least that Vulkan
// guarantees. Nothing in the structs of the decode kernels depends on the token's position: that
// comes from the step buffer, so that a recorded command buffer can be replayed for every token.
#ifndef VKLM_SHADERS_ARGS_H
#define VKLM_SHADERS_ARGS_H

#ifdef VULKAN // predefined by GLSL compilers that target Vulkan
#define VKLM_ADDRESS uvec2
#define VKLM_U32     uint
#define VKLM_F32     float
#else
#include <stdint.h>
typedef struct vklm_gpu_address {
    uint32_t low, high;
} vklm_gpu_address;
#define VKLM_ADDRESS vklm_gpu_address
#define VKLM_U32     uint32_t
#define VKLM_F32     float
#endif

// The step buffer: what changes from token to token.
struct vklm_args_step {
    VKLM_U32 token;    // id to embed
    VKLM_U32 position; // of that token, from 0; the KV length after it is position + 1
    VKLM_U32 n_drawn;  // tokens drawn so far: the counter of the random numbers
    VKLM_U32 slot;     // of the next drawn token's report, counted without end
    VKLM_U32 flag; // not 0: a token could not be drawn here, the host must do it; nothing moves on
};

// How tokens are drawn, in a buffer of its own: it changes between texts, not between tokens.
// Behind it lie VKLM_SAMPLE_MOST_BIAS of what is added to an id's logit, of which n_bias count.
struct vklm_args_bias {
    VKLM_U32 id;
    VKLM_F32 bias;
};
#define VKLM_SAMPLE_MOST_BIAS 64
struct vklm_args_sampling {
    VKLM_F32 temperature, top_p, min_p, repetition, frequency, presence;
    VKLM_U32 top_k; // 1 .. 256; 1 when greedy
    VKLM_U32 greedy;
    VKLM_U32 seed_low, seed_high;
    VKLM_U32 n_bias;
};

// A drawn token, as the host reads it.
struct vklm_args_sampled {
    VKLM_U32 id;
    VKLM_F32 probability;
    VKLM_U32 n_candidates; // that were in the draw
    VKLM_U32 flag;         // the step's: not 0 when nothing was drawn
};

// shaders/sample.comp: logits of a workgroup; most candidates of a draw; the bit of a count that
// says that an id occurred, in the prompt or later (the rest of the word is how often it was
// generated).
#define VKLM_SAMPLE_CHUNK 2048
#define VKLM_SAMPLE_MOST  512
#define VKLM_SAMPLE_SEEN  0x80000000u

struct vklm_args_sample {
    VKLM_ADDRESS logits;   // f32 [n_vocab]
    VKLM_ADDRESS counts;   // u32 [n_vocab], in and out: VKLM_SAMPLE_SEEN and times generated
    VKLM_ADDRESS settings; // vklm_args_sampling and the list behind it
    VKLM_ADDRESS step;     // vklm_args_step, in and out
    VKLM_ADDRESS
    list; // u32 [2 + 2 * VKLM_SAMPLE_MOST * workgroups] scratch; two zeros between dispatches
    VKLM_ADDRESS counter; // u32, zero between dispatches
    VKLM_ADDRESS
    sampled; // vklm_args_sampled [n_slots] out, a ring; never read here: it may be host memory
    VKLM_ADDRESS candidates; // [VKLM_SAMPLE_MOST] of id and f32 probability, out
    VKLM_U32 n_vocab, n_slots;
};

// An expert a token is sent to: its number, and its weight in the token's sum.
struct vklm_args_route {
    VKLM_U32 expert;
    VKLM_F32 weight;
};

// A row of the expert table: where an expert's weights lie.
struct vklm_args_expert {
    VKLM_ADDRESS gate_up; // [2 * n_intermediate, n_hidden]: gate rows, then up rows
    VKLM_ADDRESS down;    // [n_hidden, n_intermediate]
};

// Some tokens of one expert, of a chunk's: rows [first, first + n) of the grouped rows. Of the
// expert there are n_tiles such tiles, from first_tile on.
struct vklm_args_tile {
    VKLM_U32 expert, first, n, first_tile, n_tiles;
};

struct vklm_args_embed {
    VKLM_ADDRESS table;  // weights [n_vocab, n_cols]
    VKLM_ADDRESS tokens; // u32 [n_rows]
    VKLM_ADDRESS norm;   // f32 [n_cols]
    VKLM_ADDRESS x;      // f32 [n_rows, n_cols] out
    VKLM_ADDRESS xn;     // f32 [n_rows, n_cols] out
    VKLM_ADDRESS xn8; // dot8 tier: xn in 8 bits (shaders/input8.glsl) [n_cols] out, of a single row
    VKLM_U32 n_vocab, n_cols;
    VKLM_F32 eps;
};

struct vklm_args_input8 {
    VKLM_ADDRESS x; // f32 [n_rows, n_cols]
    VKLM_ADDRESS y; // rows in 8 bits (ops/input8.h)
    VKLM_U32 n_rows, n_cols;
};

struct vklm_args_input16 {
    VKLM_ADDRESS x; // f32 [n_rows, n_cols]
    VKLM_ADDRESS y; // rows in f16 (ops/input16.h)
    VKLM_U32 n_cols;
};

struct vklm_args_rmsnorm {
    VKLM_ADDRESS x;    // f32 [n_rows, n_cols]
    VKLM_ADDRESS norm; // f32 [n_cols]
    VKLM_ADDRESS y;    // f32 [n_rows, n_cols] out
    VKLM_U32 n_cols;
    VKLM_F32 eps;
};

struct vklm_args_matvec {
    VKLM_ADDRESS weight; // [n_rows, n_cols]
    VKLM_ADDRESS x;      // f32 [n_cols]
    VKLM_ADDRESS y;      // f32 [n_rows] out
    VKLM_U32 n_rows, n_cols;
};

struct vklm_args_matvec_swiglu {
    VKLM_ADDRESS weight;   // [2 * n_rows, n_cols]: gate rows, then up rows
    VKLM_ADDRESS x;        // f32 [n_cols]
    VKLM_ADDRESS y;        // f32 [n_rows] out
    VKLM_ADDRESS y8;       // dot8 tier: y in 8 bits out
    VKLM_ADDRESS counters; // with y8: u32 [n_rows / 32], zero between dispatches
    VKLM_U32 n_rows, n_cols;
};

struct vklm_args_matvec_residual {
    VKLM_ADDRESS weight;  // [n_rows, n_cols]
    VKLM_ADDRESS x;       // f32 [n_cols]
    VKLM_ADDRESS y;       // f32 [n_rows] in and out: the residual stream
    VKLM_ADDRESS norm;    // f32 [n_rows]: weight of the RMSNorm that follows
    VKLM_ADDRESS yn;      // f32 [n_rows] out: y, normalised
    VKLM_ADDRESS yn8;     // dot8 tier: yn in 8 bits out
    VKLM_ADDRESS counter; // u32, zero between dispatches
    VKLM_ADDRESS router;  // of models with experts: f32 [n_experts, n_rows]
    VKLM_ADDRESS routes;  // vklm_args_route [top_k] out
    VKLM_ADDRESS status;  // u32: 1 + the first layer whose router has no finite scores, or 0
    VKLM_U32 n_rows, n_cols, layer;
    VKLM_F32 eps;
};

struct vklm_args_matvec_qkv {
    VKLM_ADDRESS weight;  // [(n_heads + 2 * n_kv_heads) * head_dim, n_cols]: q rows, k rows, v rows
    VKLM_ADDRESS x;       // f32 [n_cols]
    VKLM_ADDRESS step;    // vklm_args_step
    VKLM_ADDRESS rope;    // f32 [n_ctx, head_dim / 2, 2]: cos, sin
    VKLM_ADDRESS q;       // f32 [n_heads, head_dim] out
    VKLM_ADDRESS k;       // f16 or q8 [n_kv_heads, n_ctx, head_dim] out, one position of it
    VKLM_ADDRESS v;       // the same
    VKLM_ADDRESS scratch; // q8: f32 [2 * n_kv_heads, head_dim]: k, v
    VKLM_ADDRESS counters; // q8: u32 [2 * n_kv_heads], zero between dispatches
    VKLM_U32 n_cols, n_heads, n_kv_heads, head_dim, n_ctx;
};

struct vklm_args_attention_decode {
    VKLM_ADDRESS q;        // f32 [n_heads, head_dim]
    VKLM_ADDRESS k;        // f16 or q8 [n_kv_heads, n_ctx, head_dim]
    VKLM_ADDRESS v;        // the same
    VKLM_ADDRESS step;     // vklm_args_step
    VKLM_ADDRESS y;        // f32 [n_heads, head_dim] out
    VKLM_ADDRESS y8;       // dot8 tier: y in 8 bits out
    VKLM_ADDRESS partial;  // f32 [n_heads, n_splits, head_dim + 2] scratch
    VKLM_ADDRESS counter;  // u32 [n_heads], zero between dispatches
    VKLM_U32 n_ctx, group; // group: query heads per kv head
    VKLM_F32 scale;
};

struct vklm_args_matmul {
    VKLM_ADDRESS weight; // [n_rows, n_cols]
    VKLM_ADDRESS x;      // f32 [n_tokens, n_cols], or rows in 8 bits or in f16 (ops/matmul.h)
    VKLM_ADDRESS y;      // f32 [n_tokens, n_rows] out (or added to)
    VKLM_U32 n_rows, n_cols, n_tokens;
};

struct vklm_args_rope_kv {
    VKLM_ADDRESS
    qkv; // f32 [n_tokens, (n_heads + 2 * n_kv_heads) * head_dim]; q is rotated in place
    VKLM_ADDRESS rope; // f32 [n_ctx, head_dim / 2, 2]: cos, sin
    VKLM_ADDRESS k;    // f16 or q8 [n_kv_heads, n_ctx, head_dim] out, n_tokens positions of it
    VKLM_ADDRESS v;    // the same
    VKLM_U32 n_tokens, position, n_heads, n_kv_heads, head_dim, n_ctx;
};

struct vklm_args_attention_prefill {
    VKLM_ADDRESS qkv; // f32 [n_tokens, (n_heads + 2 * n_kv_heads) * head_dim]; q is read
    VKLM_ADDRESS k;   // f16 [n_kv_heads, n_ctx, head_dim]
    VKLM_ADDRESS v;   // the same
    VKLM_ADDRESS y;   // f32 [n_tokens, n_heads * head_dim] out
    VKLM_U32 n_tokens, position, n_heads, n_kv_heads, n_ctx;
    VKLM_F32 scale;
};

struct vklm_args_swiglu {
    VKLM_ADDRESS gate_up; // f32 [n_tokens, 2 * n_cols]: gate, then up
    VKLM_ADDRESS y;       // f32 [n_tokens, n_cols] out
    VKLM_U32 n_tokens, n_cols;
};

struct vklm_args_column_squares {
    VKLM_ADDRESS x;    // f32 [n_rows, n_cols]
    VKLM_ADDRESS sums; // f32 [n_cols] in and out
    VKLM_U32 n_rows, n_cols;
};

// The micro-benchmarks of shaders/bench.
struct vklm_args_bench {
    VKLM_ADDRESS data;
    VKLM_ADDRESS y;
    VKLM_U32 n_steps;                   // how often the inner loop runs
    VKLM_U32 mask;                      // of lanes of data, or an operand
    VKLM_U32 group_stride, load_stride; // in lanes: from workgroup to workgroup, from load to load
    VKLM_F32 m, c;                      // operands that the compiler must not know
};

struct vklm_args_expert_swiglu {
    VKLM_ADDRESS table;    // vklm_args_expert [n_experts]
    VKLM_ADDRESS routes;   // vklm_args_route [top_k]
    VKLM_ADDRESS x;        // f32 [n_cols]
    VKLM_ADDRESS y;        // f32 [top_k, n_rows] out
    VKLM_ADDRESS y8;       // dot8 tier: [top_k] of y in 8 bits out
    VKLM_ADDRESS counters; // with y8: u32 [top_k, n_rows / 32], zero between dispatches
    VKLM_U32 n_rows, n_cols;
};

struct vklm_args_expert_down {
    VKLM_ADDRESS table;   // vklm_args_expert [n_experts]
    VKLM_ADDRESS routes;  // vklm_args_route [top_k]
    VKLM_ADDRESS x;       // f32 [top_k, n_cols]
    VKLM_ADDRESS y;       // f32 [n_rows] in and out: the residual stream
    VKLM_ADDRESS norm;    // f32 [n_rows]: weight of the RMSNorm that follows
    VKLM_ADDRESS yn;      // f32 [n_rows] out: y, normalised
    VKLM_ADDRESS yn8;     // dot8 tier: yn in 8 bits out
    VKLM_ADDRESS counter; // u32, zero between dispatches
    VKLM_U32 n_rows, n_cols;
    VKLM_F32 eps;
};

struct vklm_args_router {
    VKLM_ADDRESS x;      // f32 [n_tokens, n_cols]
    VKLM_ADDRESS router; // f32 [n_experts, n_cols]
    VKLM_ADDRESS routes; // vklm_args_route [n_tokens, top_k] out
    VKLM_ADDRESS status; // u32, as in vklm_args_matvec_residual
    VKLM_U32 n_cols, layer;
};

struct vklm_args_expert_group {
    VKLM_ADDRESS routes;   // vklm_args_route [n_tokens, top_k]
    VKLM_ADDRESS dispatch; // u32 [2, 3] out: workgroups of gate and up, and of down
    VKLM_ADDRESS tiles;    // vklm_args_tile [n_tiles] out
    VKLM_ADDRESS entries;  // u32 [n_tokens * top_k] out: grouped row -> token * top_k + slot
    VKLM_ADDRESS places;   // u32 [n_tokens, top_k] out: the grouped row of each
    VKLM_U32 n_tokens, gate_up_workgroups, down_workgroups;
};

struct vklm_args_expert_matmul {
    VKLM_ADDRESS table;   // vklm_args_expert [n_experts]
    VKLM_ADDRESS tiles;   // vklm_args_tile [workgroups in y]
    VKLM_ADDRESS entries; // u32 [n_tokens * top_k]
    VKLM_ADDRESS x;       // [n_tokens or n_tokens * top_k, n_cols], as in vklm_args_matmul
    VKLM_ADDRESS y;       // f32 [n_tokens * top_k, n_rows] out, grouped
    VKLM_U32 n_rows, n_cols;
};

struct vklm_args_expert_combine {
    VKLM_ADDRESS rows;   // f32 [n_tokens * top_k, n_cols], grouped
    VKLM_ADDRESS places; // u32 [n_tokens, top_k]
    VKLM_ADDRESS routes; // vklm_args_route [n_tokens, top_k]
    VKLM_ADDRESS x;      // f32 [n_tokens, n_cols] in and out
    VKLM_U32 n_cols;
};

#ifndef VULKAN
_Static_assert(sizeof(struct vklm_args_matvec_qkv) <= 128, "push constants hold 128 bytes");
_Static_assert(sizeof(struct vklm_args_attention_decode) <= 128, "push constants hold 128 bytes");
_Static_assert(sizeof(struct vklm_args_matvec_residual) <= 128, "push constants hold 128 bytes");
_Static_assert(sizeof(struct vklm_args_expert_down) <= 128, "push constants hold 128 bytes");
_Static_assert(sizeof(struct vklm_args_attention_prefill) <= 128, "push constants hold 128 bytes");
#endif

#endif
