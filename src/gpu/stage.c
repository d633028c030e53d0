#include "gpu/stage.h"

#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "gpu/cmd.h"

typedef struct {
    vklm_gpu_buffer *buffer;
    vklm_gpu_cmd *cmd;
    bool busy; // submitted and not waited for
} chunk;

struct vklm_gpu_stage {
    vklm_gpu_device *device;
    chunk chunks[VKLM_GPU_STAGE_CHUNKS];
    size_t current;            // the chunk that begin handed out last
    vklm_gpu_buffer *readback; // made on the first download
};

vklm_status vklm_gpu_stage_create(vklm_gpu_device *device, vklm_gpu_stage **out_stage)
{
    *out_stage = NULL;
    vklm_gpu_stage *stage = vklm_alloc(1, sizeof *stage);
    if (!stage)
        return vklm_fail_memory("the staging ring");
    stage->device = device;
    vklm_status status = VKLM_OK;
    for (size_t i = 0; i < VKLM_GPU_STAGE_CHUNKS && status == VKLM_OK; i++) {
        status = vklm_gpu_buffer_create(device, VKLM_GPU_MEMORY_UPLOAD, VKLM_GPU_STAGE_CHUNK_BYTES,
                                        &stage->chunks[i].buffer);
        if (status == VKLM_OK)
            status = vklm_gpu_cmd_create(device, NULL, &stage->chunks[i].cmd);
    }
    if (status != VKLM_OK) {
        vklm_gpu_stage_destroy(stage);
        return status;
    }
    *out_stage = stage;
    return VKLM_OK;
}

void vklm_gpu_stage_destroy(vklm_gpu_stage *stage)
{
    if (!stage)
        return;
    for (size_t i = 0; i < VKLM_GPU_STAGE_CHUNKS; i++) {
        vklm_gpu_cmd_destroy(stage->chunks[i].cmd);
        vklm_gpu_buffer_destroy(stage->chunks[i].buffer);
    }
    vklm_gpu_buffer_destroy(stage->readback);
    free(stage);
}

static vklm_status wait_chunk(chunk *c)
{
    if (!c->busy)
        return VKLM_OK;
    c->busy = false;
    return vklm_gpu_cmd_wait(c->cmd);
}

vklm_status vklm_gpu_stage_begin(vklm_gpu_stage *stage, void **out_chunk)
{
    stage->current = (stage->current + 1) % VKLM_GPU_STAGE_CHUNKS;
    chunk *c = &stage->chunks[stage->current];
    *out_chunk = vklm_gpu_buffer_map(c->buffer);
    return wait_chunk(c);
}

static vklm_status submit_copies(chunk *c)
{
    vklm_status status = vklm_gpu_cmd_end(c->cmd);
    if (status == VKLM_OK)
        status = vklm_gpu_cmd_submit(c->cmd);
    c->busy = status == VKLM_OK;
    return status;
}

vklm_status vklm_gpu_stage_end(vklm_gpu_stage *stage, vklm_gpu_view to)
{
    return vklm_gpu_stage_end_parts(stage, &(vklm_gpu_stage_part){.to = to}, 1);
}

vklm_status vklm_gpu_stage_end_parts(vklm_gpu_stage *stage, const vklm_gpu_stage_part *parts,
                                     size_t n_parts)
{
    chunk *c = &stage->chunks[stage->current];
    vklm_gpu_view memory = vklm_gpu_buffer_view(c->buffer);
    vklm_gpu_cmd_begin(c->cmd);
    for (size_t i = 0; i < n_parts; i++)
        vklm_gpu_cmd_copy(c->cmd, "stage",
                          vklm_gpu_view_part(memory, parts[i].offset, parts[i].to.bytes),
                          parts[i].to);
    return submit_copies(c);
}

vklm_status vklm_gpu_stage_finish(vklm_gpu_stage *stage)
{
    vklm_status status = VKLM_OK;
    for (size_t i = 0; i < VKLM_GPU_STAGE_CHUNKS; i++) {
        vklm_status s = wait_chunk(&stage->chunks[i]);
        if (status == VKLM_OK)
            status = s;
    }
    return status;
}

vklm_status vklm_gpu_stage_upload(vklm_gpu_stage *stage, const void *data, vklm_gpu_view to)
{
    vklm_status status = VKLM_OK;
    for (uint64_t at = 0; at < to.bytes && status == VKLM_OK; at += VKLM_GPU_STAGE_CHUNK_BYTES) {
        uint64_t n = to.bytes - at;
        if (n > VKLM_GPU_STAGE_CHUNK_BYTES)
            n = VKLM_GPU_STAGE_CHUNK_BYTES;
        void *memory;
        status = vklm_gpu_stage_begin(stage, &memory);
        if (status != VKLM_OK)
            break;
        memcpy(memory, (const char *)data + at, n);
        status = vklm_gpu_stage_end(stage, vklm_gpu_view_part(to, at, n));
    }
    return status;
}

vklm_status vklm_gpu_stage_download(vklm_gpu_stage *stage, vklm_gpu_view from, void *out_data)
{
    vklm_status status = VKLM_OK;
    if (!stage->readback)
        status = vklm_gpu_buffer_create(stage->device, VKLM_GPU_MEMORY_READBACK,
                                        VKLM_GPU_STAGE_CHUNK_BYTES, &stage->readback);
    for (uint64_t at = 0; at < from.bytes && status == VKLM_OK; at += VKLM_GPU_STAGE_CHUNK_BYTES) {
        uint64_t n = from.bytes - at;
        if (n > VKLM_GPU_STAGE_CHUNK_BYTES)
            n = VKLM_GPU_STAGE_CHUNK_BYTES;
        void *unused;
        status = vklm_gpu_stage_begin(stage, &unused); // for its command buffer
        if (status != VKLM_OK)
            break;
        chunk *c = &stage->chunks[stage->current];
        vklm_gpu_view part = vklm_gpu_view_part(vklm_gpu_buffer_view(stage->readback), 0, n);
        vklm_gpu_cmd_begin(c->cmd);
        vklm_gpu_cmd_copy(c->cmd, "stage", vklm_gpu_view_part(from, at, n), part);
        status = submit_copies(c);
        if (status == VKLM_OK)
            status = wait_chunk(c);
        if (status == VKLM_OK)
            memcpy((char *)out_data + at, vklm_gpu_buffer_map(stage->readback), n);
    }
    return status;
}
