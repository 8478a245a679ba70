/* SPDX-License-Identifier: MIT */
/* A ring of bytes and a ring of heads between the reading thread and the one
 * that compresses and sends. An item lies in one piece, so the end of the
 * byte ring may stay unused for one round. */
#include "agent/capture/upload.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/data/chunker.h"

_Static_assert(UPLOAD_RING >= CHUNK_MAX, "a chunk must fit the ring");

struct item {
    struct id id;
    enum blob_type type;
    size_t len;
    size_t end;           /* byte ring: where free space starts after it */
    const uint8_t *bytes; /* in the ring, or the waiting caller's */
};

struct upload {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t more; /* work came, or the end */
    pthread_cond_t less; /* work was done */
    struct zstream *z;
    upload_put_fn *put;
    void *arg;

    /* under lock */
    uint8_t *ring;
    size_t head, tail;               /* free from head, used from tail */
    struct item items[UPLOAD_ITEMS]; /* a ring as well */
    size_t first, count;
    bool closing;
    uint64_t bytes;
    struct error failed; /* the first failure of put */
};

static size_t bytes_used(const struct upload *u)
{
    return u->head >= u->tail ? u->head - u->tail
                              : UPLOAD_RING - u->tail + u->head;
}

/* One item: compress and put without the lock; it stays the first of the
 * ring until then, so that its bytes are safe. */
static void work_one(struct upload *u, struct buf *room)
{
    struct item *it = &u->items[u->first];
    struct error e = {0};
    struct blob b = {.id = it->id, .type = it->type};
    int rc = 0;

    if (u->failed.code == 0 && !u->closing) {
        pthread_mutex_unlock(&u->lock);
        zstream_pack(u->z, it->bytes, it->len, room, &b);
        rc = u->put(u->arg, &b, &e);
        pthread_mutex_lock(&u->lock);
        if (rc == 0) {
            u->bytes += b.stored_len;
        } else {
            u->failed = e;
            u->failed.code = rc;
        }
    }
    u->tail = it->end;
    u->first = (u->first + 1) % UPLOAD_ITEMS;
    u->count--;
    /* wake the reader for half a ring, not for every blob */
    if (u->count == 0 || u->failed.code != 0 ||
        (u->count <= UPLOAD_ITEMS / 2 && bytes_used(u) <= UPLOAD_RING / 2))
        pthread_cond_signal(&u->less);
}

static void *run(void *arg)
{
    struct upload *u = arg;
    struct buf room = {0};

    pthread_mutex_lock(&u->lock);
    for (;;) {
        while (u->count == 0 && !u->closing)
            pthread_cond_wait(&u->more, &u->lock);
        if (u->count == 0)
            break;
        work_one(u, &room);
    }
    pthread_mutex_unlock(&u->lock);
    buf_free(&room);
    return NULL;
}

struct upload *upload_new(int zstd_level, upload_put_fn *put, void *arg,
                          struct error *e)
{
    struct upload *u = mem_zalloc(sizeof(*u));
    int rc;

    u->put = put;
    u->arg = arg;
    u->z = zstream_new(zstd_level);
    u->ring = mem_alloc(UPLOAD_RING);
    pthread_mutex_init(&u->lock, NULL);
    pthread_cond_init(&u->more, NULL);
    pthread_cond_init(&u->less, NULL);
    rc = pthread_create(&u->thread, NULL, run, u);
    if (rc == 0)
        return u;
    error_set(e, -rc, "no thread for the upload: %s", strerror(rc));
    zstream_free(u->z);
    free(u->ring);
    free(u);
    return NULL;
}

/* Where `len` bytes in one piece are free; false when they are not. head ==
 * tail means empty only while there are no items. */
static bool find_room(struct upload *u, size_t len, size_t *at)
{
    if (u->count == UPLOAD_ITEMS)
        return false;
    if (u->count == 0)
        u->head = u->tail = 0;
    if (u->count == 0 || u->head > u->tail) {
        if (UPLOAD_RING - u->head >= len) {
            *at = u->head;
            return true;
        }
        *at = 0;
        return u->tail > len;
    }
    *at = u->head;
    return u->tail > u->head && u->tail - u->head > len;
}

static int failure(const struct upload *u, struct error *e)
{
    if (u->failed.code == 0)
        return 0;
    return error_set(e, u->failed.code, "%s",
                     u->failed.text[0] ? u->failed.text : "sending failed");
}

static void push(struct upload *u, enum blob_type type, const struct id *id,
                 const uint8_t *bytes, size_t len, size_t end)
{
    struct item *it = &u->items[(u->first + u->count) % UPLOAD_ITEMS];

    *it = (struct item){
        .id = *id, .type = type, .len = len, .end = end, .bytes = bytes};
    u->head = end;
    u->count++;
    pthread_cond_signal(&u->more);
}

int upload_add(struct upload *u, enum blob_type type, const struct id *id,
               const void *p, size_t len, struct error *e)
{
    size_t at = 0;
    int rc;

    pthread_mutex_lock(&u->lock);
    if (len > UPLOAD_RING) {
        while (u->count > 0)
            pthread_cond_wait(&u->less, &u->lock);
        push(u, type, id, p, len, u->head);
        while (u->count > 0)
            pthread_cond_wait(&u->less, &u->lock);
    } else {
        while (u->failed.code == 0 && !find_room(u, len, &at))
            pthread_cond_wait(&u->less, &u->lock);
        if (u->failed.code == 0) {
            if (len)
                memcpy(u->ring + at, p, len);
            push(u, type, id, u->ring + at, len, at + len);
        }
    }
    rc = failure(u, e);
    pthread_mutex_unlock(&u->lock);
    return rc;
}

int upload_drain(struct upload *u, struct error *e)
{
    int rc;

    pthread_mutex_lock(&u->lock);
    while (u->count > 0)
        pthread_cond_wait(&u->less, &u->lock);
    rc = failure(u, e);
    pthread_mutex_unlock(&u->lock);
    return rc;
}

uint64_t upload_bytes(struct upload *u)
{
    uint64_t n;

    pthread_mutex_lock(&u->lock);
    n = u->bytes;
    pthread_mutex_unlock(&u->lock);
    return n;
}

void upload_free(struct upload *u)
{
    if (!u)
        return;
    pthread_mutex_lock(&u->lock);
    u->closing = true;
    pthread_cond_signal(&u->more);
    pthread_mutex_unlock(&u->lock);
    pthread_join(u->thread, NULL);
    pthread_cond_destroy(&u->less);
    pthread_cond_destroy(&u->more);
    pthread_mutex_destroy(&u->lock);
    zstream_free(u->z);
    free(u->ring);
    free(u);
}
