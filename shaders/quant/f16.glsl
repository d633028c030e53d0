// IEEE binary16 as stored: 8 values in 16 bytes, the first in the low half of the first word.
#define QuantMatrix ReadU32x4

void quant_load8(QuantMatrix m, uint i, out vec4 a, out vec4 b)
{
    uvec4 u = m.v[i];
    a = vec4(unpackHalf2x16(u.x), unpackHalf2x16(u.y));
    b = vec4(unpackHalf2x16(u.z), unpackHalf2x16(u.w));
}
