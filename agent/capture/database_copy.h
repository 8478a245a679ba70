/* SPDX-License-Identifier: MIT */
/* A consistent copy of a live SQLite database, without writing a byte of it.
 *
 * How the copy is taken depends on what lies there:
 *  - rollback journal, or WAL with a -shm (somebody has it open): SQLite's
 *    online backup from a read-only connection. One read transaction is held
 *    over all steps, so foreign commits never restart the backup (without it
 *    small steps restart on every commit: 1,789 times in 10 s at 200 commits
 *    a second, and never an end), and between steps the limits are looked at,
 *    which one single step would not allow. Like a single step, it keeps the
 *    WAL from being reset meanwhile, hence the limit on its growth.
 *  - WAL without -shm: nobody has it open. SQLite would have to create -wal
 *    and -shm in the live folder, so the files are copied as they are, with
 *    their -wal, under a check that they stood still and nobody holds a lock,
 *    and recovered in the copy. The same with a hot rollback journal, which a
 *    reader could only play back by writing.
 * No connection checkpoints: SQLite before 3.51.3 can corrupt a database when
 * a checkpoint and a writer race (sqlite.org/wal.html#walresetbug).
 *
 * Nobody else in this process may have the database open through SQLite: its
 * header is read with open and close, which drops POSIX locks. */
#ifndef AGENT_CAPTURE_DATABASE_COPY_H
#define AGENT_CAPTURE_DATABASE_COPY_H

#include <sqlite3.h>
#include <stdatomic.h>
#include <stdint.h>

#include "agent/capture/attr.h"
#include "common/base/error.h"

/* By what a change is noticed: the main file and its -wal. */
struct database_look {
    struct attr main, wal;
    bool has_wal;
};

struct database_limits {
    int64_t time_ms;    /* for one copy with its check; 0: none */
    int64_t wal_growth; /* bytes the -wal may grow meanwhile; 0: no limit */
    const atomic_bool *cancelled; /* may be NULL */
};

enum database_kind {
    DATABASE_NONE, /* not SQLite (or shorter than its header) */
    DATABASE_ROLLBACK,
    DATABASE_WAL,
};

/* What the header of the file says; `name` relative to `dir_fd`. -errno when
 * it cannot be read. Links are not followed. */
int database_kind(int dir_fd, const char *name);

/* 0, or -errno (-EINVAL: no regular file). */
int database_look(const char *live, struct database_look *out);

/* Copy `live` to the new file `copy` (one file, nothing beside it) and pass
 * it through quick_check. `seen` is how it looked at the last moment before
 * what was copied: what is committed later looks different. On failure nothing is left at `copy`. Codes:
 * OCM_E_CANCELLED; OCM_E_SPACE: no room for the copy; OCM_E_LIMIT,
 * OCM_E_TIMEOUT, OCM_E_LOCKED, OCM_E_CHANGED, OCM_E_DAMAGED and others: this
 * database cannot be had now. */
int database_copy(const char *live, const char *copy,
                  const struct database_limits *limits,
                  struct database_look *seen, struct error *e);

/* Open a copy: SQLite's defences on, with what OpenClaw's schema calls
 * (sqlite_guard.h). Caller closes. */
int database_open_copy(const char *copy, sqlite3 **out, struct error *e);

#endif
