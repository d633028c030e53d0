#include "vklm/model_options.h"

#include "vklm/console.h"
#include "vklm/options.h"

int vklm_model_option(const char *command, int option, const char *argument,
                      vklm_engine_params *params)
{
    uint64_t number = 0;
    switch (option) {
    case VKLM_OPTION_DEVICE:
        params->device = argument;
        return 1;
    case VKLM_OPTION_CTX:
        if (!vklm_options_whole(command, "--ctx", argument, 1, UINT32_MAX, &number))
            return -1;
        params->n_ctx = (uint32_t)number;
        return 1;
    case VKLM_OPTION_VRAM:
        return vklm_options_bytes(command, "--vram", argument, &params->max_device_bytes) ? 1 : -1;
    case VKLM_OPTION_WEIGHTS:
        return vklm_options_weights(command, argument, &params->weights) ? 1 : -1;
    case VKLM_OPTION_KV:
        if (vklm_kv_kind_find(argument, &params->kv) == VKLM_OK)
            return 1;
        vklm_options_misused(command, "--kv: %s", vklm_error_message());
        return -1;
    case VKLM_OPTION_IMPORTANCE:
        params->importance = argument;
        return 1;
    case VKLM_OPTION_CACHE:
        params->packed_folder = argument;
        return 1;
    case VKLM_OPTION_VERIFY:
        params->verify = true;
        return 1;
    case VKLM_OPTION_VALIDATION:
        params->validation = true;
        return 1;
    case VKLM_OPTION_SERIAL:
        params->serial = true;
        return 1;
    default:
        return 0;
    }
}

vklm_status vklm_model_open(vklm_engine_params *params, vklm_engine **out_engine)
{
    params->pipeline_folder = vklm_console_cache_folder();
    params->progress = vklm_console_load_progress;
    return vklm_engine_open(params, out_engine);
}
