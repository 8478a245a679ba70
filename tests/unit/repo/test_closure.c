/* SPDX-License-Identifier: MIT */
/* controller/repo: is a tree whole, and the node's own? Trees from a node
 * that may be hostile. */
#include "tests/unit/repo/judge.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/mem.h"

struct fixture {
    struct repo *r;
    struct repo_writer *w;
    struct repo_stats stats;
    uint64_t missing;
    struct id first;
    struct error err;
};

static void begin(void **state, struct fixture *f)
{
    *f = (struct fixture){.r = bench_open(*state)};
    f->w = repo_writer_new(f->r, "n1");
}

static void end(struct fixture *f)
{
    repo_writer_free(f->w);
    repo_close(f->r);
}

static int closure(struct fixture *f, const char *node, const struct id *root)
{
    OK(repo_writer_flush(f->w, e));
    return repo_closure(f->r, node, root, &f->stats, &f->missing, &f->first,
                        &f->err);
}

static struct tree_node dir_node(const char *name, const struct id *subtree)
{
    return (struct tree_node){.name = name,
                              .name_len = strlen(name),
                              .type = TREE_DIR,
                              .mode = 0700,
                              .user = "",
                              .group = "",
                              .subtree = *subtree};
}

static struct tree_node file_node(const char *name, const struct id *content,
                                  size_t count, uint64_t size)
{
    return (struct tree_node){.name = name,
                              .name_len = strlen(name),
                              .type = TREE_FILE,
                              .mode = 0600,
                              .user = "",
                              .group = "",
                              .size = size,
                              .content = content,
                              .content_count = count};
}

/* Encode; put it as well with a writer. */
static struct id tree_of(struct repo_writer *w, const struct tree_node *nodes,
                         size_t count)
{
    struct buf b = {0};
    struct id id;

    tree_begin(&b);
    for (size_t i = 0; i < count; i++)
        tree_add(&b, &nodes[i]);
    tree_end(&b);
    id = digest_of(b.data, b.len);
    if (w)
        OK(repo_writer_add(w, BLOB_TREE, b.data, b.len, &id, e));
    buf_free(&b);
    return id;
}

static struct id data_of(struct repo_writer *w, const char *text)
{
    struct id id;

    OK(repo_writer_add(w, BLOB_DATA, text, strlen(text), &id, e));
    return id;
}

static void sums_count_every_path(void **state)
{
    struct fixture f;
    struct id content[2], sub, root;
    struct tree_node nodes[4];

    begin(state, &f);
    content[0] = data_of(f.w, "hello ");
    content[1] = data_of(f.w, "world");
    nodes[0] = file_node("a", content, 2, 11);
    nodes[1] = file_node("b", NULL, 0, 0);
    sub = tree_of(f.w, nodes, 2);
    nodes[0] = dir_node("d1", &sub);
    nodes[1] = dir_node("d2", &sub);
    nodes[2] = file_node("f", &content[1], 1, 5);
    nodes[3] = (struct tree_node){.name = "l",
                                  .name_len = 1,
                                  .type = TREE_SYMLINK,
                                  .linktarget = "f",
                                  .user = "",
                                  .group = ""};
    root = tree_of(f.w, nodes, 4);
    for (int i = 0; i < 2; i++) { /* walked, then from the memo */
        ok(closure(&f, "n1", &root), &f.err);
        assert_int_equal(f.stats.files, 6);
        assert_int_equal(f.stats.dirs, 2);
        assert_int_equal(f.stats.bytes, 27);
        assert_int_equal(f.missing, 0);
    }
    assert_int_equal(closure(&f, "n2", &root), OCM_E_MISSING);
    assert_int_equal(f.missing, 1); /* what is below is not looked at */
    assert_true(id_equal(&f.first, &root));
    end(&f);
}

static void missing_blobs_are_counted_once(void **state)
{
    struct fixture f;
    struct id gone = digest_of("gone", 4), tree_gone, root, content[2];
    struct tree_node nodes[3];

    begin(state, &f);
    content[0] = data_of(f.w, "there");
    content[1] = gone;
    nodes[0] = file_node("x", &gone, 1, 4);
    tree_gone = tree_of(NULL, nodes, 1);
    nodes[0] = file_node("a", content, 2, 9);
    nodes[1] = file_node("b", &gone, 1, 4);
    nodes[2] = dir_node("c", &tree_gone);
    root = tree_of(f.w, nodes, 3);
    assert_int_equal(closure(&f, "n1", &root), OCM_E_MISSING);
    assert_int_equal(f.missing, 2);
    assert_true(id_equal(&f.first, &gone));
    /* sent, one by one: then it is whole */
    assert_true(id_equal(&gone, (struct id[]){data_of(f.w, "gone")}));
    assert_int_equal(closure(&f, "n1", &root), OCM_E_MISSING);
    assert_int_equal(f.missing, 1);
    assert_true(id_equal(&f.first, &tree_gone));
    nodes[0] = file_node("x", &gone, 1, 4);
    tree_of(f.w, nodes, 1);
    ok(closure(&f, "n1", &root), &f.err);
    assert_int_equal(f.stats.files, 3);
    end(&f);
}

