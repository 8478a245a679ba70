/* SPDX-License-Identifier: MIT */
/* The catalog: tokens are used once, certificates only by their node, events
 * keep their order, the audit chain shows what was changed. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>
#include <sqlite3.h>

#include "common/base/clock.h"
#include "common/base/files.h"
#include "common/base/mem.h"
#include "controller/catalog/catalog.h"

#define HOUR_NS (INT64_C(3600) * 1000000000)

struct fixture {
    char dir[64];
    char *path;
    struct catalog *c;
};

static int setup(void **state)
{
    struct fixture *f = mem_zalloc(sizeof(*f));
    struct error e = {0};

    strcpy(f->dir, "/tmp/ocm-catalog-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    f->path = mem_printf("%s/catalog.sqlite", f->dir);
    assert_int_equal(catalog_open(f->path, &f->c, &e), 0);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    catalog_close(f->c);
    tree_remove(f->dir, NULL);
    free(f->path);
    free(f);
    return 0;
}

static void tokens_are_used_once(void **state)
{
    struct fixture *f = *state;
    int64_t now = clock_now_ns();
    char name[64];
    struct error e = {0};

    assert_int_equal(catalog_token_add(f->c, "s1", "web-1", now + HOUR_NS, &e),
                     0);
    assert_int_equal(catalog_token_take(f->c, "s1", now, name, &e), 0);
    assert_string_equal(name, "web-1");
    assert_int_equal(catalog_token_take(f->c, "s1", now, name, &e), OCM_E_AUTH);
    assert_non_null(strstr(e.text, "used"));
    assert_int_equal(catalog_token_take(f->c, "nope", now, name, &e),
                     OCM_E_AUTH);
    assert_non_null(strstr(e.text, "unknown"));
    assert_int_equal(catalog_token_add(f->c, "s2", "", now + HOUR_NS, &e), 0);
    assert_int_equal(catalog_token_take(f->c, "s2", now + HOUR_NS, name, &e),
                     OCM_E_AUTH);
    assert_non_null(strstr(e.text, "expired"));
    assert_int_equal(catalog_token_add(f->c, "s3", "../etc", now + HOUR_NS, &e),
                     OCM_E_INVALID);
}

struct racer {
    struct catalog *c;
    pthread_barrier_t *line;
    const char *secret;
    int rc;
};

static void *race(void *arg)
{
    struct racer *r = arg;
    char name[64];

    pthread_barrier_wait(r->line);
    r->rc = catalog_token_take(r->c, r->secret, clock_now_ns(), name, NULL);
    return NULL;
}

/* The second connection stands for a second process on the same file. */
static void one_of_two_at_once_gets_the_token(void **state)
{
    struct fixture *f = *state;
    struct catalog *other;

    assert_int_equal(catalog_open(f->path, &other, NULL), 0);
    for (int i = 0; i < 20; i++) {
        pthread_barrier_t line;
        pthread_t threads[2];
        struct racer r[2];
        char secret[32];

        snprintf(secret, sizeof(secret), "secret-%d", i);
        assert_int_equal(
            catalog_token_add(f->c, secret, "", clock_now_ns() + HOUR_NS, NULL),
            0);
        pthread_barrier_init(&line, NULL, 2);
        for (int k = 0; k < 2; k++) {
            r[k] = (struct racer){k && i % 2 ? other : f->c, &line, secret, 1};
            assert_int_equal(pthread_create(&threads[k], NULL, race, &r[k]), 0);
        }
        for (int k = 0; k < 2; k++)
            pthread_join(threads[k], NULL);
        pthread_barrier_destroy(&line);
        assert_true((r[0].rc == 0) != (r[1].rc == 0));
        assert_int_equal(r[0].rc + r[1].rc, OCM_E_AUTH);
    }
    catalog_close(other);
}

