#include "model/pace.h"

void vklm_pace_init(const vklm_gpu_caps *caps, vklm_pace *out)
{
    // Where to begin: an Intel UHD reaches about 0.1 TFLOP/s with these kernels, the slowest
    // discrete GPUs with Vulkan 1.3 five times as much. A processor has no watchdog, only a user
    // who may press Ctrl-C.
    static const vklm_pace first[] = {
        [VKLM_DEVICE_DISCRETE] = {.limit = 0.1, .rate = 5e11},
        [VKLM_DEVICE_INTEGRATED] = {.limit = 0.05, .rate = 1e11},
        [VKLM_DEVICE_VIRTUAL] = {.limit = 0.05, .rate = 1e11},
        [VKLM_DEVICE_CPU] = {.limit = 2, .rate = 2.5e10},
    };
    *out = first[caps->type];
    const double most = (double)caps->max_submit_ms * 1e-3;
    if (most > 0 && most < out->limit)
        out->limit = most;
}

uint64_t vklm_pace_token_bytes(const vklm_gpu_caps *caps)
{
    // Bytes per second that kernels read: of integrated GPUs those with one channel of memory; of
    // cards those that can hold so much (from 16 GB on they read 250 GB/s and more). A processor
    // has no watchdog.
    static const double slowest[] = {
        [VKLM_DEVICE_DISCRETE] = 1.5e11,
        [VKLM_DEVICE_INTEGRATED] = 1.2e10,
        [VKLM_DEVICE_VIRTUAL] = 1.2e10,
        [VKLM_DEVICE_CPU] = 0,
    };
    vklm_pace pace;
    vklm_pace_init(caps, &pace);
    return slowest[caps->type] > 0 ? (uint64_t)(pace.limit * slowest[caps->type]) : UINT64_MAX;
}

double vklm_pace_flop(const vklm_pace *pace)
{
    return pace->limit * pace->rate;
}

void vklm_pace_learn(vklm_pace *pace, double flop, double seconds)
{
    const double rate = flop / (seconds > 1e-9 ? seconds : 1e-9);
    if (rate > pace->rate)
        pace->rate = rate < 2 * pace->rate ? rate : 2 * pace->rate;
    else if (seconds > pace->limit / 4) // a short one says more of the host than of the device
        pace->rate = rate;
}
