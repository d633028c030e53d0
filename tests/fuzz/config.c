// config.json. What it accepts has sizes that can be multiplied without overflow.
#include "fuzz/fuzz.h"

#include <assert.h>

#include "checkpoint/arch.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    vklm_arch arch;
    if (vklm_arch_parse((const char *)data, size, "config.json", &arch) != VKLM_OK)
        return 0;
    assert(arch.n_layers > 0 && arch.n_heads > 0 && arch.n_kv_heads > 0 &&
           arch.n_heads % arch.n_kv_heads == 0 &&
           arch.n_eos <= sizeof arch.eos_ids / sizeof *arch.eos_ids);
    assert(vklm_arch_parameters(&arch) > 0);
    return 0;
}
