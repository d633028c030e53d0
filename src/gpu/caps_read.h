// gpu/caps_read.h: taking the snapshot.
#ifndef VKLM_GPU_CAPS_READ_H
#define VKLM_GPU_CAPS_READ_H

#include "gpu/caps.h"
#include "gpu/vk.h"

void vklm_gpu_caps_read(VkInstance instance, VkPhysicalDevice device, bool quirks,
                        vklm_gpu_caps *out_caps);

// Reads the heaps' budgets again: they change while other programs run.
void vklm_gpu_caps_refresh_budget(VkPhysicalDevice device, vklm_gpu_caps *caps);

#endif
