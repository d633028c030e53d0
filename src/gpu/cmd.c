#include "gpu/device_private.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"

enum { MAX_TIMED_COMMANDS = 4095 };

typedef struct {
    vklm_gpu_view view;
    bool write;
} access;

struct vklm_gpu_cmd {
    vklm_gpu_device *device;
    VkCommandBuffer vk; // that is being recorded; NULL when dry
    VkCommandBuffer *parts;
    size_t n_parts, parts_allocated, parts_capacity; // allocated: left from longer recordings
    VkQueryPool queries;                             // NULL unless timed or marked
    bool serial, marked, dry, repeated;
    uint64_t ticket;    // of the last submission
    vklm_status status; // the first failure since begin
    char message[512];  // its sentence
    access *pending;    // accesses since the last barrier
    size_t n_pending, pending_capacity;
    vklm_gpu_command *commands;
    size_t n_commands, commands_capacity, n_barriers;
    uint32_t n_marks;
};

static void keep_failure(vklm_gpu_cmd *cmd, vklm_status status)
{
    if (cmd->status != VKLM_OK || status == VKLM_OK)
        return;
    cmd->status = status;
    snprintf(cmd->message, sizeof cmd->message, "%s", vklm_error_message());
}

void vklm_gpu_cmd_fail(vklm_gpu_cmd *cmd, vklm_status status, const char *format, ...)
{
    if (cmd->status != VKLM_OK)
        return;
    cmd->status = status;
    va_list args;
    va_start(args, format);
    vsnprintf(cmd->message, sizeof cmd->message, format, args);
    va_end(args);
}

vklm_gpu_device *vklm_gpu_cmd_device(const vklm_gpu_cmd *cmd)
{
    return cmd->device;
}

// Makes the next command buffer the one that is recorded.
static vklm_status next_part(vklm_gpu_cmd *cmd)
{
    vklm_status status = VKLM_OK;
    if (cmd->n_parts == cmd->parts_allocated) {
        if (!vklm_array_grow(&cmd->parts, &cmd->parts_capacity, cmd->n_parts + 1,
                             sizeof *cmd->parts))
            return vklm_fail_memory("a command recorder");
        VkCommandBufferAllocateInfo info = {
            .sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO,
            .commandPool = cmd->device->pool,
            .level = VK_COMMAND_BUFFER_LEVEL_PRIMARY,
            .commandBufferCount = 1,
        };
        status = vklm_vk_check(
            vkAllocateCommandBuffers(cmd->device->vk, &info, &cmd->parts[cmd->n_parts]),
            "vkAllocateCommandBuffers");
        cmd->parts_allocated += status == VKLM_OK;
    }
    if (status == VKLM_OK)
        cmd->vk = cmd->parts[cmd->n_parts++];
    return status;
}

vklm_status vklm_gpu_cmd_create(vklm_gpu_device *device, const vklm_gpu_cmd_params *params,
                                vklm_gpu_cmd **out_cmd)
{
    *out_cmd = NULL;
    vklm_gpu_cmd *cmd = vklm_alloc(1, sizeof *cmd);
    if (!cmd)
        return vklm_fail_memory("a command recorder");
    cmd->device = device;
    cmd->serial = device->serial || (params && params->serial);
    cmd->repeated = params && params->repeated;
    cmd->marked = params && params->marked;
    cmd->dry = device->dry || (params && params->dry);
    if (cmd->dry) {
        *out_cmd = cmd;
        return VKLM_OK;
    }
    vklm_status status = next_part(cmd);
    if (status == VKLM_OK && params && (params->timed || params->marked) &&
        device->caps.timestamps) {
        VkQueryPoolCreateInfo queries = {
            .sType = VK_STRUCTURE_TYPE_QUERY_POOL_CREATE_INFO,
            .queryType = VK_QUERY_TYPE_TIMESTAMP,
            .queryCount = MAX_TIMED_COMMANDS + 1,
        };
        status = vklm_vk_check(vkCreateQueryPool(device->vk, &queries, NULL, &cmd->queries),
                               "vkCreateQueryPool");
    }
    if (status != VKLM_OK) {
        vklm_gpu_cmd_destroy(cmd);
        return status;
    }
    *out_cmd = cmd;
    return VKLM_OK;
}

