// model/memory_plan.h: what a model needs on a device, from shapes alone.
#ifndef VKLM_MODEL_MEMORY_PLAN_H
#define VKLM_MODEL_MEMORY_PLAN_H

#include "gpu/caps.h"
#include "model/source.h"

typedef struct {
    vklm_weights_kind weights;
    vklm_kv_kind kv;
    uint32_t n_ctx;     // 0: the model's own
    uint64_t max_bytes; // 0: what the device offers
} vklm_memory_wish;

// The plan of a wish: the first that fits, best weights first, where it leaves a choice; where none
// does, the smallest. `caps` NULL: a device about which nothing is known, and max_bytes is its
// memory. Returns VKLM_OK also when it does not fit: out_plan->fits says so.
vklm_status vklm_memory_plan_make(const vklm_source *source, const vklm_gpu_caps *caps,
                                  const vklm_memory_wish *wish, vklm_memory_plan *out_plan);

// What would fit in the place of a wish that does not: [*out_n] of at most VKLM_PLAN_MAX_INSTEAD,
// the closest first.
vklm_status vklm_memory_plan_instead(const vklm_source *source, const vklm_gpu_caps *caps,
                                     const vklm_memory_wish *wish, vklm_memory_plan *out_plans,
                                     size_t *out_n);

#endif
