/* SPDX-License-Identifier: MIT */
/* Unchanged files are read again, in turns: what stat hides is found. */
#include "world.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/capture/cache.h"
#include "common/base/files.h"

#define FILES 40
#define FILE_LEN (100u * 1024)
#define SHARE (1u << 20) /* of a node as small as these */

static void many_files(struct world *w)
{
    char name[16];

    for (int i = 0; i < FILES; i++) {
        snprintf(name, sizeof(name), "f%02d", i);
        world_write_random(w, name, FILE_LEN);
    }
}

static struct stat look(const char *path)
{
    struct stat st;

    assert_int_equal(stat(path, &st), 0);
    return st;
}

static void put_times(uint8_t out[16], const struct stat *st)
{
    struct attr a = attr_of(st);

    write_u32le(out, (uint32_t)a.mtime_ns);
    write_u32le(out + 4, (uint32_t)((uint64_t)a.mtime_ns >> 32));
    write_u32le(out + 8, (uint32_t)a.ctime_ns);
    write_u32le(out + 12, (uint32_t)((uint64_t)a.ctime_ns >> 32));
}

/* Other content of the same length, and a cache that takes it for the old:
 * what a disk does that loses a write. */
static void change_silently(struct world *w, const char *rel)
{
    char *path = world_path(w, rel);
    struct stat before = look(path), after;
    struct timespec times[2] = {before.st_atim, before.st_mtim};
    uint8_t was[16], is[16], *at;
    int fd = open(path, O_WRONLY);
    struct buf b = {0};
    struct id sum;

    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, "\xff", 1, 0), 1);
    close(fd);
    assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
    after = look(path);
    put_times(was, &before);
    put_times(is, &after);
    assert_int_equal(file_read(w->cache, 1 << 28, &b, NULL), 0);
    at = memmem(b.data, b.len, was, sizeof(was));
    assert_non_null(at);
    memcpy(at, is, sizeof(is));
    sum = digest_of(b.data + CACHE_KEY_OFFSET + ID_LEN,
                    b.len - CACHE_KEY_OFFSET - 2 * ID_LEN);
    memcpy(b.data + b.len - ID_LEN, sum.b, ID_LEN);
    world_write_cache(w, b.data, b.len);
    buf_free(&b);
    free(path);
}

static bool is_stored(struct world *w, const char *rel)
{
    char at[64], *path = world_path(w, rel);
    struct buf b = {0};
    uint8_t *got;
    size_t len = 0;
    bool same;

    snprintf(at, sizeof(at), "data/home/%s", rel);
    assert_int_equal(file_read(path, 1 << 28, &b, NULL), 0);
    got = world_content(w, at, &len);
    same = got && len == b.len && memcmp(got, b.data, len) == 0;
    free(got);
    free(path);
    buf_free(&b);
    return same;
}

static void silent_change_is_found(void **state)
{
    struct world *w = *state;

    world_write(w, "one", "1");
    world_write(w, "two", "2");
    world_backup(w);
    change_silently(w, "one");
    world_backup(w); /* the control: size and times say nothing */
    assert_false(is_stored(w, "one"));
    w->o.recheck = true;
    world_backup(w);
    assert_int_equal(w->r.silent_changes, 1);
    assert_int_equal(w->r.files_checked, 1);
    assert_false(w->r.partial);
    assert_true(is_stored(w, "one"));
    world_assert_sums(w);
    world_backup(w);
    assert_int_equal(w->r.silent_changes, 0);
    assert_int_equal(w->r.files_checked, 2);
}

static void all_have_their_turn(void **state)
{
    struct world *w = *state;
    uint64_t checked = 0;
    int backups = 0;

    many_files(w);
    world_backup(w);
    w->o.recheck = true;
    for (; checked < FILES; backups++) {
        world_backup(w);
        assert_in_range(w->r.files_checked, 1, FILES / 3);
        assert_in_range(w->r.bytes_checked, 1, SHARE + FILE_LEN);
        assert_int_equal(w->r.bytes_read, w->r.bytes - FILES * FILE_LEN);
        checked += w->r.files_checked;
    }
    assert_int_equal(checked, FILES); /* none twice before all had it once */
    assert_in_range(backups, 4, 5);
    world_backup(w);
    change_silently(w, "f00"); /* just passed */
    for (backups = 1; w->r.silent_changes == 0; backups++) {
        assert_in_range(backups, 1, 6);
        world_backup(w);
    }
    assert_true(is_stored(w, "f00"));
    world_assert_same(w, "data/home", w->src);
}

/* The turn goes on behind a file that is gone. */
static void the_end_of_a_turn_may_go(void **state)
{
    struct world *w = *state;
    char *path = NULL, name[16];
    uint64_t checked;

    many_files(w);
    world_backup(w);
    w->o.recheck = true;
    world_backup(w);
    checked = w->r.files_checked;
    snprintf(name, sizeof(name), "f%02d", (int)checked - 1);
    path = world_path(w, name);
    assert_int_equal(remove(path), 0);
    while (w->r.bytes_checked > SHARE - FILE_LEN - FILES * 4096) {
        world_backup(w);
        checked += w->r.files_checked;
    }
    assert_int_equal(checked, FILES);
    free(path);
}

static void large_file_is_paid_off(void **state)
{
    struct world *w = *state;

    world_write_random(w, "a", 3 * SHARE + SHARE / 2);
    world_write_random(w, "b", FILE_LEN);
    world_backup(w);
    w->o.recheck = true;
    world_backup(w);
    assert_int_equal(w->r.files_checked, 1);
    assert_int_equal(w->r.bytes_checked, 3 * SHARE + SHARE / 2);
    for (int i = 0; i < 2; i++) {
        world_backup(w);
        assert_int_equal(w->r.files_checked, 0);
    }
    world_backup(w);
    assert_int_equal(w->r.files_checked, 1); /* "b" */
    assert_int_equal(w->r.bytes_checked, FILE_LEN);
}

/* A backup of a part, or one that reads all, leaves the turn where it was. */
static void turn_is_kept(void **state)
{
    struct world *w = *state;
    uint64_t first;

    many_files(w);
    world_backup(w);
    w->o.recheck = true;
    world_backup(w);
    first = w->r.files_checked;
    w->o.recheck = false;
    world_backup(w);
    assert_int_equal(w->r.files_checked, 0);
    w->o.reread = true;
    world_backup(w);
    w->o.reread = false;
    w->o.recheck = true;
    change_silently(w, "f00");
    world_backup(w);
    assert_int_equal(w->r.silent_changes, 0); /* it is behind f00 */
    assert_in_range(w->r.files_checked, 1, first);
}

#define T(f) cmocka_unit_test_setup_teardown(f, world_setup, world_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(silent_change_is_found),
        T(all_have_their_turn),
        T(the_end_of_a_turn_may_go),
        T(large_file_is_paid_off),
        T(turn_is_kept),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
