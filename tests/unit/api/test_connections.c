/* SPDX-License-Identifier: MIT */
/* Connections through the API: kept, listed, gone with their node; and where
 * nodes are told to find us. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "common/base/mem.h"
#include "tests/unit/api/api_fixture.h"

#define V1 "/api/v1"

static int setup(void **state)
{
    fake_connected = "";
    gate_reset();
    *state = fixture_new();
    return 0;
}

static int teardown(void **state)
{
    fixture_free(*state);
    return 0;
}

static void expect_status(struct reply r, int status)
{
    assert_int_equal(r.status, status);
    reply_free(&r);
}

static size_t kept(const struct fixture *f)
{
    struct reply r = http(f, "GET", V1 "/connections", NULL);
    size_t n;

    assert_int_equal(r.status, 200);
    n = json_array_size(json_object_get(r.json, "connections"));
    reply_free(&r);
    return n;
}

static void a_connection_is_kept_until_its_node_goes(void **state)
{
    struct fixture *f = *state;
    const json_t *c;
    struct reply r;
    struct node n;

    assert_int_equal(
        catalog_node_add(f->c.catalog, "web", "web.example", &n, NULL), 0);
    expect_status(http(f, "GET", V1 "/nodes/web/connection", NULL), 404);
    assert_int_equal(kept(f), 0);
    r = http(f, "POST", V1 "/nodes/web/connection",
             "{\"host\":\"web.example\",\"port\":2222,\"user\":\"jo\","
             "\"host_key\":\"web.example ssh-ed25519 AAAA\\n\"}");
    assert_int_equal(r.status, 200);
    reply_free(&r);
    r = http(f, "GET", V1 "/nodes/web/connection", NULL);
    c = json_object_get(r.json, "connection");
    assert_string_equal(text_at(c, "host"), "web.example");
    assert_string_equal(text_at(c, "node"), "web");
    assert_string_equal(text_at(c, "jump"), "");
    assert_int_equal(json_integer_value(json_object_get(c, "port")), 2222);
    reply_free(&r);
    assert_int_equal(kept(f), 1);
    expect_status(http(f, "DELETE", V1 "/nodes/web", NULL), 200);
    expect_status(http(f, "GET", V1 "/nodes/web/connection", NULL), 404);
    assert_int_equal(kept(f), 0);
}

static void nonsense_is_refused(void **state)
{
    struct fixture *f = *state;
    struct node n;

    assert_int_equal(catalog_node_add(f->c.catalog, "web", "", &n, NULL), 0);
    expect_status(http(f, "POST", V1 "/nodes/web/connection", "{}"), 400);
    expect_status(http(f, "POST", V1 "/nodes/web/connection",
                       "{\"host\":\"a\",\"port\":70000}"),
                  400);
    expect_status(http(f, "POST", V1 "/nodes/web/connection",
                       "{\"host\":\"a\",\"port\":\"22\"}"),
                  400);
    expect_status(http(f, "POST", V1 "/nodes/web/connection",
                       "{\"host\":\"a\",\"password\":\"x\"}"),
                  400);
    expect_status(
        http(f, "POST", V1 "/nodes/nobody/connection", "{\"host\":\"a\"}"),
        404);
}

static void nodes_are_told_the_advertised_name(void **state)
{
    struct fixture *f = *state;
    struct reply r = http(f, "GET", V1 "/status", NULL);
    const json_t *join = json_object_get(r.json, "join");

    assert_true(json_is_false(json_object_get(join, "advertised")));
    reply_free(&r);
    free(f->conf.advertise);
    f->conf.advertise = mem_strdup("backup.example");
    r = http(f, "GET", V1 "/status", NULL);
    join = json_object_get(r.json, "join");
    assert_true(json_is_true(json_object_get(join, "advertised")));
    assert_string_equal(text_at(join, "address"), "backup.example:7702");
    reply_free(&r);
    r = http(f, "POST", V1 "/nodes/token", "{}");
    assert_string_equal(text_at(r.json, "controller"), "backup.example:7702");
    reply_free(&r);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(a_connection_is_kept_until_its_node_goes),
        T(nonsense_is_refused),
        T(nodes_are_told_the_advertised_name),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
