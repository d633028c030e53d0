#include "engine/engine_private.h"

#include <stdlib.h>

#include "base/array.h"
#include "base/bytes.h"
#include "model/memory_plan.h"

static vklm_status open_device(vklm_engine *e, const vklm_engine_params *params)
{
    size_t index;
    vklm_status status =
        vklm_gpu_instance_create(&(vklm_gpu_instance_params){.validation = params->validation,
                                                             .no_quirks = params->no_quirks},
                                 &e->instance);
    if (status == VKLM_OK)
        status = vklm_gpu_instance_select(e->instance, params->device, &index);
    if (status == VKLM_OK)
        status = vklm_gpu_device_open(e->instance, index,
                                      &(vklm_gpu_device_params){
                                          .tiers = params->tiers,
                                          .limits = params->limits,
                                          .serial = params->serial,
                                          .cache_folder = params->pipeline_folder,
                                      },
                                      &e->device);
    if (status != VKLM_OK)
        return status;
    const vklm_gpu_caps *caps = vklm_gpu_device_caps(e->device);
    vklm_device_info_fill(caps, (uint32_t)index, &e->device_info);
    vklm_log(VKLM_LOG_INFO, "device %zu: %s (%s, %s)", index, caps->name,
             vklm_device_type_name(caps->type), e->device_info.driver);
    if (caps->type == VKLM_DEVICE_CPU)
        vklm_log(VKLM_LOG_WARNING, "%s runs on the processor: right answers, slowly", caps->name);
    return VKLM_OK;
}

static double gib(uint64_t bytes)
{
    return (double)bytes / (1 << 30);
}

static vklm_status fail_too_large(const vklm_engine *e, const vklm_source *source,
                                  const vklm_memory_wish *wish)
{
    const vklm_memory_plan *m = &e->memory;
    vklm_memory_plan instead[VKLM_PLAN_MAX_INSTEAD];
    vklm_string advice = {0};
    size_t n;
    vklm_status status =
        vklm_memory_plan_instead(source, vklm_gpu_device_caps(e->device), wish, instead, &n);
    if (status != VKLM_OK)
        return status;
    for (size_t i = 0; i < n && i < 2; i++)
        vklm_string_print(&advice, "%s%s weights and a context of %u tokens",
                          i ? ", or " : "; what would fit: ",
                          vklm_weights_kind_name(instead[i].weights), instead[i].n_ctx);
    status =
        vklm_fail(VKLM_OUT_OF_DEVICE_MEMORY,
                  "the model needs %.2f GiB on the device (%s weights %.2f, KV cache %.2f for %u "
                  "tokens, buffers %.2f), but %s offers %.2f GiB of its %.2f%s",
                  gib(m->total_bytes), vklm_weights_kind_name(m->weights), gib(m->weight_bytes),
                  gib(m->kv_bytes), m->n_ctx, gib(m->buffer_bytes + m->staging_bytes),
                  e->device_info.name, gib(m->limit_bytes), gib(m->heap_bytes),
                  n ? advice.data : "; close other programs, or take a smaller model");
    vklm_string_finish(&advice);
    return status;
}

// What goes where, before any of it is allocated.
static vklm_status plan_memory(vklm_engine *e, const vklm_engine_params *params,
                               const vklm_source *source)
{
    vklm_memory_wish wish = {.weights = params->weights,
                             .kv = params->kv,
                             .n_ctx = params->n_ctx,
                             .max_bytes = params->max_device_bytes};
    vklm_status status =
        vklm_memory_plan_make(source, vklm_gpu_device_caps(e->device), &wish, &e->memory);
    if (status != VKLM_OK)
        return status;
    if (!e->memory.fits)
        return fail_too_large(e, source, &wish);
    char weights[VKLM_BYTES_TEXT], kv[VKLM_BYTES_TEXT], limit[VKLM_BYTES_TEXT];
    vklm_log(VKLM_LOG_INFO, "%s weights %s, %s KV cache %s for %u tokens, of %s",
             vklm_weights_kind_name(e->memory.weights),
             vklm_bytes_text(e->memory.weight_bytes, weights), vklm_kv_kind_name(e->memory.kv),
             vklm_bytes_text(e->memory.kv_bytes, kv), e->memory.n_ctx,
             vklm_bytes_text(e->memory.limit_bytes, limit));
    return VKLM_OK;
}

static vklm_status load_weights(vklm_engine *e, const vklm_engine_params *params,
                                const vklm_source *source)
{
    vklm_importance importance = {0};
    vklm_weights_plan *plan = NULL;
    vklm_status status = VKLM_OK;
    if (params->importance)
        status = vklm_importance_open(params->importance, &importance);
    if (status == VKLM_OK)
        status = vklm_weights_plan_create(source, e->memory.weights,
                                          vklm_gpu_device_caps(e->device), &plan);
    if (status == VKLM_OK)
        status = vklm_weights_load(plan, e->device,
                                   &(vklm_load_params){
                                       .progress = params->progress,
                                       .opaque = params->opaque,
                                       .importance = params->importance ? &importance : NULL,
                                       .verify = params->verify,
                                   },
                                   &e->weights);
    vklm_weights_plan_destroy(plan);
    vklm_importance_close(&importance);
    return status;
}

static vklm_status open_engine(vklm_engine *e, const vklm_engine_params *params)
{
    vklm_source source;
    vklm_status status = vklm_source_open(params->model_dir, false, &source);
    if (status == VKLM_OK)
        status = open_device(e, params);
    if (status == VKLM_OK)
        status = plan_memory(e, params, &source);
    if (status == VKLM_OK && params->packed_folder)
        status = vklm_packed_copy_use(params, e->memory.weights, &source);
    if (status == VKLM_OK)
        status = load_weights(e, params, &source);
    if (status == VKLM_OK)
        vklm_model_info_fill(&source, &e->model);
    if (status == VKLM_OK)
        status = vklm_engine_self_test(e, params);
    vklm_source_close(&source);
    return status;
}

vklm_status vklm_engine_open(const vklm_engine_params *params, vklm_engine **out_engine)
{
    *out_engine = NULL;
    if (!params->model_dir)
        return vklm_fail(VKLM_INVALID_ARGUMENT, "no model folder was given");
    vklm_engine *e = vklm_alloc(1, sizeof *e);
    if (!e)
        return vklm_fail_memory("the engine");
    vklm_status status = open_engine(e, params);
    if (status != VKLM_OK) {
        vklm_engine_close(e);
        return status;
    }
    *out_engine = e;
    return VKLM_OK;
}

void vklm_engine_release(vklm_engine *engine)
{
    vklm_weights_destroy(engine->weights);
    vklm_gpu_device_close(engine->device);
    vklm_gpu_instance_destroy(engine->instance);
    *engine = (vklm_engine){0};
}

void vklm_engine_close(vklm_engine *engine)
{
    if (!engine)
        return;
    vklm_engine_release(engine);
    free(engine);
}

unsigned vklm_engine_validation_messages(const vklm_engine *engine)
{
    return engine->instance ? vklm_gpu_instance_messages(engine->instance) : 0;
}

const vklm_model_info *vklm_engine_model(const vklm_engine *engine)
{
    return &engine->model;
}

const vklm_device_info *vklm_engine_device(const vklm_engine *engine)
{
    return &engine->device_info;
}

const vklm_memory_plan *vklm_engine_memory(const vklm_engine *engine)
{
    return &engine->memory;
}
