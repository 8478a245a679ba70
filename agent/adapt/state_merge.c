/* SPDX-License-Identifier: MIT */
/* A living target keeps its own state database; the source's rows of certain
 * tables are brought into a copy of it.
 *
 * The live database is copied (never written) beside the staged one; the
 * staged rows are edited for the target; table by table the copy's rows are
 * replaced. The copy then takes the staged file's place. */
#include "agent/adapt/state_db.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/openclaw/config.h"
#include "agent/openclaw/database.h"
#include "common/base/buf.h"
#include "common/base/mem.h"

#define COPY_RETRY_MS 50
#define COPY_RETRIES 100

static const struct merge_table merge_tables[] = {
    {"cron", "cron_job_scratch",
     "job_id IN (SELECT job_id FROM cron_jobs WHERE " USER_JOBS ")", true,
     false},
    {"cron", "cron_jobs", USER_JOBS, true, false},
    {"state", "exec_approvals_config", NULL, true, false},
    {"state", "config_machine_state", MACHINE_KEYS, true, false},
    {"credentials", "config_machine_state", LOGIN_KEYS, true, true},
    {"state", "channel_pairing_allow_entries", NULL, true, false},
    {"state", "user_preferences", NULL, true, false},
    {"state", "session_groups", NULL, true, false},
    {"state", "projects", NULL, true, false},
    {"state", "plugin_binding_approvals", NULL, true, false},
    {"credentials", "secret_store_entries", NULL, true, false},
    {"credentials", "mcp_oauth_stores", NULL, true, false},
    {"state", "workspace_setup_state", NULL, false, false},
    {"state", "workspace_path_aliases", NULL, false, false},
    {"state", "workspace_generated_bootstrap_hashes", NULL, false, false},
    {"state", "agent_databases", NULL, false, false},
};

static bool is_brought(const struct adapt *a, const struct merge_table *t)
{
    if (a->o.row_section_count == 0)
        return !t->alone;
    for (size_t i = 0; i < a->o.row_section_count; i++)
        if (strcmp(a->o.row_sections[i], t->section) == 0)
            return true;
    return false;
}

const struct merge_table *state_brings(const struct adapt *a, const char *table)
{
    for (size_t i = 0; i < ARRAY_LEN(merge_tables); i++)
        if (strcmp(merge_tables[i].table, table) == 0 &&
            is_brought(a, &merge_tables[i]))
            return &merge_tables[i];
    return NULL;
}

/* --- columns --- */

char *state_common_columns(struct merge *m, const char *table, int *count,
                           char **why)
{
    char *sql = sqlite3_mprintf("PRAGMA table_info(\"%w\")", table);
    sqlite3_stmt *st = staged_db_prepare(&m->own, sql, NULL);
    struct buf out = {0};

    sqlite3_free(sql);
    *count = 0;
    *why = NULL;
    while (st && !*why && sqlite3_step(st) == SQLITE_ROW) {
        const char *name = (const char *)sqlite3_column_text(st, 1);
        bool needed = sqlite3_column_int(st, 3) != 0 &&
                      sqlite3_column_type(st, 4) == SQLITE_NULL;

        if (!name)
            continue;
        if (staged_db_has_column(&m->src.db, table, name)) {
            char *quoted =
                sqlite3_mprintf("%s\"%w\"", *count ? ", " : "", name);

            buf_add_str(&out, quoted);
            sqlite3_free(quoted);
            ++*count;
        } else if (needed) {
            *why = mem_strdup(name);
        }
    }
    sqlite3_finalize(st);
    if (*why || *count == 0) {
        buf_free(&out);
        return NULL;
    }
    return buf_str(&out);
}

/* --- a table --- */

static int copy_rows(struct merge *m, const struct merge_table *t,
                     const char *columns, int count, int64_t *copied)
{
    struct error *e = m->src.w.e;
    sqlite3_stmt *from, *to;
    struct buf sql = {0};
    int rc = 0, step = SQLITE_DONE;

    buf_printf(&sql, "SELECT %s FROM \"%s\"%s%s ORDER BY rowid", columns,
               t->table, t->where ? " WHERE " : "", t->where ? t->where : "");
    from = staged_db_prepare(&m->src.db, buf_str(&sql), e);
    buf_clear(&sql);
    buf_printf(&sql, "INSERT OR REPLACE INTO \"%s\" (%s) VALUES (", t->table,
               columns);
    for (int i = 1; i <= count; i++)
        buf_printf(&sql, "%s?%d", i > 1 ? "," : "", i);
    buf_add_str(&sql, ")");
    to = from ? staged_db_prepare(&m->own, buf_str(&sql), e) : NULL;
    if (!from || !to)
        rc = OCM_E_DAMAGED;
    while (rc == 0 && (step = sqlite3_step(from)) == SQLITE_ROW) {
        for (int i = 0; i < count; i++)
            sqlite3_bind_value(to, i + 1, sqlite3_column_value(from, i));
        if (sqlite3_step(to) != SQLITE_DONE)
            rc = staged_db_fail(&m->own, t->table, e);
        sqlite3_reset(to);
        sqlite3_clear_bindings(to);
        ++*copied;
    }
    if (rc == 0 && step != SQLITE_DONE)
        rc = staged_db_fail(&m->src.db, t->table, e);
    sqlite3_finalize(from);
    sqlite3_finalize(to);
    buf_free(&sql);
    return rc;
}

