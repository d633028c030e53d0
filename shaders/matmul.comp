#version 460
// y[t, r] = sum_k W[r, k] * x[t, k]      (ADD: y[t, r] += ...)
//
// The base tier's matmul; its tile is in matmul.glsl, with -DSUBGROUP in matmul_subgroup.glsl, the dot8 tier's (-DDOT8)
// in matmul_dot8.glsl. Workgroups: x = ceil(n_tokens /
// TILE_T), y = ceil(n_rows / TILE_R): neighbours read the same weights. Any n_rows and n_tokens.
// Constant ids: the tile's, 4 = ADD.
#extension GL_GOOGLE_include_directive : require
#include "memory.glsl"

layout(constant_id = 4) const bool ADD = false;
layout(push_constant, std430) uniform Push { vklm_args_matmul args; };

uvec2 weight();
uint n_tokens();
uint input_row(uint t);
void put_result(uint t, uint row, float value);

#ifdef SUBGROUP
#include "matmul_subgroup.glsl"
#elif defined(DOT8)
#include "matmul_dot8.glsl"
#else
#include "matmul.glsl"
#endif

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
