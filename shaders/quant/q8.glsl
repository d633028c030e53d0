// q8: value = scale * q / 128, one f16 scale per 32 columns (the byte picture is in src/quant/q8.c). A
// shader's block is half of those: 16 bytes of q.
#define QUANT_BLOCK 16

struct QuantMatrix {
    ReadU32x4 quants; // int8, 16 columns to a load
    ReadU32 scales;   // f16, two blocks of 32 columns to a word
};

QuantMatrix quant_matrix(uvec2 address, uint n_rows, uint n_cols)
{
    return QuantMatrix(ReadU32x4(address), ReadU32(address_add(address, n_rows * n_cols)));
}

vec4 quant_q8x4(uint u)
{
    return vec4(ivec4(u << 24, u << 16, u << 8, u) >> 24); // signed: the shift copies the sign
}

float quant_q8_scale(QuantMatrix m, uint i)
{
    uint pair = m.scales.v[i / 4] >> 16 * (i / 2 & 1);
    return unpackHalf2x16(pair).x * (1.0 / 128);
}

void quant_load(QuantMatrix m, uint i, out vec4 w[4])
{
    uvec4 u = m.quants.v[i];
    float scale = quant_q8_scale(m, i);
    w[0] = scale * quant_q8x4(u.x);
    w[1] = scale * quant_q8x4(u.y);
    w[2] = scale * quant_q8x4(u.z);
    w[3] = scale * quant_q8x4(u.w);
}

float quant_dot(QuantMatrix m, uint i, vec4 x[4], float sum_x)
{
    uvec4 u = m.quants.v[i];
    float sum = dot(quant_q8x4(u.x), x[0]) + dot(quant_q8x4(u.y), x[1]);
    sum += dot(quant_q8x4(u.z), x[2]) + dot(quant_q8x4(u.w), x[3]);
    return quant_q8_scale(m, i) * sum;
}
