// vklm plan
#include "vklm/commands.h"

#include <getopt.h>
#include <stdio.h>

#include <vklm/vklm.h>

#include "base/json.h"
#include "vklm/console.h"
#include "vklm/model_options.h"
#include "vklm/options.h"

static const char help[] =
    "usage: vklm plan MODEL [--weights W] [--ctx N] [--kv K] [--vram BYTES] [--json]\n\n"
    "Says what a model needs on the device, from its headers alone: nothing is loaded. A folder "
    "that holds\n"
    "only config.json will do, so ask before you download. With --vram no device is needed.\n\n"
    "      --json              one JSON object\n" VKLM_MODEL_OPTIONS_HELP;

static double gib(uint64_t bytes)
{
    return (double)bytes / (1 << 30);
}

static void print_text(const char *folder, const vklm_memory_plan *m,
                       const vklm_memory_plan *instead, size_t n)
{
    printf("model        %s\n", folder);
    printf("weights      %8.2f GiB  %s\n", gib(m->weight_bytes),
           vklm_weights_kind_name(m->weights));
    printf("  embedding  %8.2f\n  attention  %8.2f\n  MLP        %8.2f\n  lm_head    %8.2f\n"
           "  norms etc. %8.2f\n",
           gib(m->embed_bytes), gib(m->attention_bytes), gib(m->mlp_bytes), gib(m->head_bytes),
           gib(m->small_bytes));
    printf("KV cache     %8.2f GiB  %s, %u tokens\n", gib(m->kv_bytes), vklm_kv_kind_name(m->kv),
           m->n_ctx);
    printf("activations  %8.2f GiB\n", gib(m->buffer_bytes));
    printf("staging      %8.2f GiB  while loading\n", gib(m->staging_bytes));
    printf("total        %8.2f GiB\n", gib(m->total_bytes));
    printf("budget       %8.2f GiB  of heap %u's %.2f\n", gib(m->limit_bytes), m->heap,
           gib(m->heap_bytes));
    if (m->fits) {
        printf("fits, %.2f GiB are left\n", gib(m->limit_bytes - m->total_bytes));
        return;
    }
    printf("does not fit: %.2f GiB too much\n", gib(m->total_bytes - m->limit_bytes));
    for (size_t i = 0; i < n; i++)
        printf(
            "%s --weights %s --kv %s --ctx %u  (%.2f GiB)\n",
            i ? "                " : "what would fit: ", vklm_weights_kind_name(instead[i].weights),
            vklm_kv_kind_name(instead[i].kv), instead[i].n_ctx, gib(instead[i].total_bytes));
    if (!n)
        printf("nothing would: take a smaller model, or a device with more memory\n");
}

static cJSON *to_json(const vklm_memory_plan *m)
{
    cJSON *o = cJSON_CreateObject();
    cJSON_AddStringToObject(o, "weights", vklm_weights_kind_name(m->weights));
    cJSON_AddStringToObject(o, "kv", vklm_kv_kind_name(m->kv));
    cJSON_AddNumberToObject(o, "context", m->n_ctx);
    cJSON_AddNumberToObject(o, "weights_bytes", (double)m->weight_bytes);
    cJSON_AddNumberToObject(o, "embedding_bytes", (double)m->embed_bytes);
    cJSON_AddNumberToObject(o, "attention_bytes", (double)m->attention_bytes);
    cJSON_AddNumberToObject(o, "mlp_bytes", (double)m->mlp_bytes);
    cJSON_AddNumberToObject(o, "lm_head_bytes", (double)m->head_bytes);
    cJSON_AddNumberToObject(o, "other_bytes", (double)m->small_bytes);
    cJSON_AddNumberToObject(o, "kv_bytes", (double)m->kv_bytes);
    cJSON_AddNumberToObject(o, "activation_bytes", (double)m->buffer_bytes);
    cJSON_AddNumberToObject(o, "staging_bytes", (double)m->staging_bytes);
    cJSON_AddNumberToObject(o, "total_bytes", (double)m->total_bytes);
    cJSON_AddNumberToObject(o, "budget_bytes", (double)m->limit_bytes);
    cJSON_AddNumberToObject(o, "heap", m->heap);
    cJSON_AddNumberToObject(o, "heap_bytes", (double)m->heap_bytes);
    cJSON_AddBoolToObject(o, "fits", m->fits);
    return o;
}

static void print_json(const vklm_memory_plan *m, const vklm_memory_plan *instead, size_t n)
{
    cJSON *o = to_json(m), *list = cJSON_AddArrayToObject(o, "would_fit");
    for (size_t i = 0; i < n; i++)
        cJSON_AddItemToArray(list, to_json(&instead[i]));
    char *text = cJSON_Print(o);
    printf("%s\n", text ? text : "{}");
    cJSON_free(text);
    cJSON_Delete(o);
}

int vklm_command_plan(int argc, char **argv)
{
    static const struct option options[] = {{"json", no_argument, NULL, 'j'},
                                            {"help", no_argument, NULL, 'h'},
                                            VKLM_MODEL_OPTIONS,
                                            {0}};
    vklm_engine_params params = {0};
    bool json = false;
    for (int o; (o = getopt_long(argc, argv, "h", options, NULL)) != -1;) {
        if (o == 'h') {
            fputs(help, stdout);
            return 0;
        }
        if (o == 'j')
            json = true;
        else if (vklm_model_option("plan", o, optarg, &params) != 1)
            return 2;
    }
    if (optind != argc - 1)
        return vklm_options_misused("plan", "takes one model folder");
    params.model_dir = argv[optind];
    vklm_console_open(VKLM_LOG_WARNING);
    vklm_memory_plan plan, instead[VKLM_PLAN_MAX_INSTEAD];
    size_t n;
    if (vklm_model_plan(&params, &plan, instead, &n) != VKLM_OK)
        return vklm_options_failed();
    if (json)
        print_json(&plan, instead, n);
    else
        print_text(params.model_dir, &plan, instead, n);
    return 0;
}
