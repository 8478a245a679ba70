/* SPDX-License-Identifier: MIT */
/* Detection of synthetic nodes of each era: where, what, who owns which file. */
#include <setjmp.h>
#include <stdarg.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "agent/openclaw/proc.h"
#include "agent/openclaw/sections.h"
#include "agent/openclaw/unit.h"
#include "common/base/files.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "node.h"

static struct node node;
static const char *const no_system_dirs[] = {"/nonexistent", NULL};

static int setup(void **state)
{
    (void)state;
    node_init(&node);
    unit_system_dirs = no_system_dirs;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    node_fini(&node);
    return 0;
}

static void assert_fact(const char *key, const char *want)
{
    const char *got = facts_get(&node.o.facts, key);

    if (!got || strcmp(got, want) != 0)
        fail_msg("fact %s is %s, expected %s", key, got ? got : "(none)", want);
}

static void assert_home_fact(const char *key, const char *below)
{
    char *want = path_join(node.home, below);

    assert_fact(key, want);
    free(want);
}

static void detect(void)
{
    if (node_detect(&node) != 0)
        fail_msg("%s", node.e.text);
}

struct row {
    const char *rel, *section;
};

static void write_all(const struct row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++)
        node_write(&node, rows[i].rel, "x");
}

static void assert_sections(const struct row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const char *got = node_section(&node, rows[i].rel);

        if (strcmp(got, rows[i].section) != 0)
            fail_msg("%s is in '%s', expected '%s'", rows[i].rel, got,
                     rows[i].section);
    }
}

static void nothing_is_no_error(void **state)
{
    (void)state;
    detect();
    assert_int_equal(node.o.era, ERA_NONE);
    assert_home_fact("state.dir", ".openclaw");
    assert_fact("gateway.control", "manual");
    assert_fact("gateway.port", "18789");
    assert_null(facts_get(&node.o.facts, "openclaw.version"));
    assert_null(facts_get(&node.o.facts, "cron.jobs"));
    for (size_t i = 0; i < node.o.section_count; i++)
        assert_int_equal(node.o.sections[i].root_count, 0);
    assert_int_equal(node.o.section_count, section_table_len);
}

static const struct row files_rows[] = {
    {".openclaw/.env", "env"},
    {".openclaw/agents/main/agent/auth-profiles.json", "credentials"},
    {".openclaw/agents/main/agent/models.json", "agents"},
    {".openclaw/agents/main/sessions/a.jsonl", "sessions"},
    {".openclaw/agents/main/sessions/a.jsonl.lock", ""},
    {".openclaw/agents/main/odd", "other"},
    {".openclaw/cron/runs/a.jsonl", "sessions"},
    {".openclaw/credentials/telegram-allowFrom.json", "credentials"},
    {".openclaw/identity/device.json", "state"},
    {".openclaw/memory/main.sqlite", "memory"},
    {".openclaw/workspace/MEMORY.md", "workspace"},
    {".openclaw/workspace/node_modules/a.js", "workspace"},
    {".openclaw/workspace-old/MEMORY.md", "other"},
    {".openclaw/tools/x", ""},
    {".openclaw/notes.txt", "other"},
    {"projects/team/AGENTS.md", "workspace"},
    {"elsewhere.txt", ""},
};

static void an_old_node(void **state)
{
    (void)state;
    write_all(files_rows, ARRAY_LEN(files_rows));
    node_write(&node, ".openclaw/.env", "TOK=from-env-file\nREPORTS=~/x\n");
    node_write(&node, ".openclaw/openclaw.json",
               "{meta: {lastTouchedVersion: '2026.2.12'},\n"
               " gateway: {port: 28701, auth: {token: '${TOK}'}},\n"
               " agents: {list: [{id: 'main'}, {id: 'team',"
               " workspace: '~/projects/team'}]},\n"
               " channels: {telegram: {}, defaults: {}, slack:"
               " {enabled: false}, irc: {enabled: true}}}");
    node_write(
        &node, ".openclaw/cron/jobs.json",
        "{\"version\": 1, \"jobs\": [{\"id\": \"a\"},"
        " {\"id\": \"b\", \"declarationKey\": \"hb\"}, {\"id\": \"c\"}]}");
    node_write(&node, ".openclaw/npm/projects/a/package.json",
               "{\"dependencies\": {\"@openclaw/discord\": \"1.0.0\"}}");
    node_write(&node, ".openclaw/npm/projects/b/package.json", "broken");
    node_write(&node, ".openclaw/npm/projects/c/package.json",
               "{\"dependencies\": {\"some-plugin\": \"2.0.0\"}}");
    detect();
    assert_int_equal(node.o.era, ERA_FILES);
    assert_fact("plugins.npm", "@openclaw/discord,some-plugin");
    assert_fact("state.era", "files");
    assert_fact("state.version", "2026.2.12");
    assert_fact("gateway.port", "28701");
    assert_fact("gateway.token", "from-env-file");
    assert_fact("channels.enabled", "irc,telegram");
    assert_fact("cron.jobs", "2");
    assert_home_fact("agent.team.workspace", "projects/team");
    assert_home_fact("agent.main.dir", ".openclaw/agents/main/agent");
    assert_sections(files_rows, ARRAY_LEN(files_rows));
    assert_int_equal(node.notes.len, 0);
    assert_string_equal(node_section(&node, ".openclaw/cron/jobs.json"),
                        "cron");
}

