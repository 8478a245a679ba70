/* SPDX-License-Identifier: MIT */
/* The job framework, with kinds that a test can hold and let go. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "common/base/clock.h"
#include "common/base/files.h"
#include "common/base/mem.h"
#include "controller/catalog/catalog_internal.h"
#include "controller/jobs/job.h"

#define TURN_LIMIT_MS 20000

/* A gate that jobs wait at; the test opens it. */
struct gate {
    pthread_mutex_t lock;
    pthread_cond_t moved;
    int waiting;
    int open; /* how many may pass */
};

struct fixture {
    char dir[64];
    uv_loop_t loop;
    struct catalog *catalog;
    struct jobs *jobs;
    struct gate gate;
    bool idle;
    atomic_int nudges;
    atomic_int inside, most_inside;
};

static int run_ok(struct job *j, const json_t *params, json_t *result,
                  struct error *e)
{
    (void)e;
    job_step(j, "capture");
    job_progress(j, 1, 10, 100, 1000, "config/a");
    job_progress(j, 10, 10, 1000, 1000, "config/\xff");
    job_log(j, "info", "%d files", 10);
    json_object_set_new(result, "files", json_integer(10));
    json_object_set(result, "echo", json_object_get(params, "echo"));
    return 0;
}

static int run_partial(struct job *j, const json_t *params, json_t *result,
                       struct error *e)
{
    (void)j;
    (void)params;
    json_object_set_new(result, "state", json_string("partial"));
    return error_set(e, OCM_E_PARTIAL, "1 file could not be read");
}

static int run_fail(struct job *j, const json_t *params, json_t *result,
                    struct error *e)
{
    (void)j;
    (void)params;
    (void)result;
    return error_set(e, OCM_E_OFFLINE, "node web is not connected");
}

static void gate_wake(void *arg)
{
    struct gate *g = arg;

    pthread_mutex_lock(&g->lock);
    pthread_cond_broadcast(&g->moved);
    pthread_mutex_unlock(&g->lock);
}

/* Waits at the gate until it is opened for it or it is cancelled. */
static int run_gate(struct job *j, const json_t *params, json_t *result,
                    struct error *e)
{
    struct fixture *f = job_context(j);
    struct gate *g = &f->gate;
    const char *node = json_string_value(json_object_get(params, "node"));
    int rc = 0, inside;

    (void)result;
    if (node && (rc = job_claim_nodes(j, &node, 1, e)) < 0)
        return rc;
    inside = atomic_fetch_add(&f->inside, 1) + 1;
    if (inside > atomic_load(&f->most_inside))
        atomic_store(&f->most_inside, inside);
    job_on_cancel(j, gate_wake, g);
    pthread_mutex_lock(&g->lock);
    g->waiting++;
    while (g->open == 0 && !atomic_load(job_cancelled(j)))
        pthread_cond_wait(&g->moved, &g->lock);
    g->waiting--;
    if (atomic_load(job_cancelled(j)))
        rc = error_set(e, OCM_E_CANCELLED, "cancelled");
    else
        g->open--;
    pthread_mutex_unlock(&g->lock);
    job_on_cancel(j, NULL, NULL);
    atomic_fetch_sub(&f->inside, 1);
    return rc;
}

/* What a node that does not stop talking makes of a job. */
static int run_talk(struct job *j, const json_t *params, json_t *result,
                    struct error *e)
{
    char *long_word = mem_alloc(1 << 13);

    (void)params;
    (void)result;
    (void)e;
    memset(long_word, 0xe9, 1 << 13);
    long_word[(1 << 13) - 1] = 0;
    for (int i = 0; i < JOB_LINES_MAX; i++) {
        job_step(j, long_word);
        job_log(j, long_word, "%s", long_word);
        job_progress(j, 1, 1, 1, 1, long_word);
    }
    free(long_word);
    return 0;
}

static const struct job_kind kind_ok = {"ok", run_ok};
static const struct job_kind kind_talk = {"talk", run_talk};
static const struct job_kind kind_partial = {"partial", run_partial};
static const struct job_kind kind_fail = {"fail", run_fail};
static const struct job_kind kind_gate = {"gate", run_gate};
static const struct job_kind *const kinds[] = {
    &kind_ok, &kind_partial, &kind_fail, &kind_gate, &kind_talk};

