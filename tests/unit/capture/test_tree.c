/* SPDX-License-Identifier: MIT */
/* What is stored is what lies there: every kind of entry, every place. */
#include "world.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "common/base/text.h"

static void all_kinds(void **state)
{
    struct world *w = *state;
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    struct tree_node a, b;
    char *p;
    int s;

    world_mkdir(w, "sub");
    world_mkdir(w, "sub/empty");
    world_write(w, "sub/a.txt", "hello");
    world_write(w, "sub/a-b", "sorts before a.txt? '-' is below '.'");
    world_write(w, "sub/zero", "");
    world_write_random(w, "sub/half", CHUNK_WHOLE - 1);
    world_write_random(w, "sub/whole", CHUNK_WHOLE);
    world_write_random(w, "sub/large", 9 * 1024 * 1024 + 7);
    p = world_path(w, "sub/fifo");
    assert_int_equal(mkfifo(p, 0610), 0);
    free(p);
    p = world_path(w, "sub/loop");
    assert_int_equal(symlink("loop", p), 0);
    free(p);
    p = world_path(w, "out");
    assert_int_equal(symlink("/etc/passwd", p), 0);
    free(p);
    p = world_path(w, "up");
    assert_int_equal(symlink("..", p), 0);
    free(p);
    world_write(w, "bad\xff\xfename", "bytes");
    world_write(w, "new\nline\\", "escaped");
    p = world_path(w, "sub/a.txt");
    char *q = world_path(w, "z-link");
    assert_int_equal(link(p, q), 0);
    assert_int_equal(chmod(p, 04751), 0);
    free(p);
    free(q);
    p = world_path(w, "sock");
    memcpy(addr.sun_path, p, strlen(p) + 1);
    s = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(s, (struct sockaddr *)&addr, sizeof(addr)), 0);
    free(p);

    world_backup(w);
    close(s);
    assert_int_equal(w->r.problems_total, 0);
    assert_int_equal(w->r.sections[0].state, CAPTURE_COMPLETE);
    assert_int_equal(w->r.sections[0].files, 9);
    assert_int_equal(w->meta_calls, 1);
    world_assert_same(w, "data/home", w->src);
    world_assert_sums(w);
    assert_true(world_node(w, "data/home/z-link", &a));
    assert_true(world_node(w, "data/home/sub/a.txt", &b));
    assert_true(a.inode == b.inode && a.device_id == b.device_id);
    assert_int_equal(a.links, 2);
    /* the content of the two names was read once */
    assert_int_equal(w->r.bytes_read + 5, w->r.bytes);
}

static void own_folders_are_fixed(void **state)
{
    static const char *const paths[] = {"data", "verify"};
    struct world *w = *state;
    struct tree_node n;

    world_write(w, "f", "x");
    assert_int_equal(chmod(w->src, 0711), 0);
    world_backup(w);
    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        assert_true(world_node(w, paths[i], &n));
        assert_int_equal(n.type, TREE_DIR);
        assert_int_equal(n.mode, 0700);
        assert_int_equal(n.mtime_ns, 0);
        assert_int_equal(n.uid, getuid());
    }
    assert_true(world_node(w, "data/home", &n));
    assert_int_equal(n.mode, 0711);
    world_assert_text(w, "meta.json", "{\"files\":1}\n");
}

/* Values of all sizes, more than a buffer holds at once. */
static void attributes_are_kept(void **state)
{
    static const size_t sizes[] = {0, 1, 6, 300, 1500};
    struct world *w = *state;
    struct tree t;
    const struct tree_node *n;
    char *p = world_path(w, "f"), value[1500];

    memset(value, 'v', sizeof(value));
    value[3] = 0;
    world_write(w, "f", "x");
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        char name[40];

        snprintf(name, sizeof(name), "user.of-%zu", sizes[i]);
        if (setxattr(p, name, value, sizes[i], 0) < 0) {
            free(p);
            skip(); /* this file system has none */
        }
    }
    free(p);
    world_backup(w);
    world_tree(w, "data/home", &t);
    n = tree_find(&t, "f", 1);
    assert_non_null(n);
    assert_int_equal(n->xattr_count, ARRAY_LEN(sizes));
    for (size_t i = 0; i < n->xattr_count; i++) {
        size_t len = (size_t)atoi(n->xattrs[i].name + strlen("user.of-"));

        assert_int_equal(n->xattrs[i].value_len, len);
        assert_true(len == 0 || memcmp(n->xattrs[i].value, value, len) == 0);
    }
    tree_free(&t);
}

