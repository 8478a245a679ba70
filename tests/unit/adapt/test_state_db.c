/* SPDX-License-Identifier: MIT */
/* agent/adapt: rows of the state database, merged and whole, and databases
 * that mean harm. */
#include "tests/unit/adapt/fixture.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/adapt/database_helper.h"
#include "agent/adapt/state_db.h"
#include "common/base/files.h"
#include "common/base/mem.h"
#include "common/base/text.h"

#define AT "config/state/state/openclaw.sqlite"
#define KEY "/home/jo/.openclaw/cron/jobs.json"

/* The tables that matter, as schema 18 has them. */
static const char schema[] =
    "PRAGMA user_version=18;"
    "CREATE TABLE cron_jobs(store_key TEXT NOT NULL, job_id TEXT NOT NULL,"
    " declaration_key TEXT, name TEXT NOT NULL, enabled INTEGER NOT NULL,"
    " job_json TEXT NOT NULL, updated_at INTEGER NOT NULL,"
    " PRIMARY KEY(store_key, job_id)) STRICT;"
    "CREATE TABLE cron_job_scratch(store_key TEXT NOT NULL, job_id TEXT NOT "
    "NULL, content TEXT, revision INTEGER NOT NULL,"
    " PRIMARY KEY(store_key, job_id)) STRICT;"
    "CREATE TABLE exec_approvals_config(config_key TEXT NOT NULL PRIMARY KEY,"
    " raw_json TEXT NOT NULL, socket_path TEXT, has_socket_token INTEGER NOT "
    "NULL) STRICT;"
    "CREATE TABLE config_machine_state(state_key TEXT NOT NULL PRIMARY KEY,"
    " value_json TEXT NOT NULL, updated_at_ms INTEGER NOT NULL) STRICT;"
    "CREATE TABLE workspace_setup_state(workspace_key TEXT NOT NULL PRIMARY "
    "KEY, workspace_path TEXT, version INTEGER) STRICT;"
    "CREATE TABLE workspace_path_aliases(alias_key TEXT NOT NULL PRIMARY KEY,"
    " alias_path TEXT NOT NULL, workspace_key TEXT NOT NULL,"
    " workspace_path TEXT NOT NULL) STRICT;"
    "CREATE TABLE workspace_generated_bootstrap_hashes(workspace_key TEXT NOT "
    "NULL, filename TEXT NOT NULL, sha256 TEXT NOT NULL,"
    " PRIMARY KEY(workspace_key, filename), FOREIGN KEY(workspace_key)"
    " REFERENCES workspace_setup_state(workspace_key) ON DELETE CASCADE)"
    " STRICT;"
    "CREATE TABLE device_identities(identity_key TEXT NOT NULL PRIMARY KEY,"
    " private_key_pem TEXT NOT NULL) STRICT;"
    "CREATE TABLE device_pairing_paired(device_id TEXT PRIMARY KEY) STRICT;"
    "CREATE TABLE state_leases(scope TEXT NOT NULL) STRICT;"
    "CREATE TABLE worker_environments(id TEXT PRIMARY KEY) STRICT;"
    "CREATE TABLE worker_session_placements(id TEXT, env TEXT REFERENCES "
    "worker_environments(id)) STRICT;"
    "CREATE TABLE secret_store_entries(name TEXT PRIMARY KEY, value TEXT NOT "
    "NULL, kind TEXT NOT NULL) STRICT;"
    "CREATE TABLE projects(id TEXT PRIMARY KEY, repo_root TEXT NOT NULL);"
    "CREATE TABLE agent_databases(agent_id TEXT NOT NULL, path TEXT NOT NULL,"
    " PRIMARY KEY(agent_id, path)) STRICT;"
    "CREATE TABLE task_runs(task_id TEXT PRIMARY KEY, task TEXT NOT NULL,"
    " CHECK(octet_length(task) < 1000 AND json_valid('1')));";

/* octet_length() of newer releases, for this one's SQLite. */
static void octets(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
    (void)argc;
    sqlite3_result_int(ctx, sqlite3_value_bytes(argv[0]));
}

static sqlite3 *db_open(const char *path)
{
    sqlite3 *db;

    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    sqlite3_create_function(db, "octet_length", 1,
                            SQLITE_UTF8 | SQLITE_DETERMINISTIC, NULL, octets,
                            NULL, NULL);
    return db;
}

