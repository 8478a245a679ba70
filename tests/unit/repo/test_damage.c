/* SPDX-License-Identifier: MIT */
/* Bit rot: one file of each kind is changed, cut or emptied; that is found,
 * named, and costs nothing else. */
#include "tests/unit/repo/judge.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/files.h"
#include "common/base/mem.h"
#include "common/base/text.h"

enum harm { HARM_FLIP, HARM_CUT, HARM_EMPTY, HARM_COUNT };

/* The one file of a folder, or the nth by name. Caller frees. */
static char *file_of(const char *dir, int nth)
{
    struct dirent **list;
    int n = scandir(dir, &list, NULL, alphasort);
    char *path = NULL;

    for (int i = 0; i < n; i++) {
        if (list[i]->d_name[0] != '.' && nth-- == 0)
            path = path_join(dir, list[i]->d_name);
        free(list[i]);
    }
    free(list);
    return path;
}

static char *repo_file(struct bench *b, const char *folder)
{
    char *dir = path_join(b->repo, folder), *path = file_of(dir, 0);

    assert_non_null(path);
    free(dir);
    return path;
}

/* The whole file is kept in *good, for heal(). */
static void hurt(const char *path, enum harm how, struct buf *good)
{
    struct buf bad = {0};

    buf_clear(good);
    OK(file_read(path, 64 << 20, good, e));
    buf_add(&bad, good->data, good->len);
    if (how == HARM_FLIP)
        bad.data[bad.len / 2] ^= 0x10;
    else
        bad.len = how == HARM_CUT ? bad.len / 2 : 0;
    OK(file_write(path, bad.data, bad.len, 0600, e));
    buf_free(&bad);
}

static void heal(const char *path, struct buf *good)
{
    OK(file_write(path, good->data, good->len, 0600, e));
}

static const char *base(const char *path)
{
    return strrchr(path, '/') + 1;
}

/* Of a key, the config or our facts: opening fails and names the file. */
static void opening_names(struct bench *b, const char *path)
{
    struct buf good = {0};

    for (int how = 0; how < HARM_COUNT; how++) {
        struct error err = {0};
        struct repo *r;

        hurt(path, (enum harm)how, &good);
        assert_int_equal(repo_open(&b->o, &r, &err), OCM_E_DAMAGED);
        if (!strstr(err.text, base(path)))
            fail_msg("'%s' does not name %s", err.text, path);
        heal(path, &good);
    }
    buf_free(&good);
    repo_close(bench_open(b));
}

static void a_broken_root_file_is_named(void **state)
{
    struct bench *b = *state;
    struct repo *r = bench_open(b);
    char *path;

    backup_sample(r, "n1", 1, 1000);
    repo_close(r);
    path = repo_file(b, "keys");
    opening_names(b, path);
    free(path);
    path = path_join(b->repo, "config");
    opening_names(b, path);
    free(path);
    path = path_join(b->repo, "ocm/marker");
    opening_names(b, path);
    free(path);
}

static void a_broken_seed_is_named(void **state)
{
    struct bench *b = *state;
    char *path = path_join(b->repo, "ocm/seed");
    struct buf good = {0};
    struct error err = {0};
    struct repo *r;

    hurt(path, HARM_CUT, &good);
    assert_int_equal(repo_open(&b->o, &r, &err), OCM_E_DAMAGED);
    assert_non_null(strstr(err.text, "ocm/seed"));
    free(path);
    buf_free(&good);
}

static void a_broken_key_does_not_hide_a_good_one(void **state)
{
    struct bench *b = *state;
    char *path = path_join(b->repo, "keys/"
                                    "00000000000000000000000000000000"
                                    "00000000000000000000000000000000");
    OK(file_write(path, "{", 1, 0600, e));
    repo_close(bench_open(b));
    free(path);
}

static void check_finds(struct repo *r, bool read_data, const char *what,
                        const char *also)
{
    struct repo_check_report report = {0};

    OK(repo_check(r, read_data, NULL, NULL, &report, e));
    if (report.errors == 0 || !strstr(buf_str(&report.text), what) ||
        (also && !strstr(buf_str(&report.text), also)))
        fail_msg("not found: %s %s in: %s", what, also ? also : "",
                 buf_str(&report.text));
    buf_free(&report.text);
}

