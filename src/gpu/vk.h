// gpu/vk.h: Vulkan for the files of this folder, and for nobody else.
//
// Function pointers come from volk. Every Vulkan call that can fail goes through vklm_vk_check,
// which turns a VkResult into a vklm_status and a sentence.
#ifndef VKLM_GPU_VK_H
#define VKLM_GPU_VK_H

#define VK_NO_PROTOTYPES
#include <volk.h>

#include "base/status.h"

// VKLM_OK for VK_SUCCESS; otherwise the matching status, with "WHAT failed: VK_ERROR_…".
vklm_status vklm_vk_check(VkResult result, const char *what);

#endif
