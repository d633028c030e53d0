#version 460
// The next token, drawn from the logits as Hugging Face's `generate` does it:
//
//   s = logit + its biases; an id that occurred: s < 0 ? s * repetition : s / repetition; one that was generated n > 0 times:
//   s - frequency * n - presence; s / temperature; the top_k largest, with ties; softmax; top_p; min_p; the draw.
//   Greedy: the largest after the penalties, the lowest id on ties.
//
// Each workgroup owns CHUNK logits and appends its own top_k to the list of candidates; the last one to finish
// selects among those, sorts them (largest first, lower ids first on ties), cuts them by top_p and min_p, and draws in
// ascending order of id, as the host's sampler does. A selection finds the k-th largest key bit by bit: 32 counts.
//
// The draw's candidates are left in `candidates`, as pairs of id and probability in ascending order of id. The
// result goes to sampled[step.slot % n_slots]; the step buffer moves on to the drawn token, so that the next replay
// computes it. What this kernel cannot do (a NaN, more than MOST candidates because of ties) it leaves to the host: the
// step's flag is set, and the step stays where it is for whatever was submitted already.
//
// Workgroups: ceil(n_vocab / CHUNK). The host guarantees 1 <= top_k <= 256 and a zeroed list header.
// Constant ids: 0 = local_size_x.
#extension GL_GOOGLE_include_directive : require
#include "memory.glsl"
#include "reduce.glsl"
#include "last_workgroup.glsl"
#include "philox.glsl"

layout(local_size_x_id = 0, local_size_y = 1, local_size_z = 1) in;
layout(push_constant, std430) uniform Push { vklm_args_sample args; };

const uint CHUNK = VKLM_SAMPLE_CHUNK, MOST = VKLM_SAMPLE_MOST;
// The list: its length; the largest key of which it may lack some ids; then pairs of key and id.
const uint HEADER = 2;
const float FLOAT_MAX = 3.402823466e38;

layout(buffer_reference, std430, buffer_reference_align = 4) readonly buffer Settings {
    vklm_args_sampling v;
    vklm_args_bias bias[];
};
layout(buffer_reference, std430, buffer_reference_align = 4) buffer WriteStep { vklm_args_step v; };
layout(buffer_reference, std430, buffer_reference_align = 4) buffer Sampled { vklm_args_sampled v[]; };

shared uint keys[CHUNK];    // of this workgroup's logits
shared uint sort_a[MOST];   // descending …
shared uint sort_b[MOST];   // … then ascending
shared float weights[MOST]; // exp(s - max) in order of rank
shared uint appended, base;

// Orders like the float itself; -0 and 0 are one key.
uint key_of(float f)
{
    uint bits = f == 0 ? 0 : floatBitsToUint(f);
    return (bits & 0x80000000u) != 0 ? ~bits : bits | 0x80000000u;
}

float value_of(uint key)
{
    return uintBitsToFloat((key & 0x80000000u) != 0 ? key & 0x7FFFFFFFu : ~key);
}

// Kept finite, unless it was -infinity before: a tiny penalty may overflow.
float bound(float s, float before)
{
    return before < -FLOAT_MAX ? before : clamp(s, -FLOAT_MAX, FLOAT_MAX);
}

// In the order of the list: an id may be in it more than once.
float biased(uint n_bias, uint id, float s)
{
    Settings list = Settings(args.settings);
    for (uint i = 0; i < n_bias; i++)
        if (list.bias[i].id == id)
            s = bound(s + list.bias[i].bias, s);
    return s;
}

float penalized(vklm_args_sampling settings, float s, uint count)
{
    const uint generated = count & ~VKLM_SAMPLE_SEEN;
    const float before = s;
    if (count != 0 && settings.repetition != 1)
        s = bound(s < 0 ? s * settings.repetition : s / settings.repetition, before);
    if (generated > 0)
        s = bound(s - settings.frequency * float(generated) - settings.presence, before);
    return s;
}

uint key_at(bool merging, uint i)
{
    return merging ? SharedU32(args.list).v[HEADER + 2 * i] : keys[i];
}

