// The self-test with kernels that are wrong: compiled from altered SPIR-V, or left out.
#include <criterion/criterion.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <vklm/vklm.h>

#include "engine/engine_private.h"
#include "gpu/device_private.h"
#include "host/shell.h"
#include "model/need_device.h"
#include "model/self_test.h"

// What is wrong with the n-th module where there is such a thing; or the first dispatch of the n-th
// kernel is left out.
typedef enum { OTHER_SUMS, OTHER_SCALES, LEFT_OUT } wrongness;

enum { MOST_KERNELS = 64 };

static struct {
    wrongness what;
    unsigned countdown; // from now on; 0: all are right
    bool of_coop;       // only what is wrong of kernels for matrix units
    size_t bytes;       // of the code that was altered
    VkPipeline bound, seen[MOST_KERNELS];
    size_t n_seen;
    const VkPhysicalDeviceMemoryProperties *memory;
    PFN_vkAllocateMemory allocate;
    PFN_vkCreateShaderModule create;
    PFN_vkCmdBindPipeline bind;
    PFN_vkCmdDispatch run;
    PFN_vkCmdDispatchIndirect run_indirect;
} fault;

static bool count_down(void)
{
    return fault.countdown > 0 && --fault.countdown == 0;
}

// Sums become products, products sums, and so on; a product of matrices doubles the sum that it
// would be added to.
static bool alter_sums(uint32_t *instruction)
{
    const uint32_t op = *instruction & 0xFFFF, length = *instruction & 0xFFFF0000;
    if (op == 4459) { // OpCooperativeMatrixMulAddKHR becomes OpFAdd of its last operand, and OpNop
        const uint32_t n = length >> 16;
        instruction[0] = 5u << 16 | 129;
        instruction[3] = instruction[4] = instruction[5];
        for (uint32_t i = 5; i < n; i++)
            instruction[i] = 1u << 16;
        return true;
    }
    if (op == 129 || op == 133) // OpFAdd, OpFMul
        *instruction = length | (op == 129 ? 133 : 129);
    else if (op == 12 && instruction[4] == 50) // OpExtInst of GLSL.std.450: Fma becomes FMix
        instruction[4] = 46;
    else
        return false;
    return true;
}

// The factors of scales, 1/128 and 1/256 (quant/q8.glsl, q4.glsl, kv_cache.glsl), grow by 3 %.
static bool alter_scales(uint32_t *instruction)
{
    float value;
    memcpy(&value, instruction + 3, sizeof value);
    if (*instruction != (4u << 16 | 43) || (value != 0x1p-7f && value != 0x1p-8f)) // OpConstant
        return false;
    value *= 1.03f;
    memcpy(instruction + 3, &value, sizeof value);
    return true;
}

static bool is_coop(const uint32_t *code, size_t n)
{
    for (size_t i = 5; i < n && code[i] == (2u << 16 | 17); i += 2) // OpCapability
        if (code[i + 1] == 6022)                                    // CooperativeMatrixKHR
            return true;
    return false;
}

// False where there is nothing to change.
static bool alter(uint32_t *code, size_t n)
{
    bool changed = false;
    if (fault.of_coop && !is_coop(code, n))
        return false;
    for (size_t i = 5; i < n && code[i] >> 16; i += code[i] >> 16)
        changed |= fault.what == OTHER_SUMS ? alter_sums(code + i)
                                            : code[i] >> 16 == 4 && alter_scales(code + i);
    return changed;
}

static VKAPI_ATTR VkResult VKAPI_CALL create(VkDevice d, const VkShaderModuleCreateInfo *info,
                                             const VkAllocationCallbacks *a, VkShaderModule *out)
{
    const size_t sample =
        vklm_gpu_shader_find("sample")->bytes; // draws greedily: no arithmetic counts
    VkShaderModuleCreateInfo other = *info;
    uint32_t *code = malloc(info->codeSize);
    memcpy(code, info->pCode, info->codeSize);
    if (info->codeSize != sample && alter(code, info->codeSize / 4) && count_down()) {
        fault.bytes = info->codeSize;
        other.pCode = code;
    }
    VkResult result = fault.create(d, &other, a, out);
    free(code);
    return result;
}

static VKAPI_ATTR void VKAPI_CALL bind(VkCommandBuffer c, VkPipelineBindPoint point, VkPipeline p)
{
    fault.bound = p;
    fault.bind(c, point, p);
}

