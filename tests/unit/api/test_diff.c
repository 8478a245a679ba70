/* SPDX-License-Identifier: MIT */
/* Differences for people: right, and without secrets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "common/base/buf.h"
#include "controller/api/diff.h"
#include "controller/api/mask.h"

static void secrets_are_known_by_name(void **state)
{
    static const char *const yes[] = {
        "token",     "botToken",     "apiKey",      "API_KEY",
        "password",  "clientSecret", "private_key", "signingKey",
        "SMTP_PASS", "pass",         "dbPass",      "MYSQL_PWD"};
    static const char *const no[] = {"port", "name",      "model",  "enabled",
                                     "path", "passenger", "pwdFile"};

    (void)state;
    for (size_t i = 0; i < sizeof(yes) / sizeof(*yes); i++)
        assert_true(mask_is_secret_key(yes[i]));
    for (size_t i = 0; i < sizeof(no) / sizeof(*no); i++)
        assert_false(mask_is_secret_key(no[i]));
}

static void check_line(const char *line, const char *want)
{
    char *got = mask_line(line);

    assert_string_equal(got, want);
    free(got);
}

static void lines_are_masked(void **state)
{
    (void)state;
    check_line("plain words", "plain words");
    check_line("OPENAI_API_KEY=hunter2", "OPENAI_API_KEY= (hidden)");
    check_line("  \"botToken\": \"abc\",", "  \"botToken\": (hidden)");
    check_line("url: http://x/ password: abc",
               "url: http://x/ password: (hidden)");
    check_line("use sk-abcdefgh12345 now", "use (hidden) now");
    check_line("0123456789abcdefghij0123456789abcdef", "(hidden)");
    check_line("/usr/lib/node_modules/openclaw/dist/index.js",
               "/usr/lib/node_modules/openclaw/dist/index.js");
    check_line("a\x1b[31mred", "a\\x1b[31mred");
    check_line("SMTP_PASS=hunter2", "SMTP_PASS= (hidden)");
    check_line("DATABASE_URL=postgres://bob:hun!ter@2@db:5432/x?y=1",
               "DATABASE_URL=postgres://bob:(hidden)@db:5432/x?y=1");
    check_line("a http://x:80/ b ftp://u:p@h, c", "a http://x:80/ b "
                                                  "ftp://u:(hidden)@h, c");
    assert_true(mask_looks_secret("redis://:hunter2@cache:6379"));
    assert_false(mask_looks_secret("http://[::1]:8080/a@b:c"));
}

static void json5_is_understood(void **state)
{
    static const char text[] =
        "// head\n{ /* c */ a: 1, 'b': 'it\\'s \"q\"', \"c\": [1,2,],\n"
        "  d: .5, e: 0xff, f: true, null_: null, g: 'x\\\ny', // end\n}\n";
    json_t *v = diff_parse_json5(text, strlen(text));

    (void)state;
    assert_non_null(v);
    assert_int_equal(json_integer_value(json_object_get(v, "a")), 1);
    assert_string_equal(json_string_value(json_object_get(v, "b")),
                        "it's \"q\"");
    assert_int_equal(json_array_size(json_object_get(v, "c")), 2);
    assert_string_equal(json_string_value(json_object_get(v, "d")), ".5");
    assert_string_equal(json_string_value(json_object_get(v, "e")), "0xff");
    assert_true(json_is_true(json_object_get(v, "f")));
    assert_true(json_is_null(json_object_get(v, "null_")));
    assert_string_equal(json_string_value(json_object_get(v, "g")), "xy");
    json_decref(v);
    assert_null(diff_parse_json5("{a: }", 5));
    assert_null(diff_parse_json5("{\"a\": 'x", 8));
    assert_null(diff_parse_json5("\\", 1));
    assert_null(diff_parse_json5("", 0));
}

static json_t *by_key(const char *a, const char *b)
{
    return diff_json(a, strlen(a), b, strlen(b));
}

static const json_t *key_of(const json_t *diff, const char *key)
{
    size_t i;
    json_t *v;

    json_array_foreach(diff, i, v)
    {
        if (strcmp(json_string_value(json_object_get(v, "key")), key) == 0)
            return v;
    }
    return NULL;
}

