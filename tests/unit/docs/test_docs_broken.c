/* SPDX-License-Identifier: MIT */
/* Broken and hostile documents: where the error is, and that limits hold. */
#include "docs_help.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"

struct broken {
    enum doc_format format;
    const char *source;
    const char *where;
};

static void errors_name_line_and_column(void **state)
{
    static const struct broken cases[] = {
        {DOC_JSON5, "", "line 1, column 1"},
        {DOC_JSON5, "  \n ", "line 2, column 2"},
        {DOC_JSON5, "{", "line 1, column 2"},
        {DOC_JSON5, "{a: 1", "line 1, column 6"},
        {DOC_JSON5, "{a: 1 b: 2}", "line 1, column 7"},
        {DOC_JSON5, "{a 1}", "line 1, column 4"},
        {DOC_JSON5, "{a: }", "line 1, column 5"},
        {DOC_JSON5, "{,}", "line 1, column 2"},
        {DOC_JSON5, "[1,,2]", "line 1, column 4"},
        {DOC_JSON5, "[1]]", "line 1, column 4"},
        {DOC_JSON5, "[1}", "line 1, column 3"},
        {DOC_JSON5, "{a: 1}\n{b: 2}", "line 2, column 1"},
        {DOC_JSON5, "{\n  a: 'x\n}", "line 2, column 6"},
        {DOC_JSON5, "{\r\n  \"\xe6\xbc\xa2\": tru}", "line 2, column 8"},
        {DOC_JSON5, "{a: truex}", "line 1, column 9"},
        {DOC_JSON5, "{a: 01}", "line 1, column 5"},
        {DOC_JSON5, "{a: 1.e}", "line 1, column 5"},
        {DOC_JSON5, "{a: 0x}", "line 1, column 5"},
        {DOC_JSON5, "{a: +-1}", "line 1, column 5"},
        {DOC_JSON5, "{a: '\\u12'}", "line 1, column 6"},
        {DOC_JSON5, "{a: '\\xg1'}", "line 1, column 6"},
        {DOC_JSON5, "{a: '\\1'}", "line 1, column 6"},
        {DOC_JSON5, "{a: 1 /* x }", "line 1, column 7"},
        {DOC_JSON5, "{a: 1 / 2}", "line 1, column 7"},
        {DOC_JSON5, "{1a: 1}", "line 1, column 2"},
        {DOC_JSON5, "{a-b: 1}", "line 1, column 3"},
        {DOC_JSON5, "{a: 1,\n \"b\": 2,\n 'a': 3}", "line 3, column 2"},
        {DOC_JSON5, "{a: {x: 1, x: 1}}", "line 1, column 12"},
        {DOC_JSON5, "{a: 1, \\u0061: 2}", "line 1, column 8"},
        {DOC_JSON5, "{a: '\xff'}", "line 1, column 6"},
        {DOC_JSON5, "{a: '\xed\xa0\x80'}", "line 1, column 6"},
        {DOC_YAML, "a: [1, 2", "line 1"},
        {DOC_YAML, "a: 1\n b: 2\n", "line 2"},
        {DOC_YAML, "a: 'x\n", "line 2"},
        {DOC_YAML, "a: 1\nb: 2\na: 3\n", "line 3, column 1"},
        {DOC_YAML, "a: *nowhere\n", "line 1, column 4"},
        {DOC_YAML, "\xe6\xbc\xa2: *nowhere\n", "line 1, column 4"},
        {DOC_YAML, "a: &x\n  b: *x\n", "line 2, column 6"},
        {DOC_YAML, "? [a]\n: b\n", "line 1, column 3"},
        {DOC_YAML, "\tx: 1\n", "line 1"},
        {DOC_YAML, "a: \xc3\n", "line 1, column 4"},
        {DOC_YAML, "a: @x\n", "line 1, column 4"},
        {DOC_ENV_SYSTEMD, "A=1\nB=\"x\nC=2\n", "line 2, column 3"},
        {DOC_UNIT, "[Unit]\nx\n", "line 2, column 1"},
        {DOC_UNIT, "x=1\n", "line 1, column 1"},
        {DOC_UNIT, "[Unit\n", "line 1, column 1"},
        {DOC_UNIT, "[Service]\nExecStart=/a \"b\n", "line 2, column 14"},
        {DOC_CRONTAB, "A=1\n\n * * * *\n", "line 3, column 2"},
        {DOC_CRONTAB, "0 25x0! * * * c\n", "line 1, column 1"},
        {DOC_CRONTAB_SYSTEM, "@daily jo\n", "line 1, column 1"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct error e = {0};
        struct doc *d;
        int rc = doc_parse(cases[i].format, cases[i].source,
                           strlen(cases[i].source), &d, &e);

        if (rc == 0 || !strstr(e.text, cases[i].where))
            fail_msg("'%s': '%s', not %s", cases[i].source, e.text,
                     cases[i].where);
        assert_true(rc == OCM_E_INVALID || rc == OCM_E_UNSUPPORTED);
        assert_null(d);
    }
    docs_refused(DOC_JSON5, "{a: '\0'}", 8, OCM_E_INVALID, "line 1, column 6");
    docs_refused(DOC_UNIT, "[S]\na=\0\n", 8, OCM_E_INVALID,
                 "line 2, column 3: a NUL");
}

static void json_is_stricter_in_lines(void **state)
{
    static const char *const broken[] = {
        "{a: 1}",    "{'a': 1}",    "[1,]",       "[.5]",   "[5.]",
        "[+1]",      "[0x1]",       "[NaN]",      "[1] //", "[\"\t\"]",
        "[\"\\v\"]", "[\"\\x41\"]", "[\"\xff\"]", "[01]",   "[1] [2]",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++) {
        struct doc *d = docs_parse(DOC_JSONL, broken[i]);

        if (doc_problem_count(d) != 1)
            fail_msg("%s passes as JSON", broken[i]);
        assert_int_equal(doc_problem_at(d, 0).line, 1);
        docs_expect(d, broken[i]);
        doc_free(d);
    }
}

static void repeat(struct buf *b, const char *what, size_t count)
{
    for (size_t i = 0; i < count; i++)
        buf_add_str(b, what);
}

static void nesting_has_an_end(void **state)
{
    struct buf b = {0};
    struct doc *d;

    (void)state;
    repeat(&b, "[", 64);
    repeat(&b, "]", 64);
    assert_int_equal(doc_parse(DOC_JSON5, b.data, b.len, &d, NULL), 0);
    docs_expect(d, buf_str(&b));
    doc_free(d);
    assert_int_equal(doc_parse(DOC_YAML, b.data, b.len, &d, NULL), 0);
    doc_free(d);
    buf_clear(&b);
    repeat(&b, "[", 65);
    repeat(&b, "]", 65);
    docs_refused(DOC_JSON5, b.data, b.len, OCM_E_LIMIT, "line 1, column 65");
    docs_refused(DOC_YAML, b.data, b.len, OCM_E_LIMIT, "nested");
    buf_clear(&b);
    repeat(&b, "{a:[", 100000);
    docs_refused(DOC_JSON5, b.data, b.len, OCM_E_LIMIT, "nested");
    buf_clear(&b);
    repeat(&b, "[", 100000);
    docs_refused(DOC_YAML, b.data, b.len, OCM_E_LIMIT, "nested");
    buf_clear(&b);
    repeat(&b, "- ", 100000);
    docs_refused(DOC_YAML, b.data, b.len, OCM_E_LIMIT, "nested");
    buf_free(&b);
}

static void sizes_have_an_end(void **state)
{
    static const enum doc_format formats[] = {
        DOC_JSON5,   DOC_YAML,        DOC_ENV,           DOC_UNIT,
        DOC_CRONTAB, DOC_ENV_SYSTEMD, DOC_CRONTAB_SYSTEM};
    struct buf b = {0};

    (void)state;
    memset(buf_reserve(&b, DOC_MAX_BYTES + 1), ' ', DOC_MAX_BYTES + 1);
    b.len = DOC_MAX_BYTES + 1;
    docs_refused(DOC_TEXT, b.data, b.len, OCM_E_LIMIT, "bytes");
    docs_refused(DOC_JSONL, b.data, b.len, OCM_E_LIMIT, "bytes");
    for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++)
        docs_refused(formats[i], b.data, DOC_CONFIG_MAX_BYTES + 1, OCM_E_LIMIT,
                     "bytes");
    /* more values than there may be, in fewer bytes */
    b.len = 0;
    repeat(&b, "1\n", DOC_VALUES_MAX + 1);
    docs_refused(DOC_TEXT, b.data, b.len, OCM_E_LIMIT, "values");
    docs_refused(DOC_JSONL, b.data, b.len, OCM_E_LIMIT, "values");
    buf_free(&b);
}

