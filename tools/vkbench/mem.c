// vkbench mem: bandwidths. Every read is summed, and a sum that is wrong gives no number.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "vkbench/measure.h"

enum { MAX_GROUPS = 1024 };

static void record_read(vklm_gpu_cmd *cmd, void *opaque)
{
    vklm_bench_read_record(cmd, opaque);
}

// Reads `data` again and again, in dispatches long enough for the clock.
static vklm_status time_read(vklm_bench *b, vklm_gpu_view data, bool wide, vklm_gpu_buffer *sums,
                             vklm_bench_sample *out_gbs, bool *out_right)
{
    vklm_bench_read read = {
        .data = data,
        .sums = vklm_gpu_buffer_view(sums),
        .wide = wide,
    };
    vklm_bench_read_shape(b, &read);
    uint64_t per_step = (uint64_t)vklm_bench_read_bytes(&read);
    uint64_t whole = (data.bytes + per_step - 1) / per_step;
    read.steps = (uint32_t)(whole ? whole : 1);
    vklm_bench_work work = {.record = record_read, .opaque = &read};
    vklm_bench_sample us;
    double seconds = b->options.seconds;
    b->options.seconds = 0; // once, to see how long it takes
    vklm_status status = vklm_bench_time(b, &work, &us);
    b->options.seconds = seconds;
    double wanted = vklm_bench_is_cpu(b) ? 10e3 : 2e3;
    if (status == VKLM_OK && us.median < wanted) {
        double more = wanted / (us.median > 1 ? us.median : 1);
        read.steps = (uint32_t)(read.steps * (more < 1024 ? more : 1024));
        read.steps = read.steps ? read.steps : 1;
    }
    if (status == VKLM_OK)
        status = vklm_bench_time(b, &work, &us);
    uint32_t got[MAX_GROUPS];
    if (status == VKLM_OK)
        status = vklm_gpu_stage_download(
            b->stage, vklm_gpu_view_part(read.sums, 0, read.groups * sizeof *got), got);
    *out_right = status == VKLM_OK && vklm_bench_read_right(&read, got);
    *out_gbs = vklm_bench_rate(us, vklm_bench_read_bytes(&read) * 1e-3);
    return status;
}

static void add(vklm_bench *b, const char *name, const char *kind, uint64_t bytes,
                vklm_bench_sample gbs, bool right)
{
    cJSON *row = vklm_bench_row(b, "mem", name);
    cJSON_AddStringToObject(row, "kind", kind);
    cJSON_AddNumberToObject(row, "bytes", (double)bytes);
    if (right)
        vklm_bench_add(b, row, "gbs", gbs);
    else {
        cJSON_AddStringToObject(row, "note", "WRONG: what was read is not what was written");
        vklm_bench_warn(b, "%s: the device read wrong data", name);
    }
}

static void size_name(uint64_t bytes, char *out, size_t size)
{
    if (bytes >= 1 << 20)
        snprintf(out, size, "%llu MiB", (unsigned long long)(bytes >> 20));
    else
        snprintf(out, size, "%llu KiB", (unsigned long long)(bytes >> 10));
}

// The largest working set: on a GPU beyond any cache of today (256 MB), unless memory is short.
static uint64_t largest_set(const vklm_bench *b)
{
    uint64_t budget, total, bytes = vklm_bench_is_cpu(b) ? 128 << 20 : 1 << 30;
    const vklm_gpu_caps *caps = vklm_bench_caps(b);
    vklm_gpu_caps_memory(caps, &budget, &total);
    while (bytes > 1 << 20 && (bytes > budget / 4 || bytes > caps->max_allocation_bytes / 2 ||
                               bytes > caps->max_buffer_bytes / 2))
        bytes /= 2;
    return bytes;
}

