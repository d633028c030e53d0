#include "base/clock.h"

#include <time.h>

double vklm_clock_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

double vklm_clock_thread_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

size_t vklm_clock_print(char *out, size_t size, const char *format)
{
    time_t now = time(NULL);
    struct tm parts;
    if (size == 0 || !localtime_r(&now, &parts))
        return 0;
    return strftime(out, size, format, &parts);
}
