// base/workers.h: a few threads that share out a loop.
#ifndef VKLM_BASE_WORKERS_H
#define VKLM_BASE_WORKERS_H

#include <stdint.h>

#include "base/status.h"

typedef struct vklm_workers vklm_workers;

// Items [first, end) of the loop; several calls run at the same time, on different items.
typedef void (*vklm_work)(void *opaque, uint64_t first, uint64_t end);

// n_threads 0: one per processor. The thread that calls run is one of them.
vklm_status vklm_workers_create(unsigned n_threads, vklm_workers **out_workers);
void vklm_workers_destroy(vklm_workers *workers); // takes NULL

unsigned vklm_workers_count(const vklm_workers *workers); // takes NULL: 1

// Runs items [0, n) in pieces of `batch` and returns when all are done. NULL workers: on this
// thread.
void vklm_workers_run(vklm_workers *workers, uint64_t n, uint64_t batch, vklm_work work,
                      void *opaque);

#endif