void vklm_gpu_cmd_destroy(vklm_gpu_cmd *cmd)
{
    if (!cmd)
        return;
    if (cmd->ticket)
        vklm_gpu_cmd_wait(cmd);
    if (cmd->parts_allocated)
        vkFreeCommandBuffers(cmd->device->vk, cmd->device->pool, (uint32_t)cmd->parts_allocated,
                             cmd->parts);
    if (cmd->queries)
        vkDestroyQueryPool(cmd->device->vk, cmd->queries, NULL);
    free(cmd->parts);
    free(cmd->pending);
    free(cmd->commands);
    free(cmd);
}

// Everything that compute and transfer did before, against everything that comes after. One global
// barrier: drivers merge buffer barriers into it anyway.
static void barrier(vklm_gpu_cmd *cmd, VkPipelineStageFlags2 to_stages, VkAccessFlags2 to_access)
{
    VkMemoryBarrier2 memory = {
        .sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER_2,
        .srcStageMask =
            VK_PIPELINE_STAGE_2_COMPUTE_SHADER_BIT | VK_PIPELINE_STAGE_2_ALL_TRANSFER_BIT,
        .srcAccessMask = VK_ACCESS_2_SHADER_STORAGE_WRITE_BIT | VK_ACCESS_2_TRANSFER_WRITE_BIT,
        .dstStageMask = to_stages,
        .dstAccessMask = to_access,
    };
    VkDependencyInfo dependency = {
        .sType = VK_STRUCTURE_TYPE_DEPENDENCY_INFO,
        .memoryBarrierCount = 1,
        .pMemoryBarriers = &memory,
    };
    if (!cmd->dry)
        vkCmdPipelineBarrier2(cmd->vk, &dependency);
    cmd->n_pending = 0;
}

static void barrier_device(vklm_gpu_cmd *cmd)
{
    barrier(cmd,
            VK_PIPELINE_STAGE_2_COMPUTE_SHADER_BIT | VK_PIPELINE_STAGE_2_ALL_TRANSFER_BIT |
                VK_PIPELINE_STAGE_2_DRAW_INDIRECT_BIT,
            VK_ACCESS_2_SHADER_STORAGE_READ_BIT | VK_ACCESS_2_SHADER_STORAGE_WRITE_BIT |
                VK_ACCESS_2_TRANSFER_READ_BIT | VK_ACCESS_2_TRANSFER_WRITE_BIT |
                VK_ACCESS_2_INDIRECT_COMMAND_READ_BIT);
    cmd->n_barriers++;
}

// Starts the next command buffer, with a barrier against all before it.
static void begin_part(vklm_gpu_cmd *cmd)
{
    if (cmd->dry) {
        cmd->n_parts++;
    } else {
        VkCommandBufferBeginInfo info = {
            .sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO,
            .flags = cmd->repeated ? VK_COMMAND_BUFFER_USAGE_SIMULTANEOUS_USE_BIT : 0,
        };
        keep_failure(cmd, next_part(cmd));
        if (cmd->status == VKLM_OK)
            keep_failure(
                cmd, vklm_vk_check(vkBeginCommandBuffer(cmd->vk, &info), "vkBeginCommandBuffer"));
        if (cmd->status != VKLM_OK)
            return;
    }
    barrier_device(cmd);
}

void vklm_gpu_cmd_begin(vklm_gpu_cmd *cmd)
{
    cmd->status = VKLM_OK;
    cmd->n_pending = cmd->n_commands = cmd->n_barriers = 0;
    cmd->n_marks = 0;
    cmd->n_parts = 0;
    begin_part(cmd);
    if (cmd->status != VKLM_OK || cmd->dry)
        return;
    if (cmd->queries) {
        vkCmdResetQueryPool(cmd->vk, cmd->queries, 0, MAX_TIMED_COMMANDS + 1);
        if (!cmd->marked)
            vkCmdWriteTimestamp2(cmd->vk, VK_PIPELINE_STAGE_2_ALL_COMMANDS_BIT, cmd->queries, 0);
    }
}

static bool overlap(vklm_gpu_view a, vklm_gpu_view b)
{
    return a.buffer == b.buffer && a.offset < b.offset + b.bytes && b.offset < a.offset + a.bytes;
}

