/* SPDX-License-Identifier: MIT */
/* common/data/tree: bytes equal to Go's, and what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <cmocka.h>

#include "common/base/mem.h"
#include "common/data/tree.h"

/* Written by restic 0.14 for names, links and modes that Go escapes. */
#define TIMES                                                                  \
    "\"mtime\":\"2026-11-22T17:03:06.09080727Z\","                             \
    "\"atime\":\"2026-11-22T17:03:06.09080727Z\","                             \
    "\"ctime\":\"2026-11-22T17:03:06Z\",\"uid\":0,\"gid\":1000,"               \
    "\"user\":\"root\",\"inode\":7,\"device_id\":65024"
static const char golden[] =
    "{\"nodes\":[{\"name\":\"bdev\",\"type\":\"dev\",\"mode\":67109284," TIMES
    ",\"links\":1,\"device\":1792,\"content\":null},"
    "{\"name\":\"cdev\",\"type\":\"chardev\",\"mode\":69206436," TIMES
    ",\"links\":1,\"device\":259,\"content\":null},"
    "{\"name\":\"empty\",\"type\":\"file\",\"mode\":420," TIMES
    ",\"links\":1,\"content\":[]},"
    "{\"name\":\"f\",\"type\":\"file\",\"mode\":8389101," TIMES
    ",\"size\":5,\"links\":1,\"extended_attributes\":[{\"name\":\"user.a\","
    "\"value\":\"\"},{\"name\":\"user.b\",\"value\":\"aGk=\"}],\"content\":["
    "\"2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824\"]},"
    "{\"name\":\"l1\",\"type\":\"symlink\",\"mode\":134218239," TIMES
    ",\"links\":1,\"linktarget\":\"a\\u003cb\\u003e\\u0026\\\"c\","
    "\"content\":null},"
    "{\"name\":\"n\\\\xff\\\\n\\\\\\\"x\",\"type\":\"file\",\"mode\":420," TIMES
    ",\"links\":1,\"content\":[]},"
    "{\"name\":\"p\",\"type\":\"fifo\",\"mode\":33554852," TIMES
    ",\"content\":null},"
    "{\"name\":\"sticky\",\"type\":\"dir\",\"mode\":2148532735," TIMES
    ",\"content\":null,\"subtree\":"
    "\"ac08ce34ba4f8123618661bef2425f7028ffb9ac740578a3ee88684d2523fee8\"},"
    "{\"name\":\"\xc3\xbc\\\\u00ad\\\\u2028\",\"type\":\"file\",\"mode\":"
    "420," TIMES ",\"links\":1,\"content\":[]}]}\n";

static void a_tree_round_trips_byte_for_byte(void **state)
{
    struct tree t;
    struct error e = {0};
    struct buf out = {0};
    const struct tree_node *n;

    (void)state;
    assert_int_equal(tree_parse(golden, strlen(golden), &t, &e), 0);
    assert_int_equal(t.count, 9);
    n = tree_find(&t, "n\xff\n\"x", 5);
    assert_non_null(n);
    assert_int_equal(n->mode, 0644);
    n = tree_find(&t, "f", 1);
    assert_int_equal(n->mode, 04755);
    assert_int_equal(n->xattr_count, 2);
    assert_memory_equal(n->xattrs[1].value, "hi", 2);
    n = tree_find(&t, "sticky", 6);
    assert_int_equal(n->mode, 01777);
    assert_null(tree_find(&t, "none", 4));
    n = tree_find(&t, "\xc3\xbc\xc2\xad\xe2\x80\xa8", 7);
    assert_non_null(n);
    tree_begin(&out);
    for (size_t i = 0; i < t.count; i++)
        tree_add(&out, &t.nodes[i]);
    tree_end(&out);
    assert_string_equal(buf_str(&out), golden);
    buf_free(&out);
    tree_free(&t);
}

/* Every byte, and code points at the edges of UTF-8 and of the table. */
static void any_name_comes_back(void **state)
{
    static const char *const names[] = {
        "\xf0\x9f\x98\x80",
        "\xf3\xa0\x80\x81",
        "\xed\x9f\xbf",
        "\xee\x80\x80",
        "\xef\xbf\xbd",
        "\xc3",
        "\xf4\x90\x80",
        "\x7f",
        "a\\x41",
        "\\",
        "\"",
        "<&>",
    };

    (void)state;
    for (size_t i = 0; i < 255 + ARRAY_LEN(names); i++) {
        char one[2] = {(char)(i + 1), 0};
        struct tree_node n = {.name = i < 255 ? one : names[i - 255],
                              .type = TREE_SYMLINK,
                              .linktarget = "x"};
        struct buf out = {0};
        struct error e = {0};
        struct tree t;

        n.name_len = strlen(n.name);
        n.linktarget = n.name;
        if (strcmp(n.name, ".") == 0 || strcmp(n.name, "/") == 0)
            continue;
        tree_begin(&out);
        tree_add(&out, &n);
        tree_end(&out);
        assert_int_equal(tree_parse(out.data, out.len, &t, &e), 0);
        assert_int_equal(t.nodes[0].name_len, n.name_len);
        assert_memory_equal(t.nodes[0].name, n.name, n.name_len);
        assert_string_equal(t.nodes[0].linktarget, n.name);
        tree_free(&t);
        buf_free(&out);
    }
}

static void refused(const char *text, const char *why)
{
    struct error e = {0};
    struct tree t;

    assert_int_equal(tree_parse(text, strlen(text), &t, &e), OCM_E_DAMAGED);
    if (!strstr(e.text, why))
        fail_msg("'%s' for %s", e.text, text);
    assert_null(t.nodes);
}

