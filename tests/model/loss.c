// The device is lost in the middle of things: it is opened again, what was there is computed again,
// and the answer is what it would have been.
#include <criterion/criterion.h>

#include <string.h>

#include <vklm/vklm.h>

#include "host/shell.h"
#include "model/lose_device.h"
#include "model/need_device.h"

#define DEMO VKLM_TEST_DATA "/demo-dense"

enum { N_PROMPT = 40, N_TOKENS = 12 };

static const vklm_engine_params params = {.model_dir = VKLM_TEST_DATA "/random-gqa",
                                          .validation = true};

typedef struct {
    uint32_t ids[N_TOKENS], n;
} answer;

static bool keep(void *opaque, uint32_t id)
{
    answer *a = opaque;
    a->ids[a->n++] = id;
    return a->n < N_TOKENS;
}

static void fill(uint32_t *prompt)
{
    for (uint32_t i = 0; i < N_PROMPT; i++)
        prompt[i] = (i * 37 + 5) % 200;
}

// What a caller does: recovers, completes the session's tokens, goes on.
static vklm_status finish(vklm_engine *engine, vklm_session *session, answer *a)
{
    uint32_t prompt[N_PROMPT], n;
    vklm_stop_reason reason;
    fill(prompt);
    vklm_status status = vklm_engine_recover(engine, &params);
    vklm_session_tokens(session, &n);
    if (status == VKLM_OK && n < N_PROMPT)
        status = vklm_session_append(session, prompt + n, N_PROMPT - n);
    vklm_session_tokens(session, &n);
    for (; n < N_PROMPT + a->n && status == VKLM_OK; n++)
        status = vklm_session_append(session, a->ids + (n - N_PROMPT), 1);
    if (status == VKLM_OK && a->n < N_TOKENS)
        status = vklm_session_generate(session, N_TOKENS - a->n, true, keep, a, &reason);
    return status;
}

// Loses the device at the n-th submission after the model was loaded, and again m submissions
// later.
static vklm_status lose(unsigned n, unsigned m, bool on_host, answer *a, bool *out_lost)
{
    vklm_engine *engine;
    vklm_session *session, *other;
    uint32_t prompt[N_PROMPT], n_tokens;
    vklm_stop_reason reason;
    *a = (answer){0};
    fill(prompt);
    cr_assert_eq(vklm_engine_open(&params, &engine), VKLM_OK, "%s", vklm_error_message());
    const vklm_session_params how = {.sampling = {.seed = 5, .temperature = 0.9f},
                                     .sample_on_host = on_host};
    cr_assert_eq(vklm_session_create(engine, &how, &other), VKLM_OK);
    cr_assert_eq(vklm_session_append(other, prompt, 7), VKLM_OK);
    cr_assert_eq(vklm_session_create(engine, &how, &session), VKLM_OK);
    vklm_test_lose_after[0] = n;
    vklm_test_lose_after[1] = m;
    vklm_status status = vklm_session_append(session, prompt, N_PROMPT);
    if (status == VKLM_OK)
        status = vklm_session_generate(session, N_TOKENS, true, keep, a, &reason);
    *out_lost =
        n && vklm_test_lose_after[0] != n && (vklm_test_lose_after[0] == m || status != VKLM_OK);
    if (status == VKLM_DEVICE_LOST)
        status = finish(engine, session, a);
    vklm_session_tokens(other, &n_tokens); // another session lost nothing either
    cr_expect_eq(n_tokens, 7);
    if (status == VKLM_OK && !m) {
        vklm_test_lose_after[0] = 0;
        cr_expect_eq(vklm_session_append(other, prompt + 7, 2), VKLM_OK, "%s",
                     vklm_error_message());
    } else if (status != VKLM_OK) { // all calls say so, and none crashes
        const float *logits;
        cr_expect_eq(status, VKLM_DEVICE_LOST, "%s", vklm_error_message());
        cr_expect_eq(vklm_session_append(other, prompt + 7, 2), VKLM_DEVICE_LOST);
        cr_expect(vklm_session_logits(session, &logits) != VKLM_OK);
    }
    vklm_test_lose_after[0] = vklm_test_lose_after[1] = 0;
    cr_expect_eq(vklm_engine_validation_messages(engine), 0);
    vklm_session_destroy(other);
    vklm_session_destroy(session);
    vklm_engine_close(engine);
    return status;
}

static void sweep(bool on_host)
{
    answer want, got;
    bool lost;
    cr_assert_eq(lose(0, 0, on_host, &want, &lost), VKLM_OK);
    cr_assert_eq(want.n, N_TOKENS);
    unsigned n = 0;
    do {
        cr_assert_eq(lose(++n, 0, on_host, &got, &lost), VKLM_OK, "%u: %s", n,
                     vklm_error_message());
        cr_expect_eq(got.n, N_TOKENS, "lost at %u: %u tokens", n, got.n);
        cr_expect_eq(memcmp(got.ids, want.ids, sizeof want.ids), 0, "lost at %u: other tokens", n);
    } while (lost && n < 100);
    cr_expect(n > 5 && n < 100, "%u submissions", n);
}

