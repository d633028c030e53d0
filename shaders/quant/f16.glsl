// IEEE binary16 as stored: 8 values in 16 bytes, the first in the low half of the first word.
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

void quant_unpack(QuantRaw u, out vec4 w[2])
{
    w[0] = vec4(unpackHalf2x16(u.x), unpackHalf2x16(u.y));
    w[1] = vec4(unpackHalf2x16(u.z), unpackHalf2x16(u.w));
}

#ifdef QUANT_F16
#define QUANT_PARTS 1

void quant_unpack_f16(QuantRaw u, uint part, out f16vec4 w[2])
{
    w[0] = f16vec4(unpackFloat2x16(u.x), unpackFloat2x16(u.y));
    w[1] = f16vec4(unpackFloat2x16(u.z), unpackFloat2x16(u.w));
}
#endif
