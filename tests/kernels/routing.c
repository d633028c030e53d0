#include "kernels/routing.h"

#include <stdlib.h>
#include <string.h>

#include "kernels/lab.h"

struct vklm_args_route *routing_make(routing r)
{
    const uint32_t n = r.n_tokens * r.top_k;
    struct vklm_args_route *routes = malloc(n * sizeof *routes);
    float *weights = malloc(n * sizeof *weights);
    vklm_lab_random(r.n_tokens, weights, n);
    for (uint32_t i = 0; i < n; i++)
        routes[i] = (struct vklm_args_route){
            .expert = (i / r.top_k * r.step + i % r.top_k * r.stride) % r.n_experts,
            .weight = weights[i],
        };
    free(weights);
    return routes;
}

uint32_t routing_word(const float *words, size_t i)
{
    uint32_t word;
    memcpy(&word, words + i, sizeof word);
    return word;
}

struct vklm_args_route routing_route(const float *words, size_t i)
{
    struct vklm_args_route route;
    memcpy(&route, words + 2 * i, sizeof route);
    return route;
}
