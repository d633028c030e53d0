// The devices that vklm is for, as snapshots in data/devices: what their drivers said to
// `vklm devices --json --no-quirks`. Kernels, memory and corrections are chosen for each as if it
// were there.
//
// AMD's, Intel's and NVIDIA's were taken from Mesa's drivers without the hardware; what a driver
// makes of memory and type then is not the card's own, so the table says what is published.
#include <criterion/criterion.h>

#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "gpu/memory.h"
#include "gpu/quirks.h"
#include "ops/tune.h"

typedef struct {
    const char *name, *file;
    vklm_device_type type;
    unsigned tiers;        // with the corrections
    uint64_t mib[2];       // of the device-local heaps; the last one that is not 0 can be mapped
    uint32_t shared_bytes; // 0: the snapshot's
    uint64_t allocation_mib;
} profile;

enum {
    BASE = VKLM_TIER_BASE,
    DOT8 = VKLM_TIER_BASE | VKLM_TIER_DOT8,
    ALL = VKLM_TIER_BASE | VKLM_TIER_DOT8 | VKLM_TIER_COOP,
    COOP = VKLM_TIER_BASE | VKLM_TIER_COOP,
};

static const profile profiles[] = {
    {"Intel UHD 630 (Gen9)", "intel-skl", VKLM_DEVICE_INTEGRATED, BASE, {12288}, 0, 0},
    {"Intel Arc A770", "intel-dg2", VKLM_DEVICE_DISCRETE, ALL, {16384}, 0, 0},
    {"Intel Arc B580 (Xe2)", "intel-bmg", VKLM_DEVICE_DISCRETE, ALL, {12288}, 0, 0},
    {"Intel Arc 140V (Xe2)", "intel-lnl", VKLM_DEVICE_INTEGRATED, ALL, {16384}, 0, 0},
    {"Intel Arc of Meteor Lake", "intel-mtl", VKLM_DEVICE_INTEGRATED, DOT8, {12288}, 0, 0},
    // The same compiler target family as RX 7900; it shares the machine's memory.
    {"Radeon 780M", "amd-navi31", VKLM_DEVICE_INTEGRATED, ALL, {16384}, 0, 0},
    {"Radeon RX 580, no resizable BAR",
     "amd-polaris10",
     VKLM_DEVICE_DISCRETE,
     BASE,
     {7936, 256},
     0,
     0},
    {"Radeon RX 6800", "amd-navi21", VKLM_DEVICE_DISCRETE, DOT8, {16368}, 0, 0},
    {"Radeon RX 7900 XTX", "amd-navi31", VKLM_DEVICE_DISCRETE, ALL, {24560}, 0, 0},
    {"Radeon RX 7900 XTX on Windows",
     "amd-navi31",
     VKLM_DEVICE_DISCRETE,
     ALL,
     {24304, 256},
     32768,
     2048},
    {"GeForce GTX 1060", "nvidia-pascal", VKLM_DEVICE_DISCRETE, BASE, {6144}, 49152, 4095},
    {"GeForce RTX 3060 Laptop", "nvidia-ampere", VKLM_DEVICE_DISCRETE, ALL, {6144}, 49152, 4095},
    {"lavapipe of Mesa 22.3", "lavapipe22", VKLM_DEVICE_CPU, BASE, {0}, 0, 0},
    {"lavapipe of Mesa 25.0", "lavapipe25", VKLM_DEVICE_CPU, BASE, {0}, 0, 0},
    {"SwiftShader", "swiftshader", VKLM_DEVICE_CPU, BASE, {0}, 0, 0},
};
enum { N_PROFILES = sizeof profiles / sizeof *profiles };

static double number(const cJSON *o, const char *name)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(o, name);
    cr_assert(cJSON_IsNumber(item) || cJSON_IsBool(item), "%s", name);
    return cJSON_IsNumber(item) ? item->valuedouble : cJSON_IsTrue(item);
}

