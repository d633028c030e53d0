#include "model/recipe.h"

#include <string.h>

#include "base/status.h"

// The table of recipes. AS_STORED stands for whatever the checkpoint has.
#define AS_STORED VKLM_FORMAT_COUNT
#define Q8        VKLM_FORMAT_Q8
#define Q4        VKLM_FORMAT_Q4
#define ALL(format)                                                                                \
    {                                                                                              \
        format, format, format, format, format, format                                             \
    }
static const struct {
    const char *name;
    vklm_format formats[VKLM_MATRIX_CLASSES];
} recipes[VKLM_WEIGHTS_KINDS] = {
    [VKLM_WEIGHTS_AUTO] = {"auto", ALL(AS_STORED)},
    [VKLM_WEIGHTS_F16] = {"f16", ALL(AS_STORED)},
    [VKLM_WEIGHTS_Q8] = {"q8", ALL(Q8)},
    // What writes into the residual stream, and what reads the logits out of it, at 8 bits.
    //                              embed qkv out gate_up down lm_head
    [VKLM_WEIGHTS_MIXED] = {"mixed", {Q8, Q4, Q8, Q4, Q8, Q8}},
    [VKLM_WEIGHTS_Q4] = {"q4", {Q8, Q4, Q4, Q4, Q4, Q8}},
};

const char *vklm_weights_kind_name(vklm_weights_kind kind)
{
    return (unsigned)kind < VKLM_WEIGHTS_KINDS ? recipes[kind].name : "unknown";
}

vklm_status vklm_weights_kind_find(const char *name, vklm_weights_kind *out_kind)
{
    for (int i = 0; i < VKLM_WEIGHTS_KINDS; i++)
        if (strcmp(name, recipes[i].name) == 0) {
            *out_kind = (vklm_weights_kind)i;
            return VKLM_OK;
        }
    return vklm_fail(VKLM_INVALID_ARGUMENT,
                     "no weight format '%s'; there are auto, f16, q8, mixed and q4", name);
}

const char *vklm_matrix_class_name(vklm_matrix_class matrix)
{
    static const char *const names[VKLM_MATRIX_CLASSES] = {
        [VKLM_MATRIX_EMBED] = "embed", [VKLM_MATRIX_QKV] = "qkv",
        [VKLM_MATRIX_OUT] = "out",     [VKLM_MATRIX_GATE_UP] = "gate_up",
        [VKLM_MATRIX_DOWN] = "down",   [VKLM_MATRIX_LM_HEAD] = "lm_head",
    };
    return names[matrix];
}

vklm_format vklm_recipe_format(vklm_weights_kind kind, vklm_matrix_class matrix, uint32_t n_cols,
                               vklm_format stored)
{
    vklm_format format = recipes[kind].formats[matrix];
    if (format == VKLM_FORMAT_Q4 && n_cols % vklm_format_group(format) != 0)
        format = VKLM_FORMAT_Q8;
    if (format == VKLM_FORMAT_Q8 && n_cols % vklm_format_group(format) != 0)
        format = AS_STORED;
    return format == AS_STORED ? stored : format;
}
