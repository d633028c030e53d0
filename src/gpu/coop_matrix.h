// gpu/coop_matrix.h: VK_KHR_cooperative_matrix as its specification states it, for Vulkan headers
// that are older than the extension (before 1.3.255).
#ifndef VKLM_GPU_COOP_MATRIX_H
#define VKLM_GPU_COOP_MATRIX_H

#include "gpu/vk.h"

#define VKLM_COOP_MATRIX_EXTENSION "VK_KHR_cooperative_matrix"

enum {
    VKLM_COOP_FEATURES_STYPE = 1000506000,
    VKLM_COOP_PROPERTIES_STYPE = 1000506001,
    VKLM_COOP_SCOPE_SUBGROUP = 3,
};

typedef struct {
    VkStructureType sType;
    void *pNext;
    VkBool32 cooperativeMatrix;
    VkBool32 cooperativeMatrixRobustBufferAccess;
} vklm_coop_features;

typedef struct {
    VkStructureType sType;
    void *pNext;
    uint32_t MSize, NSize, KSize;
    int32_t AType, BType, CType, ResultType;
    VkBool32 saturatingAccumulation;
    int32_t scope;
} vklm_coop_properties;

typedef VkResult(VKAPI_PTR *vklm_coop_get_properties)(VkPhysicalDevice device, uint32_t *count,
                                                      vklm_coop_properties *properties);

#endif
