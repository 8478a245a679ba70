/* SPDX-License-Identifier: MIT */
/* The guard: its rules one by one, and the raw requests that the HTTP library
 * alone would let through. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "common/base/mem.h"
#include "controller/api/guard.h"
#include "tests/unit/api/api_fixture.h"

static const char *const hosts[] = {"localhost", "ocm", NULL};
static const struct guard_rules rules = {hosts};

struct rule_case {
    int want;
    const char *method, *target, *version;
    struct guard_header headers[4];
};

#define OK_HOST                                                                \
    {                                                                          \
        "Host", "localhost"                                                    \
    }
#define JSON_TYPE                                                              \
    {                                                                          \
        "Content-Type", "application/json"                                     \
    }
#define V "HTTP/1.1"

static const struct rule_case cases[] = {
    {0, "GET", "/api/v1/status", V, {OK_HOST}},
    {0, "GET", "/x?path=config%2Fa", V, {OK_HOST}},
    {0, "POST", "/x", V, {OK_HOST, JSON_TYPE, {"Content-Length", "2"}}},
    {0, "POST", "/x", V, {OK_HOST, {"Content-Length", "0"}}},
    {0, "POST", "/x", V, {OK_HOST}},
    {0, "GET", "/x", V, {{"Host", "LOCALHOST:8001"}}},
    {0, "GET", "/x", V, {OK_HOST, {"Origin", "http://localhost:8001"}}},
    {0, "GET", "/x", V, {OK_HOST, {"Sec-Fetch-Site", "same-origin"}}},
    {405, "PUT", "/x", V, {OK_HOST}},
    {405, "TRACE", "/x", V, {OK_HOST}},
    {505, "GET", "/x", "HTTP/1.9", {OK_HOST}},
    {505, "GET", "/x", "HTTP/1.0", {OK_HOST}},
    /* the target */
    {400, "GET", "http://localhost/x", V, {OK_HOST}},
    {400, "GET", "*", V, {OK_HOST}},
    {400, "GET", "/a/../b", V, {OK_HOST}},
    {400, "GET", "/a/..", V, {OK_HOST}},
    {400, "GET", "/./a", V, {OK_HOST}},
    {400, "GET", "//evil/x", V, {OK_HOST}},
    {400, "GET", "/..%2f..%2fetc/passwd", V, {OK_HOST}},
    {400, "GET", "/%2e%2e/x", V, {OK_HOST}},
    {400, "GET", "/a%5cb", V, {OK_HOST}},
    {400, "GET", "/a\\b", V, {OK_HOST}},
    {400, "GET", "/a%00b", V, {OK_HOST}},
    {400, "GET", "/a?x=%00", V, {OK_HOST}},
    {400, "GET", "/a%", V, {OK_HOST}},
    {400, "GET", "/a%4", V, {OK_HOST}},
    {400, "GET", "/a%zz", V, {OK_HOST}},
    {400, "GET", "/a\xc3\xb6", V, {OK_HOST}},
    {400, "GET", "/a#b", V, {OK_HOST}},
    /* who asks */
    {400, "GET", "/x", V, {{"Accept", "*/*"}}},
    {400, "GET", "/x", V, {OK_HOST, OK_HOST}},
    {403, "GET", "/x", V, {{"Host", "evil.example"}}},
    {403, "GET", "/x", V, {{"Host", "localhost.evil.example"}}},
    {403, "GET", "/x", V, {{"Host", "localhost:80x"}}},
    {403, "GET", "/x", V, {{"Host", ""}}},
    {403, "GET", "/x", V, {{"Host", "[::1"}}},
    {403, "POST", "/x", V, {OK_HOST, {"Origin", "http://evil.example"}}},
    {403, "POST", "/x", V, {OK_HOST, {"Origin", "null"}}},
    {403, "POST", "/x", V, {OK_HOST, {"Sec-Fetch-Site", "cross-site"}}},
    {403, "GET", "/x", V, {OK_HOST, {"Sec-Fetch-Site", "same-site"}}},
    /* the body */
    {400, "GET", "/x", V, {OK_HOST, {"Content-Length", "5"}}},
    {400, "GET", "/x", V, {OK_HOST, {"Transfer-Encoding", "chunked"}}},
    {400,
     "POST",
     "/x",
     V,
     {OK_HOST, JSON_TYPE, {"Content-Length", "2"}, {"Content-Length", "3"}}},
    {400,
     "POST",
     "/x",
     V,
     {OK_HOST,
      JSON_TYPE,
      {"Content-Length", "2"},
      {"Transfer-Encoding", "chunked"}}},
    {400, "POST", "/x", V, {OK_HOST, JSON_TYPE, {"Content-Length", "+2"}}},
    {400, "POST", "/x", V, {OK_HOST, JSON_TYPE, {"Content-Length", ""}}},
    {400,
     "POST",
     "/x",
     V,
     {OK_HOST, JSON_TYPE, {"Content-Length", "9999999999999999999"}}},
    {400,
     "POST",
     "/x",
     V,
     {OK_HOST, JSON_TYPE, {"Transfer-Encoding", "gzip, chunked"}}},
    {415, "POST", "/x", V, {OK_HOST, {"Content-Length", "2"}}},
    {415,
     "POST",
     "/x",
     V,
     {OK_HOST, {"Content-Type", "text/plain"}, {"Content-Length", "2"}}},
    {415, "POST", "/x", V, {OK_HOST, {"Content-Encoding", "gzip"}}},
    /* headers */
    {400, "GET", "/x", V, {OK_HOST, {"X-A ", "1"}}},
    {400, "GET", "/x", V, {OK_HOST, {"", "1"}}},
    {400, "GET", "/x", V, {OK_HOST, {"X-A", "1\r2"}}},
};

