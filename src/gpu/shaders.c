// The SPIR-V of every shader variant, compiled by the build.
#include "gpu/device.h"
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

uint64_t vklm_gpu_shaders_hash(void)
{
    uint64_t h = 0xCBF29CE484222325u; // FNV-1a, by words
    for (size_t i = 0; i < sizeof shaders / sizeof *shaders; i++)
        for (size_t w = 0; w < shaders[i].bytes / 4; w++)
            h = (h ^ shaders[i].code[w]) * 0x100000001B3u;
    return h;
}