static void names_are_unique_among_the_living(void **state)
{
    struct fixture *f = *state;
    struct node a, b, got, *all;
    struct error e = {0};
    size_t count;

    assert_int_equal(catalog_node_add(f->c, "web", "h1", &a, &e), 0);
    assert_int_equal(catalog_node_add(f->c, "web", "h2", &b, &e), 0);
    assert_string_equal(a.name, "web");
    assert_string_equal(b.name, "web-2");
    assert_int_equal(catalog_node_get(f->c, "web-2", &got, &e), 0);
    assert_string_equal(got.id, b.id);
    assert_int_equal(catalog_node_get(f->c, a.id, &got, &e), 0);
    assert_string_equal(got.hostname, "h1");
    assert_int_equal(catalog_node_rename(f->c, b.id, "web", &e), OCM_E_EXISTS);
    assert_int_equal(catalog_node_rename(f->c, b.id, "Web!", &e),
                     OCM_E_INVALID);
    assert_int_equal(catalog_node_revoke(f->c, a.id, &e), 0);
    assert_int_equal(catalog_node_rename(f->c, b.id, "web", &e), 0);
    assert_int_equal(catalog_node_get(f->c, "web", &got, &e), 0);
    assert_string_equal(got.id, b.id);
    assert_int_equal(catalog_nodes(f->c, &all, &count, &e), 0);
    assert_int_equal(count, 2);
    assert_false(all[0].revoked);
    assert_true(all[1].revoked);
    free(all);
    assert_int_equal(catalog_node_get(f->c, "db", &got, &e), OCM_E_NOTFOUND);
    assert_int_equal(catalog_node_revoke(f->c, "none", &e), OCM_E_NOTFOUND);
    memset(got.name, 'a', 40);
    got.name[40] = '\0';
    assert_int_equal(catalog_node_add(f->c, got.name, "", &a, &e), 0);
    assert_int_equal(catalog_node_add(f->c, got.name, "", &b, &e), 0);
    assert_int_equal(strlen(b.name), 40);
}

static void a_backup_is_remembered(void **state)
{
    struct fixture *f = *state;
    struct node n, got;

    assert_int_equal(catalog_node_add(f->c, "web", "h", &n, NULL), 0);
    assert_int_equal(
        catalog_node_seen(f->c, n.id, "0.1", "linux-x86_64", "h2", 77, NULL),
        0);
    assert_int_equal(catalog_node_openclaw(f->c, n.id, "2026.9.6", NULL), 0);
    assert_int_equal(
        catalog_node_backup(f->c, n.id, 99, "partial", "ab", "cd", NULL), 0);
    assert_int_equal(catalog_node_get(f->c, "web", &got, NULL), 0);
    assert_int_equal(got.last_seen_ns, 77);
    assert_int_equal(got.last_backup_ns, 99);
    assert_string_equal(got.last_backup_state, "partial");
    assert_string_equal(got.last_snapshot, "ab");
    assert_string_equal(got.openclaw_version, "2026.9.6");
    assert_string_equal(got.hostname, "h2");
}

static void certificates_count_for_their_node_only(void **state)
{
    struct fixture *f = *state;
    struct id fp = digest_of("cert", 4), old = digest_of("old", 3);
    struct id other = digest_of("other", 5);
    int64_t now_s = clock_now_ns() / 1000000000;
    struct node a, b, got;
    struct error e = {0};

    assert_int_equal(catalog_node_add(f->c, "a", "", &a, &e), 0);
    assert_int_equal(catalog_node_add(f->c, "b", "", &b, &e), 0);
    assert_int_equal(catalog_cert_add(f->c, a.id, &old, now_s - 1, &e), 0);
    assert_int_equal(catalog_cert_add(f->c, a.id, &fp, now_s + 60, &e), 0);
    assert_int_equal(catalog_cert_check(f->c, &fp, a.id, &got, &e), 0);
    assert_string_equal(got.name, "a");
    assert_int_equal(got.cert_not_after, now_s + 60);
    assert_int_equal(catalog_cert_check(f->c, &fp, b.id, &got, &e), OCM_E_AUTH);
    assert_int_equal(catalog_cert_check(f->c, &old, a.id, &got, &e),
                     OCM_E_AUTH);
    assert_int_equal(catalog_node_revoke(f->c, a.id, &e), 0);
    assert_int_equal(catalog_cert_check(f->c, &fp, a.id, &got, &e), OCM_E_AUTH);
    assert_int_not_equal(catalog_cert_add(f->c, "nobody", &other, 1, &e), 0);
}

