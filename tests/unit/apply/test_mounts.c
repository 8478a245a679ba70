/* SPDX-License-Identifier: MIT */
/* Targets that cannot be renamed as one: mount points, volumes inside the
 * state, overlayfs, bind-mounted files, a full disk. In a mount namespace of
 * its own; skipped without the rights for one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/apply/fault.h"
#include "common/base/files.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "world.h"

#define KILLED 137
#define MAX_POINTS 2000

static struct world w;
static bool have_mounts;
static char *mounted[8];
static size_t mount_count;

static void do_mount(const char *from, const char *to, const char *type,
                     unsigned long flags, const char *options)
{
    assert_int_equal(mount(from, to, type, flags, options), 0);
    mounted[mount_count++] = mem_strdup(to);
}

static void unmount_all(void)
{
    while (mount_count > 0) {
        umount2(mounted[--mount_count], MNT_DETACH);
        free(mounted[mount_count]);
    }
}

static int setup(void **state)
{
    (void)state;
    if (!have_mounts)
        return 0;
    world_init(&w);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    if (!have_mounts)
        return 0;
    unmount_all();
    world_fini(&w);
    return 0;
}

static char *in_dir(const char *rel)
{
    return path_join(w.dir, rel);
}

/* Plan and run, as the node stands. */
static int run(struct apply_result *r, struct error *e)
{
    struct apply_options o = world_options(&w);
    struct id agreed = world_agree(&w, &o);

    return apply_run(&o, &agreed, r, e);
}

static void check_same(struct id a, struct id b)
{
    if (!id_equal(&a, &b)) {
        tree_dump(w.state);
        tree_dump(w.ws);
    }
    assert_true(id_equal(&a, &b));
}

/* The node as mounted: there and back by a failed health check, then there. */
static void back_and_forth(struct id origin)
{
    struct apply_result r;
    struct error e = {0};
    struct id before;

    fake_set("running", false);
    world_change(&w);
    before = world_hash(&w, false);
    fake.unhealthy_at = 1;
    assert_int_equal(run(&r, &e), OCM_E_UNHEALTHY);
    if (strcmp(r.state, "rolled-back") != 0)
        print_message("%s: %s\n", r.state, e.text);
    assert_string_equal(r.state, "rolled-back");
    check_same(world_hash(&w, false), before);
    assert_true(world_is_clean(&w));
    apply_result_fini(&r);

    fake.unhealthy_at = 0;
    memset(&e, 0, sizeof(e));
    if (run(&r, &e) < 0)
        print_message("%s\n", e.text);
    assert_string_equal(r.state, "applied");
    assert_true(world_is_clean(&w));
    assert_non_null(r.kept);
    apply_result_fini(&r);
    check_same(world_hash(&w, true), origin);
}

static void copy(const char *from, const char *to)
{
    const char *argv[] = {"cp", "-a", from, to, NULL};

    assert_int_equal(run_program(argv), 0);
}

static struct id fill_and_back_up(void)
{
    world_fill(&w);
    world_backup(&w);
    return world_hash(&w, true);
}

/* ---- shapes ---- */

static void the_state_is_a_mount_point(void **state)
{
    (void)state;
    if (!have_mounts)
        skip();
    assert_int_equal(mkdir(w.state, 0700), 0);
    do_mount("none", w.state, "tmpfs", 0, "mode=0700");
    back_and_forth(fill_and_back_up());
}

static void a_volume_inside_the_state(void **state)
{
    char *media, *saved;
    struct id origin;

    (void)state;
    if (!have_mounts)
        skip();
    origin = fill_and_back_up();
    /* the same files, now on a volume of their own */
    media = path_join(w.state, "media");
    saved = path_join(w.state, "cache/media");
    copy(media, saved);
    do_mount("none", media, "tmpfs", 0, "mode=0700");
    put_file(media, "inbound/a.bin", "another picture", 0600);
    back_and_forth(origin);
    assert_string_equal(get_file(media, "inbound/a.bin"), "picture");
    assert_null(get_file(media, "inbound/b.bin"));
    unmount_all();
    free(media);
    free(saved);
}

/* Two names of one file, one of them on a volume here: both have it. */
static void a_volume_between_two_names(void **state)
{
    char *deep = path_join(w.ws, "deep");
    struct apply_result r;
    struct error e = {0};

    (void)state;
    if (!have_mounts) {
        free(deep);
        skip();
    }
    fill_and_back_up();
    do_mount("none", deep, "tmpfs", 0, "mode=0755");
    put_file(w.ws, "hard.sh", "changed\n", 0755);
    assert_int_equal(run(&r, &e), 0);
    assert_string_equal(get_file(w.ws, "hard.sh"), "#!/bin/sh\n");
    assert_string_equal(get_file(w.ws, "deep/run.sh"), "#!/bin/sh\n");
    apply_result_fini(&r);
    free(deep);
}

static void the_workspace_is_a_mount_point(void **state)
{
    (void)state;
    if (!have_mounts)
        skip();
    assert_int_equal(mkdir(w.ws, 0700), 0);
    do_mount("none", w.ws, "tmpfs", 0, "mode=0755");
    back_and_forth(fill_and_back_up());
}

static void the_config_is_a_bind_mount(void **state)
{
    char *config = path_join(w.state, "openclaw.json"), *other;
    struct id origin;

    (void)state;
    if (!have_mounts) {
        free(config);
        skip();
    }
    origin = fill_and_back_up();
    other = in_dir("config-elsewhere");
    copy(config, other);
    do_mount(other, config, NULL, MS_BIND, NULL);
    {
        int fd = open(config, O_WRONLY | O_APPEND);

        assert_true(fd >= 0 && write(fd, "// more\n", 8) == 8);
        close(fd);
    }
    back_and_forth(origin);
    free(config);
    free(other);
}