static const struct row sqlite_rows[] = {
    {".openclaw/agents/main/agent/openclaw-agent.sqlite.generation-lock.sqlite",
     ""},
    {".openclaw/state/openclaw-quarantine.sqlite", ""},
    {".openclaw/secrets.json", "credentials"},
    {".openclaw/vault/keys.json", "credentials"},
    {".openclaw/vault/readme", "other"},
    {".openclaw/conf.d/channels.json", "gateway"},
    {".openclaw/conf.d/readme", "other"},
    {".openclaw/cache/control-ui-assets/a", ""},
    {".openclaw/workspace/deep/ops/AGENTS.md", "workspace"},
    {"mine/keys.json", "credentials"},
    {"shared/docs/a.md", "extra"},
    {"shared/docs/big/b.bin", ""},
};

static const struct capture_section *section(const char *name)
{
    return &node.o.sections[section_find(name) - section_table];
}

/* The section says itself that `path` is missing in it. */
static void assert_gap(const char *name, const char *path)
{
    const struct capture_section *s = section(name);
    bool found = false;

    for (size_t i = 0; i < s->gap_count; i++)
        found = found || strncmp(s->gaps[i], path, strlen(path)) == 0;
    assert_true(found);
}

static const char *rows_sql(const char *name, const char *at)
{
    const struct capture_section *s = section(name);

    for (size_t i = 0; i < s->row_count; i++) {
        if (strcmp(s->rows[i].at, at) == 0)
            return s->rows[i].sql;
    }
    return NULL;
}

static void a_new_node(void **state)
{
    char extra_text[256], *extra_items[] = {extra_text};
    char exclude_text[] = "data/extra/*/big/",
         *exclude_items[] = {exclude_text};
    struct conf_list extra = {extra_items, 1}, exclude = {exclude_items, 1};
    const char *sql;

    (void)state;
    write_all(sqlite_rows, ARRAY_LEN(sqlite_rows));
    node_state_db(&node, 2);
    node_sql(&node, ".openclaw/agents/main/agent/openclaw-agent.sqlite",
             "CREATE TABLE auth_profile_store (store_key TEXT, store_json TEXT,"
             " updated_at INTEGER)");
    node_write(&node, ".openclaw/conf.d/channels.json",
               "{channels: {telegram: {}}}");
    node_write(&node, ".openclaw/openclaw.json",
               "{$include: 'conf.d/channels.json',"
               " meta: {lastTouchedVersion: '2026.9.6'},"
               " agents: {entries: {main: {}, ops: {workspace:"
               " '~/.openclaw/workspace/deep/ops'}}},"
               " secrets: {providers: {"
               "   a: {path: '~/.openclaw/vault/keys.json'},"
               "   b: {path: '~/mine/keys.json'}, c: {path: '/etc/passwd'}}}}");
    snprintf(extra_text, sizeof(extra_text), "docs=%s/shared/docs", node.home);
    node.conf.extra = &extra;
    node.conf.exclude = &exclude;
    detect();
    assert_int_equal(node.o.era, ERA_SQLITE);
    assert_fact("state.schema", "18");
    assert_fact("cron.jobs", "2");
    assert_fact("channels.enabled", "telegram");
    assert_home_fact("layout.docs", "shared/docs");
    assert_sections(sqlite_rows, ARRAY_LEN(sqlite_rows));
    assert_string_equal(node_section(&node, ".openclaw/state/openclaw.sqlite"),
                        "state");
    assert_string_equal(
        node_section(&node,
                     ".openclaw/agents/main/agent/openclaw-agent.sqlite"),
        "sessions");
    assert_gap("credentials", "/etc/passwd");
    sql = rows_sql("cron", "config/cron/rows/cron_jobs.jsonl");
    assert_non_null(sql);
    assert_non_null(strstr(sql, "\"job_json\""));
    assert_non_null(strstr(sql, "declaration_key IS NULL"));
    assert_null(strstr(sql, "updated_at"));
    assert_null(strstr(sql, "state_json"));
    assert_non_null(rows_sql(
        "credentials",
        "config/credentials/rows/agents/main/auth_profile_store.jsonl"));
    assert_non_null(
        rows_sql("state", "config/state/rows/exec_approvals_config.jsonl"));
    assert_null(rows_sql("state", "config/state/rows/projects.jsonl"));
}

