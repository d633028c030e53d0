#include "base/array.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void *vklm_alloc(size_t count, size_t size)
{
    return calloc(count ? count : 1, size);
}

bool vklm_array_grow(void *array, size_t *capacity, size_t wanted, size_t size)
{
    if (wanted <= *capacity)
        return true;
    size_t grown = *capacity < 16 ? 16 : *capacity;
    while (grown < wanted) {
        if (grown > SIZE_MAX / 2)
            return false;
        grown *= 2;
    }
    if (grown > SIZE_MAX / size)
        return false;
    void *old;
    memcpy(&old, array, sizeof old);
    void *bigger = realloc(old, grown * size);
    if (!bigger)
        return false;
    memcpy(array, &bigger, sizeof bigger);
    *capacity = grown;
    return true;
}

void vklm_string_append(vklm_string *s, const char *data, size_t len)
{
    if (s->failed)
        return;
    if (len > SIZE_MAX - s->len - 1 ||
        !vklm_array_grow(&s->data, &s->capacity, s->len + len + 1, 1)) {
        s->failed = true;
        return;
    }
    if (len)
        memcpy(s->data + s->len, data, len);
    s->len += len;
    s->data[s->len] = '\0';
}

void vklm_string_print(vklm_string *s, const char *format, ...)
{
    char small[256];
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int n = vsnprintf(small, sizeof small, format, args);
    va_end(args);
    if (n >= 0 && (size_t)n < sizeof small) {
        vklm_string_append(s, small, (size_t)n);
    } else if (n < 0 || s->failed ||
               !vklm_array_grow(&s->data, &s->capacity, s->len + (size_t)n + 1, 1)) {
        s->failed = true;
    } else {
        vsnprintf(s->data + s->len, (size_t)n + 1, format, again);
        s->len += (size_t)n;
    }
    va_end(again);
}

void vklm_string_finish(vklm_string *s)
{
    free(s->data);
    *s = (vklm_string){0};
}
