// The self-test of an engine's device: when it runs, what is remembered, what follows from it.
#include "engine/engine_private.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "model/self_test.h"

// The file that says what a device passed. All that the kernels depend on is in its name: device,
// driver, build, limits and tiers, the model's formats.
static char *record_path(const vklm_engine *e, const char *folder, const vklm_self_test_case *cases,
                         size_t n)
{
    const vklm_gpu_caps *c = vklm_gpu_device_caps(e->device);
    vklm_string key = {0}, name = {0}, path = {0};
    vklm_string_print(&key, "%s %016" PRIx64 " %s %s %x %x %u %u %u %u %u %u %u %u", vklm_version(),
                      vklm_gpu_shaders_hash(), c->name, c->driver_info, c->driver_id,
                      c->driver_version, c->tiers, (unsigned)c->type, c->subgroup_size,
                      c->max_shared_bytes, c->max_workgroup_invocations, cases->head_dim,
                      cases->n_experts, cases->top_k);
    for (size_t i = 0; i < sizeof c->driver_uuid; i++)
        vklm_string_print(&key, "%02x%02x", c->driver_uuid[i], c->device_uuid[i]);
    for (size_t i = 0; i < n; i++)
        vklm_string_print(&key, " %s %d %s", vklm_format_name(cases[i].matrix), cases[i].grouped,
                          vklm_kv_kind_name(cases[i].kv));
    uint64_t h = 0xCBF29CE484222325u; // FNV-1a
    for (size_t i = 0; i < key.len; i++)
        h = (h ^ (unsigned char)key.data[i]) * 0x100000001B3u;
    vklm_string_print(&name, "self-test-%016" PRIx64 ".txt", h);
    if (!key.failed && !name.failed)
        vklm_file_join(&path, folder, name.data);
    vklm_string_finish(&key);
    vklm_string_finish(&name);
    if (path.failed)
        vklm_string_finish(&path);
    return path.data;
}

// The tiers that passed; 0 when nothing is remembered.
static unsigned recall(const char *path)
{
    unsigned tiers = 0;
    vklm_string text = {0};
    if (path && vklm_file_exists(path) && vklm_file_read(path, 4096, &text) == VKLM_OK &&
        text.len > 0)
        sscanf(text.data, "tiers %u", &tiers);
    vklm_string_finish(&text);
    return tiers;
}

// What cannot be remembered is tested again the next time: a log line.
static void remember(const char *path, const char *folder, unsigned tiers)
{
    vklm_file_writer *writer = NULL;
    char text[64];
    int n = snprintf(text, sizeof text, "tiers %u\n", tiers);
    vklm_status status = vklm_file_make_folders(folder);
    if (status == VKLM_OK)
        status = vklm_file_writer_open(path, &writer);
    if (status == VKLM_OK) {
        vklm_file_writer_write(writer, text, (size_t)n);
        status = vklm_file_writer_commit(writer);
    }
    vklm_file_writer_close(writer);
    if (status != VKLM_OK)
        vklm_log(VKLM_LOG_WARNING, "the self-test's result was not kept: %s", vklm_error_message());
}

static vklm_status run_cases(vklm_engine *e, const vklm_self_test_case *cases, size_t n,
                             char error[VKLM_SELF_TEST_ERROR_BYTES])
{
    vklm_status status = VKLM_OK;
    *error = '\0';
    for (size_t i = 0; i < n && status == VKLM_OK && !*error; i++)
        status = vklm_self_test_run(e->device, &cases[i], error);
    return status;
}

static vklm_status test_tiers(vklm_engine *e, const vklm_self_test_case *cases, size_t n)
{
    static const struct {
        unsigned bit;
        const char *name;
    } upper[] = {{VKLM_TIER_COOP, "coop"}, {VKLM_TIER_DOT8, "dot8"}};
    const vklm_gpu_caps *c = vklm_gpu_device_caps(e->device);
    char error[VKLM_SELF_TEST_ERROR_BYTES];
    vklm_status status = run_cases(e, cases, n, error);
    for (size_t i = 0; i < 2 && status == VKLM_OK && *error; i++) {
        if (!(c->tiers & upper[i].bit))
            continue;
        vklm_log(VKLM_LOG_WARNING, "%s fails the self-test with tier %s, which is turned off: %s",
                 c->name, upper[i].name, error);
        vklm_gpu_device_drop_tiers(e->device, upper[i].bit);
        status = run_cases(e, cases, n, error);
    }
    if (status != VKLM_OK)
        return vklm_fail_prefix(status, "the self-test");
    if (*error)
        return vklm_fail(VKLM_UNSUPPORTED,
                         "device %s (%s) fails the self-test: %s; please report it with what 'vklm "
                         "devices --json' prints; --self-test never runs without",
                         c->name, e->device_info.driver, error);
    return VKLM_OK;
}

vklm_status vklm_engine_self_test(vklm_engine *e, const vklm_engine_params *params)
{
    const bool always = params->self_test == VKLM_SELF_TEST_ALWAYS;
    const char *folder = params->pipeline_folder;
    if (params->self_test == VKLM_SELF_TEST_NEVER || (!always && !folder))
        return VKLM_OK;
    vklm_self_test_case cases[VKLM_FORMAT_COUNT];
    size_t n;
    vklm_self_test_cases(e->weights, e->memory.kv, cases, &n);
    char *path = folder ? record_path(e, folder, cases, n) : NULL;
    const vklm_gpu_caps *c = vklm_gpu_device_caps(e->device);
    const unsigned passed = always ? 0 : recall(path);
    vklm_status status = VKLM_OK;
    if (passed & VKLM_TIER_BASE) {
        vklm_gpu_device_drop_tiers(e->device, c->tiers & ~passed);
    } else {
        vklm_log(VKLM_LOG_INFO, "testing the kernels on %s", c->name);
        status = test_tiers(e, cases, n);
        if (status == VKLM_OK && path)
            remember(path, folder, c->tiers);
    }
    e->device_info.tiers = c->tiers;
    free(path);
    return status;
}