/* The billion laughs: nine levels of nine aliases. */
static void aliases_are_not_expanded(void **state)
{
    struct buf b = {0};
    struct doc *d;
    struct doc_value v;

    (void)state;
    buf_add_str(&b, "a0: &a0 [lol]\n");
    for (int i = 1; i < 30; i++) {
        buf_printf(&b, "a%d: &a%d [", i, i);
        for (int k = 0; k < 9; k++)
            buf_printf(&b, "%s*a%d", k ? ", " : "", i - 1);
        buf_add_str(&b, "]\n");
    }
    d = docs_parse(DOC_YAML, buf_str(&b));
    assert_true(doc_find(d, "a29[8]", &v));
    assert_true(v.alias);
    assert_int_equal(v.type, DOC_ARRAY);
    assert_false(doc_find(d, "a29[8][0]", &v));
    docs_set(d, "a0[0]", "ha");
    assert_true(doc_find(d, "a0[0]", &v));
    buf_clear(&b);
    assert_int_equal(doc_render(d, &b, NULL), 0);
    assert_non_null(memmem(b.data, b.len, "a0: &a0 [ha]\n", 13));
    doc_free(d);
    buf_free(&b);
}

/* What would take hours if anything were quadratic; the bound is generous
 * for sanitizers on a busy machine. */