static void read_lists(const cJSON *o, vklm_gpu_caps *c)
{
    const cJSON *item;
    cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(o, "heaps")) c->heaps[c->n_heaps++] =
        (vklm_gpu_heap){
            .bytes = (uint64_t)number(item, "bytes"),
            .budget = (uint64_t)number(item, "bytes"),
            .device_local = number(item, "device_local") != 0,
            .host_visible = number(item, "host_visible") != 0,
        };
    cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(o, "coop_shapes"))
    {
        int v[7];
        for (int i = 0; i < 7; i++)
            v[i] = cJSON_GetArrayItem(item, i)->valueint;
        c->coop_shapes[c->n_coop_shapes++] =
            (vklm_coop_shape){(uint32_t)v[0], (uint32_t)v[1], (uint32_t)v[2], (uint8_t)v[3],
                              (uint8_t)v[4],  (uint8_t)v[5],  (uint8_t)v[6]};
    }
}

static vklm_gpu_caps snapshot(const char *file)
{
    char path[256];
    unsigned major, minor, patch;
    vklm_string text = {0};
    snprintf(path, sizeof path, "%s/devices/%s.json", VKLM_TEST_DATA, file);
    cr_assert_eq(vklm_file_read(path, 1 << 20, &text), VKLM_OK, "%s", vklm_error_message());
    cJSON *o = cJSON_Parse(text.data);
    cr_assert(o, "%s", path);
    const char *type = cJSON_GetObjectItemCaseSensitive(o, "type")->valuestring;
    cr_assert_eq(sscanf(cJSON_GetObjectItemCaseSensitive(o, "vulkan")->valuestring, "%u.%u.%u",
                        &major, &minor, &patch),
                 3);
    vklm_gpu_caps c = {
        .type = strcmp(type, "discrete") == 0     ? VKLM_DEVICE_DISCRETE
                : strcmp(type, "integrated") == 0 ? VKLM_DEVICE_INTEGRATED
                                                  : VKLM_DEVICE_CPU,
        .vendor_id = (uint32_t)number(o, "vendor_id"),
        .device_id = (uint32_t)number(o, "device_id"),
        .driver_id = (uint32_t)number(o, "driver_id"),
        .driver_version = (uint32_t)number(o, "driver_version"),
        .api_version = major << 22 | minor << 12 | patch,
        .subgroup_size = (uint32_t)number(o, "subgroup_size"),
        .min_subgroup_size = (uint32_t)number(o, "min_subgroup_size"),
        .max_subgroup_size = (uint32_t)number(o, "max_subgroup_size"),
        .subgroup_arithmetic = true, // or the driver would have been found unusable
        .buffer_address = true,
        .timeline_semaphore = true,
        .synchronization2 = true,
        .max_workgroup_invocations = (uint32_t)number(o, "max_workgroup_invocations"),
        .max_workgroup_size = {(uint32_t)number(o, "max_workgroup_invocations")},
        .max_workgroup_count = {65535, 65535, 65535},
        .max_shared_bytes = (uint32_t)number(o, "max_shared_bytes"),
        .max_push_bytes = (uint32_t)number(o, "max_push_bytes"),
        .max_allocation_bytes = (uint64_t)number(o, "max_allocation_bytes"),
        .max_buffer_bytes = (uint64_t)number(o, "max_buffer_bytes"),
        .storage16 = number(o, "storage_16bit") != 0,
        .storage8 = number(o, "storage_8bit") != 0,
        .float16 = number(o, "float16") != 0,
        .int64 = number(o, "int64") != 0,
        .int8_dot = number(o, "dot8_accelerated") != 0,
        .int8_dot_accelerated = number(o, "dot8_accelerated") != 0,
        .coop_matrix = number(o, "cooperative_matrix_shapes") > 0,
        .memory_model = true, // these three on every driver here that has the matrices
        .full_subgroups = true,
        .subgroup_size_control = true,
    };
    snprintf(c.name, sizeof c.name, "%s", cJSON_GetObjectItemCaseSensitive(o, "name")->valuestring);
    snprintf(c.driver_info, sizeof c.driver_info, "%s",
             cJSON_GetObjectItemCaseSensitive(o, "driver")->valuestring);
    read_lists(o, &c);
    cJSON_Delete(o);
    vklm_string_finish(&text);
    return c;
}

static vklm_gpu_caps device_of(const profile *p)
{
    vklm_gpu_caps c = snapshot(p->file);
    c.type = p->type;
    if (p->shared_bytes)
        c.max_shared_bytes = p->shared_bytes;
    if (p->allocation_mib)
        c.max_allocation_bytes = p->allocation_mib << 20;
    for (uint32_t i = 0; i < 2 && p->mib[i]; i++) {
        c.n_heaps = i + 1;
        c.heaps[i] = (vklm_gpu_heap){.bytes = p->mib[i] << 20,
                                     .budget = p->mib[i] << 20,
                                     .device_local = true,
                                     .host_visible = i == 1 || !p->mib[1]};
    }
    vklm_gpu_quirks_apply(&c);
    const char *missing;
    c.tiers = vklm_gpu_caps_tiers(&c, &missing);
    return c;
}

