// The tail that the projections back into the residual stream share: y[first + r] += added[r] by
// every workgroup, and by the last one of them to finish yn = y * norm / sqrt(mean(y^2) + eps).
//
// Include after matvec.glsl. Returns true in the workgroup that was last; there invocation i has written the
// elements i, i + LANES, ... of yn.
#include "last_workgroup.glsl"

bool residual_norm(uvec2 y_address, uvec2 norm_address, uvec2 yn_address, uvec2 counter, uint n_rows,
                   float eps, uint first, float added[ROWS])
{
    SharedF32 y = SharedF32(y_address);
    if (gl_LocalInvocationID.x == 0) {
        [[unroll]] for (uint r = 0; r < ROWS; r++)
            if (first + r < n_rows)
                y.v[first + r] += added[r];
    }
    if (!last_workgroup(SharedU32(counter), 0, gl_NumWorkGroups.x))
        return false;

    float square = 0;
    for (uint r = gl_LocalInvocationID.x; r < n_rows; r += gl_WorkGroupSize.x)
        square += y.v[r] * y.v[r];
    const float factor = inversesqrt(reduce_sum(square) / float(n_rows) + eps);
    ReadF32 norm = ReadF32(norm_address);
    F32 yn = F32(yn_address);
    for (uint r = gl_LocalInvocationID.x; r < n_rows; r += gl_WorkGroupSize.x)
        yn.v[r] = y.v[r] * factor * norm.v[r];
    return true;
}
