/* SPDX-License-Identifier: MIT */
#include "common/base/files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "common/base/text.h"

int file_read(const char *path, size_t max, struct buf *out, struct error *e)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    size_t start = out->len;
    struct stat st;
    int rc = 0;

    if (fd < 0)
        return error_errno(e, "%s", path);
    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
        rc = error_set(e, OCM_E_INVALID, "%s: not a regular file", path);
        goto out;
    }
    for (;;) {
        ssize_t n = read(fd, buf_reserve(out, 65536), 65536);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            rc = error_errno(e, "%s", path);
            goto out;
        }
        if (n == 0)
            break;
        out->len += (size_t)n;
        if (out->len - start > max) {
            rc = error_set(e, OCM_E_LIMIT, "%s: larger than %zu bytes", path,
                           max);
            goto out;
        }
    }
out:
    close(fd);
    return rc;
}

int fd_write_all(int fd, const void *p, size_t len)
{
    const uint8_t *at = p;

    while (len > 0) {
        ssize_t n = write(fd, at, len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        at += n;
        len -= (size_t)n;
    }
    return 0;
}

int fd_pread_all(int fd, void *p, size_t len, off_t off)
{
    uint8_t *at = p;

    while (len > 0) {
        ssize_t n = pread(fd, at, len, off);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0)
            return OCM_E_DAMAGED;
        at += n;
        off += n;
        len -= (size_t)n;
    }
    return 0;
}

int file_write(const char *path, const void *p, size_t len, mode_t mode,
               struct error *e)
{
    char *tmp = mem_printf("%s.tmp-%ld", path, (long)gettid());
    int fd, rc;

    unlink(tmp);
    fd = open(tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0) {
        rc = error_errno(e, "%s", tmp);
        goto out;
    }
    rc = fd_write_all(fd, p, len);
    if (rc == 0 && (fchmod(fd, mode) < 0 || fsync(fd) < 0))
        rc = -errno;
    if (close(fd) < 0 && rc == 0)
        rc = -errno;
    if (rc == 0 && rename(tmp, path) < 0)
        rc = -errno;
    if (rc < 0) {
        errno = -rc;
        error_errno(e, "%s", path);
        unlink(tmp);
        goto out;
    }
    rc = dir_sync_of(path, e);
out:
    free(tmp);
    return rc;
}

int dir_sync(const char *dir, struct error *e)
{
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int rc = 0;

    if (fd < 0)
        return error_errno(e, "%s", dir);
    if (fsync(fd) < 0)
        rc = error_errno(e, "sync of %s", dir);
    close(fd);
    return rc;
}

int dir_sync_of(const char *path, struct error *e)
{
    const char *slash = strrchr(path, '/');
    char *dir;
    int rc;

    if (!slash)
        return dir_sync(".", e);
    dir = slash == path ? mem_strdup("/")
                        : mem_strndup(path, (size_t)(slash - path));
    rc = dir_sync(dir, e);
    free(dir);
    return rc;
}

int dir_make(const char *path, mode_t mode, struct error *e)
{
    char *copy = mem_strdup(path);
    int rc = 0;

    for (char *p = copy + 1; rc == 0; p++) {
        if (*p != '/' && *p != 0)
            continue;
        char c = *p;

        *p = 0;
        if (mkdir(copy, mode) < 0 && errno != EEXIST)
            rc = error_errno(e, "%s", copy);
        *p = c;
        if (c == 0)
            break;
    }
    if (rc == 0 && !dir_exists(path)) {
        errno = ENOTDIR;
        rc = error_errno(e, "%s", path);
    }
    free(copy);
    return rc;
}

