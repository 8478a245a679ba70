/* SPDX-License-Identifier: MIT */
/* Killed, or out of space, at every single step of a backup: what was there
 * before stays whole, restic says so, and the next backup works. The linker
 * wraps the calls that change the disk (see CMakeLists.txt). */
#include "tests/unit/repo/judge.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/files.h"
#include "common/base/mem.h"
#include "controller/repo/repo_internal.h"

#define STEPS_MAX 200
#define SAMPLE_LEN 300000

enum fate { FATE_NONE, FATE_KILL, FATE_NO_SPACE, FATE_NO_SYNC };

/* Step number `at` meets its fate; FATE_NO_SPACE then holds for all writes. */
static struct {
    enum fate fate;
    int at;
    int steps;
    pthread_mutex_t mu;
} plan = {.mu = PTHREAD_MUTEX_INITIALIZER};

ssize_t __real_write(int fd, const void *p, size_t len);
int __real_fsync(int fd);
int __real_rename(const char *from, const char *to);
int __real_unlink(const char *path);
ssize_t __wrap_write(int fd, const void *p, size_t len);
int __wrap_fsync(int fd);
int __wrap_rename(const char *from, const char *to);
int __wrap_unlink(const char *path);

static bool my_turn(void)
{
    bool turn;

    pthread_mutex_lock(&plan.mu);
    plan.steps += plan.fate != FATE_NONE;
    turn = plan.fate != FATE_NONE && plan.steps >= plan.at;
    pthread_mutex_unlock(&plan.mu);
    if (turn && plan.fate == FATE_KILL)
        kill(getpid(), SIGKILL);
    return turn;
}

ssize_t __wrap_write(int fd, const void *p, size_t len)
{
    if (fd <= 2)
        return __real_write(fd, p, len);
    if (plan.fate == FATE_KILL && plan.steps + 1 == plan.at && len > 1)
        len = (size_t)__real_write(fd, p, len / 2); /* torn */
    if (my_turn() && plan.fate == FATE_NO_SPACE) {
        errno = ENOSPC;
        return -1;
    }
    return __real_write(fd, p, len);
}

int __wrap_fsync(int fd)
{
    if (my_turn() && plan.fate == FATE_NO_SYNC) {
        errno = EIO;
        return -1;
    }
    return __real_fsync(fd);
}

int __wrap_rename(const char *from, const char *to)
{
    my_turn();
    return __real_rename(from, to);
}

int __wrap_unlink(const char *path)
{
    my_turn();
    return __real_unlink(path);
}

/* One backup as a job does it. 0, or the first failure. */
static int backup(struct bench *b, unsigned seed, struct error *e)
{
    uint8_t *bytes = mem_alloc(SAMPLE_LEN);
    struct tree_node n = {.name = "file",
                          .name_len = 4,
                          .type = TREE_FILE,
                          .mode = 0600,
                          .user = "",
                          .group = "",
                          .size = SAMPLE_LEN,
                          .content_count = 1};
    struct snapshot s = {.hostname = (char *)"n1"};
    struct buf tree = {0};
    struct repo_writer *w = NULL;
    struct repo_stats stats;
    struct repo *r = NULL;
    struct id content, first;
    uint64_t missing;
    char *tag = (char *)"node=n1";
    int rc = repo_open(&b->o, &r, e);

    s.tags = &tag;
    s.tag_count = 1;
    sample_bytes(seed, bytes, SAMPLE_LEN);
    if (rc == 0)
        rc = repo_lock(r, false, e);
    if (rc == 0)
        rc = repo_refresh(r, e);
    if (rc == 0) {
        w = repo_writer_new(r, "n1");
        rc = repo_writer_add(w, BLOB_DATA, bytes, SAMPLE_LEN, &content, e);
    }
    if (rc == 0) {
        n.content = &content;
        tree_begin(&tree);
        tree_add(&tree, &n);
        tree_end(&tree);
        rc = repo_writer_add(w, BLOB_TREE, tree.data, tree.len, &s.tree, e);
    }
    if (rc == 0)
        rc = repo_writer_flush(w, e);
    if (rc == 0)
        rc = repo_closure(r, "n1", &s.tree, &stats, &missing, &first, e);
    if (rc == 0)
        rc = repo_snapshot_save(r, &s, e);
    repo_writer_free(w);
    if (r)
        repo_unlock(r);
    repo_close(r);
    buf_free(&tree);
    free(bytes);
    return rc;
}

static size_t count_snapshots(struct bench *b)
{
    struct repo_check_report report = {0};
    struct repo *r = bench_open(b);
    size_t count;

    OK(repo_check(r, true, NULL, NULL, &report, e));
    if (report.errors)
        fail_msg("after step %d: %s", plan.at, buf_str(&report.text));
    count = report.snapshots;
    buf_free(&report.text);
    repo_close(r);
    return count;
}

