// gpu/memory.h: device memory in three classes, and views of it.
//
//   device    what kernels work on: weights, KV cache, activations
//   upload    written by the host in order, read by the device (staging, the step buffer's source)
//   readback  written by the device, read by the host (logits)
//
// A tensor is a view: {buffer, offset, bytes}, by value; it owns nothing. Every buffer has a device
// address. Large things come from an arena, whose slabs are laid out first (plain arithmetic, no
// device needed) and allocated afterwards, so that what will be used is known before any of it is.
#ifndef VKLM_GPU_MEMORY_H
#define VKLM_GPU_MEMORY_H

#include <stddef.h>
#include <stdint.h>

#include "args.h"
#include "base/status.h"
#include "gpu/caps.h"

typedef struct vklm_gpu_device vklm_gpu_device;
typedef struct vklm_gpu_buffer vklm_gpu_buffer;

typedef enum {
    VKLM_GPU_MEMORY_DEVICE = 0,
    VKLM_GPU_MEMORY_UPLOAD,
    VKLM_GPU_MEMORY_READBACK,
    VKLM_GPU_MEMORY_NONE, // a buffer without memory, for recorders that are dry
} vklm_gpu_memory_class;

typedef struct {
    vklm_gpu_buffer *buffer;
    uint64_t offset, bytes;
} vklm_gpu_view;

enum { VKLM_GPU_ALIGNMENT = 256 }; // of every slot in a slab

// A buffer with memory of its own; on a dry device without. VKLM_OUT_OF_DEVICE_MEMORY carries the
// numbers.
vklm_status vklm_gpu_buffer_create(vklm_gpu_device *device, vklm_gpu_memory_class memory,
                                   uint64_t bytes, vklm_gpu_buffer **out_buffer);
void vklm_gpu_buffer_destroy(vklm_gpu_buffer *buffer); // takes NULL

// The mapped memory of an upload or readback buffer; NULL for the device class.
void *vklm_gpu_buffer_map(const vklm_gpu_buffer *buffer);
vklm_gpu_view vklm_gpu_buffer_view(vklm_gpu_buffer *buffer);

// Bytes [offset, offset + bytes) of a view, which must lie inside it.
vklm_gpu_view vklm_gpu_view_part(vklm_gpu_view view, uint64_t offset, uint64_t bytes);
vklm_gpu_address vklm_gpu_view_address(vklm_gpu_view view);

// Where something lies in an arena.
typedef struct {
    uint32_t slab;
    uint64_t offset, bytes;
} vklm_gpu_slot;

// Slabs of at most max_slab_bytes, filled in order. A slot never straddles two.
typedef struct {
    uint64_t max_slab_bytes;
    uint64_t *slab_bytes; // [n_slabs]
    size_t n_slabs, capacity;
} vklm_gpu_layout;

// At most 1 GiB a slab, less where the device allows less. NULL caps: no device is known.
void vklm_gpu_layout_init(const vklm_gpu_caps *caps, vklm_gpu_layout *out_layout);
void vklm_gpu_layout_finish(vklm_gpu_layout *layout);

// Reserves `bytes`. VKLM_UNSUPPORTED when one slab cannot hold them.
vklm_status vklm_gpu_layout_add(vklm_gpu_layout *layout, uint64_t bytes, vklm_gpu_slot *out_slot);
uint64_t vklm_gpu_layout_bytes(const vklm_gpu_layout *layout);

// The slabs of a layout, allocated in the device class.
typedef struct vklm_gpu_arena vklm_gpu_arena;
vklm_status vklm_gpu_arena_create(vklm_gpu_device *device, const vklm_gpu_layout *layout,
                                  vklm_gpu_arena **out_arena);
void vklm_gpu_arena_destroy(vklm_gpu_arena *arena); // takes NULL
vklm_gpu_view vklm_gpu_arena_view(const vklm_gpu_arena *arena, vklm_gpu_slot slot);

#endif
