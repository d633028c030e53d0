// Packed folders and memory plans: what is in them, and what is wrong with bad ones. No device is
// touched.
#include <criterion/criterion.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <vklm/vklm.h>

#include "base/file.h"
#include "base/hash.h"
#include "model/memory_plan.h"
#include "model/packed.h"

#define DEMO       VKLM_TEST_DATA "/demo-dense"
#define must(call) cr_assert((call) == VKLM_OK, "%s", vklm_error_message())

// A folder of its own, with a packed demo model in `model`.
typedef struct {
    char folder[64], model[80];
} place;

static void make_place(place *p)
{
    snprintf(p->folder, sizeof p->folder, "/tmp/vklm-packed-XXXXXX");
    cr_assert(mkdtemp(p->folder));
    snprintf(p->model, sizeof p->model, "%s/model", p->folder);
}

static void remove_place(const place *p)
{
    vklm_file_remove_folder(p->model);
    vklm_file_remove_folder(p->folder);
    cr_expect_not(vklm_file_exists(p->folder), "%s: something is left in it", p->folder);
}

static void pack_demo(const place *p, vklm_weights_kind kind)
{
    must(vklm_model_pack(
        &(vklm_pack_params){.model_dir = DEMO, .out_dir = p->model, .weights = kind}));
}

// Replaces the first `from` in a file by `to`, which is as long; or flips a bit at `at` when from
// is NULL.
static void damage(const place *p, const char *name, const char *from, const char *to, size_t at)
{
    vklm_string path = {0}, text = {0};
    vklm_file_join(&path, p->model, name);
    must(vklm_file_read(path.data, 1 << 28, &text));
    if (from) {
        size_t n = strlen(from);
        for (at = 0; at + n <= text.len && memcmp(text.data + at, from, n) != 0;)
            at++;
        cr_assert(at + n <= text.len, "%s not found", from);
        memcpy(text.data + at, to, n);
    } else {
        text.data[at ? at : text.len / 2] ^= 4;
    }
    vklm_file_writer *writer;
    must(vklm_file_writer_open(path.data, &writer));
    vklm_file_writer_write(writer, text.data, text.len);
    must(vklm_file_writer_commit(writer));
    vklm_file_writer_close(writer);
    vklm_string_finish(&path);
    vklm_string_finish(&text);
}

Test(hash, known_values)
{
    // From the reference implementation of XXH64.
    cr_expect_eq(vklm_hash64("", 0, 0), 0xEF46DB3751D8E999u);
    cr_expect_eq(vklm_hash64("a", 1, 0), 0xD24EC4F1A98C6E5Bu);
    cr_expect_eq(vklm_hash64("abc", 3, 0), 0x44BC2CF5AD770999u);
    cr_expect_eq(vklm_hash64("Nobody inspects the spammish repetition", 39, 0),
                 0xFBCEA83C8A378BF1u);
}

Test(packed, keeps_what_the_model_needs)
{
    static const char *const files[] = {"config.json", "tokenizer.json", "generation_config.json",
                                        VKLM_PACKED_FILE};
    place p;
    make_place(&p);
    pack_demo(&p, VKLM_WEIGHTS_Q4);
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        vklm_string path = {0};
        vklm_file_join(&path, p.model, files[i]);
        cr_expect(vklm_file_exists(path.data), "%s", path.data);
        vklm_string_finish(&path);
    }
    vklm_model_info info;
    must(vklm_model_info_load(p.model, &info));
    cr_expect_str_eq(info.dtype, "q4");
    must(vklm_model_verify(p.model, NULL, NULL));
    vklm_packed *packed;
    must(vklm_packed_open(p.model, &packed));
    vklm_packed_matrix m;
    must(vklm_packed_find(packed, "layers.1.qkv", 768, 256, &m));
    cr_expect_eq(m.format, VKLM_FORMAT_Q4);
    must(vklm_packed_find(packed, "lm_head", 1024, 256, &m));
    cr_expect_eq(m.format, VKLM_FORMAT_Q8);
    vklm_packed_close(packed);
    remove_place(&p);
}

