#version 460
// y[t, r] = sum_k W[r, k] * x[t, k]      (ADD: y[t, r] += ...)
//
// The coop tier's matmul; its tile is in matmul_coop.glsl. Workgroups: x = ceil(n_tokens / TILE_T), y = ceil(n_rows /
// TILE_R): neighbours read the same weights. Any n_rows and n_tokens.
// Constant ids: matmul_coop.glsl's, 4 = ADD.
#extension GL_GOOGLE_include_directive : require
#include "coop.glsl"
#include "memory.glsl"

layout(constant_id = 4) const bool ADD = false;
layout(push_constant, std430) uniform Push { vklm_args_matmul args; };

#include "matmul_coop.glsl"

uvec2 weight()
{
    return args.weight;
}

uint n_tokens()
{
    return args.n_tokens - gl_WorkGroupID.x * TILE_T;
}

uint input_row(uint t)
{
    return gl_WorkGroupID.x * TILE_T + t;
}

void put_result(uint t, uint row, float value)
{
    F32 y = F32(args.y);
    const uint at = input_row(t) * args.n_rows + row;
    y.v[at] = ADD ? y.v[at] + value : value;
}

void main()
{
    matmul_tile(gl_WorkGroupID.y * TILE_R);
}
