// Tests of src/checkpoint: the safetensors container, config.json, and whole folders, most of them
// damaged in one way each. Every failure must name the file and what was wanted and found.
#include <criterion/criterion.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "checkpoint/checkpoint.h"

static char *make_file(const char *json, uint64_t claimed, size_t data_bytes, size_t *out_size)
{
    size_t n = strlen(json);
    char *file = calloc(1, 8 + n + data_bytes);
    for (int i = 0; i < 8; i++)
        file[i] = (char)((claimed ? claimed : n) >> 8 * i & 0xFF);
    memcpy(file + 8, json, n);
    *out_size = 8 + n + data_bytes;
    return file;
}

Test(safetensors, reads_a_good_header)
{
    size_t size;
    char *file =
        make_file("{\"__metadata__\":{\"format\":\"pt\"},"
                  "\"b\":{\"dtype\":\"BF16\",\"shape\":[2,3],\"data_offsets\":[8,20]},"
                  "\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},"
                  "\"empty\":{\"dtype\":\"F16\",\"shape\":[0,5],\"data_offsets\":[8,8]}}   ",
                  0, 20, &size);
    vklm_safetensors header;
    cr_assert_eq(vklm_safetensors_parse((unsigned char *)file, size, "f", &header), VKLM_OK, "%s",
                 vklm_error_message());
    cr_expect_eq(header.n_tensors, 3);
    const vklm_tensor_info *b = vklm_safetensors_find(&header, "b");
    cr_assert(b);
    cr_expect_eq(b->dtype, VKLM_DTYPE_BF16);
    cr_expect(b->n_dims == 2 && b->shape[0] == 2 && b->shape[1] == 3);
    cr_expect_eq(b->offset, size - 12);
    cr_expect_eq(b->bytes, 12);
    cr_expect_null(vklm_safetensors_find(&header, "c"));
    vklm_safetensors_finish(&header);
    free(file);
}

Test(safetensors, refuses_bad_headers)
{
    static const struct {
        const char *json;
        uint64_t claimed; // header length; 0: the true one
        size_t data_bytes;
        const char *says;
    } cases[] = {
        {"{}", 1000, 0, "claims 1000 bytes"},
        {"{}", UINT64_MAX, 0, "claims"},
        {"{", 0, 0, "JSON"},
        {"[1]", 0, 0, "not a JSON object"},
        {"\xFF\xFE", 0, 0, "UTF-8"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", 0, 7, "truncated"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,4]}}", 0, 8, "wants 8 bytes"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[8,0]}}", 0, 8,
         "pair of offsets"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0]}}", 0, 8, "pair of offsets"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[-2],\"data_offsets\":[0,8]}}", 0, 8, "sizes"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1.5],\"data_offsets\":[0,8]}}", 0, 8, "sizes"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[4294967296,4294967296,16],\"data_offsets\":[0,8]}}",
         0, 8, "sizes"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1,1,1,1,2],\"data_offsets\":[0,8]}}", 0, 8,
         "dimensions"},
        {"{\"a\":{\"dtype\":\"F64\",\"shape\":[1],\"data_offsets\":[0,8]}}", 0, 8, "dtype F64"},
        {"{\"a\":{\"shape\":[2],\"data_offsets\":[0,8]}}", 0, 8, "no dtype"},
        {"{\"a\":7}", 0, 8, "no dtype"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},"
         "\"b\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[4,12]}}",
         0, 12, "overlap"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},"
         "\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}}",
         0, 8, "twice"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        size_t size;
        char *file = make_file(cases[i].json, cases[i].claimed, cases[i].data_bytes, &size);
        vklm_safetensors header;
        cr_expect_neq(vklm_safetensors_parse((unsigned char *)file, size, "name.st", &header),
                      VKLM_OK, "case %zu", i);
        cr_expect(strstr(vklm_error_message(), cases[i].says) &&
                      strstr(vklm_error_message(), "name.st"),
                  "case %zu says: %s", i, vklm_error_message());
        free(file);
    }
    vklm_safetensors header;
    cr_expect_eq(vklm_safetensors_parse((const unsigned char *)"abc", 3, "f", &header),
                 VKLM_BAD_FILE);
    cr_expect_eq(vklm_safetensors_parse(NULL, 0, "f", &header), VKLM_BAD_FILE);
}

