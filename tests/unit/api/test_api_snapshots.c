/* SPDX-License-Identifier: MIT */
/* Snapshots over HTTP: import, look, read, compare, export. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "common/base/clock.h"
#include "common/base/files.h"
#include "common/base/mem.h"
#include "controller/jobs/archive_import.h"
#include "tests/unit/api/api_fixture.h"

#define V1 "/api/v1"

struct group {
    struct fixture *f;
    char first[80], second[80]; /* snapshots */
};

/* Upload an archive and wait; the snapshot's id, or "" when the job fails. */
static void import(struct fixture *f, const char *path, char id[80])
{
    struct buf b = {0};
    struct reply r;
    struct job_row row;
    json_t *result;
    char state[16];

    assert_int_equal(file_read(path, 64 << 20, &b, NULL), 0);
    r = http_bytes(f, "POST", V1 "/imports?node=web-1",
                   "application/octet-stream", b.data, b.len);
    assert_int_equal(r.status, 202);
    wait_job(f, text_at(r.json, "job"), state);
    assert_int_equal(
        catalog_job_get(f->c.catalog, text_at(r.json, "job"), &row, NULL), 0);
    result = row.result ? json_loads(row.result, 0, NULL) : NULL;
    snprintf(id, 80, "%s", text_at(result, "snapshot"));
    json_decref(result);
    job_row_fini(&row);
    reply_free(&r);
    buf_free(&b);
}

static int group_setup(void **state)
{
    struct group *g = mem_zalloc(sizeof(*g));
    struct node n;
    char *path;

    g->f = fixture_new();
    path = mem_printf("%s/upstream.tar.gz", g->f->dir);
    assert_int_equal(catalog_node_add(g->f->c.catalog, "web-1", "h", &n, NULL),
                     0);
    make_upstream(path, 1);
    import(g->f, path, g->first);
    make_upstream(path, 2);
    import(g->f, path, g->second);
    assert_int_equal(strlen(g->first), 64);
    assert_int_equal(strlen(g->second), 64);
    free(path);
    *state = g;
    return 0;
}

static int group_teardown(void **state)
{
    struct group *g = *state;
    char *dir = path_of_imports(g->f->dir);

    /* no upload is left behind */
    assert_int_equal(rmdir(dir), 0);
    free(dir);
    fixture_free(g->f);
    free(g);
    return 0;
}

static struct reply get(struct group *g, const char *fmt, const char *a,
                        const char *b)
{
    char *target = NULL;
    struct reply r;

    if (asprintf(&target, "%s%s%s%s", V1 "/snapshots/", a, fmt, b) < 0)
        fail();
    r = http(g->f, "GET", target, NULL);
    free(target);
    return r;
}

static void snapshots_are_listed_newest_first(void **state)
{
    struct group *g = *state;
    struct reply r = http(g->f, "GET", V1 "/snapshots?node=web-1", NULL);
    json_t *list = json_object_get(r.json, "snapshots");

    assert_int_equal(r.status, 200);
    assert_int_equal(
        json_integer_value(json_object_get(r.json, "schemaVersion")), 1);
    assert_int_equal(json_array_size(list), 2);
    assert_string_equal(text_at(json_array_get(list, 0), "id"), g->second);
    assert_string_equal(text_at(json_array_get(list, 0), "node"), "web-1");
    assert_string_equal(text_at(json_array_get(list, 0), "state"), "complete");
    reply_free(&r);
    r = http(g->f, "GET", V1 "/snapshots?limit=1", NULL);
    assert_int_equal(json_array_size(json_object_get(r.json, "snapshots")), 1);
    reply_free(&r);
    r = http(g->f, "GET", V1 "/snapshots?node=nobody", NULL);
    assert_int_equal(r.status, 404);
    reply_free(&r);
    r = http(g->f, "GET", V1 "/snapshots?limit=0", NULL);
    assert_int_equal(r.status, 400);
    reply_free(&r);
}

static void a_snapshot_tells_its_sections(void **state)
{
    struct group *g = *state;
    struct reply r = get(g, "", "latest:web-1", "");
    json_t *s = json_object_get(r.json, "snapshot");

    assert_int_equal(r.status, 200);
    assert_string_equal(text_at(s, "id"), g->second);
    assert_true(json_is_true(json_object_get(s, "meta")));
    assert_true(json_array_size(json_object_get(s, "sections")) >= 5);
    assert_true(json_integer_value(json_object_get(s, "bytes")) > 3000000);
    reply_free(&r);
    r = get(g, "", "ffffffff", "");
    assert_int_equal(r.status, 404);
    assert_string_equal(text_at(json_object_get(r.json, "error"), "code"),
                        "notfound");
    reply_free(&r);
    r = get(g, "", "latest:nobody", "");
    assert_int_equal(r.status, 404);
    reply_free(&r);
}

