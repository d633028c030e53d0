// f32 as stored: 8 values in 32 bytes.
#define QUANT_BLOCK 8
#define QUANT_STORED
#define QuantMatrix ReadF32x4

QuantMatrix quant_matrix(uvec2 address, uint n_rows, uint n_cols)
{
    return QuantMatrix(address);
}

#define QuantRow uvec2

QuantRow quant_row(uvec2 address, uint n_rows, uint n_cols, uint row)
{
    return address_add_rows(address, row, n_cols * 4);
}

QuantMatrix quant_of_row(QuantRow row)
{
    return QuantMatrix(row);
}

void quant_load(QuantMatrix m, uint i, out vec4 w[2])
{
    w[0] = m.v[2 * i];
    w[1] = m.v[2 * i + 1];
}
