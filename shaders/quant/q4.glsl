// q4: value = d * s / 256 * q - m0 * m / 256 (the byte picture is in src/quant/q4.c). A block is 32 columns:
// 16 bytes of q, whose low halves are columns 0 .. 15 and whose high halves are columns 16 .. 31.
#define QUANT_BLOCK 32
#define QUANT_AFFINE

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

struct QuantRow {
    uvec2 quants, scales, pairs; // addresses
};

QuantRow quant_row(uvec2 address, uint n_rows, uint n_cols, uint row)
{
    const uint n = n_rows * n_cols;
    return QuantRow(address_add(address, row * (n_cols / 2)),
                    address_add(address, n / 2 + row * (n_cols / 16)),
                    address_add(address, n / 2 + n / 16 + row * (n_cols / 64)));
}

QuantMatrix quant_of_row(QuantRow row)
{
    return QuantMatrix(ReadU32x4(row.quants), ReadU32(row.scales), ReadU32(row.pairs));
}

// Four columns of the low halves; of the high halves when u is shifted right by 4.
vec4 quant_q4x4(uint u)
{
    const uint bytes = u & 0x0F0F0F0Fu;
    return vec4(uvec4(bytes, bytes >> 8, bytes >> 16, bytes >> 24) & 0xFFu);
}

// What q is multiplied by, and what is taken off.
vec2 quant_q4_line(QuantMatrix m, uint i)
{
    uint bytes = m.scales.v[i / 2] >> 16 * (i & 1);
    return unpackHalf2x16(m.pairs.v[i / 8]) * (1.0 / 256) *
           vec2(bytes & 0xFFu, bytes >> 8 & 0xFFu);
}

struct QuantRaw {
    uvec4 quants;
    vec2 line;
};

QuantRaw quant_fetch(QuantMatrix m, uint i)
{
    return QuantRaw(m.quants.v[i], quant_q4_line(m, i));
}

void quant_unpack(QuantRaw raw, out vec4 w[8])
{
    [[unroll]] for (uint k = 0; k < 4; k++) {
        w[k] = raw.line.x * quant_q4x4(raw.quants[k]) - raw.line.y;
        w[4 + k] = raw.line.x * quant_q4x4(raw.quants[k] >> 4) - raw.line.y;
    }
}

float quant_dot(QuantMatrix m, uint i, vec4 x[8], float sum_x)
{
    uvec4 u = m.quants.v[i];
    vec4 sum = vec4(0);
    [[unroll]] for (uint k = 0; k < 4; k++)
        sum = fma(quant_q4x4(u[k] >> 4), x[4 + k], fma(quant_q4x4(u[k]), x[k], sum));
    vec2 line = quant_q4_line(m, i);
    return line.x * (sum.x + sum.y + sum.z + sum.w) - line.y * sum_x;
}

#ifdef DOT8
int quant_sum8(uvec4 u, uvec4 low, uvec4 high)
{
    int sum = 0;
    [[unroll]] for (uint k = 0; k < 4; k++)
        sum += dot8(u[k] & 0x0F0F0F0Fu, low[k]) + dot8(u[k] >> 4 & 0x0F0F0F0Fu, high[k]);
    return sum;
}

// Of columns 64 i .. 64 i + 63 with x in 8 bits; scale: theirs, and times their sums (input8.glsl).
float quant_dot8(QuantMatrix m, uint i, uvec4 x[4], vec4 scale)
{
    const int first = quant_sum8(m.quants.v[2 * i], x[0], x[1]);
    const int second = quant_sum8(m.quants.v[2 * i + 1], x[2], x[3]);
    const uint bytes = m.scales.v[i];
    const vec2 line = unpackHalf2x16(m.pairs.v[i / 4]) * (1.0 / 256);
    return line.x * (float(bytes & 0xFFu) * (scale.x * float(first)) +
                     float(bytes >> 16 & 0xFFu) * (scale.z * float(second))) -
           line.y * (float(bytes >> 8 & 0xFFu) * scale.y + float(bytes >> 24) * scale.w);
}

// Block i of 32 columns as signed bytes in their order, and what makes values of them: line.x * q - line.y.
void quant_block8(QuantMatrix m, uint i, out uvec4 low, out uvec4 high, out vec2 line)
{
    const uvec4 u = m.quants.v[i];
    low = u & 0x0F0F0F0Fu;
    high = u >> 4 & 0x0F0F0F0Fu;
    line = quant_q4_line(m, i);
}
#endif

#ifdef QUANT_F16
#define QUANT_PARTS 2 // the low halves, the high halves

void quant_unpack_f16(QuantRaw raw, uint part, out f16vec4 w[4])
{
    [[unroll]] for (uint k = 0; k < 4; k++) {
        const vec4 values = raw.line.x * quant_q4x4(raw.quants[k] >> 4 * part) - raw.line.y;
        w[k] = f16vec4(clamp(values, -65504, 65504));
    }
}
#endif
