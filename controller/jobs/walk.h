/* SPDX-License-Identifier: MIT */
/* Walking a snapshot's trees in stored order, bounded in depth. */
#ifndef CONTROLLER_JOBS_WALK_H
#define CONTROLLER_JOBS_WALK_H

#include <stdbool.h>

#include "controller/repo/repo.h"

#define WALK_MAX_DEPTH 128       /* as repo_closure */
#define WALK_MAX_ENTRIES 4000000 /* the same */
#define WALK_STOP 1              /* from the callback: enough, and no failure */

/* `fn` for each entry below `path` (a single file: for it), folders before
 * what is in them; `path` is where the entry stands in the snapshot. A code
 * < 0 of it ends the walk. Trees are read one level at a time. */
typedef int walk_fn(void *arg, const char *path, const struct tree_node *n);
int walk_snapshot(struct repo *r, const struct id *root, const char *path,
                  bool recursive, walk_fn *fn, void *arg, struct error *e);

/* How many paths there are below `root`, each tree read once however often it
 * is named: a snapshot from foreign hands can hold more than anybody can walk.
 * OCM_E_LIMIT above WALK_MAX_ENTRIES. */
int walk_measure(struct repo *r, const struct id *root, uint64_t *entries,
                 struct error *e);

/* Read and parse one tree. */
int walk_read_tree(struct repo *r, const struct id *id, struct tree *out,
                   struct error *e);

#endif
