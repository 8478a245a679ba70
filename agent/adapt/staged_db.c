/* SPDX-License-Identifier: MIT */
/* Opening staged databases, and small questions to them. */
#include "agent/adapt/staged_db.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/data/sqlite_guard.h"

/* quick_check of a gigabyte takes seconds; a hostile schema takes for ever. */
#define DB_TIME_MS (10 * 60 * 1000)
#define DB_PROGRESS_OPS 20000
#define DB_VALUE_MAX (512 * 1024 * 1024)
#define DB_SQL_MAX (4 * 1024 * 1024)

static int on_progress(void *arg)
{
    struct staged_db *s = arg;

    return clock_monotonic_ms() > s->deadline_ms;
}

static const struct {
    int id, value;
} limits[] = {
    {SQLITE_LIMIT_LENGTH, DB_VALUE_MAX},
    {SQLITE_LIMIT_SQL_LENGTH, DB_SQL_MAX},
    {SQLITE_LIMIT_EXPR_DEPTH, 200},
    {SQLITE_LIMIT_COMPOUND_SELECT, 50},
    {SQLITE_LIMIT_ATTACHED, 0},
    {SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 100},
    {SQLITE_LIMIT_TRIGGER_DEPTH, 10},
    {SQLITE_LIMIT_WORKER_THREADS, 0},
};

static void harden(struct staged_db *s)
{
    static const struct {
        int id, on;
    } switches[] = {
        {SQLITE_DBCONFIG_DEFENSIVE, 1},
        {SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0},
        {SQLITE_DBCONFIG_ENABLE_TRIGGER, 0},
        {SQLITE_DBCONFIG_ENABLE_VIEW, 0},
        {SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 0},
        {SQLITE_DBCONFIG_WRITABLE_SCHEMA, 0},
    };

    for (size_t i = 0; i < ARRAY_LEN(switches); i++)
        sqlite3_db_config(s->db, switches[i].id, switches[i].on, NULL);
    for (size_t i = 0; i < ARRAY_LEN(limits); i++)
        sqlite3_limit(s->db, limits[i].id, limits[i].value);
    s->deadline_ms = clock_monotonic_ms() + DB_TIME_MS;
    sqlite3_progress_handler(s->db, DB_PROGRESS_OPS, on_progress, s);
    sqlite_guard_functions(s->db);
}

int staged_db_fail(struct staged_db *s, const char *what, struct error *e)
{
    int code = s->db ? sqlite3_extended_errcode(s->db) & 0xff : SQLITE_NOMEM;

    if (code == SQLITE_FULL)
        return error_set(e, -ENOSPC, "%s: no space left for the database",
                         s->name);
    return error_set(e, OCM_E_DAMAGED, "%s: %s: %s", s->name, what,
                     s->db ? sqlite3_errmsg(s->db) : "out of memory");
}

sqlite3_stmt *staged_db_prepare(struct staged_db *s, const char *sql,
                                struct error *e)
{
    sqlite3_stmt *st = NULL;

    if (sqlite3_prepare_v2(s->db, sql, -1, &st, NULL) != SQLITE_OK)
        staged_db_fail(s, "cannot be read", e);
    return st;
}

int staged_db_exec(struct staged_db *s, const char *sql, struct error *e)
{
    if (sqlite3_exec(s->db, sql, NULL, NULL, NULL) != SQLITE_OK)
        return staged_db_fail(s, "cannot be changed", e);
    return 0;
}

static int quick_check(struct staged_db *s, struct error *e)
{
    sqlite3_stmt *st = staged_db_prepare(s, "PRAGMA quick_check(1)", e);
    int rc = OCM_E_DAMAGED;

    if (!st)
        return rc;
    if (sqlite3_step(st) != SQLITE_ROW) {
        rc = staged_db_fail(s, "the database is damaged", e);
    } else {
        const char *text = (const char *)sqlite3_column_text(st, 0);

        rc =
            text && strcmp(text, "ok") == 0
                ? 0
                : error_set(e, OCM_E_DAMAGED, "%s: the database is damaged: %s",
                            s->name, text ? text : "no answer");
    }
    sqlite3_finalize(st);
    return rc;
}

