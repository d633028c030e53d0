// kernels/routing.h: what the tests of router and experts share.
#ifndef VKLM_TESTS_ROUTING_H
#define VKLM_TESTS_ROUTING_H

#include <stddef.h>
#include <stdint.h>

#include "args.h"

enum { MAX_EXPERTS = 64 };

// Routes as a test wants them: token t's slot s is of expert (t * step + s * stride) % n_experts,
// with weights that differ.
typedef struct {
    uint32_t n_experts, top_k, n_tokens, step, stride;
} routing;

// vklm_args_route [n_tokens, top_k], freed by the caller.
struct vklm_args_route *routing_make(routing r);

// Words of an output that holds no floats.
uint32_t routing_word(const float *words, size_t i);
struct vklm_args_route routing_route(const float *words, size_t i);

#endif
