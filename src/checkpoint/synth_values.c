// Random checkpoints: the values, and the files.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/half.h"
#include "base/hash.h"
#include "base/rng.h"
#include "base/workers.h"
#include "checkpoint/synth.h"

enum { PIECE = 8 << 20 }; // elements made at a time

// Statistics like those of trained weights: nearly Gaussian around zero, rows of different size,
// and one column of 256 three times as large; norms around one.
typedef struct {
    uint64_t seed, first; // of the piece
    uint32_t n_cols;
    float spread, mean;
    uint16_t *out;
} piece;

static float row_factor(uint64_t seed, uint64_t row)
{
    return 0.6f + 0.8f * vklm_rng_uniform(seed ^ 0x526F7773, row);
}

static float column_factor(uint64_t seed, uint64_t column)
{
    return (uint32_t)((column + seed) * 0x9E3779B97F4A7C15u >> 32) >> 24 == 0 ? 3.0f : 1.0f;
}

// Elements [first, end) of the piece; first is a multiple of 4.
static void make_values(void *opaque, uint64_t first, uint64_t end)
{
    const piece *p = opaque;
    uint64_t row = UINT64_MAX;
    float factor = 1;
    for (uint64_t i = first; i < end; i += 4) {
        uint32_t words[4];
        uint64_t at = p->first + i;
        vklm_rng_philox(p->seed, at / 4, words);
        for (uint64_t j = 0; j < 4 && i + j < end; j++, at++) {
            if (at / p->n_cols != row) {
                row = at / p->n_cols;
                factor = p->mean == 0 ? row_factor(p->seed, row) * p->spread : p->spread;
            }
            // The sum of four uniform bytes has a standard deviation of 147.8.
            uint32_t w = words[j],
                     sum = (w & 0xFF) + (w >> 8 & 0xFF) + (w >> 16 & 0xFF) + (w >> 24);
            float value = ((float)sum - 510) * (1 / 147.8f) * factor;
            if (p->mean == 0)
                value *= column_factor(p->seed, at - row * p->n_cols);
            p->out[i + j] = vklm_half_to_bf16(value + p->mean);
        }
    }
}

static piece piece_of(const vklm_synth_plan *plan, const vklm_tensor_info *t, uint64_t seed)
{
    const bool vector = t->n_dims == 1;
    const bool residual =
        strstr(t->name, "o_proj") || strstr(t->name, "down_proj") || strstr(t->name, ".w2.");
    return (piece){
        .seed = vklm_hash64(t->name, strlen(t->name), seed),
        .n_cols = (uint32_t)t->shape[vector ? 0 : 1],
        .spread = vector     ? 0.1f
                  : residual ? 0.02f / sqrtf(2 * (float)plan->n_layers)
                             : 0.02f,
        .mean = vector ? 1 : 0,
    };
}

typedef struct {
    const vklm_synth_plan *plan;
    uint64_t seed;
    vklm_workers *workers;
    uint16_t *buffer; // [PIECE]
    bool (*progress)(void *opaque, uint64_t done, uint64_t total);
    void *opaque;
    uint64_t done;
} writing;

static vklm_status write_tensor(writing *w, const vklm_tensor_info *t, vklm_file_writer *writer)
{
    piece p = piece_of(w->plan, t, w->seed);
    const uint64_t n = t->bytes / 2;
    p.out = w->buffer;
    for (p.first = 0; p.first < n; p.first += PIECE) {
        uint64_t here = n - p.first < PIECE ? n - p.first : PIECE;
        vklm_workers_run(w->workers, here, 1 << 16, make_values, &p);
        vklm_file_writer_write(writer, w->buffer, (size_t)here * 2);
        w->done += here * 2;
        if (w->progress && !w->progress(w->opaque, w->done, w->plan->bytes))
            return vklm_fail(VKLM_CANCELLED, "writing the checkpoint was cancelled");
    }
    return VKLM_OK;
}

static vklm_status write_shard(writing *w, const vklm_synth_shard *shard, const char *folder)
{
    vklm_string path = {0}, header = {0};
    vklm_file_writer *writer = NULL;
    vklm_file_join(&path, folder, shard->name);
    vklm_safetensors_print_header(shard->tensors, shard->n_tensors, &header);
    vklm_status status = path.failed || header.failed ? vklm_fail_memory("the checkpoint")
                                                      : vklm_file_writer_open(path.data, &writer);
    if (status == VKLM_OK)
        status = vklm_file_writer_reserve(writer, header.len + shard->bytes);
    if (status == VKLM_OK)
        vklm_file_writer_write(writer, header.data, header.len);
    for (size_t i = 0; i < shard->n_tensors && status == VKLM_OK; i++)
        status = write_tensor(w, &shard->tensors[i], writer);
    if (status == VKLM_OK)
        status = vklm_file_writer_commit(writer);
    vklm_file_writer_close(writer);
    vklm_string_finish(&path);
    vklm_string_finish(&header);
    return status;
}