static int setup(void **state)
{
    struct fixture *f = mem_zalloc(sizeof(*f));
    char *path;

    strcpy(f->dir, "/tmp/ocm-jobs-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    path = mem_printf("%s/catalog.sqlite", f->dir);
    assert_int_equal(catalog_open(path, &f->catalog, NULL), 0);
    free(path);
    assert_int_equal(uv_loop_init(&f->loop), 0);
    pthread_mutex_init(&f->gate.lock, NULL);
    pthread_cond_init(&f->gate.moved, NULL);
    f->jobs = jobs_new(&f->loop, f->catalog, kinds, ARRAY_LEN(kinds), f);
    *state = f;
    return 0;
}

/* Turn the loop until `done` says so; fails the test after TURN_LIMIT_MS. */
static void turn_until(struct fixture *f,
                       bool (*done)(struct fixture *, void *), void *arg)
{
    int64_t end = clock_monotonic_ms() + TURN_LIMIT_MS;

    while (!done(f, arg)) {
        assert_true(clock_monotonic_ms() < end);
        uv_run(&f->loop, UV_RUN_NOWAIT);
        usleep(500);
    }
}

static void on_idle(void *arg)
{
    struct fixture *f = arg;

    f->idle = true;
}

static bool is_idle(struct fixture *f, void *arg)
{
    (void)arg;
    return f->idle;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    if (!f->idle) {
        jobs_stop(f->jobs, on_idle, f);
        assert_false(f->idle); /* never within the call */
        turn_until(f, is_idle, NULL);
    }
    jobs_free(f->jobs);
    uv_run(&f->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&f->loop), 0);
    catalog_close(f->catalog);
    tree_remove(f->dir, NULL);
    free(f);
    return 0;
}

static void read_row(struct fixture *f, const char *id, struct job_row *row)
{
    assert_int_equal(catalog_job_get(f->catalog, id, row, NULL), 0);
}

static bool has_ended(struct fixture *f, void *arg)
{
    struct job_row row;
    bool ended;

    read_row(f, arg, &row);
    ended = row.ended_ns != 0;
    job_row_fini(&row);
    return ended;
}

static bool is_queued_behind(struct fixture *f, void *arg)
{
    struct job_row row;
    bool queued;

    read_row(f, arg, &row);
    queued = row.started_ns != 0 && strcmp(row.state, "queued") == 0;
    job_row_fini(&row);
    return queued;
}

static bool one_waits(struct fixture *f, void *arg)
{
    bool waits;

    pthread_mutex_lock(&f->gate.lock);
    waits = f->gate.waiting >= (arg ? *(int *)arg : 1);
    pthread_mutex_unlock(&f->gate.lock);
    return waits;
}

static void open_gate(struct fixture *f, int count)
{
    pthread_mutex_lock(&f->gate.lock);
    f->gate.open += count;
    pthread_cond_broadcast(&f->gate.moved);
    pthread_mutex_unlock(&f->gate.lock);
}

static void start(struct fixture *f, const char *kind, const char *node,
                  char id[24])
{
    json_t *params = json_object();

    json_object_set_new(params, "echo", json_string("hello"));
    if (node[0])
        json_object_set_new(params, "node", json_string(node));
    assert_int_equal(
        jobs_start(f->jobs, kind, node, "uid 0 (root)", params, id, NULL), 0);
}

static void expect_end(struct fixture *f, char *id, const char *state,
                       const char *code)
{
    struct job_row row;

    turn_until(f, has_ended, id);
    read_row(f, id, &row);
    assert_string_equal(row.state, state);
    assert_string_equal(row.error_code, code);
    job_row_fini(&row);
}

struct seen {
    int64_t last;
    char types[512];
    char last_json[512];
};

static int collect(void *arg, int64_t seq, const char *type, const char *json)
{
    struct seen *s = arg;
    json_t *v = json_loads(json, 0, NULL);

    assert_int_equal(seq, s->last + 1);
    assert_non_null(v);
    assert_int_equal(json_integer_value(json_object_get(v, "seq")), seq);
    assert_string_equal(json_string_value(json_object_get(v, "type")), type);
    json_decref(v);
    s->last = seq;
    strncat(s->types, type, 64);
    strncat(s->types, " ", 2);
    snprintf(s->last_json, sizeof(s->last_json), "%s", json);
    return 0;
}

