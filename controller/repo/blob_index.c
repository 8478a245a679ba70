/* SPDX-License-Identifier: MIT */
#include "controller/repo/blob_index_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/base/mem.h"

#define INDEX_SCHEMA "1" /* another value: throw the cache away */

/* synchronous=NORMAL with a WAL: a power cut may lose the last transactions,
 * which the next look at index/ brings back, but leaves the file whole. */
static const char pragmas[] = "PRAGMA locking_mode = EXCLUSIVE;"
                              "PRAGMA journal_mode = WAL;"
                              "PRAGMA synchronous = NORMAL;"
                              "PRAGMA cache_size = -32768;"
                              "PRAGMA temp_store = MEMORY;";

static const char schema[] =
    "CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT);"
    "CREATE TABLE IF NOT EXISTS index_file (id BLOB PRIMARY KEY)"
    " WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS pack (num INTEGER PRIMARY KEY,"
    " id BLOB NOT NULL UNIQUE);"
    "CREATE TABLE IF NOT EXISTS blob (num INTEGER PRIMARY KEY,"
    " id BLOB NOT NULL, type INTEGER NOT NULL, pack INTEGER NOT NULL,"
    " offset INTEGER NOT NULL, length INTEGER NOT NULL,"
    " raw INTEGER NOT NULL, UNIQUE (id, type));"
    "CREATE INDEX IF NOT EXISTS blob_pack ON blob (pack, offset);"
    "CREATE TABLE IF NOT EXISTS node (num INTEGER PRIMARY KEY,"
    " name TEXT NOT NULL UNIQUE, ready INTEGER NOT NULL);"
    "CREATE TABLE IF NOT EXISTS owned (node INTEGER, blob INTEGER,"
    " PRIMARY KEY (node, blob)) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS verified (node INTEGER, tree INTEGER,"
    " files INTEGER, dirs INTEGER, bytes INTEGER, height INTEGER,"
    " PRIMARY KEY (node, tree)) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS written (pack BLOB PRIMARY KEY,"
    " node INTEGER NOT NULL) WITHOUT ROWID;";

static const char *const statements[ST_COUNT] = {
#define X(name, sql) [name] = sql,
    INDEX_STATEMENTS(X)
#undef X
};

static int fail(struct blob_index *ix, struct error *e)
{
    int code = sqlite3_errcode(ix->db);

    if (code == SQLITE_FULL)
        return error_set(e, OCM_E_SPACE, "%s: no space left on the disk",
                         ix->path);
    return error_set(
        e,
        code == SQLITE_CORRUPT || code == SQLITE_NOTADB ? OCM_E_DAMAGED
                                                        : OCM_E_FAILED,
        "blob index %s: %s (it is a cache: stop, delete it, start)", ix->path,
        sqlite3_errmsg(ix->db));
}

sqlite3_stmt *index_take(struct blob_index *ix, enum index_statement which)
{
    pthread_mutex_lock(&ix->mu);
    return ix->st[which];
}

int index_done(struct blob_index *ix, sqlite3_stmt *st, int step,
               struct error *e)
{
    int rc = step == SQLITE_ROW || step == SQLITE_DONE ? 0 : fail(ix, e);

    sqlite3_reset(st);
    sqlite3_clear_bindings(st);
    pthread_mutex_unlock(&ix->mu);
    return rc;
}

int index_run(struct blob_index *ix, enum index_statement which, int count,
              const int64_t *numbers, struct error *e)
{
    sqlite3_stmt *st = index_take(ix, which);

    for (int i = 0; i < count; i++)
        sqlite3_bind_int64(st, i + 1, numbers[i]);
    return index_done(ix, st, sqlite3_step(st), e);
}

static void bind_id(sqlite3_stmt *st, int at, const struct id *id)
{
    sqlite3_bind_blob(st, at, id->b, ID_LEN, SQLITE_STATIC);
}

static void column_id(sqlite3_stmt *st, int at, struct id *id)
{
    const void *p = sqlite3_column_blob(st, at);

    *id = (struct id){{0}};
    if (p && sqlite3_column_bytes(st, at) == ID_LEN)
        memcpy(id->b, p, ID_LEN);
}

static int meta_get(struct blob_index *ix, const char *key, char *out,
                    size_t cap, struct error *e)
{
    sqlite3_stmt *st = index_take(ix, ST_META_GET);
    const char *text;
    int step;

    *out = 0;
    sqlite3_bind_text(st, 1, key, -1, SQLITE_STATIC);
    step = sqlite3_step(st);
    if (step == SQLITE_ROW) {
        text = (const char *)sqlite3_column_text(st, 0);
        snprintf(out, cap, "%s", text ? text : "");
    }
    return index_done(ix, st, step, e);
}

