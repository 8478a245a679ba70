/* SPDX-License-Identifier: MIT */
/* Reading databases of a node that may be running or not. */
#include "agent/openclaw/database.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/files.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/data/sqlite_guard.h"

#define DATABASE_BUSY_MS 2000

int64_t database_schema(const char *path)
{
    uint8_t head[100];
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    int64_t version = -1;

    if (fd < 0)
        return -1;
    if (fd_pread_all(fd, head, sizeof(head), 0) == 0 &&
        memcmp(head, "SQLite format 3", 16) == 0)
        version = read_u32be(head + 60);
    close(fd);
    return version;
}

static int copy_file(const char *from, const char *to, struct error *e)
{
    struct buf content = {0};
    int rc = file_read(from, DATABASE_COPY_MAX, &content, e);

    if (rc == 0)
        rc = file_write(to, content.data, content.len, 0600, e);
    buf_wipe(&content);
    return rc;
}

static off_t size_of(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 ? st.st_size : -1;
}

/* Copy main file and log to a folder of ours; *path becomes the copy. */
static int make_copy(const char *path, const char *wal, struct database *out,
                     char **copy, struct error *e)
{
    const char *tmp = getenv("TMPDIR");
    char *to, *to_wal;
    int rc;

    out->temp = mem_printf("%s/ocm-look-XXXXXX", tmp && *tmp ? tmp : "/tmp");
    if (!mkdtemp(out->temp)) {
        rc = error_errno(e, "%s", out->temp);
        free(out->temp);
        out->temp = NULL;
        return rc;
    }
    to = path_join(out->temp, "db");
    to_wal = path_join(out->temp, "db-wal");
    rc = copy_file(path, to, e);
    if (rc == 0)
        rc = copy_file(wal, to_wal, e);
    free(to_wal);
    *copy = to;
    return rc;
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
    buf_str(&b);
    return (char *)b.data;
}

int database_open(const char *path, struct database *out, struct error *e)
{
    char *wal = mem_printf("%s-wal", path), *shm = mem_printf("%s-shm", path);
    char *copy = NULL, *uri = NULL;
    const char *query = "mode=ro";
    int rc = 0;

    *out = (struct database){0};
    if (database_schema(path) < 0) {
        rc = error_set(e, OCM_E_DAMAGED, "%s: no SQLite database", path);
        goto out;
    }
    if (!file_exists(shm)) {
        /* nobody has it open */
        if (size_of(wal) > 0)
            rc = make_copy(path, wal, out, &copy, e);
        else
            query = "mode=ro&immutable=1";
    }
    if (rc < 0)
        goto out;
    uri = uri_of(copy ? copy : path, copy ? "mode=rw" : query);
    if (sqlite3_open_v2(uri, &out->db,
                        (copy ? SQLITE_OPEN_READWRITE : SQLITE_OPEN_READONLY) |
                            SQLITE_OPEN_URI | SQLITE_OPEN_NOMUTEX,
                        NULL) != SQLITE_OK) {
        rc = error_set(e, OCM_E_DAMAGED, "%s: %s", path,
                       out->db ? sqlite3_errmsg(out->db) : "out of memory");
        goto out;
    }
    sqlite3_busy_timeout(out->db, DATABASE_BUSY_MS);
    sqlite3_db_config(out->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    sqlite3_db_config(out->db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    sqlite3_exec(out->db, "PRAGMA mmap_size=0", NULL, NULL, NULL);
    sqlite_guard_functions(out->db);
    /* a first read: a lock or damage shows here */
    if (sqlite3_exec(out->db, "SELECT count(*) FROM sqlite_master", NULL, NULL,
                     NULL) != SQLITE_OK)
        rc = error_set(e, OCM_E_DAMAGED, "%s: %s", path,
                       sqlite3_errmsg(out->db));
out:
    if (rc < 0)
        database_close(out);
    free(uri);
    free(copy);
    free(wal);
    free(shm);
    return rc;
}

void database_close(struct database *d)
{
    sqlite3_close(d->db);
    if (d->temp)
        tree_remove(d->temp, NULL);
    free(d->temp);
    *d = (struct database){0};
}

static sqlite3_stmt *prepare(struct database *d, const char *sql,
                             const char *const *params)
{
    sqlite3_stmt *s = NULL;

    if (sqlite3_prepare_v2(d->db, sql, -1, &s, NULL) != SQLITE_OK)
        return NULL;
    for (int i = 0; params && params[i]; i++)
        sqlite3_bind_text(s, i + 1, params[i], -1, SQLITE_STATIC);
    return s;
}

int64_t database_number(struct database *d, const char *sql,
                        const char *const *params)
{
    sqlite3_stmt *s = prepare(d, sql, params);
    int64_t n = -1;

    if (s && sqlite3_step(s) == SQLITE_ROW)
        n = sqlite3_column_int64(s, 0);
    sqlite3_finalize(s);
    return n;
}

char *database_text(struct database *d, const char *sql)
{
    sqlite3_stmt *s = prepare(d, sql, NULL);
    char *text = NULL;

    if (s && sqlite3_step(s) == SQLITE_ROW)
        text = mem_strdup((const char *)sqlite3_column_text(s, 0));
    sqlite3_finalize(s);
    return text;
}

bool database_has_table(struct database *d, const char *table)
{
    const char *const params[] = {table, NULL};

    return database_number(d,
                           "SELECT count(*) FROM sqlite_master"
                           " WHERE type = 'table' AND name = ?",
                           params) == 1;
}

int database_verify(const char *path, struct error *e)
{
    struct database d;
    char *text;
    int rc = database_open(path, &d, e);

    if (rc < 0)
        return rc;
    text = database_text(&d, "PRAGMA quick_check(1)");
    if (!text)
        rc = error_set(e, OCM_E_DAMAGED, "%s: %s", path, sqlite3_errmsg(d.db));
    else if (strcmp(text, "ok") != 0)
        rc = error_set(e, OCM_E_DAMAGED, "%s: %s", path, text);
    free(text);
    database_close(&d);
    return rc;
}

static bool in_list(const char *const *list, const char *name)
{
    for (; list && *list; list++) {
        if (strcmp(*list, name) == 0)
            return true;
    }
    return false;
}

bool database_columns(struct database *d, const char *table,
                      const char *const *leave_out, struct buf *out)
{
    const char *const params[] = {table, NULL};
    sqlite3_stmt *s =
        prepare(d, "SELECT name FROM pragma_table_info(?)", params);
    size_t count = 0;

    while (s && sqlite3_step(s) == SQLITE_ROW) {
        const char *name = (const char *)sqlite3_column_text(s, 0);

        if (!name || strchr(name, '"') || in_list(leave_out, name))
            continue;
        buf_printf(out, "%s\"%s\"", count++ ? ", " : "", name);
    }
    sqlite3_finalize(s);
    return count > 0;
}
