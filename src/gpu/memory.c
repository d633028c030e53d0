#include "gpu/device_private.h"

#include <assert.h>
#include <stdlib.h>

#include "base/array.h"

// How well a memory type serves a class; 0: not at all.
static unsigned type_score(VkMemoryPropertyFlags flags, vklm_gpu_memory_class memory,
                           vklm_device_type device)
{
    bool local = flags & VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT;
    bool visible = flags & VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT;
    bool coherent = flags & VK_MEMORY_PROPERTY_HOST_COHERENT_BIT;
    bool cached = flags & VK_MEMORY_PROPERTY_HOST_CACHED_BIT;
    if (flags & (VK_MEMORY_PROPERTY_PROTECTED_BIT | VK_MEMORY_PROPERTY_LAZILY_ALLOCATED_BIT))
        return 0;
    unsigned score = 0;
    switch (memory) {
    case VKLM_GPU_MEMORY_DEVICE:
        // On a discrete device mappable device memory may be the 256 MB window: leave it alone.
        if (local)
            score = visible && device == VKLM_DEVICE_DISCRETE ? 1 : 2;
        break;
    case VKLM_GPU_MEMORY_UPLOAD:
        if (visible && coherent)
            score = 1u + 2u * (!local || device != VKLM_DEVICE_DISCRETE) + !cached;
        break;
    case VKLM_GPU_MEMORY_READBACK:
        if (visible && coherent)
            score = 1u + 2u * cached + !local;
        break;
    case VKLM_GPU_MEMORY_NONE:
        break;
    }
    return score;
}

// The best type for a buffer; among equals the one whose heap has most room.
static uint32_t find_type(const vklm_gpu_device *d, vklm_gpu_memory_class memory, uint32_t allowed)
{
    uint32_t best = UINT32_MAX;
    unsigned best_score = 0;
    uint64_t best_room = 0;
    for (uint32_t i = 0; i < d->memory.memoryTypeCount; i++) {
        unsigned score = allowed >> i & 1 ? type_score(d->memory.memoryTypes[i].propertyFlags,
                                                       memory, d->caps.type)
                                          : 0;
        uint64_t room = d->caps.heaps[d->memory.memoryTypes[i].heapIndex].budget;
        if (score > best_score || (score && score == best_score && room > best_room)) {
            best = i;
            best_score = score;
            best_room = room;
        }
    }
    return best;
}

static vklm_status allocate(vklm_gpu_buffer *b, vklm_gpu_memory_class memory)
{
    vklm_gpu_device *d = b->device;
    VkMemoryRequirements needs;
    vkGetBufferMemoryRequirements(d->vk, b->vk, &needs);
    uint32_t type = find_type(d, memory, needs.memoryTypeBits);
    if (type == UINT32_MAX)
        return vklm_fail(VKLM_UNSUPPORTED, "device %s has no memory of class %d", d->caps.name,
                         (int)memory);
    VkMemoryAllocateFlagsInfo flags = {.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_FLAGS_INFO,
                                       .flags = VK_MEMORY_ALLOCATE_DEVICE_ADDRESS_BIT};
    VkMemoryAllocateInfo info = {
        .sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO,
        .pNext = &flags,
        .allocationSize = needs.size,
        .memoryTypeIndex = type,
    };
    VkResult result = vkAllocateMemory(d->vk, &info, NULL, &b->memory);
    if (result == VK_ERROR_OUT_OF_DEVICE_MEMORY || result == VK_ERROR_OUT_OF_HOST_MEMORY) {
        const vklm_gpu_heap *heap = &d->caps.heaps[d->memory.memoryTypes[type].heapIndex];
        return vklm_fail(VKLM_OUT_OF_DEVICE_MEMORY,
                         "device %s has no room for %llu MiB more (its memory: %llu MiB, free for "
                         "this process at the last look: %llu MiB)",
                         d->caps.name, (unsigned long long)(needs.size >> 20),
                         (unsigned long long)(heap->bytes >> 20),
                         (unsigned long long)(heap->budget >> 20));
    }
    vklm_status status = vklm_vk_check(result, "vkAllocateMemory");
    if (status == VKLM_OK)
        status =
            vklm_vk_check(vkBindBufferMemory(d->vk, b->vk, b->memory, 0), "vkBindBufferMemory");
    if (status == VKLM_OK && memory == VKLM_GPU_MEMORY_DEVICE) {
        b->device_bytes = needs.size;
        d->device_bytes += needs.size;
        if (d->device_bytes > d->device_bytes_peak)
            d->device_bytes_peak = d->device_bytes;
    }
    if (status == VKLM_OK && memory != VKLM_GPU_MEMORY_DEVICE)
        status = vklm_vk_check(vkMapMemory(d->vk, b->memory, 0, VK_WHOLE_SIZE, 0, &b->map),
                               "vkMapMemory");
    return status;
}

