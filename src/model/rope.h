// model/rope.h: the table of rotary angles.
#ifndef VKLM_MODEL_ROPE_H
#define VKLM_MODEL_ROPE_H

#include <stdint.h>

// Fills out[i][0] = cos, out[i][1] = sin of position * theta^(-2i / head_dim) for i < head_dim / 2.
// The angle is rounded to f32 as Hugging Face's LlamaRotaryEmbedding does; shaders read the table
// because Vulkan promises sin and cos only near zero.
void vklm_rope_row(double theta, uint32_t head_dim, uint32_t position, float (*out)[2]);

#endif
