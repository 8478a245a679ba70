/* SPDX-License-Identifier: MIT */
/* Opening the catalog: schema, versions, what is too old to be kept; and the
 * few helpers that the tables' files run their statements with. */
#include "controller/catalog/catalog.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "controller/catalog/catalog_internal.h"

#define CATALOG_VERSION 3
#define CATALOG_KEEP_JOBS 20000
#define CATALOG_BUSY_MS 10000

/* The partial index lets a node come back under the name of a revoked one. */
static const char schema_1[] =
    "CREATE TABLE tokens ("
    "  hash BLOB PRIMARY KEY, node_name TEXT NOT NULL,"
    "  expires_ns INTEGER NOT NULL, used_ns INTEGER NOT NULL DEFAULT 0"
    ") WITHOUT ROWID;"
    "CREATE TABLE nodes ("
    "  id TEXT PRIMARY KEY, name TEXT NOT NULL, hostname TEXT NOT NULL,"
    "  agent_version TEXT NOT NULL DEFAULT '',"
    "  platform TEXT NOT NULL DEFAULT '',"
    "  openclaw_version TEXT NOT NULL DEFAULT '',"
    "  revoked INTEGER NOT NULL DEFAULT 0,"
    "  created_ns INTEGER NOT NULL,"
    "  last_seen_ns INTEGER NOT NULL DEFAULT 0,"
    "  last_backup_ns INTEGER NOT NULL DEFAULT 0,"
    "  last_backup_state TEXT NOT NULL DEFAULT '',"
    "  last_snapshot TEXT NOT NULL DEFAULT '',"
    "  last_root TEXT NOT NULL DEFAULT '',"
    "  cert_not_after INTEGER NOT NULL DEFAULT 0);"
    "CREATE UNIQUE INDEX nodes_name ON nodes(name) WHERE revoked = 0;"
    "CREATE TABLE certs ("
    "  fingerprint BLOB PRIMARY KEY, node_id TEXT NOT NULL REFERENCES nodes,"
    "  not_after INTEGER NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE jobs ("
    "  id TEXT PRIMARY KEY, kind TEXT NOT NULL, node TEXT NOT NULL,"
    "  owner TEXT NOT NULL, state TEXT NOT NULL, created_ns INTEGER NOT NULL,"
    "  started_ns INTEGER NOT NULL, ended_ns INTEGER NOT NULL, params TEXT,"
    "  result TEXT, error TEXT, error_code TEXT NOT NULL DEFAULT ''"
    ") WITHOUT ROWID;"
    "CREATE INDEX jobs_node ON jobs(node, id);"
    "CREATE TABLE events ("
    "  job TEXT NOT NULL, seq INTEGER NOT NULL, when_ns INTEGER NOT NULL,"
    "  type TEXT NOT NULL, json TEXT NOT NULL, PRIMARY KEY (job, seq)"
    ") WITHOUT ROWID;"
    "CREATE TABLE plans ("
    "  id TEXT PRIMARY KEY, json TEXT NOT NULL, expires_ns INTEGER NOT NULL);"
    "CREATE TABLE audit ("
    "  seq INTEGER PRIMARY KEY, when_ns INTEGER NOT NULL, who TEXT NOT NULL,"
    "  what TEXT NOT NULL, node TEXT NOT NULL, result TEXT NOT NULL,"
    "  hash BLOB NOT NULL);"
    "CREATE TRIGGER audit_no_update BEFORE UPDATE ON audit"
    "  BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;"
    "CREATE TRIGGER audit_no_delete BEFORE DELETE ON audit"
    "  BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;"
    "PRAGMA user_version = 1;";

/* `box`: nonce and secretbox; see catalog_connections.c. */
static const char schema_2[] =
    "CREATE TABLE connections ("
    "  node_id TEXT PRIMARY KEY REFERENCES nodes, box BLOB NOT NULL"
    ") WITHOUT ROWID;"
    "PRAGMA user_version = 2;";

/* instances: see catalog_instances.c. */
static const char schema_3[] =
    "ALTER TABLE nodes ADD COLUMN instances TEXT NOT NULL DEFAULT '';"
    "ALTER TABLE nodes ADD COLUMN duplicate_ns INTEGER NOT NULL DEFAULT 0;"
    "PRAGMA user_version = 3;";

