#version 460
// Rows of f32 in 8 bits (input8.glsl), one after the other: what the dot8 tier multiplies a prompt with.
//
// TERMS = 2: a row is two vectors, which add up: the second is what the first one's rounding left.
//
// An invocation owns a block of 32. Workgroups: ceil(n_rows * n_cols / 32 / local_size_x). The host guarantees n_cols % 64 == 0.
// Constant ids: 0 = local_size_x, 5 = TERMS.
#extension GL_GOOGLE_include_directive : require
#include "memory.glsl"
#include "input8.glsl"

layout(local_size_x_id = 0, local_size_y = 1, local_size_z = 1) in;
layout(constant_id = 5) const uint TERMS = 1;
layout(push_constant, std430) uniform Push { vklm_args_input8 args; };

void main()
{
    const uint at = gl_GlobalInvocationID.x, blocks = args.n_cols / 32;
    if (at >= args.n_rows * blocks)
        return;
    ReadF32x4 x = ReadF32x4(args.x);
    vec4 values[8];
    [[unroll]] for (uint k = 0; k < 8; k++)
        values[k] = x.v[at * 8 + k];
    for (uint term = 0; term < TERMS; term++)
        input8_store(address_add_rows(args.y, at / blocks * TERMS + term, args.n_cols / 4 * 5), args.n_cols, at % blocks,
                     values);
}
