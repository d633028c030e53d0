// The memory plan and the list of commands for the public.
#include "engine/engine_private.h"

#include <stdlib.h>

#include "model/token_plan.h"

static vklm_memory_wish wish_of(const vklm_engine_params *params)
{
    return (vklm_memory_wish){.weights = params->weights,
                              .kv = params->kv,
                              .n_ctx = params->n_ctx,
                              .max_bytes = params->max_device_bytes};
}

static vklm_status plan_on(const vklm_engine_params *params, const vklm_source *source,
                           const vklm_gpu_caps *caps, vklm_memory_plan *out_plan,
                           vklm_memory_plan *out_instead, size_t *out_n)
{
    const vklm_memory_wish wish = wish_of(params);
    vklm_status status = vklm_memory_plan_make(source, caps, &wish, out_plan);
    if (status == VKLM_OK && !out_plan->fits)
        status = vklm_memory_plan_instead(source, caps, &wish, out_instead, out_n);
    return status;
}

vklm_status vklm_model_plan(const vklm_engine_params *params, vklm_memory_plan *out_plan,
                            vklm_memory_plan *out_instead, size_t *out_n)
{
    vklm_source source;
    vklm_gpu_instance *instance = NULL;
    const vklm_gpu_caps *caps = NULL;
    *out_n = 0;
    vklm_status status = vklm_source_open(params->model_dir, true, &source);
    if (status != VKLM_OK)
        return status;
    size_t index;
    status = vklm_gpu_instance_create(&(vklm_gpu_instance_params){0}, &instance);
    if (status == VKLM_OK)
        status = vklm_gpu_instance_select(instance, params->device, &index);
    if (status == VKLM_OK)
        caps = vklm_gpu_instance_caps(instance, index);
    else if (status == VKLM_NO_DEVICE && params->max_device_bytes && !params->device)
        status = VKLM_OK;
    if (status == VKLM_OK)
        status = plan_on(params, &source, caps, out_plan, out_instead, out_n);
    vklm_gpu_instance_destroy(instance);
    vklm_source_close(&source);
    return status;
}

static vklm_status list_on(const vklm_engine_params *params, const vklm_source *source,
                           vklm_gpu_device *dry, vklm_token_plan *out_plan)
{
    const vklm_memory_wish wish = wish_of(params);
    vklm_memory_plan memory;
    vklm_status status = vklm_memory_plan_make(source, vklm_gpu_device_caps(dry), &wish, &memory);
    return status == VKLM_OK ? vklm_token_plan_make(source, &memory, dry, out_plan) : status;
}

vklm_status vklm_model_token_plan(const vklm_engine_params *params, vklm_token_plan *out_plan)
{
    vklm_source source;
    vklm_gpu_instance *instance = NULL;
    vklm_gpu_device *dry = NULL;
    size_t index;
    *out_plan = (vklm_token_plan){0};
    vklm_status status = vklm_source_open(params->model_dir, true, &source);
    if (status != VKLM_OK)
        return status;
    status = vklm_gpu_instance_create(&(vklm_gpu_instance_params){.no_quirks = params->no_quirks},
                                      &instance);
    if (status == VKLM_OK)
        status = vklm_gpu_instance_select(instance, params->device, &index);
    if (status == VKLM_OK)
        status = vklm_gpu_device_open(instance, index,
                                      &(vklm_gpu_device_params){.tiers = params->tiers,
                                                                .limits = params->limits,
                                                                .serial = params->serial,
                                                                .dry = true},
                                      &dry);
    if (status == VKLM_OK)
        status = list_on(params, &source, dry, out_plan);
    if (status != VKLM_OK)
        vklm_token_plan_finish(out_plan);
    vklm_gpu_device_close(dry);
    vklm_gpu_instance_destroy(instance);
    vklm_source_close(&source);
    return status;
}

void vklm_token_plan_finish(vklm_token_plan *plan)
{
    free(plan->commands);
    *plan = (vklm_token_plan){0};
}
