/* SPDX-License-Identifier: MIT */
/* What the files of the catalog share: the connection, its lock, and one way
 * to run a statement. Every function here wants the lock to be held. */
#ifndef CONTROLLER_CATALOG_CATALOG_INTERNAL_H
#define CONTROLLER_CATALOG_CATALOG_INTERNAL_H

#include <pthread.h>
#include <sqlite3.h>

#include "controller/catalog/catalog.h"

struct catalog {
    sqlite3 *db;
    pthread_mutex_t lock;
    char *key_path; /* catalog.key, beside the catalog */
};

void catalog_lock(struct catalog *c);
void catalog_unlock(struct catalog *c);

/* Prepare `sql` and bind the arguments by `types`: 's' const char * (NULL
 * binds NULL), 'i' int64_t, 'd' const struct id *. The strings are borrowed
 * until the statement is finalised. */
int catalog_prepare(struct catalog *c, sqlite3_stmt **out, struct error *e,
                    const char *sql, const char *types, ...);
/* The same, and run it to its end. */
int catalog_exec(struct catalog *c, struct error *e, const char *sql,
                 const char *types, ...);
/* One step: 1 a row, 0 the end, or a failure. */
int catalog_step(struct catalog *c, sqlite3_stmt *st, struct error *e);
/* How many rows the last statement changed. */
int catalog_changes(struct catalog *c);

int catalog_begin(struct catalog *c, struct error *e);
/* Commit when `rc` is 0, else roll back; returns the first failure. */
int catalog_end(struct catalog *c, int rc, struct error *e);

/* A text column into a fixed field (cut when too long) or onto the heap. */
void column_copy(sqlite3_stmt *st, int col, char *out, size_t cap);
char *column_dup(sqlite3_stmt *st, int col);

#endif