static void check_is_clean(struct repo *r)
{
    struct repo_check_report report = {0};

    OK(repo_check(r, true, NULL, NULL, &report, e));
    assert_string_equal(buf_str(&report.text), "");
    assert_int_equal(report.errors, 0);
    assert_int_equal(report.snapshots, 2);
    assert_int_equal(report.packs, 4);
    assert_int_equal(report.blobs, 4);
    buf_free(&report.text);
}

static void a_broken_index_is_named_and_sent_anew(void **state)
{
    struct bench *b = *state;
    struct repo *r = bench_open(b);
    struct buf good = {0};
    char *path;

    backup_sample(r, "n1", 1, 1000);
    backup_sample(r, "n1", 2, 1000);
    check_is_clean(r);
    repo_close(r);
    path = repo_file(b, "index");
    for (int how = 0; how < HARM_COUNT; how++) {
        hurt(path, (enum harm)how, &good);
        bench_drop_cache(b);
        r = bench_open(b);
        assert_int_equal(repo_owned_count(r, "n1"), 2); /* of the other */
        check_finds(r, false, base(path), "is affected");
        repo_close(r);
        heal(path, &good);
    }
    bench_drop_cache(b);
    r = bench_open(b);
    check_is_clean(r);
    repo_close(r);
    free(path);
    buf_free(&good);
}

static void a_broken_snapshot_hides_no_other(void **state)
{
    struct bench *b = *state;
    struct repo *r = bench_open(b);
    struct snapshot *list, s;
    struct error err = {0};
    struct buf good = {0};
    size_t count;
    char *path;

    backup_sample(r, "n1", 1, 1000);
    backup_sample(r, "n1", 2, 1000);
    path = repo_file(b, "snapshots");
    for (int how = 0; how < HARM_COUNT; how++) {
        hurt(path, (enum harm)how, &good);
        err = (struct error){0};
        assert_int_equal(repo_snapshots(r, &list, &count, &err), OCM_E_PARTIAL);
        assert_non_null(strstr(err.text, base(path)));
        assert_int_equal(count, 1);
        snapshots_free(list, count);
        OK(repo_snapshot_find(r, "n1", "latest", &s, e));
        snapshot_fini(&s);
        assert_int_equal(repo_snapshot_find(r, NULL, base(path), &s, &err),
                         OCM_E_DAMAGED);
        check_finds(r, false, base(path), NULL);
        heal(path, &good);
    }
    check_is_clean(r);
    free(path);
    buf_free(&good);
    repo_close(r);
}

/* Each pack in turn: the check and the verification of the snapshot that
 * uses it find it, and the other snapshot stays good. */
static void a_broken_pack_names_the_files(void **state)
{
    struct bench *b = *state;
    struct repo *r = bench_open(b);
    struct snapshot s;
    struct buf good = {0};
    struct error err = {0};
    char *path;

    backup_sample(r, "n1", 1, 1000);
    backup_sample(r, "n1", 2, 100000);
    OK(repo_snapshot_find(r, NULL, "latest", &s, e));
    repo_close(r);
    shell_ok(b, "ls -S repo/data/*/* | head -1 > largest");
    path = bench_path(b, "largest");
    OK(file_read(path, 4096, &good, e));
    good.len--; /* the newline */
    free(path);
    path = bench_path(b, buf_str(&good));
    for (int how = 0; how < HARM_COUNT; how++) {
        struct repo_check_report report = {0};
        struct tree holder;
        const struct tree_node *n;
        struct buf text = {0};

        hurt(path, (enum harm)how, &good);
        r = bench_open(b);
        check_finds(r, true, "pack", "/file is affected");
        if (how != HARM_FLIP)
            check_finds(r, false, "pack", "/file is affected");
        OK(repo_verify_snapshot(r, &s.tree, NULL, NULL, &report, e));
        assert_int_equal(report.errors, 1);
        assert_non_null(strstr(buf_str(&report.text), "/file is affected"));
        OK(repo_lookup(r, &s.tree, "file", &holder, &n, e));
        assert_int_equal(repo_read_file(r, n, 1 << 20, &text, &err),
                         OCM_E_DAMAGED);
        assert_non_null(strstr(err.text, base(path)));
        tree_free(&holder);
        buf_free(&text);
        buf_free(&report.text);
        repo_close(r);
        heal(path, &good);
    }
    r = bench_open(b);
    check_is_clean(r);
    repo_close(r);
    snapshot_fini(&s);
    free(path);
    buf_free(&good);
}

