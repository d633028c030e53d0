// Vulkan calls that fail, one after the other: each run lets the n-th call of a function fail,
// until a run gets through without. Nothing crashes or leaks (the sanitizers watch), the failure is
// a sentence, and the session's tokens survive.
#include <criterion/criterion.h>

#include <stdio.h>
#include <string.h>

#include <vklm/vklm.h>

#include "gpu/device_private.h"
#include "gpu/instance.h"
#include "model/need_device.h"

// Of vkCreate..., vkAllocate... and what else takes memory: those that are faked alike.
#define CREATIONS(X)                                                                               \
    X(CommandPool, VkDevice, const VkCommandPoolCreateInfo *, VkCommandPool *)                     \
    X(PipelineCache, VkDevice, const VkPipelineCacheCreateInfo *, VkPipelineCache *)               \
    X(PipelineLayout, VkDevice, const VkPipelineLayoutCreateInfo *, VkPipelineLayout *)            \
    X(Semaphore, VkDevice, const VkSemaphoreCreateInfo *, VkSemaphore *)                           \
    X(ShaderModule, VkDevice, const VkShaderModuleCreateInfo *, VkShaderModule *)                  \
    X(Buffer, VkDevice, const VkBufferCreateInfo *, VkBuffer *)                                    \
    X(Device, VkPhysicalDevice, const VkDeviceCreateInfo *, VkDevice *)

typedef enum {
    ALLOCATE,
    SUBMIT,
    WAIT,
    PIPELINES,
    MAP,
    BIND,
    COMMANDS,
    BEGIN,
    END,
#define NAME(type, parent, info, out) type,
    CREATIONS(NAME)
#undef NAME
} function;

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
    PFN_vkMapMemory map;
    PFN_vkBindBufferMemory bind;
    PFN_vkAllocateCommandBuffers commands;
    PFN_vkBeginCommandBuffer begin;
    PFN_vkEndCommandBuffer end;
#define MEMBER(type, parent, info, out) PFN_vkCreate##type type;
    CREATIONS(MEMBER)
#undef MEMBER
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

static VKAPI_ATTR VkResult VKAPI_CALL map(VkDevice d, VkDeviceMemory m, VkDeviceSize at,
                                          VkDeviceSize n, VkMemoryMapFlags f, void **out)
{
    return now() ? faults.result : faults.map(d, m, at, n, f, out);
}

static VKAPI_ATTR VkResult VKAPI_CALL bind(VkDevice d, VkBuffer b, VkDeviceMemory m,
                                           VkDeviceSize at)
{
    return now() ? faults.result : faults.bind(d, b, m, at);
}

static VKAPI_ATTR VkResult VKAPI_CALL commands(VkDevice d, const VkCommandBufferAllocateInfo *i,
                                               VkCommandBuffer *out)
{
    return now() ? faults.result : faults.commands(d, i, out);
}

static VKAPI_ATTR VkResult VKAPI_CALL begin(VkCommandBuffer c, const VkCommandBufferBeginInfo *i)
{
    return now() ? faults.result : faults.begin(c, i);
}

static VKAPI_ATTR VkResult VKAPI_CALL end(VkCommandBuffer c)
{
    VkResult result = faults.end(c);
    return now() ? faults.result : result;
}

#define CREATE(type, parent, info, out)                                                            \
    static VKAPI_ATTR VkResult VKAPI_CALL create_##type(parent p, info i,                          \
                                                        const VkAllocationCallbacks *a, out o)     \
    {                                                                                              \
        return now() ? faults.result : faults.type(p, i, a, o);                                    \
    }
CREATIONS(CREATE)
#undef CREATE

// volk loads the functions with each instance; this comes after it, when a device is opened.
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
    case BIND:
        REPLACE(bind, vkBindBufferMemory, bind);
        break;
    case COMMANDS:
        REPLACE(commands, vkAllocateCommandBuffers, commands);
        break;
    case BEGIN:
        REPLACE(begin, vkBeginCommandBuffer, begin);
        break;
    case END:
        REPLACE(end, vkEndCommandBuffer, end);
        break;
#define CASE(type, parent, info, out)                                                              \
    case type:                                                                                     \
        REPLACE(type, vkCreate##type, create_##type);                                              \
        break;
        CREATIONS(CASE)
#undef CASE
    case MAP:
        REPLACE(map, vkMapMemory, map);
        break;
    }
#undef REPLACE
}

// Names that the linker makes up for --wrap.
vklm_status __real_vklm_gpu_device_open(vklm_gpu_instance *instance, size_t index,
                                        const vklm_gpu_device_params *params,
                                        vklm_gpu_device **out_device);
vklm_status __wrap_vklm_gpu_device_open(vklm_gpu_instance *instance, size_t index,
                                        const vklm_gpu_device_params *params,
                                        vklm_gpu_device **out_device);

vklm_status __wrap_vklm_gpu_device_open(vklm_gpu_instance *instance, size_t index,
                                        const vklm_gpu_device_params *params,
                                        vklm_gpu_device **out_device)
{
    install(faults.which);
    return __real_vklm_gpu_device_open(instance, index, params, out_device);
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

Test(faults, out_of_device_memory)
{
    need_device();
    cr_expect_gt(sweep(ALLOCATE, VK_ERROR_OUT_OF_DEVICE_MEMORY, VKLM_OUT_OF_DEVICE_MEMORY), 5);
    cr_expect_gt(sweep(Buffer, VK_ERROR_OUT_OF_DEVICE_MEMORY, VKLM_OUT_OF_DEVICE_MEMORY), 5);
}

Test(faults, out_of_host_memory)
{
    need_device();
    cr_expect_gt(sweep(PIPELINES, VK_ERROR_OUT_OF_HOST_MEMORY, VKLM_OUT_OF_MEMORY), 5);
    cr_expect_gt(sweep(MAP, VK_ERROR_OUT_OF_HOST_MEMORY, VKLM_OUT_OF_MEMORY), 3);
}

// Whatever takes memory, however little. What is made before the device is announced is not
// reached.
Test(faults, out_of_memory_anywhere)
{
    need_device();
    static const struct {
        function which;
        unsigned at_least;
    } cases[] = {{CommandPool, 1},   {Semaphore, 1}, {ShaderModule, 8}, {PipelineLayout, 1},
                 {PipelineCache, 1}, {Device, 1},    {BIND, 5},         {COMMANDS, 3},
                 {BEGIN, 5},         {END, 5},       {SUBMIT, 10}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        unsigned n =
            sweep(cases[i].which, VK_ERROR_OUT_OF_DEVICE_MEMORY, VKLM_OUT_OF_DEVICE_MEMORY);
        cr_expect_geq(n, cases[i].at_least, "case %zu: %u calls", i, n);
    }
}

Test(faults, device_lost)
{
    need_device();
    cr_expect_gt(sweep(SUBMIT, VK_ERROR_DEVICE_LOST, VKLM_DEVICE_LOST), 10);
    cr_expect_gt(sweep(WAIT, VK_ERROR_DEVICE_LOST, VKLM_DEVICE_LOST), 10);
}
