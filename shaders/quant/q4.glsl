// q4: value = d * s / 256 * q - m0 * m / 256 (the byte picture is in src/quant/q4.c). A block is 32 columns:
// 16 bytes of q, whose low halves are columns 0 .. 15 and whose high halves are columns 16 .. 31.
#define QUANT_BLOCK 32

struct QuantMatrix {
    ReadU32x4 quants;
    ReadU32 scales; // bytes s, m: two blocks to a word
    ReadU32 pairs;  // f16 d, m0: one word for 8 blocks
};

// Every plane but the last is a multiple of 16 bytes: n_cols is one of 256.
QuantMatrix quant_matrix(uvec2 address, uint n_rows, uint n_cols)
{
    const uint n = n_rows * n_cols;
    return QuantMatrix(ReadU32x4(address), ReadU32(address_add(address, n / 2)),
                       ReadU32(address_add(address, n / 2 + n / 16)));
}

// Four columns of the low halves; of the high halves when u is shifted right by 4.
vec4 quant_q4x4(uint u)
{
    return vec4(uvec4(u, u >> 8, u >> 16, u >> 24) & 0xFu);
}

// What q is multiplied by, and what is taken off.
vec2 quant_q4_line(QuantMatrix m, uint i)
{
    uint bytes = m.scales.v[i / 2] >> 16 * (i & 1);
    return unpackHalf2x16(m.pairs.v[i / 8]) * (1.0 / 256) *
           vec2(bytes & 0xFFu, bytes >> 8 & 0xFFu);
}

void quant_load(QuantMatrix m, uint i, out vec4 w[8])
{
    uvec4 u = m.quants.v[i];
    vec2 line = quant_q4_line(m, i);
    [[unroll]] for (uint k = 0; k < 4; k++) {
        w[k] = line.x * quant_q4x4(u[k]) - line.y;
        w[4 + k] = line.x * quant_q4x4(u[k] >> 4) - line.y;
    }
}

float quant_dot(QuantMatrix m, uint i, vec4 x[8], float sum_x)
{
    uvec4 u = m.quants.v[i];
    float sum = 0;
    [[unroll]] for (uint k = 0; k < 4; k++)
        sum += dot(quant_q4x4(u[k]), x[k]) + dot(quant_q4x4(u[k] >> 4), x[4 + k]);
    vec2 line = quant_q4_line(m, i);
    return line.x * sum - line.y * sum_x;
}
