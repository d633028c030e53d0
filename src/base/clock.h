// base/clock.h: a monotonic clock, and the time of day.
#ifndef VKLM_BASE_CLOCK_H
#define VKLM_BASE_CLOCK_H

#include <stddef.h>

// Seconds since some fixed moment; only differences mean anything.
double vklm_clock_seconds(void);

// Seconds of processor time that the calling thread has used.
double vklm_clock_thread_seconds(void);

// The local time by strftime(); returns its bytes, 0 when they do not fit.
size_t vklm_clock_print(char *out, size_t size, const char *format);

#endif
