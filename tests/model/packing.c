// One model, four ways to its packed weights: packed while loading, from a packed folder, from a
// kept copy that is made, and from one that is found. All give the same bits.
#include <criterion/criterion.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <vklm/vklm.h>

#include "base/file.h"
#include "base/status.h"

#define DEMO       VKLM_TEST_DATA "/demo-dense"
#define must(call) cr_assert((call) == VKLM_OK, "%s", vklm_error_message())

enum { N_IDS = 9, N_VOCAB = 1024 };

static void get_logits(vklm_engine_params params, float out[N_VOCAB])
{
    vklm_engine *engine;
    vklm_session *session;
    const float *logits;
    uint32_t ids[N_IDS];
    for (uint32_t i = 0; i < N_IDS; i++)
        ids[i] = 300 + 41 * i;
    params.validation = true;
    vklm_status status = vklm_engine_open(&params, &engine);
    if (status == VKLM_NO_DEVICE)
        cr_skip_test("no Vulkan: %s", vklm_error_message());
    cr_assert(status == VKLM_OK, "%s", vklm_error_message());
    must(vklm_session_create(engine, NULL, &session));
    must(vklm_session_append(session, ids, N_IDS));
    must(vklm_session_logits(session, &logits));
    memcpy(out, logits, N_VOCAB * sizeof *out);
    vklm_session_destroy(session);
    cr_assert_eq(vklm_engine_validation_messages(engine), 0);
    vklm_engine_close(engine);
}

static unsigned n_packings;

static void count_packings(void *opaque, vklm_log_level level, const char *message)
{
    (void)opaque, (void)level;
    n_packings += strstr(message, "packing once") != NULL;
}

// Removes what a cache folder has: folders of files.
static void remove_cache(const char *folder)
{
    char command[256];
    snprintf(command, sizeof command, "rm -r '%s'", folder);
    cr_expect_eq(system(command), 0);
}

Test(packing, all_ways_give_the_same_bits)
{
    char folder[] = "/tmp/vklm-packing-XXXXXX", packed[64], cache[64];
    cr_assert(mkdtemp(folder));
    snprintf(packed, sizeof packed, "%s/packed", folder);
    snprintf(cache, sizeof cache, "%s/cache", folder);
    float stored[N_VOCAB], want[N_VOCAB], got[N_VOCAB];
    get_logits((vklm_engine_params){.model_dir = DEMO}, stored);
    for (vklm_weights_kind kind = VKLM_WEIGHTS_Q8; kind <= VKLM_WEIGHTS_Q4; kind++) {
        get_logits((vklm_engine_params){.model_dir = DEMO, .weights = kind}, want);
        cr_expect_neq(memcmp(want, stored, sizeof want), 0, "nothing was packed");

        must(vklm_model_pack(
            &(vklm_pack_params){.model_dir = DEMO, .out_dir = packed, .weights = kind}));
        get_logits((vklm_engine_params){.model_dir = packed, .verify = true}, got);
        cr_expect_eq(memcmp(want, got, sizeof want), 0, "a packed folder differs");
        vklm_file_remove_folder(packed);

        vklm_log_set(count_packings, NULL, VKLM_LOG_INFO);
        n_packings = 0;
        for (int i = 0; i < 2; i++) {
            get_logits(
                (vklm_engine_params){.model_dir = DEMO, .weights = kind, .packed_folder = cache},
                got);
            cr_expect_eq(memcmp(want, got, sizeof want), 0, "a kept copy differs");
        }
        cr_expect_eq(n_packings, 1, "packed %u times", n_packings);
        vklm_log_set(NULL, NULL, VKLM_LOG_INFO);
    }
    remove_cache(folder);
}

// Where no copy can be kept the model runs all the same.
Test(packing, a_useless_cache_folder_is_no_obstacle)
{
    float want[N_VOCAB], got[N_VOCAB];
    get_logits((vklm_engine_params){.model_dir = DEMO, .weights = VKLM_WEIGHTS_Q4}, want);
    get_logits((vklm_engine_params){.model_dir = DEMO,
                                    .weights = VKLM_WEIGHTS_Q4,
                                    .packed_folder = DEMO "/config.json"},
               got);
    cr_expect_eq(memcmp(want, got, sizeof want), 0);
}

// What q8 keys and values do to the logits: something, and little. Measured: 0.0018;
// tests/model/golden.c has more.
Test(packing, q8_keys_and_values_change_logits_little)
{
    float f16[N_VOCAB], q8[N_VOCAB];
    double distance = 0, length = 0;
    get_logits((vklm_engine_params){.model_dir = DEMO, .kv = VKLM_KV_F16}, f16);
    get_logits((vklm_engine_params){.model_dir = DEMO, .kv = VKLM_KV_Q8}, q8);
    for (int i = 0; i < N_VOCAB; i++) {
        distance += ((double)q8[i] - (double)f16[i]) * ((double)q8[i] - (double)f16[i]);
        length += (double)f16[i] * (double)f16[i];
    }
    double error = sqrt(distance / length);
    fprintf(stderr, "q8 KV cache: logits move by %.2g of their length\n", error);
    cr_expect(error > 0 && error <= 1e-2, "%g", error);
}
