/* SPDX-License-Identifier: MIT */
#include "controller/repo/pack_sink.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

#include "common/base/mem.h"

struct pack_sink {
    pthread_t thread;
    bool started;
    pthread_mutex_t mu;
    pthread_cond_t changed;
    struct full_pack *queue, **queue_end; /* waiting, in order */
    struct full_pack *done, **done_end;   /* durable, in order */
    unsigned pending;                     /* waiting, or being committed */
    bool stop;
    struct error failed; /* the first failure; code 0: none */
};

void full_pack_free(struct full_pack *p)
{
    if (!p)
        return;
    store_abort(p->file);
    free(p->entries);
    free(p);
}

static void free_list(struct full_pack *p)
{
    while (p) {
        struct full_pack *next = p->next;

        full_pack_free(p);
        p = next;
    }
}

struct pack_sink *pack_sink_new(void)
{
    struct pack_sink *s = mem_zalloc(sizeof(*s));

    pthread_mutex_init(&s->mu, NULL);
    pthread_cond_init(&s->changed, NULL);
    s->queue_end = &s->queue;
    s->done_end = &s->done;
    return s;
}

static int commit(struct full_pack *p, struct error *e)
{
    char name[PACK_NAME_MAX + 1];
    struct store_file *file = p->file;

    pack_name(&p->id, name);
    p->file = NULL;
    return store_commit_take(file, name, e);
}

static void *run(void *arg)
{
    struct pack_sink *s = arg;

    pthread_mutex_lock(&s->mu);
    for (;;) {
        struct full_pack *p;
        struct error e = {0};
        int rc;

        while (!s->queue && !s->stop)
            pthread_cond_wait(&s->changed, &s->mu);
        if (s->stop)
            break;
        p = s->queue;
        s->queue = p->next;
        if (!s->queue)
            s->queue_end = &s->queue;
        p->next = NULL;
        pthread_mutex_unlock(&s->mu);
        rc = commit(p, &e);
        pthread_mutex_lock(&s->mu);
        if (rc < 0) {
            if (!s->failed.code)
                s->failed = e;
            full_pack_free(p);
        } else {
            *s->done_end = p;
            s->done_end = &p->next;
        }
        s->pending--;
        pthread_cond_broadcast(&s->changed);
    }
    pthread_mutex_unlock(&s->mu);
    return NULL;
}

/* With all signals blocked: they belong to the program's own threads. */
static int start(struct pack_sink *s, struct error *e)
{
    sigset_t all, old;
    int err;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    err = pthread_create(&s->thread, NULL, run, s);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (err)
        return error_set(e, -err, "cannot start a thread for writing packs");
    s->started = true;
    return 0;
}

void pack_sink_free(struct pack_sink *s)
{
    if (!s)
        return;
    if (s->started) {
        pthread_mutex_lock(&s->mu);
        s->stop = true;
        pthread_cond_broadcast(&s->changed);
        pthread_mutex_unlock(&s->mu);
        pthread_join(s->thread, NULL);
    }
    free_list(s->queue);
    free_list(s->done);
    pthread_mutex_destroy(&s->mu);
    pthread_cond_destroy(&s->changed);
    free(s);
}

static int failure(struct pack_sink *s, struct error *e)
{
    return s->failed.code ? error_set(e, s->failed.code, "%s", s->failed.text)
                          : 0;
}

int pack_sink_give(struct pack_sink *s, struct full_pack *p, struct error *e)
{
    int rc = s->started ? 0 : start(s, e);

    if (rc < 0) {
        full_pack_free(p);
        return rc;
    }
    pthread_mutex_lock(&s->mu);
    while (s->pending >= SINK_QUEUE_MAX && !s->failed.code)
        pthread_cond_wait(&s->changed, &s->mu);
    rc = failure(s, e);
    if (rc == 0) {
        p->next = NULL;
        *s->queue_end = p;
        s->queue_end = &p->next;
        s->pending++;
        pthread_cond_broadcast(&s->changed);
    }
    pthread_mutex_unlock(&s->mu);
    if (rc < 0)
        full_pack_free(p);
    return rc;
}

int pack_sink_take(struct pack_sink *s, bool all, struct full_pack **out,
                   struct error *e)
{
    int rc;

    *out = NULL;
    pthread_mutex_lock(&s->mu);
    while (all && s->pending && !s->failed.code)
        pthread_cond_wait(&s->changed, &s->mu);
    rc = failure(s, e);
    if (rc == 0) {
        *out = s->done;
        s->done = NULL;
        s->done_end = &s->done;
    }
    pthread_mutex_unlock(&s->mu);
    return rc;
}