static void rules_hold_one_by_one(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const struct rule_case *c = &cases[i];
        struct guard_request r = {c->method, c->target, c->version, c->headers,
                                  0};
        const char *why = NULL;
        int got;

        while (r.header_count < 4 && c->headers[r.header_count].name)
            r.header_count++;
        got = guard_check(&rules, &r, &why);
        if (got != c->want)
            fail_msg("case %zu (%s %s): %d, not %d: %s", i, c->method,
                     c->target, got, c->want, why);
        assert_int_equal(got == 0, *why == '\0');
    }
}

static void too_much_is_refused(void **state)
{
    struct guard_header many[GUARD_MAX_HEADERS + 1];
    struct guard_request r = {"GET", "/x", V, many, GUARD_MAX_HEADERS + 1};
    char *target = mem_zalloc(GUARD_MAX_TARGET + 3);
    const char *why;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(many); i++)
        many[i] = (struct guard_header){"X", "1"};
    assert_int_equal(guard_check(&rules, &r, &why), 431);
    memset(target, '/', GUARD_MAX_TARGET + 2);
    r.target = target;
    assert_int_equal(guard_check(&rules, &r, &why), 414);
    free(target);
}

static void decoding_is_strict(void **state)
{
    char out[8];

    (void)state;
    assert_true(guard_decode("a%2Fb", 5, out, sizeof(out)));
    assert_string_equal(out, "a/b");
    assert_false(guard_decode("a%00b", 5, out, sizeof(out)));
    assert_false(guard_decode("a%2", 3, out, sizeof(out)));
    assert_false(guard_decode("a%2x", 4, out, sizeof(out)));
    assert_false(guard_decode("12345678", 8, out, sizeof(out)));
    assert_true(guard_decode("1234567", 7, out, sizeof(out)));
}

/* ---- raw bytes to the real server ---- */

/* `first` is the status of the first answer (0: closed without one); no
 * second answer may come, whatever follows. */
struct raw_case {
    const char *what;
    const char *bytes;
    size_t len; /* 0: strlen */
    int first, also;
};

#define NEXT "GET /api/v1/kit HTTP/1.1\r\nHost: localhost\r\n\r\n"
#define P "/api/v1/status"

static const struct raw_case raw_cases[] = {
    {"both lengths, a second request behind",
     "POST /api/v1/verify HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n"
     "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
     "0\r\n\r\n" NEXT,
     0, 400, 0},
    {"two lengths",
     "POST /api/v1/verify HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n"
     "Content-Length: 3\r\nContent-Type: application/json\r\n\r\n{}" NEXT,
     0, 400, 0},
    {"a space before the colon",
     "POST /api/v1/verify HTTP/1.1\r\nHost: localhost\r\nContent-Length : 6\r\n"
     "Content-Type: application/json\r\n\r\n{}{}{}" NEXT,
     0, 400, 0},
    {"a body that a GET hides",
     "GET " P " HTTP/1.1\r\nHost: localhost\r\nContent-Length: 50\r\n\r\n" NEXT,
     0, 400, 0},
    {"a pipelined request behind a POST",
     "POST /api/v1/verify HTTP/1.1\r\nHost: localhost\r\n"
     "Content-Type: application/json\r\nContent-Length: 13\r\n\r\n"
     "{\"bad\": true}" NEXT,
     0, 400, 0},
    {"CR alone in a header",
     "GET " P " HTTP/1.1\r\nHost: localhost\r\nX-A: 1\rX-B: 2\r\n\r\n" NEXT, 0,
     400, 200},
    {"no Host", "GET " P " HTTP/1.1\r\n\r\n" NEXT, 0, 400, 0},
    {"two Hosts",
     "GET " P " HTTP/1.1\r\nHost: localhost\r\nHost: evil\r\n\r\n" NEXT, 0, 400,
     0},
    {"another Host", "GET " P " HTTP/1.1\r\nHost: evil.example\r\n\r\n" NEXT, 0,
     403, 0},
    {"HTTP/1.9", "GET " P " HTTP/1.9\r\nHost: localhost\r\n\r\n" NEXT, 0, 505,
     400},
    {"absolute target",
     "GET http://localhost" P " HTTP/1.1\r\nHost: localhost\r\n\r\n" NEXT, 0,
     400, 0},
    {"escaped dots",
     "GET /..%2f..%2fetc/passwd HTTP/1.1\r\nHost: localhost\r\n\r\n" NEXT, 0,
     400, 0},
    {"NUL in the target",
     "GET /api/v1/status%00x HTTP/1.1\r\nHost: localhost\r\n\r\n" NEXT, 0, 400,
     0},
    {"a method that is not used",
     "PUT " P " HTTP/1.1\r\nHost: localhost\r\n\r\n" NEXT, 0, 405, 0},
    {"a form of another site",
     "POST /api/v1/backups HTTP/1.1\r\nHost: localhost\r\nOrigin: "
     "http://evil\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\n{}",
     0, 403, 0},
};

