// The tail that the projections back into the residual stream share: y[first + r] += added[r] by
// every workgroup, and by the last one of them to finish yn = y * norm / sqrt(mean(y^2) + eps).
//
// Include after matvec.glsl. Returns true in the workgroup that was last; there yn can be read through Shared references
// after memoryBarrierBuffer and barrier. INPUT8: yn in 8 bits as well (input8.glsl), to yn8; n_rows % 32 == 0.
// Constant ids: 7 = INPUT8.
#include "input8.glsl"
#include "last_workgroup.glsl"

layout(constant_id = 7) const bool INPUT8 = false;

bool residual_norm(uvec2 y_address, uvec2 norm_address, uvec2 yn_address, uvec2 yn8, uvec2 counter,
                   uint n_rows, float eps, uint first, float added[ROWS])
{
    SharedF32 y = SharedF32(y_address);
    if (gl_LocalInvocationID.x == 0) {
        [[unroll]] for (uint r = 0; r < ROWS; r++)
            if (first + r < n_rows)
                y.v[first + r] += added[r];
    }
    if (!last_workgroup(SharedU32(counter), 0, gl_NumWorkGroups.x))
        return false;

    const uint lane = gl_LocalInvocationID.x, quads = n_rows / 4;
    SharedF32x4 y4 = SharedF32x4(y_address);
    float square = 0;
    for (uint i = lane; i < quads; i += gl_WorkGroupSize.x) {
        const vec4 values = y4.v[i];
        square += dot(values, values);
    }
    for (uint r = quads * 4 + lane; r < n_rows; r += gl_WorkGroupSize.x)
        square += y.v[r] * y.v[r];
    const float factor = inversesqrt(reduce_sum(square) / float(n_rows) + eps);
    ReadF32x4 norm4 = ReadF32x4(norm_address);
    SharedF32x4 yn4 = SharedF32x4(yn_address);
    if (INPUT8) {
        for (uint b = lane; b < n_rows / 32; b += gl_WorkGroupSize.x) {
            vec4 values[8];
            [[unroll]] for (uint k = 0; k < 8; k++) {
                values[k] = y4.v[b * 8 + k] * factor * norm4.v[b * 8 + k];
                yn4.v[b * 8 + k] = values[k];
            }
            input8_store(yn8, n_rows, b, values);
        }
        return true;
    }
    for (uint i = lane; i < quads; i += gl_WorkGroupSize.x)
        yn4.v[i] = y4.v[i] * factor * norm4.v[i];
    for (uint r = quads * 4 + lane; r < n_rows; r += gl_WorkGroupSize.x)
        SharedF32(yn_address).v[r] = y.v[r] * factor * ReadF32(norm_address).v[r];
    return true;
}
