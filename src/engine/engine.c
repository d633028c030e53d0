#include "engine/engine_private.h"

#include <stdlib.h>

#include "base/array.h"
#include "model/activations.h"
#include "model/kv_cache.h"

static vklm_status open_device(vklm_engine *e, const vklm_engine_params *params)
{
    size_t index;
    vklm_status status = vklm_gpu_instance_create(
        &(vklm_gpu_instance_params){.validation = params->validation}, &e->instance);
    if (status == VKLM_OK)
        status = vklm_gpu_instance_select(e->instance, params->device, &index);
    if (status == VKLM_OK)
        status = vklm_gpu_device_open(e->instance, index,
                                      &(vklm_gpu_device_params){
                                          .tiers = params->tiers,
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

// What goes where, before any of it is allocated.
static vklm_status plan_memory(vklm_engine *e, const vklm_engine_params *params,
                               const vklm_arch *arch, const vklm_weights_plan *weights)
{
    vklm_memory_plan *m = &e->memory;
    const vklm_gpu_caps *caps = vklm_gpu_device_caps(e->device);
    uint64_t budget, total;
    if (params->n_ctx > arch->n_positions)
        return vklm_fail(VKLM_INVALID_ARGUMENT,
                         "a context of %u tokens was asked for; the model has at most %u",
                         params->n_ctx, arch->n_positions);
    m->n_ctx = params->n_ctx ? params->n_ctx : arch->n_positions;
    m->weight_bytes = vklm_weights_plan_bytes(weights);
    m->kv_bytes = 2 * arch->n_layers * vklm_kv_cache_layer_bytes(arch, m->n_ctx);
    vklm_status status = vklm_activations_bytes(caps, arch, m->n_ctx, &m->buffer_bytes);
    if (status != VKLM_OK)
        return status;
    vklm_gpu_caps_memory(caps, &budget, &total);
    m->limit_bytes = params->max_device_bytes && params->max_device_bytes < budget
                         ? params->max_device_bytes
                         : budget;
    uint64_t needed = m->weight_bytes + m->kv_bytes + m->buffer_bytes;
    if (needed > m->limit_bytes)
        return vklm_fail(VKLM_OUT_OF_DEVICE_MEMORY,
                         "the model needs %.2f GiB on the device (weights %.2f, KV cache %.2f for "
                         "%u tokens, buffers %.2f), but %s offers %.2f GiB of its %.2f; close other "
                         "programs, ask for a shorter context, or take a smaller model",
                         gib(needed), gib(m->weight_bytes), gib(m->kv_bytes), m->n_ctx,
                         gib(m->buffer_bytes), caps->name, gib(m->limit_bytes), gib(total));
    return VKLM_OK;
}

static vklm_status open_engine(vklm_engine *e, const vklm_engine_params *params)
{
    vklm_checkpoint *checkpoint = NULL;
    vklm_weights_plan *plan = NULL;
    vklm_status status = vklm_checkpoint_open(params->model_dir, &checkpoint);
    if (status == VKLM_OK)
        status = open_device(e, params);
    if (status == VKLM_OK)
        status = vklm_weights_plan_create(checkpoint, vklm_gpu_device_caps(e->device), &plan);
    if (status == VKLM_OK)
        status = plan_memory(e, params, vklm_checkpoint_arch(checkpoint), plan);
    if (status == VKLM_OK)
        status = vklm_weights_load(plan, e->device, params->progress, params->opaque, &e->weights);
    if (status == VKLM_OK)
        vklm_model_info_fill(checkpoint, &e->model);
    vklm_weights_plan_destroy(plan);
    vklm_checkpoint_close(checkpoint);
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

void vklm_engine_close(vklm_engine *engine)
{
    if (!engine)
        return;
    vklm_weights_destroy(engine->weights);
    vklm_gpu_device_close(engine->device);
    vklm_gpu_instance_destroy(engine->instance);
    free(engine);
}

unsigned vklm_engine_validation_messages(const vklm_engine *engine)
{
    return vklm_gpu_instance_messages(engine->instance);
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
