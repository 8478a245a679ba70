/* SPDX-License-Identifier: MIT */
/* The second capture, and files that change, go or refuse while we look. */
#include "world.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/capture/cache.h"
#include "common/base/files.h"
#include "common/base/mem.h"

#define LARGE (24u * 1024 * 1024) /* more than reader and ring hold */

static void small_node(struct world *w)
{
    world_mkdir(w, "d");
    world_mkdir(w, "d/e");
    world_write(w, "d/e/one", "1");
    world_write(w, "d/two", "2");
    world_write(w, "three", "3");
}

static void unchanged_is_not_read(void **state)
{
    struct world *w = *state;
    struct id before;

    small_node(w);
    world_backup(w);
    before = w->r.root;
    world_backup(w);
    /* meta.json and the sums are ours and read back; nothing else */
    assert_true(w->r.bytes_read == w->r.bytes - 3);
    assert_int_equal(w->r.files, 5);
    assert_true(w->puts <= 4);
    assert_false(id_equal(&before, &w->r.root)); /* meta.json has a new time */
    world_assert_same(w, "data/home", w->src);
    world_assert_sums(w);
    w->o.reread = true;
    world_backup(w);
    assert_true(w->r.bytes_read == w->r.bytes);
    assert_true(w->puts <= 4);
}

static void fresh_times_are_not_trusted(void **state)
{
    struct world *w = *state;

    small_node(w);
    assert_int_equal(world_run(w), 0);
    assert_int_equal(capture_cache_commit(w->cache, "key", NULL), 0);
    assert_int_equal(world_run(w), 0);
    assert_true(w->r.bytes_read == w->r.bytes);
}

static void every_change_is_noticed(void **state)
{
    struct world *w = *state;
    struct tree_node n;
    struct stat st;
    char *two = world_path(w, "d/two"), *one = world_path(w, "d/e/one");
    char *moved = world_path(w, "d/moved");
    struct timespec times[2];

    small_node(w);
    world_backup(w);
    /* same size and mtime, other content: the ctime tells */
    assert_int_equal(stat(two, &st), 0);
    world_write(w, "d/two", "X");
    times[0] = st.st_atim;
    times[1] = st.st_mtim;
    assert_int_equal(utimensat(AT_FDCWD, two, times, 0), 0);
    world_backup(w);
    world_assert_text(w, "data/home/d/two", "X");
    world_assert_same(w, "data/home", w->src);
    /* only the mode */
    assert_int_equal(chmod(one, 0600), 0);
    world_backup(w);
    assert_true(world_node(w, "data/home/d/e/one", &n));
    assert_int_equal(n.mode, 0600);
    world_assert_same(w, "data/home", w->src);
    /* gone, moved, another kind */
    assert_int_equal(rename(two, moved), 0);
    assert_int_equal(unlink(one), 0);
    assert_int_equal(mkdir(one, 0700), 0);
    world_backup(w);
    world_assert_same(w, "data/home", w->src);
    world_assert_sums(w);
    assert_int_equal(rmdir(one), 0);
    world_backup(w);
    world_assert_same(w, "data/home", w->src);
    free(one);
    free(two);
    free(moved);
}

/* What the repository lost since is sent again. */
static void unknown_ids_are_not_reused(void **state)
{
    struct world *w = *state;

    small_node(w);
    world_backup(w);
    idset_free(&w->known);
    for (size_t i = 0; i < w->blob_cap; i++) {
        free(w->blobs[i].data);
        w->blobs[i].data = NULL;
    }
    w->blob_count = 0;
    world_backup(w);
    assert_true(w->r.bytes_read == w->r.bytes);
    world_assert_same(w, "data/home", w->src);
}

/* --- while we read */

static void append_once(struct world *w, uint64_t n)
{
    int fd;

    if (n != 1)
        return;
    fd = open(w->hook, O_WRONLY | O_APPEND);
    assert_int_equal(write(fd, "more", 4), 4);
    close(fd);
}

