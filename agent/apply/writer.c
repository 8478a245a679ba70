/* SPDX-License-Identifier: MIT */
/* Creating files is bound by system calls, fetching by the network, zstd and
 * SHA-256: two threads keep both going. */
#include "agent/apply/writer.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/files.h"
#include "common/base/mem.h"

#define WRITER_MAX_ITEMS 512
#define WRITER_MAX_BYTES (4u * 1024 * 1024) /* and one item */
#define WRITER_HOLE 4096u /* zero runs of this size are not written */

enum item_kind {
    ITEM_DIR,
    ITEM_FILE, /* begin, data, finish in one */
    ITEM_BEGIN,
    ITEM_DATA,
    ITEM_FINISH,
    ITEM_END
};

struct item {
    enum item_kind kind;
    int fd;         /* ITEM_DIR */
    uint32_t entry; /* ITEM_FILE, ITEM_BEGIN */
    bool keep;      /* ITEM_FINISH */
    uint8_t *data;  /* ITEM_FILE, ITEM_DATA; owned */
    size_t len;
};

struct writer {
    const struct apply *a;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t more, room;
    bool idle, waiting; /* the thread for more; the caller for room */
    struct item items[WRITER_MAX_ITEMS]; /* a ring */
    size_t first, count, bytes;
    int rc; /* of the first failure */
    struct error e;
    /* the thread's own */
    int dir, file;
    uint32_t entry;
    uint64_t off;
    bool hole; /* the file ends in one */
};

/* ---- the thread ---- */

static int fail(struct writer *w, struct error *e)
{
    struct buf path = {0};
    int rc = -errno;

    target_path(w->a, w->entry, &path);
    errno = -rc;
    rc = rc == -ENOSPC || rc == -EDQUOT
             ? error_set(e, OCM_E_SPACE, "no space left while staging %s",
                         buf_str(&path))
             : error_errno(e, "staging %s", buf_str(&path));
    buf_free(&path);
    return rc;
}

static bool is_zero(const uint8_t *p, size_t len)
{
    return p[0] == 0 && memcmp(p, p + 1, len - 1) == 0;
}

/* Write from the current offset, seeking over whole blocks of zeros. */
static int write_sparse(struct writer *w, const uint8_t *p, size_t len)
{
    while (len > 0) {
        size_t lead = (size_t)(-w->off & (WRITER_HOLE - 1)), run = 0;
        int rc;

        while (lead == 0 && len - run >= WRITER_HOLE &&
               is_zero(p + run, WRITER_HOLE))
            run += WRITER_HOLE;
        w->hole = run > 0;
        if (run > 0) {
            if (lseek(w->file, (off_t)run, SEEK_CUR) < 0)
                return -errno;
        } else {
            run = lead < len ? lead : len;
            if (lead == 0)
                run = len < WRITER_HOLE ? len : WRITER_HOLE;
            while (len - run >= WRITER_HOLE && !is_zero(p + run, WRITER_HOLE))
                run += WRITER_HOLE;
            if (len - run < WRITER_HOLE)
                run = len;
            rc = fd_write_all(w->file, p, run);
            if (rc < 0)
                return rc;
        }
        w->off += run;
        p += run;
        len -= run;
    }
    return 0;
}

static int finish(struct writer *w, bool keep, struct error *e)
{
    const struct snap_entry *n = &w->a->snap.entries[w->entry];
    int rc = 0;

    if (w->hole && keep && ftruncate(w->file, (off_t)w->off) < 0)
        rc = fail(w, e);
    /* what the adaptation will edit stays private until then */
    if (rc == 0 && keep && !(n->flags & (SNAP_LOOK | SNAP_CHECK)))
        rc = attr_set_fd(w->a, n, w->file, e);
    if (close(w->file) < 0 && rc == 0)
        rc = fail(w, e);
    w->file = -1;
    if (!keep)
        unlinkat(w->dir, stage_name(w->a, w->entry), 0);
    return rc;
}

