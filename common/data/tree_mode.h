/* SPDX-License-Identifier: MIT */
/* Types and modes of tree nodes as restic writes them; between tree.c, which
 * writes, and tree_parse.c, which reads. Source: Go's io/fs FileMode. */
#ifndef COMMON_DATA_TREE_MODE_H
#define COMMON_DATA_TREE_MODE_H

#include <sys/stat.h>

#include "common/base/mem.h"
#include "common/data/tree.h"

#define GO_MODE_SETUID (1u << 23)
#define GO_MODE_SETGID (1u << 22)
#define GO_MODE_STICKY (1u << 20)

static const struct {
    const char *name;
    uint32_t go_bits; /* type bits of Go's FileMode */
} tree_types[] = {
    [TREE_FILE] = {"file", 0},
    [TREE_DIR] = {"dir", 1u << 31},
    [TREE_SYMLINK] = {"symlink", 1u << 27},
    [TREE_DEV] = {"dev", 1u << 26},
    [TREE_CHARDEV] = {"chardev", 1u << 26 | 1u << 21},
    [TREE_FIFO] = {"fifo", 1u << 25},
    [TREE_SOCKET] = {"socket", 1u << 24},
    [TREE_OTHER] = {"irregular", 1u << 19},
};

static inline const char *tree_type_name(enum tree_type t)
{
    return tree_types[t].name;
}

static inline uint32_t tree_mode_to_go(enum tree_type t, mode_t mode)
{
    return tree_types[t].go_bits | (mode & 0777u) |
           (mode & S_ISUID ? GO_MODE_SETUID : 0) |
           (mode & S_ISGID ? GO_MODE_SETGID : 0) |
           (mode & S_ISVTX ? GO_MODE_STICKY : 0);
}

static inline mode_t tree_mode_of_go(uint32_t go)
{
    return (go & 0777u) | (go & GO_MODE_SETUID ? S_ISUID : 0) |
           (go & GO_MODE_SETGID ? S_ISGID : 0) |
           (go & GO_MODE_STICKY ? S_ISVTX : 0);
}

#endif
