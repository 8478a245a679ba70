/* SPDX-License-Identifier: MIT */
/* The API as a whole: routes and openapi.json agree, nodes, jobs, events, who
 * may come in, and how it ends. */
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#include <grp.h>
#include <cmocka.h>

#include "common/base/clock.h"
#include "common/base/files.h"
#include "common/base/mem.h"
#include "controller/api/openapi.h"
#include "controller/api/peer.h"
#include "controller/api/request.h"
#include "tests/unit/api/api_fixture.h"

#define V1 "/api/v1"

static int setup(void **state)
{
    fake_connected = "";
    fake_closed = 0;
    gate_reset();
    *state = fixture_new();
    return 0;
}

static int teardown(void **state)
{
    fixture_free(*state);
    return 0;
}

static const char *error_code(const struct reply *r)
{
    return text_at(json_object_get(r->json, "error"), "code");
}

/* ---- openapi ---- */

static json_t *openapi(void)
{
    json_t *v = json_loadb(openapi_json, openapi_json_len,
                           JSON_REJECT_DUPLICATES, NULL);

    assert_non_null(v);
    return v;
}

static void check_parameters(const struct route *r, const json_t *op)
{
    struct buf names = {0};
    size_t i;
    json_t *p;

    json_array_foreach(json_object_get(op, "parameters"), i, p)
    {
        const char *name = text_at(p, "name");
        char *braced = mem_printf("{%s}", name);

        if (strcmp(text_at(p, "in"), "path") == 0)
            assert_non_null(strstr(r->path, braced));
        else
            buf_printf(&names, "%s%s", names.len ? " " : "", name);
        free(braced);
    }
    if (strcmp(buf_str(&names), r->query) != 0)
        fail_msg("%s %s: query '%s', described '%s'", r->method, r->path,
                 r->query, buf_str(&names));
    buf_free(&names);
}

static void routes_and_description_agree(void **state)
{
    json_t *doc = openapi(), *paths = json_object_get(doc, "paths"), *ops, *op;
    const char *path, *method;
    size_t described = 0;

    (void)state;
    for (size_t i = 0; i < route_count; i++) {
        const struct route *r = &route_table[i];
        char lower[8] = "";

        for (size_t k = 0; r->method[k]; k++)
            lower[k] = (char)(r->method[k] | 0x20);
        op = json_object_get(json_object_get(paths, r->path), lower);
        if (!op)
            fail_msg("%s %s is not described", r->method, r->path);
        assert_int_equal(json_object_get(op, "requestBody") != NULL,
                         (r->flags & (ROUTE_BODY | ROUTE_UPLOAD)) != 0 &&
                             json_object_get(op, "requestBody") != NULL);
        check_parameters(r, op);
        assert_non_null(
            json_object_get(json_object_get(op, "responses"), "default"));
    }
    json_object_foreach(paths, path, ops)
    {
        json_object_foreach(ops, method, op)
        {
            described++;
        }
    }
    assert_int_equal(described, route_count);
    json_decref(doc);
}

/* Does `v` fit `schema`? Enough of JSON Schema for our own file. */
static bool fits(const json_t *doc, const json_t *schema, const json_t *v,
                 struct buf *why);

static bool is_type(const char *type, const json_t *v)
{
    return strcmp(type, "string") == 0    ? json_is_string(v)
           : strcmp(type, "integer") == 0 ? json_is_integer(v)
           : strcmp(type, "number") == 0  ? json_is_number(v)
           : strcmp(type, "boolean") == 0 ? json_is_boolean(v)
           : strcmp(type, "null") == 0    ? json_is_null(v)
           : strcmp(type, "array") == 0   ? json_is_array(v)
           : strcmp(type, "object") == 0  ? json_is_object(v)
                                          : false;
}

static bool type_fits(const json_t *type, const json_t *v)
{
    size_t i;
    json_t *t;

    if (!type)
        return true;
    if (json_is_string(type))
        return is_type(json_string_value(type), v);
    json_array_foreach(type, i, t)
    {
        if (is_type(json_string_value(t), v))
            return true;
    }
    return false;
}

