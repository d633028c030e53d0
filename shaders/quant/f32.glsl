// f32 as stored: 8 values in 32 bytes.
#define QuantMatrix ReadF32x4

void quant_load8(QuantMatrix m, uint i, out vec4 a, out vec4 b)
{
    a = m.v[2 * i];
    b = m.v[2 * i + 1];
}