static int delete_own(struct merge *m, const struct merge_table *t)
{
    char *sql =
        sqlite3_mprintf("DELETE FROM \"%w\"%s%s", t->table,
                        t->where ? " WHERE " : "", t->where ? t->where : "");
    int rc = staged_db_exec(&m->own, sql, m->src.w.e);

    sqlite3_free(sql);
    return rc;
}

static void count_text(char out[48], int64_t count, const char *whose)
{
    snprintf(out, 48, "%lld row%s of the %s", (long long)count,
             count == 1 ? "" : "s", whose);
}

static int merge_table(struct merge *m, const struct merge_table *t)
{
    struct work *w = &m->src.w;
    char *columns, *why = NULL, was[48], now[48];
    int64_t theirs, ours, copied = 0;
    int count, rc;

    if (!staged_db_has_table(&m->src.db, t->table))
        return 0;
    theirs = staged_db_count(&m->src.db, t->table, t->where);
    if (!staged_db_has_table(&m->own, t->table)) {
        if (theirs > 0)
            plan_warn(w->a->plan, "database-rows", false, w->f->section,
                      w->f->at, t->table,
                      "%lld rows are left behind: this node's database has no "
                      "such table",
                      (long long)theirs);
        return 0;
    }
    ours = staged_db_count(&m->own, t->table, t->where);
    if (theirs < 0 || ours < 0) {
        plan_warn(w->a->plan, "database-rows", false, w->f->section, w->f->at,
                  t->table,
                  "the table has another shape than known: its rows are left "
                  "behind");
        return 0;
    }
    if ((theirs == 0 && (ours == 0 || !t->replace)) ||
        !edit_wanted(w, t->table, "merge"))
        return 0;
    if (w->a->o.row_section_count > 0 && strcmp(t->table, "cron_jobs") == 0)
        return state_merge_jobs(m, t);
    columns = state_common_columns(m, t->table, &count, &why);
    if (!columns) {
        plan_warn(w->a->plan, "database-rows", false, w->f->section, w->f->at,
                  t->table,
                  "%lld rows are left behind: this node's database demands "
                  "the column %s, which the source does not have",
                  (long long)theirs, why ? why : "?");
        free(why);
        return 0;
    }
    rc = t->replace ? delete_own(m, t) : 0;
    if (rc == 0)
        rc = copy_rows(m, t, columns, count, &copied);
    free(columns);
    count_text(was, ours, "target");
    count_text(now, copied, "source");
    if (rc == 0)
        plan_add_edit(w->a->plan, w->f->section, w->f->at, t->table, was, now,
                      "merge", false)
            ->note = t->replace
                         ? NULL
                         : mem_strdup("the target's rows stay beside them");
    return rc;
}

/* --- approvals: the helper's socket is the target's --- */

struct own_approvals {
    json_t *socket;
    char *path;
    int has_token;
    bool there;
};

static void read_own_approvals(struct merge *m, struct own_approvals *out)
{
    sqlite3_stmt *st =
        staged_db_prepare(&m->own,
                          "SELECT raw_json, socket_path, has_socket_token FROM "
                          "exec_approvals_config ORDER BY rowid LIMIT 1",
                          NULL);
    json_t *root = NULL;

    if (st && sqlite3_step(st) == SQLITE_ROW) {
        const char *raw = (const char *)sqlite3_column_text(st, 0);
        const char *path = (const char *)sqlite3_column_text(st, 1);

        if (raw && config_parse(DOC_JSON5, raw, strlen(raw), &root, NULL) != 0)
            root = NULL;
        out->socket = json_incref(json_object_get(root, "socket"));
        out->path = mem_strdup(path);
        out->has_token = sqlite3_column_int(st, 2);
        out->there = true;
    }
    json_decref(root);
    sqlite3_finalize(st);
}

