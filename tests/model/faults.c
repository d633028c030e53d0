// Vulkan calls that fail, one after the other: each run lets the n-th call of a function fail,
// until a run gets through without. Nothing crashes or leaks (the sanitizers watch), the failure is
// a sentence, and the session's tokens survive.
#include <criterion/criterion.h>

#include <stdio.h>
#include <string.h>

#include <vklm/vklm.h>

#include "gpu/vk.h"

typedef enum { ALLOCATE, SUBMIT, WAIT, PIPELINES, BUFFER, MAP } function;

static struct {
    function which;     // that fails
    unsigned countdown; // 0: nothing fails any more
    bool closing;       // session and engine are being destroyed: nobody hears of a failure …
    bool unheard;       // … as of this one
    VkResult result;
    PFN_vkAllocateMemory allocate;
    PFN_vkQueueSubmit2 submit;
    PFN_vkWaitSemaphores wait;
    PFN_vkCreateComputePipelines pipelines;
    PFN_vkCreateBuffer buffer;
    PFN_vkMapMemory map;
} faults;

static bool now(void)
{
    if (faults.countdown == 0 || --faults.countdown > 0)
        return false;
    faults.unheard = faults.closing;
    return true;
}

static VKAPI_ATTR VkResult VKAPI_CALL allocate(VkDevice d, const VkMemoryAllocateInfo *i,
                                               const VkAllocationCallbacks *a, VkDeviceMemory *out)
{
    return now() ? faults.result : faults.allocate(d, i, a, out);
}

static VKAPI_ATTR VkResult VKAPI_CALL submit(VkQueue q, uint32_t n, const VkSubmitInfo2 *i,
                                             VkFence f)
{
    return now() ? faults.result : faults.submit(q, n, i, f);
}

static VKAPI_ATTR VkResult VKAPI_CALL wait_semaphores(VkDevice d, const VkSemaphoreWaitInfo *i,
                                                      uint64_t timeout)
{
    VkResult result =
        faults.wait(d, i, timeout); // first, so that nothing is in use when all is torn down
    return now() ? faults.result : result;
}

static VKAPI_ATTR VkResult VKAPI_CALL pipelines(VkDevice d, VkPipelineCache c, uint32_t n,
                                                const VkComputePipelineCreateInfo *i,
                                                const VkAllocationCallbacks *a, VkPipeline *out)
{
    if (!now())
        return faults.pipelines(d, c, n, i, a, out);
    for (uint32_t k = 0; k < n; k++)
        out[k] = VK_NULL_HANDLE;
    return faults.result;
}

static VKAPI_ATTR VkResult VKAPI_CALL buffer(VkDevice d, const VkBufferCreateInfo *i,
                                             const VkAllocationCallbacks *a, VkBuffer *out)
{
    return now() ? faults.result : faults.buffer(d, i, a, out);
}

static VKAPI_ATTR VkResult VKAPI_CALL map(VkDevice d, VkDeviceMemory m, VkDeviceSize at,
                                          VkDeviceSize n, VkMemoryMapFlags f, void **out)
{
    return now() ? faults.result : faults.map(d, m, at, n, f, out);
}

// volk loads the functions with each instance; this comes after it, when the device is announced.
static void install(function which)
{
#define REPLACE(field, pointer, fake)                                                              \
    do {                                                                                           \
        if ((pointer) != (fake)) {                                                                 \
            faults.field = (pointer);                                                              \
            (pointer) = (fake);                                                                    \
        }                                                                                          \
    } while (0)
    switch (which) {
    case ALLOCATE:
        REPLACE(allocate, vkAllocateMemory, allocate);
        break;
    case SUBMIT:
        REPLACE(submit, vkQueueSubmit2, submit);
        break;
    case WAIT:
        REPLACE(wait, vkWaitSemaphores, wait_semaphores);
        break;
    case PIPELINES:
        REPLACE(pipelines, vkCreateComputePipelines, pipelines);
        break;
    case BUFFER:
        REPLACE(buffer, vkCreateBuffer, buffer);
        break;
    case MAP:
        REPLACE(map, vkMapMemory, map);
        break;
    }
#undef REPLACE
}

