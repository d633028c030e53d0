#include "model/source.h"

static bool has_weights(const char *folder)
{
    static const char *const names[] = {"model.safetensors", "model.safetensors.index.json"};
    bool found = false;
    for (int i = 0; i < 2; i++)
        found = found || vklm_file_exists_in(folder, names[i]);
    return found;
}

vklm_status vklm_source_open(const char *folder, bool config_alone, vklm_source *out_source)
{
    *out_source = (vklm_source){0};
    vklm_status status;
    if (vklm_packed_exists(folder)) {
        status = vklm_arch_load(folder, &out_source->arch);
        if (status == VKLM_OK)
            status = vklm_packed_open(folder, &out_source->packed);
    } else if (config_alone && !has_weights(folder)) {
        status = vklm_arch_load(folder, &out_source->arch);
    } else {
        status = vklm_checkpoint_open(folder, &out_source->checkpoint);
        if (status == VKLM_OK)
            out_source->arch = *vklm_checkpoint_arch(out_source->checkpoint);
    }
    if (status != VKLM_OK)
        vklm_source_close(out_source);
    return status;
}

void vklm_source_close(vklm_source *source)
{
    vklm_checkpoint_close(source->checkpoint);
    vklm_packed_close(source->packed);
    *source = (vklm_source){0};
}

uint64_t vklm_source_bytes(const vklm_source *source)
{
    uint64_t sum = 0;
    if (source->checkpoint)
        return vklm_checkpoint_bytes(source->checkpoint);
    for (size_t i = 0; source->packed && i < source->packed->header.n_tensors; i++)
        sum += source->packed->header.tensors[i].bytes;
    return sum;
}

vklm_format vklm_format_of_dtype(vklm_dtype dtype)
{
    static const vklm_format formats[] = {
        [VKLM_DTYPE_F32] = VKLM_FORMAT_F32,
        [VKLM_DTYPE_F16] = VKLM_FORMAT_F16,
        [VKLM_DTYPE_BF16] = VKLM_FORMAT_BF16,
    };
    return formats[dtype];
}