// The coop tier's attention: its matrices divide the tile among full subgroups.
static void check_coop(const char *name, const vklm_gpu_caps *c, uint32_t head_dim)
{
    static const uint32_t heads[] = {2, 40}, tokens[] = {8, 256};
    for (size_t i = 0; i < 4; i++) {
        vklm_tune_coop t =
            vklm_tune_attention_prefill_coop(c, head_dim, heads[i / 2], tokens[i % 2], false);
        // of the matrices here 16 is the longest side; small heads stay with the base tier
        bool divides = head_dim % 16 == 0 && head_dim >= 32;
        if (c->tiers & VKLM_TIER_COOP && divides)
            cr_expect(t.shader, "%s: heads of %u", name, head_dim);
        if (!(c->tiers & VKLM_TIER_COOP))
            cr_expect(!t.shader, "%s: heads of %u", name, head_dim);
        if (!t.shader)
            continue;
        cr_expect(vklm_tune_prefill_coop_shared(&t, head_dim) <= c->max_shared_bytes,
                  "%s: heads of %u", name, head_dim);
        cr_expect(t.lanes <= c->max_workgroup_invocations);
        cr_expect_eq(t.subgroups_tokens * t.subgroups_rows * c->min_subgroup_size, t.lanes);
        cr_expect_eq(t.tile_tokens % (t.m * t.subgroups_tokens), 0);
        cr_expect(head_dim % t.n == 0 && head_dim % t.k == 0);
        cr_expect(t.tile_rows % t.n == 0 && t.tile_rows % t.k == 0);
        const uint32_t share = t.lanes / t.tile_tokens;
        cr_expect(share <= c->min_subgroup_size && share <= t.tile_rows / 4 &&
                  (share & (share - 1)) == 0);
    }
}

// All that tune.c decides, against the limits of the device.
static void check_tuning(const char *name, const vklm_gpu_caps *c)
{
    const vklm_tuning t = vklm_tune_select(c);
    const uint32_t lanes[] = {t.matvec_lanes, t.row_lanes,       t.element_lanes,
                              t.sample_lanes, t.attention_lanes, 256 /* matmul */};
    for (size_t i = 0; i < sizeof lanes / sizeof *lanes; i++)
        cr_expect(lanes[i] >= 4 && lanes[i] <= c->max_workgroup_invocations, "%s: %u lanes", name,
                  lanes[i]);
    cr_expect(t.matvec_smallest ? t.matvec_lanes == c->min_subgroup_size
                                : t.matvec_lanes % c->subgroup_size == 0 || c->subgroup_size > 64,
              "%s", name);
    cr_expect(vklm_tune_matmul_shared(&t) <= c->max_shared_bytes, "%s: matmul takes %u", name,
              vklm_tune_matmul_shared(&t));
    cr_expect(t.tile_tokens % 16 == 0 && t.tile_rows % 16 == 0 && t.tile_rows > 0, "%s", name);
    for (uint32_t d = 8; d <= 256; d += 8) {
        vklm_tune_prefill_tile tile = vklm_tune_attention_prefill(c, d);
        cr_expect(vklm_tune_prefill_shared(tile, d) <= c->max_shared_bytes, "%s: heads of %u", name,
                  d);
        cr_expect(d % (tile.lanes / tile.queries) == 0, "%s: heads of %u", name, d);
        cr_expect(tile.lanes <= c->max_workgroup_invocations);
        check_coop(name, c, d);
    }
    // 99,584 ids of the LLM-jp vocabulary: the widest matrix, in two dimensions of workgroups.
    uint32_t groups = (99584 + t.matvec_rows - 1) / t.matvec_rows;
    cr_expect((groups + 65534) / 65535 <= c->max_workgroup_count[1]);
}

Test(profiles, every_choice_respects_the_limits)
{
    for (size_t i = 0; i < N_PROFILES; i++) {
        vklm_gpu_caps c = device_of(&profiles[i]);
        cr_expect_eq(c.tiers, profiles[i].tiers, "%s: tiers %u", profiles[i].name, c.tiers);
        check_tuning(profiles[i].name, &c);
    }
}