static int meta_set(struct blob_index *ix, const char *key, const char *value,
                    struct error *e)
{
    sqlite3_stmt *st = index_take(ix, ST_META_SET);

    sqlite3_bind_text(st, 1, key, -1, SQLITE_STATIC);
    sqlite3_bind_text(st, 2, value, -1, SQLITE_STATIC);
    return index_done(ix, st, sqlite3_step(st), e);
}

static bool is_whole(struct blob_index *ix)
{
    sqlite3_stmt *st = NULL;
    const char *text;
    bool ok = false;

    if (sqlite3_prepare_v2(ix->db, "PRAGMA quick_check(1)", -1, &st, NULL) ==
            SQLITE_OK &&
        sqlite3_step(st) == SQLITE_ROW) {
        text = (const char *)sqlite3_column_text(st, 0);
        ok = text && strcmp(text, "ok") == 0;
    }
    sqlite3_finalize(st);
    return ok;
}

static void shut(struct blob_index *ix)
{
    for (int i = 0; i < ST_COUNT; i++) {
        sqlite3_finalize(ix->st[i]);
        ix->st[i] = NULL;
    }
    sqlite3_close(ix->db);
    ix->db = NULL;
}

/* Open and prepare. OCM_E_DAMAGED: not a database, or not of this schema. */
static int try_open(struct blob_index *ix, const char *path,
                    const char *repo_id, struct error *e)
{
    char text[ID_HEX_LEN + 1], version[8];
    int rc;

    if (sqlite3_open_v2(path ? path : ":memory:", &ix->db,
                        SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE |
                            SQLITE_OPEN_NOMUTEX,
                        NULL) != SQLITE_OK ||
        sqlite3_exec(ix->db, pragmas, NULL, NULL, NULL) != SQLITE_OK ||
        sqlite3_exec(ix->db, schema, NULL, NULL, NULL) != SQLITE_OK)
        return fail(ix, e);
    for (int i = 0; i < ST_COUNT; i++) {
        if (sqlite3_prepare_v3(ix->db, statements[i], -1,
                               SQLITE_PREPARE_PERSISTENT, &ix->st[i],
                               NULL) != SQLITE_OK) {
            error_set(e, OCM_E_DAMAGED, "%s: %s", ix->path,
                      sqlite3_errmsg(ix->db));
            return OCM_E_DAMAGED; /* tables of another shape */
        }
    }
    rc = meta_get(ix, "repo", text, sizeof(text), e);
    if (rc == 0)
        rc = meta_get(ix, "schema", version, sizeof(version), e);
    if (rc < 0)
        return rc;
    if (!*text) {
        rc = meta_set(ix, "repo", repo_id, e);
        return rc < 0 ? rc : meta_set(ix, "schema", INDEX_SCHEMA, e);
    }
    if (strcmp(text, repo_id) != 0 || strcmp(version, INDEX_SCHEMA) != 0)
        return error_set(e, OCM_E_DAMAGED, "%s is of another repository",
                         ix->path);
    if (!is_whole(ix))
        return error_set(e, OCM_E_DAMAGED, "%s is damaged", ix->path);
    return 0;
}

static void remove_files(const char *path)
{
    static const char *const tails[] = {"", "-wal", "-shm", "-journal"};

    for (size_t i = 0; i < ARRAY_LEN(tails); i++) {
        char *name = mem_printf("%s%s", path, tails[i]);

        unlink(name);
        free(name);
    }
}

int blob_index_open(const char *path, const char *repo_id,
                    struct blob_index **out, struct error *e)
{
    struct blob_index *ix = mem_zalloc(sizeof(*ix));
    pthread_mutexattr_t attr;
    int rc;

    pthread_mutexattr_init(&attr);
    pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_RECURSIVE);
    pthread_mutex_init(&ix->mu, &attr);
    pthread_mutexattr_destroy(&attr);
    ix->path = mem_strdup(path ? path : "in memory");
    rc = try_open(ix, path, repo_id, e);
    if (rc == OCM_E_DAMAGED && path) {
        log_info("blob index %s does not fit: made anew", path);
        shut(ix);
        remove_files(path);
        rc = try_open(ix, path, repo_id, e);
    }
    if (rc < 0) {
        blob_index_close(ix);
        return rc;
    }
    *out = ix;
    return 0;
}

void blob_index_close(struct blob_index *ix)
{
    if (!ix)
        return;
    shut(ix);
    pthread_mutex_destroy(&ix->mu);
    free(ix->path);
    free(ix);
}

