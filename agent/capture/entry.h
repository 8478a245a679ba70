/* SPDX-License-Identifier: MIT */
/* One entry of a folder between the walk and its tree node. */
#ifndef AGENT_CAPTURE_ENTRY_H
#define AGENT_CAPTURE_ENTRY_H

#include "agent/capture/capture_internal.h"

struct entry {
    const char *name; /* borrowed from the folder's list or the layout */
    size_t name_len;
    enum cache_kind kind;
    bool unchanged;   /* its node is the one of the last backup */
    bool ours;        /* made by OCM: nothing on the node to look at */
    char *live;       /* a root: its absolute path; NULL: name in the folder */
    struct attr attr; /* as stored: a database has its copy's size */
    struct id one;    /* folder: its tree; file of one chunk: its id */
    struct id *ids;   /* file of several chunks; owned */
    size_t id_count;
    bool no_xattrs; /* known already: nobody needs to ask */
};

void entry_free(struct entry *en);

/* Give the entry its content; takes the ids. */
void entry_content(struct entry *en, struct content *content);
/* The same from a record of the cache (copied). */
void entry_reuse(struct entry *en, const struct cache_record *rec);

/* Is what the record says still true, and still in the repository? `wal` may
 * be NULL. */
bool entry_fits(const struct capture *c, const struct cache_record *rec,
                enum cache_kind kind, const struct attr *a,
                const struct attr *wal);

/* Add the node to c->tree, with link target and extended attributes read
 * now. An entry that vanished meanwhile is left out. */
void entry_encode(struct capture *c, int dir_fd, const struct entry *en);

#endif
