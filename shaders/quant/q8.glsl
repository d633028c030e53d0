// q8: value = scale * q / 128, one f16 scale per 32 columns (the byte picture is in src/quant/q8.c). A
// shader's block is half of those: 16 bytes of q.
#define QUANT_BLOCK 16

struct QuantMatrix {
    ReadU32x4 quants; // int8, 16 columns to a load
    ReadU32 scales;   // f16, two blocks of 32 columns to a word …
    uint first;       // … and which shader's block of those is block 0
};

QuantMatrix quant_matrix(uvec2 address, uint n_rows, uint n_cols)
{
    return QuantMatrix(ReadU32x4(address), ReadU32(address_add(address, n_rows * n_cols)), 0);
}

struct QuantRow {
    uvec2 quants, scales; // addresses
    uint first;
};

QuantRow quant_row(uvec2 address, uint n_rows, uint n_cols, uint row)
{
    const uvec2 scales = address_add(address, n_rows * n_cols);
#ifdef DOT8 // n_cols % 64 == 0: a row begins with a word
    return QuantRow(address_add(address, row * n_cols), address_add(scales, row * (n_cols / 16)), 0);
#else
    return QuantRow(address_add(address, row * n_cols), scales, row * (n_cols / 16));
#endif
}

QuantMatrix quant_of_row(QuantRow row)
{
    return QuantMatrix(ReadU32x4(row.quants), ReadU32(row.scales), row.first);
}

vec4 quant_q8x4(uint u)
{
    return vec4(ivec4(u << 24, u << 16, u << 8, u) >> 24); // signed: the shift copies the sign
}

float quant_q8_scale(QuantMatrix m, uint i)
{
    const uint block = m.first + i;
    uint pair = m.scales.v[block / 4] >> 16 * (block / 2 & 1);
    return unpackHalf2x16(pair).x * (1.0 / 128);
}

struct QuantRaw {
    uvec4 quants;
    float scale;
};

QuantRaw quant_fetch(QuantMatrix m, uint i)
{
    return QuantRaw(m.quants.v[i], quant_q8_scale(m, i));
}

void quant_unpack(QuantRaw raw, out vec4 w[4])
{
    [[unroll]] for (uint k = 0; k < 4; k++)
        w[k] = raw.scale * quant_q8x4(raw.quants[k]);
}

float quant_dot(QuantMatrix m, uint i, vec4 x[4], float sum_x)
{
    uvec4 u = m.quants.v[i];
    vec4 sum = quant_q8x4(u.x) * x[0];
    [[unroll]] for (uint k = 1; k < 4; k++)
        sum = fma(quant_q8x4(u[k]), x[k], sum);
    return quant_q8_scale(m, i) * (sum.x + sum.y + sum.z + sum.w);
}

#ifdef DOT8
int quant_sum8(uvec4 u, uvec4 x)
{
    return dot8(u.x, x.x) + dot8(u.y, x.y) + dot8(u.z, x.z) + dot8(u.w, x.w);
}

// Of columns 64 i .. 64 i + 63 with x in 8 bits; scale.xz: theirs (input8.glsl).
float quant_dot8(QuantMatrix m, uint i, uvec4 x[4], vec4 scale)
{
    const int first = quant_sum8(m.quants.v[4 * i], x[0]) + quant_sum8(m.quants.v[4 * i + 1], x[1]);
    const int second =
        quant_sum8(m.quants.v[4 * i + 2], x[2]) + quant_sum8(m.quants.v[4 * i + 3], x[3]);
    const vec2 weights = unpackHalf2x16(m.scales.v[i]) * (1.0 / 128);
    return weights.x * (scale.x * float(first)) + weights.y * (scale.z * float(second));
}

// Block i of 32 columns as signed bytes in their order, and what makes values of them: line.x * q.
void quant_block8(QuantMatrix m, uint i, out uvec4 low, out uvec4 high, out vec2 line)
{
    low = m.quants.v[2 * i];
    high = m.quants.v[2 * i + 1];
    line = vec2(quant_q8_scale(m, 2 * i), 0);
}
#endif

#ifdef QUANT_F16
#define QUANT_PARTS 1

// A scale is an f16 and |q| at most 128: nothing is beyond f16.
void quant_unpack_f16(QuantRaw raw, uint part, out f16vec4 w[4])
{
    [[unroll]] for (uint k = 0; k < 4; k++)
        w[k] = f16vec4(raw.scale * quant_q8x4(raw.quants[k]));
}
#endif
