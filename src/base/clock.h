// base/clock.h: a monotonic clock.
#ifndef VKLM_BASE_CLOCK_H
#define VKLM_BASE_CLOCK_H

// Seconds since some fixed moment; only differences mean anything.
double vklm_clock_seconds(void);

#endif