static bool hazard(const vklm_gpu_cmd *cmd, const access *accesses, size_t n)
{
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < cmd->n_pending; j++)
            if ((accesses[i].write || cmd->pending[j].write) &&
                overlap(accesses[i].view, cmd->pending[j].view))
                return true;
    return false;
}

// Notes a command before it is recorded, with a barrier in front of it where there is a hazard.
static void note(vklm_gpu_cmd *cmd, vklm_gpu_command command, const access *accesses, size_t n)
{
    command.barrier = hazard(cmd, accesses, n);
    uint64_t bytes[2] = {0};
    for (size_t i = 0; i < n; i++)
        bytes[accesses[i].write] += accesses[i].view.bytes;
    if (!command.bytes_read)
        command.bytes_read = bytes[0];
    if (!command.bytes_written)
        command.bytes_written = bytes[1];
    if (command.barrier)
        barrier_device(cmd);
    if (!vklm_array_grow(&cmd->pending, &cmd->pending_capacity, cmd->n_pending + n,
                         sizeof *cmd->pending) ||
        !vklm_array_grow(&cmd->commands, &cmd->commands_capacity, cmd->n_commands + 1,
                         sizeof *cmd->commands)) {
        keep_failure(cmd, vklm_fail_memory("a command recorder"));
        return;
    }
    if (n > 0) // an empty dispatch names none, and there may be no array yet
        memcpy(cmd->pending + cmd->n_pending, accesses, n * sizeof *accesses);
    cmd->n_pending += n;
    cmd->commands[cmd->n_commands++] = command;
}

static void recorded(vklm_gpu_cmd *cmd)
{
    if (cmd->serial)
        barrier_device(cmd);
    if (cmd->queries && !cmd->marked && cmd->n_commands <= MAX_TIMED_COMMANDS)
        vkCmdWriteTimestamp2(cmd->vk, VK_PIPELINE_STAGE_2_ALL_COMMANDS_BIT, cmd->queries,
                             (uint32_t)cmd->n_commands);
}

// The last look before a driver gets it: whoever chose the variant should have seen to it.
static void check_limits(vklm_gpu_cmd *cmd, const vklm_gpu_dispatch *d)
{
    const vklm_gpu_caps *caps = &cmd->device->caps;
    if (d->constants[0] > caps->max_workgroup_invocations ||
        d->constants[0] > caps->max_workgroup_size[0])
        vklm_gpu_cmd_fail(cmd, VKLM_UNSUPPORTED,
                          "%s needs workgroups of %u invocations, the device allows %u", d->label,
                          d->constants[0], caps->max_workgroup_invocations);
    if (d->args_bytes > caps->max_push_bytes)
        vklm_gpu_cmd_fail(cmd, VKLM_UNSUPPORTED,
                          "%s needs %zu bytes of push constants, the device allows %u", d->label,
                          d->args_bytes, caps->max_push_bytes);
}

void vklm_gpu_cmd_dispatch(vklm_gpu_cmd *cmd, const vklm_gpu_dispatch *d)
{
    VkPipeline pipeline;
    check_limits(cmd, d);
    if (cmd->status == VKLM_OK)
        keep_failure(cmd, vklm_gpu_pipeline_get(cmd->device, d->shader, d->constants,
                                                d->smallest_subgroups, &pipeline));
    vklm_gpu_command command = {.label = d->label,
                                .shader = d->shader,
                                .bytes_read = d->bytes_read,
                                .bytes_written = d->bytes_written};
    for (int i = 0; i < 3 && !d->indirect.buffer; i++) {
        command.groups[i] = d->groups[i] ? d->groups[i] : 1;
        if (command.groups[i] > cmd->device->caps.max_workgroup_count[i])
            vklm_gpu_cmd_fail(cmd, VKLM_UNSUPPORTED, "%s needs %u workgroups, the device allows %u",
                              d->label, command.groups[i],
                              cmd->device->caps.max_workgroup_count[i]);
    }
    access accesses[VKLM_GPU_MAX_READS + VKLM_GPU_MAX_WRITES + 1];
    size_t n = 0;
    for (size_t i = 0; i < VKLM_GPU_MAX_READS && d->reads[i].buffer; i++)
        accesses[n++] = (access){.view = d->reads[i]};
    for (size_t i = 0; i < VKLM_GPU_MAX_WRITES && d->writes[i].buffer; i++)
        accesses[n++] = (access){.view = d->writes[i], .write = true};
    if (d->indirect.buffer)
        accesses[n++] = (access){.view = d->indirect};
    assert(d->args_bytes <= VKLM_GPU_MAX_PUSH_BYTES);
    if (cmd->status != VKLM_OK)
        return;
    note(cmd, command, accesses, n);
    if (cmd->dry)
        return;
    vkCmdBindPipeline(cmd->vk, VK_PIPELINE_BIND_POINT_COMPUTE, pipeline);
    vkCmdPushConstants(cmd->vk, cmd->device->pipelines.layout, VK_SHADER_STAGE_COMPUTE_BIT, 0,
                       (uint32_t)d->args_bytes, d->args);
    if (d->indirect.buffer)
        vkCmdDispatchIndirect(cmd->vk, d->indirect.buffer->vk, d->indirect.offset);
    else
        vkCmdDispatch(cmd->vk, command.groups[0], command.groups[1], command.groups[2]);
    recorded(cmd);
}

