// gpu/stage.h: moving data between host and device through a bounded ring.
//
// The ring's chunks are host memory; at most n_chunks * chunk_bytes of it exist, whatever is moved.
// The caller fills a chunk while the device copies earlier ones. Invariant: a chunk is handed out
// only when the copy that last used it has ended.
#ifndef VKLM_GPU_STAGE_H
#define VKLM_GPU_STAGE_H

#include "gpu/memory.h"

enum {
    VKLM_GPU_STAGE_CHUNKS = 4,
    VKLM_GPU_STAGE_CHUNK_BYTES =
        16 << 20, // large enough that the submit costs nothing beside the copy
};

typedef struct vklm_gpu_stage vklm_gpu_stage;

vklm_status vklm_gpu_stage_create(vklm_gpu_device *device, vklm_gpu_stage **out_stage);
void vklm_gpu_stage_destroy(vklm_gpu_stage *stage); // takes NULL; waits for the copies

// Takes a free chunk, waiting for it if need be: *out_chunk holds VKLM_GPU_STAGE_CHUNK_BYTES.
vklm_status vklm_gpu_stage_begin(vklm_gpu_stage *stage, void **out_chunk);

// Starts the copy of the chunk's first to.bytes bytes.
vklm_status vklm_gpu_stage_end(vklm_gpu_stage *stage, vklm_gpu_view to);

// Starts the copies of several parts of the chunk, each at a place of its own.
typedef struct {
    uint64_t offset;  // in the chunk
    vklm_gpu_view to; // to.bytes of it
} vklm_gpu_stage_part;
vklm_status vklm_gpu_stage_end_parts(vklm_gpu_stage *stage, const vklm_gpu_stage_part *parts,
                                     size_t n_parts);

// Waits until everything has arrived.
vklm_status vklm_gpu_stage_finish(vklm_gpu_stage *stage);

// begin, copy, end, as often as `bytes` needs. They arrive by stage_finish.
vklm_status vklm_gpu_stage_upload(vklm_gpu_stage *stage, const void *data, vklm_gpu_view to);

// Reads a view back; returns when the data is there.
vklm_status vklm_gpu_stage_download(vklm_gpu_stage *stage, vklm_gpu_view from, void *out_data);

#endif