static void wide_documents_are_quick(void **state)
{
    int64_t start = clock_monotonic_ms();
    struct buf b = {0};
    struct doc *d;

    (void)state;
    buf_add_str(&b, "{");
    for (int i = 0; i < 200000; i++)
        buf_printf(&b, "\"key%d\": %d,\n", i, i);
    buf_add_str(&b, "}");
    assert_int_equal(doc_parse(DOC_JSON5, b.data, b.len, &d, NULL), 0);
    doc_free(d);
    buf_clear(&b);
    for (int i = 0; i < 100000; i++)
        buf_add_str(&b, "{broken\n");
    assert_int_equal(doc_parse(DOC_JSONL, b.data, b.len, &d, NULL), 0);
    assert_int_equal(doc_problem_count(d), 100000);
    doc_free(d);
    buf_clear(&b);
    buf_add_str(&b, "[S]\n");
    for (int i = 0; i < 100000; i++)
        buf_printf(&b, "k%d=v\n", i);
    docs_refused(DOC_UNIT, b.data, b.len, OCM_E_LIMIT, "keys");
    buf_clear(&b);
    for (int i = 0; i < 50000; i++)
        buf_printf(&b, "A%d=\"x\\\"\n", i);
    assert_int_equal(doc_parse(DOC_ENV, b.data, b.len, &d, NULL), 0);
    doc_free(d);
    buf_clear(&b);
    for (int i = 0; i < 3000; i++)
        buf_printf(&b, "k%d: &a%d v\n", i, i);
    docs_refused(DOC_YAML, b.data, b.len, OCM_E_LIMIT, "anchors");
    buf_free(&b);
    assert_true(clock_monotonic_ms() - start < 60000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(errors_name_line_and_column),
        cmocka_unit_test(json_is_stricter_in_lines),
        cmocka_unit_test(nesting_has_an_end),
        cmocka_unit_test(sizes_have_an_end),
        cmocka_unit_test(aliases_are_not_expanded),
        cmocka_unit_test(wide_documents_are_quick),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