static bool object_fits(const json_t *doc, const json_t *schema, json_t *v,
                        struct buf *why)
{
    const json_t *props = json_object_get(schema, "properties");
    const char *key;
    json_t *item;
    size_t i;

    json_array_foreach(json_object_get(schema, "required"), i, item)
    {
        if (!json_object_get(v, json_string_value(item))) {
            buf_printf(why, "'%s' is missing", json_string_value(item));
            return false;
        }
    }
    json_object_foreach(v, key, item)
    {
        json_t *p = json_object_get(props, key);

        if (!p &&
            json_is_false(json_object_get(schema, "additionalProperties"))) {
            buf_printf(why, "'%s' is not described", key);
            return false;
        }
        if (p && !fits(doc, p, item, why)) {
            buf_printf(why, " in '%s'", key);
            return false;
        }
    }
    return true;
}

static bool fits(const json_t *doc, const json_t *schema, const json_t *v,
                 struct buf *why)
{
    const char *ref = json_string_value(json_object_get(schema, "$ref"));
    json_t *one, *constant = json_object_get(schema, "const");
    json_t *allowed = json_object_get(schema, "enum");
    size_t i;
    bool ok = false;

    if (ref) {
        const json_t *all =
            json_object_get(json_object_get(doc, "components"), "schemas");

        return fits(doc, json_object_get(all, strrchr(ref, '/') + 1), v, why);
    }
    if ((one = json_object_get(schema, "oneOf")) != NULL) {
        json_t *s;

        json_array_foreach(one, i, s)
        {
            struct buf unused = {0};

            ok = ok || fits(doc, s, v, &unused);
            buf_free(&unused);
        }
        if (!ok)
            buf_add_str(why, "no alternative fits");
        return ok;
    }
    if (constant && !json_equal(constant, v)) {
        buf_add_str(why, "another constant");
        return false;
    }
    if (allowed) {
        json_array_foreach(allowed, i, one)
        {
            ok = ok || json_equal(one, v);
        }
        if (!ok)
            buf_add_str(why, "a value that is not listed");
        return ok;
    }
    if (!type_fits(json_object_get(schema, "type"), v)) {
        buf_add_str(why, "another type");
        return false;
    }
    json_array_foreach(v, i, one)
    {
        if (json_object_get(schema, "items") &&
            !fits(doc, json_object_get(schema, "items"), one, why))
            return false;
    }
    return !json_is_object(v) || object_fits(doc, schema, (json_t *)v, why);
}

/* Hold an answer against what openapi.json says of it. */
static void check_shape(const char *method, const char *path,
                        const struct reply *r)
{
    json_t *doc = openapi(), *op, *response;
    char status[8];
    struct buf why = {0};

    snprintf(status, sizeof(status), "%d", r->status);
    op = json_object_get(json_object_get(json_object_get(doc, "paths"), path),
                         method);
    response = json_object_get(json_object_get(op, "responses"), status);
    if (r->status >= 400)
        response = json_object_get(
            json_object_get(json_object_get(doc, "components"), "responses"),
            "Error");
    if (!response)
        fail_msg("%s %s: status %d is not described", method, path, r->status);
    if (!fits(doc,
              json_object_get(
                  json_object_get(json_object_get(response, "content"),
                                  "application/json"),
                  "schema"),
              r->json, &why))
        fail_msg("%s %s: %s\n%s", method, path, buf_str(&why), r->body.data);
    buf_free(&why);
    json_decref(doc);
}

