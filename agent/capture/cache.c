/* SPDX-License-Identifier: MIT */
/* Reading the entry list: checked as a whole first, then record by record. */
#include "agent/capture/cache.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/files.h"
#include "common/base/log.h"
#include "common/base/mem.h"

#define READ_BLOCK 65536

struct cache_reader {
    int fd;
    uint64_t left; /* bytes of records not yet read from fd */
    uint8_t *block;
    size_t pos, len; /* unread part of block */
    bool bad;        /* a record did not parse: as if the list ended */
    bool have;       /* `rec` and `path` hold a record not yet passed */
    struct buf path;
    struct cache_turn turn;
    struct cache_record rec;
    struct id *ids;
    size_t ids_cap;
};

int cache_order(const char *a, size_t a_len, const char *b, size_t b_len)
{
    size_t n = a_len < b_len ? a_len : b_len;
    size_t i = 0;

    while (i < n && a[i] == b[i])
        i++;
    if (i == a_len && i == b_len)
        return 0;
    /* a folder comes behind its content, a shorter name before a longer */
    if (i == a_len)
        return b[i] == '/' || i == 0 ? 1 : -1;
    if (i == b_len)
        return a[i] == '/' || i == 0 ? -1 : 1;
    if (a[i] == '/' || b[i] == '/')
        return a[i] == '/' ? -1 : 1;
    return (unsigned char)a[i] < (unsigned char)b[i] ? -1 : 1;
}

/* Does the digest at the end fit all from the fingerprint on? */
static bool is_whole(int fd, uint64_t size)
{
    uint8_t *block = mem_alloc(READ_BLOCK);
    uint64_t at = CACHE_KEY_OFFSET + ID_LEN, end = size - ID_LEN;
    struct id want, got;
    struct digest d;
    bool ok = true;

    digest_init(&d);
    while (ok && at < end) {
        size_t n = end - at < READ_BLOCK ? (size_t)(end - at) : READ_BLOCK;

        ok = fd_pread_all(fd, block, n, (off_t)at) == 0;
        digest_add(&d, block, n);
        at += n;
    }
    got = digest_end(&d);
    ok = ok && fd_pread_all(fd, want.b, ID_LEN, (off_t)end) == 0 &&
         id_equal(&got, &want);
    free(block);
    return ok;
}

/* The turn stands between the records and the sum: its length, or 0. */
static size_t read_turn(int fd, uint64_t size, struct cache_turn *t)
{
    uint8_t raw[16], len[4];
    uint64_t room = size - CACHE_HEAD_LEN;
    size_t path_len;

    if (room < sizeof(raw) + CACHE_TAIL_LEN ||
        fd_pread_all(fd, len, 4, (off_t)(size - CACHE_TAIL_LEN)) < 0)
        return 0;
    path_len = read_u32le(len);
    room -= sizeof(raw) + CACHE_TAIL_LEN;
    if (path_len > CACHE_PATH_MAX || path_len > room)
        return 0;
    size -= path_len + CACHE_TAIL_LEN;
    buf_clear(&t->after);
    if (fd_pread_all(fd, raw, sizeof(raw), (off_t)(size - sizeof(raw))) < 0 ||
        fd_pread_all(fd, buf_reserve(&t->after, path_len), path_len,
                     (off_t)size) < 0)
        return 0;
    t->after.len = path_len;
    t->spent = (int64_t)read_u64le(raw);
    t->size = read_u64le(raw + 8);
    return sizeof(raw) + path_len + CACHE_TAIL_LEN;
}

struct cache_reader *cache_open(const char *path, const char *key,
                                const struct id *fingerprint, int64_t *start_ns)
{
    struct id want = digest_of(key, strlen(key));
    uint8_t head[CACHE_HEAD_LEN];
    struct cache_turn turn = {0};
    struct cache_reader *r;
    struct stat st;
    size_t tail;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);

    if (fd < 0)
        return NULL;
    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) ||
        st.st_size < (off_t)(CACHE_HEAD_LEN + ID_LEN) ||
        fd_pread_all(fd, head, sizeof(head), 0) < 0 ||
        memcmp(head, CACHE_MAGIC, CACHE_MAGIC_LEN) != 0 ||
        memcmp(head + CACHE_KEY_OFFSET, want.b, ID_LEN) != 0 ||
        memcmp(head + CACHE_KEY_OFFSET + ID_LEN, fingerprint->b, ID_LEN) != 0) {
        log_info("cache=%s of another backup, not used", path);
        close(fd);
        return NULL;
    }
    tail = is_whole(fd, (uint64_t)st.st_size)
               ? read_turn(fd, (uint64_t)st.st_size, &turn)
               : 0;
    if (tail == 0) {
        log_warn("cache=%s damaged, not used", path);
        buf_free(&turn.after);
        close(fd);
        return NULL;
    }
    *start_ns = (int64_t)read_u64le(head + CACHE_HEAD_LEN - 8);
    lseek(fd, CACHE_HEAD_LEN, SEEK_SET);
    r = mem_zalloc(sizeof(*r));
    r->fd = fd;
    r->turn = turn;
    r->left = (uint64_t)st.st_size - CACHE_HEAD_LEN - tail;
    r->block = mem_alloc(READ_BLOCK);
    return r;
}