Test(packed, bad_files_are_named)
{
    static const struct {
        const char *file, *from, *to, *says;
        vklm_status status;
    } cases[] = {
        {VKLM_PACKED_FILE, "\"vklm_packed\":\"1\"", "\"vklm_packed\":\"7\"", "its format is 7",
         VKLM_UNSUPPORTED},
        {VKLM_PACKED_FILE, "\"vklm_packed\"", "\"vklm_folded\"",
         "not a file that 'vklm pack' wrote", VKLM_BAD_FILE},
        {VKLM_PACKED_FILE, "\"weights\":\"q4\"", "\"weights\":\"q3\"", "'q3'", VKLM_UNSUPPORTED},
        {VKLM_PACKED_FILE, "q4 768 256", "q4 512 384", "layers.0.qkv is [512, 384]", VKLM_BAD_FILE},
        {VKLM_PACKED_FILE, "q4 768 256", "q8 768 256", "layers.0.qkv has", VKLM_BAD_FILE},
        {VKLM_PACKED_FILE, "q4 768 256", "q5 768 256", "'q5 768 256'", VKLM_BAD_FILE},
        {VKLM_PACKED_FILE, "\"layers.1.out\":{", "\"layers.9.out\":{", "layers.1.out is missing",
         VKLM_BAD_FILE},
        {VKLM_PACKED_FILE, "\"model.norm.weight\":{", "\"model.norm.wright\":{",
         "model.norm.weight is missing", VKLM_BAD_FILE},
        {VKLM_PACKED_FILE, "\"checksums\":{", "\"checkmate\":{", "no checksums", VKLM_BAD_FILE},
        {"config.json", "\"hidden_size\": 256", "\"hidden_size\": 512", "config.json asks for",
         VKLM_BAD_FILE},
    };
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        place p;
        make_place(&p);
        pack_demo(&p, VKLM_WEIGHTS_Q4);
        damage(&p, cases[c].file, cases[c].from, cases[c].to, 0);
        vklm_memory_plan plan, instead[VKLM_PLAN_MAX_INSTEAD];
        size_t n;
        vklm_status status = vklm_model_plan(
            &(vklm_engine_params){.model_dir = p.model, .max_device_bytes = 1 << 30}, &plan,
            instead, &n);
        cr_expect_eq(status, cases[c].status, "%s: %s", cases[c].says, vklm_error_message());
        cr_expect(strstr(vklm_error_message(), cases[c].says), "wanted '%s': %s", cases[c].says,
                  vklm_error_message());
        remove_place(&p);
    }
}

Test(packed, damaged_weights_are_named)
{
    place p;
    make_place(&p);
    pack_demo(&p, VKLM_WEIGHTS_Q8);
    vklm_packed *packed;
    must(vklm_packed_open(p.model, &packed));
    const vklm_tensor_info *down = vklm_safetensors_find(&packed->header, "layers.1.down");
    size_t at = (size_t)(down->offset + down->bytes - 1);
    vklm_packed_close(packed);
    damage(&p, VKLM_PACKED_FILE, NULL, NULL, at);
    cr_expect_eq(vklm_model_verify(p.model, NULL, NULL), VKLM_BAD_FILE);
    cr_expect(strstr(vklm_error_message(), "layers.1.down is damaged"), "%s", vklm_error_message());
    cr_expect_eq(vklm_model_verify(DEMO, NULL, NULL), VKLM_INVALID_ARGUMENT);
    remove_place(&p);
}

static bool stop_half_way(void *opaque, uint64_t done, uint64_t total)
{
    (void)opaque;
    return done * 2 < total;
}

// A copy of the demo model with one weight replaced.
static void copy_demo_with(const place *p, const char *tensor, size_t element, uint16_t bits)
{
    static const char *const files[] = {"config.json", "tokenizer.json"};
    must(vklm_file_make_folders(p->model));
    for (int i = 0; i < 2; i++) {
        vklm_string from = {0}, to = {0};
        vklm_file_join(&from, DEMO, files[i]);
        vklm_file_join(&to, p->model, files[i]);
        must(vklm_file_copy(from.data, to.data));
        vklm_string_finish(&from);
        vklm_string_finish(&to);
    }
    vklm_string path = {0}, bytes = {0};
    vklm_safetensors header;
    must(vklm_file_read(DEMO "/model.safetensors", 1 << 28, &bytes));
    must(vklm_safetensors_parse((unsigned char *)bytes.data, bytes.len, "demo", &header));
    const vklm_tensor_info *info = vklm_safetensors_find(&header, tensor);
    memcpy(bytes.data + info->offset + 2 * element, &bits, 2);
    vklm_safetensors_finish(&header);
    vklm_file_join(&path, p->model, "model.safetensors");
    vklm_file_writer *writer;
    must(vklm_file_writer_open(path.data, &writer));
    vklm_file_writer_write(writer, bytes.data, bytes.len);
    must(vklm_file_writer_commit(writer));
    vklm_file_writer_close(writer);
    vklm_string_finish(&path);
    vklm_string_finish(&bytes);
}