/* Every file of the state is in one section or skipped by name, whatever lies
 * about; and the folders that sections share are walked by all of them. */
static void no_file_is_in_two_sections(void **state)
{
    (void)state;
    write_all(files_rows, ARRAY_LEN(files_rows));
    write_all(sqlite_rows, ARRAY_LEN(sqlite_rows));
    node_write(&node, ".openclaw/openclaw.json", "{");
    node_state_db(&node, 0);
    detect();
    for (size_t i = 0; i < ARRAY_LEN(files_rows); i++)
        assert_string_not_equal(node_section(&node, files_rows[i].rel), "2");
    for (size_t i = 0; i < ARRAY_LEN(sqlite_rows); i++)
        assert_string_not_equal(node_section(&node, sqlite_rows[i].rel), "2");
}

static void a_broken_config_is_a_note(void **state)
{
    (void)state;
    node_write(&node, ".openclaw/openclaw.json", "{gateway: {port: }}");
    node_write(&node, ".openclaw/workspace/MEMORY.md", "x");
    node_state_db(&node, 1);
    detect();
    assert_int_equal(node.o.era, ERA_SQLITE);
    assert_non_null(strstr(buf_str(&node.notes), "line 1"));
    assert_fact("cron.jobs", "1");
    assert_home_fact("agent.main.workspace", ".openclaw/workspace");
    assert_string_equal(node_section(&node, ".openclaw/openclaw.json"),
                        "gateway");
    assert_string_equal(node_section(&node, ".openclaw/workspace/MEMORY.md"),
                        "workspace");
}

static void between_the_eras(void **state)
{
    (void)state;
    node_state_db(&node, 0);
    node_write(&node, ".openclaw/agents/main/sessions/sessions.json", "{}");
    detect();
    assert_int_equal(node.o.era, ERA_MIXED);
    node_write(&node, ".openclaw/openclaw.json",
               "{meta: {lastTouchedVersion: '2026.7.2-beta.1'}}");
    detect();
    assert_int_equal(node.o.era, ERA_SQLITE);
    node_write(&node, ".openclaw/openclaw.json",
               "{meta: {lastTouchedVersion: '2026.6.30'}}");
    detect();
    assert_int_equal(node.o.era, ERA_MIXED);
}

/* The trap of a plain copy: the jobs hang on the old path. */
static void jobs_of_another_path_do_not_count(void **state)
{
    (void)state;
    node_state_db(&node, 2);
    node_sql(&node, ".openclaw/state/openclaw.sqlite",
             "INSERT INTO cron_jobs VALUES ('/old/.openclaw/cron/jobs.json',"
             " 'lost', NULL, 'j', '{}', '{}', 1)");
    detect();
    assert_fact("cron.jobs", "2");
    assert_non_null(strstr(buf_str(&node.notes), "1 cron jobs belong"));
    node_sql(&node, ".openclaw/state/openclaw.sqlite",
             "INSERT INTO config_machine_state VALUES ('cron.store',"
             " '\"/old/.openclaw/cron/jobs.json\"', 1)");
    detect();
    assert_fact("cron.jobs", "1");
}

static const struct row yaml_rows[] = {
    {"www/gateway.yaml", "gateway"},
    {"www/agents.yaml", "agents"},
    {"www/credentials/telegram.json", "credentials"},
    {"www/cron/daily.yaml", "cron"},
    {"www/.env", "env"},
    {"www/sessions/a.jsonl", "sessions"},
    {"www/memory/main.md", "memory"},
    {"www/workspace/AGENTS.md", "workspace"},
    {"www/node_modules/a/b.js", ""},
    {"www/run.sh", "other"},
};

