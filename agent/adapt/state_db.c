/* SPDX-License-Identifier: MIT */
/* The state database as a file: checked, its rows edited, and for another
 * node freed of the rows that must not go along. */
#include "agent/adapt/state_db.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/adapt/database_job.h"
#include "common/base/mem.h"
#include "common/base/text.h"

/* Who this node is: never in a clone. Names may end in '*'. */
static const char *const identity_tables[] = {
    "device_identities",
    "device_auth_tokens",
    "device_pairing_*",
    "device_pair_setup_completions",
    "device_bootstrap_tokens",
    "gateway_origin_device_tokens",
    "config_revision_keys",
    "audit_identity_keys",
    "apns_*",
    "web_push_*",
};

static const char *const identity_keys[] = {"webPush.vapidKeys",
                                            "nodeHost.config"};

/* What only means something in the process or on the host that wrote it. */
static const char *const volatile_tables[] = {
    "state_leases",      "agent_database_leases",  "gateway_boot_lifecycle",
    "gateway_restart_*", "delivery_queue_entries", "channel_ingress_events",
    "diagnostic_events", "config_health_entries",  "backup_runs",
    "worker_*",
};

static const char *const volatile_keys[] = {
    "update.checkState", "plugins.installedIndex", "config.lastTouchedAt"};

/* --- rows that do not go along --- */

static int delete_rows(struct state_work *s, const char *table,
                       const char *where, const char *place, const char *rule,
                       const char *instead)
{
    struct work *w = &s->w;
    int64_t count = staged_db_count(&s->db, table, where);
    char *sql, was[40];
    int rc;

    if (count <= 0 || !edit_wanted(w, place, rule))
        return 0;
    sql = sqlite3_mprintf("DELETE FROM \"%w\"%s%s", table,
                          where ? " WHERE " : "", where ? where : "");
    rc = sql ? staged_db_exec(&s->db, sql, w->e) : OCM_E_FAILED;
    sqlite3_free(sql);
    snprintf(was, sizeof(was), "%lld row%s", (long long)count,
             count == 1 ? "" : "s");
    if (rc == 0)
        plan_add_edit(w->a->plan, w->f->section, w->f->at, place, was, instead,
                      rule, false);
    return rc;
}

/* The tables whose names fit `pattern` ("worker_*"), sorted. */
static void tables_like(struct state_work *s, const char *pattern,
                        struct text_list *out)
{
    sqlite3_stmt *st = staged_db_prepare(
        &s->db,
        "SELECT name FROM sqlite_schema WHERE type='table' AND name GLOB ?1 "
        "AND sql NOT LIKE 'CREATE VIRTUAL%' ORDER BY name",
        NULL);

    if (!st)
        return;
    sqlite3_bind_text(st, 1, pattern, -1, SQLITE_STATIC);
    while (sqlite3_step(st) == SQLITE_ROW) {
        const char *name = (const char *)sqlite3_column_text(st, 0);

        if (name)
            text_list_add(out, name);
    }
    sqlite3_finalize(st);
}

static int delete_tables(struct state_work *s, const char *const *patterns,
                         size_t count, const char *rule, const char *instead)
{
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < count; i++) {
        struct text_list tables = {0};

        tables_like(s, patterns[i], &tables);
        for (size_t n = 0; rc == 0 && n < tables.count; n++)
            rc = delete_rows(s, tables.items[n], NULL, tables.items[n], rule,
                             instead);
        text_list_free(&tables);
    }
    return rc;
}

static int delete_keys(struct state_work *s, const char *const *keys,
                       size_t count, const char *rule, const char *instead)
{
    int rc = 0;

    if (!staged_db_has_column(&s->db, "config_machine_state", "state_key"))
        return 0;
    for (size_t i = 0; rc == 0 && i < count; i++) {
        char *where = mem_printf("state_key='%s'", keys[i]);
        char *place = mem_printf("config_machine_state[%s]", keys[i]);

        rc =
            delete_rows(s, "config_machine_state", where, place, rule, instead);
        free(where);
        free(place);
    }
    return rc;
}

static int delete_foreign(struct state_work *s)
{
    int rc = delete_tables(s, volatile_tables, ARRAY_LEN(volatile_tables),
                           "node-owned", "(none: state of another host)");

    if (rc == 0)
        rc = delete_keys(s, volatile_keys, ARRAY_LEN(volatile_keys),
                         "node-owned", "(made anew)");
    if (rc == 0 && s->w.a->o.intention == INTENT_CLONE)
        rc = delete_tables(s, identity_tables, ARRAY_LEN(identity_tables),
                           "identity", "(made anew at the first start)");
    if (rc == 0 && s->w.a->o.intention == INTENT_CLONE)
        rc = delete_keys(s, identity_keys, ARRAY_LEN(identity_keys), "identity",
                         "(made anew)");
    return rc;
}

