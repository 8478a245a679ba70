/* SPDX-License-Identifier: MIT */
/* agent/apply: clones into empty and living nodes, rows merged, and folders
 * that belong to somebody else. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/apply/internal.h"
#include "common/base/files.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "case.h"
#include "world.h"

/* ---- clones ---- */

static void a_clone_keeps_what_is_the_targets(void **state)
{
    struct apply_options o = world_options(&w);
    struct apply_result r;
    struct error e = {0};
    char home[320], state_dir[340], ws[360];
    struct conf_list none = {0};
    struct openclaw_conf conf = w.conf;

    (void)state;
    snprintf(home, sizeof(home), "%s/other", w.dir);
    snprintf(state_dir, sizeof(state_dir), "%s/.openclaw", home);
    put_file(state_dir, "openclaw.json.bak", "the target's own", 0600);
    put_file(state_dir, "openclaw.json", "{gateway:{port:29900}}", 0600);
    snprintf(ws, sizeof(ws), "%s/workspace", state_dir); /* the default */
    put_file(state_dir, "logs/own.log", "own log", 0600);
    put_file(state_dir, "cron/own.json", "{}", 0600);
    put_file(w.state, "logs/source.log", "source log", 0600);
    put_file(w.state, "openclaw.json.bak", "the source's", 0600);
    world_backup(&w);
    conf.home = home;
    conf.state_dir = state_dir;
    conf.extra = &none;
    o.root = w.root;
    o.conf = &conf;
    o.intention = INTENT_CLONE;
    snprintf(fake.state_dir, sizeof(fake.state_dir), "%s", state_dir);
    assert_int_equal(run(&o, &r, &e), 0);
    assert_string_equal(r.state, "applied");
    check_is(state_dir, "openclaw.json.bak", "the target's own");
    check_is(state_dir, "logs/own.log", "own log"); /* dropped section */
    check_is(state_dir, "logs/source.log", NULL);
    check_is(state_dir, "cron/own.json", NULL); /* replaced section */
    check_is(ws, "AGENTS.md", "# agents\n");
    assert_null(strstr(get_file(state_dir, "openclaw.json"), w.home));
    assert_string_equal(section_in(&r, "logs")->action, "drop");
    assert_string_equal(section_in(&r, "workspace")->target, ws);
    check_is(w.state, "logs/source.log", "source log");
    apply_result_fini(&r);
}

/* An empty node beside the first one; what is filled in lives as long as the
 * caller's. */
static void clone_to(const char *name, struct apply_options *o,
                     struct openclaw_conf *conf, char home[320],
                     char state_dir[340])
{
    snprintf(home, 320, "%s/%s", w.dir, name);
    snprintf(state_dir, 340, "%s/.openclaw", home);
    assert_int_equal(mkdir(home, 0700), 0);
    *conf = w.conf;
    conf->home = home;
    conf->state_dir = state_dir;
    o->root = w.root;
    o->conf = conf;
    o->intention = INTENT_CLONE;
    o->no_start = true;
    snprintf(fake.state_dir, sizeof(fake.state_dir), "%s", state_dir);
}

/* The first name of a file stays at home; the others come all the same. */
static void further_names_outlive_the_first(void **state)
{
    struct apply_options o = world_options(&w);
    struct apply_result r;
    struct error e = {0};
    struct openclaw_conf conf;
    char home[320], state_dir[340], from[400], to[400];
    struct stat one, two;

    (void)state;
    put_file(w.state, "backups/x.txt", "three names", 0600);
    put_file(w.state, "keep/z.txt", "z", 0600);
    snprintf(from, sizeof(from), "%s/backups/x.txt", w.state);
    snprintf(to, sizeof(to), "%s/keep/x.txt", w.state);
    assert_int_equal(link(from, to), 0);
    snprintf(to, sizeof(to), "%s/keep/y.txt", w.state);
    assert_int_equal(link(from, to), 0);
    world_backup(&w);
    clone_to("linked", &o, &conf, home, state_dir);
    assert_int_equal(run(&o, &r, &e), 0);
    check_is(state_dir, "backups/x.txt", NULL);
    check_is(state_dir, "keep/x.txt", "three names");
    check_is(state_dir, "keep/y.txt", "three names");
    snprintf(from, sizeof(from), "%s/keep/x.txt", state_dir);
    snprintf(to, sizeof(to), "%s/keep/y.txt", state_dir);
    assert_int_equal(stat(from, &one), 0);
    assert_int_equal(stat(to, &two), 0);
    assert_true(one.st_ino == two.st_ino);
    apply_result_fini(&r);
}