// Every prefix of a good file is refused and nothing is read beyond it (ASan watches).
Test(safetensors, refuses_every_truncation)
{
    size_t size;
    char *file =
        make_file("{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", 0, 8, &size);
    for (size_t n = 0; n < size; n++) {
        unsigned char *prefix = malloc(n ? n : 1);
        memcpy(prefix, file, n);
        vklm_safetensors header;
        cr_expect_eq(vklm_safetensors_parse(prefix, n, "f", &header), VKLM_BAD_FILE, "%zu bytes",
                     n);
        free(prefix);
    }
    free(file);
}

Test(safetensors, writes_what_it_reads)
{
    char name[] = "logits \"x\"";
    vklm_tensor_info info = {
        .name = name, .dtype = VKLM_DTYPE_F32, .n_dims = 2, .shape = {3, 5}, .bytes = 60};
    vklm_string s = {0};
    vklm_safetensors_print_header(&info, 1, &s);
    cr_expect_eq(s.len % 64, 0);
    char data[60] = {0};
    vklm_string_append(&s, data, sizeof data);
    vklm_safetensors header;
    cr_assert_eq(vklm_safetensors_parse((unsigned char *)s.data, s.len, "f", &header), VKLM_OK,
                 "%s", vklm_error_message());
    const vklm_tensor_info *found = vklm_safetensors_find(&header, name);
    cr_assert(found);
    cr_expect_eq(found->offset, s.len - 60);
    vklm_safetensors_finish(&header);
    vklm_string_finish(&s);
}

#define LLAMA                                                                                      \
    "\"architectures\":[\"LlamaForCausalLM\"],\"hidden_size\":2048,\"intermediate_size\":7168,"    \
    "\"num_hidden_layers\":24,\"num_attention_heads\":16,\"vocab_size\":99584,"                    \
    "\"max_position_embeddings\":4096,\"rms_norm_eps\":1e-5"

// The real configs (llm-jp-3.1: 1.8b and 13b) and their parameter counts.
Test(arch, counts_the_parameters_of_llm_jp)
{
    vklm_arch a;
    const char *small =
        "{" LLAMA ",\"rope_theta\":10000,\"rope_scaling\":null,\"hidden_act\":\"silu\","
        "\"tie_word_embeddings\":false,\"eos_token_id\":2,\"bos_token_id\":1}";
    cr_assert_eq(vklm_arch_parse(small, strlen(small), "c", &a), VKLM_OK, "%s",
                 vklm_error_message());
    cr_expect_eq(vklm_arch_parameters(&a), 1867614208u);
    cr_expect(a.head_dim == 128 && a.n_kv_heads == 16 && a.n_eos == 1 && a.eos_ids[0] == 2);
    cr_expect(a.has_bos && a.bos_id == 1 && !a.tied);
    const char *big =
        "{\"architectures\":[\"LlamaForCausalLM\"],\"hidden_size\":5120,"
        "\"intermediate_size\":13824,\"num_hidden_layers\":40,\"num_attention_heads\":40,"
        "\"num_key_value_heads\":40,\"vocab_size\":99584,\"head_dim\":128,"
        "\"rms_norm_eps\":1e-5,\"max_position_embeddings\":4096,\"eos_token_id\":[2,7],"
        "\"rope_parameters\":{\"rope_theta\":10000.0,\"rope_type\":\"default\"}}";
    cr_assert_eq(vklm_arch_parse(big, strlen(big), "c", &a), VKLM_OK, "%s", vklm_error_message());
    cr_expect_eq(vklm_arch_parameters(&a), 13707924480u);
    cr_expect(a.n_eos == 2 && a.eos_ids[1] == 7 && a.rope_theta == 10000);
    cr_expect_eq(vklm_arch_active_parameters(&a), vklm_arch_parameters(&a));
}

#define MIXTRAL                                                                                    \
    "\"architectures\":[\"MixtralForCausalLM\"],\"hidden_size\":5120,\"intermediate_size\":13824," \
    "\"num_hidden_layers\":40,\"num_attention_heads\":40,\"num_key_value_heads\":40,"              \
    "\"vocab_size\":99584,\"rms_norm_eps\":1e-5,\"max_position_embeddings\":4096"