/* --- the file --- */

static void warn_triggers(struct state_work *s)
{
    int64_t count =
        staged_db_count(&s->db, "sqlite_schema", "type IN ('trigger','view')");

    if (count > 0)
        plan_warn(s->w.a->plan, "database-rows", false, s->w.f->section,
                  s->w.f->at, "",
                  "the state database holds %lld triggers or views, which no "
                  "known OpenClaw makes; they were not run",
                  (long long)count);
}

static char *live_database(const struct adapt *a, const struct adapt_file *f)
{
    char *path = f->live ? mem_strdup(f->live)
                 : a->o.target_state_dir
                     ? path_join(a->o.target_state_dir, "state/openclaw.sqlite")
                     : NULL;
    struct stat st;

    if (path && stat(path, &st) == 0 && S_ISREG(st.st_mode) && st.st_size > 0)
        return path;
    free(path);
    return NULL;
}

static int adapt_whole(struct state_work *s)
{
    int64_t orphans;
    int rc = staged_db_open(&s->db, s->w.f->staged, s->w.f->at, true, s->w.e);

    if (rc != 0)
        return rc;
    warn_triggers(s);
    orphans = staged_db_orphans(&s->db);
    rc = staged_db_exec(&s->db, "BEGIN IMMEDIATE", s->w.e);
    if (rc == 0)
        rc = state_rows_adapt(s);
    if (rc == 0 && adapt_crosses(s->w.a))
        rc = delete_foreign(s);
    if (rc == 0 && staged_db_orphans(&s->db) > orphans)
        rc = error_set(s->w.e, OCM_E_FAILED,
                       "%s: the edits would leave rows without the rows they "
                       "refer to",
                       s->w.f->at);
    if (rc == 0)
        rc = staged_db_exec(&s->db, "COMMIT", s->w.e);
    staged_db_close(&s->db);
    return rc;
}

int state_db_edit(struct adapt *a, const struct adapt_file *f, const char *own,
                  struct error *e)
{
    struct state_work s = {.w = {.a = a, .f = f, .e = e}};
    int rc;

    if (own)
        return state_merge(a, f, own, e);
    if (adapt_crosses(a) || rules_active(&a->rules))
        return adapt_whole(&s);
    rc = staged_db_open(&s.db, f->staged, f->at, false, e);
    if (rc == 0)
        staged_db_close(&s.db);
    return rc;
}

/* The copy of the target's, with the source's rows, takes the staged one's
 * place. */
static int put_merged(struct adapt *a, const struct adapt_file *f,
                      const char *own, struct error *e)
{
    if (rename(own, f->staged) != 0)
        return error_errno(e, "%s: cannot put the merged database in place",
                           f->at);
    if (a->o.row_section_count == 0)
        plan_add_edit(a->plan, f->section, f->at, "", "(the source's)",
                      "(the target's own, with rows of the source)", "identity",
                      false);
    return 0;
}

int adapt_state_db(struct adapt *a, const struct adapt_file *f, struct error *e)
{
    bool rows = a->o.row_section_count > 0;
    char *live = adapt_crosses(a) || rows ? live_database(a, f) : NULL, *own;
    int rc;

    if (!live && rows)
        return error_set(e, OCM_E_NOTFOUND,
                         "this node has no state database to bring rows into");
    if (!live)
        return database_do(a, f, NULL, e);
    own = mem_printf("%s.ocm-own", f->staged);
    rc = state_copy_live(live, own, f->at, e);
    if (rc == 0)
        rc = database_do(a, f, own, e);
    if (rc == 0)
        rc = put_merged(a, f, own, e);
    if (rc != 0)
        unlink(own);
    free(own);
    free(live);
    return rc;
}

/* An empty file is what an unused lock database looks like. */
static bool is_empty(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && st.st_size == 0;
}

int adapt_other_db(struct adapt *a, const struct adapt_file *f, struct error *e)
{
    struct error why = {0};
    uint64_t places;
    int rc;

    if (is_empty(f->staged))
        return 0;
    rc = database_do(a, f, NULL, &why);
    if (rc != 0 && f->kind == KIND_AGENT_DB)
        return error_set(e, rc, "%s", why.text);
    if (rc != 0)
        plan_warn(a->plan, "database-damaged", false, f->section, f->at, "",
                  "%s; it is placed as it is", why.text);
    if (rules_active(&a->rules)) {
        places = count_foreign(a, f->staged);
        a->history_files += places > 0;
        a->history_lines += places;
    }
    return 0;
}
