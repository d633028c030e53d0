// base/array.h: checked allocation and a growable byte buffer.
#ifndef VKLM_BASE_ARRAY_H
#define VKLM_BASE_ARRAY_H

#include <stdbool.h>
#include <stddef.h>

#include "base/status.h"

// Zeroed memory for `count` objects of `size` bytes, or NULL when it does not fit (also when the
// product overflows). A count of zero gives a valid pointer. Released with free().
void *vklm_alloc(size_t count, size_t size);

// Grows `*array` (count objects of `size` bytes, capacity in `*capacity`) to hold at least `wanted`
// objects, doubling. False when memory is short; the array then stays as it was.
bool vklm_array_grow(void *array, size_t *capacity, size_t wanted, size_t size);

// A byte string that grows. All-zero is empty. Failure is sticky: after the first failed append
// every later one does nothing and `failed` stays set, so that it is checked once, at the end.
typedef struct {
    char *data; // NUL-terminated whenever not NULL; may hold NULs of its own
    size_t len, capacity;
    bool failed;
} vklm_string;

void vklm_string_append(vklm_string *s, const char *data, size_t len);
void vklm_string_print(vklm_string *s, const char *format, ...) VKLM_PRINTF(2, 3);
void vklm_string_finish(vklm_string *s);

#endif
