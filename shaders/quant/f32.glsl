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

struct QuantRaw {
    vec4 low, high;
};

QuantRaw quant_fetch(QuantMatrix m, uint i)
{
    return QuantRaw(m.v[2 * i], m.v[2 * i + 1]);
}

void quant_unpack(QuantRaw raw, out vec4 w[2])
{
    w[0] = raw.low;
    w[1] = raw.high;
}
