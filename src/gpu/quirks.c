#include "gpu/quirks.h"

#include <stdlib.h>
#include <string.h>

#include "base/status.h"
#include "base/system.h"

// VkDriverId, as far as the table names them.
enum {
    AMD_PROPRIETARY = 1,
    AMD_OPEN_SOURCE = 2,
    MESA_RADV = 3,
    INTEL_WINDOWS = 5,
    MESA_ANV = 6,
    SWIFTSHADER = 10,
    MESA_LAVAPIPE = 13,
};

// A software driver's heap is a number in its source, not the memory there is: allocations beyond
// it succeed. What a process can have is what the machine has.
static void heap_is_system_memory(vklm_gpu_caps *caps)
{
    for (uint32_t i = 0; i < caps->n_heaps; i++)
        if (caps->heaps[i].device_local)
            vklm_system_memory(&caps->heaps[i].bytes, &caps->heaps[i].budget);
}

static void loops_end(vklm_gpu_caps *caps)
{
    caps->max_loop_iterations = 65535;
}

static void no_coop(vklm_gpu_caps *caps)
{
    caps->coop_matrix = false;
    caps->n_coop_shapes = 0;
}

static void short_submits(vklm_gpu_caps *caps)
{
    caps->max_submit_ms = 25;
}

// Gen9 to Meteor Lake without the matrix unit; Arrow Lake has one, but nothing here tells them
// apart. Arc A is discrete, from Xe2 on subgroups begin at 16.
static bool is_intel_without_matrix_unit(const vklm_gpu_caps *caps)
{
    return caps->type == VKLM_DEVICE_INTEGRATED && caps->min_subgroup_size < 16;
}

static bool is_before_rdna3(const vklm_gpu_caps *caps)
{
    return !caps->int8_dot_mixed;
}

static bool is_integrated(const vklm_gpu_caps *caps)
{
    return caps->type == VKLM_DEVICE_INTEGRATED;
}

// Renoir, Lucienne, Cezanne, Barcelo.
static bool is_gfx90c(const vklm_gpu_caps *caps)
{
    return caps->device_id == 0x1636 || caps->device_id == 0x164C || caps->device_id == 0x1638 ||
           caps->device_id == 0x15E7;
}

static bool is_null_hardware(const vklm_gpu_caps *caps)
{
    return strncmp(caps->name, "Null hardware", strlen("Null hardware")) == 0;
}

static void no_budget(vklm_gpu_caps *caps)
{
    caps->memory_budget = false;
}

#define MESA(major, minor) ((uint32_t)(major) << 22 | (uint32_t)(minor) << 12)

enum { ANY_VERSION = 0 };

