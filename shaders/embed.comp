#version 460
// x[t] = table[tokens[t]], xn[t] = x[t] * norm / sqrt(mean(x[t]^2) + eps): the embedding and the first
// layer's RMSNorm.
//
// A workgroup owns one token. The host guarantees that every token id is a row of the table.
// Constant ids: 0 = local_size_x.
#extension GL_GOOGLE_include_directive : require
#include "memory.glsl"
#include "quant/quant.glsl"
#include "reduce.glsl"

layout(local_size_x_id = 0, local_size_y = 1, local_size_z = 1) in;
layout(push_constant, std430) uniform Push { vklm_args_embed args; };

void main()
{
    const uint token = ReadU32(args.tokens).v[gl_WorkGroupID.x], groups = args.n_cols / 8;
    QuantMatrix table = QuantMatrix(args.table);
    F32x4 x = F32x4(args.x), xn = F32x4(args.xn);
    ReadF32x4 norm = ReadF32x4(args.norm);
    const uint out_row = gl_WorkGroupID.x * groups;

    float square = 0;
    for (uint g = gl_LocalInvocationID.x; g < groups; g += gl_WorkGroupSize.x) {
        vec4 a, b;
        quant_load8(table, token * groups + g, a, b);
        x.v[2 * (out_row + g)] = a;
        x.v[2 * (out_row + g) + 1] = b;
        square += dot(a, a) + dot(b, b);
    }
    const float factor = inversesqrt(reduce_sum(square) / float(args.n_cols) + args.eps);
    for (uint g = gl_LocalInvocationID.x; g < groups; g += gl_WorkGroupSize.x) {
        vec4 a, b;
        quant_load8(table, token * groups + g, a, b);
        xn.v[2 * (out_row + g)] = a * factor * norm.v[2 * g];
        xn.v[2 * (out_row + g) + 1] = b * factor * norm.v[2 * g + 1];
    }
}