vklm_status vklm_gpu_buffer_create(vklm_gpu_device *device, vklm_gpu_memory_class memory,
                                   uint64_t bytes, vklm_gpu_buffer **out_buffer)
{
    *out_buffer = NULL;
    const vklm_gpu_caps *caps = &device->caps;
    if (bytes > caps->max_allocation_bytes || bytes > caps->max_buffer_bytes)
        return vklm_fail(VKLM_UNSUPPORTED,
                         "a buffer of %llu bytes is wanted; %s allows %llu, and %llu of memory in "
                         "one piece",
                         (unsigned long long)bytes, caps->name,
                         (unsigned long long)caps->max_buffer_bytes,
                         (unsigned long long)caps->max_allocation_bytes);
    vklm_gpu_buffer *b = vklm_alloc(1, sizeof *b);
    if (!b)
        return vklm_fail_memory("a buffer");
    b->device = device;
    b->bytes = bytes;
    if (memory == VKLM_GPU_MEMORY_NONE || device->dry) {
        *out_buffer = b;
        return VKLM_OK;
    }
    VkBufferCreateInfo info = {
        .sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO,
        .size = bytes,
        .usage = VK_BUFFER_USAGE_STORAGE_BUFFER_BIT | VK_BUFFER_USAGE_SHADER_DEVICE_ADDRESS_BIT |
                 VK_BUFFER_USAGE_TRANSFER_SRC_BIT | VK_BUFFER_USAGE_TRANSFER_DST_BIT |
                 VK_BUFFER_USAGE_INDIRECT_BUFFER_BIT,
        .sharingMode = VK_SHARING_MODE_EXCLUSIVE,
    };
    vklm_status status =
        vklm_vk_check(vkCreateBuffer(device->vk, &info, NULL, &b->vk), "vkCreateBuffer");
    if (status == VKLM_OK)
        status = allocate(b, memory);
    if (status != VKLM_OK) {
        vklm_gpu_buffer_destroy(b);
        return status;
    }
    VkBufferDeviceAddressInfo address = {.sType = VK_STRUCTURE_TYPE_BUFFER_DEVICE_ADDRESS_INFO,
                                         .buffer = b->vk};
    b->address = vkGetBufferDeviceAddress(device->vk, &address);
    *out_buffer = b;
    return VKLM_OK;
}

void vklm_gpu_buffer_destroy(vklm_gpu_buffer *buffer)
{
    if (!buffer)
        return;
    if (buffer->vk)
        vkDestroyBuffer(buffer->device->vk, buffer->vk, NULL);
    buffer->device->device_bytes -= buffer->device_bytes;
    if (buffer->memory)
        vkFreeMemory(buffer->device->vk, buffer->memory, NULL); // unmaps too
    free(buffer);
}

void *vklm_gpu_buffer_map(const vklm_gpu_buffer *buffer)
{
    return buffer->map;
}

vklm_gpu_view vklm_gpu_buffer_view(vklm_gpu_buffer *buffer)
{
    return (vklm_gpu_view){.buffer = buffer, .bytes = buffer->bytes};
}

vklm_gpu_view vklm_gpu_view_part(vklm_gpu_view view, uint64_t offset, uint64_t bytes)
{
    assert(offset <= view.bytes && bytes <= view.bytes - offset);
    return (vklm_gpu_view){.buffer = view.buffer, .offset = view.offset + offset, .bytes = bytes};
}

vklm_gpu_address vklm_gpu_view_address(vklm_gpu_view view)
{
    uint64_t address = view.buffer->address + view.offset;
    return (vklm_gpu_address){.low = (uint32_t)address, .high = (uint32_t)(address >> 32)};
}

struct vklm_gpu_arena {
    size_t n_slabs;
    vklm_gpu_buffer *slabs[];
};

vklm_status vklm_gpu_arena_create(vklm_gpu_device *device, const vklm_gpu_layout *layout,
                                  vklm_gpu_arena **out_arena)
{
    *out_arena = NULL;
    vklm_gpu_arena *arena = vklm_alloc(1, sizeof *arena + layout->n_slabs * sizeof *arena->slabs);
    if (!arena)
        return vklm_fail_memory("an arena");
    arena->n_slabs = layout->n_slabs;
    for (size_t i = 0; i < layout->n_slabs; i++) {
        vklm_status status = vklm_gpu_buffer_create(device, VKLM_GPU_MEMORY_DEVICE,
                                                    layout->slab_bytes[i], &arena->slabs[i]);
        if (status != VKLM_OK) {
            vklm_gpu_arena_destroy(arena);
            return status;
        }
    }
    *out_arena = arena;
    return VKLM_OK;
}

void vklm_gpu_arena_destroy(vklm_gpu_arena *arena)
{
    if (!arena)
        return;
    for (size_t i = 0; i < arena->n_slabs; i++)
        vklm_gpu_buffer_destroy(arena->slabs[i]);
    free(arena);
}

vklm_gpu_view vklm_gpu_arena_view(const vklm_gpu_arena *arena, vklm_gpu_slot slot)
{
    return vklm_gpu_view_part(vklm_gpu_buffer_view(arena->slabs[slot.slab]), slot.offset,
                              slot.bytes);
}
