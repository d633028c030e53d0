// What caps mean: tiers, memory, and which device is the best. No Vulkan here.
#include "gpu/instance.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/array.h"

enum { VULKAN_1_3 = 1u << 22 | 3u << 12 }; // VK_MAKE_API_VERSION(0, 1, 3, 0)

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
        {c->max_shared_bytes >= 32768, "32 KiB of shared memory"},
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
    if (c->coop_matrix && c->float16 && c->n_coop_shapes > 0)
        tiers |= VKLM_TIER_COOP;
    return tiers;
}

unsigned vklm_gpu_caps_runnable_tiers(const vklm_gpu_caps *c)
{
    return c->tiers && c->int8_dot ? c->tiers | VKLM_TIER_DOT8 : c->tiers;
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