static sqlite3 *db_new(const char *path)
{
    char *dir = mem_strdup(path);

    *strrchr(dir, '/') = '\0';
    assert_int_equal(dir_make(dir, 0700, NULL), 0);
    free(dir);
    unlink(path);
    return db_open(path);
}

static void db_exec(sqlite3 *db, const char *sql)
{
    char *why = NULL;

    if (sqlite3_exec(db, sql, NULL, NULL, &why) != SQLITE_OK)
        print_error("%.80s: %s\n", sql, why);
    assert_null(why);
}

/* A node's database: paths of `state`, names with `who` in them. */
static void fill(const char *path, const char *state, const char *who)
{
    char workspace[512], key[65], *sql;
    sqlite3 *db = db_new(path);

    db_exec(db, "PRAGMA synchronous=OFF; PRAGMA journal_mode=MEMORY");
    db_exec(db, schema);
    snprintf(workspace, sizeof(workspace), "%s/workspace", state);
    workspace_key(workspace, key);
    sql = sqlite3_mprintf(
        "INSERT INTO cron_jobs VALUES('%q/cron/jobs.json','j-%q',NULL,'%q job'"
        ",1,'{\"payload\": {\"message\": \"Read %q/a and "
        "http://127.0.0.1:18789/x\"},\"n\":18789}',1);"
        "INSERT INTO cron_jobs VALUES('%q/cron/jobs.json','hb-%q','heartbeat',"
        "'hb',1,'{}',1);"
        "INSERT INTO cron_job_scratch VALUES('%q/cron/jobs.json','j-%q','c',1);"
        "INSERT INTO exec_approvals_config VALUES('current','{\"socket\":{"
        "\"path\":\"%q/e.sock\",\"token\":\"socket-%q\"},\"allow\":[\"%q/w\"]"
        "}','%q/e.sock',1);"
        "INSERT INTO config_machine_state VALUES('authProfiles.store',"
        "'{\"key\":\"sk-%q\"}',1),('plugins.installedIndex','{}',1),"
        "('webPush.vapidKeys','{}',1);"
        "INSERT INTO workspace_setup_state VALUES('%q','%q',1);"
        "INSERT INTO workspace_path_aliases VALUES('%q','%q','%q','%q');"
        "INSERT INTO workspace_generated_bootstrap_hashes VALUES('%q',"
        "'AGENTS.md','%q');"
        "INSERT INTO device_identities VALUES('primary','pem-%q');"
        "INSERT INTO device_pairing_paired VALUES('phone-%q');"
        "INSERT INTO state_leases VALUES('x');"
        "INSERT INTO worker_environments VALUES('e');"
        "INSERT INTO worker_session_placements VALUES('p','e');"
        "INSERT INTO secret_store_entries VALUES('DIR','%q/d','env'),"
        "('TOKEN','%q/secret','secret');"
        "INSERT INTO projects VALUES('p-%q','%q/repo');"
        "INSERT INTO agent_databases VALUES('a-%q','agents/a/agent/x.sqlite');",
        state, who, who, state, state, who, state, who, state, who, state,
        state, who, key, workspace, key, workspace, key, workspace, key, who,
        who, who, state, state, who, state, who);
    db_exec(db, sql);
    sqlite3_free(sql);
    sqlite3_close(db);
}

static void stage(struct fixture *f)
{
    char *path = fixture_staged(f, AT);

    fill(path, SRC_STATE, "source");
    free(path);
}

static char *text_of(const char *path, const char *sql)
{
    sqlite3_stmt *st;
    sqlite3 *db = db_open(path);
    char *text = NULL;

    if (sqlite3_prepare_v2(db, sql, -1, &st, NULL) != SQLITE_OK)
        print_error("%s: %s\n", sql, sqlite3_errmsg(db));
    if (sqlite3_step(st) == SQLITE_ROW)
        text = mem_strdup((const char *)sqlite3_column_text(st, 0));
    sqlite3_finalize(st);
    sqlite3_close(db);
    return text;
}

