#include "ops/tune.h"

#include <stddef.h>

const char *vklm_tune_shader(vklm_family family, vklm_format format)
{
#define FORMATS(name)                                                                              \
    {                                                                                              \
#name "_f32", #name "_f16", #name "_bf16", #name "_q8", #name "_q4"                        \
    }
    static const char *const shaders[VKLM_FAMILY_COUNT][VKLM_FORMAT_COUNT] = {
        [VKLM_FAMILY_MATVEC] = FORMATS(matvec),
        [VKLM_FAMILY_MATVEC_QKV] = FORMATS(matvec_qkv),
        [VKLM_FAMILY_MATVEC_QKV_KVQ8] = FORMATS(matvec_qkv_kvq8),
        [VKLM_FAMILY_MATVEC_SWIGLU] = FORMATS(matvec_swiglu),
        [VKLM_FAMILY_MATVEC_RESIDUAL] = FORMATS(matvec_residual),
        [VKLM_FAMILY_MATVEC_COLUMNS] = FORMATS(matvec_columns),
        [VKLM_FAMILY_MATMUL] = FORMATS(matmul),
        [VKLM_FAMILY_MATMUL_SUBGROUP] = FORMATS(matmul_subgroup),
        [VKLM_FAMILY_EMBED] = FORMATS(embed),
        [VKLM_FAMILY_EXPERT_SWIGLU] = FORMATS(expert_swiglu),
        [VKLM_FAMILY_EXPERT_DOWN] = FORMATS(expert_down),
        [VKLM_FAMILY_EXPERT_MATMUL] = FORMATS(expert_matmul),
        [VKLM_FAMILY_EXPERT_MATMUL_SUBGROUP] = FORMATS(expert_matmul_subgroup),
    };
#undef FORMATS
    return shaders[family][format];
}

const char *vklm_tune_shader_dot8(vklm_family family, vklm_format format)
{
    static const char *const shaders[VKLM_FAMILY_COUNT][2] = {
        [VKLM_FAMILY_MATVEC] = {"matvec_dot8_q8", "matvec_dot8_q4"},
        [VKLM_FAMILY_MATVEC_QKV] = {"matvec_qkv_dot8_q8", "matvec_qkv_dot8_q4"},
        [VKLM_FAMILY_MATVEC_QKV_KVQ8] = {"matvec_qkv_kvq8_dot8_q8", "matvec_qkv_kvq8_dot8_q4"},
        [VKLM_FAMILY_MATVEC_SWIGLU] = {"matvec_swiglu_dot8_q8", "matvec_swiglu_dot8_q4"},
        [VKLM_FAMILY_MATVEC_RESIDUAL] = {"matvec_residual_dot8_q8", "matvec_residual_dot8_q4"},
        [VKLM_FAMILY_MATVEC_COLUMNS] = {"matvec_columns_dot8_q8", "matvec_columns_dot8_q4"},
        [VKLM_FAMILY_MATMUL] = {"matmul_dot8_q8", "matmul_dot8_q4"},
        [VKLM_FAMILY_EXPERT_SWIGLU] = {"expert_swiglu_dot8_q8", "expert_swiglu_dot8_q4"},
        [VKLM_FAMILY_EXPERT_DOWN] = {"expert_down_dot8_q8", "expert_down_dot8_q4"},
        [VKLM_FAMILY_EXPERT_MATMUL] = {"expert_matmul_dot8_q8", "expert_matmul_dot8_q4"},
    };
    return shaders[family][format == VKLM_FORMAT_Q4];
}

bool vklm_tune_dot8(const vklm_gpu_caps *caps, vklm_format format, uint32_t n_cols)
{
    return caps->tiers & VKLM_TIER_DOT8 && vklm_format_is_packed(format) && n_cols % 64 == 0;
}

