#version 460
// y[r] += sum_k W[r, k] * x[k], and, by the last workgroup to finish, the RMSNorm that follows:
// yn[r] = y[r] * norm[r] / sqrt(mean(y^2) + eps).
//
// A workgroup owns ROWS consecutive rows of y, the residual stream; invocation 0 updates them. The
// host guarantees that x, y and yn do not overlap and that the counter is zero.
#extension GL_GOOGLE_include_directive : require
#include "matvec.glsl"
#include "last_workgroup.glsl"

layout(push_constant, std430) uniform Push { vklm_args_matvec_residual args; };

void main()
{
    const uint first = gl_WorkGroupID.x * ROWS;
    uint rows[ROWS];
    [[unroll]] for (uint r = 0; r < ROWS; r++)
        rows[r] = min(first + r, args.n_rows - 1);
    float sums[ROWS];
    matvec_rows(quant_matrix(args.weight, args.n_rows, args.n_cols), args.x, args.n_cols, rows, sums);

    SharedF32 y = SharedF32(args.y);
    if (gl_LocalInvocationID.x == 0) {
        [[unroll]] for (uint r = 0; r < ROWS; r++)
            if (first + r < args.n_rows)
                y.v[first + r] += sums[r];
    }
    if (!last_workgroup(SharedU32(args.counter), 0, gl_NumWorkGroups.x))
        return;

    float square = 0;
    for (uint r = gl_LocalInvocationID.x; r < args.n_rows; r += gl_WorkGroupSize.x)
        square += y.v[r] * y.v[r];
    const float factor = inversesqrt(reduce_sum(square) / float(args.n_rows) + args.eps);
    ReadF32 norm = ReadF32(args.norm);
    F32 yn = F32(args.yn);
    for (uint r = gl_LocalInvocationID.x; r < args.n_rows; r += gl_WorkGroupSize.x)
        yn.v[r] = y.v[r] * factor * norm.v[r];
}