static void expect(struct fixture *f, const char *sql, const char *want)
{
    char *path = fixture_staged(f, AT), *have = text_of(path, sql);
    char *expanded = fixture_expand(f, want);

    if (!have)
        print_error("no row: %s\n", sql);
    assert_non_null(have);
    assert_string_equal(have, expanded);
    free(path);
    free(have);
    free(expanded);
}

static void run(struct fixture *f, enum section_action action)
{
    struct error e = {0};
    int rc = fixture_adapt(f, AT, KIND_STATE_DB, action, &e);

    if (rc != 0)
        print_error("%s\n", e.text);
    assert_int_equal(rc, 0);
}

static void no_file_beside(struct fixture *f)
{
    static const char *const suffixes[] = {"-wal", "-shm", "-journal",
                                           ".ocm-own"};
    char *path = fixture_staged(f, AT);

    for (size_t i = 0; i < ARRAY_LEN(suffixes); i++) {
        char *beside = mem_printf("%s%s", path, suffixes[i]);

        assert_false(file_exists(beside));
        free(beside);
    }
    free(path);
}

/* --- whole --- */

static void paths_expected(struct fixture *f)
{
    char ws[512], key[65], *sql;

    snprintf(ws, sizeof(ws), "%s/workspace", f->state);
    workspace_key(ws, key);
    expect(f, "SELECT store_key FROM cron_jobs WHERE job_id='j-source'",
           "@S/cron/jobs.json");
    expect(f, "SELECT job_json FROM cron_jobs WHERE job_id='j-source'",
           "{\"payload\": {\"message\": \"Read @S/a and "
           "http://127.0.0.1:18909/x\"},\"n\":18789}");
    expect(f, "SELECT store_key FROM cron_job_scratch WHERE job_id='j-source'",
           "@S/cron/jobs.json");
    sql = mem_printf("SELECT workspace_path FROM workspace_setup_state WHERE "
                     "workspace_key='%s'",
                     key);
    expect(f, sql, "@S/workspace");
    free(sql);
    sql = mem_printf("SELECT alias_path||workspace_path FROM "
                     "workspace_path_aliases WHERE alias_key='%s' AND "
                     "workspace_key='%s'",
                     key, key);
    expect(f, sql, "@S/workspace@S/workspace");
    free(sql);
    sql = mem_printf("SELECT sha256 FROM workspace_generated_bootstrap_hashes "
                     "WHERE workspace_key='%s'",
                     key);
    expect(f, sql, "source");
    free(sql);
    expect(f, "SELECT value FROM secret_store_entries WHERE name='DIR'",
           "@S/d");
    expect(f, "SELECT value FROM secret_store_entries WHERE name='TOKEN'",
           SRC_STATE "/secret");
    expect(f, "SELECT repo_root FROM projects WHERE id='p-source'", "@S/repo");
}

static void a_clone_to_an_empty_node(void **state)
{
    struct fixture f;

    (void)state;
    fixture_init(&f, INTENT_CLONE);
    f.taken[0] = SRC_PORT;
    stage(&f);
    fixture_begin(&f);
    run(&f, ACTION_MERGE); /* nothing to merge into */
    fixture_finish(&f);
    paths_expected(&f);
    expect(&f, "SELECT count(*) FROM cron_jobs", "2");
    expect(&f, "SELECT count(*) FROM device_identities", "0");
    expect(&f, "SELECT count(*) FROM device_pairing_paired", "0");
    expect(&f, "SELECT count(*) FROM state_leases", "0");
    expect(&f, "SELECT count(*) FROM worker_environments", "0");
    expect(&f, "SELECT group_concat(state_key) FROM config_machine_state",
           "authProfiles.store");
    expect(&f, "SELECT socket_path FROM exec_approvals_config", "@S/e.sock");
    expect(&f,
           "SELECT instr(raw_json,'socket-source') FROM exec_approvals_config",
           "0");
    expect(&f, "PRAGMA journal_mode", "delete");
    expect(&f, "PRAGMA integrity_check", "ok");
    assert_string_equal(fixture_edit(&f, "device_identities")->rule,
                        "identity");
    assert_string_equal(fixture_edit(&f, "cron_jobs[j-source].store_key")->rule,
                        "path");
    assert_non_null(
        fixture_edit(&f, "cron_jobs[j-source].job_json.payload.message"));
    assert_true(
        fixture_edit(&f, "exec_approvals_config[current].raw_json.socket.token")
            ->secret);
    no_file_beside(&f);
    fixture_fini(&f);
}

