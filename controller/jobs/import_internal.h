/* SPDX-License-Identifier: MIT */
/* What the parts of an import share: archive_import.c reads the archive into
 * a list of entries (contents go to the repository at once), import_map.c
 * says where each stands in the snapshot, import_tree.c writes the trees. */
#ifndef CONTROLLER_JOBS_IMPORT_INTERNAL_H
#define CONTROLLER_JOBS_IMPORT_INTERNAL_H

#include <sys/types.h>

#include "common/base/buf.h"
#include "common/data/tree.h"
#include "controller/jobs/archive_import.h"

struct import_entry {
    char *path; /* in the archive, then in the snapshot; NULL: left out */
    enum tree_type type;
    mode_t mode;
    int64_t mtime_ns;
    uint32_t uid, gid;
    char *user, *group; /* never NULL */
    char *target;       /* symlink */
    uint64_t size;
    uint64_t link; /* > 0: files of one inode share this number */
    uint64_t links;
    struct id *content;
    size_t content_count;
    struct id sum; /* SHA-256 of the whole file */
    struct tree_xattr *xattrs;
    size_t xattr_count;
};

struct import {
    const struct import_options *o;
    struct repo_writer *w;
    struct import_entry *entries;
    size_t count, cap;
    uint64_t bytes, files;
    struct buf meta, sums, manifest; /* small files that say what it is */
    json_t *warnings;                /* texts, bounded */
    json_t *sections;                /* of meta.json */
    const char *format;
    bool partial;
    struct error *e;
};

void import_warn(struct import *im, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

void import_entry_fini(struct import_entry *en);

/* An own file (meta.json, SHA256SUMS) as an entry. */
int import_add_file(struct import *im, const char *path, const void *p,
                    size_t len);

/* import_map.c: find out what it is and bring the entries to their places. */
int import_map(struct import *im);

/* import_tree.c: sort the entries, write all trees; the root's id. */
int import_write_trees(struct import *im, struct id *root);

#endif
