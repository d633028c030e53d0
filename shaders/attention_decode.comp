#version 460
// One token's attention over the KV cache, split along the positions ("flash decoding"):
//
//   s[p] = scale * q . k[p],  y = sum_p exp(s[p]) v[p] / sum_p exp(s[p]),  p = 0 .. position
//
// Workgroup (head, split) owns positions [split * CHUNK, (split + 1) * CHUNK) of one query head; splits past the KV length
// leave at once, so that one recorded dispatch serves every length. Each writes its maximum, its sum
// of exponentials and its weighted values; the last of a head to finish merges them in the order of
// the splits, so results repeat bit for bit. Query heads h * group .. + group - 1 share kv head h.
//
// Scores: one invocation per position. Values: one invocation per pair of elements (one word of the
// cache) and SLICES-th of the positions, then a sum over the slices in shared memory.
// The cache is f16, or q8 with -DKV_Q8.
// Constant ids: 0 = local_size_x, 2 = CHUNK, 3 = HEAD_DIM (a multiple of 8; q8: of 64), 7 = INPUT8: y in 8 bits as
// well (input8.glsl); HEAD_DIM % 32 == 0.
#extension GL_GOOGLE_include_directive : require
#include "memory.glsl"
#include "input8.glsl"
#include "kv_cache.glsl"
#include "reduce.glsl"
#include "last_workgroup.glsl"

layout(local_size_x_id = 0, local_size_y = 1, local_size_z = 1) in;
layout(constant_id = 2) const uint CHUNK = 128;
layout(constant_id = 3) const uint HEAD_DIM = 128;
layout(constant_id = 7) const bool INPUT8 = false;
layout(push_constant, std430) uniform Push { vklm_args_attention_decode args; };

const uint LANES = gl_WorkGroupSize.x, PAIRS = HEAD_DIM / 2;
const uint WIDTH = LANES < PAIRS ? LANES : PAIRS; // invocations side by side on the pairs of one position
const uint SLICES = LANES / WIDTH;         // positions at a time
const uint PASSES = (PAIRS + WIDTH - 1) / WIDTH;

shared vec4 query[HEAD_DIM / 4];
shared float weights[CHUNK];
shared vec2 slices[SLICES * PAIRS];

uint n_values() // of the cache
{
    return gl_NumWorkGroups.x / args.group * args.n_ctx * HEAD_DIM;
}

// Weighted values of this split into slices[0 .. PAIRS).
void weigh_values(uint kv_base, uint n)
{
    const uint column = gl_LocalInvocationID.x % WIDTH, slice = gl_LocalInvocationID.x / WIDTH;
    for (uint pass = 0; pass < PASSES; pass++) {
        const uint pair = pass * WIDTH + column;
        if (pair >= PAIRS || slice >= SLICES)
            continue;
        vec2 sum = vec2(0);
        for (uint p = slice; p < n; p += SLICES)
            sum += weights[p] * kv_pair(args.v, n_values(), (kv_base + p) * PAIRS + pair);
        slices[slice * PAIRS + pair] = sum;
    }
    barrier();
    for (uint pair = gl_LocalInvocationID.x; pair < PAIRS; pair += LANES)
        for (uint s = 1; s < SLICES; s++)
            slices[pair] += slices[s * PAIRS + pair];
}

// The head's result, which lies in slices.
void store(uint head)
{
    F32 y = F32(args.y);
    for (uint i = gl_LocalInvocationID.x; i < HEAD_DIM; i += LANES)
        y.v[head * HEAD_DIM + i] = slices[i / 2][i % 2];
    if (!INPUT8)
        return;
    barrier();
    // Not input8_store, whose 32 values at once spill where Intel's compiler takes 32 lanes (dg2, heads of 64).
    for (uint b = gl_LocalInvocationID.x; b < HEAD_DIM / 32; b += LANES) {
        const uint block = head * (HEAD_DIM / 32) + b;
        U32 words = U32(args.y8);
        vec2 most = vec2(0);
        [[dont_unroll]] for (uint k = 0; k < 16; k++)
            most = max(most, abs(slices[b * 16 + k]));
        const float largest = max(most.x, most.y), inverse = input8_inverse(largest);
        int sum = 0;
        [[dont_unroll]] for (uint k = 0; k < 8; k++)
            words.v[block * 8 + k] =
                input8_word(vec4(slices[b * 16 + 2 * k], slices[b * 16 + 2 * k + 1]), inverse, sum);
        input8_scale(args.y8, gl_NumWorkGroups.x * HEAD_DIM, block, largest, sum);
    }
}