Test(profiles, and_those_of_lowered_limits)
{
    static const vklm_device_limits limits[] = {
        {.shared_bytes = 16384},
        {.workgroup_invocations = 256},
        {.subgroup_size = 4,
         .shared_bytes = 16384,
         .workgroup_invocations = 256,
         .push_bytes = 128},
        {.subgroup_size = 16},
    };
    for (size_t i = 0; i < N_PROFILES; i++)
        for (size_t l = 0; l < sizeof limits / sizeof *limits; l++) {
            vklm_gpu_caps c = device_of(&profiles[i]);
            cr_assert_eq(vklm_gpu_caps_limit(&c, &limits[l]), VKLM_OK, "%s", vklm_error_message());
            check_tuning(profiles[i].name, &c);
        }
}

Test(profiles, limits_below_the_base_tier_are_refused)
{
    static const struct {
        vklm_device_limits limits;
        const char *lacks;
    } cases[] = {
        {{.shared_bytes = 8192}, "16 KiB of shared memory"},
        {{.workgroup_invocations = 128}, "workgroups of 256"},
        {{.push_bytes = 64}, "128 bytes of push constants"},
        {{.subgroup_size = 2}, "subgroups of at least 4"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        vklm_gpu_caps c = device_of(&profiles[0]);
        cr_expect_eq(vklm_gpu_caps_limit(&c, &cases[i].limits), VKLM_UNSUPPORTED);
        cr_expect(strstr(vklm_error_message(), cases[i].lacks), "%s", vklm_error_message());
    }
    vklm_gpu_caps c = device_of(&profiles[1]);
    c.tiers = VKLM_TIER_BASE; // what is masked does not come back
    cr_expect_eq(vklm_gpu_caps_limit(&c, &(vklm_device_limits){.shared_bytes = 32768}), VKLM_OK);
    cr_expect_eq(c.tiers, VKLM_TIER_BASE);
}

// A heap of 256 MiB that can be mapped is not the device's memory, and slabs fit every driver.
Test(profiles, memory)
{
    for (size_t i = 0; i < N_PROFILES; i++) {
        vklm_gpu_caps c = device_of(&profiles[i]);
        uint64_t budget, total;
        vklm_gpu_layout layout;
        vklm_gpu_caps_memory(&c, &budget, &total);
        if (profiles[i].mib[0])
            cr_expect_eq(total, profiles[i].mib[0] << 20, "%s", profiles[i].name);
        vklm_gpu_layout_init(&c, &layout);
        cr_expect_eq(layout.max_slab_bytes, (uint64_t)1 << 30, "%s", profiles[i].name);
        cr_assert_eq(vklm_gpu_caps_limit(&c, &(vklm_device_limits){.allocation_bytes = 1 << 20}),
                     VKLM_OK);
        vklm_gpu_layout_init(&c, &layout);
        cr_expect_eq(layout.max_slab_bytes, 1 << 20);
    }
}

// ---- gpu/quirks.c ----

static unsigned tiers_with_quirks(vklm_gpu_caps c)
{
    const char *missing;
    vklm_gpu_quirks_apply(&c);
    return vklm_gpu_caps_tiers(&c, &missing);
}

Test(quirks, cooperative_matrices)
{
    static const struct {
        const char *file;
        unsigned reported, corrected;
    } cases[] = {
        {"intel-skl-mesa25", COOP, BASE},                                 // emulated
        {"intel-mtl-mesa25", ALL, DOT8},  {"intel-dg2-mesa25", ALL, ALL}, // real
        {"intel-dg2", ALL, ALL},          {"intel-lnl", ALL, ALL},
        {"nvidia-ampere", ALL, ALL},      {"amd-navi31", ALL, ALL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        vklm_gpu_caps c = snapshot(cases[i].file);
        cr_expect_eq(tiers_with_quirks(c), cases[i].corrected, "%s", cases[i].file);
        c.no_quirks = true;
        cr_expect_eq(tiers_with_quirks(c), cases[i].reported, "%s", cases[i].file);
    }
    vklm_gpu_caps arc = snapshot("intel-bmg");
    arc.driver_id = 5; // Intel's driver for Windows
    cr_expect_eq(tiers_with_quirks(arc), DOT8);
    vklm_gpu_caps amd = snapshot("amd-navi31");
    amd.int8_dot_mixed = true; // as RDNA3 has it; of RDNA2 the driver says the same but for this
    for (amd.driver_id = 1; amd.driver_id <= 2; amd.driver_id++) { // AMD's own, and AMDVLK
        cr_expect_eq(tiers_with_quirks(amd), ALL);
        amd.int8_dot_mixed = false;
        cr_expect_eq(tiers_with_quirks(amd), DOT8);
        amd.int8_dot_mixed = true;
    }
    amd.driver_id = 1;
    amd.type = VKLM_DEVICE_INTEGRATED;
    cr_expect_eq(tiers_with_quirks(amd), DOT8);
}

Test(quirks, software_drivers)
{
    vklm_gpu_caps old = snapshot("lavapipe22"), newer = snapshot("lavapipe25"),
                  barest = snapshot("swiftshader"), as_reported = old;
    as_reported.no_quirks = true;
    uint64_t heap = newer.heaps[0].bytes;
    vklm_gpu_quirks_apply(&old);
    vklm_gpu_quirks_apply(&newer);
    vklm_gpu_quirks_apply(&barest);
    vklm_gpu_quirks_apply(&as_reported);
    cr_expect_eq(old.max_loop_iterations, 65535);
    cr_expect_eq(newer.max_loop_iterations, 0);
    cr_expect_eq(barest.max_loop_iterations, 0);
    cr_expect_eq(as_reported.max_loop_iterations, 0);
    cr_expect_eq(newer.heaps[0].bytes, heap);
    cr_expect_eq(as_reported.heaps[0].bytes, (uint64_t)2 << 30);
    cr_expect_eq(old.heaps[0].bytes, barest.heaps[0].bytes); // what the machine has
    cr_expect(old.heaps[0].budget <= old.heaps[0].bytes);
    vklm_gpu_caps again = old;
    vklm_gpu_quirks_apply(&again);
    cr_expect_eq(again.max_loop_iterations, old.max_loop_iterations);
}

Test(quirks, hardware_that_is_not_there)
{
    vklm_gpu_caps real = snapshot("amd-navi31"), none = real;
    real.memory_budget = none.memory_budget = true;
    snprintf(none.name, sizeof none.name, "Null hardware (RADV GFX1151)");
    snprintf(real.name, sizeof real.name, "AMD Radeon RX 7900 XTX (RADV NAVI31)");
    vklm_gpu_quirks_apply(&none);
    vklm_gpu_quirks_apply(&real);
    cr_expect(real.memory_budget && !none.memory_budget);
}

Test(quirks, short_submits)
{
    vklm_gpu_caps cezanne = snapshot("amd-navi21"), other = cezanne;
    cezanne.device_id = 0x1638;
    vklm_gpu_quirks_apply(&cezanne);
    vklm_gpu_quirks_apply(&other);
    cr_expect_eq(cezanne.max_submit_ms, 25);
    cr_expect_eq(other.max_submit_ms, 0);
}

// ---- --limit ----

Test(limits, are_read)
{
    vklm_device_limits l;
    cr_assert_eq(
        vklm_device_limits_parse("subgroup=8,shared=16k,workgroup=256,push=128,alloc=1g", &l),
        VKLM_OK);
    cr_expect(l.subgroup_size == 8 && l.shared_bytes == 16384 && l.workgroup_invocations == 256 &&
              l.push_bytes == 128 && l.allocation_bytes == 1u << 30);
    cr_assert_eq(vklm_device_limits_parse("alloc=3M", &l), VKLM_OK);
    cr_expect(l.allocation_bytes == 3u << 20 && l.shared_bytes == 0);
    static const char *const bad[] = {"",
                                      ",",
                                      "shared",
                                      "shared=",
                                      "shared=x",
                                      "shared=0",
                                      "shared=16q",
                                      "shared=16kk",
                                      "shared=-1",
                                      "shared=5g",
                                      "push=1,",
                                      "subgroup=6",
                                      "subgroup=2",
                                      "lanes=4",
                                      "alloc=99999999999999999999",
                                      "alloc=99999999999g",
                                      "shared = 4"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        cr_expect_eq(vklm_device_limits_parse(bad[i], &l), VKLM_INVALID_ARGUMENT, "'%s'", bad[i]);
        cr_expect(strlen(vklm_error_message()) > 10);
    }
}
