// What the host does for a token: no memory is allocated, nothing is recorded or built, no
// descriptor is touched; a call to submit and a wait are all. Counted at the library's own calls of
// malloc and Vulkan (the driver allocates as it likes).
#include <criterion/criterion.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <vklm/vklm.h>

#include "gpu/vk.h"

#define must(call) cr_assert((call) == VKLM_OK, "%s", vklm_error_message())

static struct {
    unsigned allocations, vulkan, submits, tokens;
    unsigned allocations_before, vulkan_before, submits_before; // at the SETTLED-th token
} counts;

// The linker sends the library's calls here.
void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *old, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *old, size_t size);

void *__wrap_malloc(size_t size)
{
    counts.allocations++;
    return __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
    counts.allocations++;
    return __real_calloc(n, size);
}

void *__wrap_realloc(void *old, size_t size)
{
    counts.allocations++;
    return __real_realloc(old, size);
}

// Everything that makes, maps or records something. `real` and `fake` of each.
#define COUNTED(ITEM)                                                                              \
    ITEM(vkAllocateMemory, VkResult,                                                               \
         (VkDevice d, const VkMemoryAllocateInfo *i, const VkAllocationCallbacks *a,               \
          VkDeviceMemory *o),                                                                      \
         (d, i, a, o))                                                                             \
    ITEM(vkMapMemory, VkResult,                                                                    \
         (VkDevice d, VkDeviceMemory m, VkDeviceSize at, VkDeviceSize n, VkMemoryMapFlags f,       \
          void **o),                                                                               \
         (d, m, at, n, f, o))                                                                      \
    ITEM(vkCreateBuffer, VkResult,                                                                 \
         (VkDevice d, const VkBufferCreateInfo *i, const VkAllocationCallbacks *a, VkBuffer *o),   \
         (d, i, a, o))                                                                             \
    ITEM(vkCreateComputePipelines, VkResult,                                                       \
         (VkDevice d, VkPipelineCache c, uint32_t n, const VkComputePipelineCreateInfo *i,         \
          const VkAllocationCallbacks *a, VkPipeline *o),                                          \
         (d, c, n, i, a, o))                                                                       \
    ITEM(vkAllocateCommandBuffers, VkResult,                                                       \
         (VkDevice d, const VkCommandBufferAllocateInfo *i, VkCommandBuffer *o), (d, i, o))        \
    ITEM(vkBeginCommandBuffer, VkResult, (VkCommandBuffer c, const VkCommandBufferBeginInfo *i),   \
         (c, i))                                                                                   \
    ITEM(vkCreateDescriptorPool, VkResult,                                                         \
         (VkDevice d, const VkDescriptorPoolCreateInfo *i, const VkAllocationCallbacks *a,         \
          VkDescriptorPool *o),                                                                    \
         (d, i, a, o))                                                                             \
    ITEM(vkAllocateDescriptorSets, VkResult,                                                       \
         (VkDevice d, const VkDescriptorSetAllocateInfo *i, VkDescriptorSet *o), (d, i, o))        \
    ITEM(vkUpdateDescriptorSets, void,                                                             \
         (VkDevice d, uint32_t nw, const VkWriteDescriptorSet *w, uint32_t nc,                     \
          const VkCopyDescriptorSet *c),                                                           \
         (d, nw, w, nc, c))                                                                        \
    ITEM(vkCmdDispatch, void, (VkCommandBuffer c, uint32_t x, uint32_t y, uint32_t z),             \
         (c, x, y, z))                                                                             \
    ITEM(vkCmdCopyBuffer, void,                                                                    \
         (VkCommandBuffer c, VkBuffer from, VkBuffer to, uint32_t n, const VkBufferCopy *r),       \
         (c, from, to, n, r))                                                                      \
    ITEM(vkCmdPipelineBarrier2, void, (VkCommandBuffer c, const VkDependencyInfo *i), (c, i))

#define DEFINE(name, type, parameters, arguments)                                                  \
    static PFN_##name real_##name;                                                                 \
    static VKAPI_ATTR type VKAPI_CALL fake_##name parameters                                       \
    {                                                                                              \
        counts.vulkan++;                                                                           \
        return real_##name arguments;                                                              \
    }
COUNTED(DEFINE)

static PFN_vkQueueSubmit2 real_submit;

static VKAPI_ATTR VkResult VKAPI_CALL fake_submit(VkQueue q, uint32_t n, const VkSubmitInfo2 *i,
                                                  VkFence f)
{
    counts.submits++;
    return real_submit(q, n, i, f);
}

#define INSTALL(name, type, parameters, arguments)                                                 \
    real_##name = name;                                                                            \
    name = fake_##name;

// After the device is open: volk loads its functions anew with each instance.
static void install(void)
{
    COUNTED(INSTALL)
    real_submit = vkQueueSubmit2;
    vkQueueSubmit2 = fake_submit;
}

enum { SETTLED = 4, TOKENS = 64 };

static bool on_token(void *opaque, uint32_t id)
{
    (void)opaque, (void)id;
    if (++counts.tokens == SETTLED) {
        counts.allocations_before = counts.allocations;
        counts.vulkan_before = counts.vulkan;
        counts.submits_before = counts.submits;
    }
    return true;
}

static void expect_nothing(const char *model, const vklm_session_params *params, const char *what)
{
    static const uint32_t ids[] = {3, 1, 4, 1, 5, 9, 2, 6};
    char folder[256];
    vklm_engine *engine;
    vklm_session *session;
    vklm_stop_reason reason;
    snprintf(folder, sizeof folder, "%s/%s", VKLM_TEST_DATA, model);
    memset(&counts, 0, sizeof counts);
    vklm_status status = vklm_engine_open(
        &(vklm_engine_params){.model_dir = folder, .weights = VKLM_WEIGHTS_Q4}, &engine);
    if (status == VKLM_NO_DEVICE)
        cr_skip_test("no Vulkan: %s", vklm_error_message());
    cr_assert(status == VKLM_OK, "%s", vklm_error_message());
    install();
    must(vklm_session_create(engine, params, &session));
    must(vklm_session_append(session, ids, sizeof ids / sizeof *ids));
    cr_expect_gt(counts.allocations, 0); // the counters count
    cr_expect_gt(counts.vulkan, 0);
    must(vklm_session_generate(session, TOKENS, true, on_token, NULL, &reason));
    cr_expect_eq(counts.tokens, TOKENS);
    cr_expect_eq(counts.allocations, counts.allocations_before, "%s, %s: %u allocations", model,
                 what, counts.allocations - counts.allocations_before);
    cr_expect_eq(counts.vulkan, counts.vulkan_before, "%s, %s: %u Vulkan calls", model, what,
                 counts.vulkan - counts.vulkan_before);
    const unsigned submits = counts.submits - counts.submits_before;
    cr_expect(submits > 0 && submits <= TOKENS, "%s, %s: %u submits", model, what, submits);
    vklm_session_destroy(session);
    vklm_engine_close(engine);
}

Test(per_token, the_host_only_submits)
{
    static const struct {
        const char *what;
        vklm_session_params params;
    } cases[] = {
        {"greedy", {.sampling = {.greedy = true}}},
        {"drawn on the device", {.sampling = {.temperature = 0.8f, .top_k = 40, .seed = 1}}},
        {"drawn on the host",
         {.sampling = {.temperature = 0.8f, .top_k = 40, .seed = 1}, .sample_on_host = true}},
    };
    static const char *const models[] = {"random-gqa", "random-moe-top4"};
    for (size_t m = 0; m < sizeof models / sizeof *models; m++)
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
            expect_nothing(models[m], &cases[i].params, cases[i].what);
}
