/* SPDX-License-Identifier: MIT */
/* Rows of a query as canonical JSON: the same rows give the same bytes. */
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <nettle/base64.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/capture/database.h"
#include "agent/capture/database_copy.h"
#include "common/base/files.h"
#include "common/base/text.h"

#define ROWS_BLOCK 65536

static void add_text(struct buf *out, const char *s, size_t len)
{
    buf_add_byte(out, '"');
    for (size_t i = 0; i < len; i++) {
        unsigned char ch = (unsigned char)s[i];

        if (ch == '"' || ch == '\\') {
            buf_add_byte(out, '\\');
            buf_add_byte(out, ch);
        } else if (ch == '\n') {
            buf_add_str(out, "\\n");
        } else if (ch < 0x20) {
            buf_printf(out, "\\u%04x", ch);
        } else {
            buf_add_byte(out, ch);
        }
    }
    buf_add_byte(out, '"');
}

static void add_base64(struct buf *out, const char *key, const void *p,
                       size_t len)
{
    size_t room = BASE64_ENCODE_RAW_LENGTH(len);

    buf_printf(out, "{\"%s\":\"", key);
    base64_encode_raw((char *)buf_reserve(out, room), len, p);
    out->len += room;
    buf_add_str(out, "\"}");
}

static void add_real(struct buf *out, double v)
{
    char text[40];

    if (isinf(v)) {
        buf_printf(out, "{\"$real\":\"%s\"}", v < 0 ? "-inf" : "inf");
        return;
    }
    snprintf(text, sizeof(text), "%.17g", v);
    buf_add_str(out, text);
    if (!strpbrk(text, ".e"))
        buf_add_str(out, ".0");
}

static void add_value(struct buf *out, sqlite3_stmt *st, int col)
{
    const void *p;
    size_t len;

    switch (sqlite3_column_type(st, col)) {
    case SQLITE_INTEGER:
        buf_printf(out, "%lld", (long long)sqlite3_column_int64(st, col));
        break;
    case SQLITE_FLOAT:
        add_real(out, sqlite3_column_double(st, col));
        break;
    case SQLITE_TEXT:
        p = sqlite3_column_text(st, col);
        len = (size_t)sqlite3_column_bytes(st, col);
        /* a NUL is text too, but utf8_is_valid refuses it */
        if (utf8_is_valid(p, len))
            add_text(out, p, len);
        else
            add_base64(out, "$text", p, len);
        break;
    case SQLITE_BLOB:
        p = sqlite3_column_blob(st, col);
        len = (size_t)sqlite3_column_bytes(st, col);
        add_base64(out, "$blob", p ? p : "", len);
        break;
    default:
        buf_add_str(out, "null");
    }
}

static void add_row(struct buf *out, sqlite3_stmt *st)
{
    int columns = sqlite3_column_count(st);

    buf_add_byte(out, '{');
    for (int i = 0; i < columns; i++) {
        const char *name = sqlite3_column_name(st, i);

        if (i > 0)
            buf_add_byte(out, ',');
        add_text(out, name, strlen(name));
        buf_add_byte(out, ':');
        add_value(out, st, i);
    }
    buf_add_str(out, "}\n");
}

static int flush(int fd, struct buf *lines, struct error *e)
{
    int rc = fd_write_all(fd, lines->data, lines->len);

    buf_clear(lines);
    if (rc == -ENOSPC || rc == -EDQUOT)
        return error_set(e, OCM_E_SPACE, "no room for rows");
    return rc == 0 ? 0 : error_set(e, rc, "%s", strerror(-rc));
}

static int run_query(sqlite3 *db, const char *sql, int fd,
                     const atomic_bool *cancelled, struct error *e)
{
    struct buf lines = {0};
    sqlite3_stmt *st = NULL;
    int rc = sqlite3_prepare_v2(db, sql, -1, &st, NULL);

    if (rc != SQLITE_OK) {
        const char *text = sqlite3_errmsg(db);

        return error_set(e,
                         text_has_prefix(text, "no such table") ? OCM_E_NOTFOUND
                                                                : OCM_E_FAILED,
                         "%s", text);
    }
    while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
        add_row(&lines, st);
        rc = 0;
        if (cancelled && atomic_load(cancelled))
            rc = error_set(e, OCM_E_CANCELLED, "the capture was cancelled");
        else if (lines.len >= ROWS_BLOCK)
            rc = flush(fd, &lines, e);
        if (rc < 0)
            goto out;
    }
    if (rc == SQLITE_DONE)
        rc = flush(fd, &lines, e);
    else
        rc = error_set(e, OCM_E_FAILED, "%s", sqlite3_errmsg(db));
out:
    sqlite3_finalize(st);
    buf_free(&lines);
    return rc;
}

int rows_write(const char *copy, const char *sql, const char *path,
               const atomic_bool *cancelled, struct error *e)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    sqlite3 *db = NULL;
    int rc;

    if (fd < 0)
        return error_errno(e, "%s", path);
    rc = database_open_copy(copy, &db, e);
    if (rc == 0)
        rc = run_query(db, sql, fd, cancelled, e);
    sqlite3_close(db);
    if (close(fd) < 0 && rc == 0)
        rc = error_errno(e, "%s", path);
    return rc;
}