static void a_move_to_an_empty_node_stays_itself(void **state)
{
    struct fixture f;

    (void)state;
    fixture_init(&f, INTENT_MOVE);
    f.taken[0] = SRC_PORT;
    stage(&f);
    fixture_begin(&f);
    run(&f, ACTION_ADAPT);
    paths_expected(&f);
    expect(&f, "SELECT private_key_pem FROM device_identities", "pem-source");
    expect(&f, "SELECT device_id FROM device_pairing_paired", "phone-source");
    expect(&f, "SELECT count(*) FROM state_leases", "0");
    fixture_fini(&f);
}

static void a_restore_touches_nothing_or_paths_only(void **state)
{
    struct fixture f;
    struct buf before = {0}, after = {0};
    char *path;

    (void)state;
    fixture_init(&f, INTENT_RESTORE);
    facts_fini(&f.target);
    stage(&f);
    path = fixture_staged(&f, AT);
    fixture_begin(&f);
    assert_int_equal(file_read(path, 1u << 26, &before, NULL), 0);
    run(&f, ACTION_ADAPT);
    assert_int_equal(file_read(path, 1u << 26, &after, NULL), 0);
    assert_int_equal(before.len, after.len);
    assert_memory_equal(before.data, after.data, after.len);
    assert_int_equal(f.plan.edit_count, 0);
    no_file_beside(&f);
    buf_free(&before);
    buf_free(&after);
    free(path);
    fixture_fini(&f);

    fixture_init(&f, INTENT_RESTORE);
    stage(&f);
    fixture_begin(&f);
    run(&f, ACTION_ADAPT);
    expect(&f, "SELECT store_key FROM cron_jobs WHERE job_id='hb-source'",
           "@S/cron/jobs.json");
    expect(&f, "SELECT private_key_pem FROM device_identities", "pem-source");
    expect(&f, "SELECT count(*) FROM state_leases", "1");
    fixture_fini(&f);
}

static void a_wal_header_is_left_behind(void **state)
{
    struct fixture f;
    char *path;
    sqlite3 *db;

    (void)state;
    fixture_init(&f, INTENT_CLONE);
    stage(&f);
    path = fixture_staged(&f, AT);
    db = db_open(path);
    db_exec(db, "PRAGMA journal_mode=WAL; CREATE TABLE x(a)");
    sqlite3_close(db);
    fixture_begin(&f);
    run(&f, ACTION_ADAPT);
    no_file_beside(&f);
    expect(&f, "PRAGMA journal_mode", "delete");
    free(path);
    fixture_fini(&f);
}

/* --- merge --- */

static void begin_merge(struct fixture *f, enum intention intention)
{
    char *live;

    fixture_init(f, intention);
    fixture_live(f, "openclaw.json", "{gateway:{port:18909}}");
    facts_set(&f->target, "gateway.port", "18909");
    live = path_join(f->state, "state/openclaw.sqlite");
    fill(live, f->state, "target");
    free(live);
    stage(f);
}

