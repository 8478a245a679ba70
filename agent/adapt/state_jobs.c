/* SPDX-License-Identifier: MIT */
/* Cron jobs that come alone: row by row into the target's database. */
#include <stdlib.h>
#include <string.h>

#include "agent/adapt/state_db.h"
#include "common/base/buf.h"
#include "common/base/mem.h"

#define BY_KEY "store_key=?1 AND job_id=?2"

struct jobs {
    struct merge *m;
    char *columns;              /* that both have */
    int count;                  /* of them */
    sqlite3_stmt *theirs;       /* all rows of the source, key and name first */
    sqlite3_stmt *ours;         /* the same of the target */
    sqlite3_stmt *find_theirs;  /* one row by its key: all common columns */
    sqlite3_stmt *find_ours;    /* the same of the target */
    sqlite3_stmt *put, *delete; /* of the target's */
};

/* What the gateway writes at each run makes no other job of it. */
static bool changes_by_itself(const char *column)
{
    static const char *const names[] = {"state_json", "runtime_updated_at_ms",
                                        "updated_at", "updated_at_ms"};

    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (strcmp(names[i], column) == 0)
            return true;
    return false;
}

static sqlite3_stmt *statement(struct staged_db *db, struct error *e,
                               const char *head, const char *columns,
                               const char *tail)
{
    char *sql = mem_printf("%s%s%s", head, columns, tail);
    sqlite3_stmt *st = staged_db_prepare(db, sql, e);

    free(sql);
    return st;
}

static bool prepare(struct jobs *j, struct error *e)
{
    static const char all[] =
        " FROM cron_jobs WHERE " USER_JOBS " ORDER BY store_key, job_id";
    static const char one[] = " FROM cron_jobs WHERE " BY_KEY " AND " USER_JOBS;
    struct staged_db *src = &j->m->src.db, *own = &j->m->own;
    const char *name = staged_db_has_column(src, "cron_jobs", "name") &&
                               staged_db_has_column(own, "cron_jobs", "name")
                           ? "name"
                           : "job_id";
    struct buf values = {0};

    buf_add_str(&values, ") VALUES(");
    for (int i = 1; i <= j->count; i++)
        buf_printf(&values, "%s?%d", i > 1 ? "," : "", i);
    buf_add_str(&values, ")");
    j->theirs = statement(src, e, "SELECT store_key, job_id, ", name, all);
    j->ours = statement(own, e, "SELECT store_key, job_id, ", name, all);
    j->find_theirs = statement(src, e, "SELECT ", j->columns, one);
    j->find_ours = statement(own, e, "SELECT ", j->columns, one);
    j->put = statement(own, e, "INSERT OR REPLACE INTO cron_jobs (", j->columns,
                       buf_str(&values));
    j->delete =
        staged_db_prepare(own, "DELETE FROM cron_jobs WHERE " BY_KEY, e);
    buf_free(&values);
    return j->theirs && j->ours && j->find_theirs && j->find_ours && j->put &&
           j->delete;
}

static void finish(struct jobs *j)
{
    sqlite3_finalize(j->theirs);
    sqlite3_finalize(j->ours);
    sqlite3_finalize(j->find_theirs);
    sqlite3_finalize(j->find_ours);
    sqlite3_finalize(j->put);
    sqlite3_finalize(j->delete);
    free(j->columns);
}

/* The row of `find` with the key of the row that `of` is at. */
static bool find(sqlite3_stmt *find, sqlite3_stmt *of)
{
    sqlite3_reset(find);
    sqlite3_bind_value(find, 1, sqlite3_column_value(of, 0));
    sqlite3_bind_value(find, 2, sqlite3_column_value(of, 1));
    return sqlite3_step(find) == SQLITE_ROW;
}