static int put_own_socket(struct merge *m, const struct own_approvals *own)
{
    sqlite3_stmt *st;
    int rc;

    if (!own->there)
        return 0;
    st = staged_db_prepare(&m->src.db,
                           "UPDATE exec_approvals_config SET socket_path=?1, "
                           "has_socket_token=?2",
                           NULL);
    if (!st)
        return 0; /* another schema: nothing of ours to put there */
    if (own->path)
        sqlite3_bind_text(st, 1, own->path, -1, SQLITE_STATIC);
    sqlite3_bind_int(st, 2, own->has_token);
    rc = sqlite3_step(st) == SQLITE_DONE
             ? 0
             : staged_db_fail(&m->src.db, "exec_approvals_config", m->src.w.e);
    sqlite3_finalize(st);
    return rc;
}

/* --- the whole --- */

/* One step for all pages; a writer makes it wait, for a while. */
static int backup_pages(sqlite3 *to, sqlite3 *from)
{
    sqlite3_backup *b = sqlite3_backup_init(to, "main", from, "main");
    int code, tries = 0;

    if (!b)
        return SQLITE_ERROR;
    do {
        code = sqlite3_backup_step(b, -1);
        if (code == SQLITE_BUSY || code == SQLITE_LOCKED)
            sqlite3_sleep(COPY_RETRY_MS);
    } while ((code == SQLITE_BUSY || code == SQLITE_LOCKED) &&
             ++tries < COPY_RETRIES);
    sqlite3_backup_finish(b);
    return code == SQLITE_DONE ? SQLITE_OK : code;
}

int state_copy_live(const char *live, const char *to, const char *name,
                    struct error *e)
{
    struct database from;
    sqlite3 *db = NULL;
    int rc = database_open(live, &from, e), code = SQLITE_ERROR;

    if (rc != 0)
        return rc;
    unlink(to);
    if (sqlite3_open_v2(to, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE,
                        NULL) == SQLITE_OK)
        code = backup_pages(db, from.db);
    if (code != SQLITE_OK)
        rc = error_set(e, code == SQLITE_FULL ? -ENOSPC : OCM_E_FAILED,
                       "%s: this node's own database cannot be copied: %s",
                       name, sqlite3_errstr(code));
    sqlite3_close(db);
    database_close(&from);
    if (rc == 0 && chmod(to, 0600) != 0)
        rc = error_errno(e, "%s", to);
    return rc;
}

static int bring_rows(struct merge *m)
{
    int64_t orphans = staged_db_orphans(&m->own);
    int rc = staged_db_exec(&m->own, "BEGIN IMMEDIATE", m->src.w.e);

    for (size_t i = 0; rc == 0 && i < ARRAY_LEN(merge_tables); i++)
        if (is_brought(m->src.w.a, &merge_tables[i]))
            rc = merge_table(m, &merge_tables[i]);
    if (rc == 0 && staged_db_orphans(&m->own) > orphans)
        rc = error_set(m->src.w.e, OCM_E_FAILED,
                       "%s: the merged rows refer to rows that are not there",
                       m->src.w.f->at);
    return rc == 0 ? staged_db_exec(&m->own, "COMMIT", m->src.w.e) : rc;
}

static int merge_open(struct merge *m, const char *copy)
{
    struct work *w = &m->src.w;
    struct own_approvals own = {0};
    int rc = staged_db_open(&m->own, copy, w->f->at, true, w->e);

    if (rc != 0)
        return rc;
    rc = staged_db_open(&m->src.db, w->f->staged, w->f->at, true, w->e);
    if (rc != 0)
        return rc;
    read_own_approvals(m, &own);
    m->src.own_socket = own.socket;
    rc = staged_db_exec(&m->src.db, "BEGIN IMMEDIATE", w->e);
    if (rc == 0)
        rc = state_rows_adapt(&m->src);
    if (rc == 0)
        rc = put_own_socket(m, &own);
    if (rc == 0)
        rc = staged_db_exec(&m->src.db, "COMMIT", w->e);
    if (rc == 0)
        rc = bring_rows(m);
    m->src.own_socket = NULL;
    json_decref(own.socket);
    free(own.path);
    return rc;
}

int state_merge(struct adapt *a, const struct adapt_file *f, const char *own,
                struct error *e)
{
    struct merge m = {.src = {.w = {.a = a, .f = f, .e = e}, .merge = true}};
    int rc = merge_open(&m, own);

    staged_db_close(&m.src.db);
    staged_db_close(&m.own);
    return rc;
}