/* Empty the folder `fd` (closed here). Best effort first, first error kept. */
static int remove_below(int fd, dev_t dev, int depth)
{
    DIR *dir;
    struct dirent *d;
    int rc = 0;

    if (depth > 512) {
        close(fd);
        return -ELOOP;
    }
    dir = fdopendir(fd);
    if (!dir) {
        rc = -errno;
        close(fd);
        return rc;
    }
    while ((d = readdir(dir)) != NULL) {
        struct stat st;
        int err = 0, sub;

        if (strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0)
            continue;
        if (unlinkat(fd, d->d_name, 0) == 0 || errno == ENOENT)
            continue;
        if (errno != EISDIR && errno != EPERM) {
            rc = rc ? rc : -errno;
            continue;
        }
        sub = openat(fd, d->d_name,
                     O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (sub < 0 && errno == EACCES && fchmodat(fd, d->d_name, 0700, 0) == 0)
            sub = openat(fd, d->d_name,
                         O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (sub < 0) {
            rc = rc ? rc : -errno;
            continue;
        }
        if (fstat(sub, &st) < 0 || st.st_dev != dev) {
            rc = rc ? rc : -EXDEV;
            close(sub);
            continue;
        }
        if (!(st.st_mode & S_IWUSR))
            err = fchmod(sub, 0700);
        (void)err; /* the removal below tells */
        err = remove_below(sub, dev, depth + 1);
        if (err == 0 && unlinkat(fd, d->d_name, AT_REMOVEDIR) < 0)
            err = -errno;
        rc = rc ? rc : err;
    }
    closedir(dir);
    return rc;
}

int tree_remove(const char *path, struct error *e)
{
    struct stat st;
    int fd, rc;

    if (lstat(path, &st) < 0)
        return errno == ENOENT ? 0 : error_errno(e, "%s", path);
    if (!S_ISDIR(st.st_mode))
        return unlink(path) == 0 ? 0 : error_errno(e, "%s", path);
    fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return error_errno(e, "%s", path);
    if (!(st.st_mode & S_IWUSR))
        (void)!fchmod(fd, 0700);
    rc = remove_below(fd, st.st_dev, 0);
    if (rc == 0 && rmdir(path) < 0)
        rc = -errno;
    if (rc < 0) {
        errno = -rc;
        return error_errno(e, "removing %s", path);
    }
    return 0;
}

struct aged {
    char *name;
    struct timespec mtime;
};

static int newest_first(const void *pa, const void *pb)
{
    const struct aged *a = pa, *b = pb;

    if (a->mtime.tv_sec != b->mtime.tv_sec)
        return a->mtime.tv_sec < b->mtime.tv_sec ? 1 : -1;
    return a->mtime.tv_nsec < b->mtime.tv_nsec ? 1 : -1;
}

void files_keep_newest(const char *path, size_t count)
{
    const char *slash = strrchr(path, '/');
    char *dir_path =
        slash ? mem_strndup(path, (size_t)(slash - path)) : mem_strdup(".");
    DIR *dir = opendir(dir_path);
    struct aged *list = NULL;
    size_t n = 0, cap = 0;
    struct dirent *d;
    struct stat st;

    free(dir_path);
    if (!dir)
        return;
    while ((d = readdir(dir)) != NULL) {
        if (fstatat(dirfd(dir), d->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
            !S_ISREG(st.st_mode))
            continue;
        list = mem_grow(list, &cap, n + 1, sizeof(*list));
        list[n++] = (struct aged){mem_strdup(d->d_name), st.st_mtim};
    }
    if (n > 0)
        qsort(list, n, sizeof(*list), newest_first);
    for (size_t i = 0; i < n; i++) {
        if (i >= count)
            unlinkat(dirfd(dir), list[i].name, 0);
        free(list[i].name);
    }
    free(list);
    closedir(dir);
}

bool file_exists(const char *path)
{
    struct stat st;

    return lstat(path, &st) == 0;
}

bool dir_exists(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static bool is_link(int dir_fd, const char *name)
{
    struct stat st;

    return fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
           S_ISLNK(st.st_mode);
}

/* One name of a path; -ELOOP for a symbolic link, whatever openat() makes of
 * it (ENOTDIR for a folder, the link itself with O_PATH). */
static int open_name(int dir_fd, const char *name, int flags, mode_t mode)
{
    int fd = openat(dir_fd, name, flags | O_NOFOLLOW | O_CLOEXEC, mode);
    struct stat st;

    if (fd < 0) {
        int err = errno;

        return err == ENOTDIR && is_link(dir_fd, name) ? -ELOOP : -err;
    }
    if (flags & O_PATH && fstat(fd, &st) == 0 && S_ISLNK(st.st_mode)) {
        close(fd);
        return -ELOOP;
    }
    return fd;
}

/* What openat2() does, name by name, for kernels before 5.6. Stricter with
 * "..", which is refused even where it stays beneath. */
static int open_by_names(int root_fd, const char *rel, int flags, mode_t mode)
{
    char *path = mem_strdup(rel), *rest = path;
    int fd = *rel == '/' ? -EXDEV : fcntl(root_fd, F_DUPFD_CLOEXEC, 0);

    while (fd >= 0 && rest) {
        const char *name = strsep(&rest, "/");
        int dir = fd;

        if (strcmp(name, "..") == 0)
            fd = -EXDEV;
        else
            fd = rest ? open_name(dir, name, O_PATH | O_DIRECTORY, 0)
                      : open_name(dir, name, flags, mode);
        close(dir);
    }
    free(path);
    return fd;
}

int open_beneath(int root_fd, const char *rel, int flags, mode_t mode)
{
    struct open_how how = {
        .flags = (uint64_t)(unsigned)(flags | O_CLOEXEC),
        .mode = flags & O_CREAT ? mode : 0,
        .resolve =
            RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
    };
    long fd;

    do {
        fd = syscall(SYS_openat2, root_fd, rel, &how, sizeof(how));
    } while (fd < 0 && (errno == EINTR || errno == EAGAIN));
    /* EPERM: what a container's filter says for a call that it does not know */
    if (fd < 0 && (errno == ENOSYS || errno == EPERM))
        return open_by_names(root_fd, rel, flags, mode);
    return fd < 0 ? -errno : (int)fd;
}

int64_t disk_free(const char *path)
{
    struct statvfs v;

    if (statvfs(path, &v) < 0)
        return -1;
    return (int64_t)(v.f_bavail * v.f_frsize);
}