/* A state database of any size is adapted; what is too large for that and
 * would have needed it stops the plan. */
static void large_files_are_not_cloned_as_they_are(void **state)
{
    struct snap_section section = {.name = "state", .area = "config"};
    struct snap_root root = {.at = (char *)"config/state", .entry = 2};
    struct snap_entry entries[] = {
        {.name = "", .root = SNAP_NONE, .type = TREE_DIR},
        {.name = "config", .name_len = 6, .root = SNAP_NONE, .type = TREE_DIR},
        {.name = "state", .name_len = 5, .parent = 1, .type = TREE_DIR},
        {.name = "state", .name_len = 5, .parent = 2, .type = TREE_DIR},
        {.name = "openclaw.sqlite", .name_len = 15, .parent = 3},
        {.name = "exec-approvals.json", .name_len = 19, .parent = 2},
    };
    struct apply_options o = {.intention = INTENT_CLONE};
    struct apply_result r = {0};
    struct apply a = {.o = &o, .out = &r};

    (void)state;
    a.snap = (struct snap){.era = ERA_SQLITE,
                           .sections = &section,
                           .section_count = 1,
                           .roots = &root,
                           .root_count = 1,
                           .entries = entries,
                           .count = ARRAY_LEN(entries)};
    entries[4].type = entries[5].type = TREE_FILE;
    entries[4].size = entries[5].size = UINT64_C(1) << 32;
    fetch_mark(&a);
    assert_true(entries[4].flags & SNAP_LOOK);
    assert_false(entries[5].flags & SNAP_LOOK);
    assert_int_equal(r.plan.warning_count, 1);
    assert_string_equal(r.plan.warnings[0].file,
                        "config/state/exec-approvals.json");
    assert_true(r.plan.warnings[0].blocking);
    apply_result_fini(&r);
}

/* A node of the SQLite era: its state database, as little as is needed. */
static void make_state_database(const char *state_dir, const char *device,
                                const char *job)
{
    char *path = path_join(state_dir, "state/openclaw.sqlite");
    char *sql = mem_printf(
        "PRAGMA user_version=18;"
        "CREATE TABLE cron_jobs(store_key TEXT, job_id TEXT, declaration_key "
        "TEXT, job_json TEXT, PRIMARY KEY(store_key, job_id));"
        "CREATE TABLE device_identities(device_id TEXT PRIMARY KEY);"
        "INSERT INTO cron_jobs VALUES('%s/cron/jobs.json','%s',NULL,'{}');"
        "INSERT INTO device_identities VALUES('%s');",
        state_dir, job, device);
    sqlite3 *db = NULL;

    put_file(state_dir, "state/openclaw.sqlite", "", 0600);
    unlink(path);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
    free(path);
    free(sql);
}

static int64_t count_rows(const char *state_dir, const char *what)
{
    char *path = path_join(state_dir, "state/openclaw.sqlite");
    char *sql = mem_printf("SELECT count(*) FROM %s", what);
    sqlite3_stmt *st = NULL;
    sqlite3 *db = NULL;
    int64_t n;

    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &st, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(st), SQLITE_ROW);
    n = sqlite3_column_int64(st, 0);
    sqlite3_finalize(st);
    sqlite3_close(db);
    free(path);
    free(sql);
    return n;
}

static char *merge_target;

/* The target's gateway writes to its database after the staging. */
static int safety_writes_a_row(void *arg, struct id *snapshot, struct error *e)
{
    char *path = path_join(merge_target, "state/openclaw.sqlite");
    sqlite3 *db = NULL;

    (void)arg;
    (void)snapshot;
    (void)e;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(
        sqlite3_exec(db, "INSERT INTO device_identities VALUES('late')", NULL,
                     NULL, NULL),
        SQLITE_OK);
    sqlite3_close(db);
    free(path);
    return 0;
}

