#version 460
// y[t, i] = silu(gate_up[t, i]) * gate_up[t, n_cols + i]
//
// An invocation owns one element. Constant ids: 0 = local_size_x.
#extension GL_GOOGLE_include_directive : require
#include "memory.glsl"
#include "silu.glsl"

layout(local_size_x_id = 0, local_size_y = 1, local_size_z = 1) in;
layout(push_constant, std430) uniform Push { vklm_args_swiglu args; };

void main()
{
    const uint i = gl_GlobalInvocationID.x, t = gl_WorkGroupID.y;
    if (i >= args.n_cols)
        return;
    ReadF32 gate_up = ReadF32(args.gate_up);
    const uint at = 2 * t * args.n_cols + i;
    F32(args.y).v[t * args.n_cols + i] = silu(gate_up.v[at]) * gate_up.v[at + args.n_cols];
}
