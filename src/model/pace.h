// model/pace.h: how much arithmetic one submit may hold.
//
// Drivers end what runs too long (from 640 ms on some, 2 s on many), and on a GPU that draws the
// desktop a submit of a tenth of a second is felt. So a submit is to take at most 100 ms, 50 on
// integrated GPUs, by an estimate of the device's speed that begins low and learns from every
// submit: down at once, up by at most a factor of two.
#ifndef VKLM_MODEL_PACE_H
#define VKLM_MODEL_PACE_H

#include "gpu/caps.h"

typedef struct {
    double limit; // seconds of one submit
    double rate;  // FLOP per second, as far as is known
} vklm_pace;

void vklm_pace_init(const vklm_gpu_caps *caps, vklm_pace *out_pace);

// What the next submit may hold.
double vklm_pace_flop(const vklm_pace *pace);

// A submit of `flop` > 0 has taken `seconds`, or less.
void vklm_pace_learn(vklm_pace *pace, double flop, double seconds);

// Bytes of weights that a token may read in one submit: what takes no longer than the limit on the
// slowest devices there are.
uint64_t vklm_pace_token_bytes(const vklm_gpu_caps *caps);

#endif