Test(packed, failures_leave_nothing)
{
    static const struct {
        const char *tensor;
        size_t element;
        uint16_t bits; // bf16
        const char *says;
    } cases[] = {
        {"model.layers.1.mlp.up_proj.weight", 70000, 0x7FC0,
         "up_proj.weight: element 70000 is not a finite"},
        {"model.layers.0.self_attn.v_proj.weight", 3, 0xFF80,
         "v_proj.weight: element 3 is not a finite"},
        {"lm_head.weight", 1000, 0x6000, "lm_head.weight: element 1000 is 3.68"},
        {"model.norm.weight", 9, 0x7F80, "model.norm.weight: element 9 is not a finite"},
    };
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        place in, out;
        make_place(&in);
        make_place(&out);
        copy_demo_with(&in, cases[c].tensor, cases[c].element, cases[c].bits);
        vklm_pack_params params = {.model_dir = in.model, .out_dir = out.model};
        cr_expect_eq(vklm_model_pack(&params), VKLM_BAD_FILE);
        cr_expect(strstr(vklm_error_message(), cases[c].says), "wanted '%s': %s", cases[c].says,
                  vklm_error_message());
        remove_place(&in);
        remove_place(&out);
    }
    place p;
    make_place(&p);
    vklm_pack_params params = {.model_dir = DEMO, .out_dir = p.model, .progress = stop_half_way};
    cr_expect_eq(vklm_model_pack(&params), VKLM_CANCELLED);
    cr_expect_not(vklm_file_exists(p.model));
    pack_demo(&p, VKLM_WEIGHTS_Q4);
    params.progress = NULL;
    cr_expect_eq(vklm_model_pack(&params), VKLM_INVALID_ARGUMENT, "it exists already");
    params = (vklm_pack_params){.model_dir = p.model, .out_dir = "/tmp/vklm-never-made"};
    cr_expect_eq(vklm_model_pack(&params), VKLM_INVALID_ARGUMENT, "packed already");
    params = (vklm_pack_params){
        .model_dir = DEMO, .out_dir = "/tmp/vklm-never-made", .importance = DEMO "/config.json"};
    cr_expect_eq(vklm_model_pack(&params), VKLM_BAD_FILE);
    cr_expect_not(vklm_file_exists("/tmp/vklm-never-made"));
    remove_place(&p);
}

Test(recipe, falls_back_where_columns_do_not_divide)
{
    static const struct {
        vklm_weights_kind kind;
        vklm_matrix_class matrix;
        uint32_t n_cols;
        vklm_format format;
    } cases[] = {
        {VKLM_WEIGHTS_Q4, VKLM_MATRIX_QKV, 2048, VKLM_FORMAT_Q4},
        {VKLM_WEIGHTS_Q4, VKLM_MATRIX_DOWN, 192, VKLM_FORMAT_Q8},
        {VKLM_WEIGHTS_Q4, VKLM_MATRIX_DOWN, 200, VKLM_FORMAT_BF16},
        {VKLM_WEIGHTS_Q4, VKLM_MATRIX_LM_HEAD, 2048, VKLM_FORMAT_Q8},
        {VKLM_WEIGHTS_MIXED, VKLM_MATRIX_DOWN, 7168, VKLM_FORMAT_Q8},
        {VKLM_WEIGHTS_MIXED, VKLM_MATRIX_GATE_UP, 2048, VKLM_FORMAT_Q4},
        {VKLM_WEIGHTS_Q8, VKLM_MATRIX_EMBED, 96, VKLM_FORMAT_Q8},
        {VKLM_WEIGHTS_F16, VKLM_MATRIX_QKV, 2048, VKLM_FORMAT_BF16},
    };
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++)
        cr_expect_eq(
            vklm_recipe_format(cases[c].kind, cases[c].matrix, cases[c].n_cols, VKLM_FORMAT_BF16),
            cases[c].format, "case %zu", c);
}

// A folder that holds only a config.json, of the 13b.
static void make_config(const place *p)
{
    static const char text[] =
        "{\"architectures\":[\"LlamaForCausalLM\"],\"vocab_size\":99584,\"hidden_size\":5120,"
        "\"intermediate_size\":13824,\"num_hidden_layers\":40,\"num_attention_heads\":40,"
        "\"max_position_embeddings\":4096,\"rms_norm_eps\":1e-5,\"torch_dtype\":\"bfloat16\"}";
    vklm_string path = {0};
    vklm_file_writer *writer;
    must(vklm_file_make_folders(p->model));
    vklm_file_join(&path, p->model, "config.json");
    must(vklm_file_writer_open(path.data, &writer));
    vklm_file_writer_write(writer, text, sizeof text - 1);
    must(vklm_file_writer_commit(writer));
    vklm_file_writer_close(writer);
    vklm_string_finish(&path);
}