static void answers_have_the_described_shape(void **state)
{
    struct fixture *f = *state;
    struct node n;
    struct reply r;
    char state_text[16], *target;

    assert_int_equal(catalog_node_add(f->c.catalog, "web", "h", &n, NULL), 0);
    assert_int_equal(catalog_node_backup(f->c.catalog, n.id, 5, "complete",
                                         "ab", "cd", NULL),
                     0);
    r = http(f, "POST", V1 "/backups", "{\"nodes\":[\"web\"]}");
    check_shape("post", V1 "/backups", &r);
    target = mem_printf(
        V1 "/jobs/%s",
        text_at(json_array_get(json_object_get(r.json, "jobs"), 0), "job"));
    wait_job(f, target + strlen(V1 "/jobs/"), state_text);
    reply_free(&r);
    r = http(f, "GET", target, NULL);
    check_shape("get", V1 "/jobs/{job}", &r);
    reply_free(&r);
    free(target);
    {
        static const char *const paths[] = {
            V1 "/status", V1 "/kit",          V1 "/nodes",
            V1 "/jobs",   V1 "/openapi.json", V1 "/snapshots"};

        for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
            r = http(f, "GET", paths[i], NULL);
            assert_int_equal(r.status, 200);
            if (strcmp(paths[i], V1 "/openapi.json") != 0)
                check_shape("get", paths[i], &r);
            reply_free(&r);
        }
    }
    r = http(f, "GET", V1 "/nodes/web", NULL);
    check_shape("get", V1 "/nodes/{node}", &r);
    reply_free(&r);
    r = http(f, "GET", V1 "/nodes/none", NULL);
    check_shape("get", V1 "/nodes/{node}", &r);
    reply_free(&r);
    r = http(f, "POST", V1 "/nodes/token", "{}");
    check_shape("post", V1 "/nodes/token", &r);
    reply_free(&r);
    r = http(f, "POST", V1 "/verify", "{}");
    check_shape("post", V1 "/verify", &r);
    wait_job(f, text_at(r.json, "job"), state_text);
    reply_free(&r);
}

/* ---- nodes ---- */

static void nodes_can_be_managed(void **state)
{
    struct fixture *f = *state;
    struct node n;
    struct reply r;
    int64_t lines;
    json_t *v;

    assert_int_equal(catalog_node_add(f->c.catalog, "web", "h", &n, NULL), 0);
    fake_connected = n.id;
    r = http(f, "GET", V1 "/nodes/web", NULL);
    v = json_object_get(r.json, "node");
    assert_true(json_is_true(json_object_get(v, "connected")));
    assert_true(json_is_null(json_object_get(v, "last_backup")));
    reply_free(&r);
    r = http(f, "POST", V1 "/nodes/web/rename", "{\"name\":\"shop\"}");
    assert_int_equal(r.status, 200);
    assert_string_equal(text_at(json_object_get(r.json, "node"), "name"),
                        "shop");
    reply_free(&r);
    r = http(f, "POST", V1 "/nodes/shop/rename", "{\"name\":\"../x\"}");
    assert_int_equal(r.status, 400);
    reply_free(&r);
    r = http(f, "DELETE", V1 "/nodes/shop", NULL);
    assert_int_equal(r.status, 200);
    reply_free(&r);
    assert_int_equal(fake_closed, 1);
    r = http(f, "DELETE", V1 "/nodes/shop", NULL);
    assert_int_equal(r.status, 404);
    reply_free(&r);
    r = http(f, "GET", V1 "/nodes", NULL);
    assert_int_equal(json_array_size(json_object_get(r.json, "nodes")), 0);
    reply_free(&r);
    r = http(f, "GET", V1 "/nodes?all=1", NULL);
    assert_int_equal(json_array_size(json_object_get(r.json, "nodes")), 1);
    reply_free(&r);
    /* each change left a line */
    assert_int_equal(catalog_audit_verify(f->c.catalog, &lines, NULL), 0);
    assert_int_equal(lines, 4);
}