static void a_job_runs_and_tells(void **state)
{
    struct fixture *f = *state;
    struct seen seen = {0};
    struct job_row row;
    char id[24];

    start(f, "ok", "web", id);
    assert_int_equal(strlen(id), 14);
    turn_until(f, has_ended, id);
    jobs_stop(f->jobs, on_idle, f);
    turn_until(f, is_idle, NULL);
    read_row(f, id, &row);
    assert_string_equal(row.state, "done");
    assert_string_equal(row.result, "{\"files\":10,\"echo\":\"hello\"}");
    assert_true(row.started_ns >= row.created_ns);
    job_row_fini(&row);
    assert_int_equal(catalog_events(f->catalog, id, 0, collect, &seen, NULL),
                     0);
    /* the second progress came within the second and is kept at the end */
    assert_string_equal(seen.types, "state state step progress log progress "
                                    "result state ");
    assert_non_null(strstr(seen.last_json, "\"state\":\"done\""));
}

static void failures_keep_their_code(void **state)
{
    struct fixture *f = *state;
    struct error e = {0};
    char id[24];

    start(f, "partial", "", id);
    expect_end(f, id, "partial", "partial");
    start(f, "fail", "", id);
    expect_end(f, id, "failed", "offline");
    assert_int_equal(
        jobs_start(f->jobs, "nonsense", "", "me", json_object(), id, &e),
        OCM_E_INVALID);
}

static void ids_are_in_order(void **state)
{
    struct fixture *f = *state;
    char a[24], b[24];

    start(f, "ok", "", a);
    for (int i = 0; i < 50; i++) {
        start(f, "ok", "", b);
        assert_true(strcmp(a, b) < 0);
        strcpy(a, b);
    }
}

static void cancel_reaches_a_running_job(void **state)
{
    struct fixture *f = *state;
    struct error e = {0};
    char id[24];

    start(f, "gate", "", id);
    turn_until(f, one_waits, NULL);
    assert_int_equal(jobs_cancel(f->jobs, id, &e), 0);
    expect_end(f, id, "cancelled", "cancelled");
    turn_until(f, has_ended, id);
    /* the thread's end may still be on its way to the loop */
    jobs_stop(f->jobs, on_idle, f);
    turn_until(f, is_idle, NULL);
    assert_int_equal(jobs_cancel(f->jobs, id, &e), OCM_E_INVALID);
    assert_int_equal(jobs_cancel(f->jobs, "j9", &e), OCM_E_NOTFOUND);
    assert_int_equal(jobs_start(f->jobs, "ok", "", "me", json_object(), id, &e),
                     OCM_E_CLOSED);
}

static void one_job_at_a_time_changes_a_node(void **state)
{
    struct fixture *f = *state;
    char a[24], b[24], c[24];

    start(f, "gate", "web", a);
    turn_until(f, one_waits, NULL);
    start(f, "gate", "web", b);
    turn_until(f, is_queued_behind, b);
    start(f, "gate", "db", c); /* another node is free */
    turn_until(f, one_waits, &(int){2});
    assert_int_equal(atomic_load(&f->most_inside), 2);
    open_gate(f, 3);
    expect_end(f, a, "done", "");
    expect_end(f, b, "done", "");
    expect_end(f, c, "done", "");
    assert_int_equal(atomic_load(&f->most_inside), 2);
}

static void a_waiting_claim_can_be_cancelled(void **state)
{
    struct fixture *f = *state;
    char a[24], b[24];

    start(f, "gate", "web", a);
    turn_until(f, one_waits, NULL);
    start(f, "gate", "web", b);
    turn_until(f, is_queued_behind, b);
    assert_int_equal(jobs_cancel(f->jobs, b, NULL), 0);
    expect_end(f, b, "cancelled", "cancelled");
    open_gate(f, 1);
    expect_end(f, a, "done", "");
}