static vklm_status read_curve(vklm_bench *b, vklm_gpu_view data, vklm_gpu_buffer *sums)
{
    vklm_status status = VKLM_OK;
    for (int wide = 1; wide >= 0; wide--)
        for (uint64_t bytes = 16 << 10; bytes <= data.bytes && status == VKLM_OK;
             bytes *= b->options.tour ? 8 : 2) {
            if (b->options.tour && bytes * 8 > data.bytes)
                bytes = data.bytes; // a tour takes big steps, and the last one to the end
            vklm_bench_sample gbs;
            bool right;
            char size[32], name[64];
            status = time_read(b, vklm_gpu_view_part(data, 0, bytes), wide, sums, &gbs, &right);
            size_name(bytes, size, sizeof size);
            snprintf(name, sizeof name, "read %s, %d-byte lanes", size, wide ? 16 : 4);
            if (status != VKLM_OK)
                break;
            add(b, name, wide ? "read16" : "read4", bytes, gbs, right);
            // What the memory can do, not what it did beside other programs: the upper end.
            if (right && bytes == data.bytes && gbs.p95 > b->attainable_gbs)
                b->attainable_gbs = gbs.p95;
        }
    return status;
}

typedef struct {
    vklm_gpu_view from, to;
} copy_args;

static void record_copy(vklm_gpu_cmd *cmd, void *opaque)
{
    const copy_args *c = opaque;
    vklm_gpu_cmd_copy(cmd, "copy", c->from, c->to);
}

static void record_fill(vklm_gpu_cmd *cmd, void *opaque)
{
    vklm_gpu_cmd_fill(cmd, "fill", *(vklm_gpu_view *)opaque, VKLM_BENCH_READ_WORD);
}

// Copies by the device. `times` counts a byte that is read and written twice.
static vklm_status time_copy(vklm_bench *b, const char *name, const char *kind, vklm_gpu_view from,
                             vklm_gpu_view to, int times)
{
    copy_args args = {from, to};
    vklm_bench_sample us;
    vklm_status status =
        vklm_bench_time(b, &(vklm_bench_work){.record = record_copy, .opaque = &args}, &us);
    if (status == VKLM_OK)
        add(b, name, kind, from.bytes, vklm_bench_rate(us, (double)from.bytes * times * 1e-3),
            true);
    return status;
}

typedef struct {
    vklm_gpu_stage *stage;
    vklm_gpu_view view;
    void *memory;
} staged;

static vklm_status upload(void *opaque)
{
    staged *s = opaque;
    vklm_status status = vklm_gpu_stage_upload(s->stage, s->memory, s->view);
    return status == VKLM_OK ? vklm_gpu_stage_finish(s->stage) : status;
}

static vklm_status download(void *opaque)
{
    staged *s = opaque;
    return vklm_gpu_stage_download(s->stage, s->view, s->memory);
}

// Between host and device: from memory the device can reach itself, and from any memory, by way of
// the staging ring.
static vklm_status host_transfers(vklm_bench *b, vklm_gpu_view data, vklm_gpu_buffer *sums)
{
    vklm_gpu_buffer *up = NULL, *down = NULL;
    uint64_t bytes = data.bytes < 64 << 20 ? data.bytes : 64 << 20;
    vklm_gpu_view part = vklm_gpu_view_part(data, 0, bytes);
    staged s = {.stage = b->stage, .view = part, .memory = vklm_alloc(bytes, 1)};
    vklm_bench_sample gbs, us;
    bool right = false;
    vklm_status status = s.memory ? VKLM_OK : vklm_fail_memory("transfers");
    if (status == VKLM_OK)
        status = vklm_bench_buffer(b, VKLM_GPU_MEMORY_UPLOAD, bytes, VKLM_BENCH_READ_WORD, &up);
    if (status == VKLM_OK)
        status = vklm_bench_buffer(b, VKLM_GPU_MEMORY_READBACK, bytes, 0, &down);
    if (status == VKLM_OK)
        status = time_read(b, vklm_gpu_buffer_view(up), true, sums, &gbs, &right);
    if (status == VKLM_OK) {
        add(b, "read of host memory by the device", "host_read", bytes, gbs, right);
        status = time_copy(b, "upload, pinned", "upload", vklm_gpu_buffer_view(up), part, 1);
    }
    if (status == VKLM_OK)
        status = time_copy(b, "download, pinned", "download", part, vklm_gpu_buffer_view(down), 1);
    if (status == VKLM_OK)
        status = vklm_bench_time_host(b, download, &s, &us);
    if (status == VKLM_OK) {
        const uint32_t *words = s.memory;
        right = words[0] == VKLM_BENCH_READ_WORD && words[bytes / 4 - 1] == VKLM_BENCH_READ_WORD;
        add(b, "download, staged", "download_staged", bytes,
            vklm_bench_rate(us, (double)bytes * 1e-3), right);
        status = vklm_bench_time_host(b, upload, &s, &us);
    }
    if (status == VKLM_OK)
        add(b, "upload, staged", "upload_staged", bytes, vklm_bench_rate(us, (double)bytes * 1e-3),
            true);
    free(s.memory);
    vklm_gpu_buffer_destroy(up);
    vklm_gpu_buffer_destroy(down);
    return status;
}