static void a_token_can_be_used_once(void **state)
{
    struct fixture *f = *state;
    struct reply r =
        http(f, "POST", V1 "/nodes/token", "{\"name\":\"web\",\"ttl_s\":60}");
    const char *token = text_at(r.json, "token");
    char name[64];

    assert_int_equal(r.status, 201);
    assert_true(strncmp(token, "ocm1.", 5) == 0);
    assert_non_null(strstr(text_at(r.json, "command"), token));
    assert_non_null(strstr(text_at(r.json, "command"), ":7702"));
    /* the secret goes in by standard input, never as an argument */
    assert_true(strstr(text_at(r.json, "command"), token) <
                strstr(text_at(r.json, "command"), "| ocm-agent"));
    assert_int_equal(catalog_token_take(f->c.catalog, strrchr(token, '.') + 1,
                                        clock_now_ns(), name, NULL),
                     0);
    assert_string_equal(name, "web");
    reply_free(&r);
    r = http(f, "POST", V1 "/nodes/token", "{\"ttl_s\":901}");
    assert_int_equal(r.status, 400);
    reply_free(&r);
    r = http(f, "POST", V1 "/nodes/token", "{\"nam\":\"x\"}");
    assert_int_equal(r.status, 400);
    assert_non_null(strstr(buf_str(&r.body), "unknown key 'nam'"));
    reply_free(&r);
    r = http(f, "POST", V1 "/nodes/token", "{\"name\":\"x\",\"name\":\"y\"}");
    assert_int_equal(r.status, 400);
    reply_free(&r);
    r = http(f, "POST", V1 "/nodes/token", "[]");
    assert_int_equal(r.status, 400);
    reply_free(&r);
    r = http(f, "POST", V1 "/nodes/token", "{");
    assert_int_equal(r.status, 400);
    reply_free(&r);
}

/* ---- jobs ---- */

static void backups_are_one_job_each(void **state)
{
    struct fixture *f = *state;
    struct node n;
    struct reply r;
    char end[16];

    r = http(f, "POST", V1 "/backups", "{\"all\":true}");
    assert_int_equal(r.status, 404); /* there is none yet */
    reply_free(&r);
    assert_int_equal(catalog_node_add(f->c.catalog, "a", "", &n, NULL), 0);
    assert_int_equal(catalog_node_add(f->c.catalog, "b", "", &n, NULL), 0);
    r = http(f, "POST", V1 "/backups", "{\"all\":true,\"no_data\":true}");
    assert_int_equal(r.status, 202);
    assert_int_equal(json_array_size(json_object_get(r.json, "jobs")), 2);
    for (size_t i = 0; i < 2; i++)
        wait_job(
            f,
            text_at(json_array_get(json_object_get(r.json, "jobs"), i), "job"),
            end);
    assert_string_equal(end, "done");
    reply_free(&r);
    r = http(f, "POST", V1 "/backups", "{\"nodes\":[\"a\",\"a\"]}");
    assert_int_equal(json_array_size(json_object_get(r.json, "jobs")), 1);
    wait_job(f,
             text_at(json_array_get(json_object_get(r.json, "jobs"), 0), "job"),
             end);
    reply_free(&r);
    r = http(f, "POST", V1 "/backups", "{\"nodes\":[\"a\",\"zz\"]}");
    assert_int_equal(r.status, 404);
    reply_free(&r);
    r = http(f, "POST", V1 "/backups", "{\"nodes\":[\"a\"],\"all\":true}");
    assert_int_equal(r.status, 400);
    reply_free(&r);
    r = http(f, "POST", V1 "/backups", "{}");
    assert_int_equal(r.status, 400);
    reply_free(&r);
    r = http(f, "GET", V1 "/jobs?node=a&limit=1", NULL);
    assert_int_equal(json_array_size(json_object_get(r.json, "jobs")), 1);
    reply_free(&r);
}