// The first row that fits. A CPU driver runs the invocations of a workgroup in a loop and pays for
// every barrier: one subgroup per workgroup (lanes 0: the subgroup size) has none. On GPUs a matvec
// workgroup is one subgroup too: K / 8 / lanes passes of 4 independent 16-byte loads each. Lavapipe
// of Mesa 22.3 ends loops once an invocation has made 65535 iterations in all: sample, with 32
// passes over its list, needs lanes.
static const struct {
    bool cpu;
    uint32_t max_subgroup; // applies to devices with a subgroup size of at most this
    vklm_tuning tuning;
} table[] = {
    // cpu, sub, lanes small rows columns' row elem sample att chunk tile   chunk
    {true, 128, {0, 0, 4, 2, 0, 64, 64, 0, 128, 64, 64, 128}},
    {false, 16, {32, 0, 4, 2, 128, 64, 256, 64, 128, 64, 64, 128}},
    {false, 32, {32, 0, 4, 2, 128, 64, 256, 64, 128, 64, 64, 512}},
    {false, 128, {64, 0, 4, 2, 128, 64, 256, 64, 128, 64, 64, 512}},
};

vklm_tuning vklm_tune_select(const vklm_gpu_caps *caps)
{
    size_t i = 0;
    while (i < sizeof table / sizeof *table - 1 &&
           (table[i].cpu != (caps->type == VKLM_DEVICE_CPU) ||
            caps->subgroup_size > table[i].max_subgroup))
        i++;
    vklm_tuning t = table[i].tuning;
    uint32_t *lanes[] = {&t.matvec_lanes, &t.row_lanes, &t.sample_lanes, &t.attention_lanes};
    for (size_t n = 0; n < sizeof lanes / sizeof *lanes; n++)
        if (*lanes[n] == 0)
            *lanes[n] = caps->subgroup_size;
    // AMD's RDNA has subgroups of 64 by default, and of 32: 2048 columns in blocks of 64 leave no
    // lane of those idle, and navi31's compiler pairs instructions (3.8 a weight instead of 4.5,
    // q4).
    if (caps->type != VKLM_DEVICE_CPU && caps->min_subgroup_size == 32 && t.matvec_lanes == 64 &&
        caps->subgroup_size_control && caps->full_subgroups) {
        t.matvec_lanes = 32;
        t.matvec_smallest = true;
    }
    // A chunk is one submit per layer: shorter ones where the desktop shares the device.
    if (caps->type == VKLM_DEVICE_INTEGRATED)
        t.prefill_tokens = 128;
    while (vklm_tune_matmul_shared(&t) > caps->max_shared_bytes && t.tile_rows > 16)
        t.tile_rows /= 2;
    return t;
}

vklm_tune_tile vklm_tune_matmul(const vklm_gpu_caps *caps)
{
    const vklm_tuning t = vklm_tune_select(caps);
    // Eight rows a lane: fewer leave lavapipe waiting for sums, more take seconds to compile.
    if (caps->type == VKLM_DEVICE_CPU && caps->subgroup_ballot)
        return (vklm_tune_tile){VKLM_FAMILY_MATMUL_SUBGROUP, caps->subgroup_size, 8,
                                8 * caps->subgroup_size};
    return (vklm_tune_tile){VKLM_FAMILY_MATMUL, 256, t.tile_tokens, t.tile_rows};
}

vklm_tune_tile vklm_tune_expert_matmul(const vklm_gpu_caps *caps)
{
    vklm_tune_tile tile = vklm_tune_matmul(caps);
    const vklm_tuning t = vklm_tune_select(caps);
    if (tile.family == VKLM_FAMILY_MATMUL || caps->tiers & (VKLM_TIER_DOT8 | VKLM_TIER_COOP))
        return (vklm_tune_tile){VKLM_FAMILY_EXPERT_MATMUL, 256, t.tile_tokens, t.tile_rows};
    tile.family = VKLM_FAMILY_EXPERT_MATMUL_SUBGROUP;
    return tile;
}

vklm_tune_tile vklm_tune_matmul_dot8(const vklm_gpu_caps *caps)
{
    const vklm_tuning t = vklm_tune_select(caps);
    return (vklm_tune_tile){VKLM_FAMILY_MATMUL, 256, t.tile_tokens, t.tile_rows};
}

bool vklm_tune_prompt_dot8(const vklm_gpu_caps *caps, vklm_format format, uint32_t n_cols)
{
    return vklm_tune_dot8(caps, format, n_cols) && !(caps->tiers & VKLM_TIER_COOP) &&
           vklm_tune_dot8_shared(vklm_tune_matmul_dot8(caps)) <= caps->max_shared_bytes;
}

