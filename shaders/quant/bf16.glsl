// bfloat16 as stored: 8 values in 16 bytes, the first in the low half of the first word. A bf16 is
// the upper half of an f32.
#define QuantMatrix ReadU32x4

vec4 quant_bf16x4(uint low, uint high)
{
    return uintBitsToFloat(uvec4(low << 16, low & 0xFFFF0000u, high << 16, high & 0xFFFF0000u));
}

void quant_load8(QuantMatrix m, uint i, out vec4 a, out vec4 b)
{
    uvec4 u = m.v[i];
    a = quant_bf16x4(u.x, u.y);
    b = quant_bf16x4(u.z, u.w);
}