/* True: the child got through all of its steps. */
static bool killed_backup(struct bench *b, int at)
{
    pid_t pid = fork();
    int status;

    assert_true(pid >= 0);
    if (pid == 0) {
        plan.fate = FATE_KILL;
        plan.at = at;
        _exit(backup(b, 100 + (unsigned)at, NULL) == 0 ? 0 : 1);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (WIFEXITED(status))
        assert_int_equal(WEXITSTATUS(status), 0);
    return WIFEXITED(status);
}

static void a_kill_at_any_step_harms_nothing(void **state)
{
    struct bench *b = *state;
    struct error err = {0};
    size_t before = 1;
    bool through = false;
    int at;

    ok(backup(b, 1, &err), &err);
    for (at = 1; at < STEPS_MAX && !through; at++) {
        size_t now;

        plan.at = at;
        through = killed_backup(b, at);
        now = count_snapshots(b);
        assert_in_range(now, before, before + 1);
        before = now;
        if (at % 8 == 0 || through) {
            restic_ok(b, "unlock"); /* the stale lock of who was killed */
            restic_ok(b, "check --read-data");
        }
    }
    assert_true(through);
    assert_true(at > 20); /* there were steps to be killed at */
    ok(backup(b, 1000, &err), &err);
    assert_int_equal(count_snapshots(b), before + 1);
    shell_ok(b, "touch -d '1 hour ago' repo/ocm/tmp/* || true");
    repo_close(bench_open(b));
    shell_ok(b, "test -z \"$(ls repo/ocm/tmp)\"");
    restic_ok(b, "prune"); /* the leftovers */
    restic_ok(b, "check --read-data");
}

static void failing_backup(struct bench *b, enum fate fate, int want)
{
    struct error err = {0};
    size_t before = count_snapshots(b);
    int failures = 0;

    for (int at = 1; at < STEPS_MAX; at += 2) {
        int rc;

        plan.fate = fate;
        plan.at = at;
        plan.steps = 0;
        err = (struct error){0};
        rc = backup(b, 5000 + (unsigned)at, &err);
        plan.fate = FATE_NONE;
        if (rc == 0 && plan.steps < at)
            break; /* through all steps */
        if (rc == 0)
            before++; /* it failed only in giving back the lock */
        else
            failures++;
        if (rc != 0 && rc != want)
            fail_msg("step %d: %s: %s", at, error_name(rc), err.text);
        assert_int_equal(count_snapshots(b), before);
        shell_ok(b, "test -z \"$(ls repo/ocm/tmp)\"");
    }
    assert_true(failures > 5);
    restic_ok(b, "check --read-data");
    ok(backup(b, 9999, &err), &err);
}

static void a_full_disk_leaves_nothing_half_written(void **state)
{
    struct error err = {0};

    ok(backup(*state, 1, &err), &err);
    failing_backup(*state, FATE_NO_SPACE, OCM_E_SPACE);
}

/* A pack whose sync failed must not be named by any index. */
static void a_failing_sync_is_a_failure(void **state)
{
    struct error err = {0};

    ok(backup(*state, 1, &err), &err);
    failing_backup(*state, FATE_NO_SYNC, -EIO);
}

/* A real small disk, in a mount namespace of its own. */
static int on_small_disk(struct bench *b)
{
    struct error err = {0};
    int rc = 0;

    for (unsigned i = 0; rc == 0 && i < 200; i++)
        rc = backup(b, i, &err);
    if (rc != OCM_E_SPACE) {
        fprintf(stderr, "small disk: %s %s\n", error_name(rc), err.text);
        return 1;
    }
    return restic(b, NULL, "check --read-data --no-lock") == 0 ? 0 : 2;
}

static void a_small_disk_fills_up_cleanly(void **state)
{
    struct bench *b = *state;
    pid_t pid = fork();
    int status;

    assert_true(pid >= 0);
    if (pid == 0) {
        if (unshare(CLONE_NEWNS) < 0 ||
            mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
            mkdir(b->repo, 0700) < 0 ||
            mount("tmpfs", b->repo, "tmpfs", 0, "size=8m") < 0)
            _exit(77);
        _exit(repo_init(&b->o, NULL) == 0 ? on_small_disk(b) : 3);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == 77) {
        print_message("SKIPPED: no right to mount a tmpfs\n");
        skip();
    }
    assert_int_equal(WEXITSTATUS(status), 0);
}

#define T(f) cmocka_unit_test_setup_teardown(f, bench_setup, bench_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_kill_at_any_step_harms_nothing),
        T(a_full_disk_leaves_nothing_half_written),
        T(a_failing_sync_is_a_failure),
        cmocka_unit_test_setup_teardown(a_small_disk_fills_up_cleanly,
                                        bench_setup_empty, bench_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
