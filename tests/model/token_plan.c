// What one token costs, as the recorder has it: dispatches, barriers and bytes, for the real
// models' shapes, in every format and tier. Nothing is loaded and nothing runs.
#include <criterion/criterion.h>

#include <stdio.h>
#include <stdlib.h>

#include "model/need_device.h"

#define must(call) cr_assert((call) == VKLM_OK, "%s", vklm_error_message())

enum { VOCAB = 99584 };

typedef struct {
    const char *name;
    unsigned n_hidden, n_intermediate, n_layers, n_heads, n_experts;
} shape;

static const shape shapes[] = {
    {"1.8b", 2048, 7168, 24, 16, 0},
    {"13b", 5120, 13824, 40, 40, 0},
    {"8x13b", 5120, 13824, 40, 40, 8},
};

// A folder with nothing but the model's config.json.
static void make_folder(const shape *s, char path[64])
{
    char file[96];
    snprintf(path, 64, "/tmp/vklm-token-plan-XXXXXX");
    cr_assert(mkdtemp(path));
    snprintf(file, sizeof file, "%s/config.json", path);
    FILE *f = fopen(file, "w");
    cr_assert(f);
    fprintf(f,
            "{\"architectures\":[\"%s\"],\"vocab_size\":%d,\"hidden_size\":%u,"
            "\"intermediate_size\":%u,\"num_hidden_layers\":%u,\"num_attention_heads\":%u,"
            "\"num_key_value_heads\":%u,",
            s->n_experts ? "MixtralForCausalLM" : "LlamaForCausalLM", VOCAB, s->n_hidden,
            s->n_intermediate, s->n_layers, s->n_heads, s->n_heads);
    if (s->n_experts)
        fprintf(f, "\"num_local_experts\":%u,\"num_experts_per_tok\":2,\"sliding_window\":null,",
                s->n_experts);
    fprintf(f, "\"max_position_embeddings\":4096,\"rms_norm_eps\":1e-5,"
               "\"torch_dtype\":\"bfloat16\"}");
    cr_assert_eq(fclose(f), 0);
}

static void remove_folder(const char *path)
{
    char file[96];
    snprintf(file, sizeof file, "%s/config.json", path);
    remove(file);
    remove(path);
}

// Five of each a layer, and four more.
static void check_counts(const shape *s, const vklm_token_plan *p)
{
    cr_expect_eq(p->dispatches_per_layer, 5);
    cr_expect(p->barriers_per_layer <= 5, "%u", p->barriers_per_layer);
    cr_expect(p->dispatches <= 5 * s->n_layers + 4, "%u", p->dispatches);
    cr_expect(p->barriers <= 5 * s->n_layers + 4, "%u", p->barriers);
    cr_assert(p->n_commands >= p->dispatches);
    uint64_t read = 0, written = 0;
    unsigned n_in_layers = 0;
    for (size_t i = 0; i < p->n_commands; i++) {
        read += p->commands[i].bytes_read;
        written += p->commands[i].bytes_written;
        n_in_layers += p->commands[i].layer >= 0;
        cr_expect(p->commands[i].bytes_read > 0 && p->commands[i].bytes_written > 0, "%s",
                  p->commands[i].label);
    }
    cr_expect_eq(n_in_layers, 5 * s->n_layers);
    cr_expect(read == p->bytes_read && written == p->bytes_written);
    // Beside weights and KV there are the activations, of which a workgroup each reads the whole:
    // counted once.
    cr_expect(read > p->weight_bytes + p->kv_bytes &&
                  read < (p->weight_bytes + p->kv_bytes) / 100 * 101 + (16 << 20),
              "%.0f bytes for %.0f of weights and %.0f of the cache", (double)read,
              (double)p->weight_bytes, (double)p->kv_bytes);
    cr_expect(written < read / 200, "%.0f", (double)written);
}

static void check_shape(const shape *s, const char *folder)
{
    for (int weights = VKLM_WEIGHTS_F16; weights < VKLM_WEIGHTS_KINDS; weights++)
        for (int kv = VKLM_KV_F16; kv < VKLM_KV_KINDS; kv++)
            for (unsigned tiers = VKLM_TIER_BASE; tiers <= (VKLM_TIER_BASE | VKLM_TIER_DOT8);
                 tiers += VKLM_TIER_DOT8) {
                vklm_token_plan plan;
                must(vklm_model_token_plan(
                    &(vklm_engine_params){.model_dir = folder,
                                          .n_ctx = 1024,
                                          .weights = (vklm_weights_kind)weights,
                                          .kv = (vklm_kv_kind)kv,
                                          .tiers = tiers},
                    &plan));
                cr_expect(plan.n_ctx == 1024 && (int)plan.weights == weights && (int)plan.kv == kv);
                check_counts(s, &plan);
                vklm_token_plan_finish(&plan);
            }
}

Test(token_plan, keeps_its_budget)
{
    need_device();
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        char folder[64];
        make_folder(&shapes[i], folder);
        check_shape(&shapes[i], folder);
        remove_folder(folder);
    }
}

// Counted by hand: bf16 matrices, f32 norms, one row of the embedding; 2 of the 8 experts.
Test(token_plan, bytes_are_those_of_the_models)
{
    need_device();
    const uint64_t kv_row = 2 * 40 * 40 * 128 * 2; // bytes a position
    const uint64_t attention = 4 * 5120 * 5120, mlp = 3 * 5120 * 13824;
    const uint64_t around = VOCAB * 5120 * 2 + 5120 * 2 + 81 * 5120 * 4;
    const uint64_t weights[] = {40 * (attention + mlp) * 2 + around,
                                40 * (attention + 2 * mlp) * 2 + around + 40 * 8 * 5120 * 4};
    for (size_t i = 0; i < 2; i++) {
        char folder[64];
        vklm_token_plan plan;
        make_folder(&shapes[1 + i], folder);
        must(vklm_model_token_plan(
            &(vklm_engine_params){
                .model_dir = folder, .n_ctx = 100, .weights = VKLM_WEIGHTS_F16, .kv = VKLM_KV_F16},
            &plan));
        cr_expect_eq(plan.weight_bytes, weights[i], "%.0f, not %.0f", (double)plan.weight_bytes,
                     (double)weights[i]);
        cr_expect_eq(plan.kv_bytes, 100 * kv_row);
        vklm_token_plan_finish(&plan);
        remove_folder(folder);
    }
}

Test(token_plan, says_what_is_wrong)
{
    need_device();
    vklm_token_plan plan;
    cr_expect_eq(vklm_model_token_plan(&(vklm_engine_params){.model_dir = "/nowhere"}, &plan),
                 VKLM_NOT_FOUND);
    cr_expect_null(plan.commands);
    char folder[64];
    make_folder(&shapes[0], folder);
    cr_expect_eq(
        vklm_model_token_plan(&(vklm_engine_params){.model_dir = folder, .n_ctx = 4097}, &plan),
        VKLM_INVALID_ARGUMENT);
    cr_expect_eq(vklm_model_token_plan(
                     &(vklm_engine_params){.model_dir = folder, .device = "no such device"}, &plan),
                 VKLM_NOT_FOUND);
    remove_folder(folder);
}
