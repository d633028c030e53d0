#version 460
// y[t, r] = sum_k W[r, k] * x[t, k]      (ADD: y[t, r] += ...)
//
// The base tier's matmul; its tile is in matmul.glsl. Workgroups: x = ceil(n_rows / TILE_R), y = ceil(n_tokens / TILE_T).
// Any n_rows and n_tokens.
// Constant ids: matmul.glsl's, 4 = ADD.
#extension GL_GOOGLE_include_directive : require
#include "memory.glsl"

layout(constant_id = 4) const bool ADD = false;
layout(push_constant, std430) uniform Push { vklm_args_matmul args; };

#include "matmul.glsl"

uint input_row(uint t)
{
    return gl_WorkGroupID.y * TILE_T + t;
}

void main()
{
    const uint i = gl_LocalInvocationID.x % SIDE, j = gl_LocalInvocationID.x / SIDE;
    const uint first_row = gl_WorkGroupID.x * TILE_R, first_token = gl_WorkGroupID.y * TILE_T;
    float sums[SUMS];
    matmul_tile(quant_matrix(args.weight, args.n_rows, args.n_cols), ReadF32x4(args.x), first_row,
                args.n_tokens - first_token, sums);

    F32 y = F32(args.y);
    [[unroll]] for (uint t = 0; t < T; t++)
        [[unroll]] for (uint r = 0; r < R; r++) {
            uint row = first_row + i + SIDE * r, token = first_token + j + SIDE * t;
            if (row >= args.n_rows || token >= args.n_tokens)
                continue;
            uint at = token * args.n_rows + row;
            y.v[at] = ADD ? y.v[at] + sums[t * R + r] : sums[t * R + r];
        }
}
