/* SPDX-License-Identifier: MIT */
/* A folder as restic stores it: one JSON document, {"nodes":[...]}\n, whose
 * bytes are what Go's encoding/json gives for restic's Node, so that our ids
 * equal restic's. Source: restic doc/design.rst and its node fields in order:
 * name, type, mode, mtime, atime, ctime, uid, gid, user, group, inode,
 * device_id, size, links, linktarget, extended_attributes, device, content,
 * subtree. */
#ifndef COMMON_DATA_TREE_H
#define COMMON_DATA_TREE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/base/buf.h"
#include "common/base/error.h"
#include "common/data/digest.h"

#define TREE_MAX_ENTRIES 1000000 /* of one folder */
/* What a restore takes, and so a backup: entries in all, folders inside each
 * other, and bytes of a path, in the snapshot and on the node. */
#define TREE_MAX_TOTAL 4000000
#define TREE_MAX_DEPTH 256
#define TREE_MAX_PATH 3072

enum tree_type {
    TREE_FILE,
    TREE_DIR,
    TREE_SYMLINK,
    TREE_DEV,
    TREE_CHARDEV,
    TREE_FIFO,
    TREE_SOCKET,
    TREE_OTHER, /* of a newer restic: refused where it matters */
};

struct tree_xattr {
    const char *name;
    const uint8_t *value;
    size_t value_len;
};

/* One entry. Pointers are borrowed: from the caller when encoding, from the
 * decoder's memory (until tree_free) when decoding. Names are bytes. */
struct tree_node {
    const char *name;
    size_t name_len;
    enum tree_type type;
    mode_t mode; /* POSIX: permission bits and setuid, setgid, sticky */
    int64_t mtime_ns, atime_ns, ctime_ns;
    uint32_t uid, gid;
    const char *user, *group; /* "" when not known */
    uint64_t inode, device_id, size, links, device;
    const char *linktarget; /* symlink: bytes, NUL-terminated */
    const struct tree_xattr *xattrs;
    size_t xattr_count;
    const struct id *content; /* file: its data blobs in order */
    size_t content_count;
    struct id subtree; /* dir */
};

/* Encoding: begin, add the nodes in byte order of their names, end. */
void tree_begin(struct buf *out);
void tree_add(struct buf *out, const struct tree_node *n);
void tree_end(struct buf *out);

/* A decoded folder; nodes in stored order. */
struct tree {
    struct tree_node *nodes;
    size_t count;
    void *memory; /* what the nodes point into */
};

/* Parse a plaintext tree from foreign hands: strict JSON, bounded entries,
 * names without '/' or NUL and not "." or "..", ids of 64 digits. Unknown
 * keys are ignored. OCM_E_DAMAGED otherwise. */
int tree_parse(const void *p, size_t len, struct tree *out, struct error *e);
void tree_free(struct tree *t);

/* Binary search when sorted, else linear; NULL when absent. */
const struct tree_node *tree_find(const struct tree *t, const char *name,
                                  size_t len);

#endif
