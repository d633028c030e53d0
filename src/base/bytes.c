#include "base/bytes.h"

#include <stdio.h>

const char *vklm_bytes_text(uint64_t bytes, char out[VKLM_BYTES_TEXT])
{
    static const char *const units[] = {"KiB", "MiB", "GiB"};
    double n = (double)bytes / 1024;
    int unit = 0;
    for (; unit < 2 && n >= 1024; unit++)
        n /= 1024;
    snprintf(out, VKLM_BYTES_TEXT, "%.2f %s", n, units[unit]);
    return out;
}
