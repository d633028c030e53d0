// model/need_device.h: for tests that run the program: they skip where there is no Vulkan.
#ifndef VKLM_TESTS_NEED_DEVICE_H
#define VKLM_TESTS_NEED_DEVICE_H

#include <criterion/criterion.h>

#include <vklm/vklm.h>

static inline void need_device(void)
{
    vklm_device_info *devices;
    size_t n;
    if (vklm_device_list(&devices, &n) != VKLM_OK)
        cr_skip_test("no Vulkan: %s", vklm_error_message());
    vklm_free(devices);
}

static inline void need_coop(void)
{
    vklm_device_info *devices;
    size_t n;
    if (vklm_device_list(&devices, &n) != VKLM_OK)
        cr_skip_test("no Vulkan: %s", vklm_error_message());
    bool has = n > 0 && devices[0].n_coop_shapes > 0;
    vklm_free(devices);
    if (!has)
        cr_skip_test("the device has no cooperative matrices");
}

#endif
