// A prompt of some 3,700 tokens through the program: its progress is shown, and the answer is the
// one that the same tokens give one by one. The demo model, with room for 4096 tokens in its
// config.json.
#include <criterion/criterion.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/shell.h"
#include "model/need_device.h"

#define must(call) cr_assert((call) == VKLM_OK, "%s", vklm_error_message())

enum { ANSWER = 8 };

// `copies` of a text of 1252 tokens.
static void make_folder(char folder[64], int copies)
{
    snprintf(folder, 64, "/tmp/vklm-long-prompt-XXXXXX");
    cr_assert(mkdtemp(folder));
    vklm_shell_expect(0, NULL,
                      "cd %s && cp %s/demo-dense/* . && chmod u+w * && sed -i "
                      "'s/\"max_position_embeddings\": [0-9]*/\"max_position_embeddings\": 4096/' "
                      "config.json && for i in $(seq %d); do cat %s/heldout.txt; done >prompt.txt",
                      folder, VKLM_TEST_DATA, copies, VKLM_TEST_DATA);
}

// The text's ids.
static uint32_t *read_prompt(const vklm_tokenizer *tokenizer, const char *folder, size_t *out_n)
{
    uint32_t *ids;
    vklm_shell_result text = vklm_shell_run("cat %s/prompt.txt", folder);
    must(vklm_tokenizer_encode(tokenizer, text.out, strlen(text.out), NULL, &ids, out_n));
    vklm_shell_finish(&text);
    return ids;
}

typedef struct {
    uint32_t ids[ANSWER], n;
} taken;

static bool take(void *opaque, uint32_t id)
{
    taken *t = opaque;
    t->ids[t->n++] = id;
    return true;
}

// What the model writes behind the prompt's tokens, computed one by one; released with vklm_free.
static char *answer_one_by_one(const char *folder, const vklm_tokenizer *tokenizer,
                               const uint32_t *ids, size_t n)
{
    vklm_engine *engine;
    vklm_session *session;
    vklm_stop_reason reason;
    taken t = {.n = 0};
    char *text;
    size_t len;
    must(vklm_engine_open(&(vklm_engine_params){.model_dir = folder}, &engine));
    must(vklm_session_create(
        engine, &(vklm_session_params){.sampling = {.greedy = true, .repetition_penalty = 1}},
        &session));
    for (size_t i = 0; i < n; i++)
        must(vklm_session_append(session, ids + i, 1));
    must(vklm_session_generate(session, ANSWER, true, take, &t, &reason));
    must(vklm_tokenizer_decode(tokenizer, t.ids, t.n, true, &text, &len));
    vklm_session_destroy(session);
    vklm_engine_close(engine);
    return text;
}

// Lines "prompt N of M tokens": how many, with N rising to M.
static unsigned count_progress(const char *text, size_t n)
{
    unsigned lines = 0, last = 0, done, total;
    for (const char *at = text; (at = strstr(at, "prompt ")); at++) {
        if (sscanf(at, "prompt %u of %u tokens", &done, &total) != 2)
            continue;
        cr_expect(done >= last && total == n, "%u of %u after %u", done, total, last);
        last = done;
        lines++;
    }
    cr_expect_eq(last, n);
    return lines;
}

static void check(int copies)
{
    need_device();
    char folder[64];
    vklm_tokenizer *tokenizer;
    size_t n;
    make_folder(folder, copies);
    must(vklm_tokenizer_open(folder, &tokenizer));
    uint32_t *ids = read_prompt(tokenizer, folder, &n);
    cr_assert(n > 1200u * (unsigned)copies && n + ANSWER <= 4096, "%zu tokens", n);

    char *want = answer_one_by_one(folder, tokenizer, ids, n);
    const char *options = "--greedy --repeat-penalty 1 --ignore-eos";
    vklm_shell_result got =
        vklm_shell_run("vklm run %s -f %s/prompt.txt -n %d %s", folder, folder, ANSWER, options);
    cr_expect_eq(got.status, 0, "%s", got.err);
    cr_expect(strstr(got.out, want) && *want, "'%s', one by one '%s'", got.out, want);
    vklm_shell_finish(&got);
    // Progress is for terminals.
    got = vklm_shell_run("script -qec \"'%s' run %s -f %s/prompt.txt -n %d %s\" /dev/null",
                         VKLM_PROGRAM, folder, folder, ANSWER, options);
    cr_expect_eq(got.status, 0, "%s", got.out);
    unsigned lines = count_progress(got.out, n);
    cr_expect(lines >= 8, "%u lines of progress", lines);
    vklm_shell_finish(&got);
    vklm_free(want);
    vklm_free(ids);
    vklm_tokenizer_close(tokenizer);
    vklm_shell_expect(0, NULL, "rm -r %s", folder);
}

Test(long_prompt, progress_and_the_right_answer)
{
    check(1);
}

Test(long_prompt_big, progress_and_the_right_answer)
{
    check(3);
}