/* A root that is a link to a file: what it leads to is meant. */
static void linked_file_root(void **state)
{
    struct world *w = *state;
    char *target = world_path(w, "dotfiles"), *p = world_path(w, "conf");
    struct tree_node n;

    world_write(w, "dotfiles", "{}");
    assert_int_equal(symlink("dotfiles", p), 0);
    w->roots[0] = (struct capture_root){.at = "config/c.json", .path = p};
    world_backup(w);
    world_assert_text(w, "config/c.json", "{}");
    assert_int_equal(unlink(target), 0);
    world_backup(w);
    assert_true(world_node(w, "config/c.json", &n));
    assert_int_equal(n.type, TREE_SYMLINK);
    assert_true(world_has_problem(w, "config/c.json", "leads to nothing"));
    free(target);
    free(p);
}

static void deep_and_wide(void **state)
{
    struct world *w = *state;
    int fd = open(w->src, O_RDONLY | O_DIRECTORY), next;
    struct tree t;

    for (int i = 0; i < 200; i++) {
        assert_int_equal(mkdirat(fd, "a-folder-in", 0700), 0);
        next = openat(fd, "a-folder-in", O_RDONLY | O_DIRECTORY);
        close(fd);
        fd = next;
    }
    next = openat(fd, "bottom", O_WRONLY | O_CREAT, 0600);
    assert_int_equal(write(next, "deep", 4), 4);
    close(next);
    close(fd);
    world_mkdir(w, "wide");
    for (int i = 0; i < 20000; i++) {
        char *p = mem_printf("%s/wide/%05d", w->src, i * 7919 % 20000);

        close(open(p, O_WRONLY | O_CREAT, 0600));
        free(p);
    }
    world_backup(w);
    assert_int_equal(w->r.problems_total, 0);
    assert_int_equal(w->r.sections[0].files, 20001);
    world_assert_same(w, "data/home", w->src);
    world_tree(w, "data/home/wide", &t);
    assert_int_equal(t.count, 20000);
    tree_free(&t);
    /* unchanged: not one file is opened, not one tree is sent */
    world_backup(w);
    assert_true(w->data_puts <= 2);
    world_assert_same(w, "data/home", w->src);
}

static void too_deep_is_a_problem(void **state)
{
    struct world *w = *state;
    int fd = open(w->src, O_RDONLY | O_DIRECTORY), next;

    for (int i = 0; i < 511; i++) { /* as deep as teardown reaches */
        assert_int_equal(mkdirat(fd, "d", 0700), 0);
        next = openat(fd, "d", O_RDONLY | O_DIRECTORY);
        close(fd);
        fd = next;
    }
    close(fd);
    world_backup(w);
    assert_int_equal(w->r.problems_total, 1);
    assert_int_equal(w->r.sections[0].state, CAPTURE_PARTIAL);
    assert_true(w->r.partial);
}

/* What no restore would take must not make its section look whole. */
static void too_long_is_a_problem(void **state)
{
    struct world *w = *state;
    int fd = open(w->src, O_RDONLY | O_DIRECTORY), next;
    char name[101];

    memset(name, 'n', 100);
    name[100] = 0;
    world_write(w, "short", "short");
    for (int i = 0; i < 40; i++) {
        assert_int_equal(mkdirat(fd, name, 0700), 0);
        next = openat(fd, name, O_RDONLY | O_DIRECTORY);
        close(fd);
        fd = next;
    }
    close(fd);
    world_backup(w);
    assert_int_equal(w->r.problems_total, 1);
    assert_non_null(strstr(w->r.problems[0].reason, "bytes, not stored"));
    assert_int_equal(w->r.sections[0].state, CAPTURE_PARTIAL);
    assert_true(w->r.dirs < 30);
    world_assert_text(w, "data/home/short", "short");
}

/* --- places */

static enum capture_choice only_txt(void *arg, const char *rel, bool is_dir)
{
    struct buf *seen = arg;