static void files_are_listed(void **state)
{
    struct group *g = *state;
    struct reply r = get(g, "/files", g->first, "");
    json_t *list = json_object_get(r.json, "entries");

    assert_int_equal(r.status, 200);
    assert_int_equal(json_array_size(list), 4); /* config data meta verify */
    assert_string_equal(text_at(json_array_get(list, 0), "path"), "config");
    assert_string_equal(text_at(json_array_get(list, 0), "type"), "dir");
    reply_free(&r);
    r = get(g, "/files?recursive=1&path=", g->first, "data%2Fworkspace/");
    list = json_object_get(r.json, "entries");
    assert_int_equal(json_array_size(list), 7);
    assert_string_equal(text_at(json_array_get(list, 0), "path"),
                        "data/workspace/outside-1");
    reply_free(&r);
    r = get(g, "/files?path=", g->first, "data/../config");
    assert_int_equal(r.status, 400);
    reply_free(&r);
    r = get(g, "/files?path=", g->first, "data/nothing");
    assert_int_equal(r.status, 404);
    reply_free(&r);
}

static void files_are_read_whole(void **state)
{
    struct group *g = *state;
    struct reply r =
        get(g, "/file?path=", g->first, "config/gateway/openclaw.json");

    assert_int_equal(r.status, 200);
    assert_true(r.whole);
    assert_non_null(strstr(buf_str(&r.body), "// my gateway"));
    assert_non_null(strstr((char *)r.head.data, "attachment; filename="
                                                "\"openclaw.json\""));
    assert_non_null(strstr((char *)r.head.data, "nosniff"));
    reply_free(&r);
    /* three chunks, larger than any buffer on the way */
    r = get(g, "/file?path=", g->first,
            "data/sessions/agents/main/agent/openclaw-agent.sqlite");
    assert_int_equal(r.status, 200);
    assert_true(r.whole);
    assert_int_equal(r.body.len, 3000000);
    reply_free(&r);
    r = get(g, "/file?path=", g->first, "data");
    assert_int_equal(r.status, 400);
    reply_free(&r);
    r = get(g, "/file", g->first, "");
    assert_int_equal(r.status, 400);
    reply_free(&r);
}

/* A client that goes away in the middle of a download costs nothing. */
static void a_reader_may_go_away(void **state)
{
    struct group *g = *state;

    for (int i = 0; i < 5; i++) {
        char *head = mem_printf("GET " V1 "/snapshots/%s/export HTTP/1.1\r\n"
                                "Host: localhost\r\n\r\n",
                                g->first);
        int fd = fixture_connect(g->f);
        char some[100];

        assert_true(write(fd, head, strlen(head)) > 0);
        assert_true(read(fd, some, sizeof(some)) > 0);
        close(fd);
        free(head);
    }
    files_are_read_whole(state);
}

static json_t *entry_of(const struct reply *r, const char *path)
{
    size_t i;
    json_t *e;

    json_array_foreach(json_object_get(r->json, "entries"), i, e)
    {
        if (strcmp(text_at(e, "path"), path) == 0)
            return e;
    }
    fail_msg("no entry %s", path);
    return NULL;
}

static void differences_hold_no_secret(void **state)
{
    struct group *g = *state;
    struct reply r = get(g, "/diff/", g->first, g->second);
    json_t *counts = json_object_get(r.json, "counts"), *keys;
    const char *all;

    assert_int_equal(r.status, 200);
    all = buf_str(&r.body);
    assert_null(strstr(all, "secret-one-1"));
    assert_null(strstr(all, "secret-two-2"));
    assert_null(strstr(all, "abcdef\""));
    assert_int_equal(json_integer_value(json_object_get(counts, "added")), 0);
    keys =
        json_object_get(entry_of(&r, "config/gateway/openclaw.json"), "keys");
    assert_int_equal(json_array_size(keys), 3);
    assert_non_null(json_object_get(
        entry_of(&r, "data/workspace/workspace/notes.md"), "lines"));
    reply_free(&r);
    r = get(g, "/diff/", g->first, g->first);
    assert_int_equal(json_array_size(json_object_get(r.json, "entries")), 0);
    reply_free(&r);
    {
        char *other = mem_printf("%s?path=config&stat=1", g->second);

        r = get(g, "/diff/", g->first, other);
        assert_int_equal(r.status, 200);
        assert_int_equal(json_array_size(json_object_get(r.json, "entries")),
                         1);
        assert_null(json_object_get(
            entry_of(&r, "config/gateway/openclaw.json"), "keys"));
        reply_free(&r);
        free(other);
    }
}