uint32_t vklm_tune_dot8_shared(vklm_tune_tile t)
{
    // Two pairs of tiles of 2 blocks: 8 words and a line of two floats of each.
    const uint32_t blocks = 2 * 2;
    return 4 * blocks *
           (8 * (t.tile_tokens + 4 + t.tile_rows + 4) + 2 * (t.tile_tokens + t.tile_rows));
}

uint32_t vklm_tune_matmul_shared(const vklm_tuning *t)
{
    const uint32_t columns = 32; // BUFFERS * BLOCK_K
    return 4 * (columns * (t->tile_tokens + 4 + t->tile_rows + 4) + t->tile_tokens);
}

uint32_t vklm_tune_prefill_shared(vklm_tune_prefill_tile t, uint32_t head_dim)
{
    return 4 * ((t.queries + t.keys) * (head_dim + 1) + t.queries * t.keys);
}

vklm_tune_prefill_tile vklm_tune_attention_prefill(const vklm_gpu_caps *caps, uint32_t head_dim)
{
    // An invocation holds queries * head_dim / lanes elements of the result: 16 for LLM-jp's heads,
    // for of 32 Intel's compiler spills (skl, tgl, dg2, bmg with Mesa 25.0).
    static const vklm_tune_prefill_tile tiles[] = {
        {128, 16, 32}, {128, 8, 16}, {64, 8, 16}, {32, 4, 8}};
    const size_t last = sizeof tiles / sizeof *tiles - 1;
    // More than 32 KiB would leave a compute unit a single workgroup.
    const uint32_t most = caps->max_shared_bytes < 32768 ? caps->max_shared_bytes : 32768;
    size_t i = 0;
    while (i < last && (vklm_tune_prefill_shared(tiles[i], head_dim) > most ||
                        head_dim % (tiles[i].lanes / tiles[i].queries) != 0))
        i++;
    return tiles[i];
}

// Whether tiles are on their way to registers while others are multiplied: where lanes are many,
// and on processors, whose tests then execute what those get. On 8 and 16 lanes (Intel's) it
// spills.
static bool fetches_ahead(const vklm_gpu_caps *caps)
{
    return caps->min_subgroup_size >= 32 || caps->type == VKLM_DEVICE_CPU;
}

// Lanes of a tile's sums, which stay in registers: 32 for each lane of 64 x 64, and on subgroups of
// 32 and more 64 for each of 128 x 128, which reads half as much of the shared memory per product.
// On 8 and 16 lanes (Intel) 64 sums spill: 184 registers on dg2 and 87 on bmg with Mesa 26.2, none
// of either with 32.
static vklm_tune_coop coop_tile(const vklm_gpu_caps *caps, uint32_t side, uint32_t sums_per_lane)
{
    const vklm_coop_shape *shape = vklm_gpu_caps_coop_shape(caps);
    vklm_tune_coop t = {.lanes = side * side / sums_per_lane,
                        .tile_tokens = side,
                        .tile_rows = side,
                        .m = shape->m,
                        .n = shape->n,
                        .k = shape->k,
                        .subgroups_tokens = 1,
                        .subgroups_rows = 1,
                        .ahead = fetches_ahead(caps)};
    // Each subgroup's rectangle as square as may be: fewer loads of either side.
    for (uint32_t n = t.lanes / caps->min_subgroup_size; n > 1; n /= 2) {
        uint32_t tokens = side / t.subgroups_tokens, rows = side / t.subgroups_rows;
        if (rows >= tokens && rows > t.n)
            t.subgroups_rows *= 2;
        else
            t.subgroups_tokens *= 2;
    }
    return t;
}

enum { COOP_TOKENS = 8 }; // fewer leave most of a matrix empty

vklm_tune_coop vklm_tune_matmul_coop(const vklm_gpu_caps *caps, vklm_format format, uint32_t n_rows,
                                     uint32_t n_tokens)
{
    static const char *const shaders[VKLM_FORMAT_COUNT] = {[VKLM_FORMAT_F16] = "matmul_coop_f16",
                                                           [VKLM_FORMAT_BF16] = "matmul_coop_bf16",
                                                           [VKLM_FORMAT_Q8] = "matmul_coop_q8",
                                                           [VKLM_FORMAT_Q4] = "matmul_coop_q4"};
    if (!(caps->tiers & VKLM_TIER_COOP) || !shaders[format] || n_tokens < COOP_TOKENS)
        return (vklm_tune_coop){0};
    // Large tiles where there are enough of them to fill a GPU.
    const uint64_t n_large = (uint64_t)(n_rows / 128) * (n_tokens / 128);
    bool large = caps->min_subgroup_size >= 32 && n_large >= 128;
    vklm_tune_coop t = large ? coop_tile(caps, 128, 64) : coop_tile(caps, 64, 32);
    t.shader = shaders[format];
    return t;
}