    buf_add_str(seen, rel);
    buf_add_byte(seen, ';');
    if (is_dir)
        return strcmp(rel, "no") == 0     ? CAPTURE_SKIP
               : strcmp(rel, "take") == 0 ? CAPTURE_TAKE
                                          : CAPTURE_DESCEND;
    return text_has_suffix(rel, ".txt") ? CAPTURE_TAKE : CAPTURE_SKIP;
}

static void chooses(void **state)
{
    struct world *w = *state;
    struct buf seen = {0};
    struct tree_node n;

    w->roots[0].choose = only_txt;
    w->roots[0].arg = &seen;
    world_mkdir(w, "no");
    world_write(w, "no/x.txt", "skipped with its folder");
    world_mkdir(w, "take");
    world_write(w, "take/x.bin", "x");
    world_mkdir(w, "way");
    world_mkdir(w, "way/empty");
    world_mkdir(w, "way/in");
    world_write(w, "way/in/y.txt", "y");
    world_write(w, "way/in/y.bin", "y");
    world_backup(w);
    assert_string_equal(buf_str(&seen), "no;take;take/x.bin;way;way/empty;"
                                        "way/in;way/in/y.bin;way/in/y.txt;");
    assert_false(world_node(w, "data/home/no", &n));
    assert_true(world_node(w, "data/home/take", &n));
    assert_false(world_node(w, "data/home/take/x.bin", &n));
    assert_false(world_node(w, "data/home/way/empty", &n));
    assert_true(world_node(w, "data/home/way/in/y.txt", &n));
    assert_int_equal(w->r.sections[0].files, 1);
    buf_free(&seen);
}

static void nothing_taken_is_absent(void **state)
{
    struct world *w = *state;
    struct buf seen = {0};
    struct tree_node n;

    w->roots[0].choose = only_txt;
    w->roots[0].arg = &seen;
    w->roots[0].shared = true;
    world_write(w, "a.bin", "x");
    w->roots[1] = (struct capture_root){.at = "config/missing",
                                        .path = "/nonexistent/ocm/x"};
    w->sections[1] = (struct capture_section){.name = "missing",
                                              .area = "config",
                                              .roots = &w->roots[1],
                                              .root_count = 1};
    w->o.section_count = 2;
    world_backup(w);
    assert_int_equal(w->r.sections[0].state, CAPTURE_ABSENT);
    assert_int_equal(w->r.sections[1].state, CAPTURE_ABSENT);
    assert_false(w->r.partial);
    assert_false(world_node(w, "data", &n));
    assert_false(world_node(w, "config", &n));
    assert_true(world_node(w, "meta.json", &n));
    w->sections[1].skipped = true;
    world_backup(w);
    assert_int_equal(w->r.sections[1].state, CAPTURE_SKIPPED);
    buf_free(&seen);
}

/* Roots beside each other, inside each other, a single file, and over a real
 * folder of the same name. */
static void roots_are_merged(void **state)
{
    struct world *w = *state;
    struct tree_node n;
    char *one = world_path(w, "one"), *two = world_path(w, "two");
    char *file = world_path(w, "single.json"), *real = world_path(w, "link");
    struct tree t;

    world_mkdir(w, "one");
    world_mkdir(w, "one/inner");
    world_write(w, "one/inner/real", "real");
    world_write(w, "one/x", "x");
    world_mkdir(w, "two");
    world_write(w, "two/y", "y");
    world_write(w, "single.json", "{}");
    assert_int_equal(symlink("two", real), 0);
    w->roots[0] = (struct capture_root){.at = "config/a", .path = one};
    w->roots[1] =
        (struct capture_root){.at = "config/a/inner/laid/z", .path = two};
    w->roots[2] =
        (struct capture_root){.at = "config/a/inner/b.json", .path = file};
    w->sections[0].root_count = 3;
    w->roots[3] = (struct capture_root){.at = "config/a-b", .path = two};
    w->roots[4] = (struct capture_root){.at = "data/over-a-link", .path = real};
    w->sections[1] = (struct capture_section){.name = "second",
                                              .area = "config",
                                              .roots = &w->roots[3],
                                              .root_count = 2};
    w->o.section_count = 2;
    for (int i = 0; i < 2; i++) {
        world_backup(w);
        assert_int_equal(w->r.problems_total, 0);
        world_assert_text(w, "config/a/inner/real", "real");
        world_assert_text(w, "config/a/inner/laid/z/y", "y");
        world_assert_text(w, "config/a/inner/b.json", "{}");
        world_assert_text(w, "config/a-b/y", "y");
        world_assert_text(w, "data/over-a-link/y", "y");
        world_assert_sums(w);
        world_tree(w, "config/a/inner", &t);
        assert_int_equal(t.count, 3);
        assert_string_equal(t.nodes[0].name, "b.json");
        tree_free(&t);
        assert_true(world_node(w, "config/a/inner/laid", &n));
        assert_int_equal(n.mtime_ns, 0);
        assert_int_equal(w->r.sections[0].files, 4);
        assert_int_equal(w->r.sections[1].files, 2);
    }
    assert_true(w->r.bytes_read < 1000);
    free(one);
    free(two);
    free(file);
    free(real);
}

