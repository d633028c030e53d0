#include "model/rope.h"

#include <math.h>

void vklm_rope_row(double theta, uint32_t head_dim, uint32_t position, float (*out)[2])
{
    for (uint32_t i = 0; i < head_dim / 2; i++) {
        float exponent = (float)(2 * i) / (float)head_dim;
        float frequency = 1.0f / (float)pow(theta, (double)exponent);
        float angle = (float)position * frequency;
        out[i][0] = (float)cos((double)angle);
        out[i][1] = (float)sin((double)angle);
    }
}
