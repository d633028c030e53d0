// Which tile of grouped rows, and which rows of its expert's matrix, a workgroup of expert_matmul owns. Workgroups x, y:
// x = ceil(n_rows / TILE_R), y = the number of tiles; of an expert the order is tile by tile, then rows: neighbours
// read the same weights, and no other expert's come between.
struct ExpertTile {
    vklm_args_tile tile;
    uint rows; // the first is rows * TILE_R
};

ExpertTile expert_tile(uvec2 address)
{
    Tiles tiles = Tiles(address);
    // Any of the expert's: its workgroups are as many as its tiles' lines of the grid.
    const vklm_args_tile any = tiles.v[gl_WorkGroupID.y];
    const uint n = max(any.n_tiles, 1); // of a group that a broken device left empty
    const uint at = (gl_WorkGroupID.y - any.first_tile) * gl_NumWorkGroups.x + gl_WorkGroupID.x;
    return ExpertTile(tiles.v[any.first_tile + at % n], at / n);
}
