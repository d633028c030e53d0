#include "model/lose_device.h"

#include <stdio.h>
#include <stdlib.h>

#include "engine/session_private.h"
#include "gpu/device_private.h"

unsigned vklm_test_lose_after[2];

static unsigned lose_restored; // submissions from the restoring of a session on

// Names that the linker makes up for --wrap.
vklm_status __real_vklm_gpu_device_submit(vklm_gpu_device *device, const VkCommandBuffer *batches,
                                          uint32_t n, uint64_t *out_ticket);
vklm_status __wrap_vklm_gpu_device_submit(vklm_gpu_device *device, const VkCommandBuffer *batches,
                                          uint32_t n, uint64_t *out_ticket);
vklm_status __real_vklm_session_create(vklm_engine *engine, const vklm_session_params *params,
                                       vklm_session **out_session);
vklm_status __wrap_vklm_session_create(vklm_engine *engine, const vklm_session_params *params,
                                       vklm_session **out_session);
vklm_status __real_vklm_session_allocate(vklm_session *session);
vklm_status __wrap_vklm_session_allocate(vklm_session *session);

vklm_status __wrap_vklm_gpu_device_submit(vklm_gpu_device *device, const VkCommandBuffer *batches,
                                          uint32_t n, uint64_t *out_ticket)
{
    if (vklm_test_lose_after[0] && --vklm_test_lose_after[0] == 0) {
        vklm_test_lose_after[0] = vklm_test_lose_after[1];
        vklm_test_lose_after[1] = 0;
        device->lost = true;
    }
    return __real_vklm_gpu_device_submit(device, batches, n, out_ticket);
}

vklm_status __wrap_vklm_session_create(vklm_engine *engine, const vklm_session_params *params,
                                       vklm_session **out_session)
{
    const char *wanted = getenv("VKLM_TEST_LOSE");
    if (wanted)
        sscanf(wanted, "%u,%u", &vklm_test_lose_after[0], &lose_restored);
    return __real_vklm_session_create(engine, params, out_session);
}

vklm_status __wrap_vklm_session_allocate(vklm_session *session)
{
    if (lose_restored)
        vklm_test_lose_after[0] = lose_restored;
    lose_restored = 0;
    return __real_vklm_session_allocate(session);
}
