#version 460
// Reads: n_steps times UNROLL loads of one LANE (-DLANE=uvec4: 16 bytes, -DLANE=uint: 4) by every invocation.
//
// Lanes of the data are numbered 0 .. mask, a power of two of them, and reading starts again at the end: a small set
// is read by many workgroups at once, and so stays in the innermost cache that holds it. On a GPU the whole grid
// moves over the data, load by load; on a CPU, which runs one workgroup after the other, each has a range of its own:
// the host says so by the strides. All words hold the same value, so that every workgroup's sum is known; the
// host checks them.
//
// y: u32 [workgroups]. Constant ids: 0 = local_size_x.
#extension GL_GOOGLE_include_directive : require
#include "memory.glsl"
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_arithmetic : require

layout(local_size_x_id = 0, local_size_y = 1, local_size_z = 1) in;
layout(push_constant, std430) uniform Push { vklm_args_bench args; };
layout(buffer_reference, std430, buffer_reference_align = 16) readonly buffer Lanes { LANE v[]; };

const uint UNROLL = 8; // independent loads: enough in flight to cover a latency

shared uint sums[gl_WorkGroupSize.x / 4 + 1];

uint words(uvec4 lane)
{
    return lane.x + lane.y + lane.z + lane.w;
}

uint words(uint lane)
{
    return lane;
}

void main()
{
    Lanes data = Lanes(args.data);
    uint at = gl_WorkGroupID.x * args.group_stride + gl_LocalInvocationID.x;
    LANE sum = LANE(0);
    for (uint i = 0; i < args.n_steps; i++) {
        LANE loaded[UNROLL];
        [[unroll]] for (uint u = 0; u < UNROLL; u++)
            loaded[u] = data.v[(at + u * args.load_stride) & args.mask];
        [[unroll]] for (uint u = 0; u < UNROLL; u++)
            sum += loaded[u];
        at += UNROLL * args.load_stride;
    }
    uint one = subgroupAdd(words(sum));
    if (subgroupElect())
        sums[gl_SubgroupID] = one;
    barrier();
    if (gl_LocalInvocationIndex == 0) {
        uint total = 0;
        for (uint s = 0; s < gl_NumSubgroups; s++)
            total += sums[s];
        U32(args.y).v[gl_WorkGroupID.x] = total;
    }
}
