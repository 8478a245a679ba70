/* SPDX-License-Identifier: MIT */
/* A ring of files between the walk, which adds and takes at its two ends, and
 * the thread that reads those in between. */
#include "agent/capture/ahead.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "agent/capture/capture_internal.h"
#include "common/base/mem.h"

enum slot_state { SLOT_WAITS, SLOT_IN_WORK, SLOT_READ, SLOT_NOTHING };

struct slot {
    enum slot_state state;
    int dir_fd;
    const char *name;
    uint8_t *data; /* AHEAD_BYTES, made at first use */
    struct ahead_file file;
};

struct ahead {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t more; /* work came, or the end */
    pthread_cond_t done; /* the file in work is read */

    /* under lock */
    struct slot slots[AHEAD_FILES]; /* a ring */
    size_t first, count;
    size_t begun; /* of them, no longer waiting: they come first */
    bool lent;    /* the first one is with the taker */
    bool closing;
};

static struct slot *at(struct ahead *a, size_t i)
{
    return &a->slots[(a->first + i) % AHEAD_FILES];
}

/* One file: SLOT_READ, or SLOT_NOTHING for whatever the walk should see with
 * its own eyes. */
static enum slot_state read_slot(struct slot *s)
{
    struct ahead_file *f = &s->file;
    struct stat st;
    ssize_t n;

    f->fd = read_open(s->dir_fd, s->name);
    if (f->fd < 0)
        return SLOT_NOTHING;
    if (fstat(f->fd, &st) < 0 || !S_ISREG(st.st_mode) ||
        st.st_size > AHEAD_BYTES)
        goto nothing;
    if (!s->data)
        s->data = mem_alloc(AHEAD_BYTES);
    n = read_full(f->fd, s->data, (size_t)st.st_size);
    if (n < 0)
        goto nothing;
    f->opened = attr_of(&st);
    f->data = s->data;
    f->len = (size_t)n;
    f->sum = digest_of(s->data, (size_t)n);
    f->no_xattrs = flistxattr(f->fd, NULL, 0) == 0;
    return SLOT_READ;
nothing:
    close(f->fd);
    return SLOT_NOTHING;
}

static void *run(void *arg)
{
    struct ahead *a = arg;

    pthread_mutex_lock(&a->lock);
    for (;;) {
        enum slot_state state;
        struct slot *s;

        while (a->begun == a->count && !a->closing)
            pthread_cond_wait(&a->more, &a->lock);
        if (a->closing)
            break;
        s = at(a, a->begun++);
        s->state = SLOT_IN_WORK;
        pthread_mutex_unlock(&a->lock);
        state = read_slot(s);
        pthread_mutex_lock(&a->lock);
        s->state = state;
        pthread_cond_signal(&a->done);
    }
    pthread_mutex_unlock(&a->lock);
    return NULL;
}

struct ahead *ahead_new(void)
{
    struct ahead *a = mem_zalloc(sizeof(*a));

    pthread_mutex_init(&a->lock, NULL);
    pthread_cond_init(&a->more, NULL);
    pthread_cond_init(&a->done, NULL);
    if (pthread_create(&a->thread, NULL, run, a) == 0)
        return a;
    free(a);
    return NULL;
}

static void pop(struct ahead *a)
{
    a->first = (a->first + 1) % AHEAD_FILES;
    a->count--;
    if (a->begun > 0)
        a->begun--;
    a->lent = false;
}

static void wait_for(struct ahead *a, const struct slot *s)
{
    while (s->state == SLOT_IN_WORK)
        pthread_cond_wait(&a->done, &a->lock);
}

/* The first is not wanted, or was lent and is given back. */
static void discard(struct ahead *a)
{
    struct slot *s = at(a, 0);

    wait_for(a, s);
    if (s->state == SLOT_READ && !a->lent)
        close(s->file.fd);
    pop(a);
}

bool ahead_has_room(struct ahead *a)
{
    bool room;

    pthread_mutex_lock(&a->lock);
    if (a->lent)
        pop(a);
    room = a->count < AHEAD_FILES;
    pthread_mutex_unlock(&a->lock);
    return room;
}

void ahead_add(struct ahead *a, int dir_fd, const char *name)
{
    struct slot *s;

    pthread_mutex_lock(&a->lock);
    s = at(a, a->count++);
    s->state = SLOT_WAITS;
    s->dir_fd = dir_fd;
    s->name = name;
    if (a->count == a->begun + 1)
        pthread_cond_signal(&a->more);
    pthread_mutex_unlock(&a->lock);
}

/* How many stand before it in the ring; `count` when it is not there. */
static size_t find(struct ahead *a, const char *name)
{
    size_t i = a->lent ? 1 : 0;

    while (i < a->count && at(a, i)->name != name)
        i++;
    return i;
}

bool ahead_take(struct ahead *a, const char *name, struct ahead_file *out)
{
    struct slot *s;
    size_t before;
    bool got = false;

    pthread_mutex_lock(&a->lock);
    before = find(a, name);
    if (before < a->count) {
        while (before-- > 0)
            discard(a);
        s = at(a, 0);
        wait_for(a, s);
        got = s->state == SLOT_READ;
        if (got)
            *out = s->file;
        else
            pop(a);
        a->lent = got;
    }
    pthread_mutex_unlock(&a->lock);
    return got;
}

void ahead_drop(struct ahead *a)
{
    if (!a)
        return;
    pthread_mutex_lock(&a->lock);
    while (a->count > 0)
        discard(a);
    pthread_mutex_unlock(&a->lock);
}

void ahead_free(struct ahead *a)
{
    if (!a)
        return;
    ahead_drop(a);
    pthread_mutex_lock(&a->lock);
    a->closing = true;
    pthread_cond_signal(&a->more);
    pthread_mutex_unlock(&a->lock);
    pthread_join(a->thread, NULL);
    pthread_cond_destroy(&a->done);
    pthread_cond_destroy(&a->more);
    pthread_mutex_destroy(&a->lock);
    for (size_t i = 0; i < AHEAD_FILES; i++)
        free(a->slots[i].data);
    free(a);
}
