// gpu/cmd.h: the command recorder.
//
// Records dispatches, copies and fills into a command buffer that is submitted once or replayed
// many times. Invariants:
//
// 1. Barriers are derived, not written: each command names the views it reads and writes, and a
// barrier
//    goes in front of it only when one of them overlaps an earlier access since the last barrier
//    and at least one of the two writes. Commands without a hazard between them may overlap on the
//    device.
// 2. A command buffer begins with a barrier against what was submitted before and ends with one
// that
//    makes its writes visible to the host.
// 3. Failure is sticky: after the first one every call does nothing; end reports it. So a forward
//    pass is recorded in a straight line.
// 4. On a serial device, or asked to be serial, a full barrier follows every command: results must
// be
//    bit-identical.
#ifndef VKLM_GPU_CMD_H
#define VKLM_GPU_CMD_H

#include <stdbool.h>

#include "gpu/memory.h"

enum {
    VKLM_GPU_MAX_CONSTANTS = 12, // specialization constant ids 0 .. 11
    VKLM_GPU_MAX_PUSH_BYTES = 128,
    VKLM_GPU_MAX_READS = 8,
    VKLM_GPU_MAX_WRITES = 6,
};

typedef struct vklm_gpu_cmd vklm_gpu_cmd;

typedef struct {
    const char *label;  // what the plan calls it; a string that outlives the recorder
    const char *shader; // a name of shaders/CMakeLists.txt
    uint32_t constants[VKLM_GPU_MAX_CONSTANTS];
    bool smallest_subgroups; // full ones, of the device's smallest size: for the coop tier, which
                             // has the features
    const void *args;        // push constants, a struct of shaders/args.h
    size_t args_bytes;
    uint32_t groups[3];     // workgroups; a zero counts as 1
    vklm_gpu_view indirect; // optional: 3 u32 that the device takes instead of groups
    vklm_gpu_view reads[VKLM_GPU_MAX_READS];   // up to the first one without a buffer
    vklm_gpu_view writes[VKLM_GPU_MAX_WRITES]; // read and written counts as written
    uint64_t bytes_read, bytes_written; // for the plan, where the views do not tell; 0: they do
} vklm_gpu_dispatch;

// One recorded command, as the plan prints it.
typedef struct {
    const char *label;
    const char *shader;                 // NULL for copies and fills
    uint32_t groups[3];                 // zeros where the device knows them alone
    uint64_t bytes_read, bytes_written; // of the views it named, or what it said itself
    bool barrier;                       // one stands in front of it
} vklm_gpu_command;

typedef struct {
    bool timed;    // write a timestamp after every command
    bool marked;   // write timestamps where vklm_gpu_cmd_mark asks for one instead
    bool repeated; // may be submitted again while it runs
    bool serial;   // a full barrier after every command, as on a serial device
    bool dry;      // build the pipelines and list the commands, record nothing: never submitted.
                   // On a dry device every recorder is dry
} vklm_gpu_cmd_params;

// The device must outlive the recorder. `params` may be NULL.
vklm_status vklm_gpu_cmd_create(vklm_gpu_device *device, const vklm_gpu_cmd_params *params,
                                vklm_gpu_cmd **out_cmd);
void vklm_gpu_cmd_destroy(vklm_gpu_cmd *cmd); // takes NULL; waits for the device

// Starts recording anew; what was recorded is gone. Not while it runs on the device.
void vklm_gpu_cmd_begin(vklm_gpu_cmd *cmd);
void vklm_gpu_cmd_dispatch(vklm_gpu_cmd *cmd, const vklm_gpu_dispatch *dispatch);
void vklm_gpu_cmd_copy(vklm_gpu_cmd *cmd, const char *label, vklm_gpu_view from, vklm_gpu_view to);
void vklm_gpu_cmd_fill(vklm_gpu_cmd *cmd, const char *label, vklm_gpu_view view, uint32_t word);
vklm_status vklm_gpu_cmd_end(vklm_gpu_cmd *cmd);

// What follows is a submission of its own: drivers with a watchdog judge each by itself. Not for
// recorders that are timed or marked.
void vklm_gpu_cmd_cut(vklm_gpu_cmd *cmd);

// Lets whoever records report a failure of its own (a shape that no variant takes).
void vklm_gpu_cmd_fail(vklm_gpu_cmd *cmd, vklm_status status, const char *format, ...)
    VKLM_PRINTF(3, 4);

vklm_gpu_device *vklm_gpu_cmd_device(const vklm_gpu_cmd *cmd);

// Submits what was recorded; may be called again and again, each time after the wait for the last
// one.
vklm_status vklm_gpu_cmd_submit(vklm_gpu_cmd *cmd);
vklm_status vklm_gpu_cmd_wait(vklm_gpu_cmd *cmd); // for the last submission

// For a recorder made `repeated`: submits it n <= VKLM_GPU_MAX_RUNS times, one run after the other,
// whether or not earlier runs have ended: in one call to the driver, unless many cuts make it more.
// A ticket for each.
enum { VKLM_GPU_MAX_RUNS = 16 };
vklm_status vklm_gpu_cmd_submit_runs(vklm_gpu_cmd *cmd, uint32_t n, uint64_t *out_tickets);
vklm_status vklm_gpu_cmd_wait_run(vklm_gpu_cmd *cmd, uint64_t ticket);

// A moment of a marked recorder: when everything recorded before has ended.
void vklm_gpu_cmd_mark(vklm_gpu_cmd *cmd);

// What was recorded since begin. The array lives until the next begin.
const vklm_gpu_command *vklm_gpu_cmd_commands(const vklm_gpu_cmd *cmd, size_t *out_n);
size_t vklm_gpu_cmd_barriers(const vklm_gpu_cmd *cmd);
size_t vklm_gpu_cmd_parts(const vklm_gpu_cmd *cmd); // 1, and one more for each cut

// Microseconds of each command of the last run, [n] of vklm_gpu_cmd_commands; zeros unless timed.
vklm_status vklm_gpu_cmd_times(vklm_gpu_cmd *cmd, double *out_us);

// Microseconds between the first and the last mark of the last run; 0 without timestamps.
vklm_status vklm_gpu_cmd_marked_time(vklm_gpu_cmd *cmd, double *out_us);

#endif
