/* SPDX-License-Identifier: MIT */
/* A capture that ends before its end: what it leaves, and that the next one
 * is whole. */
#include "world.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "common/base/files.h"
#include "common/base/mem.h"

static void make_node(struct world *w)
{
    world_mkdir(w, "d");
    world_mkdir(w, "d/e");
    world_write(w, "d/e/one", "1");
    world_write(w, "d/two", "2");
    world_write_random(w, "large", 3 * CHUNK_AVG);
    world_write(w, "three", "3");
}

static void forget(struct world *w)
{
    idset_free(&w->known);
    for (size_t i = 0; i < w->blob_cap; i++) {
        free(w->blobs[i].data);
        w->blobs[i].data = NULL;
    }
    w->blob_count = 0;
}

static void assert_nothing_left(struct world *w)
{
    char *fresh = mem_printf("%s.new", w->cache);
    DIR *d = opendir(w->temp);

    assert_false(file_exists(fresh));
    free(fresh);
    for (struct dirent *f; d && (f = readdir(d)) != NULL;)
        assert_int_equal(f->d_name[0], '.');
    if (d)
        closedir(d);
}

static void every_put_may_fail(void **state)
{
    struct world *w = *state;
    uint64_t all;

    make_node(w);
    world_backup(w);
    all = w->puts;
    assert_true(all > 8);
    for (uint64_t n = 1; n <= all; n++) {
        forget(w);
        w->o.reread = true;
        w->fail_put = n;
        assert_int_equal(world_run(w), OCM_E_CLOSED);
        assert_string_equal(w->e.text, "the link is gone");
        assert_int_equal(w->puts, n); /* and none after it */
        assert_nothing_left(w);
    }
    forget(w);
    w->fail_put = 0;
    world_backup(w);
    world_assert_same(w, "data/home", w->src);
}

static void every_put_may_cancel(void **state)
{
    struct world *w = *state;
    uint64_t all;

    make_node(w);
    world_backup(w);
    all = w->puts;
    for (uint64_t n = 1; n <= all; n++) {
        forget(w);
        w->o.reread = true;
        w->cancel_put = n;
        atomic_store(&w->cancelled, false);
        assert_int_equal(world_run(w), OCM_E_CANCELLED);
        assert_nothing_left(w);
    }
    forget(w);
    w->cancel_put = 0;
    atomic_store(&w->cancelled, true);
    assert_int_equal(world_run(w), OCM_E_CANCELLED);
    assert_int_equal(w->puts, 0);
}

static enum capture_choice cancel_at(void *arg, const char *rel, bool is_dir)
{
    struct world *w = arg;

    (void)is_dir;
    if (strcmp(rel, w->hook) == 0)
        atomic_store(&w->cancelled, true);
    return CAPTURE_TAKE;
}

static void cancelled_at_every_entry(void **state)
{
    static const char *const points[] = {"d",     "d/e",   "d/e/one",
                                         "d/two", "large", "three"};
    struct world *w = *state;

    make_node(w);
    w->roots[0].choose = cancel_at;
    w->roots[0].arg = w;
    for (size_t i = 0; i + 1 < ARRAY_LEN(points); i++) {
        char name[16];

        snprintf(name, sizeof(name), "%s", points[i]);
        w->hook = name;
        forget(w);
        atomic_store(&w->cancelled, false);
        assert_int_equal(world_run(w), OCM_E_CANCELLED);
        assert_nothing_left(w);
    }
}

static int no_meta(void *arg, const struct capture_result *r, struct buf *out,
                   struct error *e)
{
    (void)arg;
    (void)r;
    (void)out;
    return error_set(e, OCM_E_FAILED, "no facts");
}

static void meta_may_fail(void **state)
{
    struct world *w = *state;

    make_node(w);
    w->o.make_meta = no_meta;
    assert_int_equal(world_run(w), OCM_E_FAILED);
    assert_nothing_left(w);
}

static void no_place_for_temp_is_said(void **state)
{
    struct world *w = *state;

    make_node(w);
    w->o.temp_dir = "/proc/ocm-capture";
    assert_true(world_run(w) < 0);
    assert_true(strlen(w->e.text) > 0);
    assert_int_equal(w->puts, 0);
}

/* What a killed run left holds secrets; what a running one uses is its. */
static void left_overs_are_removed(void **state)
{
    struct world *w = *state;
    char *dead = mem_printf("%s/capture-dead", w->temp);
    char *alive = mem_printf("%s/capture-alive", w->temp);
    int fd;

    make_node(w);
    assert_int_equal(mkdir(w->temp, 0700), 0);
    assert_int_equal(mkdir(dead, 0700), 0);
    assert_int_equal(mkdir(alive, 0700), 0);
    fd = open(alive, O_RDONLY | O_DIRECTORY);
    assert_int_equal(flock(fd, LOCK_EX), 0);
    world_backup(w);
    assert_false(file_exists(dead));
    assert_true(file_exists(alive));
    close(fd);
    world_backup(w);
    assert_false(file_exists(alive));
    free(dead);
    free(alive);
}

static void count_calls(void *arg, const struct capture_progress *p)
{
    struct world *w = arg;

    assert_non_null(p->current);
    w->hook = w; /* called */
}

static void progress_is_told(void **state)
{
    struct world *w = *state;

    make_node(w);
    w->o.on_progress = count_calls;
    world_backup(w);
    assert_ptr_equal(w->hook, w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, world_setup, world_teardown)
        T(every_put_may_fail),        T(every_put_may_cancel),
        T(cancelled_at_every_entry),  T(meta_may_fail),
        T(no_place_for_temp_is_said), T(left_overs_are_removed),
        T(progress_is_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
