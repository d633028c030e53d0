#version 460
// y[r] = silu(G[r] . x) * (U[r] . x), silu(z) = z / (1 + exp(-z)): the gate and up projections of the
// MLP and their product in one pass. G = W[0 .. n_rows), U = W[n_rows .. 2 n_rows).
//
// A workgroup owns ROWS / 2 outputs: their gate rows and their up rows. ROWS is even.
// Constant ids: matvec.glsl's, 7 = INPUT8: y in 8 bits as well.
#extension GL_GOOGLE_include_directive : require
#include "matvec.glsl"
#include "swiglu_store.glsl"

layout(push_constant, std430) uniform Push { vklm_args_matvec_swiglu args; };

void main()
{
    const uint first = gl_WorkGroupID.x * OUTPUTS;
    uint rows[ROWS];
    [[unroll]] for (uint r = 0; r < OUTPUTS; r++) {
        uint row = min(first + r, args.n_rows - 1);
        rows[r] = row;
        rows[OUTPUTS + r] = args.n_rows + row;
    }
    float sums[ROWS];
    matvec_rows(args.weight, 2 * args.n_rows, args.x, args.n_cols, rows, sums);
    swiglu_store(args.y, args.y8, args.counters, 0, args.n_rows, first, sums);
}