// The n-th kernel that is seen, the first time.
static bool left_out(void)
{
    for (size_t i = 0; i < fault.n_seen; i++)
        if (fault.seen[i] == fault.bound)
            return false;
    cr_assert_lt(fault.n_seen, MOST_KERNELS);
    fault.seen[fault.n_seen++] = fault.bound;
    return count_down();
}

static VKAPI_ATTR void VKAPI_CALL dispatch(VkCommandBuffer c, uint32_t x, uint32_t y, uint32_t z)
{
    if (!left_out())
        fault.run(c, x, y, z);
}

static VKAPI_ATTR void VKAPI_CALL dispatch_indirect(VkCommandBuffer c, VkBuffer b, VkDeviceSize at)
{
    if (!left_out())
        fault.run_indirect(c, b, at);
}

// What no kernel wrote is no zero, nor the number of anything. (Where the host sees all memory.)
static VKAPI_ATTR VkResult VKAPI_CALL allocate(VkDevice d, const VkMemoryAllocateInfo *info,
                                               const VkAllocationCallbacks *a, VkDeviceMemory *out)
{
    void *bytes;
    VkResult result = fault.allocate(d, info, a, out);
    const VkMemoryPropertyFlags flags =
        fault.memory->memoryTypes[info->memoryTypeIndex].propertyFlags;
    if (result == VK_SUCCESS && flags & VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT &&
        vkMapMemory(d, *out, 0, VK_WHOLE_SIZE, 0, &bytes) == VK_SUCCESS) {
        memset(bytes, 0xA5, info->allocationSize);
        vkUnmapMemory(d, *out);
    }
    return result;
}

// volk loads the functions with each instance: this comes after an engine was opened.
static void install(wrongness what, const vklm_gpu_device *device)
{
    fault.what = what;
    fault.memory = &device->memory;
    if (what == LEFT_OUT) {
        fault.bind = vkCmdBindPipeline, vkCmdBindPipeline = bind;
        fault.run = vkCmdDispatch, vkCmdDispatch = dispatch;
        fault.run_indirect = vkCmdDispatchIndirect, vkCmdDispatchIndirect = dispatch_indirect;
        fault.allocate = vkAllocateMemory, vkAllocateMemory = allocate;
    } else {
        fault.create = vkCreateShaderModule, vkCreateShaderModule = create;
    }
}

// Names that the linker makes up for --wrap.
vklm_status __real_vklm_self_test_run(vklm_gpu_device *device, const vklm_self_test_case *test,
                                      char *out_error);
vklm_status __wrap_vklm_self_test_run(vklm_gpu_device *device, const vklm_self_test_case *test,
                                      char *out_error);

// Whose kernels are tested.
typedef struct {
    const char *model;
    unsigned tiers;
    vklm_weights_kind weights;
    vklm_kv_kind kv;
} kernels;

static vklm_engine *open_engine(const kernels *k)
{
    char folder[512];
    vklm_engine *engine;
    snprintf(folder, sizeof folder, "%s/%s", VKLM_TEST_DATA, k->model);
    const vklm_engine_params params = {.model_dir = folder,
                                       .tiers = k->tiers,
                                       .weights = k->weights,
                                       .kv = k->kv,
                                       .self_test = VKLM_SELF_TEST_NEVER};
    cr_assert_eq(vklm_engine_open(&params, &engine), VKLM_OK, "%s", vklm_error_message());
    return engine;
}

// With the format that comes last: that of the layers' matrices.
static bool passes(vklm_engine *engine, char *out_error)
{
    vklm_self_test_case cases[VKLM_FORMAT_COUNT];
    size_t n;
    vklm_self_test_cases(engine->weights, engine->memory.kv, cases, &n);
    cr_assert_eq(__real_vklm_self_test_run(engine->device, &cases[n - 1], out_error), VKLM_OK, "%s",
                 vklm_error_message());
    return *out_error == '\0';
}

#ifdef VKLM_SANITIZED // looks for other faults than these
enum { STRIDE = 9 };
#else
enum { STRIDE = 1 };
#endif