static void a_living_target_gets_the_rows(void **state)
{
    for (int i = INTENT_CLONE; i <= INTENT_MOVE; i++) {
        struct fixture f;
        char *live, *text;

        (void)state;
        begin_merge(&f, (enum intention)i);
        fixture_begin(&f);
        run(&f, ACTION_MERGE);
        paths_expected(&f);
        /* users' jobs come over, the target's own machinery stays */
        expect(&f,
               "SELECT group_concat(job_id) FROM (SELECT job_id FROM "
               "cron_jobs ORDER BY job_id)",
               "hb-target,j-source");
        expect(&f, "SELECT private_key_pem FROM device_identities",
               "pem-target");
        expect(&f, "SELECT device_id FROM device_pairing_paired",
               "phone-target");
        expect(&f,
               "SELECT value_json FROM config_machine_state WHERE "
               "state_key='authProfiles.store'",
               "{\"key\":\"sk-source\"}");
        expect(&f, "SELECT count(*) FROM config_machine_state", "3");
        expect(&f, "SELECT socket_path FROM exec_approvals_config",
               "@S/e.sock");
        expect(&f,
               "SELECT instr(raw_json,'socket-target')>0 FROM "
               "exec_approvals_config",
               "1");
        expect(&f,
               "SELECT instr(raw_json,'socket-source') FROM "
               "exec_approvals_config",
               "0");
        expect(&f,
               "SELECT group_concat(agent_id) FROM (SELECT agent_id FROM "
               "agent_databases ORDER BY 1)",
               "a-source,a-target");
        expect(&f, "PRAGMA integrity_check", "ok");
        expect(&f, "SELECT count(*) FROM pragma_foreign_key_check", "0");
        assert_string_equal(fixture_edit(&f, "cron_jobs")->rule, "merge");
        assert_string_equal(fixture_edit(&f, "cron_jobs")->old_value,
                            "1 row of the target");
        no_file_beside(&f);
        /* the live database was only read */
        live = path_join(f.state, "state/openclaw.sqlite");
        text = text_of(live, "SELECT group_concat(job_id) FROM cron_jobs");
        assert_non_null(strstr(text, "j-target"));
        free(text);
        free(live);
        fixture_fini(&f);
    }
}

static void a_live_wal_is_seen(void **state)
{
    struct fixture f;
    sqlite3 *db;
    char *live;

    (void)state;
    begin_merge(&f, INTENT_MOVE);
    live = path_join(f.state, "state/openclaw.sqlite");
    db = db_open(live);
    db_exec(db, "PRAGMA journal_mode=WAL; PRAGMA wal_autocheckpoint=0;"
                "UPDATE device_identities SET private_key_pem='newest'");
    fixture_begin(&f);
    run(&f, ACTION_MERGE);
    expect(&f, "SELECT private_key_pem FROM device_identities", "newest");
    no_file_beside(&f);
    sqlite3_close(db);
    free(live);
    fixture_fini(&f);
}

static void other_schemas_merge_by_common_columns(void **state)
{
    struct fixture f;
    sqlite3 *db;
    char *live;

    (void)state;
    begin_merge(&f, INTENT_MOVE);
    live = path_join(f.state, "state/openclaw.sqlite");
    db = db_open(live);
    db_exec(db, "ALTER TABLE projects ADD COLUMN extra TEXT DEFAULT 'd';"
                "DROP TABLE secret_store_entries;"
                "DROP TABLE cron_job_scratch;"
                "CREATE TABLE cron_job_scratch(store_key TEXT, job_id TEXT,"
                " must TEXT NOT NULL)");
    sqlite3_close(db);
    fixture_begin(&f);
    run(&f, ACTION_MERGE);
    expect(&f, "SELECT repo_root||extra FROM projects WHERE id='p-source'",
           "@S/repod");
    expect(&f, "SELECT count(*) FROM cron_job_scratch", "0");
    assert_int_equal(fixture_warnings(&f, "database-rows"), 2);
    free(live);
    fixture_fini(&f);
}

static void a_damaged_live_database_is_an_error(void **state)
{
    struct fixture f;
    struct error e = {0};
    struct buf before = {0}, after = {0};
    char *live, *staged;

    (void)state;
    begin_merge(&f, INTENT_MOVE);
    live = path_join(f.state, "state/openclaw.sqlite");
    staged = fixture_staged(&f, AT);
    fixture_write(live,
                  "not a database, but long enough to be one, or so "
                  "it seems to somebody who looks at sizes only ......",
                  101);
    assert_int_equal(file_read(staged, 1u << 26, &before, NULL), 0);
    fixture_begin(&f);
    assert_int_not_equal(fixture_adapt(&f, AT, KIND_STATE_DB, ACTION_MERGE, &e),
                         0);
    assert_true(e.text[0] != '\0');
    assert_int_equal(file_read(staged, 1u << 26, &after, NULL), 0);
    assert_int_equal(before.len, after.len);
    no_file_beside(&f);
    buf_free(&before);
    buf_free(&after);
    free(live);
    free(staged);
    fixture_fini(&f);
}

/* --- choice and order --- */

