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

static struct {
    unsigned module, dispatch; // which one from now on; 0: none
    bool altered;
    size_t bytes; // of the code that was altered
    PFN_vkCreateShaderModule create;
    PFN_vkCmdDispatch run;
} fault;

// Sums become differences, products sums, and so on. False where there is nothing to change.
static bool alter(uint32_t *code, size_t n)
{
    bool changed = false;
    for (size_t i = 5; i < n && code[i] >> 16; i += code[i] >> 16) {
        uint32_t op = code[i] & 0xFFFF, length = code[i] & 0xFFFF0000;
        if (op == 129 || op == 133) { // OpFAdd, OpFMul
            code[i] = length | (op == 129 ? 131 : 129);
            changed = true;
        }
        if (op == 12 && code[i + 4] == 50) { // OpExtInst of GLSL.std.450: Fma becomes FMix
            code[i + 4] = 46;
            changed = true;
        }
    }
    return changed;
}

static VKAPI_ATTR VkResult VKAPI_CALL create(VkDevice d, const VkShaderModuleCreateInfo *info,
                                             const VkAllocationCallbacks *a, VkShaderModule *out)
{
    const size_t sample =
        vklm_gpu_shader_find("sample")->bytes; // draws greedily: no arithmetic counts
    if (fault.module == 0 || --fault.module > 0 || info->codeSize == sample)
        return fault.create(d, info, a, out);
    VkShaderModuleCreateInfo other = *info;
    uint32_t *code = malloc(info->codeSize);
    memcpy(code, info->pCode, info->codeSize);
    fault.bytes = info->codeSize;
    fault.altered = alter(code, info->codeSize / 4);
    other.pCode = code;
    VkResult result = fault.create(d, &other, a, out);
    free(code);
    return result;
}

static VKAPI_ATTR void VKAPI_CALL dispatch(VkCommandBuffer c, uint32_t x, uint32_t y, uint32_t z)
{
    if (fault.dispatch && --fault.dispatch == 0)
        fault.altered = true;
    else
        fault.run(c, x, y, z);
}

static void on_log(void *opaque, vklm_log_level level, const char *message)
{
    (void)opaque, (void)level;
    if (strncmp(message, "testing the kernels", 19) == 0 && vkCreateShaderModule != create) {
        fault.create = vkCreateShaderModule;
        fault.run = vkCmdDispatch;
        vkCreateShaderModule = create;
        vkCmdDispatch = dispatch;
    }
}

static vklm_status open_with(unsigned module, unsigned n_dispatch, vklm_engine **out_engine)
{
    fault.module = module;
    fault.dispatch = n_dispatch;
    fault.altered = false;
    vklm_status status =
        vklm_engine_open(&(vklm_engine_params){.model_dir = VKLM_TEST_DATA "/random-gqa",
                                               .self_test = VKLM_SELF_TEST_ALWAYS},
                         out_engine);
    return status;
}

// Lets the n-th be wrong, for every n that there is.
static unsigned sweep(bool modules)
{
    vklm_engine *engine;
    unsigned found = 0;
    for (unsigned n = 1; n < 200; n++) {
        vklm_status status = open_with(modules ? n : 0, modules ? 0 : n, &engine);
        unsigned left = modules ? fault.module : fault.dispatch;
        vklm_engine_close(status == VKLM_OK ? engine : NULL);
        if (left > 0) {
            cr_expect_eq(status, VKLM_OK, "%s", vklm_error_message());
            return found;
        }
        if (!fault.altered) {
            cr_expect_eq(status, VKLM_OK, "%u: %s", n, vklm_error_message());
            continue;
        }
        cr_expect_eq(status, VKLM_UNSUPPORTED, "wrong kernel %u (%zu bytes) is not noticed", n,
                     fault.bytes);
        cr_expect(strstr(vklm_error_message(), "fails the self-test") &&
                      strstr(vklm_error_message(), "please report it"),
                  "%s", vklm_error_message());
        found++;
    }
    cr_assert(false, "no end");
    return 0;
}

Test(self_test, every_wrong_kernel_is_noticed)
{
    need_device();
    vklm_log_set(on_log, NULL, VKLM_LOG_INFO);
    cr_expect_geq(sweep(true), 10);
}

Test(self_test, every_kernel_that_does_nothing_is_noticed)
{
    need_device();
    vklm_log_set(on_log, NULL, VKLM_LOG_INFO);
    cr_expect_geq(sweep(false), 20);
}

// A device whose upper tiers are said to exist: kernels fail with them, and are right without.
static vklm_gpu_device *faulty;
static unsigned broken_tier;

// Names that the linker makes up for --wrap.
vklm_status __real_vklm_self_test_run(vklm_gpu_device *device, const vklm_self_test_case *test,
                                      char *out_error);
vklm_status __wrap_vklm_self_test_run(vklm_gpu_device *device, const vklm_self_test_case *test,
                                      char *out_error);

vklm_status __wrap_vklm_self_test_run(vklm_gpu_device *device, const vklm_self_test_case *test,
                                      char *out_error)
{
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
        vklm_status status = open_with(0, 0, &engine);
        cr_expect(strstr(warnings, "tier coop, which is turned off: all is wrong"), "%s", warnings);
        cr_expect_eq(status, cases[i].left ? VKLM_OK : VKLM_UNSUPPORTED);
        if (status == VKLM_OK) {
            cr_expect_eq(vklm_engine_device(engine)->tiers, cases[i].left);
            vklm_engine_close(engine);
        }
    }
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