static struct job_row row_of(const char *id, const char *node)
{
    struct job_row j = {0};

    snprintf(j.id, sizeof(j.id), "%s", id);
    snprintf(j.node, sizeof(j.node), "%s", node);
    strcpy(j.kind, "backup");
    strcpy(j.owner, "uid 0 (root)");
    strcpy(j.state, "queued");
    j.created_ns = 1;
    return j;
}

static int count_event(void *arg, int64_t seq, const char *type,
                       const char *json)
{
    int64_t *last = arg;

    assert_int_equal(seq, *last + 1);
    assert_non_null(type);
    assert_non_null(json);
    *last = seq;
    return 0;
}

static void jobs_and_events_are_kept(void **state)
{
    struct fixture *f = *state;
    struct job_row j = row_of("j0000000000001", "a"), got, *rows;
    struct error e = {0};
    int64_t last = 0;
    size_t count;

    j.params = mem_strdup("{}");
    assert_int_equal(catalog_job_put(f->c, &j, &e), 0);
    strcpy(j.state, "done");
    j.result = mem_strdup("{\"x\":1}");
    assert_int_equal(catalog_job_put(f->c, &j, &e), 0);
    job_row_fini(&j);
    j = row_of("j0000000000002", "b");
    assert_int_equal(catalog_job_put(f->c, &j, &e), 0);

    assert_int_equal(catalog_job_get(f->c, "j0000000000001", &got, &e), 0);
    assert_string_equal(got.state, "done");
    assert_string_equal(got.result, "{\"x\":1}");
    assert_string_equal(got.params, "{}");
    assert_null(got.error);
    job_row_fini(&got);
    assert_int_equal(catalog_job_get(f->c, "j000000000000", &got, &e),
                     OCM_E_INVALID);
    assert_int_equal(catalog_job_get(f->c, "", &got, &e), OCM_E_NOTFOUND);
    assert_int_equal(catalog_job_get(f->c, "j9", &got, &e), OCM_E_NOTFOUND);
    assert_int_equal(catalog_job_get(f->c, "j%", &got, &e), OCM_E_NOTFOUND);

    assert_int_equal(catalog_jobs(f->c, NULL, 10, &rows, &count, &e), 0);
    assert_int_equal(count, 2);
    assert_string_equal(rows[0].id, "j0000000000002");
    for (size_t i = 0; i < count; i++)
        job_row_fini(&rows[i]);
    free(rows);
    assert_int_equal(catalog_jobs(f->c, "a", 10, &rows, &count, &e), 0);
    assert_int_equal(count, 1);
    job_row_fini(&rows[0]);
    free(rows);

    for (int64_t i = 1; i <= 300; i++)
        assert_int_equal(catalog_event_add(f->c, j.id, i, i, "log", "{}", &e),
                         0);
    assert_int_equal(catalog_event_add(f->c, j.id, 300, 1, "log", "{}", &e),
                     OCM_E_EXISTS);
    assert_int_equal(catalog_events(f->c, j.id, 0, count_event, &last, &e), 0);
    assert_int_equal(last, 300);
    last = 290;
    assert_int_equal(catalog_events(f->c, j.id, 290, count_event, &last, &e),
                     0);
    assert_int_equal(last, 300);
}

