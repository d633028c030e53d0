// text/ids.h: a list of token ids that grows. All-zero is empty; failure is sticky, as in
// vklm_string.
#ifndef VKLM_TEXT_IDS_H
#define VKLM_TEXT_IDS_H

#include <stdint.h>

#include "base/array.h"

typedef struct {
    uint32_t *data;
    size_t n, capacity;
    bool failed;
} vklm_ids;

static inline void vklm_ids_push(vklm_ids *ids, uint32_t id)
{
    if (ids->failed || !vklm_array_grow(&ids->data, &ids->capacity, ids->n + 1, sizeof id))
        ids->failed = true;
    else
        ids->data[ids->n++] = id;
}

#endif
