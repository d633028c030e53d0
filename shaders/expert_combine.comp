#version 460
// x[t, i] += sum_s w[t, s] * rows[places[t, s], i], s = 0 .. TOP_K, always in this order: what the experts made of
// the tokens, back in the tokens' order and weighted.
//
// An invocation owns four elements of one token. The host guarantees n_cols % 4 == 0.
// Constant ids: 0 = local_size_x, 6 = TOP_K.
#extension GL_GOOGLE_include_directive : require
#include "memory.glsl"

layout(local_size_x_id = 0, local_size_y = 1, local_size_z = 1) in;
layout(constant_id = 6) const uint TOP_K = 2;
layout(push_constant, std430) uniform Push { vklm_args_expert_combine args; };

void main()
{
    const uint i = gl_GlobalInvocationID.x, t = gl_WorkGroupID.y, quads = args.n_cols / 4;
    if (i >= quads)
        return;
    ReadF32x4 rows = ReadF32x4(args.rows);
    ReadU32 places = ReadU32(args.places);
    ReadRoutes routes = ReadRoutes(args.routes);
    vec4 sum = vec4(0);
    for (uint s = 0; s < TOP_K; s++)
        sum += routes.v[t * TOP_K + s].weight * rows.v[places.v[t * TOP_K + s] * quads + i];
    F32x4 x = F32x4(args.x);
    x.v[t * quads + i] += sum;
}
