#version 460
// y[g, r] = sum_k W[r, k] * x[g', k] for the grouped rows g of expert_group.comp: each tile of rows against the matrix
// of its expert, where the expert table says it lies. For the gate and up projections, W = gate_up and g' is the
// token, entries[g] / TOP_K; DOWN: W = down and g' = g.
//
// The base tier's; its tile is in matmul.glsl. Workgroups: x = ceil(n_rows / TILE_R), y = the number of tiles, dispatched
// indirectly: an expert without tokens costs nothing. The order of a row's sum does not depend on its
// place, nor on what else is in the tile.
// Constant ids: matmul.glsl's, 4 = DOWN, 6 = TOP_K.
#extension GL_GOOGLE_include_directive : require
#include "memory.glsl"

layout(constant_id = 4) const bool DOWN = false;
layout(constant_id = 6) const uint TOP_K = 2;
layout(push_constant, std430) uniform Push { vklm_args_expert_matmul args; };

#include "matmul.glsl"

shared uint input_rows[TILE_T];

uint input_row(uint t)
{
    return input_rows[t];
}

void main()
{
    const vklm_args_tile tile = Tiles(args.tiles).v[gl_WorkGroupID.y];
    for (uint t = gl_LocalInvocationID.x; t < tile.n; t += gl_WorkGroupSize.x) {
        uint row = tile.first + t;
        input_rows[t] = DOWN ? row : ReadU32(args.entries).v[row] / TOP_K;
    }
    barrier();

    const uint i = gl_LocalInvocationID.x % SIDE, j = gl_LocalInvocationID.x / SIDE;
    const uint first_row = gl_WorkGroupID.x * TILE_R;
    const vklm_args_expert expert = ExpertTable(args.table).v[tile.expert];
    const uvec2 weight = DOWN ? expert.down : expert.gate_up;
    float sums[SUMS];
    matmul_tile(quant_matrix(weight, args.n_rows, args.n_cols), ReadF32x4(args.x), first_row, tile.n, sums);

    F32 y = F32(args.y);
    [[unroll]] for (uint t = 0; t < T; t++)
        [[unroll]] for (uint r = 0; r < R; r++) {
            uint row = first_row + i + SIDE * r, token = j + SIDE * t;
            if (row < args.n_rows && token < tile.n)
                y.v[(tile.first + token) * args.n_rows + row] = sums[t * R + r];
        }
}