static enum capture_choice never(void *arg, const char *rel, bool is_dir)
{
    (void)arg;
    (void)rel;
    (void)is_dir;
    return CAPTURE_SKIP;
}

/* That a root is given says that it is wanted. */
static void a_file_root_is_not_asked_for(void **state)
{
    struct world *w = *state;
    char *p = world_path(w, "f");

    world_write(w, "f", "wanted");
    w->roots[0] =
        (struct capture_root){.at = "data/extra/f", .path = p, .choose = never};
    world_backup(w);
    world_assert_text(w, "data/extra/f", "wanted");
    free(p);
}

/* What lies where nobody may look is a problem of its section. */
static void a_gap_makes_it_partial(void **state)
{
    static const char *const gaps[] = {"/etc/secret is outside"};
    struct world *w = *state;

    world_write(w, "a", "a");
    w->sections[0].gaps = gaps;
    w->sections[0].gap_count = 1;
    world_backup(w);
    assert_int_equal(w->r.sections[0].state, CAPTURE_PARTIAL);
    assert_true(w->r.partial);
    assert_string_equal(w->r.problems[0].reason, gaps[0]);
    w->sections[0].skipped = true;
    world_backup(w);
    assert_false(w->r.partial);
}

/* An empty workspace is one: who restores finds it again. */
static void an_empty_root_is_stored(void **state)
{
    struct world *w = *state;
    struct tree_node n;

    w->roots[0].choose = never;
    world_backup(w);
    assert_true(world_node(w, "data/home", &n));
    assert_int_equal(n.type, TREE_DIR);
    assert_int_equal(w->r.sections[0].state, CAPTURE_COMPLETE);
    world_write(w, "x", "never taken");
    world_backup(w);
    assert_true(world_node(w, "data/home", &n));
}

static void a_taken_place_is_named(void **state)
{
    struct world *w = *state;
    char *p = world_path(w, "sub/other");

    world_mkdir(w, "sub");
    world_write(w, "sub/other", "other");
    world_write(w, "f", "in the way");
    w->roots[1] = (struct capture_root){.at = "data/home/f", .path = p};
    w->sections[0].root_count = 2;
    world_backup(w);
    world_assert_text(w, "data/home/f", "other");
    assert_true(world_has_problem(w, "data/home/f", "not stored"));
    assert_int_equal(w->r.sections[0].state, CAPTURE_PARTIAL);
    free(p);
}

static void bad_places_are_refused(void **state)
{
    static const char *const bad[] = {
        "data",        "config/",   "/config/x",
        "config/../x", "config//x", "other/x",
        "verify/x",    "meta.json", "",
    };
    struct world *w = *state;

    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        w->roots[0].at = bad[i];
        assert_int_equal(world_run(w), OCM_E_INVALID);
    }
    w->roots[0].at = w->roots[1].at = "data/x";
    w->roots[0].path = "relative";
    assert_int_equal(world_run(w), OCM_E_INVALID);
    w->roots[0].path = w->roots[1].path = w->src;
    w->sections[0].root_count = 2;
    assert_int_equal(world_run(w), OCM_E_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, world_setup, world_teardown)
        T(all_kinds),
        T(own_folders_are_fixed),
        T(attributes_are_kept),
        T(linked_file_root),
        T(deep_and_wide),
        T(too_deep_is_a_problem),
        T(too_long_is_a_problem),
        T(chooses),
        T(nothing_taken_is_absent),
        T(roots_are_merged),
        T(a_file_root_is_not_asked_for),
        T(a_gap_makes_it_partial),
        T(an_empty_root_is_stored),
        T(a_taken_place_is_named),
        T(bad_places_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
