// Random models for the public.
#include <vklm/convert.h>

#include "base/file.h"
#include "checkpoint/synth.h"

vklm_status vklm_model_synth(const vklm_synth_params *params)
{
    const vklm_synth_preset *preset = vklm_synth_preset_find(params->preset);
    if (!preset)
        return vklm_fail(VKLM_INVALID_ARGUMENT, "no preset '%s'; there are %s", params->preset,
                         vklm_synth_preset_names());
    if (vklm_file_exists(params->out_dir) && !vklm_file_is_empty_folder(params->out_dir))
        return vklm_fail(VKLM_INVALID_ARGUMENT, "%s: exists already", params->out_dir);
    vklm_synth_plan plan;
    vklm_status status = vklm_synth_plan_init(preset, params->n_layers, &plan);
    if (status != VKLM_OK)
        return status;
    status = vklm_file_make_folders(params->out_dir);
    if (status == VKLM_OK)
        status = vklm_synth_write(&plan, params->seed, params->out_dir, params->progress,
                                  params->opaque);
    if (status != VKLM_OK)
        vklm_file_remove_folder(params->out_dir); // it was empty, or not there
    vklm_synth_plan_finish(&plan);
    return status;
}