void cache_close(struct cache_reader *r)
{
    if (!r)
        return;
    close(r->fd);
    buf_free(&r->turn.after);
    buf_free(&r->path);
    free(r->block);
    free(r->ids);
    free(r);
}

const struct cache_turn *cache_turn(const struct cache_reader *r)
{
    return &r->turn;
}

static bool fill(struct cache_reader *r)
{
    size_t want = r->left < READ_BLOCK ? (size_t)r->left : READ_BLOCK;
    ssize_t n;

    if (want == 0)
        return false;
    do {
        n = read(r->fd, r->block, want);
    } while (n < 0 && errno == EINTR);
    if (n <= 0)
        return false;
    r->left -= (uint64_t)n;
    r->pos = 0;
    r->len = (size_t)n;
    return true;
}

static void take(struct cache_reader *r, void *out, size_t len)
{
    uint8_t *to = out;

    while (len > 0) {
        size_t n = r->len - r->pos;

        if (n == 0) {
            if (!fill(r)) {
                r->bad = true;
                memset(to, 0, len);
                return;
            }
            continue;
        }
        if (n > len)
            n = len;
        memcpy(to, r->block + r->pos, n);
        r->pos += n;
        to += n;
        len -= n;
    }
}

static uint64_t take_number(struct cache_reader *r)
{
    uint64_t v = 0;

    for (unsigned shift = 0; shift < 64; shift += 7) {
        uint8_t byte = 0;

        take(r, &byte, 1);
        v |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80))
            return v;
    }
    r->bad = true;
    return 0;
}

static int64_t take_time(struct cache_reader *r)
{
    uint8_t raw[8];

    take(r, raw, sizeof(raw));
    return (int64_t)read_u64le(raw);
}

static void take_path(struct cache_reader *r)
{
    uint64_t shared = take_number(r), more = take_number(r);

    if (r->bad || shared > r->path.len || more > CACHE_PATH_MAX - shared) {
        r->bad = true;
        return;
    }
    r->path.len = (size_t)shared;
    take(r, buf_reserve(&r->path, (size_t)more), (size_t)more);
    r->path.len += (size_t)more;
}

static void take_attr(struct cache_reader *r, struct attr *a)
{
    a->mode = (uint32_t)take_number(r);
    a->uid = (uint32_t)take_number(r);
    a->gid = (uint32_t)take_number(r);
    a->links = (uint32_t)take_number(r);
    a->size = take_number(r);
    a->mtime_ns = take_time(r);
    a->ctime_ns = take_time(r);
    a->inode = take_number(r);
    a->device = take_number(r);
}

static void take_wal(struct cache_reader *r)
{
    uint8_t present;

    take(r, &present, 1);
    r->rec.has_wal = present == 1;
    if (!r->rec.has_wal)
        return;
    r->rec.wal.size = take_number(r);
    r->rec.wal.mtime_ns = take_time(r);
    r->rec.wal.ctime_ns = take_time(r);
    r->rec.wal.inode = take_number(r);
}

static void take_content(struct cache_reader *r)
{
    uint64_t count;

    r->rec.stored_size = take_number(r);
    take(r, r->rec.sum.b, ID_LEN);
    count = take_number(r);
    if (r->bad || count > CACHE_IDS_MAX) {
        r->bad = true;
        return;
    }
    r->ids = mem_grow(r->ids, &r->ids_cap, (size_t)count, sizeof(*r->ids));
    if (count == 1)
        r->ids[0] = r->rec.sum;
    else
        take(r, r->ids, (size_t)count * sizeof(*r->ids));
    r->rec.ids = r->ids;
    r->rec.id_count = (size_t)count;
}

/* The next record into `rec` and `path`; false at the end. */
static bool next(struct cache_reader *r)
{
    uint8_t kind;

    if (r->bad || (r->pos == r->len && r->left == 0))
        return false;
    r->rec = (struct cache_record){0};
    take(r, &kind, 1);
    r->rec.kind = (enum cache_kind)kind;
    take_path(r);
    take_attr(r, &r->rec.attr);
    switch (kind) {
    case CACHE_DIR:
        r->rec.children = take_number(r);
        take(r, r->rec.sum.b, ID_LEN);
        break;
    case CACHE_DATABASE:
    case CACHE_ROWS:
        take_wal(r);
        if (kind == CACHE_ROWS)
            take(r, r->rec.query.b, ID_LEN);
        take_content(r);
        break;
    case CACHE_FILE:
        take_content(r);
        break;
    case CACHE_SYMLINK:
    case CACHE_FIFO:
        break;
    default:
        r->bad = true;
    }
    return !r->bad;
}

const struct cache_record *cache_find(struct cache_reader *r, const char *path,
                                      size_t len)
{
    int order = 1;

    while (r->have || next(r)) {
        r->have = true;
        order = cache_order((const char *)r->path.data, r->path.len, path, len);
        if (order >= 0)
            break;
        r->have = false;
    }
    return r->have && order == 0 ? &r->rec : NULL;
}