static void growing_is_a_prefix(void **state)
{
    struct world *w = *state;
    struct tree_node n;
    char *p = world_path(w, "log");

    world_write_random(w, "log", LARGE);
    w->hook = p;
    w->on_put = append_once;
    world_backup(w);
    assert_int_equal(w->r.problems_total, 0);
    assert_true(world_node(w, "data/home/log", &n));
    assert_true(n.size == LARGE || n.size == LARGE + 4);
    /* it is read again next time, whatever its times say */
    w->on_put = NULL;
    world_backup(w);
    world_assert_same(w, "data/home", w->src);
    free(p);
}

static void truncate_once(struct world *w, uint64_t n)
{
    if (n == 1)
        assert_int_equal(truncate(w->hook, 1000), 0);
}

static void cut_off_is_read_again(void **state)
{
    struct world *w = *state;
    char *p = world_path(w, "log");

    world_write_random(w, "log", LARGE);
    w->hook = p;
    w->on_put = truncate_once;
    world_backup(w);
    assert_int_equal(w->r.problems_total, 0);
    world_assert_same(w, "data/home", w->src);
    free(p);
}

static void replace_once(struct world *w, uint64_t n)
{
    if (n == 1) {
        world_write(w, "new", "the new one");
        char *p = world_path(w, "new");

        assert_int_equal(rename(p, w->hook), 0);
        free(p);
    }
}

static void replaced_is_read_anew(void **state)
{
    struct world *w = *state;
    char *p = world_path(w, "config.json");

    world_write_random(w, "config.json", LARGE);
    w->hook = p;
    w->on_put = replace_once;
    world_backup(w);
    assert_int_equal(w->r.problems_total, 0);
    world_assert_text(w, "data/home/config.json", "the new one");
    free(p);
}

static void scribble(struct world *w, uint64_t n)
{
    int fd = open(w->hook, O_WRONLY);

    /* at the start: each try reads another first byte */
    assert_int_equal(pwrite(fd, &n, sizeof(n), 0), sizeof(n));
    close(fd);
}

static void always_changing_is_torn(void **state)
{
    struct world *w = *state;
    char *p = world_path(w, "busy");
    struct tree_node n;

    world_write_random(w, "busy", LARGE);
    world_write(w, "calm", "calm");
    w->hook = p;
    w->on_put = scribble;
    world_backup(w);
    assert_true(world_has_problem(w, "data/home/busy", "changed while read"));
    assert_int_equal(w->r.sections[0].state, CAPTURE_PARTIAL);
    assert_true(w->r.partial);
    assert_true(world_node(w, "data/home/busy", &n));
    assert_int_equal(n.size, LARGE);
    world_assert_text(w, "data/home/calm", "calm");
    world_assert_sums(w);
    /* it is not believed next time, and neither is its folder */
    w->on_put = NULL;
    world_backup(w);
    assert_int_equal(w->r.problems_total, 0);
    world_assert_same(w, "data/home", w->src);
    free(p);
}

static enum capture_choice unlink_b(void *arg, const char *rel, bool is_dir)
{
    (void)is_dir;
    if (strcmp(rel, "b") == 0)
        unlink(arg);
    if (strcmp(rel, "c") == 0) {
        rmdir((char *)arg + strlen(arg) + 1);
    }
    return CAPTURE_TAKE;
}

/* Between the look at a name and its opening. */
static void vanished_is_no_problem(void **state)
{
    struct world *w = *state;
    char *b = world_path(w, "b"), *c = world_path(w, "c");
    char both[200];

    memcpy(both, b, strlen(b) + 1);
    memcpy(both + strlen(b) + 1, c, strlen(c) + 1);
    world_write(w, "a", "a");
    world_write(w, "b", "b");
    world_mkdir(w, "c");
    w->roots[0].choose = unlink_b;
    w->roots[0].arg = both;
    world_backup(w);
    assert_int_equal(w->r.problems_total, 0);
    assert_int_equal(w->r.sections[0].files, 1);
    world_assert_same(w, "data/home", w->src);
    free(b);
    free(c);
}

