/* SPDX-License-Identifier: MIT */
/* What the parts of one capture share. Everything here belongs to the thread
 * that called capture_run; only upload.h has another one. */
#ifndef AGENT_CAPTURE_CAPTURE_INTERNAL_H
#define AGENT_CAPTURE_CAPTURE_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "agent/capture/ahead.h"
#include "agent/capture/attr.h"
#include "agent/capture/cache.h"
#include "agent/capture/capture.h"
#include "agent/capture/layout.h"
#include "agent/capture/upload.h"
#include "common/base/buf.h"
#include "common/data/chunker.h"
#include "common/data/tree.h"

/* A little less than a restore takes, for a longer path on another node. */
#define CAPTURE_MAX_DEPTH (TREE_MAX_DEPTH - 1u)
#define CAPTURE_MAX_PATH (TREE_MAX_PATH - 512u)
#define CAPTURE_RACE_NS                                                        \
    2000000000 /* a change so shortly before a capture
                                      may bear the same time as one after */

/* Steps return a negative code when the capture must end, or one of these. */
enum capture_step {
    STEP_STORED = 0,
    STEP_NOTHING = 1, /* nothing here to store; said if it was a problem */
};

/* The content of a regular file as it is stored. */
struct content {
    struct id *ids; /* of the chunks; owned */
    size_t count, cap;
    struct id sum; /* SHA-256 of all of it */
    uint64_t size;
    bool no_xattrs; /* seen while it was open */
};

/* A database that rows are taken of: copied at most once a run. */
enum source_state {
    SOURCE_NEW,    /* not met yet */
    SOURCE_REUSED, /* decided: as in the last backup, `main` and `wal` */
    SOURCE_COPIED, /* `copy` holds it */
    SOURCE_FAILED, /* `reason` says why */
};
struct source {
    const char *path; /* absolute; borrowed from the options */
    enum source_state state;
    bool has_wal;
    struct attr main, wal; /* before the copy was begun */
    char *copy;            /* path of the copy, to be removed */
    char *reason;
};

/* Unchanged files that are read again all the same. */
struct recheck {
    bool on;
    bool passed;            /* the walk is behind the end of the last turn */
    int64_t left;           /* bytes that may still be read */
    struct cache_turn turn; /* for the next capture */
};

struct links; /* links.c */

struct capture {
    const struct capture_options *o;
    struct capture_result *r;
    int64_t start_ns;
    struct layout *layout;

    struct buf path;    /* snapshot path of what is being looked at; always
                        with a NUL behind it */
    int section;        /* index it belongs to, -1: OCM's own */
    bool *seen;         /* per section: anything was stored */
    uint64_t *troubles; /* per section: problems */
    int64_t progress_ms;

    struct cache_reader *old;   /* NULL: none */
    int64_t old_start_ns;       /* when the capture of `old` began */
    struct cache_writer *fresh; /* NULL: none */
    struct recheck recheck;

    struct upload *up;
    struct idset *known; /* the caller's, or own_known */
    struct idset own_known;
    struct chunker chunker;
    uint8_t *window; /* read buffer of read.c */
    size_t window_cap;
    const uint8_t *small; /* the small file read last: in `window` or ahead */
    struct ahead *ahead;  /* NULL: not needed yet */
    unsigned misses;      /* files in a row that are not as they were */
    struct links *links;
    struct owner_names users, groups;
    struct buf tree;     /* folder being encoded */
    struct buf scratch;  /* names and values of extended attributes */
    struct buf list;     /* raw directory entries */
    char *temp;          /* private folder of this run */
    int temp_lock;       /* held as long as it is in use */
    unsigned temp_count; /* names given */
    int sums_fd;
    struct buf sums; /* lines not yet written */
    struct source *sources;
    size_t source_count;
};

/* --- report.c: what is said of the run */

/* A problem of the current path: kept (the first ones), counted, logged. */
void capture_problem(struct capture *c, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* OCM_E_CANCELLED when asked to stop; also the place of progress reports. */
int capture_check(struct capture *c, struct error *e);
/* Count a stored entry of the current section. */
void capture_count_file(struct capture *c, uint64_t size);
void capture_count_dir(struct capture *c);
/* States of the sections so far, for meta.json and at the end. */
void capture_sum_up(struct capture *c);
/* Append "/name" to the path and take it off again: returns the length to
 * give back. */
size_t capture_push(struct capture *c, const char *name, size_t len);
void capture_pop(struct capture *c, size_t len);

/* --- read.c: content */

enum read_result {
    READ_STABLE,     /* this is what the file held, and holds */
    READ_CONSISTENT, /* held at one moment; grown or replaced since */
    READ_TORN,       /* changed during every try: the last read */
    READ_GONE,
    READ_FAILED, /* a problem was recorded */
};

/* Read the regular file `name` of the folder `dir_fd`, send what is new.
 * `a` becomes what was seen at open. A negative code ends the capture. */
int read_file(struct capture *c, int dir_fd, const char *name, struct attr *a,
              struct content *out, struct error *e);
/* The same for a whole file of our own. */
int read_own_file(struct capture *c, const char *path, struct content *out,
                  struct error *e);
/* Open a plain name for reading, inside the folder; -1 with errno. */
int read_open(int dir_fd, const char *name);
/* Up to `len` bytes; fewer only at the end of the file. -1 with errno. */
ssize_t read_full(int fd, uint8_t *p, size_t len);
/* Send one blob unless it is known. */
int read_store(struct capture *c, enum blob_type type, const void *p,
               size_t len, struct id *id, struct error *e);
void content_free(struct content *content);

/* --- recheck.c: a share of the unchanged files, read again */

/* With the caches open. */
void recheck_begin(struct capture *c);
/* The file at the current path was met: of `size` bytes, and as the cache has
 * it or not. Is it to be read again? */
bool recheck_due(struct capture *c, uint64_t size, bool unchanged);
/* It was, and stat still says the same: does its content fit, too? */
bool recheck_fits(struct capture *c, const struct cache_record *rec,
                  const struct content *content);
/* At the end of a whole walk. */
void recheck_end(struct capture *c);

/* --- links.c: content of files with several names, read once */

bool links_find(struct capture *c, const struct attr *a, struct content *out);
void links_add(struct capture *c, const struct attr *a,
               const struct content *content);
void links_free(struct links *l);

/* --- temp.c: the private folder */

/* Make it, and remove what a killed run left behind. */
int temp_open(struct capture *c, struct error *e);
void temp_close(struct capture *c);
/* A new path in it; caller frees. */
char *temp_path(struct capture *c, const char *what);

/* --- sums.c: verify/SHA256SUMS as it grows */

int sums_open(struct capture *c, struct error *e);
/* A line for the current path. */
int sums_add(struct capture *c, const struct id *sum, struct error *e);
/* All lines, stored. */
int sums_end(struct capture *c, struct content *out, struct error *e);

#endif
