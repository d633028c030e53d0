// A model on a device that is taken for a smaller one, with fewer tiers, or without the corrections
// of gpu/quirks.c: the same tokens, or a sentence.
#include <criterion/criterion.h>

#include <math.h>
#include <string.h>

#include <vklm/vklm.h>

#include "model/need_device.h"

enum { N_PROMPT = 50, N_TOKENS = 12 };

// Other tiles add in another order, and a key or value at the border between two f16 numbers is
// then rounded to the other one: the cache's unit roundoff, of logits of up to 16.
static const float BOUND = 16 * 0x1p-11f;

typedef struct {
    uint32_t ids[N_TOKENS], n;
    float logits[8];
} answer;

static bool keep(void *opaque, uint32_t id)
{
    answer *a = opaque;
    a->ids[a->n++] = id;
    return a->n < N_TOKENS;
}

static vklm_status run(vklm_engine_params params, answer *a)
{
    vklm_engine *engine;
    vklm_session *session;
    vklm_stop_reason reason;
    uint32_t prompt[N_PROMPT];
    const float *logits;
    for (uint32_t i = 0; i < N_PROMPT; i++)
        prompt[i] = (i * 37 + 5) % 200;
    *a = (answer){0};
    params.model_dir = VKLM_TEST_DATA "/random-gqa";
    params.validation = true;
    vklm_status status = vklm_engine_open(&params, &engine);
    if (status != VKLM_OK)
        return status;
    status = vklm_session_create(engine, &(vklm_session_params){.sampling.greedy = true}, &session);
    if (status == VKLM_OK)
        status = vklm_session_append(session, prompt, N_PROMPT);
    if (status == VKLM_OK)
        status = vklm_session_logits(session, &logits);
    if (status == VKLM_OK)
        memcpy(a->logits, logits, sizeof a->logits);
    if (status == VKLM_OK)
        status = vklm_session_generate(session, N_TOKENS, true, keep, a, &reason);
    vklm_session_destroy(session);
    cr_expect_eq(vklm_engine_validation_messages(engine), 0);
    vklm_engine_close(engine);
    return status;
}

Test(limits, the_same_answer)
{
    need_device();
    static const vklm_engine_params cases[] = {
        {.limits.shared_bytes = 16384},
        {.limits.workgroup_invocations = 256, .limits.push_bytes = 128},
        {.limits.subgroup_size = 4},
        {.limits.allocation_bytes = 20 << 20}, // a bit more than the staging ring's pieces
        {.tiers = VKLM_TIER_BASE},
        {.no_quirks = true},
    };
    answer want, got;
    cr_assert_eq(run((vklm_engine_params){0}, &want), VKLM_OK, "%s", vklm_error_message());
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        cr_assert_eq(run(cases[i], &got), VKLM_OK, "case %zu: %s", i, vklm_error_message());
        cr_expect_eq(memcmp(got.ids, want.ids, sizeof want.ids), 0, "case %zu: other tokens", i);
        for (size_t k = 0; k < sizeof want.logits / sizeof *want.logits; k++)
            cr_expect(fabsf(got.logits[k] - want.logits[k]) < BOUND, "case %zu: %g, not %g", i,
                      (double)got.logits[k], (double)want.logits[k]);
    }
}

Test(limits, or_a_sentence)
{
    need_device();
    static const struct {
        vklm_device_limits limits;
        const char *says;
    } cases[] = {
        {{.shared_bytes = 8192}, "as it was limited, lacks 16 KiB of shared memory"},
        {{.workgroup_invocations = 64}, "lacks workgroups of 256 invocations"},
        {{.push_bytes = 64}, "lacks 128 bytes of push constants"},
        {{.allocation_bytes = 4096}, "4096"},
        {{.allocation_bytes = 1 << 20}, "a buffer of "},
    };
    answer a;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        cr_expect_eq(run((vklm_engine_params){.limits = cases[i].limits}, &a), VKLM_UNSUPPORTED);
        cr_expect(strstr(vklm_error_message(), cases[i].says), "%s", vklm_error_message());
    }
}
