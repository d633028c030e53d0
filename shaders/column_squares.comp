#version 460
// sums[c] += sum_t x[t, c]^2
//
// An invocation owns one column, so that additions keep their order. Constant ids: 0 = local_size_x.
#extension GL_GOOGLE_include_directive : require
#include "memory.glsl"

layout(local_size_x_id = 0, local_size_y = 1, local_size_z = 1) in;
layout(push_constant, std430) uniform Push { vklm_args_column_squares args; };

void main()
{
    const uint column = gl_GlobalInvocationID.x;
    if (column >= args.n_cols)
        return;
    ReadF32 x = ReadF32(args.x);
    F32 sums = F32(args.sums);
    float sum = 0;
    for (uint t = 0; t < args.n_rows; t++) {
        float value = x.v[t * args.n_cols + column];
        sum += value * value;
    }
    sums.v[column] += sum;
}
