// kernels/cases.h: the cases of every kernel, as tables: what the tests run, vkbench times, and its
// `check` proves on a user's driver. A new kernel adds its family here and to the list in cases.c.
#ifndef VKLM_TESTS_CASES_H
#define VKLM_TESTS_CASES_H

#include "kernels/lab.h"
#include "quant/format.h"

enum { VKLM_CASE_DIMS = 6 };

// Whose shape it is; none: a test's, with edges and odd tails; BIG: a test's that takes long.
enum {
    VKLM_CASE_1_8B = 1,
    VKLM_CASE_13B = 2,
    VKLM_CASE_8X13B = 4,
    VKLM_CASE_BIG = 8,
};

typedef struct {
    uint32_t n[VKLM_CASE_DIMS]; // what vklm_case_family.dims calls them
    unsigned models;            // VKLM_CASE_* bits
} vklm_case_shape;

// What one run must do at least: operations (a multiplication and an addition are two), and bytes
// of device memory that no cache saves.
typedef struct {
    double flop, bytes;
} vklm_case_cost;

typedef struct {
    const char *name;
    const char *dims[VKLM_CASE_DIMS];
    bool formats;         // one case per format that takes the shape: the weights'
    bool cache;           // with formats: the KV cache's, f16 or q8
    unsigned format_mask; // with formats: bits of those that it takes; 0: all
    unsigned tier;        // VKLM_TIER_*: whose kernels they are; 0: the base tier's
    const vklm_case_shape *shapes;
    size_t n_shapes;
    // Sets up, runs, judges, finishes the case.
    void (*run)(vklm_lab *lab, vklm_format format, const uint32_t *n);
    vklm_case_cost (*cost)(vklm_format format, const uint32_t *n);
    // Columns of the matrix, which must suit the format; NULL without formats.
    uint32_t (*columns)(const uint32_t *n);
} vklm_case_family;

// The formats that the dot8 tier multiplies.
enum { VKLM_CASE_PACKED = 1 << VKLM_FORMAT_Q8 | 1 << VKLM_FORMAT_Q4 };

// All of them.
const vklm_case_family *const *vklm_case_families(size_t *out_n);

// The tier whose kernels a family runs: one bit.
unsigned vklm_case_tier(const vklm_case_family *family);

// Whether a format takes a shape of a family; without formats the first one stands for all.
bool vklm_case_takes(const vklm_case_family *family, const vklm_case_shape *shape,
                     vklm_format format);

// "matvec bf16 2048x7168": the family, the format where it has one, and its dims.
void vklm_case_name(const vklm_case_family *family, const vklm_case_shape *shape,
                    vklm_format format, char *out, size_t size);

// Bytes of a matrix, of weights or of the KV cache.
double vklm_case_weight_bytes(vklm_format format, uint32_t n_rows, uint32_t n_cols);

// Columns for families: the second, third or fourth dimension.
uint32_t vklm_case_second(const uint32_t *n);
uint32_t vklm_case_third(const uint32_t *n);
uint32_t vklm_case_fourth(const uint32_t *n);

extern const vklm_case_family vklm_case_attention_decode, vklm_case_attention_decode_dot8,
    vklm_case_attention_prefill, vklm_case_attention_prefill_coop,
    vklm_case_attention_prefill_coop_exact, vklm_case_attention_prefill_coop_large,
    vklm_case_column_squares, vklm_case_embed, vklm_case_embed_dot8, vklm_case_expert_coop,
    vklm_case_expert_coop_down, vklm_case_expert_coop_down_exact, vklm_case_expert_coop_exact,
    vklm_case_expert_down, vklm_case_expert_down_dot8, vklm_case_expert_group,
    vklm_case_expert_matmul, vklm_case_expert_matmul_dot8, vklm_case_expert_matmul_down,
    vklm_case_expert_matmul_down_dot8, vklm_case_input16_rows, vklm_case_input8_rows,
    vklm_case_matmul_dot8, vklm_case_expert_swiglu, vklm_case_expert_swiglu_dot8, vklm_case_matmul,
    vklm_case_matmul_coop, vklm_case_matmul_coop_exact, vklm_case_matvec, vklm_case_matvec_columns,
    vklm_case_matvec_columns_dot8, vklm_case_matvec_dot8, vklm_case_matvec_qkv,
    vklm_case_matvec_qkv_dot8, vklm_case_matvec_residual, vklm_case_matvec_residual_dot8,
    vklm_case_matvec_swiglu, vklm_case_matvec_swiglu_dot8, vklm_case_rmsnorm, vklm_case_rope_kv,
    vklm_case_router, vklm_case_router_decode, vklm_case_sample, vklm_case_sample_draw,
    vklm_case_sample_odd, vklm_case_swiglu;

#endif