// Versions are those of version_of, the first that is not affected. What is not in
// the table because all drivers are treated so: weights stay out of mappable memory of a discrete
// device (a window of 256 MiB on many; memory.c), a table of matrix shapes counts only with
// extension and feature (caps.c), slabs are at most 1 GiB (layout.c).
static const struct {
    uint32_t driver_id, fixed_in;
    bool (*concerns)(const vklm_gpu_caps *caps); // NULL: every device
    void (*apply)(vklm_gpu_caps *caps);
    const char *what, *link, *recheck;
} table[] = {
    {MESA_LAVAPIPE, MESA(25, 0), NULL, heap_is_system_memory,
     "lavapipe before Mesa 25 reports a heap of 2 GiB, whatever memory there is",
     "https://docs.mesa3d.org/drivers/llvmpipe.html", "vklm devices --no-quirks"},
    {SWIFTSHADER, ANY_VERSION, NULL, heap_is_system_memory, "SwiftShader reports a heap of 2 GiB",
     "https://github.com/google/swiftshader", "vklm devices --no-quirks"},
    // Seen with 22.3.6, and not with 25.0.7; the versions between were not tried.
    {MESA_LAVAPIPE, MESA(25, 0), NULL, loops_end,
     "lavapipe of Mesa 22.3 ends the loops of an invocation after 65535 iterations in all",
     "https://gitlab.freedesktop.org/mesa/mesa, LP_MAX_TGSI_LOOP_ITERATIONS",
     "test_kernels_loops with the row taken out"},
    // Seen with 25.0.7 on Gen9, Gen12 and Meteor Lake, and not with 26.2.6.
    {MESA_ANV, MESA(26, 2), is_intel_without_matrix_unit, no_coop,
     "this driver emulates cooperative matrices on GPUs without matrix units",
     "https://github.com/ggml-org/llama.cpp/pull/10597", "vklm devices --no-quirks: tier coop"},
    {INTEL_WINDOWS, ANY_VERSION, NULL, no_coop,
     "cooperative matrices end in a lost device with Intel's driver for Windows",
     "https://github.com/IGCIT/Intel-GPU-Community-Issue-Tracker-IGCIT/issues/1487",
     "vklm run --no-quirks with a prompt of 512 tokens"},
    // The call that reads the shapes crashes, so this comes before it.
    {AMD_PROPRIETARY, ANY_VERSION, is_integrated, no_coop,
     "AMD's driver for Windows crashes when asked for matrix shapes of an integrated GPU",
     "https://github.com/GPUOpen-Drivers/AMDVLK/issues/422", "vklm devices --no-quirks"},
    {AMD_PROPRIETARY, ANY_VERSION, is_before_rdna3, no_coop,
     "AMD's driver offers cooperative matrices on GPUs without matrix units",
     "https://github.com/ggml-org/llama.cpp/pull/10597",
     "vklm run --no-quirks -v with a prompt of 512 tokens: its speed"},
    {AMD_OPEN_SOURCE, ANY_VERSION, is_before_rdna3, no_coop,
     "AMDVLK offers cooperative matrices on GPUs without matrix units",
     "https://github.com/ggml-org/llama.cpp/pull/10597",
     "vklm run --no-quirks -v with a prompt of 512 tokens: its speed"},
    {MESA_RADV, ANY_VERSION, is_gfx90c, short_submits,
     "long submits end in a lost device on Renoir to Barcelo",
     "https://github.com/ggml-org/llama.cpp/issues/21724",
     "vklm run --no-quirks with a prompt of 4000 tokens"},
    // With 25.0.7 on gfx1151 and gfx1201.
    {MESA_RADV, ANY_VERSION, is_null_hardware, no_budget,
     "RADV crashes when hardware that is not there is asked for its free memory",
     "https://docs.mesa3d.org/envvars.html, RADV_FORCE_FAMILY",
     "RADV_FORCE_FAMILY=gfx1151 vklm devices --no-quirks"},
};

// Lavapipe's driverVersion is 1 whatever Mesa it comes from: its words tell.
static uint32_t version_of(const vklm_gpu_caps *caps)
{
    const char *mesa = strstr(caps->driver_info, "Mesa ");
    if (caps->driver_id != MESA_LAVAPIPE || !mesa)
        return caps->driver_version;
    char *end;
    unsigned long major = strtoul(mesa + strlen("Mesa "), &end, 10);
    unsigned long minor = *end == '.' ? strtoul(end + 1, NULL, 10) : 0;
    return MESA(major, minor);
}

void vklm_gpu_quirks_apply(vklm_gpu_caps *caps)
{
    for (size_t i = 0; i < sizeof table / sizeof *table && !caps->no_quirks; i++)
        if (table[i].driver_id == caps->driver_id &&
            (table[i].fixed_in == ANY_VERSION || version_of(caps) < table[i].fixed_in) &&
            (!table[i].concerns || table[i].concerns(caps))) {
            table[i].apply(caps);
            vklm_log(VKLM_LOG_DEBUG, "%s: %s (%s; to recheck: %s)", caps->name, table[i].what,
                     table[i].link, table[i].recheck);
        }
}