// Lets the n-th be wrong, for every n that there is.
static void sweep(const kernels *k, wrongness what, unsigned at_least)
{
    unsigned found = 0;
    char error[VKLM_SELF_TEST_ERROR_BYTES];
    vklm_engine *engine = NULL;
    for (unsigned n = 1;; n += STRIDE) {
        if (!engine) {
            engine = open_engine(k);
            install(what, engine->device);
        }
        fault.countdown = n;
        fault.n_seen = 0;
        const bool passed = passes(engine, error), altered = fault.countdown == 0;
        if (what != LEFT_OUT || !altered) { // it keeps the modules
            vklm_engine_close(engine);
            engine = NULL;
        }
        cr_expect_eq(passed, !altered, "%s: %u (%zu bytes): %s", k->model, n, fault.bytes,
                     altered ? "is not noticed" : error);
        if (!altered)
            break;
        found++;
    }
    cr_expect_geq(found, at_least / STRIDE, "%s: %u", k->model, found);
}

static const kernels dense = {"random-gqa", VKLM_TIER_BASE, VKLM_WEIGHTS_AUTO, VKLM_KV_AUTO},
                     experts = {"random-moe-top4", VKLM_TIER_BASE, VKLM_WEIGHTS_AUTO, VKLM_KV_AUTO},
                     dense8 = {"demo-dense", VKLM_TIER_BASE | VKLM_TIER_DOT8, VKLM_WEIGHTS_Q8,
                               VKLM_KV_Q8},
                     experts4 = {"demo-moe", VKLM_TIER_BASE | VKLM_TIER_DOT8, VKLM_WEIGHTS_Q4,
                                 VKLM_KV_F16};

Test(self_test, every_wrong_kernel_is_noticed)
{
    need_device();
    sweep(&dense, OTHER_SUMS, 10);
    sweep(&experts, OTHER_SUMS, 14);
}

Test(self_test, every_kernel_that_does_nothing_is_noticed)
{
    need_device();
    sweep(&dense, LEFT_OUT, 10);
    sweep(&experts, LEFT_OUT, 14);
}

// The dot8 tier rounds inputs, and is found out all the same.
Test(self_test, scales_that_are_3_per_cent_off_are_noticed)
{
    need_device();
    sweep(&dense8, OTHER_SCALES, 8);
    sweep(&experts4, OTHER_SCALES, 8);
}

// Of kernels for matrix units: products, dense and of experts, and attention.
static const kernels dense_coop = {"demo-dense", VKLM_TIER_BASE | VKLM_TIER_COOP, VKLM_WEIGHTS_AUTO,
                                   VKLM_KV_F16},
                     experts_coop = {"demo-moe", VKLM_TIER_BASE | VKLM_TIER_COOP, VKLM_WEIGHTS_Q4,
                                     VKLM_KV_Q8};

Test(self_test_coop, every_wrong_kernel_is_noticed)
{
    need_coop();
    fault.of_coop = true;
    sweep(&dense_coop, OTHER_SUMS, 3);
    sweep(&experts_coop, OTHER_SUMS, 5);
}

Test(self_test_coop, scales_that_are_3_per_cent_off_are_noticed)
{
    need_coop();
    fault.of_coop = true;
    sweep(&experts_coop, OTHER_SCALES, 5);
}

// A device whose upper tiers are said to exist: kernels fail with them, and are right without.
static vklm_gpu_device *faulty;
static unsigned broken_tier;

// A device that says that its subgroups have twice the invocations that they have.
static bool lies;
static PFN_vkCreateComputePipelines create_pipelines;

static VKAPI_ATTR VkResult VKAPI_CALL create_of_any_size(VkDevice d, VkPipelineCache cache,
                                                         uint32_t n,
                                                         const VkComputePipelineCreateInfo *info,
                                                         const VkAllocationCallbacks *a,
                                                         VkPipeline *out)
{
    VkComputePipelineCreateInfo other = *info;
    other.stage.pNext = NULL; // the size that is asked for
    return create_pipelines(d, cache, n, &other, a, out);
}

vklm_status __wrap_vklm_self_test_run(vklm_gpu_device *device, const vklm_self_test_case *test,
                                      char *out_error)
{
    if (lies && !faulty) {
        faulty = device;
        device->caps.min_subgroup_size *= 2;
        create_pipelines = vkCreateComputePipelines, vkCreateComputePipelines = create_of_any_size;
    }
    if (!broken_tier)
        return __real_vklm_self_test_run(device, test, out_error);
    if (!faulty) {
        faulty = device;
        device->caps.tiers = VKLM_TIER_BASE | VKLM_TIER_DOT8 | VKLM_TIER_COOP;
    }
    strcpy(out_error, device->caps.tiers & broken_tier ? "all is wrong" : "");
    return VKLM_OK;
}

static char warnings[2048];

