#version 460
// y[r] += sum_k W[r, k] * x[k], and, by the last workgroup to finish, the RMSNorm that follows:
// yn[r] = y[r] * norm[r] / sqrt(mean(y^2) + eps). ROUTED: and then the routes of yn to the experts.
//
// A workgroup owns ROWS consecutive rows of y, the residual stream; invocation 0 updates them. The
// host guarantees that x, y and yn do not overlap and that the counter is zero.
// Constant ids: matvec.glsl's, 3 = ROUTED, router.glsl's, residual_norm.glsl's.
#extension GL_GOOGLE_include_directive : require
#include "matvec.glsl"
#include "residual_norm.glsl"
#include "router.glsl"

layout(constant_id = 3) const bool ROUTED = false;
layout(push_constant, std430) uniform Push { vklm_args_matvec_residual args; };

void main()
{
    const uint first = gl_WorkGroupID.x * ROWS;
    uint rows[ROWS];
    [[unroll]] for (uint r = 0; r < ROWS; r++)
        rows[r] = min(first + r, args.n_rows - 1);
    float sums[ROWS];
    matvec_rows(args.weight, args.n_rows, args.x, args.n_cols, rows, sums);

    const bool last = residual_norm(args.y, args.norm, args.yn, args.yn8, args.counter, args.n_rows,
                                    args.eps, first, sums);
    if (!ROUTED || !last)
        return;
    memoryBarrierBuffer();
    barrier();
    router_route(ReadF32(args.router), SharedF32(args.yn), 0, args.n_rows, Routes(args.routes), 0,
                 SharedU32(args.status), args.layer);
}
