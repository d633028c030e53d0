#include "quant/format.h"

#include <assert.h>
#include <string.h>

#include "base/half.h"

static void unpack_f32(const void *packed, size_t n, float *out)
{
    memcpy(out, packed, n * sizeof *out);
}

static void unpack_f16(const void *packed, size_t n, float *out)
{
    const unsigned char *bytes = packed;
    for (size_t i = 0; i < n; i++)
        out[i] = vklm_half_from_f16((uint16_t)(bytes[2 * i] | bytes[2 * i + 1] << 8));
}

static void unpack_bf16(const void *packed, size_t n, float *out)
{
    const unsigned char *bytes = packed;
    for (size_t i = 0; i < n; i++)
        out[i] = vklm_half_from_bf16((uint16_t)(bytes[2 * i] | bytes[2 * i + 1] << 8));
}

static const struct {
    const char *name;
    uint32_t group, group_bytes;
    void (*unpack)(const void *packed, size_t n, float *out);
} formats[VKLM_FORMAT_COUNT] = {
    [VKLM_FORMAT_F32] = {"f32", 8, 32, unpack_f32},
    [VKLM_FORMAT_F16] = {"f16", 8, 16, unpack_f16},
    [VKLM_FORMAT_BF16] = {"bf16", 8, 16, unpack_bf16},
};

const char *vklm_format_name(vklm_format format)
{
    return formats[format].name;
}

uint64_t vklm_format_bytes(vklm_format format, uint64_t n)
{
    assert(n % formats[format].group == 0);
    return n / formats[format].group * formats[format].group_bytes;
}

uint32_t vklm_format_group(vklm_format format)
{
    return formats[format].group;
}

void vklm_format_unpack(vklm_format format, const void *packed, size_t n, float *out)
{
    formats[format].unpack(packed, n, out);
}
