// vklm plan
#include "vklm/commands.h"

#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <vklm/vklm.h>

#include "base/bytes.h"
#include "base/json.h"
#include "vklm/console.h"
#include "vklm/model_options.h"
#include "vklm/options.h"

static const char help[] =
    "usage: vklm plan MODEL [--commands] [--weights W] [--ctx N] [--kv K] [--vram BYTES] "
    "[--json]\n\n"
    "Says what a model needs on the device, from its headers alone: nothing is loaded. A folder "
    "that holds\n"
    "only config.json will do, so ask before you download. With --vram no device is needed.\n\n"
    "      --commands          what the device is asked to do for one token instead: dispatches, "
    "barriers and bytes,\n"
    "                          with --ctx tokens in the KV cache\n"
    "      --json              one JSON object\n" VKLM_MODEL_OPTIONS_HELP;

static void print_row(const char *name, uint64_t bytes, const char *more)
{
    char text[VKLM_BYTES_TEXT];
    printf("%-12s %12s%s%s\n", name, vklm_bytes_text(bytes, text), *more ? "  " : "", more);
}

static void print_text(const char *folder, const vklm_memory_plan *m,
                       const vklm_memory_plan *instead, size_t n)
{
    char text[VKLM_BYTES_TEXT], more[64];
    printf("model        %s\n", folder);
    print_row("weights", m->weight_bytes, vklm_weights_kind_name(m->weights));
    print_row("  embedding", m->embed_bytes, "");
    print_row("  attention", m->attention_bytes, "");
    print_row("  MLP", m->mlp_bytes, "");
    print_row("  lm_head", m->head_bytes, "");
    print_row("  norms etc.", m->small_bytes, "");
    snprintf(more, sizeof more, "%s, %u tokens", vklm_kv_kind_name(m->kv), m->n_ctx);
    print_row("KV cache", m->kv_bytes, more);
    print_row("activations", m->buffer_bytes, "");
    print_row("staging", m->staging_bytes, "while loading");
    print_row("total", m->total_bytes, "");
    snprintf(more, sizeof more, "of heap %u's %s", m->heap, vklm_bytes_text(m->heap_bytes, text));
    print_row("budget", m->limit_bytes, more);
    if (m->fits) {
        printf("fits, %s are left\n", vklm_bytes_text(m->limit_bytes - m->total_bytes, text));
        return;
    }
    printf("does not fit: %s too much\n", vklm_bytes_text(m->total_bytes - m->limit_bytes, text));
    for (size_t i = 0; i < n; i++)
        printf("%s --weights %s --kv %s --ctx %u  (%s)\n",
               i ? "                " : "what would fit: ",
               vklm_weights_kind_name(instead[i].weights), vklm_kv_kind_name(instead[i].kv),
               instead[i].n_ctx, vklm_bytes_text(instead[i].total_bytes, text));
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

// Commands of the same label together, in the order of their first.
static void print_commands(const vklm_token_plan *p)
{
    printf("%s weights, %s KV cache with %u tokens: one token\n\n",
           vklm_weights_kind_name(p->weights), vklm_kv_kind_name(p->kv), p->n_ctx);
    printf("%-18s %-26s %5s %8s %14s %14s\n", "command", "shader", "times", "barriers",
           "bytes read", "bytes written");
    for (size_t i = 0; i < p->n_commands; i++) {
        const vklm_planned_command *c = &p->commands[i];
        vklm_planned_command sum = {0};
        unsigned n = 0, n_barriers = 0;
        bool seen = false;
        for (size_t k = 0; k < p->n_commands && !seen; k++) {
            const vklm_planned_command *other = &p->commands[k];
            if (strcmp(other->label, c->label) != 0)
                continue;
            seen = k < i;
            n++;
            n_barriers += other->barrier;
            sum.bytes_read += other->bytes_read;
            sum.bytes_written += other->bytes_written;
        }
        if (!seen)
            printf("%-18s %-26s %5u %8u %14" PRIu64 " %14" PRIu64 "\n", c->label,
                   c->shader ? c->shader : "(copy)", n, n_barriers, sum.bytes_read,
                   sum.bytes_written);
    }
    printf("%-18s %-26s %5zu %8u %14" PRIu64 " %14" PRIu64 "\n\n", "all", "", p->n_commands,
           p->barriers, p->bytes_read, p->bytes_written);
    printf("dispatches   %12u  %u a layer\n", p->dispatches, p->dispatches_per_layer);
    printf("barriers     %12u  %u a layer; one stands at the beginning\n", p->barriers,
           p->barriers_per_layer);
    printf("submissions  %12u\n", p->submissions);
    print_row("weights read", p->weight_bytes, "");
    print_row("KV read", p->kv_bytes, "");
}

static void print_commands_json(const vklm_token_plan *p)
{
    cJSON *o = cJSON_CreateObject();
    cJSON_AddStringToObject(o, "weights", vklm_weights_kind_name(p->weights));
    cJSON_AddStringToObject(o, "kv", vklm_kv_kind_name(p->kv));
    cJSON_AddNumberToObject(o, "context", p->n_ctx);
    cJSON_AddNumberToObject(o, "dispatches", p->dispatches);
    cJSON_AddNumberToObject(o, "barriers", p->barriers);
    cJSON_AddNumberToObject(o, "submissions", p->submissions);
    cJSON_AddNumberToObject(o, "dispatches_per_layer", p->dispatches_per_layer);
    cJSON_AddNumberToObject(o, "barriers_per_layer", p->barriers_per_layer);
    cJSON_AddNumberToObject(o, "weight_bytes", (double)p->weight_bytes);
    cJSON_AddNumberToObject(o, "kv_bytes", (double)p->kv_bytes);
    cJSON_AddNumberToObject(o, "bytes_read", (double)p->bytes_read);
    cJSON_AddNumberToObject(o, "bytes_written", (double)p->bytes_written);
    cJSON *ops = cJSON_AddArrayToObject(o, "ops");
    for (size_t i = 0; i < p->n_commands; i++) {
        const vklm_planned_command *c = &p->commands[i];
        cJSON *op = cJSON_CreateObject();
        cJSON_AddStringToObject(op, "op", c->label);
        cJSON_AddItemToObject(op, "shader",
                              c->shader ? cJSON_CreateString(c->shader) : cJSON_CreateNull());
        cJSON_AddItemToObject(op, "layer",
                              c->layer < 0 ? cJSON_CreateNull() : cJSON_CreateNumber(c->layer));
        cJSON *groups = cJSON_AddArrayToObject(op, "workgroups");
        for (int k = 0; k < 3; k++)
            cJSON_AddItemToArray(groups, cJSON_CreateNumber(c->groups[k]));
        cJSON_AddBoolToObject(op, "barrier", c->barrier);
        cJSON_AddNumberToObject(op, "bytes_read", (double)c->bytes_read);
        cJSON_AddNumberToObject(op, "bytes_written", (double)c->bytes_written);
        cJSON_AddItemToArray(ops, op);
    }
    char *text = cJSON_Print(o);
    printf("%s\n", text ? text : "{}");
    cJSON_free(text);
    cJSON_Delete(o);
}

static int plan_commands(const vklm_engine_params *params, bool json)
{
    vklm_token_plan plan;
    if (vklm_model_token_plan(params, &plan) != VKLM_OK)
        return vklm_options_failed();
    if (json)
        print_commands_json(&plan);
    else
        print_commands(&plan);
    vklm_token_plan_finish(&plan);
    return 0;
}

int vklm_command_plan(int argc, char **argv)
{
    static const struct option options[] = {{"json", no_argument, NULL, 'j'},
                                            {"commands", no_argument, NULL, 'c'},
                                            {"help", no_argument, NULL, 'h'},
                                            VKLM_MODEL_OPTIONS,
                                            {0}};
    vklm_engine_params params = {0};
    bool json = false, commands = false;
    for (int o; (o = getopt_long(argc, argv, "h", options, NULL)) != -1;) {
        if (o == 'h') {
            fputs(help, stdout);
            return 0;
        }
        if (o == 'j')
            json = true;
        else if (o == 'c')
            commands = true;
        else if (vklm_model_option("plan", o, optarg, &params) != 1)
            return 2;
    }
    if (optind != argc - 1)
        return vklm_options_misused("plan", "takes one model folder");
    params.model_dir = argv[optind];
    vklm_console_open(VKLM_LOG_WARNING);
    if (commands)
        return plan_commands(&params, json);
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
