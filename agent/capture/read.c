/* SPDX-License-Identifier: MIT */
/* Content of files that others write at the same time.
 *
 * Open without following links or waiting; the size is fixed by fstat on the
 * open file; read that much; then look again, at the open file and at the
 * name. Nothing moved: stable. Otherwise the same bytes are read once more:
 * a log that only grew gives the same bytes twice, which is a valid prefix.
 * A name that points to another file now (atomic replace) is read anew. After
 * READ_TRIES the last read is kept; it is torn unless the open file itself
 * stood still. */
#include "agent/capture/capture_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#include "common/base/files.h"
#include "common/base/mem.h"

#define READ_TRIES 3
#define READ_WINDOW (CHUNK_MAX + CHUNK_MAX / 2)

static const long wait_ms[READ_TRIES] = {0, 10, 100}; /* before each try */

void content_free(struct content *content)
{
    free(content->ids);
    *content = (struct content){0};
}

static void add_id(struct content *content, const struct id *id)
{
    content->ids = mem_grow(content->ids, &content->cap, content->count + 1,
                            sizeof(*content->ids));
    content->ids[content->count++] = *id;
}

static int store_id(struct capture *c, enum blob_type type, const void *p,
                    size_t len, const struct id *id, struct error *e)
{
    if (!idset_add(c->known, id))
        return 0;
    return upload_add(c->up, type, id, p, len, e);
}

int read_store(struct capture *c, enum blob_type type, const void *p,
               size_t len, struct id *id, struct error *e)
{
    *id = digest_of(p, len);
    return store_id(c, type, p, len, id, e);
}

static void need_window(struct capture *c, size_t cap)
{
    if (c->window_cap >= cap)
        return;
    free(c->window);
    c->window = mem_alloc(cap);
    c->window_cap = cap;
}

ssize_t read_full(int fd, uint8_t *p, size_t len)
{
    size_t got = 0;

    while (got < len) {
        ssize_t n = read(fd, p + got, len - got);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        if (n == 0)
            break;
        got += (size_t)n;
    }
    return (ssize_t)got;
}

/* A file below CHUNK_WHOLE: one blob, whose id is the sum of the file. It
 * stays in the window; sent only when the caller has judged the read. */
static int read_small(struct capture *c, int fd, size_t size,
                      struct content *out)
{
    ssize_t n;

    need_window(c, CHUNK_WHOLE);
    n = read_full(fd, c->window, size);
    if (n < 0)
        return -errno;
    c->r->bytes_read += (uint64_t)n;
    out->size = (uint64_t)n;
    out->sum = digest_of(c->window, (size_t)n);
    out->no_xattrs = flistxattr(fd, NULL, 0) == 0;
    c->small = c->window;
    if (n > 0)
        add_id(out, &out->sum);
    return 0;
}

/* Chunks are sent as they are cut: a torn read leaves blobs that nothing
 * names, which the next prune of the repository takes away. -errno of a read,
 * or the positive `*fatal` when sending failed. */
static int read_large(struct capture *c, int fd, uint64_t size,
                      struct content *out, int *fatal, struct error *e)
{
    uint64_t left = size;
    size_t at = 0, len = 0;
    struct digest whole;
    struct id id;

    need_window(c, READ_WINDOW);
    posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
    digest_init(&whole);
    for (;;) {
        size_t cut;

        if (len < CHUNK_MAX && left > 0) {
            size_t want = READ_WINDOW - len;
            ssize_t n;

            memmove(c->window, c->window + at, len);
            at = 0;
            want = left < want ? (size_t)left : want;
            n = read_full(fd, c->window + len, want);
            if (n < 0)
                return -errno;
            c->r->bytes_read += (uint64_t)n;
            len += (size_t)n;
            left = (size_t)n < want ? 0 : left - want;
        }
        if (len == 0)
            break;
        cut = chunker_cut(&c->chunker, c->window + at, len);
        digest_add(&whole, c->window + at, cut);
        *fatal = read_store(c, BLOB_DATA, c->window + at, cut, &id, e);
        if (*fatal == 0)
            *fatal = capture_check(c, e);
        if (*fatal < 0)
            return *fatal;
        add_id(out, &id);
        out->size += cut;
        at += cut;
        len -= cut;
    }
    out->sum = digest_end(&whole);
    return 0;
}

static int read_content(struct capture *c, int fd, uint64_t size,
                        struct content *out, int *fatal, struct error *e)
{
    out->count = 0;
    out->size = 0;
    *fatal = 0;
    if (size < CHUNK_WHOLE)
        return read_small(c, fd, (size_t)size, out);
    return read_large(c, fd, size, out, fatal, e);
}

/* A plain name, so O_NOFOLLOW keeps it inside the folder. */
int read_open(int dir_fd, const char *name)
{
    int flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | O_NOCTTY;
    int fd = openat(dir_fd, name, flags | O_NOATIME);

    if (fd < 0 && errno == EPERM)
        fd = openat(dir_fd, name, flags);
    return fd;
}

struct
try {
    struct attr opened;       /* fstat at open */
    struct attr after, named; /* fstat and lstat after reading */
    bool gone;                /* the name exists no more */
};

static void look_again(int fd, int dir_fd, const char *name, struct try *t)
{
    struct stat st;

    t->after = fstat(fd, &st) == 0 ? attr_of(&st) : (struct attr){0};
    t->gone = fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0;
    t->named = t->gone ? t->after : attr_of(&st);
}

