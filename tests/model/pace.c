// Submits stay short: the estimate on devices that are not there, and a prompt on a device whose
// waits take long by a clock of our own.
#include <criterion/criterion.h>

#include <string.h>

#include <vklm/vklm.h>

#include "gpu/device_private.h"
#include "model/need_device.h"
#include "model/pace.h"

// ---- the estimate ----

static vklm_gpu_caps device(vklm_device_type type, float max_submit_ms)
{
    return (vklm_gpu_caps){.type = type, .max_submit_ms = max_submit_ms};
}

// Runs 50 submits of what is allowed, none smaller than `least`; returns the longest after the
// first few.
static double longest(vklm_pace *p, double true_rate, double least, int skip)
{
    double most = 0;
    for (int i = 0; i < 50; i++) {
        double flop = vklm_pace_flop(p) > least ? vklm_pace_flop(p) : least;
        double seconds = flop / (true_rate * (1 - 0.02 * (i % 7))); // clocks go up and down
        if (i >= skip && seconds > most)
            most = seconds;
        vklm_pace_learn(p, flop, seconds + 2e-4);
    }
    return most;
}

Test(pace, stays_under_the_limit)
{
    static const struct {
        vklm_device_type type;
        float max_submit_ms;
        double rate, limit;
    } cases[] = {
        {VKLM_DEVICE_DISCRETE, 0, 2e13, 0.1},    {VKLM_DEVICE_DISCRETE, 0, 3e11, 0.1},
        {VKLM_DEVICE_DISCRETE, 0, 5e10, 0.1},    {VKLM_DEVICE_INTEGRATED, 0, 2e12, 0.05},
        {VKLM_DEVICE_INTEGRATED, 0, 2e10, 0.05}, {VKLM_DEVICE_INTEGRATED, 25, 5e11, 0.025},
        {VKLM_DEVICE_VIRTUAL, 0, 1e12, 0.05},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        vklm_gpu_caps caps = device(cases[i].type, cases[i].max_submit_ms);
        vklm_pace p;
        vklm_pace_init(&caps, &p);
        // The first one may be a guess too high, by what the slowest known devices are slower.
        double first = vklm_pace_flop(&p) / cases[i].rate;
        cr_expect(first < 1.01, "case %zu: the first takes %g s", i, first);
        double most = longest(&p, cases[i].rate, 0, 1);
        cr_expect(most < 1.2 * cases[i].limit, "case %zu: %g s", i, most);
        cr_expect(vklm_pace_flop(&p) > 0.7 * cases[i].limit * cases[i].rate,
                  "case %zu: too careful", i);
    }
}

Test(pace, a_device_that_becomes_slow_is_noticed_at_once)
{
    vklm_gpu_caps caps = device(VKLM_DEVICE_DISCRETE, 0);
    vklm_pace p;
    vklm_pace_init(&caps, &p);
    longest(&p, 1e13, 0, 0);
    vklm_pace_learn(&p, vklm_pace_flop(&p), 1); // ten times slower than was thought
    cr_expect(vklm_pace_flop(&p) <= 1.001e11);
    cr_expect(longest(&p, 1e12, 0, 0) < 0.12);
}

// Short submits are mostly overhead, and must not make the device look slow.
Test(pace, short_submits_teach_little)
{
    vklm_gpu_caps caps = device(VKLM_DEVICE_DISCRETE, 0);
    vklm_pace p;
    vklm_pace_init(&caps, &p);
    double before = vklm_pace_flop(&p);
    vklm_pace_learn(&p, 1e6, 5e-3);
    cr_expect_eq(vklm_pace_flop(&p), before);
    vklm_pace_learn(&p, 1e6, 0);
    cr_expect(vklm_pace_flop(&p) <= 2 * before);
}

// ---- a prompt ----

static double now, wait_seconds;
static unsigned n_submits;

// Names that the linker makes up for --wrap.
vklm_status __real_vklm_gpu_device_submit(vklm_gpu_device *device, VkCommandBuffer commands,
                                          uint32_t n, uint64_t *out_ticket);
vklm_status __wrap_vklm_gpu_device_submit(vklm_gpu_device *device, VkCommandBuffer commands,
                                          uint32_t n, uint64_t *out_ticket);
vklm_status __real_vklm_gpu_device_wait(vklm_gpu_device *device, uint64_t ticket);
vklm_status __wrap_vklm_gpu_device_wait(vklm_gpu_device *device, uint64_t ticket);
double __wrap_vklm_clock_seconds(void);

vklm_status __wrap_vklm_gpu_device_submit(vklm_gpu_device *d, VkCommandBuffer commands, uint32_t n,
                                          uint64_t *out_ticket)
{
    n_submits++;
    return __real_vklm_gpu_device_submit(d, commands, n, out_ticket);
}

vklm_status __wrap_vklm_gpu_device_wait(vklm_gpu_device *d, uint64_t ticket)
{
    now += wait_seconds;
    return __real_vklm_gpu_device_wait(d, ticket);
}

double __wrap_vklm_clock_seconds(void)
{
    return now += 1e-6;
}

enum { N_PROMPT = 150, N_LOGITS = 64 };

// Submits of a prompt's second half, when the device's speed is known from the first.
static unsigned prompt(vklm_engine *engine, double seconds, float *logits)
{
    vklm_session *session;
    uint32_t ids[N_PROMPT];
    const float *all;
    for (uint32_t i = 0; i < N_PROMPT; i++)
        ids[i] = (i * 37 + 5) % 200;
    wait_seconds = seconds;
    cr_assert_eq(vklm_session_create(engine, NULL, &session), VKLM_OK);
    cr_assert_eq(vklm_session_append(session, ids, 20), VKLM_OK);
    unsigned before = n_submits;
    cr_assert_eq(vklm_session_append(session, ids + 20, N_PROMPT - 20), VKLM_OK);
    cr_assert_eq(vklm_session_logits(session, &all), VKLM_OK);
    memcpy(logits, all, N_LOGITS * sizeof *logits);
    vklm_session_destroy(session);
    return n_submits - before;
}

static void check_slow(const char *model_dir)
{
    vklm_engine *engine;
    cr_assert_eq(vklm_engine_open(&(vklm_engine_params){.model_dir = model_dir}, &engine), VKLM_OK);
    float fast_logits[N_LOGITS], slow_logits[N_LOGITS], slower_logits[N_LOGITS];
    unsigned fast = prompt(engine, 1e-6, fast_logits);
    unsigned slower = prompt(engine, 8, slower_logits);
    unsigned slow = prompt(engine, 2.5, slow_logits);
    const uint32_t n_layers = vklm_engine_model(engine)->n_layers;
    cr_expect_leq(fast, 3, "%u submits", fast);
    cr_expect_eq(slower, (N_PROMPT - 20 + 15) / 16 * n_layers + 1, "%u submits",
                 slower); // the least
    cr_expect(slow > fast, "%u submits", slow);
    cr_expect_eq(memcmp(slow_logits, fast_logits, sizeof fast_logits), 0);
    cr_expect_eq(memcmp(slower_logits, fast_logits, sizeof fast_logits), 0);
    vklm_engine_close(engine);
}

Test(pace, a_slow_device_gets_less_at_a_time_and_gives_the_same_bits)
{
    need_device();
    check_slow(VKLM_TEST_DATA "/random-gqa");
    check_slow(VKLM_TEST_DATA "/demo-moe");
}
