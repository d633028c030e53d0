// Weight formats. Each defines the same names:
//
//   QUANT_BLOCK                       how many values, side by side in a row, make one block: what an
//                                     invocation loads at a time, 16 bytes of them (f32: 32)
//   QuantMatrix                       a matrix [n_rows, n_cols]: references to its planes
//   quant_matrix(address, n_rows, n_cols)
//   QuantRow, quant_row(address, n_rows, n_cols, row), quant_of_row(row)
//                                     one row of it, whose blocks count from 0: cheaper addresses. A
//                                     QuantRow holds them as numbers: SwiftShader crashes on arrays of references
//   QuantRaw, quant_fetch(m, i)       block i as it is stored: few registers, for what is wanted later
//   quant_unpack(raw, w)              its values, four to a vector
//   quant_load(m, i, w)               both
//   quant_dot(m, i, x, sum_x)         their dot product with x, whose sum is sum_x; cheaper than quant_load
//                                     and a dot, because scales are applied once to a block
//
// Blocks are numbered row by row: block b of row r is r * (n_cols / QUANT_BLOCK) + b. The host guarantees
// that n_cols is a multiple of the format's group (src/quant/format.h). -DQUANT=n chooses one; the numbers
// are those of src/quant/format.h.
// For matrix units (coop.glsl) all but f32 have QUANT_PARTS of a block, each of them columns side by side, and
// quant_unpack_f16(raw, part, w): the values of one, four to a vector, those beyond f16 as +-65504.
// Packed formats have quant_dot8 and quant_block8 as well, for the dot8 tier (-DDOT8); QUANT_AFFINE: and a minimum.
#ifdef DOT8
#include "dot8.glsl"
#endif
#if QUANT == 0
#include "quant/f32.glsl"
#elif QUANT == 1
#include "quant/f16.glsl"
#elif QUANT == 2
#include "quant/bf16.glsl"
#elif QUANT == 3
#include "quant/q8.glsl"
#elif QUANT == 4
#include "quant/q4.glsl"
#endif

const uint QUANT_QUADS = QUANT_BLOCK / 4;

void quant_load(QuantMatrix m, uint i, out vec4 w[QUANT_QUADS])
{
    quant_unpack(quant_fetch(m, i), w);
}

#ifdef QUANT_STORED // formats without scales
float quant_dot(QuantMatrix m, uint i, vec4 x[QUANT_QUADS], float sum_x)
{
    vec4 w[QUANT_QUADS];
    quant_load(m, i, w);
    return dot(w[0], x[0]) + dot(w[1], x[1]);
}
#endif