static enum capture_choice rename_some(void *arg, const char *rel, bool is_dir)
{
    struct world *w = arg;
    char *from = world_path(w, rel);
    char *to = world_path(w, strcmp(rel, "b") == 0 ? "a0" : "a1");

    (void)is_dir;
    if (strcmp(rel, "b") == 0 || strcmp(rel, "c") == 0)
        assert_int_equal(rename(from, to), 0);
    if (strcmp(rel, "d") == 0 && !w->hook) { /* gone first, then back */
        w->hook = w;
        assert_int_equal(unlink(from), 0);
    }
    if (strcmp(rel, "e") == 0)
        world_write(w, "d", "new d");
    free(from);
    free(to);
    return CAPTURE_TAKE;
}

/* What was there all the time, under one name or the other, is stored. */
static void renamed_is_not_lost(void **state)
{
    struct world *w = *state;

    world_write(w, "a", "a");
    world_write(w, "b", "b");
    world_mkdir(w, "c");
    world_write(w, "c/in", "in");
    world_write(w, "d", "d");
    world_write(w, "e", "e");
    w->roots[0].choose = rename_some;
    w->roots[0].arg = w;
    world_backup(w);
    assert_int_equal(w->r.problems_total, 0);
    world_assert_text(w, "data/home/a0", "b");
    world_assert_text(w, "data/home/a1/in", "in");
    world_assert_text(w, "data/home/d", "new d");
    assert_int_equal(w->r.sections[0].files, 5);
    world_assert_same(w, "data/home", w->src);
    world_assert_sums(w);
    w->roots[0].choose = NULL;
    for (int i = 0; i < 2; i++) {
        world_backup(w);
        world_assert_same(w, "data/home", w->src);
        world_assert_sums(w);
    }
    assert_true(w->r.bytes_read == w->r.bytes - 10); /* only our own files */
}

/* A workspace on a disk that is not there, say. */
static void link_to_nothing_is_a_problem(void **state)
{
    struct world *w = *state;
    char *link = world_path(w, "link");
    struct tree_node n;

    assert_int_equal(symlink("/nonexistent/disk", link), 0);
    w->roots[0].path = link;
    world_backup(w);
    assert_true(world_has_problem(w, "data/home", "leads to nothing"));
    assert_true(w->r.partial);
    assert_true(world_node(w, "data/home", &n));
    assert_int_equal(n.type, TREE_SYMLINK);
    free(link);
}

static enum capture_choice swap_b(void *arg, const char *rel, bool is_dir)
{
    (void)is_dir;
    if (strcmp(rel, "b") == 0) {
        unlink(arg);
        assert_int_equal(symlink("/etc/passwd", arg), 0);
    }
    if (strcmp(rel, "c") == 0) {
        unlink((char *)arg + strlen(arg) + 1);
        assert_int_equal(mkfifo((char *)arg + strlen(arg) + 1, 0600), 0);
    }
    return CAPTURE_TAKE;
}

/* A file that becomes a link or a pipe is neither followed nor waited for. */
static void swapped_is_not_followed(void **state)
{
    struct world *w = *state;
    char *b = world_path(w, "b"), *c = world_path(w, "c");
    struct tree_node n;
    char both[200];

    memcpy(both, b, strlen(b) + 1);
    memcpy(both + strlen(b) + 1, c, strlen(c) + 1);
    world_write(w, "b", "b");
    world_write(w, "c", "c");
    w->roots[0].choose = swap_b;
    w->roots[0].arg = both;
    world_backup(w);
    assert_false(world_node(w, "data/home/b", &n));
    assert_false(world_node(w, "data/home/c", &n));
    assert_int_equal(w->r.problems_total, 2);
    free(b);
    free(c);
}

#define AHEAD_TEST_FILES 60

struct rewrite {
    struct world *w;
    unsigned asked[AHEAD_TEST_FILES];
};

/* Asked first to read ahead, then when the file has its turn: rewritten then,
 * odd ones in place, even ones by another file. */