/* One read of the file, at most `limit` bytes of it. READ_STABLE stands for
 * "read", to be judged by `t`; READ_GONE, READ_FAILED, or a fatal code. */
static int try_once(struct capture *c, int dir_fd, const char *name,
                    uint64_t limit, struct try *t, struct content *out,
                    struct error *e)
{
    int fd = read_open(dir_fd, name);
    int rc = READ_STABLE, fatal = 0;
    struct stat st;

    if (fd < 0 && errno == ENOENT)
        return READ_GONE;
    if (fd < 0) {
        capture_problem(c, "cannot be read: %m");
        return READ_FAILED;
    }
    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
        capture_problem(c, "became something else while it was looked at");
        rc = READ_FAILED;
        goto out;
    }
    t->opened = attr_of(&st);
    rc = read_content(c, fd, t->opened.size < limit ? t->opened.size : limit,
                      out, &fatal, e);
    if (fatal < 0)
        goto out;
    if (rc < 0) {
        capture_problem(c, "cannot be read: %s", strerror(-rc));
        rc = READ_FAILED;
        goto out;
    }
    rc = READ_STABLE;
    look_again(fd, dir_fd, name, t);
out:
    close(fd);
    return rc;
}

/* The same, when it was read ahead of its turn. */
static bool try_ahead(struct capture *c, int dir_fd, const char *name,
                      struct try *t, struct content *out)
{
    struct ahead_file f;

    if (!c->ahead || !ahead_take(c->ahead, name, &f))
        return false;
    t->opened = f.opened;
    out->count = 0;
    out->size = f.len;
    out->sum = f.sum;
    out->no_xattrs = f.no_xattrs;
    if (f.len > 0)
        add_id(out, &f.sum);
    c->small = f.data;
    c->r->bytes_read += f.len;
    look_again(f.fd, dir_fd, name, t);
    close(f.fd);
    return true;
}

static void wait_before(int attempt)
{
    struct timespec t = {.tv_nsec = wait_ms[attempt] * 1000000};

    if (t.tv_nsec)
        nanosleep(&t, NULL);
}

/* The tries, without sending a small file's bytes. */
static int read_tries(struct capture *c, int dir_fd, const char *name,
                      struct attr *a, struct content *out, struct error *e)
{
    uint64_t limit = UINT64_MAX;
    struct id before = {0};
    struct try t = {0};
    bool still = false;

    for (int i = 0; i < READ_TRIES; i++) {
        int rc;

        wait_before(i);
        rc = capture_check(c, e);
        if (rc == 0 && (i > 0 || !try_ahead(c, dir_fd, name, &t, out)))
            rc = try_once(c, dir_fd, name, limit, &t, out, e);
        if (rc != READ_STABLE)
            return rc;
        *a = t.opened;
        a->size = out->size;
        if (out->size == t.opened.size && attr_same(&t.opened, &t.after) &&
            attr_same(&t.opened, &t.named))
            return READ_STABLE;
        /* the open file itself did not move: a whole, older version */
        still = out->size == t.opened.size && t.after.size == t.opened.size &&
                t.after.mtime_ns == t.opened.mtime_ns;
        if (t.gone && still)
            return READ_CONSISTENT;
        if (limit == out->size && id_equal(&before, &out->sum))
            return READ_CONSISTENT;
        limit = out->size > 0 ? out->size : UINT64_MAX;
        before = out->sum;
        if (!attr_same_inode(&t.opened, &t.named) ||
            t.after.size < t.opened.size)
            limit = UINT64_MAX; /* another file, or cut off: start over */
    }
    return still ? READ_CONSISTENT : READ_TORN;
}

int read_file(struct capture *c, int dir_fd, const char *name, struct attr *a,
              struct content *out, struct error *e)
{
    int rc = read_tries(c, dir_fd, name, a, out, e), sent = 0;

    if (rc < 0 || rc == READ_GONE || rc == READ_FAILED)
        return rc;
    /* below CHUNK_WHOLE it still lies where it was read */
    if (out->size > 0 && out->size < CHUNK_WHOLE && out->count == 1)
        sent = store_id(c, BLOB_DATA, c->small, (size_t)out->size, &out->ids[0],
                        e);
    if (rc == READ_TORN)
        capture_problem(c, "changed while read");
    return sent < 0 ? sent : rc;
}

int read_own_file(struct capture *c, const char *path, struct content *out,
                  struct error *e)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW), rc, fatal = 0;
    struct stat st;

    if (fd < 0 || fstat(fd, &st) < 0) {
        rc = error_errno(e, "%s", path);
        goto out;
    }
    rc = read_content(c, fd, (uint64_t)st.st_size, out, &fatal, e);
    if (fatal == 0 && (rc < 0 || out->size != (uint64_t)st.st_size))
        rc = error_set(e, rc < 0 ? rc : OCM_E_DAMAGED,
                       "%s: cannot be read back", path);
    if (rc == 0 && out->size > 0 && out->size < CHUNK_WHOLE)
        rc = store_id(c, BLOB_DATA, c->window, (size_t)out->size, &out->ids[0],
                      e);
out:
    if (fd >= 0)
        close(fd);
    return rc;
}
