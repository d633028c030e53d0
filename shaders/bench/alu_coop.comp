#version 460
// Cooperative matrices in registers: C += A * B, then C += A * -B, on ACCUMULATORS matrices C per subgroup, n_steps
// times each. -DAB=, -DC=: component types. 4 * M * N * K * ACCUMULATORS * n_steps operations per subgroup.
//
// A is filled with args.m and B with args.c, so that C is exactly what it was, zero, at the end; one more product
// gives K * m * c everywhere, which the host checks.
//
// A workgroup is one subgroup. y: C-typed [workgroups, M, N].
// Constant ids: 0 = local_size_x (the subgroup size), 2 = M, 3 = N, 4 = K.
#extension GL_GOOGLE_include_directive : require
#extension GL_KHR_cooperative_matrix : require
#extension GL_KHR_memory_scope_semantics : require
#extension GL_EXT_shader_explicit_arithmetic_types : require
#include "memory.glsl"

layout(local_size_x_id = 0, local_size_y = 1, local_size_z = 1) in;
layout(constant_id = 2) const uint M = 16;
layout(constant_id = 3) const uint N = 16;
layout(constant_id = 4) const uint K = 16;
layout(push_constant, std430) uniform Push { vklm_args_bench args; };
layout(buffer_reference, std430, buffer_reference_align = 16) buffer Result { C v[]; };

const uint ACCUMULATORS = 4;

void main()
{
    coopmat<AB, gl_ScopeSubgroup, M, K, gl_MatrixUseA> a =
        coopmat<AB, gl_ScopeSubgroup, M, K, gl_MatrixUseA>(AB(args.m));
    coopmat<AB, gl_ScopeSubgroup, K, N, gl_MatrixUseB> b =
        coopmat<AB, gl_ScopeSubgroup, K, N, gl_MatrixUseB>(AB(args.c));
    coopmat<AB, gl_ScopeSubgroup, K, N, gl_MatrixUseB> minus =
        coopmat<AB, gl_ScopeSubgroup, K, N, gl_MatrixUseB>(AB(-args.c));
    coopmat<C, gl_ScopeSubgroup, M, N, gl_MatrixUseAccumulator> c[ACCUMULATORS];
    [[unroll]] for (uint i = 0; i < ACCUMULATORS; i++)
        c[i] = coopmat<C, gl_ScopeSubgroup, M, N, gl_MatrixUseAccumulator>(C(0));
    for (uint n = 0; n < args.n_steps; n++) {
        [[unroll]] for (uint i = 0; i < ACCUMULATORS; i++)
            c[i] = coopMatMulAdd(a, b, c[i]);
        [[unroll]] for (uint i = 0; i < ACCUMULATORS; i++)
            c[i] = coopMatMulAdd(a, minus, c[i]);
    }
    coopmat<C, gl_ScopeSubgroup, M, N, gl_MatrixUseAccumulator> sum = coopMatMulAdd(a, b, c[0]);
    [[unroll]] for (uint i = 1; i < ACCUMULATORS; i++)
        sum += c[i];
    coopMatStore(sum, Result(args.y).v, gl_WorkGroupID.x * M * N, N, gl_CooperativeMatrixLayoutRowMajor);
}
