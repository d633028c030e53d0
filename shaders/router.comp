#version 460
// The routes of many tokens; the formula is in router.glsl.
//
// A workgroup owns one token.
// Constant ids: 0 = local_size_x, and router.glsl's.
#extension GL_GOOGLE_include_directive : require
#include "memory.glsl"
#include "reduce.glsl"

layout(local_size_x_id = 0, local_size_y = 1, local_size_z = 1) in;
layout(push_constant, std430) uniform Push { vklm_args_router args; };

#include "router.glsl"

void main()
{
    const uint t = gl_WorkGroupID.x;
    router_route(ReadF32(args.router), SharedF32(args.x), t * args.n_cols, args.n_cols,
                 Routes(args.routes), t * TOP_K, SharedU32(args.status), args.layer);
}