Test(plan, the_best_that_fits)
{
    static const struct {
        double gib;
        vklm_weights_kind wish, weights;
        vklm_kv_kind kv_wish, kv;
        bool fits;
    } cases[] = {
        {40, VKLM_WEIGHTS_AUTO, VKLM_WEIGHTS_F16, VKLM_KV_AUTO, VKLM_KV_F16, true},
        {28.5, VKLM_WEIGHTS_AUTO, VKLM_WEIGHTS_F16, VKLM_KV_AUTO, VKLM_KV_Q8, true},
        {24, VKLM_WEIGHTS_AUTO, VKLM_WEIGHTS_Q8, VKLM_KV_AUTO, VKLM_KV_F16, true},
        {16, VKLM_WEIGHTS_AUTO, VKLM_WEIGHTS_Q8, VKLM_KV_AUTO, VKLM_KV_Q8, true},
        {13, VKLM_WEIGHTS_AUTO, VKLM_WEIGHTS_MIXED, VKLM_KV_AUTO, VKLM_KV_F16, true},
        {12, VKLM_WEIGHTS_AUTO, VKLM_WEIGHTS_MIXED, VKLM_KV_AUTO, VKLM_KV_Q8, true},
        {11.3, VKLM_WEIGHTS_AUTO, VKLM_WEIGHTS_Q4, VKLM_KV_AUTO, VKLM_KV_F16, true},
        {10, VKLM_WEIGHTS_AUTO, VKLM_WEIGHTS_Q4, VKLM_KV_AUTO, VKLM_KV_Q8, true},
        {10, VKLM_WEIGHTS_AUTO, VKLM_WEIGHTS_Q4, VKLM_KV_F16, VKLM_KV_F16, false},
        {8, VKLM_WEIGHTS_AUTO, VKLM_WEIGHTS_Q4, VKLM_KV_AUTO, VKLM_KV_Q8, false},
        {12, VKLM_WEIGHTS_Q8, VKLM_WEIGHTS_Q8, VKLM_KV_AUTO, VKLM_KV_Q8, false},
    };
    place p;
    vklm_source source;
    make_place(&p);
    make_config(&p);
    must(vklm_source_open(p.model, true, &source));
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        vklm_memory_plan plan;
        must(vklm_memory_plan_make(
            &source, NULL,
            &(vklm_memory_wish){.weights = cases[c].wish,
                                .kv = cases[c].kv_wish,
                                .max_bytes = (uint64_t)(cases[c].gib * 0x1p30)},
            &plan));
        cr_expect(plan.fits == cases[c].fits && plan.weights == cases[c].weights &&
                      plan.kv == cases[c].kv,
                  "%g GiB: %s weights, %s KV, %.2f GiB", cases[c].gib,
                  vklm_weights_kind_name(plan.weights), vklm_kv_kind_name(plan.kv),
                  (double)plan.total_bytes * 0x1p-30);
        cr_expect_eq(plan.total_bytes,
                     plan.weight_bytes + plan.kv_bytes + plan.buffer_bytes + plan.staging_bytes);
        cr_expect_eq(plan.weight_bytes, plan.embed_bytes + plan.attention_bytes + plan.mlp_bytes +
                                            plan.head_bytes + plan.small_bytes);
    }
    vklm_source_close(&source);
    remove_place(&p);
}

Test(plan, counts_the_13b)
{
    place p;
    vklm_source source;
    vklm_memory_plan plan, instead[VKLM_PLAN_MAX_INSTEAD];
    size_t n;
    make_place(&p);
    make_config(&p);
    must(vklm_source_open(p.model, true, &source));
    vklm_memory_wish wish = {
        .weights = VKLM_WEIGHTS_F16, .kv = VKLM_KV_F16, .max_bytes = 9663676416};
    must(vklm_memory_plan_make(&source, NULL, &wish, &plan));
    // 13,707,924,480 parameters (norms in f32), the angles, and alignment to 256 bytes
    cr_expect_eq(plan.weight_bytes - plan.small_bytes, 2 * (13707924480 - 81 * 5120));
    cr_expect_eq(plan.small_bytes, 81 * 5120 * 4 + 4096 * 128 * 4);
    cr_expect_eq(plan.kv_bytes, 3355443200);
    must(vklm_memory_plan_instead(&source, NULL, &wish, instead, &n));
    cr_assert(n > 0);
    for (size_t i = 0; i < n; i++)
        cr_expect(instead[i].fits && instead[i].total_bytes <= wish.max_bytes);
    cr_expect(instead[0].weights == VKLM_WEIGHTS_Q4 && instead[0].n_ctx < 4096 &&
                  instead[0].n_ctx > 1024,
              "%u", instead[0].n_ctx);
    wish.n_ctx = instead[0].n_ctx + 64; // and no longer one would
    wish.weights = instead[0].weights;
    wish.kv = VKLM_KV_AUTO;
    must(vklm_memory_plan_make(&source, NULL, &wish, &plan));
    cr_expect_not(plan.fits);
    wish.n_ctx = 4097;
    cr_expect_eq(vklm_memory_plan_make(&source, NULL, &wish, &plan), VKLM_INVALID_ARGUMENT);
    vklm_source_close(&source);
    remove_place(&p);
}