static void the_first_layout(void **state)
{
    char dir[128];

    (void)state;
    write_all(yaml_rows, ARRAY_LEN(yaml_rows));
    node_write(&node, "www/gateway.yaml",
               "# gateway\ngateway:\n  port: 8088\n  bind: 0.0.0.0\n"
               "  token: abc123\n");
    node_write(&node, "www/agents.yaml",
               "agents:\n  - id: main\n    workspace: workspace\n");
    node_write(&node, "www/cron/daily.yaml",
               "jobs:\n  - name: a\n  - name: b\n");
    node_write(&node, "www/.env", "A=b\n");
    snprintf(dir, sizeof(dir), "%s/www", node.home);
    node.conf.state_dir = dir;
    detect();
    assert_int_equal(node.o.era, ERA_YAML);
    assert_fact("gateway.port", "8088");
    assert_fact("gateway.token", "abc123");
    assert_fact("cron.jobs", "2");
    assert_home_fact("agent.main.workspace", "www/workspace");
    assert_home_fact("state.config", "www/gateway.yaml");
    assert_sections(yaml_rows, ARRAY_LEN(yaml_rows));
    node_write(&node, "www/openclaw.json", "{}");
    detect();
    assert_int_equal(node.o.era, ERA_FILES); /* a real one goes first */
    node.conf.layout = "yaml";
    detect();
    assert_int_equal(node.o.era, ERA_YAML);
}

static void the_unit_tells_where(void **state)
{
    (void)state;
    node_write(&node, "data/oc/openclaw.json", "{gateway: {port: 1000}}");
    node_write(&node, "opt/oc/package.json",
               "{\"name\": \"openclaw\", \"version\": \"2026.9.6\","
               " \"openclaw\": {\"schemaVersions\":"
               " {\"state\": 18, \"agent\": 23}}}");
    node_write(&node, "opt/oc/dist/index.js", "");
    node_write(&node, ".config/systemd/user/openclaw-gateway.service",
               "[Service]\nExecStart=/usr/bin/node --max-old-space-size=8192"
               " %h/opt/oc/dist/index.js gateway --port 28703\n"
               "Environment=OPENCLAW_STATE_DIR=/wrong\n"
               "Environment=\"OPENCLAW_GATEWAY_TOKEN=from unit\"\n"
               "EnvironmentFile=-%h/gateway.env\n");
    node_write(&node,
               ".config/systemd/user/openclaw-gateway.service.d/over.conf",
               "[Service]\nEnvironment=OPENCLAW_STATE_DIR=%h/data/oc\n");
    node_write(&node, "gateway.env", "OTHER=1\n");
    node.conf.bin = "";
    detect();
    assert_home_fact("state.dir", "data/oc");
    assert_fact("gateway.port", "28703");
    assert_fact("gateway.token", "from unit");
    assert_fact("gateway.control", "user-unit");
    assert_fact("gateway.unit", "openclaw-gateway.service");
    assert_home_fact("openclaw.package", "opt/oc");
    assert_fact("openclaw.version", "2026.9.6");
    assert_fact("openclaw.node", "/usr/bin/node");
    assert_fact("openclaw.schema.agent", "23");
    assert_string_equal(
        node_section(&node, ".config/systemd/user/openclaw-gateway.service"),
        "service");
    assert_string_equal(
        node_section(
            &node, ".config/systemd/user/openclaw-gateway.service.d/over.conf"),
        "service");
}

/* Two nodes of one user: a unit of the other state is not this one's. */
static void a_neighbours_unit_is_left_alone(void **state)
{
    char dir[128];

    (void)state;
    node_write(&node, ".config/systemd/user/openclaw-gateway.service",
               "[Service]\nExecStart=/usr/bin/openclaw gateway\n");
    node_write(&node, ".config/systemd/user/openclaw-gateway-work.service",
               "[Service]\nExecStart=/usr/bin/openclaw --profile work gateway"
               " --port 19001\n");
    node_write(&node, ".openclaw-work/openclaw.json", "{}");
    node_write(&node, ".openclaw-lab/openclaw.json", "{}");
    snprintf(dir, sizeof(dir), "%s/.openclaw-work", node.home);
    node.conf.state_dir = dir;
    detect();
    assert_fact("gateway.unit", "openclaw-gateway-work.service");
    assert_fact("gateway.port", "19001");
    snprintf(dir, sizeof(dir), "%s/.openclaw-lab", node.home);
    detect();
    assert_null(facts_get(&node.o.facts, "gateway.unit"));
    assert_fact("gateway.control", "manual");
}

