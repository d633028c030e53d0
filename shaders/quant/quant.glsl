// Weight formats. Each defines the same names:
//
//   QuantMatrix                                 reference to a matrix [rows, cols], made from its address
//   quant_load8(m, i, a, b)                     the i-th group of 8 values, row-major: a then b
//
// so that value (row, col) with col % 8 == 0 is group row * (cols / 8) + col / 8. The host guarantees
// cols % 8 == 0. -DQUANT=n chooses one; the numbers are those of src/quant/format.h.
#if QUANT == 0
#include "quant/f32.glsl"
#elif QUANT == 1
#include "quant/f16.glsl"
#elif QUANT == 2
#include "quant/bf16.glsl"
#endif