static void a_restart_fails_what_ran(void **state)
{
    struct fixture *f = *state;
    struct job_row j = row_of("j1", "a"), got;
    int64_t last = 0;
    size_t count;

    strcpy(j.state, "running");
    assert_int_equal(catalog_job_put(f->c, &j, NULL), 0);
    assert_int_equal(catalog_event_add(f->c, "j1", 1, 1, "state", "{}", NULL),
                     0);
    assert_int_equal(catalog_jobs_interrupted(f->c, &count, NULL), 0);
    assert_int_equal(count, 1);
    assert_int_equal(catalog_job_get(f->c, "j1", &got, NULL), 0);
    assert_string_equal(got.state, "failed");
    assert_string_equal(got.error, "the controller was restarted");
    job_row_fini(&got);
    assert_int_equal(catalog_events(f->c, "j1", 0, count_event, &last, NULL),
                     0);
    assert_int_equal(last, 2);
    assert_int_equal(catalog_jobs_interrupted(f->c, &count, NULL), 0);
    assert_int_equal(count, 0);
}

static void plans_expire(void **state)
{
    struct fixture *f = *state;
    int64_t now = clock_now_ns();
    struct error e = {0};
    char *json;

    assert_int_equal(
        catalog_plan_put(f->c, "p1", "{\"a\":1}", now + HOUR_NS, &e), 0);
    assert_int_equal(catalog_plan_get(f->c, "p1", &json, &e), 0);
    assert_string_equal(json, "{\"a\":1}");
    free(json);
    assert_int_equal(catalog_plan_put(f->c, "p1", "{}", now - 1, &e), 0);
    assert_int_equal(catalog_plan_get(f->c, "p1", &json, &e), OCM_E_NOTFOUND);
    assert_non_null(strstr(e.text, "too old"));
    assert_int_equal(catalog_plan_get(f->c, "p2", &json, &e), OCM_E_NOTFOUND);
}

/* What an attacker with the file and without our triggers would do. */
static void tamper(const char *path, const char *sql)
{
    char *all = mem_printf("DROP TRIGGER IF EXISTS audit_no_update;"
                           "DROP TRIGGER IF EXISTS audit_no_delete; %s",
                           sql);
    sqlite3 *db;

    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, all, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
    free(all);
}

/* A removed node whose agent still runs comes back for ever. */
static void what_repeats_is_audited_once(void **state)
{
    struct fixture *f = *state;
    struct error e = {0};
    int64_t lines;

    for (int i = 0; i < 3; i++) {
        assert_int_equal(
            catalog_audit_rare(f->c, "agent", "refused", "", "node a", &e), 0);
        assert_int_equal(
            catalog_audit_rare(f->c, "agent", "refused", "", "node b", &e), 0);
    }
    assert_int_equal(catalog_audit_verify(f->c, &lines, &e), 0);
    assert_int_equal(lines, 2);
}

static void the_audit_chain_shows_changes(void **state)
{
    struct fixture *f = *state;
    struct error e = {0};
    int64_t lines;
    sqlite3 *db;

    for (int i = 0; i < 5; i++)
        assert_int_equal(
            catalog_audit(f->c, "uid 0 (root)", "node.remove", "web", "ok", &e),
            0);
    assert_int_equal(catalog_audit_verify(f->c, &lines, &e), 0);
    assert_int_equal(lines, 5);

    assert_int_equal(sqlite3_open(f->path, &db), SQLITE_OK);
    assert_int_not_equal(
        sqlite3_exec(db, "DELETE FROM audit WHERE seq = 5", NULL, NULL, NULL),
        SQLITE_OK);
    assert_int_not_equal(
        sqlite3_exec(db, "UPDATE audit SET who = 'x'", NULL, NULL, NULL),
        SQLITE_OK);
    sqlite3_close(db);

    tamper(f->path, "UPDATE audit SET result = 'failed' WHERE seq = 3");
    assert_int_equal(catalog_audit_verify(f->c, &lines, &e), OCM_E_DAMAGED);
    assert_non_null(strstr(e.text, "line 3"));
    assert_int_equal(lines, 2);
    tamper(f->path, "DELETE FROM audit WHERE seq = 2");
    assert_int_equal(catalog_audit_verify(f->c, &lines, &e), OCM_E_DAMAGED);
    assert_non_null(strstr(e.text, "line 2"));
}

