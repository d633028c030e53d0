#include "base/workers.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/array.h"

enum { MAX_THREADS = 64 };

// Invariant: next, n, batch, work and opaque change only under the lock, and a new loop begins only
// when no thread is inside the last one (busy == 0).
struct vklm_workers {
    pthread_mutex_t lock;
    pthread_cond_t begun, ended;
    pthread_t threads[MAX_THREADS];
    unsigned n_threads; // beside the caller
    unsigned busy;
    bool stop;
    uint64_t next, n, batch;
    vklm_work work;
    void *opaque;
};

// Takes pieces until none is left. Called and left with the lock held.
static void take_pieces(vklm_workers *w)
{
    w->busy++;
    while (w->next < w->n) {
        uint64_t first = w->next, end = w->n - first < w->batch ? w->n : first + w->batch;
        w->next = end;
        vklm_work work = w->work;
        void *opaque = w->opaque;
        pthread_mutex_unlock(&w->lock);
        work(opaque, first, end);
        pthread_mutex_lock(&w->lock);
    }
    if (--w->busy == 0)
        pthread_cond_broadcast(&w->ended);
}

static void *run_thread(void *opaque)
{
    vklm_workers *w = opaque;
    pthread_mutex_lock(&w->lock);
    while (!w->stop) {
        if (w->next < w->n)
            take_pieces(w);
        else
            pthread_cond_wait(&w->begun, &w->lock);
    }
    pthread_mutex_unlock(&w->lock);
    return NULL;
}

vklm_status vklm_workers_create(unsigned n_threads, vklm_workers **out_workers)
{
    *out_workers = NULL;
    vklm_workers *w = vklm_alloc(1, sizeof *w);
    if (!w)
        return vklm_fail_memory("the worker threads");
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->begun, NULL);
    pthread_cond_init(&w->ended, NULL);
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    if (n_threads == 0)
        n_threads = online > 1 ? (unsigned)online : 1;
    if (n_threads > MAX_THREADS)
        n_threads = MAX_THREADS;
    // With fewer threads than wanted the work takes longer, that is all.
    while (w->n_threads + 1 < n_threads &&
           pthread_create(&w->threads[w->n_threads], NULL, run_thread, w) == 0)
        w->n_threads++;
    *out_workers = w;
    return VKLM_OK;
}

void vklm_workers_destroy(vklm_workers *workers)
{
    if (!workers)
        return;
    pthread_mutex_lock(&workers->lock);
    workers->stop = true;
    pthread_cond_broadcast(&workers->begun);
    pthread_mutex_unlock(&workers->lock);
    for (unsigned i = 0; i < workers->n_threads; i++)
        pthread_join(workers->threads[i], NULL);
    pthread_mutex_destroy(&workers->lock);
    pthread_cond_destroy(&workers->begun);
    pthread_cond_destroy(&workers->ended);
    free(workers);
}

unsigned vklm_workers_count(const vklm_workers *workers)
{
    return workers ? workers->n_threads + 1 : 1;
}

void vklm_workers_run(vklm_workers *workers, uint64_t n, uint64_t batch, vklm_work work,
                      void *opaque)
{
    if (!workers) {
        if (n)
            work(opaque, 0, n);
        return;
    }
    pthread_mutex_lock(&workers->lock);
    workers->next = 0;
    workers->n = n;
    workers->batch = batch ? batch : 1;
    workers->work = work;
    workers->opaque = opaque;
    pthread_cond_broadcast(&workers->begun);
    take_pieces(workers);
    while (workers->busy)
        pthread_cond_wait(&workers->ended, &workers->lock);
    workers->n = 0;
    pthread_mutex_unlock(&workers->lock);
}