static int count_answers(const struct buf *b, int *first)
{
    const char *at = b->data ? (const char *)b->data : "";
    int count = 0, status;

    *first = 0;
    for (; (at = strstr(at, "HTTP/1.")) != NULL; at++) {
        if (sscanf(at, "HTTP/1.%*d %d", &status) != 1)
            continue;
        if (count++ == 0)
            *first = status;
    }
    return count;
}

static void the_server_refuses_raw_tricks(void **state)
{
    struct fixture *f = *state;

    for (size_t i = 0; i < ARRAY_LEN(raw_cases); i++) {
        const struct raw_case *c = &raw_cases[i];
        struct buf out = {0};
        int first, count;

        http_raw(f, c->bytes, c->len ? c->len : strlen(c->bytes), &out);
        buf_str(&out);
        count = count_answers(&out, &first);
        if (count > 1 && c->also != 200)
            fail_msg("%s: a second answer came:\n%s", c->what, out.data);
        if (first != c->first && first != c->also)
            fail_msg("%s: %d, not %d:\n%s", c->what, first, c->first, out.data);
        buf_free(&out);
    }
}

static void a_huge_header_is_refused(void **state)
{
    struct fixture *f = *state;
    struct buf in = {0}, out = {0};
    int first;

    buf_add_str(&in, "GET " P " HTTP/1.1\r\nHost: localhost\r\nX-A: ");
    for (int i = 0; i < 300 * 1024; i++)
        buf_add_byte(&in, 'a');
    buf_add_str(&in, "\r\n\r\n");
    http_raw(f, in.data, in.len, &out);
    assert_true(count_answers(&out, &first) <= 1);
    assert_true(first == 431 || first == 0);
    buf_free(&in);
    buf_free(&out);
}

static void a_long_body_is_refused_unread(void **state)
{
    struct fixture *f = *state;
    static const char head[] =
        "POST /api/v1/verify HTTP/1.1\r\nHost: localhost\r\n"
        "Content-Type: application/json\r\nContent-Length: 1048577\r\n\r\n";
    struct buf out = {0};
    int first;

    http_raw(f, head, strlen(head), &out);
    assert_int_equal(count_answers(&out, &first), 1);
    assert_int_equal(first, 413);
    buf_free(&out);
}

static void an_endless_chunked_body_is_cut(void **state)
{
    struct fixture *f = *state;
    struct buf in = {0}, out = {0};
    int first;

    buf_add_str(&in, "POST /api/v1/verify HTTP/1.1\r\nHost: localhost\r\n"
                     "Content-Type: application/json\r\n"
                     "Transfer-Encoding: chunked\r\n\r\n");
    for (int i = 0; i < 40; i++) {
        buf_add_str(&in, "10000\r\n");
        for (int k = 0; k < 0x10000; k++)
            buf_add_byte(&in, ' ');
        buf_add_str(&in, "\r\n");
    }
    http_raw(f, in.data, in.len, &out);
    assert_int_equal(count_answers(&out, &first), 0);
    buf_free(&in);
    buf_free(&out);
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
        cmocka_unit_test(rules_hold_one_by_one),
        cmocka_unit_test(too_much_is_refused),
        cmocka_unit_test(decoding_is_strict),
        cmocka_unit_test(the_server_refuses_raw_tricks),
        cmocka_unit_test(a_huge_header_is_refused),
        cmocka_unit_test(a_long_body_is_refused_unread),
        cmocka_unit_test(an_endless_chunked_body_is_cut),
    };

    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