static void a_plan_is_agreed_to_by_name(void **state)
{
    struct fixture *f = *state;
    struct node n;
    struct reply r;
    char end[16];

    assert_int_equal(catalog_node_add(f->c.catalog, "a", "", &n, NULL), 0);
    assert_int_equal(catalog_node_add(f->c.catalog, "b", "", &n, NULL), 0);
    r = http(f, "POST", V1 "/plans",
             "{\"source\":\"a\",\"target\":\"b\",\"intention\":\"clone\","
             "\"rules\":[{\"from\":\"/x\",\"to\":\"/y\"}]}");
    assert_int_equal(r.status, 202);
    wait_job(f, text_at(r.json, "job"), end);
    assert_string_equal(end, "done");
    reply_free(&r);
    r = http(f, "POST", V1 "/plans",
             "{\"source\":\"a\",\"target\":\"b\",\"intention\":\"restore\"}");
    assert_int_equal(r.status, 400);
    reply_free(&r);
    r = http(f, "POST", V1 "/plans",
             "{\"source\":\"a\",\"target\":\"a\",\"intention\":\"move\"}");
    assert_int_equal(r.status, 400);
    reply_free(&r);
    r = http(f, "POST", V1 "/plans",
             "{\"source\":\"a\",\"target\":\"b\",\"intention\":\"clone\","
             "\"rules\":[{\"from\":\"\",\"to\":\"/y\"}]}");
    assert_int_equal(r.status, 400);
    reply_free(&r);

    r = http(f, "POST", V1 "/plans",
             "{\"source\":\"a\",\"target\":\"a\",\"intention\":\"restore\"}");
    assert_int_equal(r.status, 404); /* no backup to go back to */
    reply_free(&r);

    assert_int_equal(
        catalog_plan_put(f->c.catalog, "p1",
                         "{\"target\":\"b\",\"intention\":\"clone\"}",
                         clock_now_ns() + INT64_C(60000000000), NULL),
        0);
    r = http(f, "POST", V1 "/migrations",
             "{\"plan\":\"p1\",\"confirm\":\"a\"}");
    assert_int_equal(r.status, 400);
    reply_free(&r);
    r = http(f, "POST", V1 "/migrations", "{\"plan\":\"p1\"}");
    assert_int_equal(r.status, 400);
    reply_free(&r);
    r = http(f, "POST", V1 "/restores", "{\"plan\":\"p1\",\"confirm\":\"b\"}");
    assert_int_equal(r.status, 400);
    reply_free(&r);
    r = http(f, "POST", V1 "/migrations",
             "{\"plan\":\"p9\",\"confirm\":\"b\"}");
    assert_int_equal(r.status, 404);
    reply_free(&r);
    r = http(f, "POST", V1 "/migrations",
             "{\"plan\":\"p1\",\"confirm\":\"b\",\"no_start\":true}");
    assert_int_equal(r.status, 202);
    wait_job(f, text_at(r.json, "job"), end);
    assert_string_equal(end, "done");
    reply_free(&r);
}

/* ---- events ---- */

/* Read from `fd` until `word` was seen. */
static void read_until(int fd, struct buf *out, const char *word)
{
    int64_t end = clock_monotonic_ms() + FIXTURE_WAIT_MS;

    while (!strstr(buf_str(out), word)) {
        struct pollfd p = {fd, POLLIN, 0};
        ssize_t n;

        assert_true(clock_monotonic_ms() < end);
        assert_true(poll(&p, 1, FIXTURE_WAIT_MS) > 0);
        n = read(fd, buf_reserve(out, 4096), 4096);
        if (n <= 0)
            fail_msg("the stream ended before '%s':\n%s", word, buf_str(out));
        out->len += (size_t)n;
    }
}

static int open_events(struct fixture *f, const char *job, const char *header,
                       const char *query)
{
    char *head = mem_printf("GET " V1 "/jobs/%s/events%s HTTP/1.1\r\n"
                            "Host: localhost\r\n%s\r\n",
                            job, query, header);
    int fd = fixture_connect(f);

    assert_true(write(fd, head, strlen(head)) > 0);
    free(head);
    return fd;
}

static void start_gate(struct fixture *f, const char *name, char id[24])
{
    char *body = mem_printf("{\"nodes\":[\"%s\"]}", name);
    struct reply r = http(f, "POST", V1 "/backups", body);

    assert_int_equal(r.status, 202);
    snprintf(
        id, 24, "%s",
        text_at(json_array_get(json_object_get(r.json, "jobs"), 0), "job"));
    reply_free(&r);
    free(body);
}