static bool stands_beside(const char *path, const char *suffix)
{
    char *beside = mem_printf("%s%s", path, suffix);
    struct stat st;
    bool there = lstat(beside, &st) == 0;

    free(beside);
    return there;
}

/* "file:" URI with what a URI must not hold in plain. */
static char *uri_of(const char *path, const char *query)
{
    struct buf b = {0};

    buf_add_str(&b, "file:");
    for (; *path; path++) {
        if (strchr("%?#", *path))
            buf_printf(&b, "%%%02x", (unsigned char)*path);
        else
            buf_add_byte(&b, (uint8_t)*path);
    }
    buf_printf(&b, "?%s", query);
    return buf_str(&b);
}

int staged_db_open(struct staged_db *s, const char *path, const char *name,
                   bool write, struct error *e)
{
    bool wal = stands_beside(path, "-wal");
    char *uri;
    int rc;

    *s = (struct staged_db){.name = name};
    /* a rollback journal can name a further file, which SQLite then deletes */
    if (stands_beside(path, "-journal"))
        return error_set(e, OCM_E_DAMAGED,
                         "%s: a rollback journal stands beside the database",
                         name);
    uri = uri_of(path, write || wal ? "mode=rw" : "mode=ro&immutable=1");
    rc = sqlite3_open_v2(
        uri, &s->db,
        SQLITE_OPEN_URI | SQLITE_OPEN_NOMUTEX |
            (write || wal ? SQLITE_OPEN_READWRITE : SQLITE_OPEN_READONLY),
        NULL);
    free(uri);
    if (rc != SQLITE_OK) {
        rc = staged_db_fail(s, "cannot be opened", e);
        staged_db_close(s);
        return rc;
    }
    harden(s);
    /* before the first read: no shared memory file in exclusive mode */
    rc = staged_db_exec(s,
                        "PRAGMA locking_mode=EXCLUSIVE;"
                        "PRAGMA cell_size_check=ON;"
                        "PRAGMA mmap_size=0;"
                        "PRAGMA temp_store=MEMORY;"
                        "PRAGMA synchronous=OFF",
                        e);
    if (rc == 0)
        rc = quick_check(s, e);
    if (rc == 0 && (write || wal))
        rc = staged_db_exec(s, "PRAGMA journal_mode=MEMORY", e);
    if (rc != 0)
        staged_db_close(s);
    return rc;
}

void staged_db_close(struct staged_db *s)
{
    sqlite3_close(s->db);
    s->db = NULL;
}

static int64_t number(struct staged_db *s, const char *sql, const char *a,
                      const char *b)
{
    sqlite3_stmt *st = staged_db_prepare(s, sql, NULL);
    int64_t n = -1;

    if (!st)
        return -1;
    if (a)
        sqlite3_bind_text(st, 1, a, -1, SQLITE_STATIC);
    if (b)
        sqlite3_bind_text(st, 2, b, -1, SQLITE_STATIC);
    if (sqlite3_step(st) == SQLITE_ROW)
        n = sqlite3_column_int64(st, 0);
    sqlite3_finalize(st);
    return n;
}

bool staged_db_has_table(struct staged_db *s, const char *table)
{
    return number(s,
                  "SELECT count(*) FROM sqlite_schema WHERE type='table' AND "
                  "name=?1 AND sql NOT LIKE 'CREATE VIRTUAL%'",
                  table, NULL) == 1;
}

bool staged_db_has_column(struct staged_db *s, const char *table,
                          const char *column)
{
    return number(s, "SELECT count(*) FROM pragma_table_info(?1) WHERE name=?2",
                  table, column) == 1;
}

int64_t staged_db_count(struct staged_db *s, const char *table,
                        const char *where)
{
    char *sql = sqlite3_mprintf("SELECT count(*) FROM \"%w\"%s%s", table,
                                where ? " WHERE " : "", where ? where : "");
    int64_t n = sql ? number(s, sql, NULL, NULL) : -1;

    sqlite3_free(sql);
    return n;
}

int64_t staged_db_orphans(struct staged_db *s)
{
    sqlite3_stmt *st = staged_db_prepare(s, "PRAGMA foreign_key_check", NULL);
    int64_t n = 0;

    while (st && sqlite3_step(st) == SQLITE_ROW)
        n++;
    sqlite3_finalize(st);
    return n;
}
