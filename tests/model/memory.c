// Host memory that runs out, one allocation after the other: of the library's own calls, by the
// linker's --wrap, and of cJSON's, by its hooks. Each run lets the n-th allocation fail, and in
// every other run all that come after it too. Nothing crashes; a failure is a sentence, and leaves
// no block behind; at the end everything works.
#include <criterion/criterion.h>

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cJSON.h>

#include <vklm/vklm.h>

#include "base/file.h"
#include "checkpoint/arch.h"
#include "model/need_device.h"

#define DEMO VKLM_TEST_DATA "/demo-dense"

static struct {
    atomic_uint countdown; // 0: nothing fails any more
    bool of_json;          // cJSON's, not the library's
    bool all_later;
    atomic_bool failed;
    atomic_int blocks; // of the library, that were not freed
} memory;

static bool fails(bool of_json)
{
    if (of_json != memory.of_json)
        return false;
    if (memory.failed)
        return memory.all_later;
    if (memory.countdown == 0 || --memory.countdown > 0)
        return false;
    memory.failed = true;
    return true;
}

static void *count(void *block)
{
    memory.blocks += block != NULL;
    return block;
}

// Names that the linker makes up for --wrap.
void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__real_realloc(void *block, size_t size);
void *__wrap_realloc(void *block, size_t size);
char *__real_strdup(const char *text);
char *__wrap_strdup(const char *text);
void __real_free(void *block);
void __wrap_free(void *block);

void *__wrap_calloc(size_t n, size_t size)
{
    return fails(false) ? NULL : count(__real_calloc(n, size));
}

void *__wrap_realloc(void *block, size_t size)
{
    if (fails(false))
        return NULL;
    void *bigger = __real_realloc(block, size);
    return block ? bigger : count(bigger);
}

char *__wrap_strdup(const char *text)
{
    return fails(false) ? NULL : count(__real_strdup(text));
}

void __wrap_free(void *block)
{
    memory.blocks -= block != NULL;
    __real_free(block);
}

static void *json_allocate(size_t n)
{
    return fails(true) ? NULL : __real_calloc(n, 1);
}

// ---- lives ----

static bool ignore(void *opaque, uint32_t id)
{
    (void)opaque, (void)id;
    return true;
}

// Opens, runs and closes a model. What a session has taken is there whatever happens.
static vklm_status run_model(const char *folder, vklm_weights_kind weights)
{
    enum { N = 40 };
    uint32_t ids[N], n, id;
    for (uint32_t i = 0; i < N; i++)
        ids[i] = (i * 31 + 7) % 100;
    vklm_engine *engine = NULL;
    vklm_session *session = NULL;
    vklm_stop_reason reason;
    vklm_status status =
        vklm_engine_open(&(vklm_engine_params){.model_dir = folder, .weights = weights}, &engine);
    if (status == VKLM_OK)
        status = vklm_session_create(engine, &(vklm_session_params){.sampling.seed = 1}, &session);
    if (status == VKLM_OK)
        status = vklm_session_append(session, ids, N);
    if (status == VKLM_OK)
        status = vklm_session_sample(session, &id);
    if (status == VKLM_OK)
        status = vklm_session_generate(session, 2, true, ignore, NULL, &reason);
    if (session) {
        const uint32_t *tokens = vklm_session_tokens(session, &n);
        cr_expect_eq(memcmp(tokens, ids, (n < N ? n : N) * sizeof *ids), 0);
    }
    vklm_session_destroy(session);
    vklm_engine_close(engine);
    return status;
}

static vklm_status dense(void)
{
    return run_model(VKLM_TEST_DATA "/random-gqa", VKLM_WEIGHTS_AUTO);
}

// With experts, packed while loading.
static vklm_status experts(void)
{
    return run_model(VKLM_TEST_DATA "/random-moe-hd128", VKLM_WEIGHTS_Q8);
}

static vklm_status text(void)
{
    static const vklm_chat_message messages[] = {{.role = "user", .content = "a small dog"}};
    vklm_tokenizer *tokenizer = NULL;
    vklm_chat_template *chat = NULL;
    uint32_t *ids = NULL;
    char *back = NULL;
    size_t n, len;
    vklm_status status = vklm_tokenizer_open(DEMO, &tokenizer);
    if (status == VKLM_OK)
        status = vklm_chat_template_open(DEMO, &chat);
    if (status == VKLM_OK)
        status = vklm_chat_template_encode(chat, tokenizer, messages, 1, true, true, &ids, &n);
    if (status == VKLM_OK)
        status = vklm_tokenizer_decode(tokenizer, ids, n, false, &back, &len);
    vklm_free(ids);
    vklm_free(back);
    vklm_chat_template_close(chat);
    vklm_tokenizer_close(tokenizer);
    return status;
}

