// Tests of what is decided from a device's capabilities alone, on devices that are not there: the
// choice of a device, its tiers, the tuning, and where weights lie.
#include <criterion/criterion.h>

#include <string.h>

#include "gpu/caps.h"
#include "gpu/instance.h"
#include "gpu/memory.h"
#include "ops/tune.h"

static vklm_gpu_caps device(const char *name, vklm_device_type type, uint32_t subgroup,
                            uint64_t gib)
{
    vklm_gpu_caps c = {
        .type = type,
        .api_version = 1u << 22 | 3u << 12,
        .subgroup_size = subgroup,
        .min_subgroup_size = subgroup,
        .max_subgroup_size = subgroup,
        .subgroup_arithmetic = true,
        .subgroup_ballot = true,
        .max_workgroup_invocations = 1024,
        .max_shared_bytes = 32768,
        .max_push_bytes = 128,
        .max_allocation_bytes = (uint64_t)4 << 30,
        .max_buffer_bytes = (uint64_t)4 << 30,
        .buffer_address = true,
        .timeline_semaphore = true,
        .synchronization2 = true,
        .n_heaps = 1,
        .heaps = {{.bytes = gib << 30, .budget = gib << 30, .device_local = true}},
    };
    strcpy(c.name, name);
    const char *missing;
    c.tiers = vklm_gpu_caps_tiers(&c, &missing);
    return c;
}

Test(select, prefers_discrete_then_memory_then_what_runs)
{
    vklm_gpu_caps cpu = device("llvmpipe", VKLM_DEVICE_CPU, 8, 64);
    vklm_gpu_caps igpu = device("Radeon 780M", VKLM_DEVICE_INTEGRATED, 64, 32);
    vklm_gpu_caps small = device("Arc A380", VKLM_DEVICE_DISCRETE, 32, 6);
    vklm_gpu_caps large = device("Radeon RX 7900 XTX", VKLM_DEVICE_DISCRETE, 64, 24);
    vklm_gpu_caps broken = device("Old GPU", VKLM_DEVICE_DISCRETE, 64, 48);
    broken.buffer_address = false;
    broken.tiers = 0;
    const vklm_gpu_caps *all[] = {&cpu, &igpu, &small, &large, &broken};
    size_t index;
    cr_assert_eq(vklm_gpu_select(all, 5, NULL, &index), VKLM_OK);
    cr_expect_eq(index, 3);
    cr_assert_eq(vklm_gpu_select(all, 3, NULL, &index), VKLM_OK);
    cr_expect_eq(index, 2);
    cr_assert_eq(vklm_gpu_select(all, 1, NULL, &index), VKLM_OK);
    cr_expect_eq(index, 0);
    cr_assert_eq(vklm_gpu_select(all, 5, "radeon", &index), VKLM_OK);
    cr_expect_eq(index, 3);
    cr_assert_eq(vklm_gpu_select(all, 5, "780m", &index), VKLM_OK);
    cr_expect_eq(index, 1);
    cr_assert_eq(vklm_gpu_select(all, 5, "0", &index), VKLM_OK);
    cr_expect_eq(index, 0);
    cr_expect_eq(vklm_gpu_select(all, 5, "5", &index), VKLM_NOT_FOUND);
    cr_expect_eq(vklm_gpu_select(all, 5, "geforce", &index), VKLM_NOT_FOUND);
    cr_expect(strstr(vklm_error_message(), "Arc A380"), "%s", vklm_error_message());
    cr_expect_eq(vklm_gpu_select(all, 5, "old", &index), VKLM_UNSUPPORTED);
    cr_expect(strstr(vklm_error_message(), "buffer device addresses"));
    cr_expect_eq(vklm_gpu_select(all, 0, NULL, &index), VKLM_NO_DEVICE);
}