void blob_index_marker(struct blob_index *ix, char *out, size_t cap)
{
    if (meta_get(ix, "marker", out, cap, NULL) < 0)
        *out = 0;
}

int blob_index_set_marker(struct blob_index *ix, const char *marker,
                          struct error *e)
{
    return meta_set(ix, "marker", marker, e);
}

static int exec(struct blob_index *ix, const char *sql, struct error *e)
{
    return sqlite3_exec(ix->db, sql, NULL, NULL, NULL) == SQLITE_OK
               ? 0
               : fail(ix, e);
}

int blob_index_begin(struct blob_index *ix, struct error *e)
{
    int rc;

    pthread_mutex_lock(&ix->mu);
    rc = exec(ix, "BEGIN", e);
    if (rc < 0)
        pthread_mutex_unlock(&ix->mu);
    return rc;
}

int blob_index_commit(struct blob_index *ix, struct error *e)
{
    int rc = exec(ix, "COMMIT", e);

    if (rc < 0) {
        blob_index_rollback(ix);
        return rc;
    }
    pthread_mutex_unlock(&ix->mu);
    return 0;
}

void blob_index_rollback(struct blob_index *ix)
{
    if (!sqlite3_get_autocommit(ix->db)) /* SQLite may have done it itself */
        exec(ix, "ROLLBACK", NULL);
    pthread_mutex_unlock(&ix->mu);
}

int blob_index_find(struct blob_index *ix, const struct id *id,
                    enum blob_type type, struct blob_place *out,
                    struct error *e)
{
    sqlite3_stmt *st = index_take(ix, ST_FIND);
    int step, rc;

    bind_id(st, 1, id);
    sqlite3_bind_int(st, 2, (int)type);
    step = sqlite3_step(st);
    if (step == SQLITE_ROW) {
        out->num = sqlite3_column_int64(st, 0);
        out->offset = (uint32_t)sqlite3_column_int64(st, 1);
        out->length = (uint32_t)sqlite3_column_int64(st, 2);
        out->raw = (uint32_t)sqlite3_column_int64(st, 3);
        column_id(st, 4, &out->pack);
    }
    rc = index_done(ix, st, step, e);
    return rc < 0 ? rc : step == SQLITE_ROW;
}

/* One number of a query by id and, when `type` >= 0, type; 0 when absent. */
static int64_t number_of(struct blob_index *ix, enum index_statement which,
                         const struct id *id, int type)
{
    sqlite3_stmt *st = index_take(ix, which);
    int64_t n = 0;
    int step;

    bind_id(st, 1, id);
    if (type >= 0)
        sqlite3_bind_int(st, 2, type);
    step = sqlite3_step(st);
    if (step == SQLITE_ROW)
        n = sqlite3_column_int64(st, 0);
    index_done(ix, st, step, NULL);
    return n;
}

static int add_blob(struct blob_index *ix, int64_t pack,
                    const struct pack_entry *x, int64_t node, struct error *e)
{
    sqlite3_stmt *st = index_take(ix, ST_BLOB_ADD);
    int64_t num;
    int rc;

    bind_id(st, 1, &x->id);
    sqlite3_bind_int(st, 2, (int)x->type);
    sqlite3_bind_int64(st, 3, pack);
    sqlite3_bind_int64(st, 4, x->offset);
    sqlite3_bind_int64(st, 5, x->length);
    sqlite3_bind_int64(st, 6, x->raw);
    rc = index_done(ix, st, sqlite3_step(st), e);
    if (rc < 0 || node <= 0)
        return rc;
    num = sqlite3_changes(ix->db)
              ? sqlite3_last_insert_rowid(ix->db)
              : number_of(ix, ST_BLOB_NUM, &x->id, (int)x->type);
    return owned_add(ix, node, num, e);
}

int blob_index_pack_written(struct blob_index *ix, const struct id *pack,
                            int64_t node, struct error *e)
{
    sqlite3_stmt *st = index_take(ix, ST_WRITTEN_ADD);

    bind_id(st, 1, pack);
    sqlite3_bind_int64(st, 2, node);
    return index_done(ix, st, sqlite3_step(st), e);
}

int blob_index_forget_written(struct blob_index *ix, const struct id *pack,
                              struct error *e)
{
    sqlite3_stmt *st = index_take(ix, ST_WRITTEN_DROP);

    bind_id(st, 1, pack);
    return index_done(ix, st, sqlite3_step(st), e);
}