static bool same_value(sqlite3_stmt *a, sqlite3_stmt *b, int i)
{
    int type = sqlite3_column_type(a, i), len;

    if (type != sqlite3_column_type(b, i))
        return false;
    if (type == SQLITE_INTEGER)
        return sqlite3_column_int64(a, i) == sqlite3_column_int64(b, i);
    len = sqlite3_column_bytes(a, i);
    return len == sqlite3_column_bytes(b, i) &&
           (len == 0 || memcmp(sqlite3_column_blob(a, i),
                               sqlite3_column_blob(b, i), (size_t)len) == 0);
}

static bool same_job(const struct jobs *j)
{
    for (int i = 0; i < j->count; i++)
        if (!changes_by_itself(sqlite3_column_name(j->find_ours, i)) &&
            !same_value(j->find_ours, j->find_theirs, i))
            return false;
    return true;
}

static const char *text(sqlite3_stmt *st, int i)
{
    const char *s = (const char *)sqlite3_column_text(st, i);

    return s ? s : "";
}

/* Run `st` and record the edit of the job that `row` is at. */
static int change(struct jobs *j, sqlite3_stmt *st, sqlite3_stmt *row,
                  const char *was, const char *now, const char *note)
{
    struct work *w = &j->m->src.w;
    char *place = mem_printf("cron_jobs[%s]", text(row, 1));
    int rc = 0;

    if (edit_wanted(w, place, "merge")) {
        if (sqlite3_step(st) != SQLITE_DONE)
            rc = staged_db_fail(&j->m->own, "cron_jobs", w->e);
        else
            plan_add_edit(w->a->plan, w->f->section, w->f->at, place, was, now,
                          "merge", false)
                ->note = mem_strdup(note);
    }
    sqlite3_reset(st);
    free(place);
    return rc;
}

static int put_job(struct jobs *j, const char *was, const char *note)
{
    for (int i = 0; i < j->count; i++)
        sqlite3_bind_value(j->put, i + 1,
                           sqlite3_column_value(j->find_theirs, i));
    return change(j, j->put, j->theirs, was, text(j->theirs, 2), note);
}

static int put_jobs(struct jobs *j)
{
    int rc = 0, step = SQLITE_DONE;

    while (rc == 0 && (step = sqlite3_step(j->theirs)) == SQLITE_ROW) {
        if (!find(j->find_theirs, j->theirs))
            continue; /* without a key: no job of OpenClaw's */
        if (!find(j->find_ours, j->theirs))
            rc = put_job(j, "(none)", NULL);
        else if (!same_job(j))
            rc = put_job(j, text(j->theirs, 2), "as it was in the backup");
        sqlite3_reset(j->find_ours); /* it stands in the way of a write */
    }
    if (rc == 0 && step != SQLITE_DONE)
        rc = staged_db_fail(&j->m->src.db, "cron_jobs", j->m->src.w.e);
    return rc;
}

static int delete_jobs(struct jobs *j)
{
    int rc = 0, step = SQLITE_DONE;

    while (rc == 0 && (step = sqlite3_step(j->ours)) == SQLITE_ROW) {
        if (find(j->find_theirs, j->ours))
            continue;
        for (int i = 0; i < 2; i++)
            sqlite3_bind_value(j->delete, i + 1,
                               sqlite3_column_value(j->ours, i));
        rc = change(j, j->delete, j->ours, text(j->ours, 2), "(removed)", NULL);
    }
    if (rc == 0 && step != SQLITE_DONE)
        rc = staged_db_fail(&j->m->own, "cron_jobs", j->m->src.w.e);
    return rc;
}

int state_merge_jobs(struct merge *m, const struct merge_table *t)
{
    struct jobs j = {.m = m};
    struct work *w = &m->src.w;
    char *why = NULL;
    int rc;

    j.columns = state_common_columns(m, t->table, &j.count, &why);
    if (!j.columns) {
        rc = error_set(w->e, OCM_E_VERSION,
                       "this node's cron jobs have the column %s, which the "
                       "backup's lack",
                       why ? why : "?");
        free(why);
        return rc;
    }
    rc = prepare(&j, w->e) ? delete_jobs(&j) : OCM_E_DAMAGED;
    if (rc == 0)
        rc = put_jobs(&j);
    finish(&j);
    return rc;
}
