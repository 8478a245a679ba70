/* SPDX-License-Identifier: MIT */
/* Writing the entry list, and binding it to the snapshot it stands for. */
#include "agent/capture/cache.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/capture/capture.h"
#include "common/base/buf.h"
#include "common/base/files.h"
#include "common/base/log.h"
#include "common/base/mem.h"

#define WRITE_BLOCK 65536

struct cache_writer {
    int fd;
    int failed; /* the first error of a write */
    char *path;
    struct buf out;  /* not yet written */
    struct buf last; /* path of the record before */
    struct buf turn; /* the end of the file */
    struct digest digest;
};

static void flush(struct cache_writer *w)
{
    if (w->failed == 0)
        w->failed = fd_write_all(w->fd, w->out.data, w->out.len);
    buf_clear(&w->out);
}

struct cache_writer *
cache_create(const char *path, const struct id *fingerprint, int64_t start_ns)
{
    static const uint8_t no_key[ID_LEN];
    struct cache_writer *w;
    uint8_t *rest;
    int fd;

    unlink(path);
    fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0) {
        log_warn("cache=%s cannot be written: %m", path);
        return NULL;
    }
    w = mem_zalloc(sizeof(*w));
    w->fd = fd;
    w->path = mem_strdup(path);
    buf_add(&w->out, CACHE_MAGIC, CACHE_MAGIC_LEN);
    buf_add(&w->out, no_key, ID_LEN);
    buf_add(&w->out, fingerprint->b, ID_LEN);
    buf_add_u32le(&w->out, (uint32_t)start_ns);
    buf_add_u32le(&w->out, (uint32_t)((uint64_t)start_ns >> 32));
    rest = w->out.data + CACHE_KEY_OFFSET + ID_LEN;
    digest_init(&w->digest);
    digest_add(&w->digest, rest, ID_LEN + 8);
    return w;
}

static void add_number(struct buf *b, uint64_t v)
{
    uint8_t *p = buf_reserve(b, 10);

    for (; v >= 0x80; v >>= 7)
        *p++ = (uint8_t)(v | 0x80);
    *p++ = (uint8_t)v;
    b->len = (size_t)(p - b->data);
}

static void add_i64(struct buf *b, int64_t ns)
{
    buf_add_u32le(b, (uint32_t)ns);
    buf_add_u32le(b, (uint32_t)((uint64_t)ns >> 32));
}

static void add_path(struct cache_writer *w, const char *path, size_t len)
{
    size_t shared = 0;

    while (shared < len && shared < w->last.len &&
           path[shared] == (char)w->last.data[shared])
        shared++;
    add_number(&w->out, shared);
    add_number(&w->out, len - shared);
    buf_add(&w->out, path + shared, len - shared);
    w->last.len = shared;
    buf_add(&w->last, path + shared, len - shared);
}

static void add_attr(struct buf *b, const struct attr *a)
{
    add_number(b, a->mode);
    add_number(b, a->uid);
    add_number(b, a->gid);
    add_number(b, a->links);
    add_number(b, a->size);
    add_i64(b, a->mtime_ns);
    add_i64(b, a->ctime_ns);
    add_number(b, a->inode);
    add_number(b, a->device);
}

static void add_wal(struct buf *b, const struct cache_record *rec)
{
    buf_add_byte(b, rec->has_wal);
    if (!rec->has_wal)
        return;
    add_number(b, rec->wal.size);
    add_i64(b, rec->wal.mtime_ns);
    add_i64(b, rec->wal.ctime_ns);
    add_number(b, rec->wal.inode);
}

static void add_content(struct buf *b, const struct cache_record *rec)
{
    add_number(b, rec->stored_size);
    buf_add(b, rec->sum.b, ID_LEN);
    add_number(b, rec->id_count);
    if (rec->id_count > 1)
        buf_add(b, rec->ids, rec->id_count * sizeof(*rec->ids));
}

void cache_add(struct cache_writer *w, const char *path, size_t len,
               const struct cache_record *rec)
{
    size_t start = w->out.len;

    buf_add_byte(&w->out, (uint8_t)rec->kind);
    add_path(w, path, len);
    add_attr(&w->out, &rec->attr);
    switch (rec->kind) {
    case CACHE_DIR:
        add_number(&w->out, rec->children);
        buf_add(&w->out, rec->sum.b, ID_LEN);
        break;
    case CACHE_DATABASE:
    case CACHE_ROWS:
        add_wal(&w->out, rec);
        if (rec->kind == CACHE_ROWS)
            buf_add(&w->out, rec->query.b, ID_LEN);
        add_content(&w->out, rec);
        break;
    case CACHE_FILE:
        add_content(&w->out, rec);
        break;
    case CACHE_SYMLINK:
    case CACHE_FIFO:
        break;
    }
    digest_add(&w->digest, w->out.data + start, w->out.len - start);
    if (w->out.len >= WRITE_BLOCK)
        flush(w);
}

void cache_set_turn(struct cache_writer *w, const struct cache_turn *t)
{
    buf_clear(&w->turn);
    add_i64(&w->turn, t->spent);
    add_i64(&w->turn, (int64_t)t->size);
    buf_add(&w->turn, t->after.data, t->after.len);
    buf_add_u32le(&w->turn, (uint32_t)t->after.len);
}

void cache_finish(struct cache_writer *w, bool keep)
{
    static const struct cache_turn first;
    struct id sum;

    if (!w)
        return;
    if (w->turn.len == 0)
        cache_set_turn(w, &first);
    buf_add(&w->out, w->turn.data, w->turn.len);
    digest_add(&w->digest, w->turn.data, w->turn.len);
    sum = digest_end(&w->digest);
    buf_add(&w->out, sum.b, ID_LEN);
    flush(w);
    if (close(w->fd) < 0 && w->failed == 0)
        w->failed = -1;
    if (w->failed < 0 && keep)
        log_warn("cache=%s could not be written", w->path);
    if (w->failed < 0 || !keep)
        unlink(w->path);
    buf_free(&w->out);
    buf_free(&w->last);
    buf_free(&w->turn);
    free(w->path);
    free(w);
}

int capture_cache_commit(const char *cache_path, const char *cache_key,
                         struct error *e)
{
    struct id key = digest_of(cache_key, strlen(cache_key));
    char *fresh = mem_printf("%s.new", cache_path);
    int fd = open(fresh, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
    int rc = 0;

    if (fd < 0) {
        rc = error_errno(e, "%s", fresh);
        goto out;
    }
    if (pwrite(fd, key.b, ID_LEN, CACHE_KEY_OFFSET) != ID_LEN || fsync(fd) < 0)
        rc = error_errno(e, "%s", fresh);
    close(fd);
    if (rc == 0 && rename(fresh, cache_path) < 0)
        rc = error_errno(e, "%s", cache_path);
    if (rc == 0)
        rc = dir_sync_of(cache_path, e);
out:
    free(fresh);
    return rc;
}