static void events_are_replayed_and_then_live(void **state)
{
    struct fixture *f = *state;
    struct buf b = {0};
    struct reply r;
    struct node n;
    char id[24], *target;
    int fd;

    assert_int_equal(catalog_node_add(f->c.catalog, "gate", "", &n, NULL), 0);
    start_gate(f, "gate", id);
    fd = open_events(f, id, "", "");
    read_until(fd, &b, "event: progress");
    assert_non_null(strstr((char *)b.data, "text/event-stream"));
    assert_non_null(strstr((char *)b.data, "id: 1\nevent: state"));
    gate_open(1);
    read_until(fd, &b, "\"state\":\"done\"");
    read_until(fd, &b, "\r\n0\r\n\r\n"); /* it ends by itself */
    close(fd);

    /* from the middle: the header goes before the query */
    buf_clear(&b);
    fd = open_events(f, id, "Last-Event-ID: 3\r\n", "?after=1");
    read_until(fd, &b, "\r\n0\r\n\r\n");
    close(fd);
    assert_null(strstr((char *)b.data, "id: 3\n"));
    assert_non_null(strstr((char *)b.data, "id: 4\n"));
    assert_non_null(strstr((char *)b.data, "\"state\":\"done\""));
    buf_free(&b);

    /* behind the last one: nothing, and an end */
    target = mem_printf(V1 "/jobs/%s/events?after=6", id);
    r = http(f, "GET", target, NULL);
    assert_int_equal(r.status, 200);
    assert_true(r.whole);
    assert_int_equal(r.body.len, 0);
    reply_free(&r);
    free(target);
    r = http(f, "GET", V1 "/jobs/j9/events", NULL);
    assert_int_equal(r.status, 404);
    reply_free(&r);
    r = http(f, "GET", V1 "/jobs/j0/events?after=x", NULL);
    assert_int_equal(r.status, 400);
    reply_free(&r);
}

static void many_watchers_and_a_cancel(void **state)
{
    struct fixture *f = *state;
    struct buf b = {0};
    struct reply r;
    struct node n;
    char id[24], *target;
    int fds[20];

    assert_int_equal(catalog_node_add(f->c.catalog, "gate", "", &n, NULL), 0);
    start_gate(f, "gate", id);
    for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
        fds[i] = open_events(f, id, "", "");
        buf_clear(&b);
        read_until(fds[i], &b, "event: progress");
    }
    close(fds[0]); /* one goes without a word */
    target = mem_printf(V1 "/jobs/%s/cancel", id);
    r = http(f, "POST", target, NULL);
    assert_int_equal(r.status, 202);
    reply_free(&r);
    for (size_t i = 1; i < ARRAY_LEN(fds); i++) {
        buf_clear(&b);
        read_until(fds[i], &b, "\"state\":\"cancelled\"");
        close(fds[i]);
    }
    r = http(f, "POST", target, "{}");
    assert_int_equal(r.status, 400);
    reply_free(&r);
    free(target);
    buf_free(&b);
}

/* The fixture's teardown stops all: with a job that waits, a stream that is
 * open and a connection that says nothing. */
static void stopping_waits_for_nobody(void **state)
{
    struct fixture *f = *state;
    struct buf b = {0};
    struct node n;
    char id[24];
    int fd, idle;

    assert_int_equal(catalog_node_add(f->c.catalog, "gate", "", &n, NULL), 0);
    start_gate(f, "gate", id);
    fd = open_events(f, id, "", "");
    read_until(fd, &b, "event: progress");
    idle = fixture_connect(f);
    fixture_free(f);
    read_until(fd, &b, "\"state\":\"cancelled\"");
    close(fd);
    close(idle);
    buf_free(&b);
    *state = fixture_new();
}

/* ---- routes ---- */