static void newer_state_is_noted(void **state)
{
    char bin[128];

    (void)state;
    node_state_db(&node, 0);
    node_sql(&node, ".openclaw/state/openclaw.sqlite",
             "PRAGMA user_version = 99");
    node_write(&node, "oc/package.json",
               "{\"name\": \"openclaw\", \"version\": \"2026.9.6\","
               " \"openclaw\": {\"schemaVersions\": {\"state\": 18}}}");
    node_write(&node, "oc/openclaw.mjs", "");
    snprintf(bin, sizeof(bin), "%s/oc/openclaw.mjs", node.home);
    assert_int_equal(chmod(bin, 0755), 0);
    node.conf.bin = bin;
    detect();
    assert_fact("state.schema", "99");
    assert_non_null(strstr(buf_str(&node.notes), "schema 99"));
}

static char *listing(const char *dir)
{
    struct buf b = {0};
    struct dirent **list;
    int n = scandir(dir, &list, NULL, alphasort);

    for (int i = 0; i < n; i++) {
        char *path = path_join(dir, list[i]->d_name);
        struct stat st;

        lstat(path, &st);
        if (!S_ISDIR(st.st_mode))
            buf_printf(&b, "%s %lld %lld.%09ld\n", list[i]->d_name,
                       (long long)st.st_size, (long long)st.st_mtim.tv_sec,
                       st.st_mtim.tv_nsec);
        free(path);
        free(list[i]);
    }
    free(list);
    buf_str(&b);
    return (char *)b.data;
}

/* A log that nobody has checkpointed yet is counted, and nothing is written
 * beside it. */
static void looking_leaves_no_trace(void **state)
{
    char *dir = path_join(node.state, "state"), *before, *after, *wal;
    char *path = path_join(dir, "openclaw.sqlite");
    struct buf main_file = {0}, log = {0};
    sqlite3 *db;

    (void)state;
    node_state_db(&node, 1);
    node_sql(&node, ".openclaw/state/openclaw.sqlite",
             "PRAGMA journal_mode = WAL");
    wal = mem_printf("%s-wal", path);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    before = mem_printf("INSERT INTO cron_jobs VALUES ('%s/cron/jobs.json',"
                        " 'late', NULL, 'j', '{}', '{}', 1)",
                        node.state);
    assert_int_equal(sqlite3_exec(db, before, NULL, NULL, NULL), SQLITE_OK);
    free(before);
    /* as a killed gateway leaves it: main file and log, nobody there */
    assert_int_equal(file_read(path, 1 << 24, &main_file, NULL), 0);
    assert_int_equal(file_read(wal, 1 << 24, &log, NULL), 0);
    sqlite3_close(db);
    assert_int_equal(
        file_write(path, main_file.data, main_file.len, 0600, NULL), 0);
    assert_int_equal(file_write(wal, log.data, log.len, 0600, NULL), 0);
    buf_free(&main_file);
    buf_free(&log);

    before = listing(dir);
    detect();
    assert_fact("cron.jobs", "2");
    after = listing(dir);
    assert_string_equal(before, after);
    free(before);
    free(after);
    free(wal);
    free(path);
    free(dir);
}

static void choosing_sections(void **state)
{
    char cron[] = "cron", sessions[] = "sessions", wrong[] = "crom";
    char *some[] = {cron, sessions}, *bad[] = {wrong};

    (void)state;
    node_write(&node, ".openclaw/openclaw.json", "{}");
    detect();
    assert_int_equal(openclaw_choose(&node.o, some, 2, false, &node.e), 0);
    assert_false(section("cron")->skipped);
    assert_false(section("sessions")->skipped);
    assert_true(section("gateway")->skipped);
    assert_int_equal(openclaw_choose(&node.o, NULL, 0, true, &node.e), 0);
    assert_false(section("gateway")->skipped);
    assert_true(section("sessions")->skipped);
    assert_int_equal(openclaw_choose(&node.o, bad, 1, false, &node.e),
                     OCM_E_INVALID);
    assert_non_null(strstr(node.e.text, "crom"));
    assert_non_null(strstr(node.e.text, "gateway, agents"));
}