vklm_tune_coop vklm_tune_expert_matmul_coop(const vklm_gpu_caps *caps, vklm_format format)
{
    static const char *const shaders[VKLM_FORMAT_COUNT] = {
        [VKLM_FORMAT_F16] = "expert_matmul_coop_f16",
        [VKLM_FORMAT_BF16] = "expert_matmul_coop_bf16",
        [VKLM_FORMAT_Q8] = "expert_matmul_coop_q8",
        [VKLM_FORMAT_Q4] = "expert_matmul_coop_q4"};
    if (!(caps->tiers & VKLM_TIER_COOP) || !shaders[format])
        return (vklm_tune_coop){0};
    vklm_tune_coop t = coop_tile(caps, vklm_tune_expert_matmul(caps).tile_tokens, 32);
    t.shader = shaders[format];
    return t;
}

uint32_t vklm_tune_prefill_coop_shared(const vklm_tune_coop *t, uint32_t head_dim)
{
    const uint32_t queries = t->tile_tokens, keys = t->tile_rows, row = head_dim / 4 + 2;
    const uint32_t by_keys = keys * row, by_columns = head_dim * (keys / 4 + 2);
    const uint32_t scores = queries * (keys / 4 + 1),
                   space = t->subgroups_tokens * t->subgroups_rows * t->m * t->n / 4;
    return 8 * (queries * row + (by_keys > by_columns ? by_keys : by_columns)) +
           16 * (scores > space ? scores : space) + 8 * queries * (keys / 4 + 2) +
           4 * queries * t->n + 4 * t->lanes + 8;
}

vklm_tune_coop vklm_tune_attention_prefill_coop(const vklm_gpu_caps *caps, uint32_t head_dim,
                                                uint32_t n_heads, uint32_t n_tokens, bool kv_q8)
{
    // A lane keeps queries * head_dim / lanes elements of the result: more than 32 would spill, as
    // in a matrix product. Large tiles where there are enough of them to fill a GPU.
    static const vklm_tune_prefill_tile tiles[] = {
        {256, 64, 32}, {128, 32, 32}, {128, 16, 32}, {64, 16, 16}};
    enum { N_TILES = sizeof tiles / sizeof *tiles };
    // Smaller heads have little to gain; for those of 8 GPU-assisted validation reports races of
    // invocations that a subgroup barrier keeps apart.
    enum { LEAST_HEAD = 32 };
    const vklm_coop_shape *shape = vklm_gpu_caps_coop_shape(caps);
    if (!(caps->tiers & VKLM_TIER_COOP) || n_tokens < COOP_TOKENS || head_dim < LEAST_HEAD ||
        head_dim % shape->n != 0 || head_dim % shape->k != 0)
        return (vklm_tune_coop){0};
    for (size_t i = (uint64_t)n_heads * (n_tokens / tiles[0].queries) < 128; i < N_TILES; i++) {
        const uint32_t subgroups = tiles[i].lanes / caps->min_subgroup_size,
                       rows = tiles[i].queries / shape->m;
        vklm_tune_coop t = {.shader =
                                kv_q8 ? "attention_prefill_coop_kvq8" : "attention_prefill_coop",
                            .lanes = tiles[i].lanes,
                            .tile_tokens = tiles[i].queries,
                            .tile_rows = tiles[i].keys,
                            .m = shape->m,
                            .n = shape->n,
                            .k = shape->k,
                            .subgroups_tokens = rows < subgroups ? rows : subgroups,
                            .ahead = fetches_ahead(caps)};
        t.subgroups_rows = subgroups / t.subgroups_tokens;
        if (vklm_tune_prefill_coop_shared(&t, head_dim) <= caps->max_shared_bytes &&
            (i == N_TILES - 1 || t.tile_tokens * head_dim <= 32 * t.lanes))
            return t;
    }
    return (vklm_tune_coop){0};
}
