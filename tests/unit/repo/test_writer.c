/* SPDX-License-Identifier: MIT */
/* controller/repo: keys, the open and close of a repository, writers and what
 * nodes own. */
#include "tests/unit/repo/judge.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/files.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "controller/repo/id_table.h"
#include "controller/repo/repo_internal.h"

static void a_seal_opens_only_unchanged(void **state)
{
    struct seal_secret secret;
    uint8_t text[100], sealed[100 + SEAL_OVERHEAD], copy[sizeof(sealed)];
    struct seal s;

    (void)state;
    memset(text, 'x', sizeof(text));
    sample_bytes(1, (uint8_t *)&secret, sizeof(secret));
    seal_init(&s, &secret);
    seal_bytes(&s, text, sizeof(text), sealed);
    for (size_t bit = 0; bit < sizeof(sealed) * 8; bit++) {
        memcpy(copy, sealed, sizeof(copy));
        copy[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_int_equal(seal_open(&s, copy, sizeof(copy)), OCM_E_DAMAGED);
    }
    for (size_t len = 0; len < sizeof(sealed); len++) {
        memcpy(copy, sealed, sizeof(copy));
        assert_int_equal(seal_open(&s, copy, len), OCM_E_DAMAGED);
    }
    assert_int_equal(seal_open(&s, sealed, sizeof(sealed)), 0);
    assert_memory_equal(sealed + SEAL_NONCE_LEN, text, sizeof(text));
}

/* Those of restic repositories are irreducible; a product is not. */
static void polynomials_are_irreducible(void **state)
{
    (void)state;
    assert_true(polynomial_is_irreducible(0x3c558559f048f9));
    assert_true(polynomial_is_irreducible(0x3DA3358B4DC173));
    assert_false(polynomial_is_irreducible(0x3DA3358B4DC172)); /* x divides */
    assert_false(polynomial_is_irreducible(1ull << 53 | 1));   /* x+1 divides */
    assert_false(polynomial_is_irreducible(0x1DA3358B4DC173)); /* degree 52 */
    assert_false(polynomial_is_irreducible(0x3DA3358B4DC175));
    for (int i = 0; i < 20; i++)
        assert_true(polynomial_is_irreducible(polynomial_random()));
}

static void a_table_of_ids_compares_whole_ids(void **state)
{
    struct id_table t = {0};
    bool fresh;

    (void)state;
    for (uint32_t i = 0; i < 5000; i++) {
        struct id id = {{0}}; /* all with one prefix: one long chain */

        write_u32le(id.b + 20, i % 2500);
        id_table_add(&t, &id, i < 2500 ? BLOB_DATA : BLOB_TREE, &fresh)->value =
            i;
        assert_true(fresh);
    }
    assert_int_equal(t.count, 5000);
    for (uint32_t i = 0; i < 5000; i++) {
        struct id id = {{0}};

        write_u32le(id.b + 20, i % 2500);
        assert_int_equal(
            id_table_find(&t, &id, i < 2500 ? BLOB_DATA : BLOB_TREE)->value, i);
        id.b[31] = 1;
        assert_null(id_table_find(&t, &id, BLOB_DATA));
    }
    id_table_clear(&t);
    assert_int_equal(t.count, 0);
    id_table_free(&t);
}

static void opening_says_what_is_wrong(void **state)
{
    struct bench *b = *state;
    struct repo_options o = b->o;
    struct error err = {0};
    struct repo *r;
    char *path = bench_path(b, "elsewhere");

    assert_int_equal(repo_init(&b->o, &err), OCM_E_EXISTS);
    o.password = "wrong";
    assert_int_equal(repo_open(&o, &r, &err), OCM_E_AUTH);
    o = b->o;
    o.dir = path;
    assert_int_equal(repo_open(&o, &r, &err), OCM_E_NOTFOUND);
    OK(dir_make(path, 0700, e));
    assert_int_equal(repo_open(&o, &r, &err), OCM_E_NOTFOUND);
    shell_ok(b, "echo hello > elsewhere/file");
    assert_int_equal(repo_init(&o, &err), OCM_E_EXISTS);
    assert_non_null(strstr(err.text, "not empty"));
    o.password = "";
    assert_int_equal(repo_init(&o, &err), OCM_E_INVALID);

    r = bench_open(b); /* one process per cache */
    struct repo *second;
    assert_int_equal(repo_open(&b->o, &second, &err), OCM_E_LOCKED);
    repo_close(r);
    free(path);
}

/* An init that was killed starts over; a repository that lost its config, its
 * marker or a folder is never taken for an empty one. */
static void what_is_missing_is_not_empty(void **state)
{
    struct bench *b = *state;
    struct error err = {0};
    struct repo *r = bench_open(b);

    backup_sample(r, "n1", 1, 1000);
    repo_close(r);
    shell_ok(b, "mv repo/ocm/marker marker");
    assert_int_equal(repo_open(&b->o, &r, &err), OCM_E_DAMAGED);
    assert_non_null(strstr(err.text, "ocm/marker"));
    shell_ok(b, "tr 0-9a-f 1-9a-f0 < marker > repo/ocm/marker.new && mv -f "
                "repo/ocm/marker.new repo/ocm/marker");
    assert_int_equal(repo_open(&b->o, &r, &err), OCM_E_DAMAGED);
    assert_non_null(strstr(err.text, "right disk"));
    shell_ok(b, "mv -f marker repo/ocm/marker && mv repo/index index");
    assert_int_equal(repo_open(&b->o, &r, &err), OCM_E_DAMAGED);
    assert_non_null(strstr(err.text, "index is missing"));
    shell_ok(b, "mv index repo/index && mv repo/config config");
    assert_int_equal(repo_open(&b->o, &r, &err), OCM_E_DAMAGED);
    assert_non_null(strstr(err.text, "config is missing"));
    assert_int_equal(repo_init(&b->o, &err), OCM_E_EXISTS);
    shell_ok(b, "mv config repo/config");
    r = bench_open(b);
    shell_ok(b,
             "mv repo aside && mkdir -p repo/index repo/data"); /* unmounted */
    assert_int_equal(repo_refresh(r, &err), OCM_E_DAMAGED);
    assert_int_equal(repo_owned_count(r, "n1"), 2);
    shell_ok(b, "rm -r repo && mv aside repo");
    OK(repo_refresh(r, e));
    repo_close(r);
    shell_ok(b, "rm -rf repo/config repo/index/* repo/data/*/* "
                "repo/snapshots/*");
    OK(repo_init(&b->o, e)); /* as after a kill in init: nothing was in it */
    bench_drop_cache(b);
    r = bench_open(b);
    repo_close(r);
}

/* ---- writers ---- */

static void blobs_come_back(void **state)
{
    struct bench *b = *state;
    struct repo *r = bench_open(b);
    struct repo_writer *w = repo_writer_new(r, "n1");
    struct buf plain = {0};
    uint8_t bytes[3000];
    struct id ids[200], none;
    uint64_t before;

    for (unsigned i = 0; i < ARRAY_LEN(ids); i++) {
        size_t len = i * 15;

        if (i % 2)
            sample_bytes(i, bytes, sizeof(bytes));
        else
            memset(bytes, (int)i, sizeof(bytes)); /* compresses */
        OK(repo_writer_add(w, i % 3 ? BLOB_DATA : BLOB_TREE, bytes, len,
                           &ids[i], e));
        assert_false(repo_has(r, &ids[i], i % 3 ? BLOB_DATA : BLOB_TREE));
    }
    OK(repo_writer_flush(w, e));
    before = repo_writer_bytes(w);
    for (int again = 0; again < 2; again++) {
        for (unsigned i = 0; i < ARRAY_LEN(ids); i++) {
            OK(repo_read(r, &ids[i], i % 3 ? BLOB_DATA : BLOB_TREE, &plain, e));
            assert_int_equal(plain.len, i * 15);
        }
        repo_writer_free(w);
        repo_close(r);
        if (again)
            bench_drop_cache(b);
        r = bench_open(b);
        w = repo_writer_new(r, "n1");
    }
    OK(repo_writer_add(w, BLOB_DATA, bytes, 15, &none, e)); /* the last bytes */
    OK(repo_writer_add(w, BLOB_TREE, NULL, 0, &ids[0], e));
    OK(repo_writer_flush(w, e));
    assert_true(repo_writer_bytes(w) < before);
    none.b[0] ^= 1;
    assert_int_equal(repo_read(r, &none, BLOB_DATA, &plain, NULL),
                     OCM_E_MISSING);
    buf_free(&plain);
    repo_writer_free(w);
    repo_close(r);
}

static void nothing_shows_before_flush(void **state)
{
    struct bench *b = *state;
    struct repo *r = bench_open(b);
    struct repo_writer *w = repo_writer_new(r, "n1");
    struct id root = put_sample(w, 1, 1000);
    struct id *ids;
    size_t count;

    repo_writer_free(w); /* dropped */
    assert_false(repo_has(r, &root, BLOB_TREE));
    OK(object_list(r, "data", &ids, &count, e));
    assert_int_equal(count, 0);
    free(ids);
    OK(object_list(r, "index", &ids, &count, e));
    assert_int_equal(count, 0);
    free(ids);
    shell_ok(b, "test -z \"$(ls repo/ocm/tmp)\"");
    repo_close(r);
}

/* Two at once, with blobs in common: each may store them, both may read. */
static void two_writers_at_once(void **state)
{
    struct bench *b = *state;
    struct repo *r = bench_open(b);
    struct repo_writer *w1 = repo_writer_new(r, "n1");
    struct repo_writer *w2 = repo_writer_new(r, "n2");
    struct repo_check_report report = {0};
    struct id a = put_sample(w1, 1, 9000), c = put_sample(w2, 1, 9000);
    struct id d = put_sample(w2, 2, 9000), first;
    struct repo_stats stats;
    uint64_t missing;

    assert_true(id_equal(&a, &c));
    OK(repo_writer_flush(w1, e));
    OK(repo_writer_flush(w2, e));
    OK(repo_closure(r, "n1", &a, &stats, &missing, &first, e));
    OK(repo_closure(r, "n2", &c, &stats, &missing, &first, e));
    OK(repo_closure(r, "n2", &d, &stats, &missing, &first, e));
    assert_int_equal(repo_closure(r, "n1", &d, &stats, &missing, &first, NULL),
                     OCM_E_MISSING); /* not n1's */
    repo_writer_free(w1);
    repo_writer_free(w2);
    OK(repo_check(r, true, NULL, NULL, &report, e));
    assert_int_equal(report.errors, 0);
    assert_int_equal(report.blobs, 4);
    buf_free(&report.text);
    repo_close(r);
}

struct party {
    struct repo *r;
    const char *node;
    unsigned seed;
    int rc;
    struct error err;
};

/* A writer of 1500 blobs, half of them shared with the other's, that reads
 * its own back. Asserts belong to the main thread. */
static void *write_and_read(void *arg)
{
    struct party *p = arg;
    struct repo_writer *w = repo_writer_new(p->r, p->node);
    struct buf plain = {0};
    uint8_t bytes[300];
    struct id ids[1500];

    for (unsigned i = 0; p->rc == 0 && i < ARRAY_LEN(ids); i++) {
        sample_bytes(i % 2 ? i : i + p->seed, bytes, sizeof(bytes));
        p->rc = repo_writer_add(w, BLOB_DATA, bytes, sizeof(bytes), &ids[i],
                                &p->err);
        if (p->rc == 0 && i % 300 == 299)
            p->rc = repo_writer_flush(w, &p->err);
        if (p->rc == 0 && i % 500 == 0)
            p->rc = repo_refresh(p->r, &p->err);
    }
    for (unsigned i = 0; p->rc == 0 && i < ARRAY_LEN(ids); i += 7)
        p->rc = repo_read(p->r, &ids[i], BLOB_DATA, &plain, &p->err);
    repo_writer_free(w);
    buf_free(&plain);
    return NULL;
}

static void threads_share_a_repository(void **state)
{
    struct bench *b = *state;
    struct repo *r = bench_open(b);
    struct party parties[] = {{.r = r, .node = "n1", .seed = 10000},
                              {.r = r, .node = "n2", .seed = 20000},
                              {.r = r, .node = "n2", .seed = 30000}};
    struct repo_check_report report = {0};
    pthread_t threads[ARRAY_LEN(parties)];

    for (size_t i = 0; i < ARRAY_LEN(parties); i++)
        assert_int_equal(
            pthread_create(&threads[i], NULL, write_and_read, &parties[i]), 0);
    OK(repo_lock(r, false, e));
    repo_unlock(r);
    for (size_t i = 0; i < ARRAY_LEN(parties); i++)
        pthread_join(threads[i], NULL);
    for (size_t i = 0; i < ARRAY_LEN(parties); i++)
        ok(parties[i].rc, &parties[i].err);
    assert_int_equal(repo_owned_count(r, "n1"), 1500);
    assert_int_equal(repo_owned_count(r, "n2"), 750 + 2 * 750);
    OK(repo_check(r, true, NULL, NULL, &report, e));
    assert_int_equal(report.errors, 0);
    assert_int_equal(report.blobs, 750 + 3 * 750);
    buf_free(&report.text);
    repo_close(r);
}

struct nonces {
    struct id *list;
    size_t count, cap;
};

static void gather_nonces(const char *path, struct nonces *n)
{
    struct buf b = {0};

    OK(file_read(path, 64 << 20, &b, e));
    n->list = mem_grow(n->list, &n->cap, n->count + 1, sizeof(*n->list));
    n->list[n->count] = (struct id){{0}};
    memcpy(n->list[n->count++].b, b.data, SEAL_NONCE_LEN);
    buf_free(&b);
}

static int by_id(const void *a, const void *b)
{
    return id_compare(a, b);
}

/* The first nonce of every file, and every nonce inside the packs. */
static void no_nonce_is_used_twice(void **state)
{
    struct bench *b = *state;
    struct repo *r = bench_open(b);
    struct nonces n = {0};
    struct id *packs;
    size_t count;

    for (unsigned i = 0; i < 60; i++) {
        struct repo_writer *w = repo_writer_new(r, "n1");

        put_sample(w, i % 30, 100 + i % 30); /* the same content twice */
        OK(repo_writer_flush(w, e));
        repo_writer_free(w);
        if (i == 29) { /* as if another process had written the first half */
            repo_close(r);
            shell_ok(b, "mv repo/index aside && mkdir repo/index");
            bench_drop_cache(b);
            r = bench_open(b);
        }
    }
    OK(object_list(r, "data", &packs, &count, e));
    assert_int_equal(count, 120);
    for (size_t i = 0; i < count; i++) {
        char name[PACK_NAME_MAX + 1], *path;

        pack_name(&packs[i], name);
        path = path_join(b->repo, name);
        gather_nonces(path, &n);
        free(path);
    }
    qsort(n.list, n.count, sizeof(*n.list), by_id);
    for (size_t i = 1; i < n.count; i++)
        assert_false(id_equal(&n.list[i - 1], &n.list[i]));
    free(n.list);
    free(packs);
    repo_close(r);
}

/* 40 MiB: several packs of about 16 MiB, trees apart from data. */
static void packs_have_their_size(void **state)
{
    struct bench *b = *state;
    struct repo *r = bench_open(b);
    struct repo_writer *w = repo_writer_new(r, "n1");
    uint8_t *bytes = mem_alloc(1 << 20);
    struct id *packs, id;
    size_t count, small = 0, full = 0;

    for (unsigned i = 0; i < 40; i++) {
        sample_bytes(i, bytes, 1 << 20);
        OK(repo_writer_add(w, BLOB_DATA, bytes, 1 << 20, &id, e));
    }
    put_sample(w, 100, 10);
    OK(repo_writer_flush(w, e));
    OK(object_list(r, "data", &packs, &count, e));
    for (size_t i = 0; i < count; i++) {
        char name[PACK_NAME_MAX + 1];
        uint64_t size;

        pack_name(&packs[i], name);
        OK(store_size(r->store, name, &size, e));
        full += size > (16u << 20) && size < (18u << 20);
        small += size < (16u << 20);
    }
    assert_int_equal(full, 2);
    assert_int_equal(small, 2); /* the rest of the data, and the tree */
    free(packs);
    free(bytes);
    repo_writer_free(w);
    repo_close(r);
}

static void the_free_floor_holds(void **state)
{
    struct bench *b = *state;
    struct error err = {0};
    struct repo_writer *w;
    struct snapshot s = {0};
    struct repo *r;
    struct id id;

    b->o.free_floor = disk_free(b->dir) * 2 + (1 << 30);
    r = bench_open(b); /* reading goes on */
    w = repo_writer_new(r, "n1");
    assert_int_equal(repo_writer_add(w, BLOB_DATA, "x", 1, &id, &err),
                     OCM_E_SPACE);
    assert_non_null(strstr(err.text, "stay free"));
    assert_int_equal(repo_writer_flush(w, NULL), OCM_E_SPACE); /* sticks */
    assert_int_equal(repo_snapshot_save(r, &s, NULL), OCM_E_SPACE);
    repo_writer_free(w);
    OK(repo_lock(r, false, e)); /* a restore may go on */
    repo_unlock(r);
    repo_close(r);
}

static int count_one(void *arg, const struct id *id)
{
    (void)id;
    return ++*(int *)arg == 3 ? 77 : 0;
}

static void owned_sets_are_listed(void **state)
{
    struct bench *b = *state;
    struct repo *r = bench_open(b);
    struct repo_writer *w = repo_writer_new(r, "n1");
    struct id id;
    int n = 0;

    for (uint32_t i = 0; i < 3000; i++)
        OK(repo_writer_add(w, BLOB_DATA, &i, sizeof(i), &id, e));
    OK(repo_writer_flush(w, e));
    assert_int_equal(repo_owned_count(r, "n1"), 3000);
    assert_int_equal(repo_owned_count(r, "n2"), 0);
    assert_int_equal(repo_owned_each(r, "n1", count_one, &n, NULL), 77);
    n = 10;
    OK(repo_owned_each(r, "n1", count_one, &n, e));
    assert_int_equal(n, 3010);
    repo_writer_free(w);
    /* without the cache only what a snapshot reaches is still the node's */
    backup_sample(r, "n1", 1, 100);
    repo_close(r);
    bench_drop_cache(b);
    r = bench_open(b);
    assert_int_equal(repo_owned_count(r, "n1"), 2);
    repo_close(r);
}

static void a_foreign_or_broken_cache_is_made_anew(void **state)
{
    struct bench *b = *state;
    struct repo *r = bench_open(b);
    struct id id = backup_sample(r, "n1", 1, 100);

    repo_close(r);
    shell_ok(b, "head -c 5000 /dev/urandom > cache/blobs.db");
    r = bench_open(b);
    assert_int_equal(repo_owned_count(r, "n1"), 2);
    repo_close(r);
    shell_ok(b, "dd if=/dev/urandom of=cache/blobs.db bs=4096 seek=2 count=6 "
                "conv=notrunc 2>/dev/null");
    r = bench_open(b);
    assert_int_equal(repo_owned_count(r, "n1"), 2);
    repo_close(r);
    shell_ok(b, "rm -rf repo");
    OK(repo_init(&b->o, e));
    assert_int_equal(repo_open(&b->o, &r, NULL), 0); /* another repository */
    assert_int_equal(repo_owned_count(r, "n1"), 0);
    assert_false(repo_has(r, &id, BLOB_TREE));
    repo_close(r);
}

static void snapshots_are_found(void **state)
{
    struct bench *b = *state;
    struct repo *r = bench_open(b);
    struct id first = backup_sample(r, "n1", 1, 100);
    struct id second = backup_sample(r, "n2", 2, 100);
    struct error err = {0};
    struct snapshot s, *list;
    char hex[ID_HEX_LEN + 1];
    size_t count;

    OK(repo_snapshots(r, &list, &count, e));
    assert_int_equal(count, 2);
    assert_true(id_equal(&list[0].id, &first));
    assert_string_equal(list[1].hostname, "n2");
    assert_string_equal(snapshot_tag(&list[1], "node"), "n2");
    assert_string_equal(snapshot_tag(&list[1], "safety"), "");
    assert_null(snapshot_tag(&list[1], "nod"));
    snapshots_free(list, count);
    OK(repo_snapshot_find(r, NULL, "latest", &s, e));
    assert_true(id_equal(&s.id, &second));
    assert_string_equal(s.program_version, "ocm test");
    snapshot_fini(&s);
    OK(repo_snapshot_find(r, "n1", "latest", &s, e));
    assert_true(id_equal(&s.id, &first));
    snapshot_fini(&s);
    id_hex(&first, hex);
    OK(repo_snapshot_find(r, NULL, hex, &s, e));
    snapshot_fini(&s);
    hex[8] = 0;
    OK(repo_snapshot_find(r, "n1", hex, &s, e));
    snapshot_fini(&s);
    assert_int_equal(repo_snapshot_find(r, "n2", hex, &s, &err),
                     OCM_E_NOTFOUND);
    assert_int_equal(repo_snapshot_find(r, "n3", "latest", &s, &err),
                     OCM_E_NOTFOUND);
    assert_int_equal(repo_snapshot_find(r, NULL, "", &s, &err), OCM_E_INVALID);
    assert_int_equal(repo_snapshot_find(r, NULL, "zz", &s, &err),
                     OCM_E_NOTFOUND);
    repo_close(r);
}

#define T(f) cmocka_unit_test_setup_teardown(f, bench_setup, bench_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_seal_opens_only_unchanged),
        cmocka_unit_test(polynomials_are_irreducible),
        cmocka_unit_test(a_table_of_ids_compares_whole_ids),
        T(opening_says_what_is_wrong),
        T(what_is_missing_is_not_empty),
        T(blobs_come_back),
        T(nothing_shows_before_flush),
        T(two_writers_at_once),
        T(threads_share_a_repository),
        T(no_nonce_is_used_twice),
        T(packs_have_their_size),
        T(the_free_floor_holds),
        T(owned_sets_are_listed),
        T(a_foreign_or_broken_cache_is_made_anew),
        T(snapshots_are_found),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
