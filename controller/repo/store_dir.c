/* SPDX-License-Identifier: MIT */
/* The store in a folder of a local file system. */
#include "controller/repo/store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/base/files.h"
#include "common/base/mem.h"
#include "common/base/secret.h"
#include "common/base/text.h"
#include "common/data/digest.h"

#define STORE_TMP "ocm/tmp"
#define STORE_FILE_MODE 0400 /* as restic: never changed once written */
#define STORE_DIR_MODE 0700
#define STORE_TMP_AGE_S 60 /* younger leftovers may be about to be locked */

struct store {
    char *dir;
    int64_t free_floor;
};

struct store_file {
    struct store *store; /* borrowed */
    int fd;
    char *tmp; /* whole path */
};

struct store_handle {
    int fd;
    uint64_t size;
    char *path;
};

static int fail(struct error *e, int err, const char *path)
{
    if (err == ENOSPC || err == EDQUOT)
        return error_set(e, OCM_E_SPACE, "%s: no space left on the disk", path);
    if (err == ENOENT)
        return error_set(e, OCM_E_NOTFOUND, "%s does not exist", path);
    errno = err;
    return error_errno(e, "%s", path);
}

int store_open(const char *dir, int64_t free_floor, struct store **out,
               struct error *e)
{
    struct store *s;

    if (!dir_exists(dir))
        return error_set(e, OCM_E_NOTFOUND, "no repository at %s", dir);
    s = mem_zalloc(sizeof(*s));
    s->dir = mem_strdup(dir);
    s->free_floor = free_floor;
    *out = s;
    return 0;
}

void store_close(struct store *s)
{
    if (!s)
        return;
    free(s->dir);
    free(s);
}

const char *store_place(const struct store *s)
{
    return s->dir;
}

/* A leftover that nobody holds any more. */
static void sweep_one(const char *path)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);

    if (fd < 0)
        return;
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
        time(NULL) - st.st_mtime > STORE_TMP_AGE_S &&
        flock(fd, LOCK_EX | LOCK_NB) == 0)
        unlink(path);
    close(fd);
}

int store_prepare(struct store *s, struct error *e)
{
    char *tmp = path_join(s->dir, STORE_TMP);
    struct dirent *d;
    DIR *dir;
    int rc = dir_make(tmp, STORE_DIR_MODE, e);

    if (rc < 0)
        goto out;
    dir = opendir(tmp);
    if (!dir) {
        rc = error_errno(e, "%s", tmp);
        goto out;
    }
    while ((d = readdir(dir)) != NULL) {
        if (d->d_name[0] != '.') {
            char *path = path_join(tmp, d->d_name);

            sweep_one(path);
            free(path);
        }
    }
    closedir(dir);
out:
    free(tmp);
    return rc;
}

static int check_floor(struct store *s, size_t more, struct error *e)
{
    int64_t left;

    if (s->free_floor <= 0)
        return 0;
    left = disk_free(s->dir);
    if (left >= 0 && left - (int64_t)more < s->free_floor) {
        char have[32], floor[32];

        text_of_bytes((uint64_t)left, have, sizeof(have));
        text_of_bytes((uint64_t)s->free_floor, floor, sizeof(floor));
        return error_set(e, OCM_E_SPACE,
                         "%s: %s free, %s are to stay free: free some space, "
                         "or lower the floor",
                         s->dir, have, floor);
    }
    return 0;
}

static int begin(struct store *s, struct store_file **out, struct error *e)
{
    struct store_file *f = mem_zalloc(sizeof(*f));
    char random[17];
    int rc;

    secret_random_text(random, 16);
    f->store = s;
    f->tmp = mem_printf("%s/" STORE_TMP "/%s", s->dir, random);
    f->fd =
        open(f->tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, STORE_FILE_MODE);
    if (f->fd < 0) {
        rc = fail(e, errno, f->tmp);
        free(f->tmp);
        free(f);
        return rc;
    }
    (void)flock(f->fd, LOCK_EX | LOCK_NB); /* "in use", for store_prepare */
    *out = f;
    return 0;
}

static int append(struct store_file *f, const void *p, size_t len,
                  struct error *e)
{
    int rc = fd_write_all(f->fd, p, len);

    return rc < 0 ? fail(e, -rc, f->tmp) : 0;
}

int store_begin(struct store *s, struct store_file **out, struct error *e)
{
    int rc = check_floor(s, 0, e);

    return rc < 0 ? rc : begin(s, out, e);
}

int store_append(struct store_file *f, const void *p, size_t len,
                 struct error *e)
{
    int rc = check_floor(f->store, len, e);

    return rc < 0 ? rc : append(f, p, len, e);
}

void store_abort(struct store_file *f)
{
    if (!f)
        return;
    if (f->fd >= 0)
        close(f->fd);
    unlink(f->tmp);
    free(f->tmp);
    free(f);
}

/* rename, making the folder of `path` when it is not there yet. */
static int rename_into(const char *tmp, const char *path, struct error *e)
{
    char *dir;
    int rc;

    if (rename(tmp, path) == 0)
        return 0;
    if (errno != ENOENT)
        return fail(e, errno, path);
    dir = mem_strndup(path, (size_t)(strrchr(path, '/') - path));
    if (mkdir(dir, STORE_DIR_MODE) < 0 && errno != EEXIST)
        rc = fail(e, errno, dir);
    else
        rc = dir_sync_of(dir, e);
    if (rc == 0 && rename(tmp, path) < 0)
        rc = fail(e, errno, path);
    free(dir);
    return rc;
}