void main()
{
    const uint head = gl_WorkGroupID.x, split = gl_WorkGroupID.y, lane = gl_LocalInvocationID.x;
    const uint length = Step(args.step).v.position + 1, first = split * CHUNK;
    if (first >= length)
        return;
    const uint n = min(CHUNK, length - first), n_splits = (length + CHUNK - 1) / CHUNK;
    const uint kv_base = head / args.group * args.n_ctx + first; // row of the cache

    ReadF32x4 q = ReadF32x4(args.q);
    for (uint i = lane; i < HEAD_DIM / 4; i += LANES)
        query[i] = q.v[head * (HEAD_DIM / 4) + i] * args.scale;
    barrier();

    QuantMatrix k = quant_matrix(args.k, n_values() / HEAD_DIM, HEAD_DIM);
    const uint blocks = HEAD_DIM / QUANT_BLOCK;
#ifdef KV_Q8
    const uint FLIGHT = HEAD_DIM % 128 == 0 ? 2 : 1;
#else
    const uint FLIGHT = blocks % 4 == 0 ? 4 : blocks % 2 == 0 ? 2 : 1;
#endif
    float most = uintBitsToFloat(0xFF800000u); // -infinity
    for (uint p = lane; p < n; p += LANES) {
        float score = 0;
        // A few blocks in flight, not all: Intel's compiler would spill (two of q8 and heads of 64 on dg2,
        // twelve of f16 on skl), NVK's takes 144 registers for sixteen.
        [[dont_unroll]] for (uint some = 0; some < blocks; some += FLIGHT)
            [[unroll]] for (uint f = 0; f < FLIGHT; f++) {
                const uint b = some + f;
                vec4 x[QUANT_QUADS];
                [[unroll]] for (uint i = 0; i < QUANT_QUADS; i++)
                    x[i] = query[b * QUANT_QUADS + i];
                score += quant_dot(k, (kv_base + p) * blocks + b, x, 0);
            }
        weights[p] = score;
        most = max(most, score);
    }
    most = reduce_max(most);
    float total = 0;
    for (uint p = lane; p < n; p += LANES) {
        weights[p] = exp(weights[p] - most);
        total += weights[p];
    }
    total = reduce_sum(total);
    barrier(); // all weights are there
    weigh_values(kv_base, n);
    barrier();

    // Partial results, one row per (head, split): HEAD_DIM values, the maximum, the sum.
    const uint row = HEAD_DIM + 2, base = head * gl_NumWorkGroups.y * row;
    if (n_splits == 1) {
        for (uint i = lane; i < HEAD_DIM; i += LANES)
            slices[i / 2][i % 2] /= total;
    } else {
        SharedF32 partial = SharedF32(args.partial);
        for (uint i = lane; i < HEAD_DIM; i += LANES)
            partial.v[base + split * row + i] = slices[i / 2][i % 2];
        if (lane == 0) {
            partial.v[base + split * row + HEAD_DIM] = most;
            partial.v[base + split * row + HEAD_DIM + 1] = total;
        }
        if (!last_workgroup(SharedU32(args.counter), head, n_splits))
            return;

        most = partial.v[base + HEAD_DIM];
        for (uint s = 1; s < n_splits; s++)
            most = max(most, partial.v[base + s * row + HEAD_DIM]);
        total = 0;
        for (uint s = 0; s < n_splits; s++)
            total += partial.v[base + s * row + HEAD_DIM + 1] *
                     exp(partial.v[base + s * row + HEAD_DIM] - most);
        for (uint i = lane; i < HEAD_DIM; i += LANES) {
            float sum = 0;
            for (uint s = 0; s < n_splits; s++)
                sum += partial.v[base + s * row + i] * exp(partial.v[base + s * row + HEAD_DIM] - most);
            slices[i / 2][i % 2] = sum / total;
        }
    }
    store(head);
}
