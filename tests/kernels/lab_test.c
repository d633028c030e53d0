// The laboratory in a Criterion test.
#include <criterion/criterion.h>

#include <stdio.h>
#include <stdlib.h>

#include "kernels/lab.h"

static vklm_gpu_instance *instance;
static vklm_gpu_device *device;

#define must(call) cr_assert((call) == VKLM_OK, "%s", vklm_error_message())

static void to_stderr(void *opaque, vklm_log_level level, const char *message)
{
    (void)opaque, (void)level;
    fprintf(stderr, "%s\n", message);
}

static void fail_test(void *opaque, const char *message)
{
    (void)opaque;
    cr_assert(false, "%s", message);
}

vklm_lab *vklm_lab_open(void)
{
    return vklm_lab_open_tiers(0);
}

vklm_lab *vklm_lab_open_tiers(unsigned tiers)
{
    vklm_log_set(to_stderr, NULL, VKLM_LOG_WARNING);
    vklm_status status =
        vklm_gpu_instance_create(&(vklm_gpu_instance_params){.validation = true}, &instance);
    if (status == VKLM_NO_DEVICE)
        return NULL;
    cr_assert(status == VKLM_OK, "%s", vklm_error_message());
    size_t index;
    vklm_lab *lab;
    must(vklm_gpu_instance_select(instance, NULL, &index));
    vklm_gpu_device_params params = {.tune_as_gpu = getenv("VKLM_TEST_AS_GPU"), .tiers = tiers};
    if (getenv("VKLM_TEST_LIMIT"))
        must(vklm_device_limits_parse(getenv("VKLM_TEST_LIMIT"), &params.limits));
    must(vklm_gpu_device_open(instance, index, &params, &device));
    must(vklm_lab_create(&(vklm_lab_params){.device = device, .failed = fail_test}, &lab));
    return lab;
}

void vklm_lab_close(vklm_lab *lab)
{
    vklm_lab_destroy(lab);
    vklm_gpu_device_close(device);
    unsigned messages = vklm_gpu_instance_messages(instance);
    vklm_gpu_instance_destroy(instance);
    cr_assert_eq(messages, 0, "%u validation messages", messages);
}
