/* SPDX-License-Identifier: MIT */
/* What the two kinds of check share: the report, and the damaged blobs. */
#ifndef CONTROLLER_REPO_CHECK_H
#define CONTROLLER_REPO_CHECK_H

#include "controller/repo/id_table.h"
#include "controller/repo/repo_internal.h"

#define CHECK_LINES_MAX 2000 /* findings printed; all are counted */

typedef bool check_progress_cb(void *arg, const struct repo_check_progress *p);

struct checker {
    struct repo *r;
    struct blob_index *ix; /* what is believed: made anew, or the cache */
    struct repo_check_report *report;
    check_progress_cb *progress; /* may be NULL */
    void *arg;
    struct repo_check_progress at;
    size_t lines;
    struct id_table seen;  /* blobs reached; value: length of the sealed one */
    struct id_table bad;   /* blobs that are missing or damaged */
    struct id_table clean; /* trees below which nothing is bad */
};

/* One line of the report; an error unless `note`. */
void check_line(struct checker *c, bool note, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
void check_bad(struct checker *c, const struct id *id, enum blob_type type);
/* OCM_E_CANCELLED when the caller wants no more. */
int check_step(struct checker *c, struct error *e);
void check_fini(struct checker *c);

/* Walk all trees below `root`: every blob must be in the index, every tree
 * readable. What is reached is in c->seen. */
int check_trees(struct checker *c, const struct id *root, struct error *e);
/* Name the files below `root` that damaged blobs cost, as "name: path". */
int check_name_files(struct checker *c, const char *name, const struct id *root,
                     struct error *e);

#endif
