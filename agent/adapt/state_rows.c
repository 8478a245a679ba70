/* SPDX-License-Identifier: MIT */
/* Rows of the state database edited for the target: paths and ports in
 * columns and in JSON, and keys made of paths. */
#include "agent/adapt/state_db.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/adapt/keys.h"
#include "common/base/files.h"
#include "common/base/mem.h"
#include "common/base/secret.h"
#include "common/base/text.h"

#define ROWS_MAX 1000000
#define NO_ROW INT64_MIN

enum column_kind {
    COLUMN_PATH, /* the whole value is a path */
    COLUMN_TEXT, /* free text */
    COLUMN_JSON, /* text that is JSON; each string in it */
};

static const struct row_column {
    const char *table, *column, *id;
    enum column_kind kind;
    const char *where;       /* NULL: all rows */
    const char *merge_where; /* in a merge; NULL: table stays out of it */
} row_columns[] = {
    {"cron_jobs", "job_json", "job_id", COLUMN_JSON, NULL, USER_JOBS},
    {"cron_jobs", "store_key", "job_id", COLUMN_PATH, NULL, USER_JOBS},
    {"cron_job_scratch", "store_key", "job_id", COLUMN_PATH, NULL,
     "job_id IN (SELECT job_id FROM cron_jobs WHERE " USER_JOBS ")"},
    {"cron_run_receipts", "store_key", "receipt_id", COLUMN_PATH, NULL, NULL},
    {"exec_approvals_config", "raw_json", "config_key", COLUMN_JSON, NULL, "1"},
    {"exec_approvals_config", "socket_path", "config_key", COLUMN_PATH, NULL,
     NULL},
    {"config_machine_state", "value_json", "state_key", COLUMN_JSON,
     MACHINE_KEYS, MACHINE_KEYS},
    {"user_preferences", "value_json", "pref_key", COLUMN_JSON, NULL, "1"},
    {"session_groups", "cwd", "name", COLUMN_PATH, NULL, "1"},
    {"projects", "repo_root", "id", COLUMN_PATH, NULL, "1"},
    {"plugin_binding_approvals", "plugin_root", "plugin_id", COLUMN_PATH, NULL,
     "1"},
    {"secret_store_entries", "value", "name", COLUMN_TEXT, "kind='env'",
     "kind='env'"},
    {"agent_databases", "path", "agent_id", COLUMN_PATH, NULL, "1"},
    {"worktrees", "path", "id", COLUMN_PATH, NULL, NULL},
    {"worktrees", "repo_root", "id", COLUMN_PATH, NULL, NULL},
    {"worktrees", "provisioned_paths_json", "id", COLUMN_JSON, NULL, NULL},
    {"worktree_templates", "repo_root", "id", COLUMN_PATH, NULL, NULL},
    {"worktree_templates", "common_dir", "id", COLUMN_PATH, NULL, NULL},
    {"worktree_templates", "worktree_root", "id", COLUMN_PATH, NULL, NULL},
    {"worktree_templates", "path", "id", COLUMN_PATH, NULL, NULL},
    {"claw_installs", "package_root", "id", COLUMN_PATH, NULL, NULL},
    {"claw_installs", "manifest_path", "id", COLUMN_PATH, NULL, NULL},
    {"claw_installs", "workspace", "id", COLUMN_PATH, NULL, NULL},
    {"claw_installs", "bootstrap_source_path", "id", COLUMN_PATH, NULL, NULL},
    {"claw_installs", "agent_owned_paths_json", "id", COLUMN_JSON, NULL, NULL},
    {"claw_workspace_files", "target_path", "id", COLUMN_PATH, NULL, NULL},
    {"claw_workspace_files", "workspace", "id", COLUMN_PATH, NULL, NULL},
    {"claw_workspace_files", "source_path", "id", COLUMN_PATH, NULL, NULL},
    {"subagent_runs", "controller_store_path", "run_id", COLUMN_PATH, NULL,
     NULL},
    {"subagent_runs", "requester_store_path", "run_id", COLUMN_PATH, NULL,
     NULL},
    {"session_watch_cursors", "watcher_store_path", "session_key", COLUMN_PATH,
     NULL, NULL},
    {"managed_outgoing_image_records", "original_media_root", "id", COLUMN_PATH,
     NULL, NULL},
    {"fleet_cells", "data_dir", "id", COLUMN_PATH, NULL, NULL},
    {"acp_sessions", "cwd", "session_id", COLUMN_PATH, NULL, NULL},
};

