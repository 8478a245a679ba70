/* SPDX-License-Identifier: MIT */
/* Databases that came from elsewhere, opened with SQLite's defences on:
 * nothing in their schema is trusted, triggers and views do not run, sizes
 * and time are bounded, and the first statement is quick_check. */
#ifndef AGENT_ADAPT_STAGED_DB_H
#define AGENT_ADAPT_STAGED_DB_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/base/error.h"

struct staged_db {
    sqlite3 *db;
    const char *name;    /* for messages; borrowed */
    int64_t deadline_ms; /* monotonic; work beyond it is interrupted */
};

/* A damaged or hostile file is OCM_E_DAMAGED. `write`: the file is changed in
 * place, leaves write-ahead mode (OpenClaw sets it again) and has no file
 * beside it afterwards. Otherwise not a byte is touched. */
int staged_db_open(struct staged_db *s, const char *path, const char *name,
                   bool write, struct error *e);
void staged_db_close(struct staged_db *s);

/* One line from SQLite's last error; returns OCM_E_DAMAGED or -ENOSPC. */
int staged_db_fail(struct staged_db *s, const char *what, struct error *e);

int staged_db_exec(struct staged_db *s, const char *sql, struct error *e);
sqlite3_stmt *staged_db_prepare(struct staged_db *s, const char *sql,
                                struct error *e);

bool staged_db_has_table(struct staged_db *s, const char *table);
bool staged_db_has_column(struct staged_db *s, const char *table,
                          const char *column);
/* Rows of a table that has them; `where` may be NULL. */
int64_t staged_db_count(struct staged_db *s, const char *table,
                        const char *where);
/* Rows that PRAGMA foreign_key_check finds. */
int64_t staged_db_orphans(struct staged_db *s);

#endif