static void too_many_wait_their_turn(void **state)
{
    struct fixture *f = *state;
    char ids[JOBS_MAX_RUNNING + 2][24];
    int full = JOBS_MAX_RUNNING;
    struct job_row row;

    for (int i = 0; i < JOBS_MAX_RUNNING + 2; i++)
        start(f, "gate", "", ids[i]);
    turn_until(f, one_waits, &full);
    read_row(f, ids[JOBS_MAX_RUNNING + 1], &row);
    assert_string_equal(row.state, "queued");
    job_row_fini(&row);
    /* one that has not begun ends at once */
    assert_int_equal(jobs_cancel(f->jobs, ids[JOBS_MAX_RUNNING + 1], NULL), 0);
    assert_true(has_ended(f, ids[JOBS_MAX_RUNNING + 1]));
    open_gate(f, JOBS_MAX_RUNNING + 1);
    for (int i = 0; i < JOBS_MAX_RUNNING + 1; i++)
        expect_end(f, ids[i], "done", "");
}

static void on_nudge(void *arg)
{
    struct fixture *f = arg;

    atomic_fetch_add(&f->nudges, 1);
}

static void watchers_hear_of_their_job_only(void **state)
{
    struct fixture *f = *state;
    struct job_watch *w, *other;
    char id[24];
    char *progress;
    int before;

    other = jobs_watch(f->jobs, "j-none", on_nudge, f);
    start(f, "gate", "", id);
    w = jobs_watch(f->jobs, id, on_nudge, f);
    turn_until(f, one_waits, NULL);
    progress = jobs_progress(f->jobs, id);
    assert_null(progress);
    open_gate(f, 1);
    expect_end(f, id, "done", "");
    jobs_unwatch(other);
    jobs_unwatch(w);
    before = atomic_load(&f->nudges);
    assert_true(before >= 1);
    start(f, "ok", "", id);
    turn_until(f, has_ended, id);
    assert_int_equal(atomic_load(&f->nudges), before);
}

struct tally {
    size_t count, bytes;
    char last[16];
};

static int count_event(void *arg, int64_t seq, const char *type,
                       const char *json)
{
    struct tally *t = arg;

    (void)seq;
    t->count++;
    t->bytes += strlen(json);
    snprintf(t->last, sizeof(t->last), "%s", type);
    return 0;
}

static void a_talker_is_cut_short(void **state)
{
    struct fixture *f = *state;
    struct tally t = {0};
    char id[24];

    /* thousands of events, and the disk is not what is tested */
    sqlite3_exec(f->catalog->db, "PRAGMA synchronous = OFF", NULL, NULL, NULL);
    start(f, "talk", "", id);
    turn_until(f, has_ended, id);
    jobs_stop(f->jobs, on_idle, f); /* its last event is there, too */
    turn_until(f, is_idle, NULL);
    assert_int_equal(catalog_events(f->catalog, id, 0, count_event, &t, NULL),
                     0);
    assert_true(t.count >= JOB_LINES_MAX && t.count < 2 * JOB_LINES_MAX);
    assert_true(t.bytes < JOB_LINES_MAX * 5000);
    assert_string_equal(t.last, "state");
}

/* While it runs, not only when it starts. */
static void what_is_old_is_forgotten(void **state)
{
    struct fixture *f = *state;
    int64_t long_ago = clock_now_ns() - INT64_C(2) * 86400 * 1000000000;
    struct error e = {0};
    char *json, id[24];

    sqlite3_exec(f->catalog->db, "PRAGMA synchronous = OFF", NULL, NULL, NULL);
    assert_int_equal(catalog_plan_put(f->catalog, "p1", "{}", long_ago, NULL),
                     0);
    assert_int_equal(catalog_plan_get(f->catalog, "p1", &json, &e),
                     OCM_E_NOTFOUND);
    assert_non_null(strstr(e.text, "too old")); /* but there */
    for (int i = 0; i < 100; i++)
        start(f, "fail", "", id);
    turn_until(f, has_ended, id);
    jobs_stop(f->jobs, on_idle, f);
    turn_until(f, is_idle, NULL);
    assert_int_equal(catalog_plan_get(f->catalog, "p1", &json, &e),
                     OCM_E_NOTFOUND);
    assert_non_null(strstr(e.text, "no plan"));
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(a_job_runs_and_tells),
        T(failures_keep_their_code),
        T(ids_are_in_order),
        T(cancel_reaches_a_running_job),
        T(one_job_at_a_time_changes_a_node),
        T(a_waiting_claim_can_be_cancelled),
        T(too_many_wait_their_turn),
        T(watchers_hear_of_their_job_only),
        T(a_talker_is_cut_short),
        T(what_is_old_is_forgotten),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
