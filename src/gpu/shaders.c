// The SPIR-V of every shader variant, compiled by the build.
#include "gpu/pipeline.h"

#include <string.h>

#include "shader_arrays.inc"

static const vklm_gpu_shader shaders[] = {
#include "shader_table.inc"
};

const vklm_gpu_shader *vklm_gpu_shader_find(const char *name)
{
    for (size_t i = 0; i < sizeof shaders / sizeof *shaders; i++)
        if (strcmp(shaders[i].name, name) == 0)
            return &shaders[i];
    return NULL;
}
