// A vector in 8 bits, what the dot8 tier multiplies weights with: made once by the kernel that produces the
// vector, read by every row of the next matrix.
//
//   x[i] = d * q[i],  q: int8 in -127 .. 127, d: f32, one per block of 32: the largest becomes 127
//
// Planes: q [n], then for each block d and d * (sum of its q). n % 32 == 0, so both begin at multiples of 16.

// What a block's values are multiplied with.
float input8_inverse(float largest)
{
    return largest > 0 ? 127 / largest : 0;
}

// Four values; their sum is added.
uint input8_word(vec4 x, float inverse, inout int sum)
{
    const ivec4 q = ivec4(roundEven(x * inverse));
    sum += q.x + q.y + q.z + q.w;
    return (uint(q.x) & 0xFFu) | (uint(q.y) & 0xFFu) << 8 | (uint(q.z) & 0xFFu) << 16 | uint(q.w) << 24;
}

void input8_scale(uvec2 address, uint n, uint i, float largest, int sum)
{
    const float d = largest / 127;
    F32x2(address_add(address, n)).v[i] = vec2(d, d * float(sum));
}

// Block i, 32 values four to a vector, of a vector of n at `address`. x becomes what the rounding took off it.
void input8_store(uvec2 address, uint n, uint i, inout vec4 x[8])
{
    U32x4 quants = U32x4(address);
    vec4 most = vec4(0);
    [[unroll]] for (uint k = 0; k < 8; k++)
        most = max(most, abs(x[k]));
    const float largest = max(max(most.x, most.y), max(most.z, most.w)), inverse = input8_inverse(largest);
    int sum = 0;
    uint words[8];
    [[unroll]] for (uint k = 0; k < 8; k++)
        words[k] = input8_word(x[k], inverse, sum);
    quants.v[2 * i] = uvec4(words[0], words[1], words[2], words[3]);
    quants.v[2 * i + 1] = uvec4(words[4], words[5], words[6], words[7]);
    input8_scale(address, n, i, largest, sum);
    [[unroll]] for (uint k = 0; k < 8; k++)
        x[k] = fma(vec4(-largest / 127), roundEven(x[k] * inverse), x[k]);
}