static struct instance_verdict meet(struct fixture *f, const char *id,
                                    uint8_t who, bool connected)
{
    uint8_t instance[CATALOG_INSTANCE_LEN] = {who};
    struct instance_verdict v;

    assert_int_equal(catalog_node_instance(f->c, id, instance, connected,
                                           clock_now_ns(), &v, NULL),
                     0);
    return v;
}

static bool is_marked(struct fixture *f, const char *id)
{
    struct node n;

    assert_int_equal(catalog_node_get(f->c, id, &n, NULL), 0);
    assert_int_equal(node_check_single(&n, NULL),
                     n.duplicate_ns ? OCM_E_DENIED : 0);
    return n.duplicate_ns != 0;
}

static void a_second_machine_is_noticed(void **state)
{
    struct fixture *f = *state;
    struct instance_verdict v;
    struct node n;

    assert_int_equal(catalog_node_add(f->c, "web", "h", &n, NULL), 0);
    /* restarts, reconnections and a dead connection are none */
    for (uint8_t who = 1; who < 20; who++) {
        for (int i = 0; i < 3; i++) {
            v = meet(f, n.id, who, i == 1);
            assert_false(v.refuse || v.fresh);
        }
    }
    assert_false(is_marked(f, n.id));
    /* 18 was replaced by 19 and comes back: it never ended */
    v = meet(f, n.id, 18, true);
    assert_true(v.refuse && v.fresh);
    assert_true(is_marked(f, n.id));
    v = meet(f, n.id, 19, true); /* the one that stays */
    assert_false(v.refuse || v.fresh);
    v = meet(f, n.id, 20, true); /* the other, started again */
    assert_true(v.refuse && !v.fresh);
    v = meet(f, n.id, 20, false); /* now it is alone */
    assert_false(v.refuse || v.fresh);
    assert_true(is_marked(f, n.id));
    assert_int_equal(catalog_node_single(f->c, n.id, NULL), 0);
    assert_false(is_marked(f, n.id));
    /* a third that was away for a while */
    v = meet(f, n.id, 21, false);
    assert_false(v.refuse || v.fresh);
    v = meet(f, n.id, 20, false);
    assert_true(!v.refuse && v.fresh);
    assert_int_equal(catalog_node_single(f->c, "nobody", NULL), OCM_E_NOTFOUND);
}

