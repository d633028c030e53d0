// bfloat16 as stored: 8 values in 16 bytes, the first in the low half of the first word. A bf16 is
// the upper half of an f32.
#define QUANT_BLOCK 8
#define QUANT_STORED
#define QuantMatrix ReadU32x4

QuantMatrix quant_matrix(uvec2 address, uint n_rows, uint n_cols)
{
    return QuantMatrix(address);
}

#define QuantRow uvec2

QuantRow quant_row(uvec2 address, uint n_rows, uint n_cols, uint row)
{
    return address_add_rows(address, row, n_cols * 2);
}

QuantMatrix quant_of_row(QuantRow row)
{
    return QuantMatrix(row);
}

#define QuantRaw uvec4

QuantRaw quant_fetch(QuantMatrix m, uint i)
{
    return m.v[i];
}

vec4 quant_bf16x4(uint low, uint high)
{
    return uintBitsToFloat(uvec4(low << 16, low & 0xFFFF0000u, high << 16, high & 0xFFFF0000u));
}

void quant_unpack(QuantRaw u, out vec4 w[2])
{
    w[0] = quant_bf16x4(u.x, u.y);
    w[1] = quant_bf16x4(u.z, u.w);
}

#ifdef QUANT_F16
#define QUANT_PARTS 1

void quant_unpack_f16(QuantRaw raw, uint part, out f16vec4 w[2])
{
    vec4 values[2];
    quant_unpack(raw, values);
    w[0] = f16vec4(clamp(values[0], -65504, 65504));
    w[1] = f16vec4(clamp(values[1], -65504, 65504));
}
#endif
