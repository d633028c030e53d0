#include "gpu/instance_private.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "gpu/caps_read.h"

// What the layer says about its own settings, when it is asked for more than it does by default.
static bool about_settings(const VkDebugUtilsMessengerCallbackDataEXT *data)
{
    const char *id = data->pMessageIdName;
    return id && (strcmp(id, "VALIDATION-SETTINGS") == 0 ||
                  strncmp(id, "WARNING-Setting-", strlen("WARNING-Setting-")) == 0);
}

static VKAPI_ATTR VkBool32 VKAPI_CALL on_message(VkDebugUtilsMessageSeverityFlagBitsEXT severity,
                                                 VkDebugUtilsMessageTypeFlagsEXT types,
                                                 const VkDebugUtilsMessengerCallbackDataEXT *data,
                                                 void *opaque)
{
    vklm_gpu_instance *instance = opaque;
    bool error = severity & VK_DEBUG_UTILS_MESSAGE_SEVERITY_ERROR_BIT_EXT;
    if (about_settings(data))
        return VK_FALSE;
    // The loader's remarks about other drivers' files are no fault of ours: only validation counts.
    if (types & (VK_DEBUG_UTILS_MESSAGE_TYPE_VALIDATION_BIT_EXT |
                 VK_DEBUG_UTILS_MESSAGE_TYPE_PERFORMANCE_BIT_EXT))
        atomic_fetch_add(&instance->n_messages, 1);
    vklm_log(error ? VKLM_LOG_ERROR : VKLM_LOG_WARNING, "vulkan: %s", data->pMessage);
    return VK_FALSE;
}

static bool has_layer(const char *name)
{
    VkLayerProperties layers[64];
    uint32_t n = 64;
    if (vkEnumerateInstanceLayerProperties(&n, layers) < 0)
        return false;
    for (uint32_t i = 0; i < n; i++)
        if (strcmp(layers[i].layerName, name) == 0)
            return true;
    return false;
}

static vklm_status create_instance(vklm_gpu_instance *instance, bool validation)
{
    static const char *const layer = "VK_LAYER_KHRONOS_validation";
    static const char *const extension = VK_EXT_DEBUG_UTILS_EXTENSION_NAME;
    if (validation && !has_layer(layer))
        return vklm_fail(VKLM_UNSUPPORTED, "validation was asked for, but %s is not installed",
                         layer);
    VkDebugUtilsMessengerCreateInfoEXT messenger = {
        .sType = VK_STRUCTURE_TYPE_DEBUG_UTILS_MESSENGER_CREATE_INFO_EXT,
        .messageSeverity = VK_DEBUG_UTILS_MESSAGE_SEVERITY_WARNING_BIT_EXT |
                           VK_DEBUG_UTILS_MESSAGE_SEVERITY_ERROR_BIT_EXT,
        .messageType = VK_DEBUG_UTILS_MESSAGE_TYPE_VALIDATION_BIT_EXT |
                       VK_DEBUG_UTILS_MESSAGE_TYPE_PERFORMANCE_BIT_EXT |
                       VK_DEBUG_UTILS_MESSAGE_TYPE_GENERAL_BIT_EXT,
        .pfnUserCallback = on_message,
        .pUserData = instance,
    };
    VkApplicationInfo application = {.sType = VK_STRUCTURE_TYPE_APPLICATION_INFO,
                                     .pApplicationName = "vklm",
                                     .pEngineName = "vklm",
                                     .apiVersion = VK_API_VERSION_1_3};
    VkInstanceCreateInfo info = {
        .sType = VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO,
        .pNext = validation ? &messenger : NULL, // for creation and destruction themselves
        .pApplicationInfo = &application,
        .enabledLayerCount = validation,
        .ppEnabledLayerNames = &layer,
        .enabledExtensionCount = validation,
        .ppEnabledExtensionNames = &extension,
    };
    VkResult result = vkCreateInstance(&info, NULL, &instance->vk);
    if (result == VK_ERROR_INCOMPATIBLE_DRIVER)
        return vklm_fail(VKLM_NO_DEVICE, "no Vulkan driver found; install your GPU's driver, or "
                                         "Mesa's lavapipe (Debian: mesa-vulkan-drivers)");
    vklm_status status = vklm_vk_check(result, "vkCreateInstance");
    if (status != VKLM_OK)
        return status;
    volkLoadInstance(instance->vk);
    if (validation)
        status = vklm_vk_check(
            vkCreateDebugUtilsMessengerEXT(instance->vk, &messenger, NULL, &instance->messenger),
            "vkCreateDebugUtilsMessengerEXT");
    return status;
}

