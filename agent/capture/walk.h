/* SPDX-License-Identifier: MIT */
/* The walk: folders in sorted order, the layout laid over them, each folder
 * a tree blob once all below it is done. */
#ifndef AGENT_CAPTURE_WALK_H
#define AGENT_CAPTURE_WALK_H

#include "agent/capture/entry.h"
#include "agent/capture/names.h"

/* Under which root we are. */
struct place {
    const struct capture_root *root;
    size_t rel_at;   /* where the path below the root begins in c->path */
    uint64_t device; /* of the root */
};

/* Absolute path on the node of the current path; caller frees. */
char *place_live(const struct capture *c, const struct place *pl);

/* Walk the whole layout; `root` becomes the id of the top tree. 0 or a
 * negative code. */
int walk_all(struct capture *c, struct id *root, struct error *e);

/* file.c: the regular file `name` of the folder `dir_fd` at the current path,
 * as `choice` says; `flags` are those of its name (NAME_DATABASE is set when
 * its companions are not to be stored). STEP_* or a negative code. */
int file_capture(struct capture *c, const struct place *pl, int dir_fd,
                 const char *name, uint8_t *flags, enum capture_choice choice,
                 struct entry *out, struct error *e);

/* capture.c: OCM's own files. */
int capture_meta(struct capture *c, struct entry *out, struct error *e);
int capture_sums(struct capture *c, struct entry *out, struct error *e);

#endif