/* A disk that was mounted too late, a folder that was moved: once the packs
 * are back their blobs are known again, without a new cache. */
static void packs_that_come_back_are_known_again(void **state)
{
    struct bench *b = *state;
    struct repo *r = bench_open(b);
    struct repo_check_report report = {0};
    struct snapshot s;

    backup_sample(r, "n1", 1, 1000);
    OK(repo_snapshot_find(r, NULL, "latest", &s, e));
    for (int i = 0; i < 2; i++) { /* a second time: nothing is left over */
        shell_ok(b, "mkdir away && mv repo/data/* away");
        OK(repo_refresh(r, e));
        assert_false(repo_has(r, &s.tree, BLOB_TREE));
        shell_ok(b, "mv away/* repo/data && rmdir away");
        OK(repo_refresh(r, e));
        assert_true(repo_has(r, &s.tree, BLOB_TREE));
    }
    OK(repo_verify_snapshot(r, &s.tree, NULL, NULL, &report, e));
    assert_int_equal(report.errors, 0);
    assert_int_equal(report.blobs, 2);
    buf_free(&report.text);
    snapshot_fini(&s);
    repo_close(r);
}

struct watcher {
    unsigned calls;
    struct repo_check_progress last;
    unsigned stop_at;
};

static bool on_progress(void *arg, const struct repo_check_progress *p)
{
    struct watcher *w = arg;

    w->last = *p;
    return ++w->calls != w->stop_at;
}

static void checks_tell_progress_and_stop(void **state)
{
    struct bench *b = *state;
    struct repo *r = bench_open(b);
    struct repo_check_report report = {0};
    struct watcher w = {0};
    struct snapshot s;

    backup_sample(r, "n1", 1, 1000);
    backup_sample(r, "n1", 2, 1000);
    OK(repo_check(r, true, on_progress, &w, &report, e));
    assert_int_equal(w.last.packs_done, 4);
    assert_int_equal(w.last.packs_total, 4);
    assert_int_equal(w.last.bytes_done, w.last.bytes_total);
    assert_true(w.last.bytes_total > 2000);
    w = (struct watcher){.stop_at = 2};
    assert_int_equal(repo_check(r, true, on_progress, &w, &report, NULL),
                     OCM_E_CANCELLED);
    OK(repo_snapshot_find(r, NULL, "latest", &s, e));
    w = (struct watcher){.stop_at = 1};
    assert_int_equal(
        repo_verify_snapshot(r, &s.tree, on_progress, &w, &report, NULL),
        OCM_E_CANCELLED);
    w = (struct watcher){0};
    OK(repo_verify_snapshot(r, &s.tree, on_progress, &w, &report, e));
    assert_int_equal(w.last.bytes_done, w.last.bytes_total);
    assert_true(w.last.bytes_total > 1000);
    snapshot_fini(&s);
    buf_free(&report.text);
    repo_close(r);
}

#define T(f) cmocka_unit_test_setup_teardown(f, bench_setup, bench_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_broken_root_file_is_named),
        T(a_broken_seed_is_named),
        T(a_broken_key_does_not_hide_a_good_one),
        T(a_broken_index_is_named_and_sent_anew),
        T(a_broken_snapshot_hides_no_other),
        T(a_broken_pack_names_the_files),
        T(packs_that_come_back_are_known_again),
        T(checks_tell_progress_and_stop),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