void vklm_gpu_cmd_copy(vklm_gpu_cmd *cmd, const char *label, vklm_gpu_view from, vklm_gpu_view to)
{
    assert(from.bytes == to.bytes);
    if (cmd->status != VKLM_OK)
        return;
    access accesses[] = {{.view = from}, {.view = to, .write = true}};
    note(cmd, (vklm_gpu_command){.label = label}, accesses, 2);
    if (cmd->dry)
        return;
    VkBufferCopy region = {.srcOffset = from.offset, .dstOffset = to.offset, .size = from.bytes};
    vkCmdCopyBuffer(cmd->vk, from.buffer->vk, to.buffer->vk, 1, &region);
    recorded(cmd);
}

void vklm_gpu_cmd_fill(vklm_gpu_cmd *cmd, const char *label, vklm_gpu_view view, uint32_t word)
{
    if (cmd->status != VKLM_OK)
        return;
    access written = {.view = view, .write = true};
    note(cmd, (vklm_gpu_command){.label = label}, &written, 1);
    if (cmd->dry)
        return;
    vkCmdFillBuffer(cmd->vk, view.buffer->vk, view.offset, view.bytes / 4 * 4, word);
    recorded(cmd);
}

vklm_status vklm_gpu_cmd_end(vklm_gpu_cmd *cmd)
{
    if (cmd->status == VKLM_OK && !cmd->dry) {
        barrier(cmd, VK_PIPELINE_STAGE_2_HOST_BIT, VK_ACCESS_2_HOST_READ_BIT);
        keep_failure(cmd, vklm_vk_check(vkEndCommandBuffer(cmd->vk), "vkEndCommandBuffer"));
    }
    if (cmd->status != VKLM_OK)
        return vklm_fail(cmd->status, "%s", cmd->message);
    return VKLM_OK;
}

void vklm_gpu_cmd_cut(vklm_gpu_cmd *cmd)
{
    assert(!cmd->queries);
    if (cmd->status == VKLM_OK && !cmd->dry)
        keep_failure(cmd, vklm_vk_check(vkEndCommandBuffer(cmd->vk), "vkEndCommandBuffer"));
    if (cmd->status == VKLM_OK)
        begin_part(cmd);
}

void vklm_gpu_cmd_mark(vklm_gpu_cmd *cmd)
{
    if (cmd->status != VKLM_OK || cmd->dry || !cmd->queries || cmd->n_marks > MAX_TIMED_COMMANDS)
        return;
    barrier_device(cmd);
    vkCmdWriteTimestamp2(cmd->vk, VK_PIPELINE_STAGE_2_ALL_COMMANDS_BIT, cmd->queries,
                         cmd->n_marks++);
}