/* From the version of the index on. */
static const char *const schemas[CATALOG_VERSION] = {schema_1, schema_2,
                                                     schema_3};

void catalog_lock(struct catalog *c)
{
    pthread_mutex_lock(&c->lock);
}

void catalog_unlock(struct catalog *c)
{
    pthread_mutex_unlock(&c->lock);
}

static int db_failed(struct catalog *c, struct error *e)
{
    int code;

    switch (sqlite3_errcode(c->db) & 0xff) {
    case SQLITE_FULL:
        code = OCM_E_SPACE;
        break;
    case SQLITE_BUSY:
        code = OCM_E_BUSY;
        break;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        code = OCM_E_DAMAGED;
        break;
    case SQLITE_CONSTRAINT:
        code = OCM_E_EXISTS;
        break;
    default:
        code = OCM_E_FAILED;
    }
    return error_set(e, code, "catalog: %s", sqlite3_errmsg(c->db));
}

static int prepare(struct catalog *c, sqlite3_stmt **out, struct error *e,
                   const char *sql, const char *types, va_list ap)
{
    int rc = sqlite3_prepare_v2(c->db, sql, -1, out, NULL);

    if (rc != SQLITE_OK)
        return db_failed(c, e);
    for (int i = 1; *types && rc == SQLITE_OK; types++, i++) {
        if (*types == 's') {
            rc = sqlite3_bind_text(*out, i, va_arg(ap, const char *), -1,
                                   SQLITE_STATIC);
        } else if (*types == 'i') {
            rc = sqlite3_bind_int64(*out, i, va_arg(ap, int64_t));
        } else {
            const struct id *id = va_arg(ap, const struct id *);

            rc = sqlite3_bind_blob(*out, i, id->b, ID_LEN, SQLITE_STATIC);
        }
    }
    if (rc != SQLITE_OK) {
        rc = db_failed(c, e);
        sqlite3_finalize(*out);
        *out = NULL;
    }
    return rc;
}

int catalog_prepare(struct catalog *c, sqlite3_stmt **out, struct error *e,
                    const char *sql, const char *types, ...)
{
    va_list ap;
    int rc;

    va_start(ap, types);
    rc = prepare(c, out, e, sql, types, ap);
    va_end(ap);
    return rc;
}

int catalog_step(struct catalog *c, sqlite3_stmt *st, struct error *e)
{
    int rc = sqlite3_step(st);

    if (rc == SQLITE_ROW)
        return 1;
    return rc == SQLITE_DONE ? 0 : db_failed(c, e);
}

int catalog_exec(struct catalog *c, struct error *e, const char *sql,
                 const char *types, ...)
{
    sqlite3_stmt *st = NULL;
    va_list ap;
    int rc;

    va_start(ap, types);
    rc = prepare(c, &st, e, sql, types, ap);
    va_end(ap);
    while (rc == 0 && (rc = catalog_step(c, st, e)) > 0)
        rc = 0;
    sqlite3_finalize(st);
    return rc;
}

int catalog_changes(struct catalog *c)
{
    return sqlite3_changes(c->db);
}

int catalog_begin(struct catalog *c, struct error *e)
{
    return catalog_exec(c, e, "BEGIN IMMEDIATE", "");
}

int catalog_end(struct catalog *c, int rc, struct error *e)
{
    if (rc == 0)
        rc = catalog_exec(c, e, "COMMIT", "");
    if (rc < 0)
        catalog_exec(c, NULL, "ROLLBACK", "");
    return rc;
}

void column_copy(sqlite3_stmt *st, int col, char *out, size_t cap)
{
    const char *s = (const char *)sqlite3_column_text(st, col);
    size_t len = s ? strlen(s) : 0;

    if (len >= cap)
        len = cap - 1;
    if (len > 0)
        memcpy(out, s, len);
    out[len] = '\0';
}

char *column_dup(sqlite3_stmt *st, int col)
{
    return mem_strdup((const char *)sqlite3_column_text(st, col));
}

