// ops/tune.h: which variant of a kernel a device gets: the one table of lanes, tiles and splits.
//
// Selection looks at caps alone, so that it can be tested for devices that are not there.
#ifndef VKLM_OPS_TUNE_H
#define VKLM_OPS_TUNE_H

#include "gpu/caps.h"
#include "quant/format.h"

// Kernel families with one variant per weight format.
typedef enum {
    VKLM_FAMILY_MATVEC = 0,
    VKLM_FAMILY_MATVEC_QKV,
    VKLM_FAMILY_MATVEC_QKV_KVQ8,
    VKLM_FAMILY_MATVEC_SWIGLU,
    VKLM_FAMILY_MATVEC_RESIDUAL,
    VKLM_FAMILY_MATVEC_COLUMNS,
    VKLM_FAMILY_MATMUL,
    VKLM_FAMILY_MATMUL_SUBGROUP,
    VKLM_FAMILY_EMBED,
    VKLM_FAMILY_EXPERT_SWIGLU,
    VKLM_FAMILY_EXPERT_DOWN,
    VKLM_FAMILY_EXPERT_MATMUL,
    VKLM_FAMILY_EXPERT_MATMUL_SUBGROUP,
    VKLM_FAMILY_COUNT,
} vklm_family;

// The shader's name; `dot8`: the dot8 tier's, which exists for the matvec, matmul and expert
// kernels of packed formats.
const char *vklm_tune_shader(vklm_family family, vklm_format format);
const char *vklm_tune_shader_dot8(vklm_family family, vklm_format format);

// Whether a matrix of n_cols columns is multiplied with inputs in 8 bits.
bool vklm_tune_dot8(const vklm_gpu_caps *caps, vklm_format format, uint32_t n_cols);

typedef struct {
    uint32_t matvec_lanes;           // invocations per workgroup of the matvec kernels
    bool matvec_smallest;            // they are the device's smallest subgroup, which is asked for
    uint32_t matvec_rows;            // rows per workgroup (the qkv kernel has 4)
    uint32_t columns_rows;           // of matvec_columns
    uint32_t row_lanes;              // invocations per row of embed and rmsnorm
    uint32_t element_lanes;          // of the element-wise kernels
    uint32_t sample_lanes;           // of sample
    uint32_t attention_lanes;        // of attention_decode
    uint32_t attention_chunk;        // KV positions per split
    uint32_t tile_tokens, tile_rows; // of matmul in shared memory
    uint32_t prefill_tokens;         // tokens per prefill chunk
} vklm_tuning;

vklm_tuning vklm_tune_select(const vklm_gpu_caps *caps);

// The base tier's matmul: on GPUs tiles in shared memory, on processors in registers. Experts'
// tiles are of one height for all tiers that the device has.
typedef struct {
    vklm_family family;
    uint32_t lanes, tile_tokens, tile_rows; // constants 0, 2, 3
} vklm_tune_tile;
vklm_tune_tile vklm_tune_matmul(const vklm_gpu_caps *caps);
vklm_tune_tile vklm_tune_expert_matmul(const vklm_gpu_caps *caps);

// The same of the dot8 tier, for shaders of vklm_tune_shader_dot8; and whether prompts are
// multiplied there: not where there are matrix units.
vklm_tune_tile vklm_tune_matmul_dot8(const vklm_gpu_caps *caps);
bool vklm_tune_prompt_dot8(const vklm_gpu_caps *caps, vklm_format format, uint32_t n_cols);

// The coop tier's kernels: matmul, dense or of grouped experts, and attention_prefill. Constants
// with these ids, the others are the kernel's own.
typedef struct {
    const char *shader;                        // NULL: the base tier's kernel
    uint32_t lanes;                            // 0
    uint32_t tile_tokens, tile_rows;           // 2, 3; of attention queries and keys: 2, 4
    uint32_t m, n, k;                          // 7, 8, 9: the device's matrices
    uint32_t subgroups_tokens, subgroups_rows; // 10, 11
    bool ahead;                                // 5
} vklm_tune_coop;
// For a matrix of n_rows rows and n_tokens tokens. Experts' are vklm_tune_expert_matmul's.
vklm_tune_coop vklm_tune_matmul_coop(const vklm_gpu_caps *caps, vklm_format format, uint32_t n_rows,
                                     uint32_t n_tokens);
vklm_tune_coop vklm_tune_expert_matmul_coop(const vklm_gpu_caps *caps, vklm_format format);

// attention_prefill's tile for a head size: the first that fits the shared memory.
typedef struct {
    uint32_t lanes, queries, keys;
} vklm_tune_prefill_tile;
vklm_tune_prefill_tile vklm_tune_attention_prefill(const vklm_gpu_caps *caps, uint32_t head_dim);
vklm_tune_coop vklm_tune_attention_prefill_coop(const vklm_gpu_caps *caps, uint32_t head_dim,
                                                uint32_t n_heads, uint32_t n_tokens, bool kv_q8);

// Bytes of shared memory, as the shaders declare them.
uint32_t vklm_tune_prefill_shared(vklm_tune_prefill_tile tile, uint32_t head_dim);
uint32_t vklm_tune_prefill_coop_shared(const vklm_tune_coop *tile, uint32_t head_dim);
uint32_t vklm_tune_matmul_shared(const vklm_tuning *tuning);
uint32_t vklm_tune_dot8_shared(vklm_tune_tile tile);

#endif
