#version 460
// Rows of f32 in f16, what matrix units multiply: each times a power of two that brings its largest |x| to 2^14 .. 2^15,
// f16 ends at 65504. What is not finite stays so.
//
//   y: rows of n_cols f16, then an f32, which makes x of them, and 12 bytes that nobody reads
//
// A workgroup owns one row. The host guarantees n_cols % 8 == 0.
// Constant ids: 0 = local_size_x.
#extension GL_EXT_shader_explicit_arithmetic_types_float16 : require
#extension GL_GOOGLE_include_directive : require
#include "memory.glsl"
#include "reduce.glsl"

layout(local_size_x_id = 0, local_size_y = 1, local_size_z = 1) in;
layout(push_constant, std430) uniform Push { vklm_args_input16 args; };

float largest_of(vec4 x)
{
    const uvec4 bits = floatBitsToUint(x) & 0x7FFFFFFFu;
    const vec4 finite = mix(uintBitsToFloat(bits), vec4(0), greaterThanEqual(bits, uvec4(0x7F800000)));
    return max(max(finite.x, finite.y), max(finite.z, finite.w));
}

uint pack(vec2 x)
{
    return packFloat2x16(f16vec2(x));
}

void main()
{
    const uint quads = args.n_cols / 4, row = gl_WorkGroupID.x * quads;
    const uvec2 there = address_add_rows(args.y, gl_WorkGroupID.x, args.n_cols * 2 + 16);
    ReadF32x4 x = ReadF32x4(args.x);
    float most = 0;
    for (uint i = gl_LocalInvocationID.x; i < quads; i += gl_WorkGroupSize.x)
        most = max(most, largest_of(x.v[row + i]));
    // Exponents of a power of two and of its inverse, both normal: 2^14 over that of the largest.
    const uint exponent = min(268 - (floatBitsToUint(reduce_max(most)) >> 23), 253);
    const float scale = uintBitsToFloat(exponent << 23);
    for (uint i = gl_LocalInvocationID.x; i < quads / 2; i += gl_WorkGroupSize.x) {
        const vec4 low = x.v[row + 2 * i] * scale, high = x.v[row + 2 * i + 1] * scale;
        U32x4(there).v[i] = uvec4(pack(low.xy), pack(low.zw), pack(high.xy), pack(high.zw));
    }
    if (gl_LocalInvocationID.x == 0)
        F32(address_add(there, args.n_cols * 2)).v[0] = uintBitsToFloat(254 - exponent << 23);
}
