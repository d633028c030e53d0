// ops/weight.h: a weight matrix on the device.
#ifndef VKLM_OPS_WEIGHT_H
#define VKLM_OPS_WEIGHT_H

#include "gpu/memory.h"
#include "quant/format.h"

typedef struct {
    vklm_gpu_view data; // [n_rows, n_cols], row-major
    vklm_format format;
    uint32_t n_rows, n_cols;
} vklm_weight;

#endif
