#version 460
// Groups the tokens of a chunk by expert: every token is an entry in TOP_K groups. Grouped rows are
// numbered expert by expert, within one in the order of the tokens:
//
//   places[t, s] = (routes of lower experts) + (earlier tokens sent to the same expert),
//   entries[places[t, s]] = t * TOP_K + s
//
// and cut into tiles of at most TILE_T rows of one expert; an expert without tokens has none. The workgroup
// counts of the two matmuls over the tiles go to `dispatch`, for indirect dispatches.
//
// One workgroup. The tokens of each expert are bits of a mask, set by atomics whose order does not
// matter: counts and ranks are population counts. A token's experts are distinct (router.glsl).
// Constant ids: 0 = local_size_x, 2 = TILE_T, 3 = MASK_WORDS (n_tokens <= 32 * MASK_WORDS), 5 = N_EXPERTS, 6 = TOP_K.
#extension GL_GOOGLE_include_directive : require
#include "memory.glsl"

layout(local_size_x_id = 0, local_size_y = 1, local_size_z = 1) in;
layout(constant_id = 2) const uint TILE_T = 64;
layout(constant_id = 3) const uint MASK_WORDS = 8;
layout(constant_id = 5) const uint N_EXPERTS = 8;
layout(constant_id = 6) const uint TOP_K = 2;
layout(push_constant, std430) uniform Push { vklm_args_expert_group args; };

shared uint masks[N_EXPERTS * MASK_WORDS];
shared uint counts[N_EXPERTS], firsts[N_EXPERTS], first_tiles[N_EXPERTS];

// Tokens of an expert in the words before `word`.
uint count_before(uint expert, uint word)
{
    uint sum = 0;
    for (uint w = 0; w < word; w++)
        sum += bitCount(masks[expert * MASK_WORDS + w]);
    return sum;
}

// Where each expert's rows and tiles begin: by one invocation.
void sum_up()
{
    uint rows = 0, tiles = 0;
    for (uint e = 0; e < N_EXPERTS; e++) {
        firsts[e] = rows;
        first_tiles[e] = tiles;
        rows += counts[e];
        tiles += (counts[e] + TILE_T - 1) / TILE_T;
    }
    U32 dispatch = U32(args.dispatch);
    dispatch.v[0] = args.gate_up_workgroups;
    dispatch.v[3] = args.down_workgroups;
    dispatch.v[1] = dispatch.v[4] = tiles;
    dispatch.v[2] = dispatch.v[5] = 1;
}

void main()
{
    const uint lane = gl_LocalInvocationID.x, lanes = gl_WorkGroupSize.x;
    const uint n_entries = args.n_tokens * TOP_K;
    ReadRoutes routes = ReadRoutes(args.routes);
    for (uint i = lane; i < N_EXPERTS * MASK_WORDS; i += lanes)
        masks[i] = 0;
    barrier();
    for (uint i = lane; i < n_entries; i += lanes) {
        uint t = i / TOP_K;
        atomicOr(masks[routes.v[i].expert * MASK_WORDS + t / 32], 1u << t % 32);
    }
    barrier();
    for (uint e = lane; e < N_EXPERTS; e += lanes)
        counts[e] = count_before(e, MASK_WORDS);
    barrier();
    if (lane == 0)
        sum_up();
    barrier();

    Tiles tiles = Tiles(args.tiles);
    for (uint e = lane; e < N_EXPERTS; e += lanes) {
        const uint n_tiles = (counts[e] + TILE_T - 1) / TILE_T;
        for (uint i = 0; i < n_tiles; i++)
            tiles.v[first_tiles[e] + i] = vklm_args_tile(e, firsts[e] + i * TILE_T,
                                                         min(TILE_T, counts[e] - i * TILE_T), first_tiles[e], n_tiles);
    }
    U32 entries = U32(args.entries), places = U32(args.places);
    for (uint i = lane; i < n_entries; i += lanes) {
        const uint e = routes.v[i].expert, word = i / TOP_K / 32, bit = i / TOP_K % 32;
        const uint earlier = masks[e * MASK_WORDS + word] & (1u << bit) - 1u;
        const uint place = firsts[e] + count_before(e, word) + bitCount(earlier);
        places.v[i] = place;
        entries.v[place] = i;
    }
}