static void a_merge_loses_no_late_row(void **state)
{
    struct apply_options o = world_options(&w);
    struct openclaw_conf conf = w.conf;
    struct apply_result r;
    struct error e = {0};
    char home[320], state_dir[340];

    (void)state;
    snprintf(home, sizeof(home), "%s/other", w.dir);
    snprintf(state_dir, sizeof(state_dir), "%s/.openclaw", home);
    put_file(state_dir, "openclaw.json", "{gateway:{port:29900}}", 0600);
    make_state_database(state_dir, "target", "job-of-target");
    make_state_database(w.state, "source", "job-of-source");
    world_backup(&w);
    conf.home = home;
    conf.state_dir = state_dir;
    o.root = w.root;
    o.conf = &conf;
    o.intention = INTENT_CLONE;
    o.no_start = true;
    o.safety = safety_writes_a_row;
    merge_target = state_dir;
    assert_int_equal(run(&o, &r, &e), 0);
    assert_string_equal(section_in(&r, "state")->action, "merge");
    assert_int_equal(
        count_rows(state_dir, "device_identities WHERE device_id='target'"), 1);
    assert_int_equal(
        count_rows(state_dir, "device_identities WHERE device_id='late'"), 1);
    assert_int_equal(
        count_rows(state_dir, "device_identities WHERE device_id='source'"), 0);
    assert_int_equal(
        count_rows(state_dir, "cron_jobs WHERE job_id='job-of-source'"), 1);
    apply_result_fini(&r);
}

static void change_rows(const char *state_dir, const char *sql)
{
    char *path = path_join(state_dir, "state/openclaw.sqlite");
    sqlite3 *db = NULL;

    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
    free(path);
}

static const struct plan_edit *edit_at(const struct apply_result *r,
                                       const char *place)
{
    for (size_t i = 0; i < r->plan.edit_count; i++)
        if (strcmp(r->plan.edits[i].place, place) == 0)
            return &r->plan.edits[i];
    return NULL;
}

static const char *const only_cron[] = {"cron"};

/* A node of the SQLite era, backed up with the jobs "kept" and "lost". */
static struct apply_options backed_up_jobs(void)
{
    struct apply_options o = world_options(&w);

    make_state_database(w.state, "as-it-was", "kept");
    change_rows(w.state, "INSERT INTO cron_jobs SELECT store_key,'lost',NULL,"
                         "'{}' FROM cron_jobs;"
                         "CREATE TABLE projects(id TEXT PRIMARY KEY, "
                         "repo_root TEXT NOT NULL)");
    world_backup(&w);
    o.root = w.root;
    o.sections = only_cron;
    o.section_count = 1;
    return o;
}

static void cron_jobs_come_back_alone(void **state)
{
    struct apply_options o = backed_up_jobs();
    struct apply_result r;
    struct error e = {0};

    (void)state;
    change_rows(w.state,
                "UPDATE cron_jobs SET job_json='{\"changed\":1}' WHERE "
                "job_id='kept'; DELETE FROM cron_jobs WHERE job_id='lost';"
                "INSERT INTO cron_jobs SELECT store_key,'new',NULL,'{}' FROM "
                "cron_jobs;"
                "INSERT INTO cron_jobs SELECT store_key,'own','heartbeat','{}'"
                " FROM cron_jobs WHERE job_id='new';"
                "INSERT INTO projects VALUES('p','/later');"
                "UPDATE device_identities SET device_id='later'");
    put_file(w.state, ".env", "LATER=1\n", 0600);
    put_file(w.state, "state/later.json", "{}", 0600);
    assert_int_equal(run(&o, &r, &e), 0);
    assert_string_equal(r.state, "applied");
    assert_string_equal(section_in(&r, "cron")->action, "merge");
    assert_null(section_in(&r, "state"));
    assert_string_equal(edit_at(&r, "cron_jobs[new]")->new_value, "(removed)");
    assert_string_equal(edit_at(&r, "cron_jobs[lost]")->old_value, "(none)");
    assert_non_null(edit_at(&r, "cron_jobs[kept]")->note);
    assert_int_equal(count_rows(w.state, "cron_jobs"), 3);
    assert_int_equal(count_rows(w.state,
                                "cron_jobs WHERE declaration_key IS NULL AND "
                                "job_id IN ('kept','lost') AND job_json='{}'"),
                     2);
    assert_int_equal(count_rows(w.state, "cron_jobs WHERE job_id='own'"), 1);
    assert_int_equal(count_rows(w.state, "projects WHERE id='p'"), 1);
    assert_int_equal(
        count_rows(w.state, "device_identities WHERE device_id='later'"), 1);
    check_is(w.state, ".env", "LATER=1\n");
    check_is(w.state, "state/later.json", "{}");
    apply_result_fini(&r);
}

