/* SPDX-License-Identifier: MIT */
/* The system calls of the swap. */
#include "agent/apply/swap.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/files.h"
#include "common/base/mem.h"

/* mkdir -p of `dir` beneath `root`; what cannot be made shows when opened. */
static void make_below(int root, char *dir)
{
    for (char *p = dir;; p++) {
        char *cut, c = *p;
        int parent;

        if (c != '/' && c != 0)
            continue;
        *p = 0;
        cut = strrchr(dir, '/');
        if (cut)
            *cut = 0;
        parent =
            cut ? open_beneath(root, dir, O_PATH | O_DIRECTORY, 0) : dup(root);
        if (parent >= 0) {
            mkdirat(parent, cut ? cut + 1 : dir, 0700);
            close(parent);
        }
        if (cut)
            *cut = '/';
        *p = c;
        if (c == 0)
            return;
    }
}

/* Open the folder that holds <base>/<rel>; *name points into `rel` or `base`.
 * Links below the base are never followed. */
static int open_parent(const char *base, const char *rel, const char **name,
                       bool make)
{
    const char *slash = strrchr(*rel ? rel : base, '/');
    char *dir;
    int root, fd;

    *name = slash ? slash + 1 : rel;
    if (!*rel) { /* the base itself: what is above it is not ours to judge */
        dir = slash == base ? mem_strdup("/")
                            : mem_strndup(base, (size_t)(slash - base));
        fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        fd = fd < 0 ? -errno : fd;
        free(dir);
        return fd;
    }
    root = open(base, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (root < 0 || !slash)
        return root < 0 ? -errno : root;
    dir = mem_strndup(rel, (size_t)(slash - rel));
    if (make)
        make_below(root, dir);
    fd = open_beneath(root, dir, O_RDONLY | O_DIRECTORY, 0);
    free(dir);
    close(root);
    return fd;
}

static int rename_new(int from, const char *name, int to, const char *to_name)
{
    struct stat st;

    if (renameat2(from, name, to, to_name, RENAME_NOREPLACE) == 0)
        return 0;
    if (errno != EINVAL && errno != ENOSYS)
        return -errno;
    /* a file system without the flag; nobody else is at work here */
    if (fstatat(to, to_name, &st, AT_SYMLINK_NOFOLLOW) == 0)
        return -EEXIST;
    return renameat(from, name, to, to_name) == 0 ? 0 : -errno;
}

int swap_move(const char *from, const char *rel, const char *to,
              const char *to_rel, bool parents)
{
    const char *name, *to_name;
    int src = open_parent(from, rel, &name, false), dst, rc;
    struct stat st;

    if (src < 0)
        return src;
    dst = open_parent(to, to_rel, &to_name, parents);
    if (dst < 0) {
        close(src);
        return dst;
    }
    rc = rename_new(src, name, dst, to_name);
    if (rc == -EACCES && fstatat(src, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
        S_ISDIR(st.st_mode) && !(st.st_mode & S_IWUSR) &&
        fchmodat(src, name, (st.st_mode & 07777) | S_IWUSR, 0) == 0) {
        /* a folder gets another parent: that writes its ".." */
        rc = rename_new(src, name, dst, to_name);
        if (fchmodat(rc == 0 ? dst : src, rc == 0 ? to_name : name,
                     st.st_mode & 07777, 0) < 0 &&
            rc == 0)
            rc = -errno;
    }
    close(src);
    close(dst);
    return rc;
}

int swap_sync_parent(const char *base, const char *rel)
{
    const char *name;
    int fd = open_parent(base, rel, &name, false), rc;

    if (fd < 0)
        return fd == -ENOENT ? 0 : fd;
    rc = fsync(fd) < 0 ? -errno : 0;
    close(fd);
    return rc;
}

static int copy_bytes(int in, int out)
{
    uint8_t *room = mem_alloc(256 * 1024);
    int rc = 0;

    while (rc == 0) {
        ssize_t n = read(in, room, 256 * 1024);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            rc = n < 0 ? -errno : 0;
            break;
        }
        rc = fd_write_all(out, room, (size_t)n);
    }
    free(room);
    return rc;
}

int swap_copy_over(const char *from, const char *to, bool create)
{
    int in = open(from, O_RDONLY | O_NOFOLLOW | O_CLOEXEC), out, rc;
    int flags = O_WRONLY | O_TRUNC | O_NOFOLLOW | O_CLOEXEC;
    struct timespec times[2];
    struct stat st;

    if (in < 0)
        return -errno;
    out = open(to, create ? flags | O_CREAT : flags, 0600);
    if (out < 0 || fstat(in, &st) < 0) {
        rc = -errno;
        goto out;
    }
    rc = copy_bytes(in, out);
    times[0] = st.st_atim;
    times[1] = st.st_mtim;
    if (rc == 0 && geteuid() == 0 && fchown(out, st.st_uid, st.st_gid) < 0)
        rc = -errno;
    if (rc == 0 && (fchmod(out, st.st_mode & 07777) < 0 ||
                    futimens(out, times) < 0 || fsync(out) < 0))
        rc = -errno;
out:
    if (out >= 0)
        close(out);
    close(in);
    return rc;
}
