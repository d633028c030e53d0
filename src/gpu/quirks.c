#include "gpu/quirks.h"

#include <stddef.h>

#include "base/status.h"
#include "base/system.h"

// A software driver's heap is a number in its source, not the memory there is: allocations beyond it
// succeed. What a process can have is what the machine has.
static void heap_is_system_memory(vklm_gpu_caps *caps)
{
    for (uint32_t i = 0; i < caps->n_heaps; i++)
        if (caps->heaps[i].device_local)
            vklm_system_memory(&caps->heaps[i].bytes, &caps->heaps[i].budget);
}

enum { ANY_VERSION = 0 };

// Driver ids are VkDriverId's; versions are VkPhysicalDeviceProperties::driverVersion, first not affected.
static const struct {
    uint32_t driver_id, fixed_in;
    void (*apply)(vklm_gpu_caps *caps);
    const char *what; // and how to recheck
} table[] = {
    // Mesa 22.3.6 reports 2 GiB; 25.0 reports the machine's memory. Recheck: vklm devices on both.
    {13, 25u << 22, heap_is_system_memory, "lavapipe before Mesa 25 reports a heap of 2 GiB"},
    // Recheck: vklm devices, then a model of more than 2 GiB with --device SwiftShader.
    {10, ANY_VERSION, heap_is_system_memory, "SwiftShader reports a heap of 2 GiB"},
};

void vklm_gpu_quirks_apply(vklm_gpu_caps *caps)
{
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (table[i].driver_id == caps->driver_id &&
            (table[i].fixed_in == ANY_VERSION || caps->driver_version < table[i].fixed_in)) {
            table[i].apply(caps);
            vklm_log(VKLM_LOG_DEBUG, "%s: %s", caps->name, table[i].what);
        }
}
