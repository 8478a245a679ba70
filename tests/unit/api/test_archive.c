/* SPDX-License-Identifier: MIT */
/* Archives in and out: what goes out comes back the same; what no archive may
 * hold is refused by name and leaves no snapshot. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <cmocka.h>

#include "common/base/files.h"
#include "common/base/mem.h"
#include "controller/jobs/archive_export.h"
#include "controller/jobs/archive_import.h"
#include "tests/unit/api/api_fixture.h"

#define NODE_ID "0123456789abcdef0123456789abcdef"

static char *path_in(const struct fixture *f, const char *name)
{
    return mem_printf("%s/%s", f->dir, name);
}

static int import(const struct fixture *f, const char *path, json_t *result,
                  struct error *e)
{
    struct import_options o = {
        .repo = f->c.repo,
        .path = path,
        .node_name = "web-1",
        .node_id = NODE_ID,
        .job = "j0000000000000",
    };

    return archive_import(&o, result, e);
}

static size_t snapshot_count(const struct fixture *f)
{
    struct snapshot *all;
    size_t count;

    assert_int_equal(repo_snapshots(f->c.repo, &all, &count, NULL), 0);
    snapshots_free(all, count);
    return count;
}

static int to_file(void *arg, const void *p, size_t len, struct error *e)
{
    (void)e;
    return fwrite(p, 1, len, arg) == len ? 0 : OCM_E_FAILED;
}

static void export_to(const struct fixture *f, const struct id *root,
                      const char *path)
{
    FILE *file = fopen(path, "wb");
    struct error e = {0};

    assert_non_null(file);
    if (archive_export(f->c.repo, root, to_file, file, &e) < 0)
        fail_msg("%s", e.text);
    fclose(file);
}

static struct snapshot find(const struct fixture *f, const json_t *result)
{
    struct snapshot s;

    assert_int_equal(repo_snapshot_find(f->c.repo, NULL,
                                        text_at(result, "snapshot"), &s, NULL),
                     0);
    return s;
}

static void read_at(const struct fixture *f, const struct id *root,
                    const char *path, struct buf *out)
{
    struct tree holder;
    const struct tree_node *n;
    struct error e = {0};

    if (repo_lookup(f->c.repo, root, path, &holder, &n, &e) < 0)
        fail_msg("%s: %s", path, e.text);
    assert_int_equal(repo_read_file(f->c.repo, n, 8 << 20, out, &e), 0);
    tree_free(&holder);
}

static bool is_there(const struct fixture *f, const struct id *root,
                     const char *path)
{
    struct tree holder = {0};
    const struct tree_node *n;
    int rc = repo_lookup(f->c.repo, root, path, &holder, &n, NULL);

    if (rc == 0)
        tree_free(&holder);
    return rc == 0;
}

static void check_upstream_places(const struct fixture *f,
                                  const struct id *root)
{
    static const char *const places[] = {
        "config/gateway/openclaw.json",
        "config/env/.env",
        "config/credentials/credentials/whatsapp/creds.json",
        "data/sessions/agents/main/agent/openclaw-agent.sqlite",
        "data/workspace/workspace/notes.md",
        "data/workspace/workspace/n\xc3\xb6te",
        "data/workspace/outside-1/own.txt",
        "data/other/strange/thing",
        "data/other/outside/opt/else.txt",
        "meta.json",
        "verify/SHA256SUMS",
    };

    for (size_t i = 0; i < ARRAY_LEN(places); i++) {
        if (!is_there(f, root, places[i]))
            fail_msg("%s is missing", places[i]);
    }
}

static void openclaws_own_archive_comes_in(void **state)
{
    const struct fixture *f = *state;
    char *path = path_in(f, "upstream.tar.gz"), *dir = path_in(f, "x");
    char *out = path_in(f, "out.tar.zst"), *command;
    json_t *result = json_object(), *meta;
    struct error e = {0};
    struct buf b = {0};
    struct snapshot s;

    make_upstream(path, 1);
    if (import(f, path, result, &e) < 0)
        fail_msg("%s", e.text);
    assert_string_equal(text_at(result, "format"), "openclaw");
    assert_string_equal(text_at(result, "state"), "complete");
    s = find(f, result);
    assert_string_equal(s.hostname, "web-1");
    assert_string_equal(snapshot_tag(&s, "node"), NODE_ID);
    check_upstream_places(f, &s.tree);
    read_at(f, &s.tree, "meta.json", &b);
    meta = json_loadb((char *)b.data, b.len, 0, NULL);
    assert_int_equal(json_integer_value(json_object_get(meta, "format")), 1);
    assert_string_equal(text_at(meta, "openclaw"), "2026.9.6");
    assert_string_equal(text_at(meta, "era"), "sqlite");
    assert_string_equal(text_at(json_object_get(meta, "facts"), "state.dir"),
                        "/home/jo/.openclaw");
    json_decref(meta);
    /* two warnings: a setuid bit, a file outside */
    assert_int_equal(json_array_size(json_object_get(result, "warnings")), 2);

    /* programs that nobody here wrote judge what goes out */
    export_to(f, &s.tree, out);
    assert_int_equal(mkdir(dir, 0700), 0);
    command = mem_printf("cd %s && tar --zstd -xf %s && "
                         "sha256sum --quiet -c verify/SHA256SUMS && "
                         "test \"$(stat -c %%Y data/workspace/workspace/"
                         "notes.md)\" = 1700000000 && "
                         "test \"$(readlink data/workspace/workspace/link)\" = "
                         "/etc/hostname && "
                         "test \"$(stat -c %%h data/workspace/workspace/"
                         "twin)\" = 2 && "
                         "test -f 'data/workspace/workspace/n\xc3\xb6te'",
                         dir, out);
    assert_int_equal(system(command), 0);
    free(command);
    snapshot_fini(&s);
    buf_free(&b);
    json_decref(result);
    free(path);
    free(dir);
    free(out);
}

