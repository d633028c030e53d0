// Laying out slabs: arithmetic only.
#include "gpu/memory.h"

#include <stdlib.h>

#include "base/array.h"

static uint64_t align_up(uint64_t bytes)
{
    return (bytes + VKLM_GPU_ALIGNMENT - 1) / VKLM_GPU_ALIGNMENT * VKLM_GPU_ALIGNMENT;
}

void vklm_gpu_layout_init(const vklm_gpu_caps *caps, vklm_gpu_layout *out_layout)
{
    // 1 GiB fits every driver's allocation limit (maxMemoryAllocationSize is at least that by the
    // specification) and leaves an allocator room to place it.
    uint64_t most = (uint64_t)1 << 30;
    if (caps && caps->max_allocation_bytes < most)
        most = caps->max_allocation_bytes;
    if (caps && caps->max_buffer_bytes < most)
        most = caps->max_buffer_bytes;
    *out_layout = (vklm_gpu_layout){.max_slab_bytes = most};
}

void vklm_gpu_layout_finish(vklm_gpu_layout *layout)
{
    free(layout->slab_bytes);
    *layout = (vklm_gpu_layout){0};
}

vklm_status vklm_gpu_layout_add(vklm_gpu_layout *layout, uint64_t bytes, vklm_gpu_slot *out_slot)
{
    uint64_t aligned = align_up(bytes);
    if (bytes == 0 || aligned < bytes || aligned > layout->max_slab_bytes)
        return vklm_fail(VKLM_UNSUPPORTED,
                         "a tensor of %llu bytes does not fit a buffer of this device (%llu bytes)",
                         (unsigned long long)bytes, (unsigned long long)layout->max_slab_bytes);
    uint64_t *last = layout->n_slabs ? &layout->slab_bytes[layout->n_slabs - 1] : NULL;
    if (!last || *last + aligned > layout->max_slab_bytes) {
        if (!vklm_array_grow(&layout->slab_bytes, &layout->capacity, layout->n_slabs + 1,
                             sizeof *layout->slab_bytes))
            return vklm_fail_memory("the memory plan");
        last = &layout->slab_bytes[layout->n_slabs++];
        *last = 0;
    }
    *out_slot =
        (vklm_gpu_slot){.slab = (uint32_t)layout->n_slabs - 1, .offset = *last, .bytes = bytes};
    *last += aligned;
    return VKLM_OK;
}

uint64_t vklm_gpu_layout_bytes(const vklm_gpu_layout *layout)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < layout->n_slabs; i++)
        sum += layout->slab_bytes[i];
    return sum;
}