// llm-jp-3.1-8x13b's config, in the spellings of transformers 4 and 5.
Test(arch, counts_the_parameters_of_llm_jp_8x13b)
{
    static const char *const configs[] = {
        "{" MIXTRAL ",\"num_local_experts\":8,\"num_experts_per_tok\":2,\"rope_theta\":10000,"
        "\"sliding_window\":null,\"router_aux_loss_coef\":0.02,\"eos_token_id\":2}",
        "{" MIXTRAL ",\"num_local_experts\":8,\"num_experts_per_tok\":2,\"head_dim\":128,"
        "\"rope_parameters\":{\"rope_theta\":10000.0,\"rope_type\":\"default\"}}",
    };
    for (int i = 0; i < 2; i++) {
        vklm_arch a;
        cr_assert_eq(vklm_arch_parse(configs[i], strlen(configs[i]), "c", &a), VKLM_OK, "%s",
                     vklm_error_message());
        cr_expect_eq(vklm_arch_parameters(&a), 73163822080u);
        cr_expect_eq(vklm_arch_active_parameters(&a), 22203028480u);
        cr_expect(a.n_experts == 8 && a.top_k == 2 && a.head_dim == 128 && a.n_kv_heads == 40);
        cr_expect(a.rope_theta == 10000 && a.n_positions == 4096);
        cr_expect_str_eq(a.architecture, "MixtralForCausalLM");
    }
    // what the file leaves out is what transformers takes for it
    const char *bare =
        "{\"architectures\":[\"MixtralForCausalLM\"],\"hidden_size\":1024,"
        "\"intermediate_size\":64,\"num_hidden_layers\":1,\"num_attention_heads\":16,"
        "\"vocab_size\":100,\"rms_norm_eps\":1e-5,\"num_local_experts\":64,"
        "\"num_experts_per_tok\":8}";
    vklm_arch a;
    cr_assert_eq(vklm_arch_parse(bare, strlen(bare), "c", &a), VKLM_OK, "%s", vklm_error_message());
    cr_expect(a.rope_theta == 1e6 && a.n_kv_heads == 8 && a.n_positions == 131072);
}