static void unknown_things_are_told(void **state)
{
    struct fixture *f = *state;
    struct reply r = http(f, "GET", V1 "/nothing", NULL);

    assert_int_equal(r.status, 404);
    assert_string_equal(error_code(&r), "notfound");
    reply_free(&r);
    r = http(f, "POST", V1 "/status", NULL);
    assert_int_equal(r.status, 405);
    reply_free(&r);
    r = http(f, "GET", V1 "/status?x=1", NULL);
    assert_int_equal(r.status, 400);
    reply_free(&r);
    r = http(f, "GET", V1 "/nodes?all=1&all=2", NULL);
    assert_int_equal(r.status, 400);
    reply_free(&r);
    r = http(f, "GET", V1 "/nodes/", NULL);
    assert_int_equal(r.status, 404);
    reply_free(&r);
    r = http(f, "GET", "/", NULL);
    assert_int_equal(r.status, 404);
    reply_free(&r);
    r = http(f, "DELETE", V1 "/nodes/a", "{}");
    assert_int_equal(r.status, 400);
    reply_free(&r);
}

/* ---- who may come in ---- */

static void the_socket_is_ours(void **state)
{
    struct fixture *f = *state;
    char *other = mem_printf("%s/other.sock", f->dir);
    struct api_listener listeners[] = {
        {.socket = other, .group = ""},
        {.socket = f->conf.socket, .group = ""},
    };
    struct api_server *second;
    struct id ca = {{0}};
    struct error e = {0};
    struct stat st;
    struct reply r;

    assert_int_equal(lstat(f->conf.socket, &st), 0);
    assert_true(S_ISSOCK(st.st_mode));
    assert_int_equal(st.st_mode & 0777, 0660);
    assert_int_equal(api_start(&f->c, &ca, listeners, 2, &second, &e),
                     OCM_E_LOCKED);
    assert_false(file_exists(other)); /* all or none */
    free(other);
    r = http(f, "GET", V1 "/status", NULL); /* the first one lives */
    assert_int_equal(r.status, 200);
    assert_non_null(strstr(text_at(r.json, "you"), "uid "));
    reply_free(&r);
}

static void a_left_over_socket_is_replaced(void **state)
{
    struct fixture *f = *state;
    char *path = mem_printf("%s/old.sock", f->dir);
    struct api_listener listener = {.socket = path, .group = ""};
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    struct id ca = {{0}};
    struct api_server *a;
    struct controller c = f->c;
    struct error e = {0};
    uv_loop_t loop;
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
    assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
    close(fd); /* nobody listens, the file stays */
    assert_true(file_exists(path));
    uv_loop_init(&loop);
    c.loop = &loop;
    assert_int_equal(api_start(&c, &ca, &listener, 1, &a, &e), 0);
    api_stop(a, NULL, NULL);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&loop), 0);
    /* what is no socket is left alone */
    assert_int_equal(file_write(path, "x", 1, 0600, NULL), 0);
    uv_loop_init(&loop);
    assert_int_equal(api_start(&c, &ca, &listener, 1, &a, &e), OCM_E_EXISTS);
    assert_true(file_exists(path));
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&loop), 0);
    free(path);
}

/* Two sockets, one server; each has its own rules. */
static void each_socket_has_its_hosts(void **state)
{
    static const char *const asks[] = {
        "GET /api/v1/status HTTP/1.1\r\nHost: localhost\r\n"
        "Connection: close\r\n\r\n",
        "GET /api/v1/status HTTP/1.1\r\nHost: second\r\n"
        "Connection: close\r\n\r\n",
    };
    struct fixture *f = *state;
    char *first = f->conf.socket;

    for (int port = 0; port < 2; port++) {
        f->conf.socket = port ? f->second : first;
        for (int host = 0; host < 2; host++) {
            struct buf out = {0};

            http_raw(f, asks[host], strlen(asks[host]), &out);
            assert_int_equal(strncmp(buf_str(&out), "HTTP/1.1 200", 12) == 0,
                             port == host);
            buf_free(&out);
        }
    }
    f->conf.socket = first;
}

#define NOBODY 65534
#define FRIENDS 54321