#define SUB                                                                    \
    "\"subtree\":"                                                             \
    "\"ac08ce34ba4f8123618661bef2425f7028ffb9ac740578a3ee88684d2523fee8\""

static void bad_trees_are_refused(void **state)
{
    (void)state;
    refused("", "expected an object");
    refused("{}", "no nodes");
    refused("{\"nodes\":[", "expected an object");
    refused("{\"nodes\":[]}x", "behind the end");
    refused("{\"nodes\":[],\"nodes\":[]}", "twice");
    refused("{\"nodes\":[],\"NODES\":[]}", "unusual case");
    refused("{\"nodes\":[{\"name\":\"a\"}]}", "without name or type");
    refused("{\"nodes\":[{\"name\":\"a/b\",\"type\":\"file\"}]}", "no file");
    refused("{\"nodes\":[{\"name\":\"..\",\"type\":\"file\"}]}", "no file");
    refused("{\"nodes\":[{\"name\":\"\\\\x00\",\"type\":\"file\"}]}",
            "no file");
    refused("{\"nodes\":[{\"name\":\"\\\\x2f\",\"type\":\"file\"}]}",
            "no file");
    refused("{\"nodes\":[{\"name\":\"\\\\q\",\"type\":\"file\"}]}", "escape");
    refused("{\"nodes\":[{\"name\":\"\\\\\",\"type\":\"file\"}]}", "escape");
    refused("{\"nodes\":[{\"name\":\"a\",\"type\":\"dir\"}]}", "subtree");
    refused("{\"nodes\":[{\"name\":\"a\",\"type\":\"file\"," SUB "}]}",
            "subtree");
    refused("{\"nodes\":[{\"name\":\"a\",\"type\":\"dir\"," SUB "," SUB "}]}",
            "twice");
    refused("{\"nodes\":[{\"name\":\"a\",\"Name\":\"b\",\"type\":\"file\"}]}",
            "unusual case");
    refused("{\"nodes\":[{\"name\":\"a\",\"type\":\"file\",\"size\":-1}]}",
            "whole number");
    refused("{\"nodes\":[{\"name\":\"a\",\"type\":\"file\",\"size\":1.5}]}",
            "whole number");
    refused("{\"nodes\":[{\"name\":\"a\",\"type\":\"file\","
            "\"size\":99999999999999999999}]}",
            "too large");
    refused("{\"nodes\":[{\"name\":\"a\",\"type\":\"file\"},"
            "{\"name\":\"a\",\"type\":\"file\"}]}",
            "twice");
    refused("{\"nodes\":[{\"name\":\"b\",\"type\":\"file\"},"
            "{\"name\":\"a\",\"type\":\"file\"},"
            "{\"name\":\"b\",\"type\":\"file\"}]}",
            "twice");
    refused("{\"nodes\":[{\"name\":\"a\xff\",\"type\":\"file\"}]}", "UTF-8");
    refused("{\"nodes\":[{\"name\":\"a\",\"type\":\"file\","
            "\"content\":[\"12\"]}]}",
            "64 hex");
    refused("{\"nodes\":[{\"name\":\"a\",\"type\":\"fifo\",\"content\":["
            "\"ac08ce34ba4f8123618661bef2425f7028ffb9ac740578a3ee88684d2523fee8"
            "\"]}]}",
            "no file");
    refused("{\"nodes\":[{\"name\":\"a\",\"type\":\"file\","
            "\"linktarget\":\"a\\u0000b\"}]}",
            "NUL");
}

static void deep_nesting_is_skipped_or_refused(void **state)
{
    struct buf b = {0};
    struct error e = {0};
    struct tree t;

    (void)state;
    buf_add_str(&b, "{\"nodes\":[{\"name\":\"a\",\"type\":\"file\",\"x\":"
                    "[[{\"q\":[1,-2.5e3,true,null,\"\\ud83d\\ude00\"]},[]],{}]"
                    "}]}");
    assert_int_equal(tree_parse(b.data, b.len, &t, &e), 0);
    tree_free(&t);
    buf_clear(&b);
    buf_add_str(&b, "{\"x\":");
    for (int i = 0; i < 1000000; i++)
        buf_add_byte(&b, '[');
    assert_int_equal(tree_parse(b.data, b.len, &t, &e), OCM_E_DAMAGED);
    assert_non_null(strstr(e.text, "too deeply"));
    buf_free(&b);
}

static void times_of_any_year_are_read(void **state)
{
    static const char text[] = "{\"nodes\":[{\"name\":\"b\",\"type\":\"file\","
                               "\"mtime\":\"0001-01-01T00:00:00Z\","
                               "\"atime\":\"9999-01-01T00:00:00.1+02:00\","
                               "\"ctime\":\"1969-12-31T23:59:59.5Z\"},"
                               "{\"name\":\"a\",\"type\":\"door\"}]}";
    struct error e = {0};
    struct tree t;

    (void)state;
    assert_int_equal(tree_parse(text, strlen(text), &t, &e), 0);
    assert_true(t.nodes[0].mtime_ns == INT64_MIN);
    assert_true(t.nodes[0].atime_ns == INT64_MAX);
    assert_int_equal(t.nodes[0].ctime_ns, -500000000);
    assert_int_equal(t.nodes[1].type, TREE_OTHER);
    assert_ptr_equal(tree_find(&t, "a", 1), &t.nodes[1]);
    tree_free(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_tree_round_trips_byte_for_byte),
        cmocka_unit_test(any_name_comes_back),
        cmocka_unit_test(bad_trees_are_refused),
        cmocka_unit_test(deep_nesting_is_skipped_or_refused),
        cmocka_unit_test(times_of_any_year_are_read),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