void workspace_key(const char *path, char out[65])
{
    struct id id = digest_of(path, strlen(path));

    id_hex(&id, out);
}

/* --- rows of a column --- */

struct row {
    int64_t rowid;
    char *id, *old_value, *new_value;
    const char *rule; /* NULL: already recorded, value by value */
};

struct rows {
    struct row *items;
    size_t count, cap;
};

static void rows_free(struct rows *r)
{
    for (size_t i = 0; i < r->count; i++) {
        free(r->items[i].id);
        secret_free_str(r->items[i].old_value);
        secret_free_str(r->items[i].new_value);
    }
    free(r->items);
    memset(r, 0, sizeof(*r));
}

static int on_json_value(void *arg, struct doc *d, const struct doc_value *v)
{
    struct work *w = arg;

    (void)d;
    if (v->type != DOC_STRING || is_apart(w, v->path))
        return 0;
    return edit_value(w, v, keys_is_secret(v->path, v->key, v->text));
}

/* The helper's socket belongs to the node. */
static int adapt_socket(struct state_work *s)
{
    struct work *w = &s->w;
    struct doc_value v;
    char fresh[49];
    int rc = 0;

    if (!adapt_crosses(w->a))
        return 0;
    if (s->own_socket)
        return edit_subtree(w, "socket", s->own_socket, "node-owned");
    if (w->a->o.intention == INTENT_CLONE &&
        doc_find(w->d, "socket.token", &v) && v.type == DOC_STRING) {
        fresh_token(w->a, "exec-approvals.socket.token", fresh);
        rc = edit_string(w, &v, fresh, 32, "fresh", true);
        secret_wipe(fresh, sizeof(fresh));
    }
    return rc;
}

/* JSON of one row: *out is its new text, or NULL. */
static int adapt_json_row(struct state_work *s, const struct row_column *c,
                          const char *id, const char *text, size_t len,
                          char **out)
{
    char *prefix = mem_printf("%s[%s].%s.", c->table, id, c->column);
    struct work *w = &s->w;
    struct error why = {0};
    struct buf b = {0};
    bool approvals;
    int rc = 0;

    *out = NULL;
    if (doc_parse(DOC_JSON5, text, len, &w->d, &why) != 0) {
        plan_warn(w->a->plan, "not-edited", false, w->f->section, w->f->at,
                  prefix, "%s: the row stays as it is", why.text);
        free(prefix);
        return 0;
    }
    approvals = strcmp(c->table, "exec_approvals_config") == 0;
    w->place_prefix = prefix;
    w->apart = approvals && s->own_socket ? "socket" : NULL;
    rc = doc_each(w->d, on_json_value, w);
    if (rc == 0 && approvals)
        rc = adapt_socket(s);
    if (rc == 0 && doc_edit_count(w->d) > 0) {
        rc = doc_render(w->d, &b, w->e);
        if (rc == 0 && (b.len != len || memcmp(b.data, text, len) != 0))
            *out = mem_strndup((const char *)b.data, b.len);
    }
    buf_wipe(&b);
    doc_free(w->d);
    w->d = NULL;
    w->apart = w->place_prefix = NULL;
    free(prefix);
    return rc;
}

static int adapt_row(struct state_work *s, const struct row_column *c,
                     const char *text, size_t len, struct row *row)
{
    struct adapt *a = s->w.a;
    struct buf b = {0};

    switch (c->kind) {
    case COLUMN_JSON:
        return adapt_json_row(s, c, row->id, text, len, &row->new_value);
    case COLUMN_PATH:
        row->new_value = adapt_path_value(a, text, &row->rule);
        return 0;
    case COLUMN_TEXT:
        row->rule = adapt_text(a, text, len, &b);
        if (row->rule)
            row->new_value = mem_strdup(buf_str(&b));
        buf_wipe(&b);
        return 0;
    }
    return 0;
}

