// vklm/device.h: the Vulkan devices of this machine.
#ifndef VKLM_DEVICE_H
#define VKLM_DEVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vklm/status.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum vklm_device_type {
    VKLM_DEVICE_DISCRETE = 0, // its own memory
    VKLM_DEVICE_INTEGRATED,   // shares the processor's memory
    VKLM_DEVICE_VIRTUAL,      // a GPU seen through a virtual machine, or unknown
    VKLM_DEVICE_CPU,          // a software driver: right answers, slowly
} vklm_device_type;

// "discrete", "integrated", "virtual", "cpu".
const char *vklm_device_type_name(vklm_device_type type);

// The three sets of kernels; a device may run several.
enum {
    VKLM_TIER_BASE = 1, // f32 arithmetic on 32-bit words: every device
    VKLM_TIER_DOT8 = 2, // packed 8-bit integer dot products
    VKLM_TIER_COOP = 4, // cooperative matrices (VK_KHR_cooperative_matrix)
};

// A row of a device's cooperative-matrix table at subgroup scope: C [m, n] (+)= A [m, k] * B [k,
// n]. Types are those of VK_KHR_cooperative_matrix: 0 f16, 1 f32, 3 s8, 5 s32, 7 u8, 9 u32 ….
typedef struct vklm_coop_shape {
    uint32_t m, n, k;
    uint8_t a_type, b_type, c_type, result_type;
} vklm_coop_shape;

typedef struct vklm_device_heap {
    uint64_t bytes;
    bool device_local;
    bool host_visible; // some memory type of the heap can be mapped
} vklm_device_heap;

typedef struct vklm_device_info {
    uint32_t index; // its place in the list, for vklm_engine_params.device
    char name[256];
    char driver[512]; // the driver's name and version in its own words
    vklm_device_type type;
    uint32_t vendor_id, device_id;
    uint32_t vulkan_major, vulkan_minor, vulkan_patch;
    uint64_t memory_bytes;        // its largest device-local heap
    uint64_t memory_budget_bytes; // what a process may take of it now
    uint32_t subgroup_size, min_subgroup_size, max_subgroup_size;
    unsigned tiers;              // VKLM_TIER_* bits; 0: vklm cannot use it
    const char *unusable;        // NULL, or what it lacks (a static string)
    uint32_t n_coop_shapes;      // rows of its cooperative-matrix table
    bool accelerated_dot8;       // packed 8-bit dot products in hardware
    bool accelerated_dot8_mixed; // … signed times unsigned too
    bool has_float16, has_storage16, has_storage8, has_int64;
    // What the choice of kernels goes by, besides. Ids are Vulkan's (VkDriverId, driverVersion).
    uint32_t driver_id, driver_version;
    uint32_t max_workgroup_invocations, max_shared_bytes, max_push_bytes;
    uint64_t max_allocation_bytes, max_buffer_bytes;
    vklm_coop_shape coop_shapes[64]; // [n_coop_shapes]
    uint32_t n_heaps;
    vklm_device_heap heaps[16]; // [n_heaps]
} vklm_device_info;

// Limits below a device's own, to try on a large device what a small one gets. Zero: as they are.
typedef struct vklm_device_limits {
    uint32_t subgroup_size; // kernels are chosen as for subgroups of this size
    uint32_t shared_bytes, workgroup_invocations, push_bytes;
    uint64_t allocation_bytes; // the largest piece of memory
} vklm_device_limits;

// Reads "subgroup=8,shared=16k,workgroup=256,push=128,alloc=1g", any of them in any order; k, m, g
// are powers of 1024. VKLM_INVALID_ARGUMENT names what is wrong.
vklm_status vklm_device_limits_parse(const char *text, vklm_device_limits *out_limits);

// Lists the devices in the loader's order. *out_devices [*out_n] is released with vklm_free.
// VKLM_NO_DEVICE without a Vulkan loader or without any device.
vklm_status vklm_device_list(vklm_device_info **out_devices, size_t *out_n);

// The same as the drivers report them, without vklm's corrections for known troubles of drivers.
vklm_status vklm_device_list_as_reported(vklm_device_info **out_devices, size_t *out_n);

#ifdef __cplusplus
}
#endif

#endif