Test(loss, the_answer_goes_on)
{
    need_device();
    sweep(false);
}

Test(loss, drawn_on_the_host_too)
{
    need_device();
    sweep(true);
}

// Lost once more while recovering, at every submission that there is: tokens are kept, calls fail.
Test(loss, twice)
{
    need_device();
    answer got;
    bool lost;
    unsigned failed = 0;
    for (unsigned m = 1; m < 30; m += 3)
        failed += lose(4, m, false, &got, &lost) != VKLM_OK;
    cr_expect(failed > 3, "%u", failed);
}

Test(loss, engine_that_cannot_be_opened_again)
{
    need_device();
    vklm_engine *engine;
    vklm_session *session, *late;
    uint32_t prompt[N_PROMPT], n;
    fill(prompt);
    cr_assert_eq(vklm_engine_open(&params, &engine), VKLM_OK);
    cr_assert_eq(vklm_session_create(engine, NULL, &session), VKLM_OK);
    cr_assert_eq(vklm_session_append(session, prompt, N_PROMPT), VKLM_OK);
    vklm_engine_params wrong = params;
    wrong.model_dir = "/nowhere";
    cr_expect_eq(vklm_engine_recover(engine, &wrong), VKLM_NOT_FOUND);
    cr_expect_eq(memcmp(vklm_session_tokens(session, &n), prompt, sizeof prompt), 0);
    cr_expect_eq(vklm_session_append(session, prompt, 2), VKLM_DEVICE_LOST);
    cr_expect_eq(vklm_session_set_sampling(session, &(vklm_sampling_params){0}), VKLM_DEVICE_LOST);
    cr_expect_eq(vklm_session_create(engine, NULL, &late), VKLM_DEVICE_LOST);
    wrong.model_dir = VKLM_TEST_DATA "/random-hd128";
    cr_expect_eq(vklm_engine_recover(engine, &wrong), VKLM_INVALID_ARGUMENT);
    cr_expect(strstr(vklm_error_message(), "another model"), "%s", vklm_error_message());
    cr_assert_eq(vklm_engine_recover(engine, &params), VKLM_OK, "%s", vklm_error_message());
    cr_expect_eq(vklm_session_append(session, prompt, 2), VKLM_OK);
    cr_expect_eq(n, N_PROMPT);
    vklm_session_destroy(session);
    vklm_engine_close(engine);
}

// ---- the program ----

Test(loss, run_goes_on)
{
    need_device();
    static const char command[] = "run " DEMO " -p 'A small' -n 12 --seed 3 2>/dev/null";
    vklm_shell_result want = vklm_shell_run("vklm %s", command);
    cr_assert_eq(want.status, 0, "%s", want.out);
    for (unsigned n = 2; n < 7; n++) {
        vklm_shell_result got = vklm_shell_run("export VKLM_TEST_LOSE=%u; vklm %s", n, command);
        cr_expect_eq(got.status, 0, "lost at %u", n);
        cr_expect_str_eq(got.out, want.out, "lost at %u", n);
        vklm_shell_finish(&got);
    }
    vklm_shell_finish(&want);
    vklm_shell_expect(0, "was lost: it is opened again",
                      "export VKLM_TEST_LOSE=4; vklm run %s -p 'A small' -n 12 --seed 3", DEMO);
    vklm_shell_expect(1, "lost", "export VKLM_TEST_LOSE=4,1; vklm run %s -p a -n 12 --seed 3",
                      DEMO);
    vklm_shell_expect(1, "lost again after it was opened anew",
                      "export VKLM_TEST_LOSE=4,4; vklm run %s -p a -n 40 --ignore-eos --seed 3",
                      DEMO);
}

Test(loss, chat_and_batch_go_on)
{
    need_device();
    static const char chat[] = "vklm chat " DEMO " -n 8 --seed 3 2>/dev/null";
    vklm_shell_result want = vklm_shell_run("printf 'hello\\nmore\\n' | %s", chat);
    cr_assert_eq(want.status, 0, "%s", want.out);
    vklm_shell_result got =
        vklm_shell_run("export VKLM_TEST_LOSE=5; printf 'hello\\nmore\\n' | %s", chat);
    cr_expect_eq(got.status, 0);
    cr_expect_str_eq(got.out, want.out);
    vklm_shell_finish(&got);
    vklm_shell_finish(&want);
    vklm_shell_expect(1, "lost again after it was opened anew",
                      "export VKLM_TEST_LOSE=4,4; echo hello | vklm chat %s -n 30 --seed 3", DEMO);
    vklm_shell_expect(
        0, "was lost: it is opened again",
        "d=$(mktemp -d); echo '{\"prompt\":\"a\"}' >$d/q.jsonl; "
        "export VKLM_TEST_LOSE=4; vklm batch %s --in $d/q.jsonl --out $d/a.jsonl -n 8; "
        "s=$?; rm -r $d; exit $s",
        DEMO);
}