/* The column that names a row, or rowid when it is another schema's. */
static const char *id_column(struct state_work *s, const struct row_column *c)
{
    return staged_db_has_column(&s->db, c->table, c->id) ? c->id : "rowid";
}

static int read_rows(struct state_work *s, const struct row_column *c,
                     const char *where, struct rows *out)
{
    char *sql = sqlite3_mprintf(
        "SELECT rowid, CAST(\"%w\" AS TEXT), \"%w\" FROM \"%w\" WHERE "
        "typeof(\"%w\")='text'%s%s ORDER BY rowid LIMIT %d",
        id_column(s, c), c->column, c->table, c->column, where ? " AND " : "",
        where ? where : "", ROWS_MAX);
    sqlite3_stmt *st = staged_db_prepare(&s->db, sql, NULL);
    int rc = 0, step = SQLITE_DONE;

    sqlite3_free(sql);
    if (!st) {
        plan_warn(s->w.a->plan, "database-rows", false, s->w.f->section,
                  s->w.f->at, c->table,
                  "the table has another shape than known and stays as it is: "
                  "%s",
                  sqlite3_errmsg(s->db.db));
        return 0;
    }
    while (rc == 0 && (step = sqlite3_step(st)) == SQLITE_ROW) {
        const char *id = (const char *)sqlite3_column_text(st, 1);
        const char *text = (const char *)sqlite3_column_text(st, 2);
        size_t len = (size_t)sqlite3_column_bytes(st, 2);
        struct row row = {.rowid = sqlite3_column_int64(st, 0)};

        if (!text || strlen(text) != len)
            continue; /* a NUL inside: no text of OpenClaw's */
        row.id = mem_strdup(id ? id : "");
        rc = adapt_row(s, c, text, len, &row);
        if (rc != 0 || !row.new_value) {
            free(row.id);
            continue;
        }
        row.old_value = mem_strdup(text);
        out->items =
            mem_grow(out->items, &out->cap, out->count + 1, sizeof(row));
        out->items[out->count++] = row;
    }
    if (rc == 0 && step != SQLITE_DONE)
        rc = staged_db_fail(&s->db, c->table, s->w.e);
    sqlite3_finalize(st);
    return rc;
}

static int write_row(struct state_work *s, const struct row_column *c,
                     sqlite3_stmt *st, const struct row *row)
{
    struct work *w = &s->w;
    char *place = mem_printf("%s[%s].%s", c->table, row->id, c->column);
    int rc = 0, step;

    if (!row->rule || edit_wanted(w, place, row->rule)) {
        sqlite3_reset(st);
        sqlite3_bind_text(st, 1, row->new_value, -1, SQLITE_STATIC);
        sqlite3_bind_int64(st, 2, row->rowid);
        step = sqlite3_step(st);
        if (step == SQLITE_CONSTRAINT)
            plan_warn(w->a->plan, "database-rows", false, w->f->section,
                      w->f->at, place, "cannot become %s: %s",
                      c->kind == COLUMN_PATH ? row->new_value : "its new text",
                      sqlite3_errmsg(s->db.db));
        else if (step != SQLITE_DONE)
            rc = staged_db_fail(&s->db, c->table, w->e);
        else if (row->rule)
            plan_add_edit(w->a->plan, w->f->section, w->f->at, place,
                          row->old_value, row->new_value, row->rule,
                          c->kind == COLUMN_TEXT);
    }
    free(place);
    return rc;
}

static int adapt_column(struct state_work *s, const struct row_column *c)
{
    const struct merge_table *t = state_brings(s->w.a, c->table);
    bool alone = s->w.a->o.row_section_count > 0;
    const char *where = !s->merge                ? c->where
                        : alone && t && t->where ? t->where
                                                 : c->merge_where;
    struct rows rows = {0};
    sqlite3_stmt *st = NULL;
    char *sql;
    int rc;

    if ((s->merge && (!c->merge_where || !t)) ||
        !staged_db_has_table(&s->db, c->table) ||
        !staged_db_has_column(&s->db, c->table, c->column))
        return 0;
    rc = read_rows(s, c, where, &rows);
    if (rc == 0 && rows.count > 0) {
        sql = sqlite3_mprintf("UPDATE \"%w\" SET \"%w\"=?1 WHERE rowid=?2",
                              c->table, c->column);
        st = staged_db_prepare(&s->db, sql, s->w.e);
        sqlite3_free(sql);
        rc = st ? 0 : OCM_E_DAMAGED;
    }
    for (size_t i = 0; rc == 0 && i < rows.count; i++)
        rc = write_row(s, c, st, &rows.items[i]);
    sqlite3_finalize(st);
    rows_free(&rows);
    return rc;
}

