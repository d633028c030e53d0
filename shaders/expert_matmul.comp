#version 460
// y[g, r] = sum_k W[r, k] * x[g', k] for the grouped rows g of expert_group.comp: each tile of rows against the matrix
// of its expert, where the expert table says it lies. For the gate and up projections, W = gate_up and g' is the
// token, entries[g] / TOP_K; DOWN: W = down and g' = g.
//
// The base tier's; its tile is in matmul.glsl, with -DSUBGROUP in matmul_subgroup.glsl, the dot8 tier's (-DDOT8) in
// matmul_dot8.glsl. Workgroups: expert_tile.glsl's, dispatched indirectly: an expert without tokens costs nothing. The
// order of a row's sum does not depend on its place, nor on what else is in the tile.
// Constant ids: the tile's, 4 = DOWN, 6 = TOP_K.
#extension GL_GOOGLE_include_directive : require
#include "memory.glsl"

layout(constant_id = 4) const bool DOWN = false;
layout(constant_id = 6) const uint TOP_K = 2;
layout(push_constant, std430) uniform Push { vklm_args_expert_matmul args; };

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

#include "expert_tile.glsl"

vklm_args_tile tile;

uvec2 weight()
{
    const vklm_args_expert expert = ExpertTable(args.table).v[tile.expert];
    return DOWN ? expert.down : expert.gate_up;
}

uint n_tokens()
{
    return tile.n;
}

uint input_row(uint t)
{
    const uint row = tile.first + t;
    return DOWN ? row : ReadU32(args.entries).v[row] / TOP_K;
}

void put_result(uint t, uint row, float value)
{
    F32(args.y).v[(tile.first + t) * args.n_rows + row] = value;
}

void main()
{
    const ExpertTile mine = expert_tile(args.tiles);
    tile = mine.tile;
    matmul_tile(mine.rows * TILE_R);
}
