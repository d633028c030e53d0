// gpu/caps.h: what a device can do, as plain data: taken once from the driver (caps.c) and from
// then on all that the rest of the engine knows of it. No Vulkan type is in it, so that tables of
// devices can be written down and selection tested without any.
#ifndef VKLM_GPU_CAPS_H
#define VKLM_GPU_CAPS_H

#include <stdbool.h>
#include <stdint.h>

#include <vklm/device.h>

enum {
    VKLM_GPU_MAX_HEAPS = 16,
    VKLM_GPU_MAX_COOP_SHAPES = 64, // as in vklm_device_info
};

typedef struct {
    uint64_t bytes;
    uint64_t budget; // what the process may use now; = bytes where the driver does not say
    bool device_local;
    bool host_visible; // some memory type of the heap can be mapped
} vklm_gpu_heap;

typedef struct {
    char name[256], driver_name[256], driver_info[256];
    uint32_t vendor_id, device_id, driver_id, driver_version, api_version;
    uint8_t device_uuid[16], driver_uuid[16], cache_uuid[16];
    vklm_device_type type;

    uint32_t subgroup_size, min_subgroup_size, max_subgroup_size;
    bool subgroup_arithmetic, subgroup_ballot, subgroup_size_control;
    bool full_subgroups; // computeFullSubgroups
    uint32_t max_workgroup_invocations, max_workgroup_size[3], max_workgroup_count[3];
    uint32_t max_shared_bytes, max_push_bytes;
    uint64_t max_allocation_bytes, max_buffer_bytes;

    bool buffer_address, timeline_semaphore, synchronization2;
    bool storage16, storage8, float16, int8, int16, int64;
    bool int8_dot;             // the instructions exist
    bool int8_dot_accelerated; // signed x signed, packed 4 x 8 bits, in hardware
    bool int8_dot_mixed;       // signed x unsigned as well: of AMD's, from RDNA3 on
    bool memory_model;         // Vulkan's, with device scope
    bool coop_matrix; // extension and feature bit: the table alone proves nothing (gpus.md C1)
    bool memory_budget;
    bool timestamps;
    uint32_t timestamp_bits;  // how many bits of a timestamp count: they wrap
    float timestamp_ns;       // nanoseconds per tick
    bool pipeline_statistics; // the driver tells what it made of a shader

    uint32_t n_heaps;
    vklm_gpu_heap heaps[VKLM_GPU_MAX_HEAPS];
    uint32_t n_coop_shapes;
    vklm_coop_shape coop_shapes[VKLM_GPU_MAX_COOP_SHAPES];

    unsigned tiers; // VKLM_TIER_* bits that the features allow

    // Of the driver, by gpu/quirks.c. Zero: nothing is known.
    bool no_quirks;               // the corrections were not wanted
    uint32_t max_loop_iterations; // of an invocation, in all its loops; then it goes on, wrongly
    float max_submit_ms;          // longer submits have been killed
} vklm_gpu_caps;

// The tiers that the other fields allow; 0 when even the base tier cannot run, and then
// *out_missing says what it lacks.
unsigned vklm_gpu_caps_tiers(const vklm_gpu_caps *caps, const char **out_missing);

// Those, and tiers that the device can run but is not fast at.
unsigned vklm_gpu_caps_runnable_tiers(const vklm_gpu_caps *caps);

// Lowers what the limits ask for. VKLM_UNSUPPORTED when not even the base tier is left.
vklm_status vklm_gpu_caps_limit(vklm_gpu_caps *caps, const vklm_device_limits *limits);

// The row of the cooperative-matrix table that the coop tier uses, f16 x f16 into f32: the largest
// of those that its kernels take. NULL: none.
const vklm_coop_shape *vklm_gpu_caps_coop_shape(const vklm_gpu_caps *caps);

// Bytes of device-local memory the process may use now (budget), and in all.
void vklm_gpu_caps_memory(const vklm_gpu_caps *caps, uint64_t *out_budget, uint64_t *out_total);

#endif
