// The tile under the base tier's matmuls on processors, whose drivers run the lanes of a subgroup as one vector and pay
// for barriers, shared memory and every lane's load. A workgroup is one subgroup and owns TILE_T tokens x TILE_R rows of
// y; invocation i owns rows i, i + LANES, ... of it, and of the tokens all. Each reads its own rows of W, 16 bytes at a
// time; of x it reads one column a token, and the others get that from it.
//
// Included after the push constants `args`, whose n_rows and n_cols are the matrix's. Past the edge the last row and the
// last token stand in; whoever writes y leaves them out. The host guarantees that n_cols is a multiple of the format's
// group, and a workgroup of one full subgroup.
// Constant ids: 0 = local_size_x (LANES, the subgroup size), 2 = TILE_T, 3 = TILE_R (a multiple of LANES).
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_ballot : require
#include "quant/quant.glsl"

layout(local_size_x_id = 0, local_size_y = 1, local_size_z = 1) in;
layout(constant_id = 2) const uint TILE_T = 16;
layout(constant_id = 3) const uint TILE_R = 32;

const uint LANES = gl_WorkGroupSize.x, R = TILE_R / LANES, SUMS = TILE_T * R;
const uint COLUMNS = LANES < QUANT_BLOCK ? LANES : QUANT_BLOCK; // at a time

// y's tile, from row first_row on, goes to put_result.
void matmul_tile(uint first_row)
{
    const uint lane = gl_SubgroupInvocationID, blocks = args.n_cols / QUANT_BLOCK, n = n_tokens();
    QuantMatrix w = quant_matrix(weight(), args.n_rows, args.n_cols);
    ReadF32 x = ReadF32(args.x);
    uint rows[R], tokens[TILE_T]; // where they begin
    float sums[SUMS];
    [[unroll]] for (uint r = 0; r < R; r++)
        rows[r] = min(first_row + lane + LANES * r, args.n_rows - 1) * blocks;
    [[unroll]] for (uint t = 0; t < TILE_T; t++)
        tokens[t] = input_row(min(t, n - 1)) * args.n_cols + lane % COLUMNS;
    [[unroll]] for (uint i = 0; i < SUMS; i++)
        sums[i] = 0;
    for (uint b = 0; b < blocks; b++) {
        vec4 ws[R][QUANT_QUADS];
        [[unroll]] for (uint r = 0; r < R; r++)
            quant_load(w, rows[r] + b, ws[r]);
        [[unroll]] for (uint first = 0; first < QUANT_BLOCK; first += COLUMNS)
            [[unroll]] for (uint t = 0; t < TILE_T; t++) {
                const float mine = x.v[tokens[t] + b * QUANT_BLOCK + first];
                [[unroll]] for (uint k = 0; k < COLUMNS; k++) {
                    const float value = subgroupBroadcast(mine, k);
                    [[unroll]] for (uint r = 0; r < R; r++)
                        sums[t * R + r] = fma(ws[r][(first + k) / 4][(first + k) % 4], value, sums[t * R + r]);
                }
            }
    }
    [[unroll]] for (uint t = 0; t < TILE_T; t++)
        [[unroll]] for (uint r = 0; r < R; r++) {
            const uint row = first_row + lane + LANES * r;
            if (t < n && row < args.n_rows)
                put_result(t, row, sums[t * R + r]);
        }
}
