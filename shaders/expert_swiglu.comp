#version 460
// y[s, r] = silu(G[r] . x) * (U[r] . x), s = 0 .. top_k: the gate and up projections of the experts that one token is
// sent to. G and U are the matrices of expert routes[s], where the expert table says they lie.
//
// A workgroup owns ROWS / 2 outputs of the expert in slot gl_WorkGroupID.y: their gate rows and their
// up rows. ROWS is even. The host guarantees n_rows and n_cols of every expert; the router guarantees
// routes below n_experts.
// Constant ids: matvec.glsl's, 7 = INPUT8: y in 8 bits as well.
#extension GL_GOOGLE_include_directive : require
#include "matvec.glsl"
#include "swiglu_store.glsl"

layout(push_constant, std430) uniform Push { vklm_args_expert_swiglu args; };

void main()
{
    const uint first = gl_WorkGroupID.x * OUTPUTS, slot = gl_WorkGroupID.y;
    const uint expert = ReadRoutes(args.routes).v[slot].expert;
    const uvec2 weight = ExpertTable(args.table).v[expert].gate_up;
    uint rows[ROWS];
    [[unroll]] for (uint r = 0; r < OUTPUTS; r++) {
        uint row = min(first + r, args.n_rows - 1);
        rows[r] = row;
        rows[OUTPUTS + r] = args.n_rows + row;
    }
    float sums[ROWS];
    matvec_rows(weight, 2 * args.n_rows, args.x, args.n_cols, rows, sums);
    swiglu_store(args.y, args.y8, args.counters, slot, args.n_rows, first, sums);
}