int blob_index_written(struct blob_index *ix, struct written_pack **out,
                       size_t *count, struct error *e)
{
    sqlite3_stmt *st = index_take(ix, ST_WRITTEN_LIST);
    size_t cap = 0;
    int step;

    *out = NULL;
    *count = 0;
    while ((step = sqlite3_step(st)) == SQLITE_ROW) {
        *out = mem_grow(*out, &cap, *count + 1, sizeof(**out));
        column_id(st, 0, &(*out)[*count].id);
        (*out)[(*count)++].node = sqlite3_column_int64(st, 1);
    }
    return index_done(ix, st, step, e);
}

int blob_index_add_pack(struct blob_index *ix, const struct id *pack,
                        const struct pack_entry *entries, size_t count,
                        int64_t node, struct error *e)
{
    sqlite3_stmt *st = index_take(ix, ST_PACK_ADD);
    int64_t num;
    int rc;

    bind_id(st, 1, pack);
    rc = index_done(ix, st, sqlite3_step(st), e);
    if (rc < 0)
        return rc;
    num = number_of(ix, ST_PACK_NUM, pack, -1);
    for (size_t i = 0; rc == 0 && i < count; i++)
        rc = add_blob(ix, num, &entries[i], node, e);
    return rc < 0 ? rc : blob_index_forget_written(ix, pack, e);
}

int blob_index_add_file(struct blob_index *ix, const struct id *index_file,
                        struct error *e)
{
    sqlite3_stmt *st = index_take(ix, ST_FILE_ADD);

    bind_id(st, 1, index_file);
    return index_done(ix, st, sqlite3_step(st), e);
}

int blob_index_clear(struct blob_index *ix, struct error *e)
{
    int rc = blob_index_begin(ix, e);

    if (rc < 0)
        return rc;
    ix->generation++;
    rc = exec(ix,
              "DELETE FROM index_file; DELETE FROM pack; DELETE FROM blob;"
              "DELETE FROM owned; DELETE FROM verified;"
              "UPDATE node SET ready = 0",
              e);
    if (rc == 0)
        return blob_index_commit(ix, e);
    blob_index_rollback(ix);
    return rc;
}

uint64_t blob_index_generation(struct blob_index *ix)
{
    uint64_t n;

    pthread_mutex_lock(&ix->mu);
    n = ix->generation;
    pthread_mutex_unlock(&ix->mu);
    return n;
}

static int list_ids(struct blob_index *ix, enum index_statement which,
                    struct id **ids, size_t *count, struct error *e)
{
    sqlite3_stmt *st = index_take(ix, which);
    size_t cap = 0;
    int step;

    *ids = NULL;
    *count = 0;
    while ((step = sqlite3_step(st)) == SQLITE_ROW) {
        *ids = mem_grow(*ids, &cap, *count + 1, sizeof(**ids));
        column_id(st, 0, &(*ids)[(*count)++]);
    }
    return index_done(ix, st, step, e);
}

int blob_index_files(struct blob_index *ix, struct id **ids, size_t *count,
                     struct error *e)
{
    return list_ids(ix, ST_FILE_LIST, ids, count, e);
}

int blob_index_packs(struct blob_index *ix, struct id **ids, size_t *count,
                     struct error *e)
{
    return list_ids(ix, ST_PACK_LIST, ids, count, e);
}

int blob_index_pack_entries(struct blob_index *ix, const struct id *pack,
                            struct pack_entry **out, size_t *count,
                            struct error *e)
{
    int64_t num = number_of(ix, ST_PACK_NUM, pack, -1);
    sqlite3_stmt *st = index_take(ix, ST_PACK_BLOBS);
    size_t cap = 0;
    int step;

    *out = NULL;
    *count = 0;
    sqlite3_bind_int64(st, 1, num);
    while ((step = sqlite3_step(st)) == SQLITE_ROW) {
        struct pack_entry *x;

        *out = mem_grow(*out, &cap, *count + 1, sizeof(**out));
        x = &(*out)[(*count)++];
        column_id(st, 0, &x->id);
        x->type = sqlite3_column_int(st, 1) ? BLOB_TREE : BLOB_DATA;
        x->offset = (uint32_t)sqlite3_column_int64(st, 2);
        x->length = (uint32_t)sqlite3_column_int64(st, 3);
        x->raw = (uint32_t)sqlite3_column_int64(st, 4);
    }
    return index_done(ix, st, step, e);
}

uint64_t blob_index_count(struct blob_index *ix)
{
    sqlite3_stmt *st = index_take(ix, ST_BLOB_COUNT);
    uint64_t n = 0;
    int step = sqlite3_step(st);

    if (step == SQLITE_ROW)
        n = (uint64_t)sqlite3_column_int64(st, 0);
    index_done(ix, st, step, NULL);
    return n;
}
