/* SPDX-License-Identifier: MIT */
/* Whole packs that a killed process left without an index are used by the
 * next one, and restic agrees. */
#include "tests/unit/repo/judge.h"

#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "controller/repo/repo_internal.h"

static int count_pack(void *arg, const char *name)
{
    (void)name;
    ++*(size_t *)arg;
    return 0;
}

static size_t count_packs(struct repo *r)
{
    size_t n = 0;

    assert_int_equal(store_list(r->store, "data", true, count_pack, &n, NULL),
                     0);
    return n;
}

/* A process that dies in the middle of a backup, after `packs` are durable. */
static void die_with_packs(struct bench *b, size_t packs)
{
    pid_t pid = fork();
    int status;

    if (pid == 0) {
        struct repo *r = bench_open(b);
        struct repo_writer *w = repo_writer_new(r, "n1");

        for (unsigned i = 1; i <= 100; i++)
            put_sample(w, i, 1 << 20);
        while (count_packs(r) < packs)
            usleep(1000);
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static void packs_of_a_killed_process_are_used(void **state)
{
    struct bench *b = *state;
    uint8_t *bytes = mem_alloc(1 << 20);
    struct repo_writer *w;
    struct repo *r;
    size_t packs;
    struct id id;

    die_with_packs(b, 5);
    r = bench_open(b);
    sample_bytes(1, bytes, 1 << 20);
    id = digest_of(bytes, 1 << 20);
    assert_false(repo_has(r, &id, BLOB_DATA)); /* not without the lock */
    packs = count_packs(r);
    assert_in_range(packs, 5, 6);
    OK(repo_lock(r, false, e));
    OK(repo_refresh(r, e));
    assert_true(repo_has(r, &id, BLOB_DATA));
    assert_true(repo_owned_count(r, "n1") >= packs * 15);
    assert_int_equal(repo_owned_count(r, "n2"), 0);
    w = repo_writer_new(r, "n1");
    for (unsigned i = 1; i <= 100; i++)
        put_sample(w, i, 1 << 20);
    assert_in_range(repo_writer_bytes(w), 1, (101 - packs * 15) << 20);
    OK(repo_writer_flush(w, e));
    repo_writer_free(w);
    repo_unlock(r);
    repo_close(r);
    restic_ok(b, "check --read-data");
    r = bench_open(b); /* and only once */
    assert_int_equal(r->left_count, 0);
    repo_close(r);
    free(bytes);
}

/* Packs that a prune took meanwhile, or that are broken, are forgotten. */
static void lost_packs_of_a_killed_process_are_forgotten(void **state)
{
    struct bench *b = *state;
    struct repo *r;

    die_with_packs(b, 4);
    shell_ok(b, "set -- $(ls repo/data/*/*); rm -f $1; chmod u+w $2; "
                "truncate -s -1 $2; echo $2 >broken");
    r = bench_open(b);
    OK(repo_lock(r, false, e));
    OK(repo_refresh(r, e));
    assert_int_equal(r->left_count, 0);
    assert_true(repo_owned_count(r, "n1") >= 2 * 15);
    repo_unlock(r);
    repo_close(r);
    r = bench_open(b);
    assert_int_equal(r->left_count, 0);
    repo_close(r);
    shell_ok(b, "rm -f $(cat broken)");
    restic_ok(b, "check --read-data");
}

#define T(f) cmocka_unit_test_setup_teardown(f, bench_setup, bench_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(packs_of_a_killed_process_are_used),
        T(lost_packs_of_a_killed_process_are_forgotten),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
