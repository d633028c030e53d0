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

void quant_load(QuantMatrix m, uint i, out vec4 w[2])
{
    uvec4 u = m.v[i];
    w[0] = vec4(unpackHalf2x16(u.x), unpackHalf2x16(u.y));
    w[1] = vec4(unpackHalf2x16(u.z), unpackHalf2x16(u.w));
}
