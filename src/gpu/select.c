// What caps mean: tiers, memory, and which device is the best. No Vulkan here.
#include "gpu/instance.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/array.h"

enum { VULKAN_1_3 = 1u << 22 | 3u << 12 }; // VK_MAKE_API_VERSION(0, 1, 3, 0)

const vklm_coop_shape *vklm_gpu_caps_coop_shape(const vklm_gpu_caps *c)
{
    enum { F16 = 0, F32 = 1 };
    const vklm_coop_shape *best = NULL;
    for (uint32_t i = 0; i < c->n_coop_shapes; i++) {
        const vklm_coop_shape *s = &c->coop_shapes[i];
        bool sides =
            (s->m == 8 || s->m == 16) && (s->n == 8 || s->n == 16) && (s->k == 8 || s->k == 16);
        bool types =
            s->a_type == F16 && s->b_type == F16 && s->c_type == F32 && s->result_type == F32;
        if (sides && types && (!best || s->m * s->n * s->k > best->m * best->n * best->k))
            best = s;
    }
    return best;
}

// The coop tier's kernels share their tiles between full subgroups of one size, the device's
// smallest.
static bool can_coop(const vklm_gpu_caps *c)
{
    bool fixed_size = c->subgroup_size_control || c->min_subgroup_size == c->max_subgroup_size;
    return c->coop_matrix && c->float16 && c->memory_model && c->full_subgroups && fixed_size &&
           c->min_subgroup_size >= 8 && c->min_subgroup_size <= 64 &&
           c->max_shared_bytes >= 32768 && vklm_gpu_caps_coop_shape(c);
}

unsigned vklm_gpu_caps_tiers(const vklm_gpu_caps *c, const char **out_missing)
{
    const struct {
        bool present;
        const char *what;
    } needed[] = {
        {c->api_version >= VULKAN_1_3, "Vulkan 1.3"},
        {c->buffer_address, "buffer device addresses"},
        {c->timeline_semaphore, "timeline semaphores"},
        {c->synchronization2, "synchronization2"},
        {c->subgroup_arithmetic, "subgroup arithmetic in compute shaders"},
        {c->subgroup_size >= 4 && c->min_subgroup_size >= 4, "subgroups of at least 4"},
        {c->max_workgroup_invocations >= 256, "workgroups of 256 invocations"},
        {c->max_shared_bytes >= 16384, "16 KiB of shared memory"},
        {c->max_push_bytes >= 128, "128 bytes of push constants"},
    };
    *out_missing = NULL;
    for (size_t i = 0; i < sizeof needed / sizeof *needed; i++)
        if (!needed[i].present) {
            *out_missing = needed[i].what;
            return 0;
        }
    unsigned tiers = VKLM_TIER_BASE;
    if (c->int8_dot && c->int8_dot_accelerated)
        tiers |= VKLM_TIER_DOT8;
    if (can_coop(c) && c->type != VKLM_DEVICE_CPU) // whose matrix unit is a loop
        tiers |= VKLM_TIER_COOP;
    return tiers;
}

unsigned vklm_gpu_caps_runnable_tiers(const vklm_gpu_caps *c)
{
    unsigned tiers = c->tiers;
    if (tiers && c->int8_dot)
        tiers |= VKLM_TIER_DOT8;
    if (tiers && can_coop(c))
        tiers |= VKLM_TIER_COOP;
    return tiers;
}

static void lower(uint32_t *value, uint32_t limit)
{
    if (limit && limit < *value)
        *value = limit;
}

vklm_status vklm_gpu_caps_limit(vklm_gpu_caps *c, const vklm_device_limits *limits)
{
    const char *missing;
    if (limits->subgroup_size && limits->subgroup_size < c->min_subgroup_size)
        c->coop_matrix = false; // matrices are shared out among the subgroups that there are
    lower(&c->subgroup_size, limits->subgroup_size);
    lower(&c->min_subgroup_size, limits->subgroup_size);
    lower(&c->max_subgroup_size, limits->subgroup_size);
    lower(&c->max_shared_bytes, limits->shared_bytes);
    lower(&c->max_push_bytes, limits->push_bytes);
    lower(&c->max_workgroup_invocations, limits->workgroup_invocations);
    for (int i = 0; i < 3; i++)
        lower(&c->max_workgroup_size[i], limits->workgroup_invocations);
    uint64_t *bytes[] = {&c->max_allocation_bytes, &c->max_buffer_bytes};
    for (int i = 0; i < 2; i++)
        if (limits->allocation_bytes && limits->allocation_bytes < *bytes[i])
            *bytes[i] = limits->allocation_bytes;
    if (vklm_gpu_caps_tiers(c, &missing) == 0)
        return vklm_fail(VKLM_UNSUPPORTED, "device %s, as it was limited, lacks %s", c->name,
                         missing);
    if (!can_coop(c))
        c->tiers &= ~(unsigned)VKLM_TIER_COOP;
    return VKLM_OK;
}

void vklm_gpu_caps_memory(const vklm_gpu_caps *c, uint64_t *out_budget, uint64_t *out_total)
{
    *out_budget = *out_total = 0;
    for (uint32_t i = 0; i < c->n_heaps; i++)
        if (c->heaps[i].device_local && c->heaps[i].bytes > *out_total) {
            *out_total = c->heaps[i].bytes;
            *out_budget = c->heaps[i].budget;
        }
}

static bool contains(const char *text, const char *part)
{
    size_t len = strlen(part);
    for (; *text; text++)
        if (strncasecmp(text, part, len) == 0)
            return true;
    return false;
}

static vklm_status fail_not_found(const vklm_gpu_caps *const *devices, size_t n, const char *wanted)
{
    vklm_string list = {0};
    for (size_t i = 0; i < n; i++)
        vklm_string_print(&list, "%s%zu: %s", i ? ", " : "", i, devices[i]->name);
    vklm_fail(VKLM_NOT_FOUND, "no device '%s'; there are %s", wanted,
              list.data ? list.data : "none");
    vklm_string_finish(&list);
    return VKLM_NOT_FOUND;
}

static bool better(const vklm_gpu_caps *a, const vklm_gpu_caps *b)
{
    if (!a->tiers != !b->tiers)
        return a->tiers;
    if (a->type != b->type)
        return a->type < b->type; // vklm_device_type is in order of preference
    uint64_t budget, a_total, b_total;
    vklm_gpu_caps_memory(a, &budget, &a_total);
    vklm_gpu_caps_memory(b, &budget, &b_total);
    return a_total > b_total;
}

vklm_status vklm_gpu_select(const vklm_gpu_caps *const *devices, size_t n, const char *wanted,
                            size_t *out_index)
{
    size_t best = n;
    char *end = NULL;
    unsigned long index = wanted ? strtoul(wanted, &end, 10) : 0;
    if (wanted && *wanted && !*end) {
        best = index < n ? index : n;
    } else {
        for (size_t i = 0; i < n; i++)
            if (!wanted || contains(devices[i]->name, wanted))
                if (best == n || better(devices[i], devices[best]))
                    best = i;
    }
    if (best == n && wanted)
        return fail_not_found(devices, n, wanted);
    if (best == n)
        return vklm_fail(VKLM_NO_DEVICE, "no Vulkan device found");
    const char *missing;
    if (!vklm_gpu_caps_tiers(devices[best], &missing))
        return vklm_fail(VKLM_UNSUPPORTED, "device %s lacks %s", devices[best]->name, missing);
    *out_index = best;
    return VKLM_OK;
}