static void rows_can_be_switched_off(void **state)
{
    struct fixture f;
    char ids[2][20];
    const char *skip[] = {ids[0], ids[1]};

    (void)state;
    fixture_init(&f, INTENT_CLONE);
    stage(&f);
    fixture_begin(&f);
    run(&f, ACTION_ADAPT);
    strcpy(ids[0], fixture_edit(&f, "device_identities")->id);
    strcpy(ids[1], fixture_edit(&f, "cron_jobs[j-source].store_key")->id);
    stage(&f);
    f.o.skip_edits = skip;
    f.o.skip_count = 2;
    fixture_again(&f);
    run(&f, ACTION_ADAPT);
    expect(&f, "SELECT private_key_pem FROM device_identities", "pem-source");
    expect(&f, "SELECT store_key FROM cron_jobs WHERE job_id='j-source'", KEY);
    assert_int_equal(fixture_warnings(&f, "edit-skipped"), 2);
    fixture_fini(&f);
}

static void the_same_again_is_the_same_plan(void **state)
{
    struct id digests[2];
    struct fixture f;

    (void)state;
    begin_merge(&f, INTENT_CLONE);
    for (int i = 0; i < 2; i++) {
        stage(&f);
        fixture_begin(&f);
        run(&f, ACTION_MERGE);
        fixture_finish(&f);
        digests[i] = plan_digest(&f.plan);
        if (i == 0) {
            adapt_free(f.a);
            plan_fini(&f.plan);
        }
    }
    assert_true(id_equal(&digests[0], &digests[1]));
    fixture_fini(&f);
}

/* --- harm --- */

static int adapt_staged(struct fixture *f, struct error *e)
{
    fixture_begin(f);
    return fixture_adapt(f, AT, KIND_STATE_DB, ACTION_ADAPT, e);
}

static void triggers_and_views_do_not_run(void **state)
{
    struct fixture f;
    struct error e = {0};
    char *path;
    sqlite3 *db;

    (void)state;
    fixture_init(&f, INTENT_CLONE);
    stage(&f);
    path = fixture_staged(&f, AT);
    db = db_open(path);
    db_exec(db,
            "CREATE TABLE hit(a); CREATE TRIGGER t AFTER UPDATE ON cron_jobs "
            "BEGIN INSERT INTO hit VALUES(load_extension('/tmp/x')); END;"
            "CREATE TRIGGER u AFTER DELETE ON state_leases BEGIN "
            "INSERT INTO hit VALUES(1); END;"
            "DROP TABLE projects;"
            "CREATE VIEW projects AS SELECT writefile('/tmp/x','y') AS id,"
            " randomblob(1000000000) AS repo_root");
    sqlite3_close(db);
    assert_int_equal(adapt_staged(&f, &e), 0);
    assert_non_null(fixture_warning(&f, "database-rows"));
    expect(&f, "SELECT count(*) FROM hit", "0");
    free(path);
    fixture_fini(&f);
}

static void a_rollback_journal_is_refused(void **state)
{
    struct fixture f;
    struct error e = {0};
    char *path, *journal;

    (void)state;
    fixture_init(&f, INTENT_CLONE);
    stage(&f);
    path = fixture_staged(&f, AT);
    journal = mem_printf("%s-journal", path);
    fixture_write(journal, "x", 1);
    assert_int_equal(adapt_staged(&f, &e), OCM_E_DAMAGED);
    assert_non_null(strstr(e.text, "journal"));
    free(path);
    free(journal);
    fixture_fini(&f);
}

static void damaged_bytes_are_a_clean_error(void **state)
{
    struct buf good = {0};
    struct fixture f;
    char *path;
    uint32_t seed = 1;
    int refused = 0;

    (void)state;
    fixture_init(&f, INTENT_CLONE);
    stage(&f);
    path = fixture_staged(&f, AT);
    assert_int_equal(file_read(path, 1u << 26, &good, NULL), 0);
    for (int i = 0; i < 100; i++) {
        struct error e = {0};
        struct buf bad = {0};

        buf_add(&bad, good.data, good.len);
        for (int n = 0; n < 20; n++) {
            seed = seed * 1664525u + 1013904223u;
            bad.data[(seed >> 4) % bad.len] ^= (uint8_t)(seed >> 24);
        }
        if (i % 10 == 9)
            bad.len = (seed >> 8) % bad.len;
        fixture_write(path, bad.data, bad.len);
        fixture_begin(&f);
        if (fixture_adapt(&f, AT, KIND_STATE_DB, ACTION_ADAPT, &e) != 0) {
            assert_true(e.text[0] != '\0');
            refused++;
        }
        adapt_free(f.a);
        f.a = NULL;
        plan_fini(&f.plan);
        buf_free(&bad);
    }
    assert_true(refused > 20);
    buf_free(&good);
    free(path);
    fixture_fini(&f);
}

