/* SPDX-License-Identifier: MIT */
/* Capture: from live folders and databases to a tree of blobs, without
 * disturbing whoever uses them. One call, on a worker thread. It knows
 * nothing of OpenClaw: the caller says which sections there are and where. */
#ifndef AGENT_CAPTURE_CAPTURE_H
#define AGENT_CAPTURE_CAPTURE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/error.h"
#include "common/data/blob.h"
#include "common/data/chunker.h"
#include "common/data/idset.h"

enum capture_choice {
    CAPTURE_SKIP,     /* not here: not part of this section, or not stored */
    CAPTURE_TAKE,     /* store it (a folder: with all that `choose` takes) */
    CAPTURE_DESCEND,  /* folder: store it only if something below is taken */
    CAPTURE_DATABASE, /* file: a SQLite database, copy with the backup API */
    CAPTURE_MAYBE_DATABASE, /* the same if it begins like one; else a file */
};

/* A folder (or single file) and where it stands in the snapshot. The path
 * itself may lead over symbolic links; below it none is followed. Roots may
 * stand below one another's `at`; no `at` may be given twice.
 *
 * Stored: files, folders, symbolic links as text, FIFOs without content; hard
 * links stay together. Left out without a word: sockets (restic cannot
 * restore them), and what vanished since its name was read; what was only
 * renamed within its folder meanwhile is stored under its new name. Left out
 * as a problem: devices, what cannot be read, folders of another file system,
 * what lies deeper or has a longer path than a restore takes. A root that is a
 * link to nothing is a problem and stored as that link. A file that only grew
 * while it was read is stored as it began. */
struct capture_root {
    const char *at;   /* "config/gateway", "data/workspace/main"; below
                         config/ or data/ */
    const char *path; /* absolute, on this node */
    /* NULL: take all. `rel` is the path below `path`, bytes as they are. The
     * root itself is not asked for: that it is given says that it is wanted,
     * empty as it may be. */
    enum capture_choice (*choose)(void *arg, const char *rel, bool is_dir);
    void *arg;
    bool shared; /* the folder is of several sections: stored for this one
                    only if something in it is taken */
};

/* Databases (chosen, or a single-file root, or any SQLite file that has a -wal
 * or -journal beside it) are stored as one consistent copy under their own
 * name; -wal, -shm and -journal never. One that cannot be had (locked, over a
 * limit, damaged) is left out and is a problem. The stored time is that of
 * the last change of main file or -wal. See database_copy.h.
 *
 * Rows of a database kept beside it as canonical JSON, one object a line, out
 * of the same copy: keys in column order, integers exact, reals as %.17g (and
 * ".0"), blobs as {"$blob":"base64"}, text that is no UTF-8 as
 * {"$text":"base64"}. A missing database or table means no file. */
struct capture_rows {
    const char *at;       /* "config/cron/rows/cron_jobs.jsonl" */
    const char *database; /* absolute path of the live database */
    const char *sql;      /* SELECT with ORDER BY; column names become keys */
};

struct capture_section {
    const char *name; /* "gateway" */
    const char *area; /* "config" or "data" */
    const struct capture_root *roots;
    size_t root_count;
    const struct capture_rows *rows;
    size_t row_count;
    const char *const *gaps; /* what belongs to it and stands below no root:
                                each is a problem, in these words */
    size_t gap_count;
    bool skipped; /* left out on request: reported as "skipped" */
};

enum capture_state {
    CAPTURE_COMPLETE,
    CAPTURE_PARTIAL,
    CAPTURE_ABSENT,
    CAPTURE_SKIPPED,
};

struct capture_problem {
    char *section, *path, *reason; /* path: in the snapshot, what is no
                                      UTF-8 as \xNN */
};

struct capture_section_result {
    enum capture_state state;
    uint64_t files, bytes;
};

struct capture_result {
    struct id root;
    struct capture_section_result *sections; /* one per given section */
    size_t section_count;
    struct capture_problem *problems; /* the first CAPTURE_MAX_PROBLEMS */
    size_t problem_count;
    uint64_t problems_total;
    uint64_t files, dirs, bytes; /* of the whole snapshot */
    uint64_t bytes_read;         /* of content, database copies and our own */
    uint64_t bytes_sent;         /* as stored */
    /* with `recheck`; not among bytes_read unless the content was another */
    uint64_t files_checked, bytes_checked;
    uint64_t silent_changes; /* files that held something else than their
                                size and times said */
    bool partial;
};

#define CAPTURE_MAX_PROBLEMS 200

struct capture_progress {
    uint64_t files, bytes, bytes_read;
    const char *current; /* snapshot path */
};

struct capture_options {
    const struct capture_section *sections;
    size_t section_count;
    const char *cache_path; /* entry list of the last committed backup; the
                               new one is written to "<cache_path>.new" */
    const char *cache_key;  /* the cache counts only if it was made under this
                               key: node id and last committed root */
    const char *temp_dir;   /* private folder for database copies, made when
                               missing; what a killed run left is removed */
    const uint8_t *chunk_seed;
    struct idset *known; /* ids that need not be sent; added to, so it is
                            worthless after a failure. Cached ids that are
                            not in it are made anew. */
    bool reread;         /* read unchanged files too */
    bool recheck;        /* or a share of them, another one each time */
    int zstd_level;
    int64_t database_ms; /* time limit for one database copy; 0: none */
    int64_t wal_growth;  /* bytes its WAL may grow meanwhile; 0: any */
    /* /meta.json, called once when the sections are done. */
    int (*make_meta)(void *arg, const struct capture_result *so_far,
                     struct buf *out, struct error *e);
    /* Send a blob: called in order, from one thread, may block. `b` is
     * borrowed. A failure ends the capture with that code. */
    int (*put)(void *arg, const struct blob *b, struct error *e);
    /* At most every 100 ms. */
    void (*on_progress)(void *arg, const struct capture_progress *p);
    void *arg;
    const atomic_bool *cancelled;
};

/* 0, or a code when no snapshot can come of it (cancelled, put failed, no
 * space for temp files); what could not be captured is a problem in `out`,
 * never an error. `out` must be given to capture_result_fini either way. */
int capture_run(const struct capture_options *o, struct capture_result *out,
                struct error *e);
void capture_result_fini(struct capture_result *r);

/* After the controller has committed: "<cache_path>.new" becomes the cache,
 * bound to `cache_key`. */
int capture_cache_commit(const char *cache_path, const char *cache_key,
                         struct error *e);

#endif