uint count_from(bool merging, uint n, uint key)
{
    uint count = 0;
    for (uint i = gl_LocalInvocationID.x; i < n; i += gl_WorkGroupSize.x)
        count += key_at(merging, i) >= key ? 1 : 0;
    return uint(reduce_sum(float(count))); // exact: far below 2^24
}

// The k-th largest of n keys; 0 when there are fewer.
uint select_key(bool merging, uint n, uint k)
{
    uint key = 0;
    if (n < k)
        return key;
    for (uint bit = 0x80000000u; bit != 0; bit >>= 1)
        if (count_from(merging, n, key | bit) >= k)
            key |= bit;
    return key;
}

// This workgroup's share of the candidates goes to the list. Where more than MOST tie with its k-th, those that
// tie stay out and their key is noted: it matters only when the whole vocabulary's k-th is not above it.
void append_candidates(vklm_args_sampling settings, uint first, uint n)
{
    SharedU32 list = SharedU32(args.list);
    const uint least = select_key(false, n, settings.top_k);
    float lowest = -16777216.0; // id, negated
    for (uint i = gl_LocalInvocationID.x; i < n; i += gl_WorkGroupSize.x)
        if (keys[i] == least)
            lowest = max(lowest, -float(i));
    lowest = reduce_max(lowest);
    const bool one = settings.greedy != 0, too_many = !one && count_from(false, n, least) > MOST;
    const uint from = too_many ? least + 1 : least, found = one ? 1 : count_from(false, n, from);
    if (gl_LocalInvocationID.x == 0) {
        appended = 0;
        base = atomicAdd(list.v[0], found);
        if (too_many)
            atomicMax(list.v[1], least);
    }
    barrier();
    for (uint i = gl_LocalInvocationID.x; i < n; i += gl_WorkGroupSize.x)
        if (one ? float(i) == -lowest : keys[i] >= from) {
            uint at = HEADER + 2 * (base + atomicAdd(appended, 1));
            list.v[at] = keys[i];
            list.v[at + 1] = first + i;
        }
}

// Bitonic sort (Batcher, 1968) of sort_a descending, then sort_b ascending.
void sort(uint n)
{
    uint size = 1;
    while (size < n)
        size *= 2;
    for (uint i = n + gl_LocalInvocationID.x; i < size; i += gl_WorkGroupSize.x)
        sort_a[i] = 0, sort_b[i] = 0xFFFFFFFFu;
    for (uint width = 2; width <= size; width *= 2)
        for (uint step = width / 2; step > 0; step /= 2) {
            barrier();
            for (uint i = gl_LocalInvocationID.x; i < size; i += gl_WorkGroupSize.x) {
                uint j = i ^ step;
                if (j < i)
                    continue;
                bool ordered = sort_a[i] > sort_a[j] || (sort_a[i] == sort_a[j] && sort_b[i] <= sort_b[j]);
                if (ordered == ((i & width) == 0))
                    continue;
                uint a = sort_a[i], b = sort_b[i];
                sort_a[i] = sort_a[j], sort_b[i] = sort_b[j];
                sort_a[j] = a, sort_b[j] = b;
            }
        }
    barrier();
}

// Candidates of the whole vocabulary in order of rank: keys in sort_a, ids in sort_b. Returns how many, 0
// when the host must do it.
uint merge(vklm_args_sampling settings)
{
    SharedU32 list = SharedU32(args.list);
    const uint n = list.v[0], lacking = list.v[1];
    const uint least = select_key(true, n, settings.top_k), found = count_from(true, n, least);
    if (gl_LocalInvocationID.x == 0)
        appended = 0;
    barrier();
    const bool good = (lacking == 0 || least > lacking) && found <= MOST;
    for (uint i = gl_LocalInvocationID.x; good && i < n; i += gl_WorkGroupSize.x) {
        uint key = list.v[HEADER + 2 * i];
        if (key >= least) {
            uint at = atomicAdd(appended, 1);
            sort_a[at] = key;
            sort_b[at] = list.v[HEADER + 2 * i + 1];
        }
    }
    barrier();
    if (gl_LocalInvocationID.x == 0) { // for the next dispatch
        list.v[0] = 0;
        list.v[1] = 0;
    }
    if (good)
        sort(found);
    return good ? found : 0;
}