// Ids that end a text, of two files: none is forgotten.
static vklm_status config(void)
{
    char folder[] = "/tmp/vklm-memory-XXXXXX", path[64];
    vklm_arch arch;
    cr_assert(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/config.json", folder);
    cr_assert_eq(symlink(DEMO "/config.json", path), 0);
    snprintf(path, sizeof path, "%s/generation_config.json", folder);
    FILE *file = fopen(path, "w");
    cr_assert(file && fputs("{\"eos_token_id\": [2, 9]}", file) > 0 && fclose(file) == 0);
    vklm_status status = vklm_arch_load(folder, &arch);
    cr_expect(status != VKLM_OK || arch.n_eos == 2, "%u ids", arch.n_eos);
    vklm_file_remove_folder(folder);
    return status;
}

// Nothing is left of what could not be packed.
static vklm_status pack(void)
{
    char folder[] = "/tmp/vklm-memory-XXXXXX", model[64];
    vklm_model_info info;
    cr_assert(mkdtemp(folder));
    snprintf(model, sizeof model, "%s/model", folder);
    vklm_status status = vklm_model_pack(&(vklm_pack_params){
        .model_dir = VKLM_TEST_DATA "/random-hd128", .out_dir = model, .weights = VKLM_WEIGHTS_Q8});
    if (status == VKLM_OK)
        status = vklm_model_info_load(model, &info);
    vklm_file_remove_folder(model);
    vklm_file_remove_folder(folder);
    cr_expect_not(vklm_file_exists(folder));
    return status;
}

// ---- the sweep ----

// Every stride-th allocation fails, beginning with the first.
static void sweep(vklm_status (*live)(void), bool of_json, unsigned stride, unsigned at_least)
{
    unsigned n = 1;
    memory.of_json = of_json;
    cr_assert_eq(live(), VKLM_OK, "%s", vklm_error_message()); // what stays for ever is there now
    const int blocks = memory.blocks;
    for (;; n += stride) {
        memory.failed = false;
        memory.all_later = n / stride % 2;
        memory.countdown = n;
        vklm_fail(VKLM_OK, "%s", "");
        const vklm_status status = live();
        const bool failed = memory.failed;
        memory.failed = memory.all_later = false;
        memory.countdown = 0;
        cr_expect_eq(memory.blocks, blocks, "allocation %u: %d blocks are left", n,
                     memory.blocks - blocks);
        if (!failed) {
            cr_expect_eq(status, VKLM_OK, "%s", vklm_error_message());
            break;
        }
        // A few are for what can be done without; and cJSON does not say why it gave up.
        cr_expect(status == VKLM_OK || status == VKLM_OUT_OF_MEMORY ||
                      (of_json && status == VKLM_BAD_FILE),
                  "allocation %u: %s: %s", n, vklm_status_name(status), vklm_error_message());
        cr_expect(status == VKLM_OK || strlen(vklm_error_message()) > 10, "allocation %u", n);
    }
    cr_expect_geq(n, at_least, "%u allocations", n);
}

// Of long lives, whose runs take longest, so many times fewer.
static void sweep_all(unsigned stride, unsigned of_long)
{
    static const struct {
        vklm_status (*live)(void);
        bool is_long;
        unsigned own, of_json;
    } lives[] = {{config, false, 4, 10},
                 {text, false, 100, 100},
                 {pack, false, 50, 50},
                 {dense, true, 50, 50},
                 {experts, true, 50, 50}};
    for (size_t i = 0; i < sizeof lives / sizeof *lives; i++) {
        const unsigned step = stride * (lives[i].is_long ? of_long : 1);
        sweep(lives[i].live, false, step, lives[i].own);
        cJSON_InitHooks(&(cJSON_Hooks){.malloc_fn = json_allocate, .free_fn = __real_free});
        sweep(lives[i].live, true, step, lives[i].of_json);
        cJSON_InitHooks(NULL);
    }
}

#ifdef VKLM_SANITIZED
enum { SOME = 17 };
#else
enum { SOME = 5 };
#endif

Test(memory, that_runs_out)
{
    need_device();
    sweep_all(SOME, 4);
}

Test(memory_big, every_allocation)
{
    need_device();
    sweep_all(1, 1);
}
