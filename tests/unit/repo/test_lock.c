/* SPDX-License-Identifier: MIT */
/* Our lock, when there was a time without it: on a host that slept, or after
 * a person took it away. That the refresher has made a new one since does not
 * make good what a prune did in between. Time is the test's own. */
#include "tests/unit/repo/judge.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "controller/repo/repo_internal.h"

#define WAIT_MS 10000

static atomic_int slept_s; /* by the host, in CLOCK_BOOTTIME */

int __real_clock_gettime(clockid_t clock, struct timespec *t);
int __wrap_clock_gettime(clockid_t clock, struct timespec *t);
int __real_pthread_cond_timedwait(pthread_cond_t *c, pthread_mutex_t *m,
                                  const struct timespec *until);
int __wrap_pthread_cond_timedwait(pthread_cond_t *c, pthread_mutex_t *m,
                                  const struct timespec *until);

int __wrap_clock_gettime(clockid_t clock, struct timespec *t)
{
    int rc = __real_clock_gettime(clock, t);

    if (clock == CLOCK_BOOTTIME)
        t->tv_sec += atomic_load(&slept_s);
    return rc;
}

/* The refresher does its work a hundred times a second. */
int __wrap_pthread_cond_timedwait(pthread_cond_t *c, pthread_mutex_t *m,
                                  const struct timespec *until)
{
    struct timespec soon;

    (void)until;
    __real_clock_gettime(CLOCK_REALTIME, &soon);
    soon.tv_nsec += 10000000;
    if (soon.tv_nsec >= 1000000000) {
        soon.tv_nsec -= 1000000000;
        soon.tv_sec++;
    }
    return __real_pthread_cond_timedwait(c, m, &soon);
}

static struct id lock_file(struct repo *r)
{
    struct id id;

    pthread_mutex_lock(&r->lock_mu);
    id = r->lock.file;
    pthread_mutex_unlock(&r->lock_mu);
    return id;
}

/* Until the refresher has made another lock file, `times` times. */
static void wait_for_refresh(struct repo *r, int times)
{
    int64_t until = clock_monotonic_ms() + WAIT_MS;

    while (times-- > 0) {
        struct id old = lock_file(r), now = old;

        while (id_equal(&old, &now)) {
            assert_true(clock_monotonic_ms() < until);
            usleep(1000);
            now = lock_file(r);
        }
    }
}

static void check_lost(struct repo *r, struct snapshot *s)
{
    struct error err = {0};

    assert_int_equal(repo_snapshot_save(r, s, &err), OCM_E_LOCKED);
    assert_non_null(strstr(err.text, "lost"));
    /* who comes now would be taken for one of those that must go */
    assert_int_equal(repo_lock(r, false, NULL), OCM_E_LOCKED);
    repo_unlock(r);
    OK(repo_lock(r, false, e));
    OK(repo_snapshot_save(r, s, e));
    repo_unlock(r);
}

static struct snapshot begin(struct repo *r, struct repo_writer *w)
{
    struct snapshot s = {0};

    OK(repo_lock(r, false, e));
    s.tree = put_sample(w, 1, 1000);
    OK(repo_writer_flush(w, e));
    return s;
}

static void a_host_that_slept(void **state)
{
    struct repo *r = bench_open(*state);
    struct repo_writer *w = repo_writer_new(r, "n1");
    struct snapshot s = begin(r, w);

    wait_for_refresh(r, 2);
    OK(lock_still_held(r, e));
    atomic_fetch_add(&slept_s, 3600);
    wait_for_refresh(r, 2);
    check_lost(r, &s);
    repo_writer_free(w);
    repo_close(r);
}

static void a_lock_that_was_removed(void **state)
{
    struct repo *r = bench_open(*state);
    struct repo_writer *w = repo_writer_new(r, "n1");
    struct snapshot s = begin(r, w);
    char name[REPO_NAME_MAX + 1];

    pthread_mutex_lock(&r->lock_mu);
    object_name("locks", &r->lock.file, name);
    OK(store_delete(r->store, name, e));
    pthread_mutex_unlock(&r->lock_mu);
    wait_for_refresh(r, 2);
    check_lost(r, &s);
    repo_writer_free(w);
    repo_close(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_host_that_slept, bench_setup,
                                        bench_teardown),
        cmocka_unit_test_setup_teardown(a_lock_that_was_removed, bench_setup,
                                        bench_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