// Of n ranked weights, how many stay after top_p and min_p; *total is what they sum to.
uint cut(vklm_args_sampling settings, uint n, out float total)
{
    float all = 0, above = 0;
    for (uint i = 0; i < n; i++)
        all += weights[i];
    const float wanted = settings.top_p * all;
    uint kept = 0;
    while (kept < n && (kept == 0 || settings.top_p >= 1 || above < wanted)) {
        if (weights[kept] < settings.min_p)
            break;
        above += weights[kept++];
    }
    total = above;
    return kept;
}

void main()
{
    const uint lane = gl_LocalInvocationID.x, first = gl_WorkGroupID.x * CHUNK;
    const uint n = min(CHUNK, args.n_vocab - first);
    vklm_args_sampling settings = Settings(args.settings).v;
    ReadF32 logits = ReadF32(args.logits);
    ReadU32 counts = ReadU32(args.counts);
    bool bad = false;
    for (uint i = lane; i < n; i += gl_WorkGroupSize.x) {
        float s = logits.v[first + i];
        bad = bad || !(s <= FLOAT_MAX); // NaN or infinity
        s = biased(settings.n_bias, first + i, s);
        keys[i] = key_of(penalized(settings, s, counts.v[first + i]));
    }
    if (bad)
        atomicMax(SharedU32(args.list).v[1], 0xFFFFFFFFu); // whatever is selected is not above it
    barrier();
    append_candidates(settings, first, n);
    if (!last_workgroup(SharedU32(args.counter), 0, gl_NumWorkGroups.x))
        return;

    WriteStep step = WriteStep(args.step);
    const uint slot = step.v.slot % args.n_slots;
    Sampled sampled = Sampled(args.sampled);
    uint found = merge(settings), kept = 0;
    const bool good = found > 0 && step.v.flag == 0 && value_of(sort_a[0]) >= -FLOAT_MAX;
    float total = 0;
    if (good) {
        const float most = value_of(sort_a[0]);
        for (uint i = lane; i < found; i += gl_WorkGroupSize.x)
            weights[i] = settings.greedy != 0 ? 1 : exp((value_of(sort_a[i]) - most) / settings.temperature);
        barrier();
        kept = cut(settings, settings.greedy != 0 ? 1 : found, total);
        for (uint i = lane; i < kept; i += gl_WorkGroupSize.x)
            sort_a[i] = ~sort_b[i]; // ascending ids …
        barrier();
        for (uint i = lane; i < kept; i += gl_WorkGroupSize.x)
            sort_b[i] = i; // … with their ranks
        sort(kept);
    }
    U32 candidates = U32(args.candidates);
    for (uint i = lane; i < kept; i += gl_WorkGroupSize.x) {
        candidates.v[2 * i] = ~sort_a[i];
        candidates.v[2 * i + 1] = floatBitsToUint(weights[sort_b[i]] / total);
    }
    if (lane != 0)
        return;
    if (!good) {
        sampled.v[slot].flag = 1;
        step.v.flag = 1;
        step.v.slot++;
        return;
    }
    const float point = philox_uniform(uvec2(settings.seed_low, settings.seed_high), step.v.n_drawn) * total;
    float sum = 0;
    uint chosen = 0; // the highest, unless the walk finds one, which rounding might prevent
    for (uint i = 0; i < kept; i++)
        if (sort_b[i] == 0)
            chosen = i;
    for (uint i = 0; i < kept; i++) {
        sum += weights[sort_b[i]];
        if (point < sum) {
            chosen = i;
            break;
        }
    }
    const uint id = ~sort_a[chosen];
    U32 written = U32(args.counts);
    written.v[id] = (written.v[id] + 1) | VKLM_SAMPLE_SEEN;
    sampled.v[slot].id = id;
    sampled.v[slot].probability = weights[sort_b[chosen]] / total;
    sampled.v[slot].n_candidates = kept;
    sampled.v[slot].flag = 0;
    step.v.token = id;
    step.v.position++;
    step.v.n_drawn++;
    step.v.slot++;
}
