#version 460
// y[r] += sum_s w[s] sum_k D[s][r, k] * x[s, k], s = 0 .. TOP_K, always in this order, and, by the last workgroup to
// finish, the RMSNorm that follows. w[s] is the weight of route s, D[s] the down projection of its
// expert, where the expert table says it lies.
//
// A workgroup owns ROWS consecutive rows of y, of every slot. The host guarantees what
// matvec_residual.comp's does; the router guarantees routes below n_experts.
// Constant ids: matvec.glsl's, 6 = TOP_K.
#extension GL_GOOGLE_include_directive : require
#include "matvec.glsl"
#include "residual_norm.glsl"

layout(constant_id = 6) const uint TOP_K = 2;
layout(push_constant, std430) uniform Push { vklm_args_expert_down args; };

void main()
{
    const uint first = gl_WorkGroupID.x * ROWS;
    ReadRoutes routes = ReadRoutes(args.routes);
    uint rows[ROWS];
    float added[ROWS];
    [[unroll]] for (uint r = 0; r < ROWS; r++) {
        rows[r] = min(first + r, args.n_rows - 1);
        added[r] = 0;
    }
    for (uint slot = 0; slot < TOP_K; slot++) {
        const uvec2 weight = ExpertTable(args.table).v[routes.v[slot].expert].down;
        float sums[ROWS];
        matvec_rows(weight, args.n_rows, address_add(args.x, slot * MATVEC_X_BYTES(args.n_cols)), args.n_cols,
                    rows, sums);
        [[unroll]] for (uint r = 0; r < ROWS; r++)
            added[r] += routes.v[slot].weight * sums[r];
    }
    residual_norm(args.y, args.norm, args.yn, args.yn8, args.counter, args.n_rows, args.eps, first, added);
}
