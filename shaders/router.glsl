// Which experts a token is sent to:
//
//   s[e] = sum_i R[e, i] x[i],  the TOP_K largest of them, of equal ones the lower e first;
//   their weights: softmax over all s, divided by the sum over the chosen. The softmax's own denominator
//   cancels, so it is the softmax over the chosen; and it grows with s, so s decides.
//
// (Jiang et al., "Mixtral of Experts", 2024.) Called by a whole workgroup for one token.
//
// A score that is not finite would make the choice meaningless: the status word then gets 1 + the layer,
// the routes name the first experts with weight 0, and no address goes astray.
// Constant ids: 5 = N_EXPERTS (at most 64), 6 = TOP_K (at most N_EXPERTS).
layout(constant_id = 5) const uint N_EXPERTS = 8;
layout(constant_id = 6) const uint TOP_K = 2;

const uint ROUTER_BLOCK = 8; // experts whose sums are in registers at a time

shared float router_scores[N_EXPERTS];

bool router_is_finite(float score)
{
    return (floatBitsToUint(score) & 0x7F800000u) != 0x7F800000u; // drivers may assume away NaN in isnan
}

// Of router_scores, by one invocation.
void router_choose(Routes routes, uint first, SharedU32 status, uint layer)
{
    bool finite = true;
    for (uint e = 0; e < N_EXPERTS; e++)
        finite = finite && router_is_finite(router_scores[e]);
    if (!finite) {
        atomicCompSwap(status.v[0], 0, layer + 1);
        for (uint slot = 0; slot < TOP_K; slot++)
            routes.v[first + slot] = vklm_args_route(slot, 0);
        return;
    }
    uvec2 taken = uvec2(0); // one bit per expert
    float most = 0, total = 0;
    for (uint slot = 0; slot < TOP_K; slot++) {
        uint best = N_EXPERTS;
        for (uint e = 0; e < N_EXPERTS; e++)
            if ((taken[e / 32] >> e % 32 & 1u) == 0 &&
                (best == N_EXPERTS || router_scores[e] > router_scores[best]))
                best = e;
        taken[best / 32] |= 1u << best % 32;
        if (slot == 0)
            most = router_scores[best];
        float weight = exp(router_scores[best] - most);
        total += weight;
        routes.v[first + slot] = vklm_args_route(best, weight);
    }
    for (uint slot = 0; slot < TOP_K; slot++)
        routes.v[first + slot].weight /= total;
}

// Routes of the token whose n values lie at x[at]; they go to routes[first ..].
void router_route(ReadF32 router, SharedF32 x, uint at, uint n, Routes routes, uint first,
                  SharedU32 status, uint layer)
{
    for (uint base = 0; base < N_EXPERTS; base += ROUTER_BLOCK) {
        float sums[ROUTER_BLOCK];
        [[unroll]] for (uint e = 0; e < ROUTER_BLOCK; e++)
            sums[e] = 0;
        for (uint i = gl_LocalInvocationID.x; i < n; i += gl_WorkGroupSize.x)
            [[unroll]] for (uint e = 0; e < ROUTER_BLOCK; e++)
                sums[e] += router.v[min(base + e, N_EXPERTS - 1) * n + i] * x.v[at + i];
        [[unroll]] for (uint e = 0; e < ROUTER_BLOCK; e++) {
            float score = reduce_sum(sums[e]);
            if (gl_LocalInvocationIndex == 0 && base + e < N_EXPERTS)
                router_scores[base + e] = score;
        }
    }
    if (gl_LocalInvocationIndex == 0)
        router_choose(routes, first, status, layer);
}