static void more_are_missing_than_are_counted(void **state)
{
    size_t count = 150000;
    struct id *content = mem_array(count, sizeof(*content)), root;
    struct tree_node node = file_node("a", content, count, 1);
    struct fixture f;

    begin(state, &f);
    for (size_t i = 0; i < count; i++)
        content[i] = digest_of(&i, sizeof(i));
    root = tree_of(f.w, &node, 1);
    assert_int_equal(closure(&f, "n1", &root), OCM_E_MISSING);
    assert_int_equal(f.missing, 100000);
    assert_true(id_equal(&f.first, &content[0]));
    end(&f);
    free(content);
}

/* The blob is in the repository, but another node's: as if it were not. */
static void foreign_blobs_do_not_count(void **state)
{
    struct fixture f;
    struct repo_writer *other;
    struct tree_node node;
    struct id content, root;

    begin(state, &f);
    other = repo_writer_new(f.r, "n2");
    content = data_of(other, "secret of n2");
    OK(repo_writer_flush(other, e));
    repo_writer_free(other);
    node = file_node("f", &content, 1, 12);
    root = tree_of(f.w, &node, 1);
    assert_int_equal(closure(&f, "n1", &root), OCM_E_MISSING);
    assert_true(id_equal(&f.first, &content));
    data_of(f.w, "secret of n2"); /* it had the content: then it is its own */
    ok(closure(&f, "n1", &root), &f.err);
    end(&f);
}

static void a_size_must_be_its_contents(void **state)
{
    struct fixture f;
    struct tree_node node;
    struct id content, root;

    begin(state, &f);
    content = data_of(f.w, "12345");
    node = file_node("evil\n\033[1m", &content, 1, 6);
    root = tree_of(f.w, &node, 1);
    assert_int_equal(closure(&f, "n1", &root), OCM_E_INVALID);
    assert_non_null(strstr(f.err.text, "says 6 bytes"));
    assert_null(strchr(f.err.text, '\n'));
    node = file_node("f", NULL, 0, UINT64_MAX);
    root = tree_of(f.w, &node, 1);
    assert_int_equal(closure(&f, "n1", &root), OCM_E_INVALID);
    end(&f);
}

/* restic and the agents find names by bisection. */
static void names_must_be_in_order(void **state)
{
    struct fixture f;
    struct tree_node nodes[2];
    struct id root;

    begin(state, &f);
    nodes[0] = file_node("b", NULL, 0, 0);
    nodes[1] = file_node("a", NULL, 0, 0);
    root = tree_of(f.w, nodes, 2);
    assert_int_equal(closure(&f, "n1", &root), OCM_E_INVALID);
    assert_non_null(strstr(f.err.text, "order of names"));
    end(&f);
}

/* 60 trees of two entries each name 2^60 paths: found out in no time. */
static void a_small_tree_of_many_paths_is_refused(void **state)
{
    struct fixture f;
    struct id at, content;
    struct tree_node nodes[2];
    int64_t start = clock_monotonic_ms();

    begin(state, &f);
    content = data_of(f.w, "lol");
    nodes[0] = file_node("a", &content, 1, 3);
    at = tree_of(f.w, nodes, 1);
    for (int i = 0; i < 15; i++) {
        nodes[0] = dir_node("a", &at);
        nodes[1] = dir_node("b", &at);
        at = tree_of(f.w, nodes, 2);
    }
    ok(closure(&f, "n1", &at), &f.err);
    assert_int_equal(f.stats.files, 1 << 15);
    for (int i = 15; i < 60; i++) {
        nodes[0] = dir_node("a", &at);
        nodes[1] = dir_node("b", &at);
        at = tree_of(f.w, nodes, 2);
    }
    assert_int_equal(closure(&f, "n1", &at), OCM_E_LIMIT);
    assert_non_null(strstr(f.err.text, "entries"));
    assert_true(clock_monotonic_ms() - start < 30000);
    end(&f);
}

