/* SPDX-License-Identifier: MIT */
/* A ring under a mutex. */
#include "controller/api/flow.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"

struct flow {
    atomic_int refs;
    pthread_mutex_t lock;
    pthread_cond_t moved;
    void (*wake)(void *arg);
    void *arg;
    bool loop_waits; /* the loop's end found nothing to do */
    bool ended, aborted;
    int rc;            /* of the writer, once ended */
    size_t head, used; /* the ring */
    uint8_t ring[FLOW_BYTES];
};

struct flow *flow_new(void (*wake)(void *arg), void *arg)
{
    struct flow *f = mem_alloc(sizeof(*f));

    memset(f, 0, offsetof(struct flow, ring));
    atomic_init(&f->refs, 1);
    pthread_mutex_init(&f->lock, NULL);
    pthread_cond_init(&f->moved, NULL);
    f->wake = wake;
    f->arg = arg;
    return f;
}

struct flow *flow_ref(struct flow *f)
{
    atomic_fetch_add(&f->refs, 1);
    return f;
}

void flow_unref(struct flow *f)
{
    if (!f || atomic_fetch_sub(&f->refs, 1) != 1)
        return;
    pthread_mutex_destroy(&f->lock);
    pthread_cond_destroy(&f->moved);
    free(f);
}

static size_t ring_put(struct flow *f, const uint8_t *p, size_t len)
{
    size_t done = 0;

    while (done < len && f->used < FLOW_BYTES) {
        size_t at = (f->head + f->used) % FLOW_BYTES;
        size_t n = at >= f->head ? FLOW_BYTES - at : f->head - at;

        if (n > len - done)
            n = len - done;
        if (n > FLOW_BYTES - f->used)
            n = FLOW_BYTES - f->used;
        memcpy(f->ring + at, p + done, n);
        f->used += n;
        done += n;
    }
    return done;
}

static size_t ring_take(struct flow *f, uint8_t *p, size_t max)
{
    size_t done = 0;

    while (done < max && f->used > 0) {
        size_t n = FLOW_BYTES - f->head;

        if (n > f->used)
            n = f->used;
        if (n > max - done)
            n = max - done;
        memcpy(p + done, f->ring + f->head, n);
        f->head = (f->head + n) % FLOW_BYTES;
        f->used -= n;
        done += n;
    }
    return done;
}

/* With the lock held; the loop's end is told once per wait. */
static void wake_loop(struct flow *f)
{
    if (f->loop_waits) {
        f->loop_waits = false;
        f->wake(f->arg);
    }
}

int flow_put(struct flow *f, const void *p, size_t len, struct error *e)
{
    const uint8_t *at = p;
    bool aborted;

    pthread_mutex_lock(&f->lock);
    while (len > 0 && !f->aborted) {
        size_t n = ring_put(f, at, len);

        at += n;
        len -= n;
        wake_loop(f);
        if (len > 0)
            pthread_cond_wait(&f->moved, &f->lock);
    }
    aborted = f->aborted;
    pthread_mutex_unlock(&f->lock);
    return aborted ? error_set(e, OCM_E_CANCELLED, "the client went away") : 0;
}

ssize_t flow_take(struct flow *f, void *p, size_t max, struct error *e)
{
    ssize_t n;

    pthread_mutex_lock(&f->lock);
    while (f->used == 0 && !f->ended && !f->aborted)
        pthread_cond_wait(&f->moved, &f->lock);
    if (f->aborted || (f->used == 0 && f->rc < 0)) {
        n = error_set(e, OCM_E_CANCELLED, "the upload was broken off");
    } else {
        n = (ssize_t)ring_take(f, p, max);
        wake_loop(f);
    }
    pthread_mutex_unlock(&f->lock);
    return n;
}

ssize_t flow_take_now(struct flow *f, void *p, size_t max)
{
    ssize_t n;

    pthread_mutex_lock(&f->lock);
    n = (ssize_t)ring_take(f, p, max);
    if (n > 0)
        pthread_cond_signal(&f->moved);
    else if (f->aborted)
        n = FLOW_FAILED;
    else if (f->ended)
        n = f->rc < 0 ? FLOW_FAILED : FLOW_END;
    else
        f->loop_waits = true;
    pthread_mutex_unlock(&f->lock);
    return n;
}

size_t flow_put_now(struct flow *f, const void *p, size_t len)
{
    size_t n;

    pthread_mutex_lock(&f->lock);
    if (f->aborted || f->ended) {
        n = len; /* nobody reads it: let the rest of the body pass */
    } else {
        n = ring_put(f, p, len);
        if (n > 0)
            pthread_cond_signal(&f->moved);
        else
            f->loop_waits = true;
    }
    pthread_mutex_unlock(&f->lock);
    return n;
}

bool flow_ready(struct flow *f)
{
    bool ready;

    pthread_mutex_lock(&f->lock);
    ready = !f->loop_waits;
    pthread_mutex_unlock(&f->lock);
    return ready;
}

void flow_end(struct flow *f, int rc)
{
    pthread_mutex_lock(&f->lock);
    f->ended = true;
    f->rc = rc;
    pthread_cond_signal(&f->moved);
    wake_loop(f);
    pthread_mutex_unlock(&f->lock);
}

void flow_abort(struct flow *f)
{
    pthread_mutex_lock(&f->lock);
    f->aborted = true;
    f->used = 0;
    pthread_cond_broadcast(&f->moved);
    wake_loop(f);
    pthread_mutex_unlock(&f->lock);
}
