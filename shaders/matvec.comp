#version 460
// y[r] = sum_k W[r, k] * x[k]
//
// A workgroup owns ROWS consecutive rows; invocation 0 writes them. The host launches
// ceil(n_rows / ROWS) workgroups in x (and y, when x alone would not do); rows past the end repeat the last one and are
// not written.
#extension GL_GOOGLE_include_directive : require
#include "matvec.glsl"

layout(push_constant, std430) uniform Push { vklm_args_matvec args; };

void main()
{
    const uint workgroup = gl_WorkGroupID.y * gl_NumWorkGroups.x + gl_WorkGroupID.x;
    const uint first = workgroup * ROWS;
    if (first >= args.n_rows)
        return;
    uint rows[ROWS];
    [[unroll]] for (uint r = 0; r < ROWS; r++)
        rows[r] = min(first + r, args.n_rows - 1);
    float sums[ROWS];
    matvec_rows(args.weight, args.n_rows, args.x, args.n_cols, rows, sums);
    if (gl_LocalInvocationID.x == 0) {
        F32 y = F32(args.y);
        [[unroll]] for (uint r = 0; r < ROWS; r++)
            if (first + r < args.n_rows)
                y.v[first + r] = sums[r];
    }
}
