// vklm info
#include "vklm/commands.h"

#include <getopt.h>
#include <stdio.h>

#include <vklm/vklm.h>

#include "base/json.h"
#include "vklm/console.h"
#include "vklm/options.h"

static const char help[] =
    "usage: vklm info MODEL [--json] [--verify]\n\n"
    "Checks a model folder (config.json and every tensor's shape) and shows what it "
    "holds.\nNeeds no device. --verify reads a packed model's weights and checks "
    "their checksums.\n";

static void print_text(const char *folder, const vklm_model_info *m)
{
    printf("model           %s\n", folder);
    printf("architecture    %s\n", m->architecture);
    printf("parameters      %llu (%.2f billion)\n", (unsigned long long)m->n_parameters,
           (double)m->n_parameters * 1e-9);
    if (m->n_experts)
        printf("active          %llu (%.2f billion) for each token\n",
               (unsigned long long)m->n_active_parameters, (double)m->n_active_parameters * 1e-9);
    printf("weights         %s, %.2f GiB\n", m->dtype, (double)m->file_bytes / (1 << 30));
    printf("layers          %u\n", m->n_layers);
    printf("hidden size     %u\n", m->n_hidden);
    if (m->n_experts)
        printf("experts         %u a layer, %u for each token, of size %u\n", m->n_experts,
               m->top_k, m->n_intermediate);
    else
        printf("MLP size        %u\n", m->n_intermediate);
    printf("heads           %u of %u, %u for keys and values\n", m->n_heads, m->head_dim,
           m->n_kv_heads);
    printf("vocabulary      %u%s\n", m->n_vocab, m->tied_embeddings ? ", tied embeddings" : "");
    printf("context         %u tokens\n", m->n_ctx);
    printf("rope theta      %g\n", m->rope_theta);
    printf("RMSNorm eps     %g\n", m->rms_eps);
    printf("KV cache        %llu bytes a token, %.2f GiB at full context\n",
           (unsigned long long)m->kv_bytes_per_token,
           (double)(m->kv_bytes_per_token * m->n_ctx) / (1 << 30));
    printf("end of text     ");
    for (uint32_t i = 0; i < m->n_eos; i++)
        printf("%s%u", i ? ", " : "", m->eos_ids[i]);
    printf("%s\n", m->n_eos ? "" : "none");
}

static void print_json(const vklm_model_info *m)
{
    cJSON *o = cJSON_CreateObject();
    cJSON_AddStringToObject(o, "architecture", m->architecture);
    cJSON_AddNumberToObject(o, "parameters", (double)m->n_parameters);
    cJSON_AddNumberToObject(o, "active_parameters", (double)m->n_active_parameters);
    cJSON_AddStringToObject(o, "dtype", m->dtype);
    cJSON_AddNumberToObject(o, "weight_bytes", (double)m->file_bytes);
    cJSON_AddNumberToObject(o, "layers", m->n_layers);
    cJSON_AddNumberToObject(o, "hidden_size", m->n_hidden);
    cJSON_AddNumberToObject(o, "intermediate_size", m->n_intermediate);
    cJSON_AddNumberToObject(o, "experts", m->n_experts);
    cJSON_AddNumberToObject(o, "experts_per_token", m->top_k);
    cJSON_AddNumberToObject(o, "heads", m->n_heads);
    cJSON_AddNumberToObject(o, "kv_heads", m->n_kv_heads);
    cJSON_AddNumberToObject(o, "head_dim", m->head_dim);
    cJSON_AddNumberToObject(o, "vocab_size", m->n_vocab);
    cJSON_AddNumberToObject(o, "context", m->n_ctx);
    cJSON_AddNumberToObject(o, "rope_theta", m->rope_theta);
    cJSON_AddNumberToObject(o, "rms_norm_eps", m->rms_eps);
    cJSON_AddBoolToObject(o, "tied_embeddings", m->tied_embeddings);
    cJSON_AddNumberToObject(o, "kv_bytes_per_token", (double)m->kv_bytes_per_token);
    cJSON *eos = cJSON_AddArrayToObject(o, "eos_ids");
    for (uint32_t i = 0; i < m->n_eos; i++)
        cJSON_AddItemToArray(eos, cJSON_CreateNumber(m->eos_ids[i]));
    char *text = cJSON_Print(o);
    printf("%s\n", text ? text : "{}");
    cJSON_free(text);
    cJSON_Delete(o);
}

int vklm_command_info(int argc, char **argv)
{
    static const struct option options[] = {{"json", no_argument, NULL, 'j'},
                                            {"verify", no_argument, NULL, 'v'},
                                            {"help", no_argument, NULL, 'h'},
                                            {0}};
    bool json = false, verify = false;
    for (int o; (o = getopt_long(argc, argv, "h", options, NULL)) != -1;) {
        if (o == 'h') {
            fputs(help, stdout);
            return 0;
        }
        if (o != 'j' && o != 'v')
            return 2;
        json = json || o == 'j';
        verify = verify || o == 'v';
    }
    if (optind != argc - 1)
        return vklm_options_misused("info", "takes one model folder");
    vklm_model_info info;
    if (vklm_model_info_load(argv[optind], &info) != VKLM_OK)
        return vklm_options_failed();
    if (verify && vklm_model_verify(argv[optind], vklm_console_load_progress, NULL) != VKLM_OK)
        return vklm_options_failed();
    if (json)
        print_json(&info);
    else
        print_text(argv[optind], &info);
    return 0;
}