/* Out, in, out, in: from the second time on nothing changes any more. */
static void what_goes_out_comes_back(void **state)
{
    const struct fixture *f = *state;
    char *path = path_in(f, "round.tar.gz"), *out = path_in(f, "round.tar.zst");
    json_t *first = json_object(), *second = json_object();
    json_t *third = json_object();
    struct snapshot a, b, c;
    struct error e = {0};
    struct buf x = {0}, y = {0};

    make_upstream(path, 2);
    assert_int_equal(import(f, path, first, &e), 0);
    a = find(f, first);
    export_to(f, &a.tree, out);
    if (import(f, out, second, &e) < 0)
        fail_msg("%s", e.text);
    assert_string_equal(text_at(second, "format"), "ocm");
    b = find(f, second);
    assert_int_equal(json_integer_value(json_object_get(first, "files")) + 2 -
                         json_integer_value(json_object_get(second, "files")),
                     1); /* its manifest stays behind, two files were made */
    read_at(f, &a.tree, "verify/SHA256SUMS", &x);
    read_at(f, &b.tree, "verify/SHA256SUMS", &y);
    assert_int_equal(x.len, y.len);
    assert_memory_equal(x.data, y.data, x.len);
    export_to(f, &b.tree, out);
    assert_int_equal(import(f, out, third, &e), 0);
    c = find(f, third);
    assert_true(id_equal(&b.tree, &c.tree));
    buf_free(&x);
    buf_free(&y);
    snapshot_fini(&a);
    snapshot_fini(&b);
    snapshot_fini(&c);
    json_decref(first);
    json_decref(second);
    json_decref(third);
    free(path);
    free(out);
}

#define META                                                                   \
    {                                                                          \
        "meta.json", 'f', "{\"format\":1,\"sections\":[]}", 0, 0               \
    }

struct bad_case {
    const char *what;
    int want;
    const char *word; /* of the reason */
    struct tar_item items[4];
};

static const struct bad_case bad[] = {
    {"a device", OCM_E_DENIED, "devices", {META, {"data/x", 'c', 0, 0, 0}}},
    {"a pipe", OCM_E_DENIED, "devices", {META, {"data/x", 'p', 0, 0, 0}}},
    {"a way out", OCM_E_DENIED, "../x", {META, {"../x", 'f', "1", 0, 0}}},
    {"a way out inside",
     OCM_E_DENIED,
     "a/../../x",
     {META, {"a/../../x", 'f', "1", 0, 0}}},
    {"an absolute name",
     OCM_E_DENIED,
     "/etc",
     {META, {"/etc/x", 'f', "", 0, 0}}},
    {"a link to nothing",
     OCM_E_DENIED,
     "hard link",
     {META, {"x", 'h', "nowhere", 0, 0}}},
    {"a hard link out",
     OCM_E_DENIED,
     "hard link",
     {META, {"x", 'h', "/etc/passwd", 0, 0}}},
    {"a name twice",
     OCM_E_DENIED,
     "twice",
     {{"r/manifest.json", 'f',
       "{\"schemaVersion\":1,\"archiveRoot\":\"r\",\"paths\":{\"stateDir\":"
       "\"/s\"}}",
       0, 0},
      {"r/payload/posix/s/a", 'f', "1", 0, 0},
      {"r/payload/posix/s/a", 'f', "2", 0, 0}}},
    {"below a link",
     OCM_E_DENIED,
     "below no folder",
     {{"r/manifest.json", 'f',
       "{\"schemaVersion\":1,\"archiveRoot\":\"r\",\"paths\":{\"stateDir\":"
       "\"/s\"}}",
       0, 0},
      {"r/payload/posix/s/a", 'l', "/etc", 0, 0},
      {"r/payload/posix/s/a/b", 'f', "2", 0, 0}}},
    {"another schema",
     OCM_E_UNSUPPORTED,
     "schemaVersion",
     {{"r/manifest.json", 'f', "{\"schemaVersion\":2}", 0, 0}}},
    {"no manifest", OCM_E_UNSUPPORTED, "neither", {{"a", 'f', "1", 0, 0}}},
    {"a wrong checksum",
     OCM_E_DAMAGED,
     "checksum",
     {META,
      {"verify/SHA256SUMS", 'f',
       "0000000000000000000000000000000000000000000000000000000000000000  "
       "meta.json\n",
       0, 0}}},
    {"a file that is missing",
     OCM_E_DAMAGED,
     "missing",
     {META,
      {"verify/SHA256SUMS", 'f',
       "0000000000000000000000000000000000000000000000000000000000000000  "
       "data/gone\n",
       0, 0}}},
    {"a file without a checksum",
     OCM_E_DAMAGED,
     "no line",
     {META,
      {"verify/SHA256SUMS", 'f',
       "3800223368554269b0d38e0f33ed32274f7c2129b44b890eeeb8ed8296ba4428  "
       "meta.json\n",
       0, 0},
      {"data/y", 'f', "1", 0, 0}}},
};

