#include "model/importance.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

vklm_status vklm_importance_open(const char *path, vklm_importance *out_importance)
{
    *out_importance = (vklm_importance){.path = strdup(path)};
    vklm_status status = out_importance->path ? VKLM_OK : vklm_fail_memory("the importance file");
    if (status == VKLM_OK)
        status = vklm_file_map_open(path, &out_importance->map);
    if (status == VKLM_OK)
        status = vklm_safetensors_parse(out_importance->map.data, out_importance->map.size, path,
                                        &out_importance->header);
    if (status != VKLM_OK)
        vklm_importance_close(out_importance);
    return status;
}

void vklm_importance_close(vklm_importance *importance)
{
    vklm_safetensors_finish(&importance->header);
    vklm_file_map_close(&importance->map);
    free(importance->path);
    *importance = (vklm_importance){0};
}

vklm_status vklm_importance_find(const vklm_importance *importance, const char *name,
                                 uint32_t n_cols, const float **out_values)
{
    *out_values = NULL;
    const vklm_tensor_info *info = vklm_safetensors_find(&importance->header, name);
    if (!info)
        return VKLM_OK;
    if (info->dtype != VKLM_DTYPE_F32 || info->bytes != n_cols * sizeof(float) || info->offset % 4)
        return vklm_fail(VKLM_BAD_FILE, "%s: %s is not %u aligned numbers in F32", importance->path,
                         name, n_cols);
    const float *values = (const float *)(const void *)(importance->map.data + info->offset);
    for (uint32_t i = 0; i < n_cols; i++)
        if (!(values[i] >= 0) || !isfinite(values[i]))
            return vklm_fail(VKLM_BAD_FILE, "%s: %s: element %u is no importance", importance->path,
                             name, i);
    *out_values = values;
    return VKLM_OK;
}