static int read_version(struct catalog *c, int64_t *version, struct error *e)
{
    sqlite3_stmt *st = NULL;
    int rc = catalog_prepare(c, &st, e, "PRAGMA user_version", "");

    if (rc == 0)
        rc = catalog_step(c, st, e);
    if (rc == 1)
        *version = sqlite3_column_int64(st, 0);
    sqlite3_finalize(st);
    return rc < 0 ? rc : 0;
}

/* From `version` to ours, all steps or none. */
static int make_schema(struct catalog *c, int64_t version, struct error *e)
{
    int rc = catalog_begin(c, e);

    for (; rc == 0 && version < CATALOG_VERSION; version++) {
        if (sqlite3_exec(c->db, schemas[version], NULL, NULL, NULL) !=
            SQLITE_OK)
            rc = db_failed(c, e);
    }
    return catalog_end(c, rc, e);
}

static int forget_old(struct catalog *c, struct error *e)
{
    int64_t day_ago = clock_now_ns() - INT64_C(86400) * 1000000000;
    int rc = catalog_begin(c, e);

    if (rc == 0)
        rc = catalog_exec(c, e,
                          "DELETE FROM jobs WHERE id <= (SELECT id FROM jobs "
                          "ORDER BY id DESC LIMIT 1 OFFSET ?)",
                          "i", (int64_t)CATALOG_KEEP_JOBS);
    if (rc == 0 && catalog_changes(c) > 0)
        rc = catalog_exec(c, e,
                          "DELETE FROM events WHERE job < "
                          "(SELECT min(id) FROM jobs)",
                          "");
    if (rc == 0)
        rc = catalog_exec(c, e, "DELETE FROM tokens WHERE expires_ns < ?", "i",
                          day_ago);
    if (rc == 0)
        rc = catalog_exec(c, e, "DELETE FROM plans WHERE expires_ns < ?", "i",
                          day_ago);
    return catalog_end(c, rc, e);
}

int catalog_forget_old(struct catalog *c, struct error *e)
{
    int rc;

    catalog_lock(c);
    rc = forget_old(c, e);
    catalog_unlock(c);
    return rc;
}

static int open_db(struct catalog *c, const char *path, struct error *e)
{
    int64_t version = 0;
    int rc;

    if (sqlite3_open_v2(path, &c->db,
                        SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX,
                        NULL) != SQLITE_OK)
        return db_failed(c, e);
    sqlite3_extended_result_codes(c->db, 1);
    sqlite3_busy_timeout(c->db, CATALOG_BUSY_MS);
    rc = read_version(c, &version, e);
    if (rc < 0)
        return rc;
    if (version > CATALOG_VERSION)
        return error_set(e, OCM_E_VERSION,
                         "%s was written by a newer OCM (schema %lld, this "
                         "one knows %d): install that version again",
                         path, (long long)version, CATALOG_VERSION);
    if (sqlite3_exec(c->db,
                     "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
                     "PRAGMA foreign_keys = ON;",
                     NULL, NULL, NULL) != SQLITE_OK)
        return db_failed(c, e);
    if (version < CATALOG_VERSION && (rc = make_schema(c, version, e)) < 0)
        return rc;
    return forget_old(c, e);
}

/* The last part of a path. */
static const char *name_of(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash ? slash + 1 : path;
}

int catalog_open(const char *path, struct catalog **out, struct error *e)
{
    struct catalog *c;
    int fd, rc;

    /* Made by us first, so that it never exists with a wider mode. */
    fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return error_errno(e, "catalog %s", path);
    close(fd);
    c = mem_zalloc(sizeof(*c));
    c->key_path =
        mem_printf("%.*s%s", (int)(name_of(path) - path), path, "catalog.key");
    pthread_mutex_init(&c->lock, NULL);
    rc = open_db(c, path, e);
    if (rc < 0) {
        catalog_close(c);
        return rc;
    }
    *out = c;
    return 0;
}

void catalog_close(struct catalog *c)
{
    if (!c)
        return;
    sqlite3_close(c->db);
    pthread_mutex_destroy(&c->lock);
    free(c->key_path);
    free(c);
}