/* A child of another user connects; what does the kernel say of it? */
static void connect_as(const char *path, bool in_group, int go)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    gid_t group = FRIENDS;
    char byte;
    int fd;

    if (setgroups(in_group ? 1 : 0, &group) < 0 || setgid(NOBODY) < 0 ||
        setuid(NOBODY) < 0)
        _exit(1);
    fd = socket(AF_UNIX, SOCK_STREAM, 0);
    snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
    if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0)
        _exit(2);
    _exit(read(go, &byte, 1) == 1 ? 0 : 3);
}

static void peers_are_known_by_the_kernel(void **state)
{
    struct fixture *f = *state;
    char *path = mem_printf("%s/p.sock", f->dir);
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    int listener = socket(AF_UNIX, SOCK_STREAM, 0), go[2];
    struct peer peer;

    if (geteuid() != 0) {
        free(path);
        close(listener);
        skip();
        return;
    }
    snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
    assert_int_equal(bind(listener, (struct sockaddr *)&addr, sizeof(addr)), 0);
    assert_int_equal(chmod(path, 0666), 0);
    assert_int_equal(chmod(f->dir, 0711), 0);
    assert_int_equal(listen(listener, 5), 0);
    for (int round = 0; round < 2; round++) {
        int fd, status;
        pid_t child;

        assert_int_equal(pipe(go), 0);
        child = fork();
        if (child == 0)
            connect_as(path, round == 1, go[0]);
        fd = accept(listener, NULL, NULL);
        assert_true(fd >= 0);
        assert_true(peer_of_socket(fd, "no-such-group-here", &peer));
        assert_int_equal(peer.uid, NOBODY);
        assert_false(peer.allowed);
        assert_non_null(strstr(peer.owner, "uid 65534"));
        assert_int_equal(write(go[1], "x", 1), 1);
        waitpid(child, &status, 0);
        assert_int_equal(status, 0);
        close(fd);
        close(go[0]);
        close(go[1]);
    }
    close(listener);
    free(path);
}

/* Over the real server: allowed by the file's mode, refused by us. */
static void strangers_are_refused(void **state)
{
    struct fixture *f = *state;
    int status;
    pid_t child;

    if (geteuid() != 0) {
        skip();
        return;
    }
    assert_int_equal(chmod(f->conf.socket, 0666), 0);
    assert_int_equal(chmod(f->dir, 0711), 0);
    child = fork();
    if (child == 0) {
        static const char ask[] = "GET " V1 "/kit HTTP/1.1\r\nHost: "
                                  "localhost\r\nConnection: close\r\n\r\n";
        struct sockaddr_un addr = {.sun_family = AF_UNIX};
        char answer[4096] = "";
        size_t len = 0;
        ssize_t n;
        int fd = socket(AF_UNIX, SOCK_STREAM, 0);

        if (setgroups(0, NULL) < 0 || setgid(NOBODY) < 0 || setuid(NOBODY) < 0)
            _exit(1);
        snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", f->conf.socket);
        if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 ||
            write(fd, ask, strlen(ask)) < 0)
            _exit(2);
        while ((n = read(fd, answer + len, sizeof(answer) - 1 - len)) > 0)
            len += (size_t)n;
        _exit(strstr(answer, " 403 ") && strstr(answer, "\"denied\"") ? 0 : 3);
    }
    waitpid(child, &status, 0);
    assert_int_equal(status, 0);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(routes_and_description_agree),
        T(answers_have_the_described_shape),
        T(nodes_can_be_managed),
        T(a_token_can_be_used_once),
        T(backups_are_one_job_each),
        T(a_plan_is_agreed_to_by_name),
        T(events_are_replayed_and_then_live),
        T(many_watchers_and_a_cancel),
        T(stopping_waits_for_nobody),
        T(unknown_things_are_told),
        T(the_socket_is_ours),
        T(a_left_over_socket_is_replaced),
        T(each_socket_has_its_hosts),
        T(peers_are_known_by_the_kernel),
        T(strangers_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
