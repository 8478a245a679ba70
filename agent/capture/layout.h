/* SPDX-License-Identifier: MIT */
/* Where things stand in the snapshot: the `at` paths of all roots and rows,
 * and OCM's own files, as one sorted tree. The walk overlays it on what the
 * folders really hold. */
#ifndef AGENT_CAPTURE_LAYOUT_H
#define AGENT_CAPTURE_LAYOUT_H

#include <stddef.h>

#include "agent/capture/capture.h"

enum layout_kind {
    LAYOUT_FOLDER, /* only a way to something below */
    LAYOUT_ROOT,   /* a capture_root; may have kids laid over it */
    LAYOUT_ROWS,
    LAYOUT_META, /* /meta.json */
    LAYOUT_SUMS, /* /verify/SHA256SUMS */
};

struct layout {
    char *name;
    enum layout_kind kind;
    int section;                     /* index; -1 for OCM's own */
    const struct capture_root *root; /* LAYOUT_ROOT; borrowed */
    const struct capture_rows *rows; /* LAYOUT_ROWS; borrowed */
    struct layout **kids;            /* sorted by bytes of the name */
    size_t kid_count, kid_cap;
};

/* The tree of all sections that are not skipped. OCM_E_INVALID when an `at`
 * does not start with "config/" or "data/", is no plain relative path, or
 * stands twice. */
int layout_build(const struct capture_section *sections, size_t count,
                 struct layout **out, struct error *e);
void layout_free(struct layout *l); /* NULL is fine */

#endif
