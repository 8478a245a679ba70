/* SPDX-License-Identifier: MIT */
/* Jobs, their events, and the plans that people agreed to. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "controller/catalog/catalog_internal.h"

#define JOB_COLUMNS                                                            \
    "id, kind, node, owner, state, created_ns, started_ns, ended_ns, params, " \
    "result, error, error_code"
#define EVENT_BATCH 128 /* read at once, so that callbacks run unlocked */

void job_row_fini(struct job_row *j)
{
    free(j->params);
    free(j->result);
    free(j->error);
    j->params = j->result = j->error = NULL;
}

int catalog_job_put(struct catalog *c, const struct job_row *j, struct error *e)
{
    int rc;

    catalog_lock(c);
    rc = catalog_exec(
        c, e,
        "INSERT INTO jobs(" JOB_COLUMNS ") VALUES(?,?,?,?,?,?,?,?,?,?,?,?) "
        "ON CONFLICT(id) DO UPDATE SET state = excluded.state, "
        "node = excluded.node, started_ns = excluded.started_ns, "
        "ended_ns = excluded.ended_ns, result = excluded.result, "
        "error = excluded.error, error_code = excluded.error_code",
        "sssssiiissss", j->id, j->kind, j->node, j->owner, j->state,
        j->created_ns, j->started_ns, j->ended_ns, j->params, j->result,
        j->error, j->error_code);
    catalog_unlock(c);
    return rc;
}

static void job_of_row(sqlite3_stmt *st, struct job_row *j)
{
    memset(j, 0, sizeof(*j));
    column_copy(st, 0, j->id, sizeof(j->id));
    column_copy(st, 1, j->kind, sizeof(j->kind));
    column_copy(st, 2, j->node, sizeof(j->node));
    column_copy(st, 3, j->owner, sizeof(j->owner));
    column_copy(st, 4, j->state, sizeof(j->state));
    j->created_ns = sqlite3_column_int64(st, 5);
    j->started_ns = sqlite3_column_int64(st, 6);
    j->ended_ns = sqlite3_column_int64(st, 7);
    j->params = column_dup(st, 8);
    j->result = column_dup(st, 9);
    j->error = column_dup(st, 10);
    column_copy(st, 11, j->error_code, sizeof(j->error_code));
}

int catalog_job_get(struct catalog *c, const char *id, struct job_row *out,
                    struct error *e)
{
    sqlite3_stmt *st = NULL;
    int rc;

    memset(out, 0, sizeof(*out));
    catalog_lock(c);
    /* '~' sorts behind every digit of an id: a range, not a LIKE. */
    rc = catalog_prepare(c, &st, e,
                         "SELECT " JOB_COLUMNS " FROM jobs WHERE id >= ?1 AND "
                         "id < ?1 || '~' ORDER BY id LIMIT 2",
                         "s", id);
    if (rc == 0)
        rc = catalog_step(c, st, e);
    if (rc == 0 || (rc == 1 && !id[0])) {
        rc = error_set(e, OCM_E_NOTFOUND, "no job '%s'", id);
    } else if (rc == 1) {
        job_of_row(st, out);
        rc = 0;
        if (strcmp(out->id, id) != 0 && catalog_step(c, st, e) == 1) {
            job_row_fini(out);
            rc = error_set(e, OCM_E_INVALID,
                           "'%s' fits more than one job: give more digits", id);
        }
    }
    sqlite3_finalize(st);
    catalog_unlock(c);
    return rc;
}

int catalog_jobs(struct catalog *c, const char *node, size_t limit,
                 struct job_row **out, size_t *count, struct error *e)
{
    sqlite3_stmt *st = NULL;
    struct job_row *rows = NULL;
    size_t n = 0, cap = 0;
    int rc;

    catalog_lock(c);
    if (node && node[0])
        rc = catalog_prepare(c, &st, e,
                             "SELECT " JOB_COLUMNS " FROM jobs WHERE node = ? "
                             "ORDER BY id DESC LIMIT ?",
                             "si", node, (int64_t)limit);
    else
        rc = catalog_prepare(c, &st, e,
                             "SELECT " JOB_COLUMNS " FROM jobs "
                             "ORDER BY id DESC LIMIT ?",
                             "i", (int64_t)limit);
    while (rc == 0 && (rc = catalog_step(c, st, e)) == 1) {
        rows = mem_grow(rows, &cap, n + 1, sizeof(*rows));
        job_of_row(st, &rows[n++]);
        rc = 0;
    }
    sqlite3_finalize(st);
    catalog_unlock(c);
    if (rc < 0) {
        for (size_t i = 0; i < n; i++)
            job_row_fini(&rows[i]);
        free(rows);
        return rc;
    }
    *out = rows;
    *count = n;
    return 0;
}

static int event_add(struct catalog *c, const char *job, int64_t seq,
                     int64_t when_ns, const char *type, const char *json,
                     struct error *e)
{
    return catalog_exec(c, e,
                        "INSERT INTO events(job, seq, when_ns, type, json) "
                        "VALUES(?, ?, ?, ?, ?)",
                        "siiss", job, seq, when_ns, type, json);
}

int catalog_event_add(struct catalog *c, const char *job, int64_t seq,
                      int64_t when_ns, const char *type, const char *json,
                      struct error *e)
{
    int rc;