Test(tiers, need_extension_and_feature)
{
    vklm_gpu_caps c = device("x", VKLM_DEVICE_DISCRETE, 64, 8);
    const char *missing;
    cr_expect_eq(vklm_gpu_caps_tiers(&c, &missing), VKLM_TIER_BASE);
    c.int8_dot = c.int8_dot_accelerated = true;
    cr_expect_eq(vklm_gpu_caps_tiers(&c, &missing), VKLM_TIER_BASE | VKLM_TIER_DOT8);
    c.n_coop_shapes = 4; // a table without the extension proves nothing
    cr_expect_eq(vklm_gpu_caps_tiers(&c, &missing), VKLM_TIER_BASE | VKLM_TIER_DOT8);
    c.coop_matrix = c.float16 = c.memory_model = c.full_subgroups = true;
    cr_expect_eq(vklm_gpu_caps_tiers(&c, &missing), VKLM_TIER_BASE | VKLM_TIER_DOT8,
                 "a table of zeros");
    c.coop_shapes[3] = (vklm_coop_shape){16, 16, 16, 0, 0, 0, 0}; // into f16
    cr_expect_eq(vklm_gpu_caps_tiers(&c, &missing), VKLM_TIER_BASE | VKLM_TIER_DOT8);
    c.coop_shapes[1] = (vklm_coop_shape){16, 8, 8, 0, 0, 1, 1};
    c.coop_shapes[2] = (vklm_coop_shape){16, 8, 16, 0, 0, 1, 1};
    const unsigned all = VKLM_TIER_BASE | VKLM_TIER_DOT8 | VKLM_TIER_COOP;
    cr_expect_eq(vklm_gpu_caps_tiers(&c, &missing), all);
    cr_expect_eq(vklm_gpu_caps_coop_shape(&c), &c.coop_shapes[2], "the largest");
    bool *const needed[] = {&c.coop_matrix, &c.float16, &c.memory_model, &c.full_subgroups};
    for (size_t i = 0; i < sizeof needed / sizeof *needed; i++) {
        *needed[i] = false;
        cr_expect_eq(vklm_gpu_caps_tiers(&c, &missing), VKLM_TIER_BASE | VKLM_TIER_DOT8);
        *needed[i] = true;
    }
    c.min_subgroup_size = 32; // of 64: which one a kernel gets must be for us to say
    cr_expect_eq(vklm_gpu_caps_tiers(&c, &missing), VKLM_TIER_BASE | VKLM_TIER_DOT8);
    c.subgroup_size_control = true;
    cr_expect_eq(vklm_gpu_caps_tiers(&c, &missing), all);
    c.type = VKLM_DEVICE_CPU; // can, but is not fast at it
    cr_expect_eq(vklm_gpu_caps_tiers(&c, &missing), VKLM_TIER_BASE | VKLM_TIER_DOT8);
    c.tiers = VKLM_TIER_BASE | VKLM_TIER_DOT8;
    cr_expect_eq(vklm_gpu_caps_runnable_tiers(&c), all);
    c.tiers = 0;
    cr_expect_eq(vklm_gpu_caps_runnable_tiers(&c), 0);
    c.max_shared_bytes = 8192;
    cr_expect_eq(vklm_gpu_caps_tiers(&c, &missing), 0);
    cr_expect_str_eq(missing, "16 KiB of shared memory");
}

// Every device class gets workgroups within the least that Vulkan and our base tier guarantee.
Test(tune, respects_the_limits)
{
    for (int type = VKLM_DEVICE_DISCRETE; type <= VKLM_DEVICE_CPU; type++)
        for (uint32_t subgroup = 4; subgroup <= 128; subgroup *= 2) {
            vklm_gpu_caps c = device("x", (vklm_device_type)type, subgroup, 8);
            vklm_tuning t = vklm_tune_select(&c);
            cr_expect(t.matvec_lanes >= 4 && t.matvec_lanes <= 256);
            cr_expect(t.matvec_rows >= 2 && t.matvec_rows % 2 == 0);
            cr_expect(t.row_lanes >= 4 && t.row_lanes <= 256);
            cr_expect(t.attention_lanes >= 4 && t.attention_lanes <= 256);
            cr_expect(t.attention_chunk > 0 && t.prefill_tokens > 0);
            cr_expect(t.tile_tokens % 16 == 0 && t.tile_rows % 16 == 0);
            cr_expect(32 * (t.tile_tokens + t.tile_rows + 2) * 4 <= 32768);
        }
    vklm_gpu_caps c = device("x", VKLM_DEVICE_DISCRETE, 32, 8);
    for (uint32_t head_dim = 8; head_dim <= 256; head_dim += 8) {
        vklm_tune_prefill_tile t = vklm_tune_attention_prefill(&c, head_dim);
        uint32_t share = t.lanes / t.queries;
        cr_expect(t.lanes % t.queries == 0 && head_dim % share == 0, "head_dim %u", head_dim);
        cr_expect(((t.queries + t.keys) * (head_dim + 1) + t.queries * t.keys) * 4 <= 32768,
                  "head_dim %u", head_dim);
    }
}

// On processors the base tier's tiles lie in registers, unless a tier needs others for its experts.
Test(tune, base_tiles)
{
    for (uint32_t subgroup = 4; subgroup <= 16; subgroup *= 2) {
        vklm_gpu_caps c = device("x", VKLM_DEVICE_CPU, subgroup, 8);
        vklm_tune_tile t = vklm_tune_matmul(&c), e = vklm_tune_expert_matmul(&c);
        cr_expect_eq(t.family, VKLM_FAMILY_MATMUL_SUBGROUP);
        cr_expect_eq(e.family, VKLM_FAMILY_EXPERT_MATMUL_SUBGROUP);
        cr_expect(t.lanes == subgroup && t.tile_rows % subgroup == 0);
        cr_expect(e.tile_tokens == t.tile_tokens && e.tile_rows == t.tile_rows);
        c.tiers |= VKLM_TIER_DOT8;
        cr_expect_eq(vklm_tune_matmul(&c).family, VKLM_FAMILY_MATMUL_SUBGROUP);
        e = vklm_tune_expert_matmul(&c);
        cr_expect(e.family == VKLM_FAMILY_EXPERT_MATMUL && e.tile_tokens == 64);
        c.subgroup_ballot = false;
        cr_expect_eq(vklm_tune_matmul(&c).family, VKLM_FAMILY_MATMUL);
    }
    vklm_gpu_caps c = device("x", VKLM_DEVICE_INTEGRATED, 8, 8);
    cr_expect_eq(vklm_tune_matmul(&c).family, VKLM_FAMILY_MATMUL);
    cr_expect_eq(vklm_tune_expert_matmul(&c).family, VKLM_FAMILY_EXPERT_MATMUL);
}

