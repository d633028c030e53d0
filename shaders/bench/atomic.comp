#version 460
// n_steps additions of 1 to a counter, each waiting for the one before it: the next address depends on
// what the last one returned (the counter is below 2^31, so that its top bit adds nothing).
//
// Afterwards data[0] is the number of invocations times n_steps, which the host checks.
// Constant ids: 0 = local_size_x.
#extension GL_GOOGLE_include_directive : require
#include "memory.glsl"

layout(local_size_x_id = 0, local_size_y = 1, local_size_z = 1) in;
layout(push_constant, std430) uniform Push { vklm_args_bench args; };

void main()
{
    SharedU32 counter = SharedU32(args.data);
    uint at = 0;
    for (uint i = 0; i < args.n_steps; i++)
        at = atomicAdd(counter.v[at], 1) >> 31;
}
