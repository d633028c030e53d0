// That GPU-assisted validation sees what it is there to see: a kernel that reads past its buffer.
// Only where it is switched on (drivers.sh), for elsewhere such a read is silent.
#include <criterion/criterion.h>

#include <stdlib.h>
#include <string.h>

#include "gpu/cmd.h"
#include "gpu/device.h"
#include "ops/rmsnorm.h"

#define must(call) cr_assert((call) == VKLM_OK, "%s", vklm_error_message())

enum { N_COLS = 1024, BYTES = N_COLS * sizeof(float) };

static void norm(vklm_gpu_device *device, vklm_gpu_view x, vklm_gpu_view y)
{
    vklm_gpu_cmd *cmd;
    must(vklm_gpu_cmd_create(device, NULL, &cmd));
    vklm_gpu_cmd_begin(cmd);
    vklm_op_rmsnorm_record(cmd, &(vklm_op_rmsnorm){.x = x,
                                                   .norm = vklm_gpu_view_part(y, 0, BYTES),
                                                   .y = vklm_gpu_view_part(y, BYTES, BYTES),
                                                   .n_rows = 1,
                                                   .n_cols = N_COLS,
                                                   .eps = 1e-5f});
    must(vklm_gpu_cmd_end(cmd));
    must(vklm_gpu_cmd_submit(cmd));
    must(vklm_gpu_cmd_wait(cmd));
    vklm_gpu_cmd_destroy(cmd);
}

Test(bounds, a_read_past_the_end_is_reported)
{
    if (!getenv("VKLM_TEST_GPU_ASSISTED"))
        cr_skip_test("GPU-assisted validation is not switched on (VKLM_TEST_GPU_ASSISTED)");
    vklm_gpu_instance *instance;
    vklm_gpu_device *device;
    vklm_gpu_buffer *right, *small, *out;
    size_t index;
    must(vklm_gpu_instance_create(&(vklm_gpu_instance_params){.validation = true}, &instance));
    must(vklm_gpu_instance_select(instance, NULL, &index));
    must(vklm_gpu_device_open(instance, index, &(vklm_gpu_device_params){0}, &device));
    must(vklm_gpu_buffer_create(device, VKLM_GPU_MEMORY_DEVICE, BYTES, &right));
    must(vklm_gpu_buffer_create(device, VKLM_GPU_MEMORY_DEVICE, BYTES / 2, &small));
    must(vklm_gpu_buffer_create(device, VKLM_GPU_MEMORY_DEVICE, 2 * BYTES, &out));
    norm(device, vklm_gpu_buffer_view(right), vklm_gpu_buffer_view(out));
    cr_expect_eq(vklm_gpu_instance_messages(instance), 0);
    norm(device, vklm_gpu_buffer_view(small), vklm_gpu_buffer_view(out));
    cr_expect_gt(vklm_gpu_instance_messages(instance), 0);
    vklm_gpu_buffer_destroy(right);
    vklm_gpu_buffer_destroy(small);
    vklm_gpu_buffer_destroy(out);
    vklm_gpu_device_close(device);
    vklm_gpu_instance_destroy(instance);
}
