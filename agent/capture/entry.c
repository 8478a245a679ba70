/* SPDX-License-Identifier: MIT */
/* From an entry to its node: restic's rules of which field stands where. */
#include "agent/capture/entry.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/data/tree.h"

void entry_free(struct entry *en)
{
    free(en->ids);
    free(en->live);
}

void entry_content(struct entry *en, struct content *content)
{
    en->id_count = content->count;
    if (content->count == 1)
        en->one = content->ids[0];
    if (content->count > 1) {
        en->ids = content->ids;
        content->ids = NULL;
    }
    en->attr.size = content->size;
    en->no_xattrs = content->no_xattrs;
}

void entry_reuse(struct entry *en, const struct cache_record *rec)
{
    en->unchanged = true;
    en->id_count = rec->id_count;
    if (rec->id_count == 1)
        en->one = rec->ids[0];
    if (rec->id_count > 1)
        en->ids = mem_dup(rec->ids, rec->id_count * sizeof(*rec->ids));
    en->attr.size = rec->stored_size;
}

bool entry_fits(const struct capture *c, const struct cache_record *rec,
                enum cache_kind kind, const struct attr *a,
                const struct attr *wal)
{
    int64_t before = c->old_start_ns - CAPTURE_RACE_NS;
    bool any_ctime = geteuid() == 0;

    if (!rec || rec->kind != kind || c->o->reread ||
        !attr_same(&rec->attr, a) || a->ctime_ns >= before ||
        rec->has_wal != (wal != NULL))
        return false;
    /* SQLite run by root touches the ctime of each -wal it opens (fchown) */
    if (wal && (wal->size != rec->wal.size || wal->inode != rec->wal.inode ||
                wal->mtime_ns != rec->wal.mtime_ns || wal->mtime_ns >= before))
        return false;
    if (wal && !any_ctime &&
        (wal->ctime_ns != rec->wal.ctime_ns || wal->ctime_ns >= before))
        return false;
    for (size_t i = 0; i < rec->id_count; i++) {
        if (!idset_has(c->known, &rec->ids[i]))
            return false;
    }
    return true;
}

static void path_of(char *out, size_t cap, int dir_fd, const struct entry *en)
{
    if (en->live)
        snprintf(out, cap, "%s", en->live);
    else
        snprintf(out, cap, "/proc/self/fd/%d/%s", dir_fd, en->name);
}

/* Append the value of `name` to `out`; its length, or -errno. */
static ssize_t get_value(const char *path, const char *name, struct buf *out)
{
    for (;;) {
        ssize_t want = lgetxattr(path, name, NULL, 0), n;

        if (want < 0)
            return -errno;
        n = lgetxattr(path, name, buf_reserve(out, (size_t)want), (size_t)want);
        if (n < 0 && errno == ERANGE)
            continue; /* grew meanwhile */
        if (n < 0)
            return -errno;
        out->len += (size_t)n;
        return n;
    }
}

/* The names of the attributes, one after the other, into c->scratch. */
static size_t list_names(struct capture *c, const char *path)
{
    struct buf *b = &c->scratch;

    buf_clear(b);
    for (;;) {
        ssize_t want = llistxattr(path, NULL, 0), n;

        if (want <= 0)
            return 0;
        n = llistxattr(path, (char *)buf_reserve(b, (size_t)want),
                       (size_t)want);
        if (n < 0 && errno == ERANGE)
            continue; /* grew meanwhile */
        b->len = n < 0 ? 0 : (size_t)n;
        return b->len;
    }
}

/* The attributes that can be read: the array is the caller's to free, names
 * and values stand in c->scratch. */
static struct tree_xattr *get_xattrs(struct capture *c, const char *path,
                                     size_t *count)
{
    struct buf *b = &c->scratch;
    size_t len = list_names(c, path), all = 0, at;
    struct tree_xattr *out;
    size_t *name_at; /* the buffer may move until the end */

    *count = 0;
    for (at = 0; at < len; at++)
        all += b->data[at] == 0;
    if (all == 0)
        return NULL;
    out = mem_array(all, sizeof(*out));
    name_at = mem_array(all, sizeof(*name_at));
    for (at = 0; at < len; at += strlen((char *)b->data + at) + 1) {
        char name[XATTR_NAME_MAX + 1];
        ssize_t n;

        snprintf(name, sizeof(name), "%s", (char *)b->data + at);
        n = get_value(path, name, b);
        if (n < 0)
            continue; /* gone, or not ours to read */
        name_at[*count] = at;
        out[(*count)++].value_len = (size_t)n;
    }
    at = len;
    for (size_t i = 0; i < *count; i++) {
        out[i].name = (char *)b->data + name_at[i];
        out[i].value = b->data + at;
        at += out[i].value_len;
    }
    free(name_at);
    return out;
}

static enum tree_type type_of(const struct entry *en)
{
    switch (en->attr.mode & S_IFMT) {
    case S_IFDIR:
        return TREE_DIR;
    case S_IFLNK:
        return TREE_SYMLINK;
    case S_IFIFO:
        return TREE_FIFO;
    default:
        return TREE_FILE;
    }
}

/* atime is mtime, as restic does it: a backup must not change by reading. */
static struct tree_node node_of(struct capture *c, const struct entry *en)
{
    const struct attr *a = &en->attr;

    return (struct tree_node){
        .name = en->name,
        .name_len = en->name_len,
        .type = type_of(en),
        .mode = a->mode & 07777,
        .mtime_ns = a->mtime_ns,
        .atime_ns = a->mtime_ns,
        .ctime_ns = a->ctime_ns,
        .uid = a->uid,
        .gid = a->gid,
        .user = owner_user(&c->users, a->uid),
        .group = owner_group(&c->groups, a->gid),
        .inode = a->inode,
        .device_id = a->device,
    };
}

void entry_encode(struct capture *c, int dir_fd, const struct entry *en)
{
    struct tree_xattr *xattrs = NULL;
    struct tree_node n = node_of(c, en);
    char path[PATH_MAX + 64], target[PATH_MAX + 1];
    size_t before = capture_push(c, en->name, en->name_len);

    path_of(path, sizeof(path), dir_fd, en);
    if (!en->ours && !en->no_xattrs)
        xattrs = get_xattrs(c, path, &n.xattr_count);
    n.xattrs = xattrs;
    switch (n.type) {
    case TREE_DIR:
        n.subtree = en->one;
        break;
    case TREE_SYMLINK: {
        ssize_t len = readlink(path, target, PATH_MAX);

        if (len < 0) {
            log_debug("link vanished: path=%s", (char *)c->path.data);
            goto out;
        }
        target[len] = 0;
        n.linktarget = target;
        n.links = en->attr.links;
        break;
    }
    case TREE_FILE:
        n.size = en->attr.size;
        n.links = en->attr.links;
        n.content = en->id_count > 1 ? en->ids : &en->one;
        n.content_count = en->id_count;
        break;
    default:
        break;
    }
    tree_add(&c->tree, &n);
out:
    free(xattrs);
    capture_pop(c, before);
}