static void bad_extra_lines_are_refused(void **state)
{
    static const char *const bad[] = {"docs", "=/a", "docs=rel", "Do cs=/a",
                                      "docs=/"};
    char *item;
    struct conf_list extra = {&item, 1};

    (void)state;
    node_write(&node, ".openclaw/openclaw.json", "{}");
    node.conf.extra = &extra;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        item = (char *)bad[i];
        assert_int_equal(node_detect(&node), OCM_E_INVALID);
        assert_non_null(strstr(node.e.text, bad[i]));
    }
    item = node.state;
    item = mem_printf("state=%s", node.state);
    assert_int_equal(node_detect(&node), OCM_E_INVALID);
    free(item);
    item = (char *)"gone=/nonexistent/x";
    detect();
    assert_non_null(strstr(buf_str(&node.notes), "does not exist"));
}

/* The folder for locks is everybody's: a stranger must not choose which process
 * is taken for the gateway, and stopped. */
static void locks_of_strangers_do_not_count(void **state)
{
    char dir[] = "/tmp/openclaw-test-XXXXXX", path[80], text[400];
    struct proc p;
    FILE *f;

    (void)state;
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof(path), "%s/gateway.ab.lock", dir);
    snprintf(text, sizeof(text),
             "{\"pid\": %d, \"startTime\": %llu, \"stateDir\": \"%s\"}",
             (int)getppid(), (unsigned long long)proc_start_time(getppid()),
             node.state);
    f = fopen(path, "w");
    assert_true(f && fputs(text, f) >= 0 && fclose(f) == 0);
    assert_true(proc_find_gateway(node.state, "", &p));
    assert_int_equal(p.pid, getppid());
    if (geteuid() == 0) {
        assert_int_equal(chown(path, 65534, 65534), 0);
        assert_false(proc_find_gateway(node.state, "", &p));
    }
    /* nor does one that would be waited for */
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_false(proc_find_gateway(node.state, "", &p));
    assert_int_equal(tree_remove(dir, NULL), 0);
}

/* Folders that the config names and that are not there, or cannot be reached:
 * said, or left to the capture to name. */
static void missing_workspaces_are_said(void **state)
{
    char *loop = path_join(node.home, "loop");
    size_t roots = 0;

    (void)state;
    assert_int_equal(symlink("loop", loop), 0);
    node_write(&node, ".openclaw/openclaw.json",
               "{agents: {list: [{id: 'main', workspace: '~/disk/main'},"
               " {id: 'ops', workspace: '~/loop/ops'}]}}");
    detect();
    assert_non_null(
        strstr(buf_str(&node.notes), "disk/main of agent main does not exist"));
    assert_null(strstr(buf_str(&node.notes), "of agent ops"));
    for (size_t i = 0; i < node.o.section_count; i++) {
        if (strcmp(node.o.sections[i].name, "workspace") == 0)
            roots = node.o.sections[i].root_count;
    }
    assert_int_equal(roots, 1);
    free(loop);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

/* A workspace may be the whole home: guards and fences are none of it. */
static void ours_is_not_the_nodes(void **state)
{
    (void)state;
    node_write(&node, ".openclaw/openclaw.json",
               "{agents: {defaults: {workspace: '~'}}}");
    node_write(&node, "notes.md", "x");
    node_write(&node, ".config/ocm/gateway-0.guard", "x");
    node_write(&node, ".config/systemd/user/g.service.d/ocm-guard.conf", "x");
    node_write(&node, ".config/systemd/user/g.service.d/mine.conf", "x");
    detect();
    assert_string_equal(node_section(&node, "notes.md"), "workspace");
    assert_string_equal(
        node_section(&node, ".config/systemd/user/g.service.d/mine.conf"),
        "workspace");
    assert_string_equal(
        node_section(&node, ".config/systemd/user/g.service.d/ocm-guard.conf"),
        "");
    assert_string_equal(node_section(&node, ".config/ocm/gateway-0.guard"), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(nothing_is_no_error),
        TEST(an_old_node),
        TEST(a_new_node),
        TEST(no_file_is_in_two_sections),
        TEST(a_broken_config_is_a_note),
        TEST(between_the_eras),
        TEST(jobs_of_another_path_do_not_count),
        TEST(the_first_layout),
        TEST(the_unit_tells_where),
        TEST(a_neighbours_unit_is_left_alone),
        TEST(newer_state_is_noted),
        TEST(looking_leaves_no_trace),
        TEST(choosing_sections),
        TEST(bad_extra_lines_are_refused),
        TEST(missing_workspaces_are_said),
        TEST(locks_of_strangers_do_not_count),
        TEST(ours_is_not_the_nodes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