vklm_status vklm_bench_mem(vklm_bench *b)
{
    vklm_gpu_buffer *buffer = NULL, *sums = NULL;
    vklm_status status =
        vklm_bench_buffer(b, VKLM_GPU_MEMORY_DEVICE, largest_set(b), VKLM_BENCH_READ_WORD, &buffer);
    if (status == VKLM_OK)
        status =
            vklm_bench_buffer(b, VKLM_GPU_MEMORY_DEVICE, MAX_GROUPS * sizeof(uint32_t), 0, &sums);
    if (status == VKLM_OK)
        status = read_curve(b, vklm_gpu_buffer_view(buffer), sums);
    if (status == VKLM_OK) {
        vklm_gpu_view all = vklm_gpu_buffer_view(buffer);
        vklm_gpu_view low = vklm_gpu_view_part(all, 0, all.bytes / 2),
                      high = vklm_gpu_view_part(all, all.bytes / 2, all.bytes / 2);
        status = time_copy(b, "copy on the device", "copy", low, high, 2);
        vklm_bench_sample us;
        if (status == VKLM_OK)
            status =
                vklm_bench_time(b, &(vklm_bench_work){.record = record_fill, .opaque = &low}, &us);
        if (status == VKLM_OK)
            add(b, "fill", "fill", low.bytes, vklm_bench_rate(us, (double)low.bytes * 1e-3), true);
        if (status == VKLM_OK)
            status = host_transfers(b, low, sums);
    }
    vklm_gpu_buffer_destroy(buffer);
    vklm_gpu_buffer_destroy(sums);
    return status;
}

vklm_status vklm_bench_measure_read(vklm_bench *b, double *out_gbs)
{
    vklm_gpu_buffer *buffer = NULL, *sums = NULL;
    vklm_bench_sample gbs = {0};
    bool right = true;
    vklm_status status =
        vklm_bench_buffer(b, VKLM_GPU_MEMORY_DEVICE, largest_set(b), VKLM_BENCH_READ_WORD, &buffer);
    if (status == VKLM_OK)
        status =
            vklm_bench_buffer(b, VKLM_GPU_MEMORY_DEVICE, MAX_GROUPS * sizeof(uint32_t), 0, &sums);
    if (status == VKLM_OK)
        status = time_read(b, vklm_gpu_buffer_view(buffer), true, sums, &gbs, &right);
    if (status == VKLM_OK && !right)
        status = vklm_fail(VKLM_UNSUPPORTED, "%s reads wrong data: vkbench mem tells more",
                           vklm_bench_caps(b)->name);
    *out_gbs = gbs.p95;
    vklm_gpu_buffer_destroy(buffer);
    vklm_gpu_buffer_destroy(sums);
    return status;
}