/* Home on overlayfs with the node in its lower layer, as in a container. */
static void mount_overlay(void)
{
    char *options = mem_printf("lowerdir=%s/lower,upperdir=%s/upper/u,"
                               "workdir=%s/upper/w",
                               w.dir, w.dir, w.dir);
    char *upper = in_dir("upper/u"), *work = in_dir("upper/w");
    char *both = in_dir("upper");

    assert_int_equal(tree_remove(both, NULL), 0);
    assert_int_equal(dir_make(upper, 0755, NULL), 0);
    assert_int_equal(dir_make(work, 0755, NULL), 0);
    do_mount("overlay", w.home, "overlay", 0, options);
    free(both);
    free(upper);
    free(work);
    free(options);
}

static void the_node_is_in_a_lower_layer(void **state)
{
    struct id origin;
    char *lower;

    (void)state;
    if (!have_mounts)
        skip();
    origin = fill_and_back_up();
    lower = in_dir("lower");
    copy(w.home, lower);
    free(lower);
    mount_overlay();
    check_same(world_hash(&w, true), origin);
    back_and_forth(origin);
}

/* ---- kills ---- */

static struct apply_options options;
static struct id agreed, before, after;
static int kill_at;

static void on_point(int step)
{
    if (step == kill_at)
        _exit(KILLED);
}

static int apply_once(void)
{
    struct apply_result r;
    struct error e = {0};
    int rc = apply_run(&options, &agreed, &r, &e);

    apply_result_fini(&r);
    return rc;
}

static int in_child(int n)
{
    pid_t pid = fork();
    int status;

    assert_true(pid >= 0);
    if (pid == 0) {
        kill_at = n;
        apply_fault_step = 0;
        apply_fault = on_point;
        _exit(apply_once() == 0 ? 0 : 1);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void reset_layer(void)
{
    unmount_all();
    mount_overlay();
    assert_int_equal(tree_remove(w.work, NULL), 0);
    assert_int_equal(mkdir(w.work, 0700), 0);
    fake_set("running", false);
    fake_set("guard", false);
}

static void killed_in_a_lower_layer(void **state)
{
    char *lower;
    int n;

    (void)state;
    if (!have_mounts)
        skip();
    fill_and_back_up();
    world_change(&w);
    lower = in_dir("lower");
    copy(w.home, lower);
    free(lower);
    mount_overlay();
    before = world_hash(&w, true);
    options = world_options(&w);
    options.no_start = true;
    agreed = world_agree(&w, &options);
    assert_int_equal(apply_once(), 0);
    after = world_hash(&w, true);
    for (n = 1; n < MAX_POINTS; n++) {
        struct buf text = {0};
        struct error e = {0};
        struct id now;

        reset_layer();
        if (in_child(n) == 0)
            break;
        assert_int_equal(apply_recover(&w.conf, w.work, &text, &e), 0);
        now = world_hash(&w, true);
        if (!id_equal(&now, &before))
            check_same(now, after);
        assert_true(world_is_clean(&w));
        assert_false(fake_has("guard"));
        buf_free(&text);
    }
    print_message("%d points\n", n - 1);
    assert_true(n > 50);
}

/* ---- full ---- */

static void a_full_disk_changes_nothing(void **state)
{
    struct id was;

    (void)state;
    if (!have_mounts)
        skip();
    assert_int_equal(mkdir(w.state, 0700), 0);
    do_mount("none", w.state, "tmpfs", 0, "mode=0700,size=4m");
    fill_and_back_up();
    world_change(&w);
    was = world_hash(&w, true);
    /* from "does not even look as if it fits" to "nearly fits" */
    for (int free_kib = 0; free_kib <= 1200; free_kib += 60) {
        struct apply_options o = world_options(&w);
        struct apply_result r;
        struct error e = {0};
        struct id none = {{0}};
        char *fill = path_join(w.state, "cache/filler");
        int fd = open(fill, O_WRONLY | O_CREAT | O_TRUNC, 0600), rc;
        int64_t left;

        while ((left = disk_free(w.state)) > free_kib * 1024)
            if (posix_fallocate(fd, lseek(fd, 0, SEEK_END), 4096) != 0 ||
                lseek(fd, 0, SEEK_END) < 0)
                break;
        close(fd);
        rc = apply_run(&o, &none, &r, &e);
        assert_true(rc == OCM_E_SPACE || rc == OCM_E_CHANGED || rc == -ENOSPC);
        assert_string_equal(r.state, "unchanged");
        check_same(world_hash(&w, true), was);
        apply_result_fini(&r);
        assert_int_equal(unlink(fill), 0);
        free(fill);
        assert_true(world_is_clean(&w));
    }
    assert_int_equal(fake_count("calls", "stop"), 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

/* With an argument, only the tests that this pattern names. */
int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        TEST(the_state_is_a_mount_point),
        TEST(a_volume_inside_the_state),
        TEST(the_workspace_is_a_mount_point),
        TEST(the_config_is_a_bind_mount),
        TEST(a_volume_between_two_names),
        TEST(the_node_is_in_a_lower_layer),
        TEST(killed_in_a_lower_layer),
        TEST(a_full_disk_changes_nothing),
    };

    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    have_mounts = unshare(CLONE_NEWNS) == 0 &&
                  mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
