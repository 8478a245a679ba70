/* SPDX-License-Identifier: MIT */
/* A look into a node's live SQLite databases: read only, and without a trace
 * in their folder. */
#ifndef AGENT_OPENCLAW_DATABASE_H
#define AGENT_OPENCLAW_DATABASE_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/error.h"

struct database {
    sqlite3 *db;
    char *temp; /* folder of a private copy, or NULL */
};

/* Open `path`. Where nobody has the database open but a write-ahead log is
 * left, SQLite would have to write beside it: then main file and log are
 * copied to a private folder first (at most DATABASE_COPY_MAX bytes). */
#define DATABASE_COPY_MAX (256u * 1024 * 1024)
int database_open(const char *path, struct database *out, struct error *e);
void database_close(struct database *d);

/* PRAGMA user_version, from bytes 60-63 of the file; -1: no database. */
int64_t database_schema(const char *path);

bool database_has_table(struct database *d, const char *table);

/* PRAGMA quick_check; 0, or OCM_E_DAMAGED with what it said. Works on schemas
 * of newer SQLite versions (octet_length) and with modules it lacks. */
int database_verify(const char *path, struct error *e);

/* The single number of a query with text parameters (NULL-ended list may be
 * NULL); -1 when it fails or gives no row. */
int64_t database_number(struct database *d, const char *sql,
                        const char *const *params);
/* The single text of a query, or NULL. Caller frees. */
char *database_text(struct database *d, const char *sql);

/* Append the columns of `table` to `out`, quoted and divided by ", ", without
 * those in `leave_out` (NULL-ended). False when there is no such table. */
bool database_columns(struct database *d, const char *table,
                      const char *const *leave_out, struct buf *out);

#endif