static void a_newer_schema_is_refused(void **state)
{
    struct fixture *f = *state;
    struct catalog *again;
    struct error e = {0};
    struct stat st;

    assert_int_equal(stat(f->path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    tamper(f->path, "PRAGMA user_version = 99");
    assert_int_equal(catalog_open(f->path, &again, &e), OCM_E_VERSION);
    assert_non_null(strstr(e.text, "newer"));
    tamper(f->path, "PRAGMA user_version = 3");
    assert_int_equal(catalog_open(f->path, &again, &e), 0);
    catalog_close(again);
}

static void an_older_schema_is_brought_up(void **state)
{
    struct fixture *f = *state;
    struct catalog *again;
    struct error e = {0};
    struct node n;
    char *json;

    assert_int_equal(catalog_node_add(f->c, "web", "h", &n, &e), 0);
    tamper(f->path, "DROP TABLE connections;"
                    "ALTER TABLE nodes DROP COLUMN duplicate_ns;"
                    "ALTER TABLE nodes DROP COLUMN instances;"
                    "PRAGMA user_version = 1");
    assert_int_equal(catalog_open(f->path, &again, &e), 0);
    assert_int_equal(catalog_connection_put(again, n.id, "{}", &e), 0);
    assert_int_equal(catalog_connection_get(again, n.id, &json, &e), 0);
    assert_string_equal(json, "{}");
    free(json);
    assert_int_equal(catalog_node_get(again, "web", &n, &e), 0);
    assert_int_equal(n.duplicate_ns, 0);
    catalog_close(again);
}

static void count_connection(void *arg, const char *node_id,
                             const char *node_name, const char *json)
{
    (void)node_id;
    (void)node_name;
    (void)json;
    ++*(int *)arg;
}

static void connections_are_sealed(void **state)
{
    static const char secret[] = "{\"host\":\"canary.example\"}";
    struct fixture *f = *state;
    char *key = mem_printf("%s/catalog.key", f->dir), *json = NULL;
    struct error e = {0};
    struct buf raw = {0};
    struct node a, b;
    struct stat st;
    int count = 0;

    assert_int_equal(catalog_node_add(f->c, "a", "h", &a, &e), 0);
    assert_int_equal(catalog_node_add(f->c, "b", "h", &b, &e), 0);
    assert_int_equal(catalog_connection_get(f->c, a.id, &json, &e),
                     OCM_E_NOTFOUND);
    assert_int_equal(catalog_connection_put(f->c, a.id, "{}", &e), 0);
    assert_int_equal(catalog_connection_put(f->c, a.id, secret, &e), 0);
    assert_int_equal(catalog_connection_get(f->c, a.id, &json, &e), 0);
    assert_string_equal(json, secret);
    free(json);
    assert_int_equal(stat(key, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    tamper(f->path, "PRAGMA wal_checkpoint(TRUNCATE)");
    assert_int_equal(file_read(f->path, 1 << 20, &raw, &e), 0);
    assert_null(memmem(raw.data, raw.len, "canary", 6));
    buf_free(&raw);
    /* a box is its own node's */
    tamper(f->path, "INSERT INTO connections SELECT (SELECT id FROM nodes "
                    "WHERE name = 'b'), box FROM connections");
    assert_int_equal(catalog_connection_get(f->c, b.id, &json, &e),
                     OCM_E_DAMAGED);
    assert_int_equal(catalog_connections(f->c, count_connection, &count, &e),
                     0);
    assert_int_equal(count, 1);
    assert_int_equal(catalog_node_revoke(f->c, a.id, &e), 0);
    assert_int_equal(catalog_connection_get(f->c, a.id, &json, &e),
                     OCM_E_NOTFOUND);
    /* a key that is lost costs the connections and nothing else */
    assert_int_equal(unlink(key), 0);
    count = 0;
    assert_int_equal(catalog_connections(f->c, count_connection, &count, &e),
                     0);
    assert_int_equal(count, 0);
    assert_int_equal(catalog_connection_put(f->c, b.id, "{}", &e), 0);
    free(key);
}

static void garbage_is_refused(void **state)
{
    struct fixture *f = *state;
    char *path = mem_printf("%s/garbage", f->dir);
    struct catalog *c;
    struct error e = {0};

    assert_int_equal(
        file_write(path, "this is no database at all........", 32, 0600, &e),
        0);
    assert_int_equal(catalog_open(path, &c, &e), OCM_E_DAMAGED);
    free(path);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(tokens_are_used_once),
        T(one_of_two_at_once_gets_the_token),
        T(names_are_unique_among_the_living),
        T(a_backup_is_remembered),
        T(certificates_count_for_their_node_only),
        T(jobs_and_events_are_kept),
        T(a_restart_fails_what_ran),
        T(plans_expire),
        T(the_audit_chain_shows_changes),
        T(what_repeats_is_audited_once),
        T(a_second_machine_is_noticed),
        T(a_newer_schema_is_refused),
        T(an_older_schema_is_brought_up),
        T(connections_are_sealed),
        T(garbage_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
