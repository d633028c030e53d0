// Random checkpoints: names, shapes and files of the real models; the same bytes for the same seed.
#include <criterion/criterion.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/synth.h"

// Files and tensors as Hugging Face lists them for LLM-jp-3; bytes by arithmetic.
Test(synth, plans_are_those_of_the_real_models)
{
    static const struct {
        const char *preset;
        uint32_t layers;
        size_t tensors, shards;
        uint64_t bytes;
        double shard_gb[6]; // as the listing rounds them
    } cases[] = {
        {"1.8b", 0, 219, 1, 3735228416, {3.74}},
        {"llm-jp-3.1-13b", 0, 363, 6, 27415848960, {4.98, 4.97, 4.88, 4.93, 4.93, 2.71}},
        {"8x13b", 0, 1243, 30, 146327644160, {0}},
        {"8x13b", 1, 34, 2, 0, {0}},
        {"tiny", 5, 48, 1, 0, {0}},
    };
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        vklm_synth_plan plan;
        size_t tensors = 0;
        cr_assert_eq(
            vklm_synth_plan_init(vklm_synth_preset_find(cases[c].preset), cases[c].layers, &plan),
            VKLM_OK);
        for (size_t i = 0; i < plan.n_shards; i++) {
            tensors += plan.shards[i].n_tensors;
            if (cases[c].shard_gb[0] > 0)
                cr_expect_float_eq((double)plan.shards[i].bytes * 1e-9, cases[c].shard_gb[i], 0.006,
                                   "%s: file %zu has %llu bytes", cases[c].preset, i,
                                   (unsigned long long)plan.shards[i].bytes);
        }
        cr_expect_eq(tensors, cases[c].tensors, "%s: %zu tensors", cases[c].preset, tensors);
        cr_expect_eq(plan.n_shards, cases[c].shards, "%s: %zu files", cases[c].preset,
                     plan.n_shards);
        if (cases[c].bytes)
            cr_expect_eq(plan.bytes, cases[c].bytes, "%s: %llu bytes", cases[c].preset,
                         (unsigned long long)plan.bytes);
        vklm_synth_plan_finish(&plan);
    }
    cr_expect_null(vklm_synth_preset_find("llm-jp-4"));
}

static void write_tiny(uint64_t seed, vklm_string *out)
{
    char folder[] = "/tmp/vklm-synth-XXXXXX";
    vklm_synth_plan plan;
    vklm_string path = {0};
    cr_assert(mkdtemp(folder));
    cr_assert_eq(vklm_synth_plan_init(vklm_synth_preset_find("tiny"), 3, &plan), VKLM_OK);
    cr_assert_eq(vklm_synth_write(&plan, seed, folder, NULL, NULL), VKLM_OK, "%s",
                 vklm_error_message());
    vklm_checkpoint *checkpoint; // and it is a good one
    cr_assert_eq(vklm_checkpoint_open(folder, &checkpoint), VKLM_OK, "%s", vklm_error_message());
    cr_expect_eq(vklm_checkpoint_arch(checkpoint)->n_layers, 3);
    vklm_checkpoint_close(checkpoint);
    vklm_file_join(&path, folder, "model.safetensors");
    cr_assert_eq(vklm_file_read(path.data, 1 << 28, out), VKLM_OK);
    vklm_string_finish(&path);
    vklm_synth_plan_finish(&plan);
    vklm_file_remove_folder(folder);
}

Test(synth, seeds_repeat)
{
    vklm_string a = {0}, b = {0}, c = {0};
    write_tiny(1, &a);
    write_tiny(1, &b);
    write_tiny(2, &c);
    cr_expect(a.len == b.len && memcmp(a.data, b.data, a.len) == 0);
    cr_expect(a.len == c.len && memcmp(a.data, c.data, a.len) != 0);
    vklm_string_finish(&a);
    vklm_string_finish(&b);
    vklm_string_finish(&c);
}
