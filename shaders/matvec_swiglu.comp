#version 460
// y[r] = silu(G[r] . x) * (U[r] . x), silu(z) = z / (1 + exp(-z)): the gate and up projections of the
// MLP and their product in one pass. G = W[0 .. n_rows), U = W[n_rows .. 2 n_rows).
//
// A workgroup owns ROWS / 2 outputs: their gate rows and their up rows. ROWS is even.
#extension GL_GOOGLE_include_directive : require
#include "matvec.glsl"
#include "silu.glsl"

layout(push_constant, std430) uniform Push { vklm_args_matvec_swiglu args; };

const uint OUTPUTS = ROWS / 2;

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
    QuantMatrix w = quant_matrix(args.weight, 2 * args.n_rows, args.n_cols);
    matvec_rows(w, args.x, args.n_cols, rows, sums);
    if (gl_LocalInvocationID.x == 0) {
        F32 y = F32(args.y);
        [[unroll]] for (uint r = 0; r < OUTPUTS; r++)
            if (first + r < args.n_rows)
                y.v[first + r] = silu(sums[r]) * sums[OUTPUTS + r];
    }
}
