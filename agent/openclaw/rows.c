/* SPDX-License-Identifier: MIT */
/* Which rows of which table belong to which section (policy "copy, adapted"
 * of a state database of schema 18, and the logins of agent databases). */
#include "agent/openclaw/rows.h"

#include <stdlib.h>
#include <string.h>

#include "agent/openclaw/database.h"
#include "agent/openclaw/sections.h"
#include "common/base/files.h"
#include "common/base/mem.h"

struct row_rule {
    const char *section, *file; /* "rows/<file>.jsonl" of the section */
    const char *table, *where, *order;
};

static const struct row_rule state_rules[] = {
    {"cron", "cron_jobs", "cron_jobs", "declaration_key IS NULL",
     "store_key, job_id"},
    {"credentials", "auth_profiles", "config_machine_state",
     "state_key IN ('authProfiles.store', 'auth.sharedStore')", "state_key"},
    {"credentials", "secret_store_entries", "secret_store_entries", "1",
     "scope_kind, scope_id, name"},
    {"credentials", "mcp_oauth_stores", "mcp_oauth_stores", "1", "store_key"},
    {"state", "exec_approvals_config", "exec_approvals_config", "1",
     "config_key"},
    {"state", "channel_pairing_allow_entries", "channel_pairing_allow_entries",
     "1", "channel_key, account_id, entry"},
    {"state", "config_machine_state", "config_machine_state",
     "state_key IN ('voicewake.triggers', 'voicewake.routing',"
     " 'tts.prefsPath', 'hooks.internal.installs', 'cron.store')",
     "state_key"},
    {"state", "user_preferences", "user_preferences", "1",
     "profile_id, pref_key"},
    {"state", "session_groups", "session_groups", "1", "name"},
    {"state", "projects", "projects", "1", "id"},
    {"state", "plugin_binding_approvals", "plugin_binding_approvals", "1",
     "plugin_root, channel, account_id"},
};

static const char *const by_themselves[] = {
    "state_json",    "runtime_updated_at_ms",       "updated_at",
    "updated_at_ms", "grant_definition_updated_at", NULL,
};

static void add_rows(struct rows_list *list, char *at, const char *path,
                     char *sql)
{
    list->items = mem_grow(list->items, &list->cap, list->count + 1,
                           sizeof(*list->items));
    list->items[list->count++] = (struct capture_rows){
        .at = at, .database = mem_strdup(path), .sql = sql};
}

static void try_rule(struct database *db, const char *path,
                     const struct row_rule *r, const char *below,
                     struct rows_list *list)
{
    struct buf columns = {0};

    if (database_columns(db, r->table, by_themselves, &columns))
        add_rows(
            list,
            mem_printf("config/%s/rows/%s%s.jsonl", r->section, below, r->file),
            path,
            mem_printf("SELECT %s FROM %s WHERE %s ORDER BY %s",
                       buf_str(&columns), r->table, r->where, r->order));
    buf_free(&columns);
}

static void of_agent(const struct agent_place *p, struct rows_list *lists,
                     struct buf *notes)
{
    static const struct row_rule rule = {"credentials", "auth_profile_store",
                                         "auth_profile_store", "1",
                                         "store_key"};
    char *path = mem_printf("%s/openclaw-agent.sqlite", p->dir);
    char *below = mem_printf("agents/%s/", p->id);
    struct error e = {0};
    struct database db;

    if (file_exists(path)) {
        if (database_open(path, &db, &e) == 0) {
            try_rule(&db, path, &rule, below,
                     &lists[section_find("credentials") - section_table]);
            database_close(&db);
        } else {
            buf_printf(notes, "%s\n", e.text);
        }
    }
    free(below);
    free(path);
}

void rows_collect(const struct openclaw *o, const struct agents *agents,
                  struct rows_list *lists, struct buf *notes)
{
    char *path = mem_printf("%s/state/openclaw.sqlite", o->state_dir);
    struct error e = {0};
    struct database db;

    if (o->era != ERA_MIXED && o->era != ERA_SQLITE) {
        free(path);
        return;
    }
    if (database_open(path, &db, &e) == 0) {
        for (size_t i = 0; i < ARRAY_LEN(state_rules); i++) {
            const struct row_rule *r = &state_rules[i];

            try_rule(&db, path, r, "",
                     &lists[section_find(r->section) - section_table]);
        }
        database_close(&db);
    } else {
        buf_printf(notes, "%s\n", e.text);
    }
    free(path);
    for (size_t i = 0; i < agents->count; i++)
        of_agent(&agents->items[i], lists, notes);
}

void rows_fini(struct rows_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        free((char *)list->items[i].at);
        free((char *)list->items[i].database);
        free((char *)list->items[i].sql);
    }
    free(list->items);
    *list = (struct rows_list){0};
}