    catalog_lock(c);
    rc = event_add(c, job, seq, when_ns, type, json, e);
    catalog_unlock(c);
    return rc;
}

struct event_row {
    int64_t seq;
    char *type, *json;
};

static int read_events(struct catalog *c, const char *job, int64_t after,
                       struct event_row rows[EVENT_BATCH], size_t *count,
                       struct error *e)
{
    sqlite3_stmt *st = NULL;
    int rc;

    *count = 0;
    catalog_lock(c);
    rc = catalog_prepare(c, &st, e,
                         "SELECT seq, type, json FROM events WHERE job = ? "
                         "AND seq > ? ORDER BY seq LIMIT ?",
                         "sii", job, after, (int64_t)EVENT_BATCH);
    while (rc == 0 && (rc = catalog_step(c, st, e)) == 1) {
        struct event_row *r = &rows[(*count)++];

        r->seq = sqlite3_column_int64(st, 0);
        r->type = column_dup(st, 1);
        r->json = column_dup(st, 2);
        rc = 0;
    }
    sqlite3_finalize(st);
    catalog_unlock(c);
    return rc;
}

int catalog_events(struct catalog *c, const char *job, int64_t after_seq,
                   int (*fn)(void *arg, int64_t seq, const char *type,
                             const char *json),
                   void *arg, struct error *e)
{
    struct event_row rows[EVENT_BATCH];
    size_t count;
    int rc;

    do {
        rc = read_events(c, job, after_seq, rows, &count, e);
        for (size_t i = 0; i < count; i++) {
            if (rc == 0)
                rc = fn(arg, rows[i].seq, rows[i].type, rows[i].json);
            after_seq = rows[i].seq;
            free(rows[i].type);
            free(rows[i].json);
        }
    } while (rc == 0 && count == EVENT_BATCH);
    return rc;
}

/* The last words of a job that a restart cut off. */
static int fail_one(struct catalog *c, const char *id, int64_t seq,
                    int64_t now_ns, struct error *e)
{
    static const char why[] = "the controller was restarted";
    char time[CLOCK_TEXT_MAX], json[256];
    int rc;

    clock_format(now_ns, time);
    snprintf(json, sizeof(json),
             "{\"seq\":%lld,\"time\":\"%s\",\"type\":\"state\","
             "\"state\":\"failed\",\"code\":\"closed\",\"text\":\"%s\"}",
             (long long)seq, time, why);
    rc = event_add(c, id, seq, now_ns, "state", json, e);
    if (rc == 0)
        rc = catalog_exec(c, e,
                          "UPDATE jobs SET state = 'failed', ended_ns = ?, "
                          "error = ?, error_code = 'closed' WHERE id = ?",
                          "iss", now_ns, why, id);
    return rc;
}

int catalog_jobs_interrupted(struct catalog *c, size_t *count, struct error *e)
{
    int64_t now = clock_now_ns();
    sqlite3_stmt *st = NULL;
    int rc;

    *count = 0;
    catalog_lock(c);
    rc = catalog_begin(c, e);
    if (rc < 0) {
        catalog_unlock(c);
        return rc;
    }
    for (;;) {
        char id[24];
        int64_t seq;

        rc = catalog_prepare(
            c, &st, e,
            "SELECT id, (SELECT ifnull(max(seq), 0) + 1 FROM events WHERE "
            "job = id) FROM jobs WHERE state IN ('queued', 'running') LIMIT 1",
            "");
        if (rc == 0)
            rc = catalog_step(c, st, e);
        if (rc == 1) {
            column_copy(st, 0, id, sizeof(id));
            seq = sqlite3_column_int64(st, 1);
        }
        sqlite3_finalize(st);
        if (rc != 1)
            break;
        rc = fail_one(c, id, seq, now, e);
        if (rc < 0)
            break;
        (*count)++;
    }
    rc = catalog_end(c, rc, e);
    catalog_unlock(c);
    return rc;
}

int catalog_plan_put(struct catalog *c, const char *id, const char *json,
                     int64_t expires_ns, struct error *e)
{
    int rc;

    catalog_lock(c);
    rc = catalog_exec(c, e,
                      "INSERT INTO plans(id, json, expires_ns) VALUES(?,?,?) "
                      "ON CONFLICT(id) DO UPDATE SET json = excluded.json, "
                      "expires_ns = excluded.expires_ns",
                      "ssi", id, json, expires_ns);
    catalog_unlock(c);
    return rc;
}

int catalog_plan_get(struct catalog *c, const char *id, char **json,
                     struct error *e)
{
    sqlite3_stmt *st = NULL;
    int rc;

    *json = NULL;
    catalog_lock(c);
    rc = catalog_prepare(
        c, &st, e, "SELECT json, expires_ns FROM plans WHERE id = ?", "s", id);
    if (rc == 0)
        rc = catalog_step(c, st, e);
    if (rc == 0) {
        rc = error_set(e, OCM_E_NOTFOUND, "no plan '%s'", id);
    } else if (rc == 1 && sqlite3_column_int64(st, 1) <= clock_now_ns()) {
        rc = error_set(e, OCM_E_NOTFOUND,
                       "plan '%s' is too old: make a new one", id);
    } else if (rc == 1) {
        *json = column_dup(st, 0);
        rc = 0;
    }
    sqlite3_finalize(st);
    catalog_unlock(c);
    return rc;
}