static enum capture_choice rewrite_when_due(void *arg, const char *rel,
                                            bool is_dir)
{
    struct rewrite *r = arg;
    unsigned i = (unsigned)strtoul(rel + 1, NULL, 10);
    char *path, *other;

    if (is_dir || ++r->asked[i] != 2)
        return CAPTURE_TAKE;
    if (i % 2) {
        world_write(r->w, rel, "after!");
        return CAPTURE_TAKE;
    }
    world_write(r->w, "other", "after!");
    path = world_path(r->w, rel);
    other = world_path(r->w, "other");
    assert_int_equal(rename(other, path), 0);
    free(path);
    free(other);
    return CAPTURE_TAKE;
}

/* What was read before its turn is judged when it has it. */
static void read_ahead_is_not_believed(void **state)
{
    struct world *w = *state;
    struct rewrite r = {.w = w};
    unsigned rewritten = 0;
    char name[16];

    for (unsigned i = 0; i < AHEAD_TEST_FILES; i++) {
        snprintf(name, sizeof(name), "f%02u", i);
        world_write(w, name, "before");
    }
    w->roots[0].choose = rewrite_when_due;
    w->roots[0].arg = &r;
    world_backup(w);
    for (unsigned i = 0; i < AHEAD_TEST_FILES; i++)
        rewritten += r.asked[i] == 2;
    assert_true(rewritten > AHEAD_TEST_FILES / 2); /* they were read ahead */
    assert_int_equal(w->r.problems_total, 0);
    world_assert_same(w, "data/home", w->src);
    world_assert_sums(w);
}

/* --- what refuses */

static int as_nobody(struct world *w)
{
    int problems;

    if (getuid() == 0 && (setgid(65534) < 0 || setuid(65534) < 0))
        return 1;
    w->o.cache_path = NULL;
    if (world_run(w) < 0) {
        fprintf(stderr, "%s\n", w->e.text);
        return 2;
    }
    problems = world_has_problem(w, "data/home/secret", "Permission denied") +
               world_has_problem(w, "data/home/closed", "Permission denied");
    if (problems != 2 || w->r.problems_total != 2)
        return 3;
    if (w->r.sections[0].state != CAPTURE_PARTIAL || w->r.files != 4)
        return 4;
    return 0;
}

static void unreadable_costs_itself_only(void **state)
{
    struct world *w = *state;
    char *secret = world_path(w, "secret"), *closed = world_path(w, "closed");
    int status;
    pid_t pid;

    world_write(w, "a", "a");
    world_write(w, "secret", "s");
    world_mkdir(w, "closed");
    world_write(w, "closed/in", "x");
    world_write(w, "z", "z");
    assert_int_equal(chmod(secret, 0), 0);
    assert_int_equal(chmod(closed, 0), 0);
    assert_int_equal(chmod(w->dir, 0777), 0);
    assert_int_equal(chmod(w->src, 0755), 0);
    pid = fork();
    if (pid == 0)
        _exit(as_nobody(w));
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    assert_int_equal(chmod(closed, 0700), 0);
    free(secret);
    free(closed);
}

static void devices_are_named(void **state)
{
    struct world *w = *state;
    char *p = world_path(w, "null");
    struct tree_node n;
    bool made = mknod(p, S_IFCHR | 0666, 0x103) == 0;

    free(p);
    if (!made)
        skip(); /* needs root */
    world_write(w, "a", "a");
    world_backup(w);
    assert_true(world_has_problem(w, "data/home/null", "device node"));
    assert_false(world_node(w, "data/home/null", &n));
    world_assert_text(w, "data/home/a", "a");
}

static void mounts_are_not_crossed(void **state)
{
    struct world *w = *state;
    char *p = world_path(w, "mnt");
    struct tree_node n;

    world_mkdir(w, "mnt");
    world_write(w, "a", "a");
    if (mount("none", p, "tmpfs", 0, "size=64k") < 0) {
        free(p);
        skip(); /* needs root */
    }
    world_write(w, "mnt/x", "x");
    world_backup(w);
    assert_int_equal(umount(p), 0);
    assert_true(world_has_problem(w, "data/home/mnt", "file system"));
    assert_false(world_node(w, "data/home/mnt", &n));
    world_assert_text(w, "data/home/a", "a");
    free(p);
}