/* What is the same keeps the state of its runs, and an equal set is no edit. */
static void equal_cron_jobs_are_left_alone(void **state)
{
    struct apply_options o = backed_up_jobs();
    struct apply_result r;
    struct error e = {0};

    (void)state;
    change_rows(w.state, "ALTER TABLE cron_jobs ADD COLUMN state_json TEXT;"
                         "UPDATE cron_jobs SET state_json='ran'");
    assert_int_equal(run(&o, &r, &e), 0);
    assert_null(edit_at(&r, "cron_jobs[kept]"));
    assert_int_equal(count_rows(w.state, "cron_jobs WHERE state_json='ran'"),
                     2);
    apply_result_fini(&r);
}

/* Plan and run are refused with a blocking "rows-only" that says `why`. */
static void check_no_rows(struct apply_options *o, const char *why)
{
    struct apply_result r;
    struct error e = {0};
    struct id agreed;

    assert_int_equal(apply_plan(o, &r, &e), 0);
    assert_true(warning_in(&r, "rows-only")->blocking);
    assert_non_null(strstr(warning_in(&r, "rows-only")->text, why));
    agreed = r.digest;
    apply_result_fini(&r);
    assert_int_equal(apply_run(o, &agreed, &r, &e), OCM_E_DENIED);
    assert_string_equal(r.state, "unchanged");
    apply_result_fini(&r);
}

static void rows_need_a_database_to_go_to(void **state)
{
    struct apply_options o = backed_up_jobs();
    char *path = path_join(w.state, "state/openclaw.sqlite");

    (void)state;
    assert_int_equal(unlink(path), 0);
    check_no_rows(&o, "no state database yet");
    free(path);
}

static void foreign_folders_are_not_written(void **state)
{
    struct apply_options o = world_options(&w);
    struct openclaw_conf conf = w.conf;
    struct apply_result r;
    struct error e = {0};
    char home[320], state_dir[340], outside[340];

    (void)state;
    /* the source keeps a workspace where this node has no business */
    snprintf(outside, sizeof(outside), "%s/outside", w.dir);
    snprintf(home, sizeof(home), "%s/elsewhere", w.dir);
    snprintf(state_dir, sizeof(state_dir), "%s/.openclaw", home);
    put_file(outside, "AGENTS.md", "# agents", 0600);
    {
        char *text = mem_printf("{agents:{list:[{id:\"main\",workspace:"
                                "\"%s\"}]}}",
                                outside);

        put_file(w.state, "openclaw.json", text, 0600);
        free(text);
    }
    world_backup(&w);
    assert_int_equal(tree_remove(outside, NULL), 0);
    conf.home = home;
    conf.state_dir = state_dir;
    assert_int_equal(mkdir(home, 0700), 0);
    o.conf = &conf;
    o.root = w.root;
    o.no_start = true;
    assert_int_equal(run(&o, &r, &e), 0);
    assert_non_null(warning_in(&r, "outside"));
    assert_false(file_exists(outside));
    check_is(state_dir, ".env", "A=1\n");
    apply_result_fini(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_clone_keeps_what_is_the_targets),
        TEST(further_names_outlive_the_first),
        TEST(large_files_are_not_cloned_as_they_are),
        TEST(a_merge_loses_no_late_row),
        TEST(cron_jobs_come_back_alone),
        TEST(equal_cron_jobs_are_left_alone),
        TEST(rows_need_a_database_to_go_to),
        TEST(foreign_folders_are_not_written),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
