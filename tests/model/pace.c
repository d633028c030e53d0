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
static unsigned n_submits, n_batches;

// Names that the linker makes up for --wrap.
vklm_status __real_vklm_gpu_device_submit(vklm_gpu_device *device, const VkCommandBuffer *batches,
                                          uint32_t n, uint64_t *out_ticket);
vklm_status __wrap_vklm_gpu_device_submit(vklm_gpu_device *device, const VkCommandBuffer *batches,
                                          uint32_t n, uint64_t *out_ticket);
vklm_status __real_vklm_gpu_device_wait(vklm_gpu_device *device, uint64_t ticket);
vklm_status __wrap_vklm_gpu_device_wait(vklm_gpu_device *device, uint64_t ticket);
double __wrap_vklm_clock_seconds(void);

vklm_status __wrap_vklm_gpu_device_submit(vklm_gpu_device *d, const VkCommandBuffer *batches,
                                          uint32_t n, uint64_t *out_ticket)
{
    n_submits++;
    n_batches += n;
    return __real_vklm_gpu_device_submit(d, batches, n, out_ticket);
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

// ---- a token ----

static uint64_t token_bytes = UINT64_MAX;
uint64_t __wrap_vklm_pace_token_bytes(const vklm_gpu_caps *caps);

uint64_t __wrap_vklm_pace_token_bytes(const vklm_gpu_caps *caps)
{
    (void)caps;
    return token_bytes;
}

enum { N_TOKENS = 24 };

static bool keep(void *opaque, uint32_t id)
{
    uint32_t **next = opaque;
    *(*next)++ = id;
    return true;
}

// Draws N_TOKENS; returns their logits' first bytes, and how many submissions one token is.
static double answer(const char *model_dir, uint64_t bytes, uint32_t *ids, float *logits)
{
    static const uint32_t prompt_ids[] = {3, 1, 4, 1, 5};
    vklm_engine *engine;
    vklm_session *session;
    vklm_stop_reason reason;
    const float *all;
    token_bytes = bytes;
    cr_assert_eq(vklm_engine_open(&(vklm_engine_params){.model_dir = model_dir, .validation = true},
                                  &engine),
                 VKLM_OK);
    cr_assert_eq(vklm_session_create(
                     engine,
                     &(vklm_session_params){.sampling = {.temperature = 1, .top_k = 50, .seed = 1}},
                     &session),
                 VKLM_OK);
    cr_assert_eq(vklm_session_append(session, prompt_ids, 5), VKLM_OK);
    const uint64_t before = n_batches;
    cr_assert_eq(vklm_session_generate(session, N_TOKENS, true, keep, &ids, &reason), VKLM_OK);
    const double per_token = (double)(n_batches - before) / (N_TOKENS - 1);
    cr_assert_eq(vklm_session_logits(session, &all), VKLM_OK);
    memcpy(logits, all, N_LOGITS * sizeof *logits);
    vklm_session_destroy(session);
    cr_expect_eq(vklm_engine_validation_messages(engine), 0);
    vklm_engine_close(engine);
    return per_token;
}

// Each layer, and lm_head, a submission of its own.
Test(pace, a_token_is_cut_where_it_may_take_too_long)
{
    need_device();
    static const char *const models[] = {VKLM_TEST_DATA "/random-gqa", VKLM_TEST_DATA "/demo-moe"};
    for (size_t i = 0; i < sizeof models / sizeof *models; i++) {
        uint32_t whole_ids[N_TOKENS], cut_ids[N_TOKENS];
        float whole_logits[N_LOGITS], cut_logits[N_LOGITS];
        vklm_model_info info;
        cr_assert_eq(vklm_model_info_load(models[i], &info), VKLM_OK);
        double whole = answer(models[i], UINT64_MAX, whole_ids, whole_logits);
        double cut = answer(models[i], 1, cut_ids, cut_logits);
        cr_expect(whole < 1.3, "%g submissions a token", whole); // and the first draw
        cr_expect(cut > info.n_layers + 0.9 && cut < info.n_layers + 1.3, "%g submissions a token",
                  cut);
        cr_expect_eq(memcmp(whole_ids, cut_ids, sizeof cut_ids), 0);
        cr_expect_eq(memcmp(whole_logits, cut_logits, sizeof cut_logits), 0);
    }
}

uint64_t __real_vklm_pace_token_bytes(const vklm_gpu_caps *caps);

// 13b as stored on an integrated GPU is cut, in 4 bits on a card it is not; processors wait.
Test(pace, bytes_of_a_token)
{
    static const struct {
        vklm_device_type type;
        float max_submit_ms;
        double least, most;
    } cases[] = {
        {VKLM_DEVICE_DISCRETE, 0, 8e9, 2e10},   {VKLM_DEVICE_INTEGRATED, 0, 3e8, 2e9},
        {VKLM_DEVICE_INTEGRATED, 25, 1e8, 1e9}, {VKLM_DEVICE_VIRTUAL, 0, 3e8, 2e9},
        {VKLM_DEVICE_CPU, 0, 1e18, 1e20},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        vklm_gpu_caps caps = device(cases[i].type, cases[i].max_submit_ms);
        double bytes = (double)__real_vklm_pace_token_bytes(&caps);
        cr_expect(bytes >= cases[i].least && bytes <= cases[i].most, "case %zu: %g", i, bytes);
    }
}
