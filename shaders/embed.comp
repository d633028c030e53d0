#version 460
// x[t] = table[tokens[t]], xn[t] = x[t] * norm / sqrt(mean(x[t]^2) + eps): the embedding and the first
// layer's RMSNorm.
//
// A workgroup owns one token. The host guarantees that every token id is a row of the table.
// Constant ids: 0 = local_size_x, 7 = INPUT8: xn in 8 bits as well (input8.glsl), of one token; n_cols % 32 == 0.
#extension GL_GOOGLE_include_directive : require
#include "memory.glsl"
#include "input8.glsl"
#include "quant/quant.glsl"
#include "reduce.glsl"

layout(local_size_x_id = 0, local_size_y = 1, local_size_z = 1) in;
layout(constant_id = 7) const bool INPUT8 = false;
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
    if (INPUT8) {
        const uint per_block = 32 / QUANT_BLOCK;
        for (uint b = gl_LocalInvocationID.x; b < args.n_cols / 32; b += gl_WorkGroupSize.x) {
            vec4 values[8];
            [[unroll]] for (uint p = 0; p < per_block; p++) {
                quant_load(table, token * blocks + b * per_block + p, w);
                [[unroll]] for (uint i = 0; i < QUANT_QUADS; i++) {
                    const uint k = p * QUANT_QUADS + i;
                    values[k] = w[i] * factor * norm.v[b * 8 + k];
                    xn.v[out_row + b * 8 + k] = values[k];
                }
            }
            input8_store(args.xn8, args.n_cols, b, values);
        }
        return;
    }
    for (uint b = gl_LocalInvocationID.x; b < blocks; b += gl_WorkGroupSize.x) {
        quant_load(table, token * blocks + b, w);
        [[unroll]] for (uint i = 0; i < QUANT_QUADS; i++)
            xn.v[out_row + b * QUANT_QUADS + i] = w[i] * factor * norm.v[b * QUANT_QUADS + i];
    }
}