/* --- workspaces: rows keyed by the hash of a path --- */

/* Bind key and second text, and the row when there is one. */
static int update_key(struct state_work *s, const char *sql, const char *key,
                      const char *second, int64_t rowid)
{
    sqlite3_stmt *st = staged_db_prepare(&s->db, sql, s->w.e);
    int rc;

    if (!st)
        return OCM_E_DAMAGED;
    sqlite3_bind_text(st, 1, key, -1, SQLITE_STATIC);
    sqlite3_bind_text(st, 2, second, -1, SQLITE_STATIC);
    if (rowid != NO_ROW)
        sqlite3_bind_int64(st, 3, rowid);
    rc = sqlite3_step(st) == SQLITE_DONE
             ? 0
             : staged_db_fail(&s->db, "workspaces", s->w.e);
    sqlite3_finalize(st);
    return rc;
}

/* `key_column` of `table` is the hash of `path_column`. */
static int rekey(struct state_work *s, const char *table,
                 const char *key_column, const char *path_column)
{
    struct row_column c = {table,       path_column, key_column,
                           COLUMN_PATH, NULL,        "1"};
    struct work *w = &s->w;
    struct rows rows = {0};
    bool hashes = staged_db_has_column(
        &s->db, "workspace_generated_bootstrap_hashes", "workspace_key");
    char *sql;
    int rc;

    if (!staged_db_has_table(&s->db, table) ||
        !staged_db_has_column(&s->db, table, key_column) ||
        !staged_db_has_column(&s->db, table, path_column))
        return 0;
    rc = read_rows(s, &c, NULL, &rows);
    sql = sqlite3_mprintf("UPDATE OR REPLACE \"%w\" SET \"%w\"=?1, "
                          "\"%w\"=?2 WHERE rowid=?3",
                          table, key_column, path_column);
    for (size_t i = 0; rc == 0 && i < rows.count; i++) {
        const struct row *row = &rows.items[i];
        char *place = mem_printf("%s[%.12s].%s", table, row->id, path_column);
        char was[65], now[65];

        workspace_key(row->old_value, was);
        workspace_key(row->new_value, now);
        if (edit_wanted(w, place, row->rule)) {
            bool hashed = strcmp(was, row->id) == 0;

            rc = update_key(s, sql, hashed ? now : row->id, row->new_value,
                            row->rowid);
            if (rc == 0 && hashed && hashes &&
                strcmp(table, "workspace_setup_state") == 0)
                rc = update_key(
                    s,
                    "UPDATE OR REPLACE workspace_generated_bootstrap_hashes "
                    "SET workspace_key=?1 WHERE workspace_key=?2",
                    now, was, NO_ROW);
            if (rc == 0)
                plan_add_edit(w->a->plan, w->f->section, w->f->at, place,
                              row->old_value, row->new_value, row->rule, false)
                    ->note = hashed ? mem_strdup("the row's key, a hash of "
                                                 "the path, follows")
                                    : NULL;
        }
        free(place);
    }
    sqlite3_free(sql);
    rows_free(&rows);
    return rc;
}

static int adapt_workspaces(struct state_work *s)
{
    int rc =
        rekey(s, "workspace_setup_state", "workspace_key", "workspace_path");

    if (rc == 0)
        rc = rekey(s, "workspace_path_aliases", "workspace_key",
                   "workspace_path");
    if (rc == 0)
        rc = rekey(s, "workspace_path_aliases", "alias_key", "alias_path");
    return rc;
}

int state_rows_adapt(struct state_work *s)
{
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < ARRAY_LEN(row_columns); i++)
        rc = adapt_column(s, &row_columns[i]);
    if (rc == 0 && (!s->merge || state_brings(s->w.a, "workspace_setup_state")))
        rc = adapt_workspaces(s);
    return rc;
}
