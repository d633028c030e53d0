// base/half.h: 16-bit floats on the host. f16 is IEEE 754 binary16; bf16 is the upper half of an
// f32. Conversions to 16 bits round to nearest, ties to even.
#ifndef VKLM_BASE_HALF_H
#define VKLM_BASE_HALF_H

#include <stdint.h>

float vklm_half_from_f16(uint16_t h);
float vklm_half_from_bf16(uint16_t h);
uint16_t vklm_half_to_f16(float f);
uint16_t vklm_half_to_bf16(float f);

#endif
