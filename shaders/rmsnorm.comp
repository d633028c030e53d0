#version 460
// y[t, i] = x[t, i] * norm[i] / sqrt(mean_i(x[t, i]^2) + eps)
//
// A workgroup owns one row t. The host guarantees n_cols % 4 == 0; x and y may be the same.
// Constant ids: 0 = local_size_x.
#extension GL_GOOGLE_include_directive : require
#include "memory.glsl"
#include "reduce.glsl"

layout(local_size_x_id = 0, local_size_y = 1, local_size_z = 1) in;
layout(push_constant, std430) uniform Push { vklm_args_rmsnorm args; };

void main()
{
    const uint quads = args.n_cols / 4, row = gl_WorkGroupID.x * quads;
    ReadF32x4 x = ReadF32x4(args.x), norm = ReadF32x4(args.norm);
    F32x4 y = F32x4(args.y);
    float square = 0;
    for (uint i = gl_LocalInvocationID.x; i < quads; i += gl_WorkGroupSize.x)
        square += dot(x.v[row + i], x.v[row + i]);
    const float factor = inversesqrt(reduce_sum(square) / float(args.n_cols) + args.eps);
    for (uint i = gl_LocalInvocationID.x; i < quads; i += gl_WorkGroupSize.x)
        y.v[row + i] = x.v[row + i] * factor * norm.v[i];
}