/* --- the list of the last backup */

/* Any one byte of it other: ignored, or the same snapshot. */
static void damaged_cache_costs_time_only(void **state)
{
    struct world *w = *state;
    struct buf good = {0};
    struct tree_node n;
    struct id want;

    small_node(w);
    world_backup(w);
    world_backup(w);
    assert_true(world_node(w, "data", &n));
    want = n.subtree;
    assert_int_equal(file_read(w->cache, 1 << 20, &good, NULL), 0);
    assert_true(good.len < 2000);
    for (size_t i = 0; i <= good.len; i++) {
        if (i < good.len)
            good.data[i] ^= 0x15;
        /* the last round: cut off */
        world_write_cache(w, good.data, i < good.len ? good.len : good.len / 2);
        assert_int_equal(world_run(w), 0);
        assert_true(world_node(w, "data", &n));
        assert_true(id_equal(&n.subtree, &want));
        assert_true(w->r.bytes_read == w->r.bytes);
        if (i < good.len)
            good.data[i] ^= 0x15;
    }
    buf_free(&good);
}

static void foreign_cache_is_not_used(void **state)
{
    struct world *w = *state;
    uint8_t other[CHUNKER_SEED_LEN] = {7};

    small_node(w);
    world_backup(w);
    w->o.cache_key = "another node";
    assert_int_equal(world_run(w), 0);
    assert_true(w->r.bytes_read == w->r.bytes);
    w->o.cache_key = "key";
    w->o.chunk_seed = other;
    assert_int_equal(world_run(w), 0);
    assert_true(w->r.bytes_read == w->r.bytes);
    assert_int_equal(unlink(w->cache), 0);
    assert_int_equal(world_run(w), 0);
}

/* A list that was written, but whose snapshot never came to be. */
static void uncommitted_cache_is_not_used(void **state)
{
    struct world *w = *state;
    char *fresh = mem_printf("%s.new", w->cache);

    small_node(w);
    assert_int_equal(world_run(w), 0);
    assert_true(file_exists(fresh));
    assert_int_equal(rename(fresh, w->cache), 0);
    world_age_cache(w);
    assert_int_equal(world_run(w), 0);
    assert_true(w->r.bytes_read == w->r.bytes);
    unlink(fresh);
    assert_true(capture_cache_commit(w->cache, "key", &w->e) < 0);
    free(fresh);
}

static void walk_order(void **state)
{
    static const char *const sorted[] = {
        "a/a",  "a/b/c", "a/b/d/e", "a/b/d", "a/b/e", "a/b",   "a/b-c",
        "a/b0", "a",     "a-",      "a.b",   "a0",    "b\xff", "",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(sorted); i++) {
        for (size_t k = 0; k < ARRAY_LEN(sorted); k++) {
            int want = i < k ? -1 : i > k;

            assert_int_equal(cache_order(sorted[i], strlen(sorted[i]),
                                         sorted[k], strlen(sorted[k])),
                             want);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, world_setup, world_teardown)
        T(unchanged_is_not_read),
        T(fresh_times_are_not_trusted),
        T(every_change_is_noticed),
        T(unknown_ids_are_not_reused),
        T(growing_is_a_prefix),
        T(cut_off_is_read_again),
        T(replaced_is_read_anew),
        T(always_changing_is_torn),
        T(vanished_is_no_problem),
        T(renamed_is_not_lost),
        T(link_to_nothing_is_a_problem),
        T(swapped_is_not_followed),
        T(read_ahead_is_not_believed),
        T(unreadable_costs_itself_only),
        T(devices_are_named),
        T(mounts_are_not_crossed),
        T(damaged_cache_costs_time_only),
        T(foreign_cache_is_not_used),
        T(uncommitted_cache_is_not_used),
        cmocka_unit_test(walk_order),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