int store_commit_take(struct store_file *f, const char *name, struct error *e)
{
    char *path = path_join(f->store->dir, name);
    int rc = 0;

    if (fsync(f->fd) < 0)
        rc = fail(e, errno, path);
    if (close(f->fd) < 0 && rc == 0)
        rc = fail(e, errno, path);
    f->fd = -1;
    if (rc == 0)
        rc = rename_into(f->tmp, path, e);
    if (rc == 0) {
        rc = dir_sync_of(path, e);
        if (rc < 0)
            unlink(path); /* who is told "failed" must not find it later */
    }
    store_abort(f); /* after the rename there is nothing to unlink */
    free(path);
    return rc;
}

int store_put(struct store *s, const char *name, const void *p, size_t len,
              struct error *e)
{
    struct store_file *f;
    int rc = text_has_prefix(name, "locks/") ? 0 : check_floor(s, len, e);

    if (rc == 0)
        rc = begin(s, &f, e);
    if (rc < 0)
        return rc;
    rc = append(f, p, len, e);
    if (rc < 0) {
        store_abort(f);
        return rc;
    }
    return store_commit_take(f, name, e);
}

int store_get(struct store *s, const char *name, size_t max, struct buf *out,
              struct error *e)
{
    char *path = path_join(s->dir, name);
    int rc = file_read(path, max, out, e);

    if (rc == -ENOENT)
        rc = error_set(e, OCM_E_NOTFOUND, "%s does not exist", path);
    else if (rc == OCM_E_LIMIT)
        rc = error_set(e, OCM_E_DAMAGED, "%s is larger than it can be", path);
    free(path);
    return rc;
}

static int store_stat(struct store *s, const char *name, struct stat *st)
{
    char *path = path_join(s->dir, name);
    int rc = stat(path, st) < 0 ? -errno : 0;

    free(path);
    return rc;
}

bool store_exists(struct store *s, const char *name)
{
    struct stat st;

    return store_stat(s, name, &st) == 0;
}

int store_size(struct store *s, const char *name, uint64_t *size,
               struct error *e)
{
    struct stat st;
    int rc = store_stat(s, name, &st);

    if (rc < 0)
        return fail(e, -rc, name);
    *size = (uint64_t)st.st_size;
    return 0;
}

int64_t store_age_s(struct store *s, const char *name)
{
    struct stat st;

    return store_stat(s, name, &st) == 0 ? time(NULL) - st.st_mtime : -1;
}

int store_delete(struct store *s, const char *name, struct error *e)
{
    char *path = path_join(s->dir, name);
    int rc = unlink(path) < 0 ? fail(e, errno, path) : 0;

    free(path);
    return rc;
}

static int list_dir(const char *path, bool deep, store_list_cb *fn, void *arg,
                    struct error *e)
{
    struct dirent *d;
    DIR *dir = opendir(path);
    int rc = 0;

    if (!dir)
        return fail(e, errno, path);
    while (rc == 0) {
        struct id id;

        errno = 0;
        d = readdir(dir);
        if (!d) {
            if (errno)
                rc = fail(e, errno, path);
            break;
        }
        if (deep && strlen(d->d_name) == 2 && d->d_name[0] != '.') {
            char *sub = path_join(path, d->d_name);

            rc = list_dir(sub, false, fn, arg, e);
            if (rc == -ENOTDIR)
                rc = 0;
            free(sub);
        } else if (!deep && id_parse(d->d_name, &id)) {
            rc = fn(arg, d->d_name);
        }
    }
    closedir(dir);
    return rc;
}

int store_list(struct store *s, const char *folder, bool deep,
               store_list_cb *fn, void *arg, struct error *e)
{
    char *path = path_join(s->dir, folder);
    int rc = list_dir(path, deep, fn, arg, e);

    if (rc == OCM_E_NOTFOUND)
        rc = error_set(e, OCM_E_DAMAGED,
                       "%s is missing: is the right disk mounted there?", path);
    free(path);
    return rc;
}

int store_handle_open(struct store *s, const char *name,
                      struct store_handle **out, struct error *e)
{
    struct store_handle *h = mem_zalloc(sizeof(*h));
    struct stat st;
    int rc = 0;

    h->path = path_join(s->dir, name);
    h->fd = open(h->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (h->fd < 0)
        rc = fail(e, errno, h->path);
    else if (fstat(h->fd, &st) < 0 || !S_ISREG(st.st_mode))
        rc = error_set(e, OCM_E_DAMAGED, "%s is not a file", h->path);
    if (rc < 0) {
        store_handle_close(h);
        return rc;
    }
    h->size = (uint64_t)st.st_size;
    *out = h;
    return 0;
}

int store_handle_read(struct store_handle *h, void *p, size_t len, uint64_t off,
                      struct error *e)
{
    int rc = fd_pread_all(h->fd, p, len, (off_t)off);

    if (rc == OCM_E_DAMAGED)
        return error_set(e, rc, "%s is cut short: %llu bytes, %llu needed",
                         h->path, (unsigned long long)h->size,
                         (unsigned long long)(off + len));
    return rc < 0 ? fail(e, -rc, h->path) : 0;
}

uint64_t store_handle_size(const struct store_handle *h)
{
    return h->size;
}

void store_handle_close(struct store_handle *h)
{
    if (!h)
        return;
    if (h->fd >= 0)
        close(h->fd);
    free(h->path);
    free(h);
}
