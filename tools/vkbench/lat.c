// vkbench lat: what it costs to get anything done.
#include <stdlib.h>

#include "base/clock.h"
#include "vkbench/measure.h"

enum {
    N_EMPTY = 1000, // dispatches between two marks
    N_TOKEN = 150,  // dispatches of one token of a model of 30 layers
    ATOMIC_STEPS = 1000,
    MAX_SAMPLES = 200,
};

static void record_empty(vklm_gpu_cmd *cmd, const vklm_gpu_view *dependent)
{
    uint32_t unused = 0;
    vklm_gpu_dispatch d = {.label = "empty",
                           .shader = "bench_empty",
                           .constants = {32},
                           .args = &unused,
                           .args_bytes = sizeof unused};
    if (dependent)
        d.writes[0] = *dependent; // the recorder then puts a barrier in front of each
    vklm_gpu_cmd_dispatch(cmd, &d);
}

static vklm_status run(vklm_gpu_cmd *cmd)
{
    vklm_status status = vklm_gpu_cmd_submit(cmd);
    return status == VKLM_OK ? vklm_gpu_cmd_wait(cmd) : status;
}

// Microseconds between the marks of a recorded command buffer, divided by n. On a device without
// timestamps by the host's clock.
static vklm_status time_marked(vklm_bench *b, const char *name, vklm_gpu_cmd *cmd, double n)
{
    double values[MAX_SAMPLES], begin = vklm_clock_seconds();
    size_t count = 0;
    vklm_status status = run(cmd);
    while (status == VKLM_OK && count < MAX_SAMPLES &&
           (count < 5 || vklm_clock_seconds() - begin < b->options.seconds)) {
        double before = vklm_clock_seconds(), us;
        status = run(cmd);
        double host = 1e6 * (vklm_clock_seconds() - before);
        if (status == VKLM_OK)
            status = vklm_gpu_cmd_marked_time(cmd, &us);
        values[count++] = (vklm_bench_caps(b)->timestamps ? us : host) / n;
    }
    if (status == VKLM_OK)
        vklm_bench_add(b, vklm_bench_row(b, "lat", name), "us",
                       vklm_bench_summarise(values, count));
    return status;
}

static vklm_status dispatches(vklm_bench *b, vklm_gpu_view dependent)
{
    vklm_gpu_cmd *cmd;
    vklm_status status =
        vklm_gpu_cmd_create(b->device, &(vklm_gpu_cmd_params){.marked = true}, &cmd);
    for (int with_barrier = 0; with_barrier < 2 && status == VKLM_OK; with_barrier++) {
        vklm_gpu_cmd_begin(cmd);
        vklm_gpu_cmd_mark(cmd);
        for (int i = 0; i < N_EMPTY; i++)
            record_empty(cmd, with_barrier ? &dependent : NULL);
        vklm_gpu_cmd_mark(cmd);
        status = vklm_gpu_cmd_end(cmd);
        if (status == VKLM_OK)
            status =
                time_marked(b, with_barrier ? "empty dispatch after a barrier" : "empty dispatch",
                            cmd, N_EMPTY);
    }
    vklm_gpu_cmd_destroy(cmd);
    return status;
}