static vklm_status write_text(const char *folder, const char *name, const vklm_string *text)
{
    vklm_string path = {0};
    vklm_file_writer *writer = NULL;
    vklm_file_join(&path, folder, name);
    vklm_status status = path.failed || text->failed ? vklm_fail_memory(name)
                                                     : vklm_file_writer_open(path.data, &writer);
    if (status == VKLM_OK) {
        vklm_file_writer_write(writer, text->data, text->len);
        status = vklm_file_writer_commit(writer);
    }
    vklm_file_writer_close(writer);
    vklm_string_finish(&path);
    return status;
}

static vklm_status write_config(const vklm_synth_plan *plan, const char *folder)
{
    const vklm_synth_preset *p = plan->preset;
    vklm_string s = {0};
    vklm_string_print(&s, "{\n  \"architectures\": [\"%s\"],\n  \"model_type\": \"%s\",\n",
                      p->n_experts ? "MixtralForCausalLM" : "LlamaForCausalLM",
                      p->n_experts ? "mixtral" : "llama");
    if (p->n_experts)
        vklm_string_print(&s,
                          "  \"num_local_experts\": %u,\n  \"num_experts_per_tok\": 2,\n"
                          "  \"sliding_window\": null,\n",
                          p->n_experts);
    else
        vklm_string_print(&s, "  \"attention_bias\": false,\n  \"mlp_bias\": false,\n");
    vklm_string_print(
        &s,
        "  \"vocab_size\": %u,\n  \"hidden_size\": %u,\n  \"intermediate_size\": %u,\n"
        "  \"num_hidden_layers\": %u,\n  \"num_attention_heads\": %u,\n"
        "  \"num_key_value_heads\": %u,\n  \"head_dim\": %u,\n"
        "  \"max_position_embeddings\": %u,\n  \"rms_norm_eps\": %g,\n",
        p->n_vocab, p->n_hidden, p->n_intermediate, plan->n_layers, p->n_heads, p->n_heads,
        p->head_dim, p->n_positions, p->rms_eps);
    vklm_string_print(&s, "  \"rope_theta\": 10000.0,\n  \"rope_scaling\": null,\n"
                          "  \"hidden_act\": \"silu\",\n  \"tie_word_embeddings\": false,\n"
                          "  \"bos_token_id\": 1,\n  \"eos_token_id\": 2,\n"
                          "  \"torch_dtype\": \"bfloat16\"\n}\n");
    vklm_status status = write_text(folder, "config.json", &s);
    vklm_string_finish(&s);
    return status;
}

static vklm_status write_index(const vklm_synth_plan *plan, const char *folder)
{
    vklm_string s = {0};
    vklm_string_print(&s,
                      "{\n  \"metadata\": {\n    \"total_size\": %llu\n  },\n  \"weight_map\": {",
                      (unsigned long long)plan->bytes);
    for (size_t i = 0; i < plan->n_shards; i++)
        for (size_t t = 0; t < plan->shards[i].n_tensors; t++)
            vklm_string_print(&s, "%s\n    \"%s\": \"%s\"", i || t ? "," : "",
                              plan->shards[i].tensors[t].name, plan->shards[i].name);
    vklm_string_print(&s, "\n  }\n}\n");
    vklm_status status = write_text(folder, "model.safetensors.index.json", &s);
    vklm_string_finish(&s);
    return status;
}

vklm_status vklm_synth_write(const vklm_synth_plan *plan, uint64_t seed, const char *folder,
                             bool (*progress)(void *opaque, uint64_t done, uint64_t total),
                             void *opaque)
{
    writing w = {.plan = plan, .seed = seed, .progress = progress, .opaque = opaque};
    w.buffer = vklm_alloc(PIECE, sizeof *w.buffer);
    vklm_status status = w.buffer ? VKLM_OK : vklm_fail_memory("the checkpoint");
    if (status == VKLM_OK)
        status = vklm_workers_create(0, &w.workers);
    if (status == VKLM_OK)
        status = write_config(plan, folder);
    for (size_t i = 0; i < plan->n_shards && status == VKLM_OK; i++)
        status = write_shard(&w, &plan->shards[i], folder);
    if (status == VKLM_OK && plan->n_shards > 1)
        status = write_index(plan, folder);
    vklm_workers_destroy(w.workers);
    free(w.buffer);
    return status;
}