/* Also when the lower half was proven before and is not walked again. */
static void depth_has_a_limit(void **state)
{
    struct fixture f;
    struct tree_node node;
    struct id at;

    begin(state, &f);
    at = tree_of(f.w, NULL, 0);
    for (int i = 0; i < 100; i++) {
        node = dir_node("d", &at);
        at = tree_of(f.w, &node, 1);
    }
    ok(closure(&f, "n1", &at), &f.err);
    assert_int_equal(f.stats.dirs, 100);
    for (int i = 0; i < 28; i++) {
        node = dir_node("d", &at);
        at = tree_of(f.w, &node, 1);
    }
    ok(closure(&f, "n1", &at), &f.err);
    node = dir_node("d", &at);
    at = tree_of(f.w, &node, 1);
    assert_int_equal(closure(&f, "n1", &at), OCM_E_LIMIT);
    for (int i = 0; i < 1000; i++) {
        node = dir_node("e", &at);
        at = tree_of(f.w, &node, 1);
    }
    assert_int_equal(closure(&f, "n1", &at), OCM_E_LIMIT);
    end(&f);
}

static void garbage_is_no_tree(void **state)
{
    struct fixture f;
    struct id root;

    begin(state, &f);
    OK(repo_writer_add(f.w, BLOB_TREE, "{\"nodes\":[{}]}", 14, &root, e));
    assert_int_equal(closure(&f, "n1", &root), OCM_E_DAMAGED);
    /* a data blob with a tree's content is not a tree */
    OK(repo_writer_add(f.w, BLOB_DATA, "{\"nodes\":[]}\n", 13, &root, e));
    assert_int_equal(closure(&f, "n1", &root), OCM_E_MISSING);
    end(&f);
}

/* A pack went away under us: its blobs count as missing, the node sends them
 * again, and the repository serves them again. */
static void a_lost_pack_is_sent_again(void **state)
{
    struct bench *b = *state;
    struct repo *r = bench_open(b);
    struct repo_check_report report = {0};
    struct id id = backup_sample(r, "n1", 1, 5000);
    struct fixture f;
    struct snapshot s;
    struct buf plain = {0};
    struct id root;

    repo_close(r);
    begin(state, &f);
    OK(repo_snapshot_find(f.r, NULL, "latest", &s, e));
    assert_true(id_equal(&s.id, &id));
    shell_ok(b, "rm repo/data/*/*");
    assert_int_equal(repo_read(f.r, &s.tree, BLOB_TREE, &plain, &f.err),
                     OCM_E_MISSING);
    OK(repo_refresh(f.r, e));
    assert_false(repo_has(f.r, &s.tree, BLOB_TREE));
    assert_int_equal(closure(&f, "n1", &s.tree), OCM_E_MISSING);
    root = put_sample(f.w, 1, 5000);
    assert_true(id_equal(&root, &s.tree));
    ok(closure(&f, "n1", &root), &f.err);
    OK(repo_check(f.r, true, NULL, NULL, &report, e));
    assert_int_equal(report.errors, 2); /* the packs that are gone */
    assert_null(strstr(buf_str(&report.text), "affected"));
    buf_free(&report.text);
    bench_drop_cache(b); /* unlinked while open: only the next open sees it */
    snapshot_fini(&s);
    end(&f);
    r = bench_open(b);
    OK(repo_read(r, &root, BLOB_TREE, &plain, e));
    buf_free(&plain);
    repo_close(r);
}

/* Noticed by the closure itself, when nobody refreshed. */
static void the_closure_asks_the_store(void **state)
{
    struct bench *b = *state;
    struct fixture f;
    struct id root;

    begin(state, &f);
    root = put_sample(f.w, 1, 5000);
    OK(repo_writer_flush(f.w, e));
    shell_ok(b, "rm repo/data/*/*");
    assert_int_equal(closure(&f, "n1", &root), OCM_E_MISSING);
    end(&f);
}

#define T(f) cmocka_unit_test_setup_teardown(f, bench_setup, bench_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(sums_count_every_path),
        T(missing_blobs_are_counted_once),
        T(more_are_missing_than_are_counted),
        T(foreign_blobs_do_not_count),
        T(a_size_must_be_its_contents),
        T(names_must_be_in_order),
        T(a_small_tree_of_many_paths_is_refused),
        T(depth_has_a_limit),
        T(garbage_is_no_tree),
        T(a_lost_pack_is_sent_again),
        T(the_closure_asks_the_store),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
