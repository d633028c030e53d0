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
    const uint token = ReadU32(args.tokens).v[gl_WorkGroupID.x], blocks = args.n_cols / QUANT_BLOCK;
    QuantMatrix table = quant_matrix(args.table, args.n_vocab, args.n_cols);
    F32x4 x = F32x4(args.x), xn = F32x4(args.xn);
    ReadF32x4 norm = ReadF32x4(args.norm);
    const uint out_row = gl_WorkGroupID.x * (args.n_cols / 4);

    vec4 w[QUANT_QUADS];
    float square = 0;
    for (uint b = gl_LocalInvocationID.x; b < blocks; b += gl_WorkGroupSize.x) {
        quant_load(table, token * blocks + b, w);
        [[unroll]] for (uint i = 0; i < QUANT_QUADS; i++) {
            x.v[out_row + b * QUANT_QUADS + i] = w[i];
            square += dot(w[i], w[i]);
        }
    }
    const float factor = inversesqrt(reduce_sum(square) / float(args.n_cols) + args.eps);
    for (uint b = gl_LocalInvocationID.x; b < blocks; b += gl_WorkGroupSize.x) {
        quant_load(table, token * blocks + b, w);
        [[unroll]] for (uint i = 0; i < QUANT_QUADS; i++)
            xn.v[out_row + b * QUANT_QUADS + i] = w[i] * factor * norm.v[b * QUANT_QUADS + i];
    }
}