static void on_log(void *opaque, vklm_log_level level, const char *message)
{
    (void)opaque, (void)level;
    if (strncmp(message, "device ", 7) == 0)
        install(faults.which);
}

static bool ignore(void *opaque, uint32_t id)
{
    (void)opaque, (void)id;
    return true;
}

// A whole life: load, prompt, answer, one more prompt. The first failure ends it.
static vklm_status live(unsigned *out_messages)
{
    enum { N = 150 };
    uint32_t ids[N], n;
    for (uint32_t i = 0; i < N; i++)
        ids[i] = (i * 31 + 7) % 200;
    vklm_engine *engine = NULL;
    vklm_session *session = NULL;
    vklm_stop_reason reason;
    vklm_status status = vklm_engine_open(
        &(vklm_engine_params){.model_dir = VKLM_TEST_DATA "/random-gqa", .validation = true},
        &engine);
    if (status == VKLM_OK)
        status = vklm_session_create(engine, &(vklm_session_params){.sampling.seed = 1}, &session);
    if (status == VKLM_OK)
        status = vklm_session_append(session, ids, N);
    if (status == VKLM_OK)
        status = vklm_session_generate(session, 4, true, ignore, NULL, &reason);
    if (status == VKLM_OK)
        status = vklm_session_append(session, ids, 20);
    if (session) { // what was taken is there whatever happened
        const uint32_t *tokens = vklm_session_tokens(session, &n);
        cr_expect(n <= N + 3 + 20);
        cr_expect_eq(memcmp(tokens, ids, (n < N ? n : N) * sizeof *ids), 0);
    }
    if (engine)
        *out_messages += vklm_engine_validation_messages(engine);
    faults.closing = true;
    vklm_session_destroy(session);
    vklm_engine_close(engine);
    faults.closing = false;
    return status;
}

// Returns how many calls there were to fail.
static unsigned sweep(function which, VkResult result, vklm_status wanted)
{
    unsigned messages = 0;
    for (unsigned n = 1; n < 2000; n++) {
        faults.which = which;
        faults.result = result;
        faults.countdown = n;
        vklm_status status = live(&messages);
        if (faults.countdown > 0) { // nothing failed
            faults.countdown = 0;
            cr_expect_eq(status, VKLM_OK, "%s", vklm_error_message());
            cr_expect_eq(messages, 0, "%u validation messages", messages);
            return n - 1;
        }
        cr_expect_eq(status, faults.unheard ? VKLM_OK : wanted, "call %u: %s: %s", n,
                     vklm_status_name(status), vklm_error_message());
        cr_expect(strlen(vklm_error_message()) > 10);
    }
    cr_assert(false, "no end of calls");
    return 0;
}

static void need_device(void)
{
    vklm_log_set(on_log, NULL, VKLM_LOG_INFO);
    vklm_device_info *devices;
    size_t n;
    if (vklm_device_list(&devices, &n) != VKLM_OK)
        cr_skip_test("no Vulkan: %s", vklm_error_message());
    vklm_free(devices);
}

Test(faults, out_of_device_memory)
{
    need_device();
    cr_expect_gt(sweep(ALLOCATE, VK_ERROR_OUT_OF_DEVICE_MEMORY, VKLM_OUT_OF_DEVICE_MEMORY), 5);
    cr_expect_gt(sweep(BUFFER, VK_ERROR_OUT_OF_DEVICE_MEMORY, VKLM_OUT_OF_DEVICE_MEMORY), 5);
}

Test(faults, out_of_host_memory)
{
    need_device();
    cr_expect_gt(sweep(PIPELINES, VK_ERROR_OUT_OF_HOST_MEMORY, VKLM_OUT_OF_MEMORY), 5);
    cr_expect_gt(sweep(MAP, VK_ERROR_OUT_OF_HOST_MEMORY, VKLM_OUT_OF_MEMORY), 3);
}

Test(faults, device_lost)
{
    need_device();
    cr_expect_gt(sweep(SUBMIT, VK_ERROR_DEVICE_LOST, VKLM_DEVICE_LOST), 10);
    cr_expect_gt(sweep(WAIT, VK_ERROR_DEVICE_LOST, VKLM_DEVICE_LOST), 10);
}