static int begin(struct writer *w, uint32_t entry, struct error *e)
{
    w->entry = entry;
    w->off = 0;
    w->hole = false;
    w->file =
        openat(w->dir, stage_name(w->a, entry),
               O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    return w->file < 0 ? fail(w, e) : 0;
}

static int data(struct writer *w, const uint8_t *p, size_t len, struct error *e)
{
    int rc = len > 0 ? write_sparse(w, p, len) : 0;

    if (rc < 0) {
        errno = -rc;
        return fail(w, e);
    }
    return 0;
}

static int handle(struct writer *w, struct item *item, struct error *e)
{
    int rc = 0;

    switch (item->kind) {
    case ITEM_DIR:
        if (w->dir >= 0)
            close(w->dir);
        w->dir = item->fd;
        item->fd = -1;
        break;
    case ITEM_FILE:
        rc = begin(w, item->entry, e);
        if (rc == 0)
            rc = data(w, item->data, item->len, e);
        if (rc == 0)
            rc = finish(w, true, e);
        break;
    case ITEM_BEGIN:
        rc = begin(w, item->entry, e);
        break;
    case ITEM_DATA:
        rc = data(w, item->data, item->len, e);
        break;
    case ITEM_FINISH:
        rc = finish(w, item->keep, e);
        break;
    case ITEM_END:
        break;
    }
    return rc;
}

static void *run(void *arg)
{
    struct writer *w = arg;
    struct item item = {.kind = ITEM_DIR};

    while (item.kind != ITEM_END) {
        struct error e = {0};
        bool broken;
        int rc = 0;

        pthread_mutex_lock(&w->lock);
        w->idle = w->count == 0;
        while (w->count == 0)
            pthread_cond_wait(&w->more, &w->lock);
        w->idle = false;
        item = w->items[w->first];
        w->first = (w->first + 1) % WRITER_MAX_ITEMS;
        w->count--;
        broken = w->rc < 0;
        pthread_mutex_unlock(&w->lock);
        if (!broken)
            rc = handle(w, &item, &e);
        if (item.kind == ITEM_DIR && item.fd >= 0)
            close(item.fd);
        free(item.data);
        pthread_mutex_lock(&w->lock);
        w->bytes -= item.len;
        if (rc < 0 && w->rc == 0) {
            w->rc = rc;
            w->e = e;
        }
        /* not for every piece: half a queue of room first */
        if (w->waiting && w->count <= WRITER_MAX_ITEMS / 2 &&
            w->bytes <= WRITER_MAX_BYTES / 2)
            pthread_cond_signal(&w->room);
        pthread_mutex_unlock(&w->lock);
    }
    if (w->file >= 0)
        close(w->file);
    if (w->dir >= 0)
        close(w->dir);
    return NULL;
}

/* ---- the caller ---- */

struct writer *writer_new(const struct apply *a)
{
    struct writer *w = mem_zalloc(sizeof(*w));

    w->a = a;
    w->dir = w->file = -1;
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->more, NULL);
    pthread_cond_init(&w->room, NULL);
    if (pthread_create(&w->thread, NULL, run, w) != 0) {
        free(w);
        return NULL;
    }
    return w;
}

static int push(struct writer *w, struct item item, struct error *e)
{
    int rc;

    pthread_mutex_lock(&w->lock);
    while (w->count == WRITER_MAX_ITEMS || w->bytes > WRITER_MAX_BYTES) {
        w->waiting = true;
        pthread_cond_wait(&w->room, &w->lock);
    }
    w->waiting = false;
    w->items[(w->first + w->count) % WRITER_MAX_ITEMS] = item;
    w->count++;
    w->bytes += item.len;
    rc = w->rc;
    if (rc < 0 && e)
        *e = w->e;
    if (w->idle)
        pthread_cond_signal(&w->more);
    pthread_mutex_unlock(&w->lock);
    return rc;
}

int writer_dir(struct writer *w, int fd, struct error *e)
{
    return push(w, (struct item){.kind = ITEM_DIR, .fd = fd}, e);
}

int writer_file(struct writer *w, uint32_t entry, uint8_t *p, size_t len,
                bool take, struct error *e)
{
    return push(w,
                (struct item){.kind = ITEM_FILE,
                              .entry = entry,
                              .data = take || len == 0 ? p : mem_dup(p, len),
                              .len = len},
                e);
}

int writer_begin(struct writer *w, uint32_t entry, struct error *e)
{
    return push(w, (struct item){.kind = ITEM_BEGIN, .entry = entry}, e);
}

int writer_data(struct writer *w, const void *p, size_t len, struct error *e)
{
    if (len == 0)
        return 0;
    return push(
        w,
        (struct item){.kind = ITEM_DATA, .data = mem_dup(p, len), .len = len},
        e);
}

int writer_finish(struct writer *w, bool keep, struct error *e)
{
    return push(w, (struct item){.kind = ITEM_FINISH, .keep = keep}, e);
}

int writer_end(struct writer *w, struct error *e)
{
    int rc;

    push(w, (struct item){.kind = ITEM_END}, NULL);
    pthread_join(w->thread, NULL);
    rc = w->rc;
    if (rc < 0 && e)
        *e = w->e;
    pthread_mutex_destroy(&w->lock);
    pthread_cond_destroy(&w->more);
    pthread_cond_destroy(&w->room);
    free(w);
    return rc;
}
