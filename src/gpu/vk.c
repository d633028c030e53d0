#define VOLK_IMPLEMENTATION
#include "gpu/vk.h"

static const char *result_name(VkResult result)
{
    switch (result) {
    case VK_ERROR_OUT_OF_HOST_MEMORY:
        return "VK_ERROR_OUT_OF_HOST_MEMORY";
    case VK_ERROR_OUT_OF_DEVICE_MEMORY:
        return "VK_ERROR_OUT_OF_DEVICE_MEMORY";
    case VK_ERROR_INITIALIZATION_FAILED:
        return "VK_ERROR_INITIALIZATION_FAILED";
    case VK_ERROR_DEVICE_LOST:
        return "VK_ERROR_DEVICE_LOST";
    case VK_ERROR_LAYER_NOT_PRESENT:
        return "VK_ERROR_LAYER_NOT_PRESENT";
    case VK_ERROR_EXTENSION_NOT_PRESENT:
        return "VK_ERROR_EXTENSION_NOT_PRESENT";
    case VK_ERROR_FEATURE_NOT_PRESENT:
        return "VK_ERROR_FEATURE_NOT_PRESENT";
    case VK_ERROR_INCOMPATIBLE_DRIVER:
        return "VK_ERROR_INCOMPATIBLE_DRIVER";
    case VK_ERROR_TOO_MANY_OBJECTS:
        return "VK_ERROR_TOO_MANY_OBJECTS";
    case VK_TIMEOUT:
        return "VK_TIMEOUT";
    default:
        return NULL;
    }
}

vklm_status vklm_vk_check(VkResult result, const char *what)
{
    if (result == VK_SUCCESS)
        return VKLM_OK;
    vklm_status status = VKLM_UNSUPPORTED;
    if (result == VK_ERROR_DEVICE_LOST || result == VK_TIMEOUT)
        status = VKLM_DEVICE_LOST;
    else if (result == VK_ERROR_OUT_OF_DEVICE_MEMORY)
        status = VKLM_OUT_OF_DEVICE_MEMORY;
    else if (result == VK_ERROR_OUT_OF_HOST_MEMORY)
        status = VKLM_OUT_OF_MEMORY;
    const char *name = result_name(result);
    if (name)
        return vklm_fail(status, "%s failed: %s", what, name);
    return vklm_fail(status, "%s failed: VkResult %d", what, (int)result);
}
