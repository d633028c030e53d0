// Buffers by address. Every kernel reaches its operands through these references, made from the
// uvec2 addresses in its push constants; the host guarantees 16-byte alignment. Indices count
// elements of the type and stay below 2^31.
#extension GL_EXT_buffer_reference : require
#extension GL_EXT_buffer_reference_uvec2 : require
#extension GL_EXT_control_flow_attributes : require
#extension GL_GOOGLE_include_directive : require

#include "args.h"

layout(buffer_reference, std430, buffer_reference_align = 16) readonly buffer ReadU32x4 { uvec4 v[]; };
layout(buffer_reference, std430, buffer_reference_align = 16) readonly buffer ReadF32x4 { vec4 v[]; };
layout(buffer_reference, std430, buffer_reference_align = 8) readonly buffer ReadF32x2 { vec2 v[]; };
layout(buffer_reference, std430, buffer_reference_align = 4) readonly buffer ReadU32 { uint v[]; };
layout(buffer_reference, std430, buffer_reference_align = 4) readonly buffer ReadF32 { float v[]; };
layout(buffer_reference, std430, buffer_reference_align = 16) buffer F32x4 { vec4 v[]; };
layout(buffer_reference, std430, buffer_reference_align = 16) buffer U32x4 { uvec4 v[]; };
layout(buffer_reference, std430, buffer_reference_align = 8) buffer F32x2 { vec2 v[]; };
layout(buffer_reference, std430, buffer_reference_align = 4) buffer F32 { float v[]; };
layout(buffer_reference, std430, buffer_reference_align = 4) buffer U32 { uint v[]; };

// For data that one workgroup writes and another one of the same dispatch reads.
layout(buffer_reference, std430, buffer_reference_align = 4) coherent buffer SharedF32 { float v[]; };
layout(buffer_reference, std430, buffer_reference_align = 16) coherent buffer SharedF32x4 { vec4 v[]; };
layout(buffer_reference, std430, buffer_reference_align = 4) coherent buffer SharedU32 { uint v[]; };

// An address some bytes further on, without 64-bit arithmetic.
uvec2 address_add(uvec2 address, uint bytes)
{
    uint carry;
    const uint low = uaddCarry(address.x, bytes, carry);
    return uvec2(low, address.y + carry);
}

// row * row_bytes further on, which may be more than 4 GiB.
uvec2 address_add_rows(uvec2 address, uint row, uint row_bytes)
{
    uint high, low;
    umulExtended(row, row_bytes, high, low);
    const uvec2 there = address_add(address, low);
    return uvec2(there.x, there.y + high);
}

layout(buffer_reference, std430, buffer_reference_align = 4) readonly buffer Step {
    vklm_args_step v;
};

// Experts: the table, and the routes of tokens.
layout(buffer_reference, std430, buffer_reference_align = 8) readonly buffer ExpertTable {
    vklm_args_expert v[];
};
layout(buffer_reference, std430, buffer_reference_align = 4) readonly buffer ReadRoutes {
    vklm_args_route v[];
};
layout(buffer_reference, std430, buffer_reference_align = 4) buffer Routes { vklm_args_route v[]; };
layout(buffer_reference, std430, buffer_reference_align = 4) buffer Tiles { vklm_args_tile v[]; };

