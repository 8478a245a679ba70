/* SPDX-License-Identifier: MIT */
/* The audit log: each line's hash covers the line and the hash before it, so
 * that a line changed or taken out later shows. */
#include <stdio.h>
#include <string.h>

#include "common/base/clock.h"
#include "controller/catalog/catalog_internal.h"

#define RARE_NS (INT64_C(3600) * 1000000000)
#define RARE_LINES 200 /* looked at */

struct audit_line {
    int64_t seq, when_ns;
    const char *who, *what, *node, *result;
};

static void digest_text(struct digest *d, const char *s)
{
    char head[32];
    int len = snprintf(head, sizeof(head), "%zu:", strlen(s));

    digest_add(d, head, (size_t)len);
    digest_add(d, s, strlen(s));
}

static struct id line_hash(const struct id *before, const struct audit_line *l)
{
    struct digest d;
    char head[64];
    int len = snprintf(head, sizeof(head), "%lld:%lld:", (long long)l->seq,
                       (long long)l->when_ns);

    digest_init(&d);
    digest_add(&d, before->b, ID_LEN);
    digest_add(&d, head, (size_t)len);
    digest_text(&d, l->who);
    digest_text(&d, l->what);
    digest_text(&d, l->node);
    digest_text(&d, l->result);
    return digest_end(&d);
}

static void column_id(sqlite3_stmt *st, int col, struct id *out)
{
    memset(out, 0, sizeof(*out));
    if (sqlite3_column_bytes(st, col) == ID_LEN)
        memcpy(out->b, sqlite3_column_blob(st, col), ID_LEN);
}

static int last_line(struct catalog *c, int64_t *seq, struct id *hash,
                     struct error *e)
{
    sqlite3_stmt *st = NULL;
    int rc = catalog_prepare(c, &st, e,
                             "SELECT seq, hash FROM audit "
                             "ORDER BY seq DESC LIMIT 1",
                             "");

    *seq = 0;
    memset(hash, 0, sizeof(*hash));
    if (rc == 0)
        rc = catalog_step(c, st, e);
    if (rc == 1) {
        *seq = sqlite3_column_int64(st, 0);
        column_id(st, 1, hash);
    }
    sqlite3_finalize(st);
    return rc < 0 ? rc : 0;
}

int catalog_audit(struct catalog *c, const char *who, const char *what,
                  const char *node, const char *result, struct error *e)
{
    struct audit_line l = {
        .when_ns = clock_now_ns(),
        .who = who,
        .what = what,
        .node = node ? node : "",
        .result = result ? result : "",
    };
    struct id before, hash;
    int rc;

    catalog_lock(c);
    rc = catalog_begin(c, e);
    if (rc == 0) {
        rc = last_line(c, &l.seq, &before, e);
        l.seq++;
        hash = line_hash(&before, &l);
        if (rc == 0)
            rc = catalog_exec(c, e,
                              "INSERT INTO audit(seq, when_ns, who, what, "
                              "node, result, hash) VALUES(?,?,?,?,?,?,?)",
                              "iissssd", l.seq, l.when_ns, l.who, l.what,
                              l.node, l.result, &hash);
        rc = catalog_end(c, rc, e);
    }
    catalog_unlock(c);
    return rc;
}

int catalog_audit_rare(struct catalog *c, const char *who, const char *what,
                       const char *node, const char *result, struct error *e)
{
    sqlite3_stmt *st = NULL;
    int rc;

    catalog_lock(c);
    rc = catalog_prepare(c, &st, e,
                         "SELECT 1 FROM (SELECT when_ns, what, result FROM "
                         "audit ORDER BY seq DESC LIMIT ?) WHERE what = ? AND "
                         "result = ? AND when_ns > ?",
                         "issi", (int64_t)RARE_LINES, what, result,
                         clock_now_ns() - RARE_NS);
    if (rc == 0)
        rc = catalog_step(c, st, e);
    sqlite3_finalize(st);
    catalog_unlock(c);
    if (rc != 0)
        return rc < 0 ? rc : 0;
    return catalog_audit(c, who, what, node, result, e);
}

static const char *column_text(sqlite3_stmt *st, int col)
{
    const char *s = (const char *)sqlite3_column_text(st, col);

    return s ? s : "";
}

int catalog_audit_verify(struct catalog *c, int64_t *lines, struct error *e)
{
    sqlite3_stmt *st = NULL;
    struct id before = {{0}};
    int rc;

    *lines = 0;
    catalog_lock(c);
    rc = catalog_prepare(c, &st, e,
                         "SELECT seq, when_ns, who, what, node, result, hash "
                         "FROM audit ORDER BY seq",
                         "");
    while (rc == 0 && (rc = catalog_step(c, st, e)) == 1) {
        struct audit_line l = {
            sqlite3_column_int64(st, 0), sqlite3_column_int64(st, 1),
            column_text(st, 2),          column_text(st, 3),
            column_text(st, 4),          column_text(st, 5),
        };
        struct id want = line_hash(&before, &l), have;

        column_id(st, 6, &have);
        rc = 0;
        if (l.seq != *lines + 1)
            rc = error_set(e, OCM_E_DAMAGED, "audit log: line %lld is missing",
                           (long long)*lines + 1);
        else if (!id_equal(&want, &have))
            rc = error_set(e, OCM_E_DAMAGED, "audit log: line %lld was changed",
                           (long long)l.seq);
        else
            *lines = l.seq;
        before = have;
    }
    sqlite3_finalize(st);
    catalog_unlock(c);
    return rc;
}
