// The header of a safetensors file. What it accepts lies inside the file.
#include "fuzz/fuzz.h"

#include <assert.h>

#include "checkpoint/safetensors.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    vklm_safetensors header;
    if (vklm_safetensors_parse(data, size, "f", &header) != VKLM_OK)
        return 0;
    for (size_t i = 0; i < header.n_tensors; i++) {
        const vklm_tensor_info *t = &header.tensors[i];
        assert(t->offset <= size && t->bytes <= size - t->offset);
        assert(vklm_safetensors_find(&header, t->name) == t);
    }
    vklm_safetensors_finish(&header);
    return 0;
}