static void bad_archives_are_refused_by_name(void **state)
{
    const struct fixture *f = *state;
    char *path = path_in(f, "bad.tar");
    size_t before = snapshot_count(f);

    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        json_t *result = json_object();
        struct error e = {0};
        size_t count = 0;
        int rc;

        while (count < 4 && bad[i].items[count].name)
            count++;
        make_tar(path, i % 2 ? "gzip" : "zstd", bad[i].items, count);
        rc = import(f, path, result, &e);
        if (rc != bad[i].want || !strstr(e.text, bad[i].word))
            fail_msg("%s: %s (%s)", bad[i].what, error_name(rc), e.text);
        json_decref(result);
    }
    assert_int_equal(snapshot_count(f), before);
    free(path);
}

static void too_deep_is_refused(void **state)
{
    const struct fixture *f = *state;
    char *path = path_in(f, "deep.tar");
    struct buf name = {0};
    struct tar_item items[] = {META, {NULL, 'f', "1", 0, 0}};
    json_t *result = json_object();
    struct error e = {0};

    for (int i = 0; i <= IMPORT_MAX_DEPTH; i++)
        buf_add_str(&name, "d/");
    buf_add_str(&name, "x");
    items[1].name = buf_str(&name);
    make_tar(path, "zstd", items, 2);
    assert_int_equal(import(f, path, result, &e), OCM_E_DENIED);
    assert_non_null(strstr(e.text, "deep"));
    json_decref(result);
    buf_free(&name);
    free(path);
}

static void no_archive_is_refused(void **state)
{
    const struct fixture *f = *state;
    char *path = path_in(f, "no.tar");
    json_t *result = json_object();
    struct error e = {0};

    assert_int_equal(
        file_write(path, "hello, this is no archive", 25, 0600, NULL), 0);
    assert_int_equal(import(f, path, result, &e), OCM_E_UNSUPPORTED);
    assert_int_equal(file_write(path, "", 0, 0600, NULL), 0);
    assert_int_equal(import(f, path, result, &e), OCM_E_UNSUPPORTED);
    json_decref(result);
    free(path);
}

/* A cut archive gives an error wherever it is cut, never a snapshot. */
static void a_cut_archive_is_refused(void **state)
{
    const struct fixture *f = *state;
    char *path = path_in(f, "cut.tar.gz");
    size_t before;
    struct buf b = {0};

    make_upstream(path, 1);
    assert_int_equal(file_read(path, 64 << 20, &b, NULL), 0);
    before = snapshot_count(f);
    for (size_t part = 1; part <= 5; part++) {
        json_t *result = json_object();
        struct error e = {0};

        assert_int_equal(file_write(path, b.data, b.len * part / 6, 0600, NULL),
                         0);
        assert_true(import(f, path, result, &e) < 0);
        json_decref(result);
    }
    assert_int_equal(snapshot_count(f), before);
    buf_free(&b);
    free(path);
}

/* 300 MiB of zeros in a few KiB. */
static void a_bomb_is_refused(void **state)
{
    const struct fixture *f = *state;
    char *path = path_in(f, "bomb.tar.zst"), *command;
    json_t *result = json_object();
    struct error e = {0};

    command = mem_printf("cd %s && truncate -s 300M zeros && tar cf - zeros | "
                         "zstd -q -f -o %s; rm -f zeros",
                         f->dir, path);
    if (system("command -v zstd >/dev/null") != 0) {
        free(command);
        free(path);
        json_decref(result);
        skip();
        return;
    }
    assert_int_equal(system(command), 0);
    assert_int_equal(import(f, path, result, &e), OCM_E_LIMIT);
    assert_non_null(strstr(e.text, "times its size"));
    free(command);
    free(path);
    json_decref(result);
}

static int group_setup(void **state)
{
    *state = fixture_new();
    return 0;
}

static int group_teardown(void **state)
{
    fixture_free(*state);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(openclaws_own_archive_comes_in),
        cmocka_unit_test(what_goes_out_comes_back),
        cmocka_unit_test(bad_archives_are_refused_by_name),
        cmocka_unit_test(too_deep_is_refused),
        cmocka_unit_test(no_archive_is_refused),
        cmocka_unit_test(a_cut_archive_is_refused),
        cmocka_unit_test(a_bomb_is_refused),
    };

    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
