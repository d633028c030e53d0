#version 460
// Packed 8-bit integer dot products in registers: x = dot(x, b) + x on ACCUMULATORS chains per invocation,
// n_steps times. 8 operations (4 products, 4 additions) a dot product. The host computes the same.
//
// Through GL_EXT_spirv_intrinsics, which compilers older than GL_EXT_integer_dot_product have: OpSDot of two words
// that each hold four signed bytes.
//
// y: i32 [invocations]. Constant ids: 0 = local_size_x. Needs shaderIntegerDotProduct.
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_spirv_intrinsics : require
#include "memory.glsl"

spirv_instruction(extensions = ["SPV_KHR_integer_dot_product"], capabilities = [6019, 6018], id = 4450)
int dot4x8(int a, int b, spirv_literal int packed_4x8);

layout(local_size_x_id = 0, local_size_y = 1, local_size_z = 1) in;
layout(push_constant, std430) uniform Push { vklm_args_bench args; };

const uint ACCUMULATORS = 8;

void main()
{
    const uint id = gl_WorkGroupID.x * gl_WorkGroupSize.x + gl_LocalInvocationID.x;
    const int b = int(args.mask);
    int x[ACCUMULATORS];
    [[unroll]] for (uint i = 0; i < ACCUMULATORS; i++)
        x[i] = int((gl_LocalInvocationID.x * ACCUMULATORS + i) * 0x01010101u);
    for (uint n = 0; n < args.n_steps; n++)
        [[unroll]] for (uint i = 0; i < ACCUMULATORS; i++)
            x[i] = dot4x8(x[i], b, 0) + x[i];
    int sum = 0;
    [[unroll]] for (uint i = 0; i < ACCUMULATORS; i++)
        sum += x[i];
    U32(args.y).v[id] = uint(sum);
}
