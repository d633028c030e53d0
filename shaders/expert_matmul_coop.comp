#version 460
// y[g, r] = sum_k W[r, k] * x[g', k] for the grouped rows g of expert_group.comp, as in expert_matmul.comp.
//
// The coop tier's; its tile is in matmul_coop.glsl. Workgroups: expert_tile.glsl's, dispatched indirectly.
// Constant ids: matmul_coop.glsl's, 4 = DOWN, 6 = TOP_K.
#extension GL_GOOGLE_include_directive : require
#include "coop.glsl"
#include "memory.glsl"

layout(constant_id = 4) const bool DOWN = false;
layout(constant_id = 6) const uint TOP_K = 2;
layout(push_constant, std430) uniform Push { vklm_args_expert_matmul args; };

#include "matmul_coop.glsl"
#include "expert_tile.glsl"

// Of the tile. In shared memory and not in registers, which the sums take up (Intel's dg2 spilled).
shared uint input_rows[TILE_T], tile_first, tile_n;
shared uvec2 tile_weight;

uvec2 weight()
{
    return tile_weight;
}

uint n_tokens()
{
    return tile_n;
}

uint input_row(uint t)
{
    return input_rows[t];
}

void put_result(uint t, uint row, float value)
{
    F32(args.y).v[(tile_first + t) * args.n_rows + row] = value;
}

void main()
{
    const ExpertTile mine = expert_tile(args.tiles);
    const vklm_args_tile tile = mine.tile;
    for (uint t = gl_LocalInvocationID.x; t < tile.n; t += gl_WorkGroupSize.x) {
        uint row = tile.first + t;
        input_rows[t] = DOWN ? row : ReadU32(args.entries).v[row] / TOP_K;
    }
    if (gl_LocalInvocationID.x == 0) {
        const vklm_args_expert expert = ExpertTable(args.table).v[tile.expert];
        tile_weight = DOWN ? expert.down : expert.gate_up;
        tile_first = tile.first;
        tile_n = tile.n;
    }
    barrier();
    matmul_tile(mine.rows * TILE_R);
}
