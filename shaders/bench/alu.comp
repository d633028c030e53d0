#version 460
// Multiply-adds in registers: a = a * m + c on ACCUMULATORS chains of 4 per invocation, 2 * n_steps times.
// -DTYPE=vec4 (f32) or f16vec4 with -DF16=1.
//
// m = -1 and c = 1, which the compiler does not know: a becomes 1 - a and, after the second time, a again, without
// rounding: a starts as a multiple of 1/1024 below 1. The host checks that every invocation's sum is what it
// began with. 16 * ACCUMULATORS * n_steps operations per invocation.
//
// y: f32 [invocations]. Constant ids: 0 = local_size_x.
#extension GL_GOOGLE_include_directive : require
#include "memory.glsl"
#ifdef F16
#extension GL_EXT_shader_explicit_arithmetic_types_float16 : require
#endif

layout(local_size_x_id = 0, local_size_y = 1, local_size_z = 1) in;
layout(push_constant, std430) uniform Push { vklm_args_bench args; };

const uint ACCUMULATORS = 8;

void main()
{
    const uint id = gl_WorkGroupID.x * gl_WorkGroupSize.x + gl_LocalInvocationID.x;
    const TYPE m = TYPE(vec4(args.m)), c = TYPE(vec4(args.c));
    TYPE a[ACCUMULATORS];
    [[unroll]] for (uint i = 0; i < ACCUMULATORS; i++)
        a[i] = TYPE(vec4((uvec4(0, 1, 2, 3) + 4 * i + id) & 1023) / 1024);
    for (uint n = 0; n < args.n_steps; n++)
        [[unroll]] for (uint twice = 0; twice < 2; twice++)
            [[unroll]] for (uint i = 0; i < ACCUMULATORS; i++)
                a[i] = a[i] * m + c;
    vec4 sum = vec4(0);
    [[unroll]] for (uint i = 0; i < ACCUMULATORS; i++)
        sum += vec4(a[i]);
    F32(args.y).v[id] = sum.x + sum.y + sum.z + sum.w;
}