// Tiles divide into what subgroups own, and fit the shared memory, whatever the table's row is.
static void check_coop_tile(const vklm_gpu_caps *c, vklm_tune_coop t)
{
    cr_assert(t.shader);
    cr_expect(t.lanes <= 256 &&
              t.lanes == t.subgroups_tokens * t.subgroups_rows * c->min_subgroup_size);
    cr_expect(t.tile_tokens % (t.m * t.subgroups_tokens) == 0 &&
              t.tile_tokens >= t.m * t.subgroups_tokens);
    cr_expect(t.tile_rows % (t.n * t.subgroups_rows) == 0 && t.tile_rows >= t.n * t.subgroups_rows);
    cr_expect(80 * (t.tile_tokens + t.tile_rows) +
                      4 * t.subgroups_tokens * t.subgroups_rows * t.m * t.n + 4 + 4 * 64 <=
                  32768,
              "%u lanes", t.lanes); // 64: input_rows of grouped experts
}

Test(tune, coop_tiles)
{
    static const uint32_t rows[][3] = {
        {8, 8, 8}, {8, 8, 16}, {8, 16, 16}, {16, 8, 16}, {16, 16, 16}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        for (uint32_t subgroup = 8; subgroup <= 64; subgroup *= 2) {
            vklm_gpu_caps c = device("x", VKLM_DEVICE_DISCRETE, subgroup, 8);
            c.coop_shapes[0] = (vklm_coop_shape){rows[i][0], rows[i][1], rows[i][2], 0, 0, 1, 1};
            c.n_coop_shapes = 1;
            c.tiers |= VKLM_TIER_COOP;
            check_coop_tile(&c, vklm_tune_matmul_coop(&c, VKLM_FORMAT_Q4, 5120, 8));
            check_coop_tile(&c, vklm_tune_matmul_coop(&c, VKLM_FORMAT_BF16, 99584, 256));
            vklm_tune_coop t = vklm_tune_expert_matmul_coop(&c, VKLM_FORMAT_Q8);
            check_coop_tile(&c, t);
            cr_expect_eq(t.tile_tokens, vklm_tune_expert_matmul(&c).tile_tokens);
            cr_expect_eq(t.tile_rows, vklm_tune_expert_matmul(&c).tile_rows);
            cr_expect_null(vklm_tune_matmul_coop(&c, VKLM_FORMAT_Q4, 5120, 7).shader);
            cr_expect_null(vklm_tune_matmul_coop(&c, VKLM_FORMAT_F32, 5120, 64).shader);
            c.tiers = VKLM_TIER_BASE;
            cr_expect_null(vklm_tune_matmul_coop(&c, VKLM_FORMAT_Q4, 5120, 64).shader);
            cr_expect_null(vklm_tune_expert_matmul_coop(&c, VKLM_FORMAT_Q4).shader);
        }
}

Test(tune, every_family_and_format_has_a_shader)
{
    for (int family = 0; family < VKLM_FAMILY_COUNT; family++)
        for (int format = 0; format < VKLM_FORMAT_COUNT; format++) {
            const char *name = vklm_tune_shader((vklm_family)family, (vklm_format)format);
            cr_expect(name && strstr(name, vklm_format_name((vklm_format)format)));
        }
}

Test(layout, fills_slabs_and_never_straddles_two)
{
    vklm_gpu_caps c = device("x", VKLM_DEVICE_DISCRETE, 64, 8);
    vklm_gpu_layout layout;
    vklm_gpu_slot slot;
    vklm_gpu_layout_init(&c, &layout);
    cr_expect_eq(layout.max_slab_bytes, (uint64_t)1 << 30);
    layout.max_slab_bytes = 1024;
    static const struct {
        uint64_t bytes;
        uint32_t slab;
        uint64_t offset;
    } adds[] = {{1, 0, 0}, {256, 0, 256}, {257, 0, 512}, {1, 1, 0}, {768, 1, 256}, {1024, 2, 0}};
    for (size_t i = 0; i < sizeof adds / sizeof *adds; i++) {
        cr_assert_eq(vklm_gpu_layout_add(&layout, adds[i].bytes, &slot), VKLM_OK);
        cr_expect(slot.slab == adds[i].slab && slot.offset == adds[i].offset, "add %zu", i);
    }
    cr_expect_eq(vklm_gpu_layout_bytes(&layout), 3 * 1024);
    cr_expect_eq(vklm_gpu_layout_add(&layout, 1025, &slot), VKLM_UNSUPPORTED);
    cr_expect_eq(vklm_gpu_layout_add(&layout, UINT64_MAX, &slot), VKLM_UNSUPPORTED);
    cr_expect_eq(vklm_gpu_layout_add(&layout, 0, &slot), VKLM_UNSUPPORTED);
    vklm_gpu_layout_finish(&layout);
}
