/* SPDX-License-Identifier: MIT */
/* Owner, extended attributes, mode and time of what is staged. */
#include "agent/apply/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "common/base/text.h"

/* Only root may give files away. Another node's user of OpenClaw becomes this
 * node's; everybody else keeps the number. */
static void owner_of(const struct apply *a, const struct snap_entry *n,
                     uid_t *uid, gid_t *gid)
{
    const char *from = facts_get(&a->snap.facts, "user.uid");
    const char *to = facts_get(&a->target.facts, "user.uid");
    int64_t old_uid, new_uid;
    struct stat st;

    *uid = n->uid;
    *gid = n->gid;
    if (!from || !to || !text_to_i64(from, 0, UINT32_MAX, &old_uid) ||
        !text_to_i64(to, 0, UINT32_MAX, &new_uid) || old_uid == new_uid ||
        n->uid != old_uid)
        return;
    *uid = (uid_t)new_uid;
    if (a->target.home && stat(a->target.home, &st) == 0)
        *gid = st.st_gid;
}

static struct timespec time_of(int64_t ns)
{
    int64_t rest = ns % 1000000000;

    return (struct timespec){
        .tv_sec = ns / 1000000000 - (rest < 0),
        .tv_nsec = rest < 0 ? rest + 1000000000 : rest,
    };
}

/* An attribute the file system or our rights do not allow is lost, not fatal:
 * the content matters more. */
static bool is_refusal(int err)
{
    return err == ENOTSUP || err == EPERM || err == EACCES || err == EINVAL;
}

int attr_set_fd(const struct apply *a, const struct snap_entry *n, int fd,
                struct error *e)
{
    struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, time_of(n->mtime_ns)};
    struct stat st;
    uid_t uid;
    gid_t gid;

    if (fstat(fd, &st) < 0)
        return error_errno(e, "%s", n->name);
    if (geteuid() == 0) {
        owner_of(a, n, &uid, &gid);
        if ((st.st_uid != uid || st.st_gid != gid) && fchown(fd, uid, gid) < 0)
            return error_errno(e, "owner of %s", n->name);
    }
    for (const struct snap_xattr *x = n->xattrs; x; x = x->next)
        if (fsetxattr(fd, x->name, x->value, x->len, 0) < 0 &&
            !is_refusal(errno))
            return error_errno(e, "attribute %s of %s", x->name, n->name);
    if ((st.st_mode & 07777) != n->mode && fchmod(fd, n->mode) < 0)
        return error_errno(e, "mode of %s", n->name);
    if (n->flags & SNAP_EDITED)
        times[1].tv_nsec = UTIME_OMIT;
    if (futimens(fd, times) < 0)
        return error_errno(e, "time of %s", n->name);
    return 0;
}

int attr_set_link(const struct apply *a, const struct snap_entry *n, int dir,
                  const char *name, struct error *e)
{
    struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, time_of(n->mtime_ns)};
    uid_t uid;
    gid_t gid;

    if (geteuid() == 0) {
        owner_of(a, n, &uid, &gid);
        if (fchownat(dir, name, uid, gid, AT_SYMLINK_NOFOLLOW) < 0)
            return error_errno(e, "owner of %s", name);
    }
    if (utimensat(dir, name, times, AT_SYMLINK_NOFOLLOW) < 0)
        return error_errno(e, "time of %s", name);
    return 0;
}