static void what_is_no_database_is_an_error(void **state)
{
    struct fixture f;
    struct error e = {0};
    char *path;

    (void)state;
    fixture_init(&f, INTENT_CLONE);
    path = fixture_staged(&f, AT);
    fixture_write(path, "hello", 5);
    assert_int_equal(adapt_staged(&f, &e), OCM_E_DAMAGED);
    assert_non_null(strstr(e.text, AT));
    free(path);
    fixture_fini(&f);
}

/* --- the other databases --- */

static void agent_databases_are_checked_and_left(void **state)
{
    static const char at[] =
        "data/sessions/agents/main/agent/openclaw-agent.sqlite";
    struct fixture f;
    struct error e = {0};
    struct buf before = {0}, after = {0};
    char *path;
    sqlite3 *db;

    (void)state;
    fixture_init(&f, INTENT_MOVE);
    path = fixture_staged(&f, at);
    db = db_new(path);
    db_exec(db, "CREATE TABLE t(a TEXT, CHECK(json_valid(a)));"
                "INSERT INTO t VALUES('\"/home/jo/.openclaw/x\"')");
    sqlite3_close(db);
    assert_int_equal(file_read(path, 1u << 26, &before, NULL), 0);
    fixture_begin(&f);
    assert_int_equal(fixture_adapt(&f, at, KIND_AGENT_DB, ACTION_ADAPT, &e), 0);
    fixture_finish(&f);
    assert_int_equal(file_read(path, 1u << 26, &after, NULL), 0);
    assert_memory_equal(before.data, after.data, after.len);
    assert_int_equal(fixture_warnings(&f, "history"), 1);
    assert_int_equal(f.plan.edit_count, 0);
    /* damage ends it; in a database that is made anew it is only told */
    before.data[before.len - 10] ^= 0xff;
    memset(before.data + 100, 0xee, 30);
    fixture_write(path, before.data, before.len);
    assert_int_equal(fixture_adapt(&f, at, KIND_AGENT_DB, ACTION_ADAPT, &e),
                     OCM_E_DAMAGED);
    assert_int_equal(fixture_adapt(&f, at, KIND_OTHER_DB, ACTION_ADAPT, &e), 0);
    assert_non_null(fixture_warning(&f, "database-damaged"));
    buf_free(&before);
    buf_free(&after);
    free(path);
    fixture_fini(&f);
}

/* All of it twice: here, and by a helper, which is this program as well. */
int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_clone_to_an_empty_node),
        cmocka_unit_test(a_move_to_an_empty_node_stays_itself),
        cmocka_unit_test(a_restore_touches_nothing_or_paths_only),
        cmocka_unit_test(a_wal_header_is_left_behind),
        cmocka_unit_test(a_living_target_gets_the_rows),
        cmocka_unit_test(a_live_wal_is_seen),
        cmocka_unit_test(other_schemas_merge_by_common_columns),
        cmocka_unit_test(a_damaged_live_database_is_an_error),
        cmocka_unit_test(rows_can_be_switched_off),
        cmocka_unit_test(the_same_again_is_the_same_plan),
        cmocka_unit_test(triggers_and_views_do_not_run),
        cmocka_unit_test(a_rollback_journal_is_refused),
        cmocka_unit_test(damaged_bytes_are_a_clean_error),
        cmocka_unit_test(what_is_no_database_is_an_error),
        cmocka_unit_test(agent_databases_are_checked_and_left),
    };
    int failed;

    if (argc == 2 && strcmp(argv[1], DATABASE_HELPER_WORD) == 0)
        _exit(database_helper_main());
    failed = cmocka_run_group_tests_name("here", tests, NULL, NULL);
    fixture_helper = "/proc/self/exe";
    failed += cmocka_run_group_tests_name("by a helper", tests, NULL, NULL);
    return failed;
}