Test(arch, refuses_what_it_cannot_run)
{
    static const struct {
        const char *json, *says;
    } cases[] = {
        {"{}", "no architecture"},
        {"[]", "not a JSON object"},
        {"{\"architectures\":[\"GPT2LMHeadModel\"]}", "GPT2LMHeadModel"},
        {"{" LLAMA ",\"rope_scaling\":{\"rope_type\":\"yarn\",\"factor\":4}}", "rotary"},
        {"{" LLAMA ",\"rope_parameters\":{\"rope_theta\":1e4,\"rope_type\":\"llama3\"}}", "rotary"},
        {"{" LLAMA ",\"attention_bias\":true}", "attention_bias"},
        {"{" LLAMA ",\"mlp_bias\":true}", "mlp_bias"},
        {"{" LLAMA ",\"hidden_act\":\"gelu\"}", "hidden_act"},
        {"{" LLAMA ",\"quantization_config\":{}}", "quantization_config"},
        {"{" LLAMA ",\"rope_theta\":-1}", "rope_theta"},
        {"{" LLAMA ",\"num_key_value_heads\":5}", "num_key_value_heads 5"},
        {"{" LLAMA ",\"num_key_value_heads\":0}", "num_key_value_heads"},
        {"{" LLAMA ",\"head_dim\":12}", "head_dim 12"},
        {"{" LLAMA ",\"head_dim\":\"x\"}", "head_dim"},
        {"{" LLAMA ",\"tie_word_embeddings\":1}", "tie_word_embeddings"},
        {"{" MIXTRAL "}", "no num_local_experts"},
        {"{" MIXTRAL ",\"num_local_experts\":8}", "no num_experts_per_tok"},
        {"{" MIXTRAL ",\"num_local_experts\":1,\"num_experts_per_tok\":1}", "from 2 to 64"},
        {"{" MIXTRAL ",\"num_local_experts\":65,\"num_experts_per_tok\":1}", "from 2 to 64"},
        {"{" MIXTRAL ",\"num_local_experts\":8,\"num_experts_per_tok\":0}", "from 1 to 8"},
        {"{" MIXTRAL ",\"num_local_experts\":64,\"num_experts_per_tok\":9}", "from 1 to 8"},
        {"{" MIXTRAL ",\"num_local_experts\":4,\"num_experts_per_tok\":5}",
         "num_experts_per_tok is 5, but num_local_experts is 4"},
        {"{" MIXTRAL ",\"num_local_experts\":8,\"num_experts_per_tok\":2,\"sliding_window\":1024}",
         "sliding_window"},
        {"{\"architectures\":[\"LlamaForCausalLM\"]}", "no vocab_size"},
        {"{\"architectures\":[\"LlamaForCausalLM\"],\"vocab_size\":1.5}", "vocab_size"},
        {"{\"architectures\":[\"LlamaForCausalLM\"],\"vocab_size\":-3}", "vocab_size"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        vklm_arch a;
        cr_expect_neq(vklm_arch_parse(cases[i].json, strlen(cases[i].json), "config.json", &a),
                      VKLM_OK, "case %zu", i);
        cr_expect(strstr(vklm_error_message(), cases[i].says), "case %zu says: %s", i,
                  vklm_error_message());
    }
}

// A folder that is a copy of another with one file replaced.
static void run_shell(const char *format, const char *a, const char *b)
{
    char command[2048];
    snprintf(command, sizeof command, format, a, b);
    cr_assert_eq(system(command), 0, "%s", command);
}

Test(checkpoint, opens_single_and_sharded_folders)
{
    static const char *const names[] = {"random-hd128", "random-gqa"};
    for (int i = 0; i < 2; i++) {
        char folder[512];
        snprintf(folder, sizeof folder, "%s/%s", VKLM_TEST_DATA, names[i]);
        vklm_checkpoint *c;
        cr_assert_eq(vklm_checkpoint_open(folder, &c), VKLM_OK, "%s", vklm_error_message());
        const vklm_arch *a = vklm_checkpoint_arch(c);
        vklm_tensor t = vklm_checkpoint_tensor(c, VKLM_TENSOR_DOWN, a->n_layers - 1);
        cr_expect_eq(t.info->shape[0], a->n_hidden);
        cr_expect_eq(vklm_checkpoint_bytes(c), vklm_arch_parameters(a) * 2);
        t = vklm_checkpoint_tensor(c, VKLM_TENSOR_LM_HEAD, 0);
        cr_expect_str_eq(t.info->name, a->tied ? "model.embed_tokens.weight" : "lm_head.weight");
        vklm_checkpoint_close(c);
    }
}

Test(checkpoint, says_what_is_wrong_with_a_folder)
{
    // {a} is the copy's folder
    static const struct {
        const char *damage, *says;
    } cases[] = {
        {"rm %s/config.json", "config.json"},
        {"rm %s/*.safetensors %s/*.index.json", "neither model.safetensors nor"},
        {"rm %s/model-00002-of-00002.safetensors", "model-00002-of-00002.safetensors"},
        {"sed -i s/0.self_attn.q_proj/9.self_attn.q_proj/ %s/*.safetensors",
         "layers.0.self_attn.q_proj.weight is missing"},
        {"sed -i 's/\"num_hidden_layers\": 3/\"num_hidden_layers\": 2/' %s/config.json",
         "model.layers.2."},
        {"sed -i 's/\"vocab_size\": 200/\"vocab_size\": 208/' %s/config.json",
         "has shape [200, 96], config.json asks for [208, 96]"},
        {"sed -i 's/\"intermediate_size\": 160/\"intermediate_size\": 168/' %s/config.json",
         "asks for [168, 96]"},
        {"truncate -s -1 %s/model-00001-of-00002.safetensors", "truncated"},
        {"truncate -s 100 %s/model-00001-of-00002.safetensors", "model-00001-of-00002.safetensors"},
        {"truncate -s 0 %s/model-00001-of-00002.safetensors", "no safetensors file"},
        {"echo '{\"weight_map\":{\"a\":\"../x\"}}' > %s/model.safetensors.index.json",
         "not in a file of this folder"},
        {"echo '{}' > %s/model.safetensors.index.json", "no weight_map"},
        {"echo '{' > %s/model.safetensors.index.json", "not valid JSON"},
        {"echo '{\"eos_token_id\":' > %s/generation_config.json", "generation_config.json"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char folder[] = "/tmp/vklm-test-XXXXXX", command[512];
        cr_assert(mkdtemp(folder));
        run_shell("cp -r %s/random-gqa/. %s", VKLM_TEST_DATA, folder);
        snprintf(command, sizeof command, cases[i].damage, folder, folder);
        cr_assert_eq(system(command), 0, "%s", command);
        vklm_checkpoint *c;
        cr_expect_neq(vklm_checkpoint_open(folder, &c), VKLM_OK, "case %zu", i);
        cr_expect_null(c);
        cr_expect(strstr(vklm_error_message(), cases[i].says), "case %zu says: %s", i,
                  vklm_error_message());
        run_shell("rm -r %s%s", folder, "");
    }
    vklm_checkpoint *c;
    cr_expect_eq(vklm_checkpoint_open("/nowhere", &c), VKLM_NOT_FOUND);
    cr_expect(strstr(vklm_error_message(), "/nowhere: no such folder"));
}

// A matrix of an expert is the same whether the file has it alone or among all experts of the
// layer.
Test(checkpoint, reads_experts_alone_and_together)
{
    static const char *const names[] = {"random-moe-top4", "random-moe-top1"};
    for (int i = 0; i < 2; i++) {
        char folder[512];
        snprintf(folder, sizeof folder, "%s/%s", VKLM_TEST_DATA, names[i]);
        vklm_checkpoint *c;
        cr_assert_eq(vklm_checkpoint_open(folder, &c), VKLM_OK, "%s", vklm_error_message());
        const vklm_arch *a = vklm_checkpoint_arch(c);
        cr_expect_eq(vklm_checkpoint_bytes(c), vklm_arch_parameters(a) * 2);
        const uint64_t bytes = 2 * (uint64_t)a->n_intermediate * a->n_hidden;
        const unsigned char *last = NULL;
        for (uint32_t e = 0; e < a->n_experts; e++) {
            vklm_tensor gate = vklm_checkpoint_expert_tensor(c, VKLM_TENSOR_GATE, 1, e),
                        up = vklm_checkpoint_expert_tensor(c, VKLM_TENSOR_UP, 1, e),
                        down = vklm_checkpoint_expert_tensor(c, VKLM_TENSOR_DOWN, 1, e);
            cr_expect(gate.info->bytes == bytes && up.info->bytes == bytes &&
                      down.info->bytes == bytes);
            cr_expect(gate.info->n_dims == 2 && gate.info->shape[0] == a->n_intermediate &&
                      down.info->shape[0] == a->n_hidden);
            cr_expect_eq(gate.data, gate.map->data + gate.info->offset);
            cr_expect(i == 0 || up.data == gate.data + bytes, "gate rows, then up rows");
            cr_expect(i == 0 || !last || gate.data == last + 2 * bytes, "expert by expert");
            last = gate.data;
        }
        vklm_tensor router = vklm_checkpoint_tensor(c, VKLM_TENSOR_ROUTER, 0);
        cr_expect(router.info->shape[0] == a->n_experts && router.info->shape[1] == a->n_hidden);
        vklm_checkpoint_close(c);
    }
}

// As many files as tensors, 113 of them, through the index: no count of shards is assumed.
Test(checkpoint, follows_an_index_of_many_shards)
{
    char folder[] = "/tmp/vklm-test-XXXXXX", path[600];
    cr_assert(mkdtemp(folder));
    run_shell("cp %s/random-moe-top4/config.json %s", VKLM_TEST_DATA, folder);
    vklm_string index = {0};
    vklm_string_print(&index, "{\"metadata\":{},\"weight_map\":{");
    size_t n = 0;
    for (int shard = 1; shard <= 3; shard++) {
        vklm_file_map map;
        vklm_safetensors header;
        snprintf(path, sizeof path, "%s/random-moe-top4/model-%05d-of-00003.safetensors",
                 VKLM_TEST_DATA, shard);
        cr_assert_eq(vklm_file_map_open(path, &map), VKLM_OK, "%s", vklm_error_message());
        cr_assert_eq(vklm_safetensors_parse(map.data, map.size, path, &header), VKLM_OK);
        for (size_t t = 0; t < header.n_tensors; t++, n++) {
            const vklm_tensor_info *info = &header.tensors[t];
            vklm_string file = {0};
            vklm_safetensors_print_header(info, 1, &file);
            vklm_string_append(&file, (const char *)map.data + info->offset, (size_t)info->bytes);
            snprintf(path, sizeof path, "%s/part-%zu.safetensors", folder, n);
            FILE *out = fopen(path, "wb");
            cr_assert(out && fwrite(file.data, 1, file.len, out) == file.len);
            fclose(out);
            vklm_string_finish(&file);
            vklm_string_print(&index, "%s\"%s\":\"part-%zu.safetensors\"", n ? "," : "", info->name,
                              n);
        }
        vklm_safetensors_finish(&header);
        vklm_file_map_close(&map);
    }
    vklm_string_print(&index, "}}");
    snprintf(path, sizeof path, "%s/model.safetensors.index.json", folder);
    FILE *out = fopen(path, "wb");
    cr_assert(out && fwrite(index.data, 1, index.len, out) == index.len);
    fclose(out);
    vklm_string_finish(&index);
    cr_expect_eq(n, 113);
    vklm_checkpoint *c;
    cr_assert_eq(vklm_checkpoint_open(folder, &c), VKLM_OK, "%s", vklm_error_message());
    cr_expect_eq(vklm_checkpoint_bytes(c), vklm_arch_parameters(vklm_checkpoint_arch(c)) * 2);
    vklm_checkpoint_close(c);
    run_shell("rm -r %s%s", folder, "");
}

Test(checkpoint, says_what_is_wrong_with_experts)
{
    static const struct {
        const char *model, *damage, *says;
    } cases[] = {
        {"random-moe-hd128",
         "sed -i s/1.block_sparse_moe.experts.3.w1/1.block_sparse_moe.experts.9.w1/ "
         "%s/model.safetensors",
         "tensor model.layers.1.block_sparse_moe.experts.3.w1.weight is missing"},
        {"random-moe-hd128",
         "sed -i s/0.block_sparse_moe.gate/9.block_sparse_moe.gate/ "
         "%s/model.safetensors",
         "tensor model.layers.0.block_sparse_moe.gate.weight is missing"},
        {"random-moe-hd128",
         "sed -i 's/\"num_local_experts\": 8/\"num_local_experts\": 7/' %s/config.json",
         "gate.weight has shape [8, 128], config.json asks for [7, 128]"},
        {"random-moe-hd128",
         "sed -i 's/\"intermediate_size\": 32/\"intermediate_size\": 40/' %s/config.json",
         "experts.0.w1.weight has shape [32, 128], config.json asks for [40, 128]"},
        {"random-moe-hd128",
         "sed -i 's/\"num_experts_per_tok\": 2/\"num_experts_per_tok\": 9/' %s/config.json",
         "num_experts_per_tok"},
        {"random-moe-top1",
         "sed -i 's/\"num_local_experts\": 4/\"num_local_experts\": 3/' %s/config.json",
         "[4, 192, 64], config.json asks for [3, 192, 64]"},
        {"random-moe-top1",
         "sed -i s/2.mlp.experts.down_proj/2.mlp.experts.down_prox/ %s/model.safetensors",
         "tensor model.layers.2.block_sparse_moe.experts.0.w2.weight is missing"},
        {"random-moe-top1", "sed -i 's/mixtral/llama/; s/Mixtral/Llama/' %s/config.json",
         "tensor model.layers.0.mlp.gate_proj.weight is missing"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char folder[] = "/tmp/vklm-test-XXXXXX", command[512], source[256];
        cr_assert(mkdtemp(folder));
        snprintf(source, sizeof source, "%s/%s", VKLM_TEST_DATA, cases[i].model);
        run_shell("cp -r %s/. %s", source, folder);
        snprintf(command, sizeof command, cases[i].damage, folder);
        cr_assert_eq(system(command), 0, "%s", command);
        vklm_checkpoint *c;
        cr_expect_neq(vklm_checkpoint_open(folder, &c), VKLM_OK, "case %zu", i);
        cr_expect(strstr(vklm_error_message(), cases[i].says), "case %zu says: %s", i,
                  vklm_error_message());
        run_shell("rm -r %s%s", folder, "");
    }
}
