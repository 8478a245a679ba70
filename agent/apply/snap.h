/* SPDX-License-Identifier: MIT */
/* A snapshot as apply needs it: /meta.json, and the entries of the chosen
 * sections as a flat array in breadth-first order, so that the children of a
 * folder lie side by side. Everything in it comes from foreign hands; what
 * passes snap_walk is bounded and safe to be written beneath a stage folder.
 *
 * Entry policy: files, folders and symbolic links (as text, never followed).
 * Devices, FIFOs, sockets and unknown kinds are left out with a warning;
 * setuid and setgid are dropped with a warning, unless the node gets back its
 * own state. Names are plain; depth, path length and number are bounded. */
#ifndef AGENT_APPLY_SNAP_H
#define AGENT_APPLY_SNAP_H

#include <stdatomic.h>

#include "agent/adapt/plan.h"
#include "agent/apply/apply.h"
#include "agent/openclaw/sections.h"

#define SNAP_MAX_DEPTH TREE_MAX_DEPTH
#define SNAP_MAX_PATH TREE_MAX_PATH
#define SNAP_MAX_META (4u * 1024 * 1024)
#define SNAP_MAX_SECTIONS 256
#define SNAP_MAX_ROOTS 4096
#define SNAP_NONE UINT32_MAX

enum snap_flag {
    SNAP_BASE = 1,    /* `base` of its place starts here, not at the parent */
    SNAP_LOOK = 2,    /* fetched for the plan, given to the adaptation */
    SNAP_STAGED = 4,  /* its content is in the stage */
    SNAP_EDITED = 8,  /* the adaptation changed it */
    SNAP_GONE = 16,   /* the adaptation dropped it */
    SNAP_LINKED = 32, /* a further name of an earlier file */
    SNAP_CHECK = 64,  /* a database to be checked before it goes live */
    SNAP_NAMES = 128, /* a file with more than one name */
};

struct snap_xattr {
    const char *name;
    const uint8_t *value;
    size_t len;
    const struct snap_xattr *next;
};

/* All pointers lie in the arena of the snap. */
struct snap_entry {
    const char *name;
    uint32_t name_len;
    uint32_t parent;
    uint32_t root;         /* index of its snap_root, or SNAP_NONE */
    uint32_t place;        /* index of its place on the target */
    uint32_t first, count; /* folder: its children */
    uint8_t type;          /* enum tree_type */
    uint8_t flags;         /* enum snap_flag */
    uint16_t depth;
    mode_t mode;
    uint32_t uid, gid;
    int64_t mtime_ns;
    uint64_t size, inode, device_id;
    const struct id *ids; /* file: content; folder: its subtree */
    uint32_t id_count;
    uint32_t leader;        /* SNAP_LINKED: the entry it is a name of */
    const char *linktarget; /* symlink */
    const struct snap_xattr *xattrs;
};

/* Where a part of a section stood on the source, and where it goes. */
struct snap_root {
    char *at;       /* "config/gateway" */
    char *path;     /* absolute, on the source */
    size_t section; /* index */
    bool wanted;    /* walk below it */
    bool nested;    /* another root's `at` lies below */
    uint32_t entry; /* SNAP_NONE: not in the snapshot */
    char *target;   /* absolute, real, on the target; NULL: nowhere */
    char *shown;    /* the same as the node's configuration names it */
    uint32_t place; /* with `rel` below it */
    char *rel;
};

struct snap_section {
    char name[32], area[8];
    char state[12]; /* "complete", "partial", "absent", "skipped" */
    const struct section_def *def;
    bool listed;    /* asked for, or asked for by not naming any */
    bool chosen;    /* its roots are walked and its files staged */
    bool clear;     /* absent in the backup and to be absent on the target */
    bool has_rows;  /* part of it is rows of a database in another section */
    bool adds_only; /* not all of it comes: nothing is taken away for it */
    bool rows_only; /* of its database, rows of other sections; nothing else */
    enum section_action action;
    char *failed; /* why it stays as it is, or NULL */
    uint64_t files, bytes;
};

struct snap {
    struct facts facts;
    enum openclaw_era era;
    struct snap_section *sections;
    size_t section_count, section_cap;
    struct snap_root *roots;
    size_t root_count, root_cap;
    struct snap_entry *entries;
    size_t count, cap;
    struct snap_block *blocks; /* the arena */
    size_t warned[8];          /* warnings given out, by kind */
};

/* Read and check /meta.json of the snapshot `root`. OCM_E_VERSION for a
 * format that this program does not know. */
int snap_load_meta(struct snap *s, const struct apply_source *src,
                   const struct id *root, struct error *e);

/* Read the trees on the way to and below the wanted roots. A warning goes
 * into `plan` for each entry left out. */
int snap_walk(struct snap *s, const struct apply_source *src,
              const struct id *root, enum intention intention,
              const atomic_bool *cancelled, struct plan *plan, struct error *e);

/* The section cannot be restored: it stays as it is, and the plan says so. */
void snap_fail_section(struct snap *s, size_t section, const char *why,
                       struct plan *plan);

void snap_fini(struct snap *s);

/* "config/gateway/openclaw.json"; appended to `out`. */
void snap_path(const struct snap *s, uint32_t entry, struct buf *out);
/* The child of a folder by name, or SNAP_NONE. */
uint32_t snap_child(const struct snap *s, uint32_t dir, const char *name,
                    size_t len);
void *snap_alloc(struct snap *s, size_t len);

#endif
