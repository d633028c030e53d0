// y[r] = silu(gate) * up for the ROWS / 2 outputs of a workgroup: the tail of the gate and up projections. INPUT8:
// in 8 bits as well (input8.glsl), by the last of the workgroups of a block of 32 to finish; n_rows % 32 == 0 and
// ROWS / 2 divides 32.
//
// Include after matvec.glsl. Vector `slot` of several, side by side, is written.
// Constant ids: 7 = INPUT8.
#include "input8.glsl"
#include "last_workgroup.glsl"
#include "silu.glsl"

layout(constant_id = 7) const bool INPUT8 = false;

const uint OUTPUTS = ROWS / 2;

// sums: the gate rows of outputs first, first + 1, ..., then their up rows.
void swiglu_store(uvec2 y_address, uvec2 y8, uvec2 counters, uint slot, uint n_rows, uint first,
                  float sums[ROWS])
{
    SharedF32 y = SharedF32(y_address);
    if (gl_LocalInvocationID.x == 0) {
        [[unroll]] for (uint r = 0; r < OUTPUTS; r++)
            if (first + r < n_rows)
                y.v[slot * n_rows + first + r] = silu(sums[r]) * sums[OUTPUTS + r];
    }
    if (!INPUT8)
        return;
    const uint block = first / 32, blocks = n_rows / 32;
    if (!last_workgroup(SharedU32(counters), slot * blocks + block, 32 / OUTPUTS) ||
        gl_LocalInvocationID.x != 0)
        return;
    SharedF32x4 y4 = SharedF32x4(y_address);
    vec4 values[8];
    [[unroll]] for (uint k = 0; k < 8; k++)
        values[k] = y4.v[(slot * blocks + block) * 8 + k];
    input8_store(address_add(y8, slot * (n_rows / 4 * 5)), n_rows, block, values);
}
