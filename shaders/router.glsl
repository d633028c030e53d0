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

// Keeps the score of expert e; each invocation has a part of the sum.
void router_keep(float part, uint e)
{
    const float score = reduce_sum(part);
    if (gl_LocalInvocationIndex == 0 && e < N_EXPERTS)
        router_scores[e] = score;
}

// Four experts' values in column i, from expert e on.
vec4 router_rows(ReadF32 router, uint e, uint n, uint i)
{
    return vec4(router.v[min(e, N_EXPERTS - 1) * n + i], router.v[min(e + 1, N_EXPERTS - 1) * n + i],
                router.v[min(e + 2, N_EXPERTS - 1) * n + i], router.v[min(e + 3, N_EXPERTS - 1) * n + i]);
}

// Routes of the token whose n values lie at x[at]; they go to routes[first ..].
void router_route(ReadF32 router, SharedF32 x, uint at, uint n, Routes routes, uint first,
                  SharedU32 status, uint layer)
{
    // Eight sums in registers at a time, not in an array: the loops of reduce_sum keep NVK from unrolling the one
    // over it, and then it lies in memory.
    for (uint e = 0; e < N_EXPERTS; e += 8) {
        vec4 low = vec4(0), high = vec4(0);
        for (uint i = gl_LocalInvocationID.x; i < n; i += gl_WorkGroupSize.x) {
            low += router_rows(router, e, n, i) * x.v[at + i];
            high += router_rows(router, e + 4, n, i) * x.v[at + i];
        }
        router_keep(low.x, e), router_keep(low.y, e + 1), router_keep(low.z, e + 2), router_keep(low.w, e + 3);
        router_keep(high.x, e + 4), router_keep(high.y, e + 5), router_keep(high.z, e + 6), router_keep(high.w, e + 7);
    }
    if (gl_LocalInvocationIndex == 0)
        router_choose(routes, first, status, layer);
}