static vklm_status atomics(vklm_bench *b, vklm_gpu_buffer *counter)
{
    static const struct {
        const char *name;
        uint32_t groups, lanes;
    } rows[] = {{"device atomic, one after the other", 1, 1},
                {"device atomic, 64 workgroups at one address", 64, 1}};
    vklm_gpu_view view = vklm_gpu_buffer_view(counter);
    struct vklm_args_bench args = {.data = vklm_gpu_view_address(view), .n_steps = ATOMIC_STEPS};
    vklm_gpu_cmd *cmd;
    vklm_status status =
        vklm_gpu_cmd_create(b->device, &(vklm_gpu_cmd_params){.marked = true}, &cmd);
    for (size_t i = 0; i < sizeof rows / sizeof *rows && status == VKLM_OK; i++) {
        vklm_gpu_cmd_begin(cmd);
        vklm_gpu_cmd_fill(cmd, "counter", view, 0);
        vklm_gpu_cmd_mark(cmd);
        vklm_gpu_cmd_dispatch(cmd, &(vklm_gpu_dispatch){
                                       .label = "atomic",
                                       .shader = "bench_atomic",
                                       .constants = {rows[i].lanes},
                                       .args = &args,
                                       .args_bytes = sizeof args,
                                       .groups = {rows[i].groups},
                                       .writes = {view},
                                   });
        vklm_gpu_cmd_mark(cmd);
        status = vklm_gpu_cmd_end(cmd);
        uint32_t total = rows[i].groups * rows[i].lanes * ATOMIC_STEPS, got[2];
        if (status == VKLM_OK)
            status = time_marked(b, rows[i].name, cmd, total);
        if (status == VKLM_OK)
            status = vklm_gpu_stage_download(b->stage, view, got);
        if (status == VKLM_OK && got[0] != total)
            status = vklm_fail(VKLM_UNSUPPORTED, "%s: %u atomic additions gave %u",
                               vklm_bench_caps(b)->name, total, got[0]);
    }
    vklm_gpu_cmd_destroy(cmd);
    return status;
}

// -- the host's side

typedef struct {
    vklm_gpu_cmd *cmd;
    vklm_gpu_view view;
} token;

static vklm_status record_token(void *opaque)
{
    token *t = opaque;
    vklm_gpu_cmd_begin(t->cmd);
    for (int i = 0; i < N_TOKEN; i++)
        record_empty(t->cmd, &t->view);
    return vklm_gpu_cmd_end(t->cmd);
}

static vklm_status replay(void *opaque)
{
    return run(((token *)opaque)->cmd);
}

static vklm_status wait_only(void *opaque)
{
    return vklm_gpu_cmd_wait(((token *)opaque)->cmd);
}

static vklm_status time_call(vklm_bench *b, const char *name, vklm_status (*call)(void *opaque),
                             void *opaque, double n)
{
    vklm_bench_sample us;
    vklm_status status = vklm_bench_time_host(b, call, opaque, &us);
    if (status == VKLM_OK)
        vklm_bench_add(b, vklm_bench_row(b, "lat", name), "us", vklm_bench_scaled(us, 1 / n));
    return status;
}

static vklm_status host_side(vklm_bench *b, vklm_gpu_view view)
{
    token t = {.view = view};
    vklm_status status = vklm_gpu_cmd_create(b->device, NULL, &t.cmd);
    if (status == VKLM_OK)
        status = time_call(b, "recording a dispatch with a barrier", record_token, &t, N_TOKEN);
    if (status == VKLM_OK)
        status = time_call(b, "replay of 150 recorded dispatches", replay, &t, 1);
    if (status == VKLM_OK)
        status = time_call(b, "wait for a timeline value that was reached", wait_only, &t, 1);
    if (status == VKLM_OK) {
        vklm_gpu_cmd_begin(t.cmd);
        record_empty(t.cmd, NULL);
        status = vklm_gpu_cmd_end(t.cmd);
    }
    if (status == VKLM_OK)
        status = time_call(b, "submit and wait, one empty dispatch", replay, &t, 1);
    vklm_gpu_cmd_destroy(t.cmd);
    return status;
}

vklm_status vklm_bench_lat(vklm_bench *b)
{
    vklm_gpu_buffer *buffer = NULL;
    vklm_status status =
        vklm_bench_buffer(b, VKLM_GPU_MEMORY_DEVICE, 2 * sizeof(uint32_t), 0, &buffer);
    if (status == VKLM_OK)
        status = dispatches(b, vklm_gpu_buffer_view(buffer));
    if (status == VKLM_OK)
        status = host_side(b, vklm_gpu_buffer_view(buffer));
    if (status == VKLM_OK)
        status = atomics(b, buffer);
    vklm_gpu_buffer_destroy(buffer);
    return status;
}
