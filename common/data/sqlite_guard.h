/* SPDX-License-Identifier: MIT */
/* What an older SQLite lacks to read the schemas of a newer one when nothing
 * in them is trusted (SQLITE_DBCONFIG_TRUSTED_SCHEMA off). */
#ifndef COMMON_DATA_SQLITE_GUARD_H
#define COMMON_DATA_SQLITE_GUARD_H

#include <sqlite3.h>

/* Supply the functions that OpenClaw's CHECK constraints and indexes call,
 * as functions that an untrusted schema may use. Before the first statement;
 * they go with the connection. What cannot be supplied is left out: a schema
 * that calls it is then refused by SQLite. */
void sqlite_guard_functions(sqlite3 *db);

#endif