static void keep_warnings(void *opaque, vklm_log_level level, const char *message)
{
    (void)opaque;
    if (level == VKLM_LOG_WARNING && strlen(warnings) + strlen(message) < sizeof warnings - 1)
        strcat(warnings, message);
}

Test(self_test, a_tier_that_fails_is_turned_off)
{
    need_device();
    static const struct {
        unsigned broken, left;
    } cases[] = {
        {VKLM_TIER_COOP, VKLM_TIER_BASE | VKLM_TIER_DOT8},
        {VKLM_TIER_DOT8, VKLM_TIER_BASE}, // the highest goes first
        {VKLM_TIER_COOP | VKLM_TIER_DOT8, VKLM_TIER_BASE},
        {VKLM_TIER_BASE, 0},
    };
    vklm_log_set(keep_warnings, NULL, VKLM_LOG_WARNING);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        vklm_engine *engine;
        broken_tier = cases[i].broken;
        faulty = NULL;
        *warnings = '\0';
        vklm_status status =
            vklm_engine_open(&(vklm_engine_params){.model_dir = VKLM_TEST_DATA "/random-gqa",
                                                   .self_test = VKLM_SELF_TEST_ALWAYS},
                             &engine);
        cr_expect(strstr(warnings, "tier coop, which is turned off: all is wrong"), "%s", warnings);
        cr_expect_eq(status, cases[i].left ? VKLM_OK : VKLM_UNSUPPORTED);
        if (status == VKLM_OK) {
            cr_expect_eq(vklm_engine_device(engine)->tiers, cases[i].left);
            vklm_engine_close(engine);
        } else {
            cr_expect(strstr(vklm_error_message(), "fails the self-test: all is wrong") &&
                          strstr(vklm_error_message(), "please report it"),
                      "%s", vklm_error_message());
        }
    }
}

Test(self_test_coop, a_device_that_lies_about_its_subgroups_answers_without_matrix_units)
{
    static const uint32_t prompt[] = {11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22};
    enum { N_PROMPT = sizeof prompt / sizeof *prompt };
    need_coop();
    vklm_log_set(keep_warnings, NULL, VKLM_LOG_WARNING);
    float *want = NULL;
    for (int i = 0; i < 2; i++) {
        const vklm_engine_params params = {.model_dir = VKLM_TEST_DATA "/demo-dense",
                                           .tiers = VKLM_TIER_BASE | (i ? VKLM_TIER_COOP : 0),
                                           .self_test = VKLM_SELF_TEST_ALWAYS};
        vklm_engine *engine;
        vklm_session *session;
        const float *logits;
        lies = i > 0;
        cr_assert_eq(vklm_engine_open(&params, &engine), VKLM_OK, "%s", vklm_error_message());
        cr_expect_eq(vklm_engine_device(engine)->tiers, (unsigned)VKLM_TIER_BASE);
        cr_assert_eq(vklm_session_create(engine, NULL, &session), VKLM_OK);
        cr_assert_eq(vklm_session_append(session, prompt, N_PROMPT), VKLM_OK);
        cr_assert_eq(vklm_session_logits(session, &logits), VKLM_OK);
        const size_t bytes = vklm_engine_model(engine)->n_vocab * sizeof *logits;
        if (lies)
            cr_expect_arr_eq(logits, want, bytes);
        else
            want = memcpy(malloc(bytes), logits, bytes);
        vklm_session_destroy(session);
        vklm_engine_close(engine);
    }
    free(want);
    cr_expect(strstr(warnings, "tier coop, which is turned off"), "%s", warnings);
}

// Once: the second start remembers. A damaged record means that it is tested again.
Test(self_test, is_remembered)
{
    need_device();
    static const char run[] =
        "export XDG_CACHE_HOME=$d; o=\"" VKLM_TEST_DATA "/demo-dense -p a -n 1 -v\"; "
        "count() { vklm run $o $1 2>&1 | grep -c 'testing the kernels'; }; ";
    vklm_shell_result r =
        vklm_shell_run("d=$(mktemp -d); %s count; count; count '--self-test always'; "
                       "for f in $d/vklm/self-test-*; do echo rubbish >$f; done; count "
                       "'--self-test never'; count; "
                       "count '--limit shared=16k'; rm -r $d",
                       run);
    cr_expect_str_eq(r.out, "1\n0\n1\n0\n1\n1\n", "%s", r.err);
    vklm_shell_finish(&r);
    vklm_shell_expect(2, "--self-test takes always or never",
                      "vklm run x -p a --self-test sometimes");
}
