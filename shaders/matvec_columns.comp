#version 460
// y[t, r] = sum_k W[r, k] * x[t, k]      (ADD: y[t, r] += ...)      for a few tokens, t = 0 .. COLUMNS - 1
//
// Between a matvec, which would read the weights once for each token, and a matmul, whose tiles a few tokens do not
// fill: a workgroup owns TOKEN_ROWS consecutive rows, reads each block of them once and multiplies it with every
// token's. The order of a token's additions does not depend on how many tokens there are.
// DOT8, for the dot8 tier: x comes in rows of 8 bits (input8.glsl), TERMS of them for a token, which add up, and the
// products of 32 columns are summed as integers.
//
// Workgroups as in matvec.comp; rows past the end repeat the last one and are not written.
// Constant ids: 0 = local_size_x, 2 = TOKEN_ROWS, 3 = COLUMNS (1 .. 8), 4 = ADD, 5 = TERMS.
#extension GL_GOOGLE_include_directive : require
#include "memory.glsl"
#include "quant/quant.glsl"
#include "reduce.glsl"

layout(local_size_x_id = 0, local_size_y = 1, local_size_z = 1) in;
layout(constant_id = 2) const uint TOKEN_ROWS = 2;
layout(constant_id = 3) const uint COLUMNS = 2;
layout(constant_id = 4) const bool ADD = false;
layout(push_constant, std430) uniform Push { vklm_args_matmul args; };

const uint ROWS = TOKEN_ROWS * COLUMNS; // sums of an invocation
#include "reduce_rows.glsl"

// The products of a block of every row, with every token's.
#ifdef DOT8
layout(constant_id = 5) const uint TERMS = 1;
const uint BLOCK = 32;

void add_block(QuantRow w[TOKEN_ROWS], uint b, inout float sums[ROWS])
{
    uvec4 quads[TOKEN_ROWS * 2];
    vec2 lines[TOKEN_ROWS];
    [[unroll]] for (uint r = 0; r < TOKEN_ROWS; r++)
        quant_block8(quant_of_row(w[r]), b, quads[2 * r], quads[2 * r + 1], lines[r]);
    [[unroll]] for (uint t = 0; t < COLUMNS * TERMS; t++) {
        const uvec2 row = address_add_rows(args.x, t, args.n_cols / 4 * 5);
        const uvec4 low = ReadU32x4(row).v[2 * b], high = ReadU32x4(row).v[2 * b + 1];
        const vec2 line = ReadF32x2(address_add(row, args.n_cols)).v[b];
        [[unroll]] for (uint r = 0; r < TOKEN_ROWS; r++) {
            int products = 0;
            [[unroll]] for (uint k = 0; k < 4; k++)
                products += dot8(quads[2 * r][k], low[k]) + dot8(quads[2 * r + 1][k], high[k]);
            const uint at = t / TERMS * TOKEN_ROWS + r;
            sums[at] = fma(lines[r].x * line.x, float(products), sums[at]);
#ifdef QUANT_AFFINE
            sums[at] = fma(-lines[r].y, line.y, sums[at]);
#endif
        }
    }
}
#else
const uint BLOCK = QUANT_BLOCK;

void add_block(QuantRow w[TOKEN_ROWS], uint b, inout float sums[ROWS])
{
    ReadF32x4 x = ReadF32x4(args.x);
    vec4 values[TOKEN_ROWS * QUANT_QUADS];
    [[unroll]] for (uint r = 0; r < TOKEN_ROWS; r++) {
        vec4 row[QUANT_QUADS];
        quant_load(quant_of_row(w[r]), b, row);
        [[unroll]] for (uint i = 0; i < QUANT_QUADS; i++)
            values[r * QUANT_QUADS + i] = row[i];
    }
    [[unroll]] for (uint t = 0; t < COLUMNS; t++)
        [[unroll]] for (uint i = 0; i < QUANT_QUADS; i++) {
            const vec4 xs = x.v[(t * (args.n_cols / QUANT_BLOCK) + b) * QUANT_QUADS + i];
            [[unroll]] for (uint r = 0; r < TOKEN_ROWS; r++)
                sums[t * TOKEN_ROWS + r] += dot(values[r * QUANT_QUADS + i], xs);
        }
}
#endif

void main()
{
    const uint workgroup = gl_WorkGroupID.y * gl_NumWorkGroups.x + gl_WorkGroupID.x;
    const uint first = workgroup * TOKEN_ROWS;
    if (first >= args.n_rows)
        return;
    QuantRow w[TOKEN_ROWS];
    float sums[ROWS];
    [[unroll]] for (uint r = 0; r < TOKEN_ROWS; r++)
        w[r] = quant_row(args.weight, args.n_rows, args.n_cols, min(first + r, args.n_rows - 1));
    [[unroll]] for (uint i = 0; i < ROWS; i++)
        sums[i] = 0;
    for (uint b = gl_LocalInvocationID.x; b < args.n_cols / BLOCK; b += gl_WorkGroupSize.x)
        add_block(w, b, sums);
    reduce_rows(sums);
    if (gl_LocalInvocationID.x != 0)
        return;
    F32 y = F32(args.y);
    [[unroll]] for (uint t = 0; t < COLUMNS; t++)
        [[unroll]] for (uint r = 0; r < TOKEN_ROWS; r++)
            if (first + r < args.n_rows) {
                const uint at = t * args.n_rows + first + r;
                const float sum = sums[t * TOKEN_ROWS + r];
                y.v[at] = ADD ? y.v[at] + sum : sum;
            }
}