// Runs of all parts. The timeline counts each part, and a run ends with its last one.
static vklm_status submit(vklm_gpu_cmd *cmd, uint32_t n_runs, uint64_t *out_tickets)
{
    VkCommandBuffer batches[VKLM_GPU_MAX_BATCHES];
    const size_t n_parts = cmd->n_parts, n_all = n_parts * n_runs;
    vklm_status status = VKLM_OK;
    for (size_t first = 0; first < n_all && status == VKLM_OK; first += VKLM_GPU_MAX_BATCHES) {
        uint32_t n = 0;
        for (; n < VKLM_GPU_MAX_BATCHES && first + n < n_all; n++)
            batches[n] = cmd->dry ? VK_NULL_HANDLE : cmd->parts[(first + n) % n_parts];
        status = vklm_gpu_device_submit(cmd->device, batches, n, &cmd->ticket);
        for (uint32_t i = 0; i < n && status == VKLM_OK; i++)
            if ((first + i) % n_parts == n_parts - 1)
                out_tickets[(first + i) / n_parts] = cmd->ticket - (n - 1 - i);
    }
    return status;
}

vklm_status vklm_gpu_cmd_submit(vklm_gpu_cmd *cmd)
{
    assert(!cmd->dry || cmd->device->dry);
    uint64_t ticket;
    return submit(cmd, 1, &ticket);
}

vklm_status vklm_gpu_cmd_submit_runs(vklm_gpu_cmd *cmd, uint32_t n, uint64_t *out_tickets)
{
    assert(cmd->repeated && n > 0 && n <= VKLM_GPU_MAX_RUNS);
    return submit(cmd, n, out_tickets);
}

vklm_status vklm_gpu_cmd_wait_run(vklm_gpu_cmd *cmd, uint64_t ticket)
{
    return vklm_gpu_device_wait(cmd->device, ticket);
}

vklm_status vklm_gpu_cmd_wait(vklm_gpu_cmd *cmd)
{
    return vklm_gpu_device_wait(cmd->device, cmd->ticket);
}

const vklm_gpu_command *vklm_gpu_cmd_commands(const vklm_gpu_cmd *cmd, size_t *out_n)
{
    *out_n = cmd->n_commands;
    return cmd->commands;
}

size_t vklm_gpu_cmd_barriers(const vklm_gpu_cmd *cmd)
{
    return cmd->n_barriers;
}

size_t vklm_gpu_cmd_parts(const vklm_gpu_cmd *cmd)
{
    return cmd->n_parts;
}

// Microseconds between timestamps i and i + 1, for i < n. Only the valid bits count, and they wrap.
static vklm_status read_times(vklm_gpu_cmd *cmd, size_t n, double *out_us)
{
    const vklm_gpu_caps *caps = &cmd->device->caps;
    uint64_t *ticks = vklm_alloc(n + 1, sizeof *ticks);
    if (!ticks)
        return vklm_fail_memory("timestamps");
    vklm_status status =
        vklm_vk_check(vkGetQueryPoolResults(cmd->device->vk, cmd->queries, 0, (uint32_t)n + 1,
                                            (n + 1) * sizeof *ticks, ticks, sizeof *ticks,
                                            VK_QUERY_RESULT_64_BIT),
                      "vkGetQueryPoolResults");
    uint64_t mask =
        caps->timestamp_bits < 64 ? ((uint64_t)1 << caps->timestamp_bits) - 1 : UINT64_MAX;
    for (size_t i = 0; i < n && status == VKLM_OK; i++)
        out_us[i] = (double)((ticks[i + 1] - ticks[i]) & mask) * (double)caps->timestamp_ns * 1e-3;
    free(ticks);
    return status;
}

vklm_status vklm_gpu_cmd_times(vklm_gpu_cmd *cmd, double *out_us)
{
    for (size_t i = 0; i < cmd->n_commands; i++)
        out_us[i] = 0;
    size_t n = cmd->n_commands < MAX_TIMED_COMMANDS ? cmd->n_commands : MAX_TIMED_COMMANDS;
    if (!cmd->queries || cmd->marked || n == 0)
        return VKLM_OK;
    return read_times(cmd, n, out_us);
}

vklm_status vklm_gpu_cmd_marked_time(vklm_gpu_cmd *cmd, double *out_us)
{
    *out_us = 0;
    if (cmd->n_marks < 2)
        return VKLM_OK;
    double *times = vklm_alloc(cmd->n_marks, sizeof *times);
    if (!times)
        return vklm_fail_memory("timestamps");
    vklm_status status = read_times(cmd, cmd->n_marks - 1, times);
    for (uint32_t i = 0; i + 1 < cmd->n_marks && status == VKLM_OK; i++)
        *out_us += times[i];
    free(times);
    return status;
}