static vklm_status list_devices(vklm_gpu_instance *instance, bool quirks)
{
    uint32_t n = 0;
    VkResult result = vkEnumeratePhysicalDevices(instance->vk, &n, NULL);
    if (result == VK_ERROR_INITIALIZATION_FAILED) // what loaders say when no driver starts
        n = 0;
    else if (result < 0)
        return vklm_vk_check(result, "vkEnumeratePhysicalDevices");
    if (n == 0)
        return vklm_fail(VKLM_NO_DEVICE, "no Vulkan device found; install your GPU's driver, or "
                                         "Mesa's lavapipe (Debian: mesa-vulkan-drivers)");
    instance->devices = vklm_alloc(n, sizeof *instance->devices);
    instance->caps = vklm_alloc(n, sizeof *instance->caps);
    if (!instance->devices || !instance->caps)
        return vklm_fail_memory("the device list");
    result = vkEnumeratePhysicalDevices(instance->vk, &n, instance->devices);
    if (result < 0)
        return vklm_vk_check(result, "vkEnumeratePhysicalDevices");
    instance->n_devices = n;
    for (uint32_t i = 0; i < n; i++)
        vklm_gpu_caps_read(instance->vk, instance->devices[i], quirks, &instance->caps[i]);
    return VKLM_OK;
}

vklm_status vklm_gpu_instance_create(const vklm_gpu_instance_params *params,
                                     vklm_gpu_instance **out_instance)
{
    *out_instance = NULL;
    if (volkInitialize() != VK_SUCCESS)
        return vklm_fail(VKLM_NO_DEVICE, "no Vulkan loader found; install libvulkan "
                                         "(Debian: libvulkan1 and mesa-vulkan-drivers)");
    if (volkGetInstanceVersion() < VK_API_VERSION_1_3)
        return vklm_fail(VKLM_NO_DEVICE, "the Vulkan loader is older than 1.3");
    vklm_gpu_instance *instance = vklm_alloc(1, sizeof *instance);
    if (!instance)
        return vklm_fail_memory("the Vulkan instance");
    vklm_status status = create_instance(instance, params->validation);
    if (status == VKLM_OK)
        status = list_devices(instance, !params->no_quirks);
    if (status != VKLM_OK) {
        vklm_gpu_instance_destroy(instance);
        return status;
    }
    *out_instance = instance;
    return VKLM_OK;
}

void vklm_gpu_instance_destroy(vklm_gpu_instance *instance)
{
    if (!instance)
        return;
    if (instance->messenger)
        vkDestroyDebugUtilsMessengerEXT(instance->vk, instance->messenger, NULL);
    if (instance->vk)
        vkDestroyInstance(instance->vk, NULL);
    free(instance->devices);
    free(instance->caps);
    free(instance);
}

size_t vklm_gpu_instance_count(const vklm_gpu_instance *instance)
{
    return instance->n_devices;
}

const vklm_gpu_caps *vklm_gpu_instance_caps(const vklm_gpu_instance *instance, size_t index)
{
    return &instance->caps[index];
}

unsigned vklm_gpu_instance_messages(const vklm_gpu_instance *instance)
{
    return atomic_load(&instance->n_messages);
}

vklm_status vklm_gpu_instance_select(const vklm_gpu_instance *instance, const char *wanted,
                                     size_t *out_index)
{
    const vklm_gpu_caps **list = vklm_alloc(instance->n_devices, sizeof *list);
    if (!list)
        return vklm_fail_memory("the device list");
    for (size_t i = 0; i < instance->n_devices; i++)
        list[i] = &instance->caps[i];
    vklm_status status = vklm_gpu_select(list, instance->n_devices, wanted, out_index);
    free(list);
    return status;
}
