/* SPDX-License-Identifier: MIT */
/* Killed at every point of an apply, and of each recovery from that: the node
 * is as before or as after, never a mix, and the gateway was never started in
 * between. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/apply/fault.h"
#include "common/base/files.h"
#include "common/base/mem.h"
#include "world.h"

#define KILLED 137
#define MAX_POINTS 2000

static struct world w;
static struct id before, after, agreed;
static struct apply_options options;
static int kill_at;

static void on_point(int step)
{
    if (step == kill_at)
        _exit(KILLED);
}

/* Everything loose, since a running gateway writes; and whole, when it does
 * not run yet: then it must be exactly as before. */
static bool is_whole(void)
{
    struct id now = world_hash(&w, true);

    return id_equal(&now, &before) || id_equal(&now, &after);
}

static int apply_once(void)
{
    struct apply_result r;
    struct error e = {0};
    int rc = apply_run(&options, &agreed, &r, &e);

    if (rc < 0)
        fprintf(stderr, "apply: %s\n", e.text);
    apply_result_fini(&r);
    return rc;
}

static int recover_once(void)
{
    struct buf text = {0};
    struct error e = {0};
    int rc = apply_recover(&w.conf, w.work, &text, &e);

    if (rc < 0)
        fprintf(stderr, "recover: %s\n", e.text);
    buf_free(&text);
    return rc;
}

/* Run in a child that dies at point `n`: KILLED, or 0 when it came through. */
static int in_child(int (*what)(void), int n)
{
    pid_t pid;
    int status;

    fflush(NULL);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        kill_at = n;
        apply_fault_step = 0;
        apply_fault = on_point;
        _exit(what() == 0 ? 0 : 1);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_true(WEXITSTATUS(status) == KILLED || WEXITSTATUS(status) == 0);
    return WEXITSTATUS(status);
}

/* An OpenClaw of September, for a state of May. */
static void put_openclaw(void)
{
    static char command[400];

    snprintf(command, sizeof(command), "%s/npm/bin/openclaw", w.home);
    put_file(w.home, "npm/package.json",
             "{\"name\":\"openclaw\",\"version\":\"2026.9.6\"}", 0644);
    put_file(w.home, "npm/bin/openclaw", "#!/bin/sh\n", 0755);
    w.conf.bin = command;
}

static void begin(bool running, bool upgrade)
{
    struct apply_result r;
    struct error e = {0};

    world_init(&w);
    world_fill(&w);
    if (upgrade)
        put_file(w.state, "openclaw.json",
                 "{meta:{lastTouchedVersion:\"2026.5.28\"}}", 0600);
    world_backup(&w);
    if (upgrade)
        put_openclaw();
    world_change(&w);
    world_save(&w);
    options = world_options(&w);
    options.upgrade_state = upgrade;
    fake.pollutes = true;
    before = world_hash(&w, true);
    fake_set("running", running);
    agreed = world_agree(&w, &options);
    assert_int_equal(apply_run(&options, &agreed, &r, &e), 0);
    apply_result_fini(&r);
    after = world_hash(&w, true);
    assert_false(id_equal(&before, &after));
    assert_int_equal(fake_count("calls", "upgrade"), upgrade);
    fake.is_whole = is_whole;
}

static void reset(bool running)
{
    world_reset(&w);
    fake_set("running", running);
}

/* As it must be when all is over, whichever way it went. */
static void check_settled(bool running, int n, int m)
{
    struct id now = world_hash(&w, true);
    bool is_before = id_equal(&now, &before);

    if (!is_before && !id_equal(&now, &after)) {
        print_message("mixed after being killed at %d, %d\n", n, m);
        tree_dump(w.state);
        tree_dump(w.ws);
    }
    assert_true(is_before || id_equal(&now, &after));
    assert_false(fake_has("guard"));
    assert_false(fake_has("violation"));
    assert_true(world_is_clean(&w));
    /* after: the commit mark says the gateway runs; before: as it was */
    assert_int_equal(fake_has("running"), is_before ? running : true);
}

static void killed_anywhere(bool running, bool upgrade)
{
    bool seen_before = false, seen_after = false;
    int n;

    begin(running, upgrade);
    for (n = 1; n < MAX_POINTS; n++) {
        struct id now;

        reset(running);
        if (in_child(apply_once, n) == 0)
            break;
        assert_int_equal(recover_once(), 0);
        check_settled(running, n, 0);
        now = world_hash(&w, true);
        seen_before |= id_equal(&now, &before);
        seen_after |= id_equal(&now, &after);
        /* a second recovery finds nothing to do */
        assert_int_equal(recover_once(), 0);
        check_settled(running, n, 0);
    }
    print_message("%d points\n", n - 1);
    assert_true(n > 40 && n < MAX_POINTS);
    assert_true(seen_before && seen_after);
    world_fini(&w);
}

static void killed_anywhere_with_a_running_gateway(void **state)
{
    (void)state;
    killed_anywhere(true, false);
}

static void killed_anywhere_with_a_stopped_gateway(void **state)
{
    (void)state;
    killed_anywhere(false, false);
}

static void killed_anywhere_with_an_upgrade(void **state)
{
    (void)state;
    killed_anywhere(true, true);
}

/* The strict form of "before": nothing at all is different, as long as no
 * gateway was started on the new state. */
static void before_is_exactly_before(void **state)
{
    struct id strict;
    int n;

    (void)state;
    begin(false, false);
    fake.pollutes = false;
    reset(false);
    strict = world_hash(&w, false);
    for (n = 1; n < MAX_POINTS; n++) {
        struct id now, loose;

        reset(false);
        if (in_child(apply_once, n) == 0)
            break;
        assert_int_equal(recover_once(), 0);
        loose = world_hash(&w, true);
        if (id_equal(&loose, &after))
            continue;
        now = world_hash(&w, false);
        assert_true(id_equal(&now, &strict));
    }
    world_fini(&w);
}

/* One kill of the apply, then the recovery from exactly that, killed at each
 * of its own points. */
static int recoveries_of(int n)
{
    int m, rc = KILLED;

    reset(true);
    if (in_child(apply_once, n) == 0)
        return -1;
    world_keep_crashed(&w);
    for (m = 1; m < MAX_POINTS && rc == KILLED; m++) {
        if (m > 1)
            world_back_to_crashed(&w);
        rc = in_child(recover_once, m);
        if (rc == KILLED)
            assert_int_equal(recover_once(), 0);
        check_settled(true, n, m);
    }
    return m - 1;
}

/* Neighbours mostly leave the same on the disk: every `step`th will do. */
static void recoveries_killed(bool upgrade, int step)
{
    int n, pairs = 0, one;

    begin(true, upgrade);
    for (n = 1; n < MAX_POINTS && (one = recoveries_of(n)) >= 0; n += step)
        pairs += one;
    print_message("%d pairs\n", pairs);
    assert_true(pairs > 150);
    world_fini(&w);
}

static void recovery_killed_anywhere(void **state)
{
    (void)state;
    recoveries_killed(false, 3);
}

static void recovery_of_an_upgrade_killed_anywhere(void **state)
{
    (void)state;
    recoveries_killed(true, 6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(killed_anywhere_with_a_running_gateway),
        cmocka_unit_test(killed_anywhere_with_a_stopped_gateway),
        cmocka_unit_test(killed_anywhere_with_an_upgrade),
        cmocka_unit_test(before_is_exactly_before),
        cmocka_unit_test(recovery_killed_anywhere),
        cmocka_unit_test(recovery_of_an_upgrade_killed_anywhere),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