static void keys_show_what_changed(void **state)
{
    json_t *d = by_key("{gateway: {port: 1, auth: {token: 'first-one'}},"
                       " gone: 1, list: [1, 2], maxTokens: 5,"
                       " env: {X: {SECRET_THING: 'abc'}}}",
                       "{gateway: {port: 2, auth: {token: 'other-one'}},"
                       " list: [1, 3, 4], fresh: {deep: 'v'}, maxTokens: 6,"
                       " env: {}}");
    const json_t *v;
    char *all = json_dumps(d, 0);

    (void)state;
    v = key_of(d, "gateway.port");
    assert_string_equal(json_string_value(json_object_get(v, "old")), "1");
    assert_string_equal(json_string_value(json_object_get(v, "new")), "2");
    v = key_of(d, "gateway.auth.token");
    assert_true(json_is_true(json_object_get(v, "secret")));
    assert_null(json_object_get(v, "old"));
    assert_null(strstr(all, "first-one"));
    assert_null(strstr(all, "other-one"));
    assert_null(strstr(all, "abc"));
    assert_string_equal(
        json_string_value(json_object_get(key_of(d, "gone"), "change")),
        "removed");
    assert_string_equal(
        json_string_value(json_object_get(key_of(d, "fresh"), "new")),
        "{\"deep\":\"v\"}");
    assert_non_null(key_of(d, "list[1]"));
    assert_non_null(key_of(d, "list[2]"));
    assert_string_equal(
        json_string_value(json_object_get(key_of(d, "maxTokens"), "new")), "6");
    free(all);
    json_decref(d);
    assert_null(by_key("{", "{}"));
}

static void expect_text(const char *a, const char *b, const char *want)
{
    json_t *d = diff_text(a, strlen(a), b, strlen(b)), *v;
    struct buf got = {0};
    size_t i;

    assert_non_null(d);
    json_array_foreach(d, i, v)
    {
        buf_printf(&got, "%s%s\n", json_string_value(json_object_get(v, "op")),
                   json_string_value(json_object_get(v, "text")));
    }
    assert_string_equal(buf_str(&got), want);
    buf_free(&got);
    json_decref(d);
}

static void lines_show_what_changed(void **state)
{
    (void)state;
    expect_text("", "", "");
    expect_text("a\n", "a\n", "");
    expect_text("", "a\nb\n", "+a\n+b\n");
    expect_text("a\nb\n", "", "-a\n-b\n");
    expect_text("a\nb\nc\n", "a\nx\nc\n", " a\n-b\n+x\n c\n");
    expect_text("a\nb\nc\nd\n", "b\nc\nd\ne\n", "-a\n b\n c\n d\n+e\n");
    expect_text("1\n2\n3\n4\n5\n6\n7\n8\n9\nx\n",
                "0\n2\n3\n4\n5\n6\n7\n8\n9\ny\n",
                "-1\n+0\n 2\n 3\n 4\n@\n 7\n 8\n 9\n-x\n+y\n");
}

/* Any two texts: applying the difference to one gives the other. */
static void differences_are_whole(void **state)
{
    unsigned x = 7;

    (void)state;
    for (int round = 0; round < 300; round++) {
        struct buf a = {0}, b = {0}, left = {0}, right = {0};
        json_t *d, *v;
        size_t i;

        for (int k = 0; k < 3; k++) {
            x = x * 1664525 + 1013904223;
            buf_printf(x & 0x10000 ? &a : &b, "%u\n", (x >> 20) % 3);
            buf_printf(x & 0x20000 ? &a : &b, "%u\n", (x >> 24) % 3);
        }
        d = diff_text(buf_str(&a), a.len, buf_str(&b), b.len);
        assert_non_null(d);
        json_array_foreach(d, i, v)
        {
            const char *op = json_string_value(json_object_get(v, "op"));
            const char *t = json_string_value(json_object_get(v, "text"));

            if (*op != '+')
                buf_printf(&left, "%s\n", t);
            if (*op != '-')
                buf_printf(&right, "%s\n", t);
        }
        if (json_array_size(d) > 0) { /* short: all is within the context */
            assert_string_equal(buf_str(&left), buf_str(&a));
            assert_string_equal(buf_str(&right), buf_str(&b));
        } else {
            assert_string_equal(buf_str(&a), buf_str(&b));
        }
        json_decref(d);
        buf_free(&a);
        buf_free(&b);
        buf_free(&left);
        buf_free(&right);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(secrets_are_known_by_name),
        cmocka_unit_test(lines_are_masked),
        cmocka_unit_test(json5_is_understood),
        cmocka_unit_test(keys_show_what_changed),
        cmocka_unit_test(lines_show_what_changed),
        cmocka_unit_test(differences_are_whole),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