static void an_export_is_an_archive(void **state)
{
    struct group *g = *state;
    struct reply r = get(g, "/export", g->second, "");
    char *path = mem_printf("%s/export.tar.zst", g->f->dir), *command;
    char again[80];

    assert_int_equal(r.status, 200);
    assert_true(r.whole);
    assert_non_null(strstr((char *)r.head.data, "filename=\"web-1-"));
    assert_int_equal(file_write(path, r.body.data, r.body.len, 0600, NULL), 0);
    command = mem_printf("cd %s && mkdir exported && cd exported && "
                         "tar --zstd -xf ../export.tar.zst && "
                         "sha256sum --quiet -c verify/SHA256SUMS",
                         g->f->dir);
    assert_int_equal(system(command), 0);
    import(g->f, path, again);
    assert_int_equal(strlen(again), 64);
    reply_free(&r);
    free(command);
    free(path);
}

static void a_restore_goes_back_to_the_newest(void **state)
{
    struct group *g = *state;
    struct job_row row;
    char end[16], newest[80];
    struct reply r = http(g->f, "GET", V1 "/snapshots?limit=1", NULL);

    snprintf(
        newest, sizeof(newest), "%s",
        text_at(json_array_get(json_object_get(r.json, "snapshots"), 0), "id"));
    reply_free(&r);
    r = http(g->f, "POST", V1 "/plans",
             "{\"source\":\"web-1\",\"target\":\"web-1\","
             "\"intention\":\"restore\"}");
    assert_int_equal(r.status, 202);
    wait_job(g->f, text_at(r.json, "job"), end);
    assert_int_equal(
        catalog_job_get(g->f->c.catalog, text_at(r.json, "job"), &row, NULL),
        0);
    assert_non_null(strstr(row.params, newest));
    job_row_fini(&row);
    reply_free(&r);
}

static void a_bad_upload_fails_as_a_job(void **state)
{
    struct group *g = *state;
    char *path = mem_printf("%s/bad", g->f->dir);
    struct reply r;
    char id[80];

    assert_int_equal(file_write(path, "no archive", 10, 0600, NULL), 0);
    import(g->f, path, id);
    assert_string_equal(id, "");
    free(path);
    r = http_bytes(g->f, "POST", V1 "/imports?node=nobody",
                   "application/octet-stream", "x", 1);
    assert_int_equal(r.status, 404);
    reply_free(&r);
    r = http_bytes(g->f, "POST", V1 "/imports", "application/octet-stream", "x",
                   1);
    assert_int_equal(r.status, 400);
    reply_free(&r);
}

static bool is_empty_dir(const char *dir)
{
    char *command = mem_printf("test -z \"$(ls -A %s)\"", dir);
    bool empty = system(command) == 0;

    free(command);
    return empty;
}

/* Cut in the middle: the file goes, no job begins. */
static void a_cut_upload_leaves_nothing(void **state)
{
    struct group *g = *state;
    static const char head[] =
        "POST " V1 "/imports?node=web-1 HTTP/1.1\r\nHost: localhost\r\n"
        "Content-Type: application/octet-stream\r\nContent-Length: 1000000"
        "\r\n\r\nsome bytes";
    char *dir = path_of_imports(g->f->dir);
    int64_t end = clock_monotonic_ms() + FIXTURE_WAIT_MS;
    int fd = fixture_connect(g->f);

    assert_true(write(fd, head, strlen(head)) > 0);
    while (is_empty_dir(dir)) /* until it has begun */
        assert_true(clock_monotonic_ms() < end);
    close(fd);
    while (!is_empty_dir(dir))
        assert_true(clock_monotonic_ms() < end);
    free(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(snapshots_are_listed_newest_first),
        cmocka_unit_test(a_snapshot_tells_its_sections),
        cmocka_unit_test(files_are_listed),
        cmocka_unit_test(files_are_read_whole),
        cmocka_unit_test(a_reader_may_go_away),
        cmocka_unit_test(differences_hold_no_secret),
        cmocka_unit_test(an_export_is_an_archive),
        cmocka_unit_test(a_restore_goes_back_to_the_newest),
        cmocka_unit_test(a_bad_upload_fails_as_a_job),
        cmocka_unit_test(a_cut_upload_leaves_nothing),
    };

    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
