/* SPDX-License-Identifier: MIT */
/* Paths and patterns; the values of each format and where they are. */
#include "docs_help.h"

#include <stdio.h>
#include <string.h>

static void patterns_fit_whole_paths(void **state)
{
    static const struct {
        const char *pattern, *path;
        bool fits;
    } cases[] = {
        {"gateway.port", "gateway.port", true},
        {"gateway.port", "gateway.port.x", false},
        {"gateway", "gateway.port", false},
        {"gateway.*", "gateway.port", true},
        {"gateway.*", "gateway", false},
        {"*", "gateway.port", false},
        {"", "", true},
        {"", "a", false},
        {"**", "", true},
        {"**", "a.b[0].c", true},
        {"agents.entries.*.workspace", "agents.entries.main.workspace", true},
        {"agents.entries.*.workspace", "agents.entries[\"my.bot\"].workspace",
         true},
        {"agents.entries.*.workspace", "agents.entries.a.b.workspace", false},
        {"agents.list[].workspace", "agents.list[12].workspace", true},
        {"agents.list[*].workspace", "agents.list[12].workspace", true},
        {"agents.list[1].workspace", "agents.list[12].workspace", false},
        {"agents.list[12].workspace", "agents.list[12].workspace", true},
        {"agents.list.*.workspace", "agents.list[12].workspace", true},
        {"agents.list[].workspace", "agents.list.x.workspace", false},
        {"tools.exec.pathPrepend[]", "tools.exec.pathPrepend[0]", true},
        {"tools.exec.pathPrepend[]", "tools.exec.pathPrepend", false},
        {"channels.**.webhookUrl", "channels.webhookUrl", true},
        {"channels.**.webhookUrl", "channels.telegram.webhookUrl", true},
        {"channels.**.webhookUrl", "channels.a.accounts[\"x.y\"].webhookUrl",
         true},
        {"channels.**.webhookUrl", "channels.a.webhookUrl.b", false},
        {"channels.**.webhookUrl", "channels.webhookUrl.webhookUrl", true},
        {"**.a.**.b", "x.a.y.a.z.b", true},
        {"**.a.**.b", "x.c.y.d.z.b", false},
        {"**[].cwd", "[12].cwd", true},
        {"mcp.servers[\"my.srv\"].args[]", "mcp.servers[\"my.srv\"].args[1]",
         true},
        {"a[\"*\"]", "a.b", false},
        {"a[\"*\"]", "a[\"*\"]", true},
        {"a[\"b\"]", "a.b", true},
        {"a.*Path", "a.certPath", true},
        {"a.*Path", "a.certPaths", false},
        {"a.c*t*h", "a.certPath", true},
        {"line *", "line 4", true},
        {"line * env PATH", "line 4 env PATH", true},
        {"line * env PATH", "line 4 env PATHS", false},
        {"a[", "a", false},
        {"a[x]", "a[0]", false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        if (doc_pattern_match(cases[i].pattern, cases[i].path) != cases[i].fits)
            fail_msg("%s with %s", cases[i].pattern, cases[i].path);
    }
}

/* Collects "path=text;" of the scalars. */
static int collect(void *arg, struct doc *d, const struct doc_value *v)
{
    struct doc_value again;

    /* a path leads back to its value (env: to the last of that name) */
    assert_true(doc_find(d, v->path, &again));
    if (doc_format_of(d) != DOC_ENV)
        assert_int_equal(again.id, v->id);
    if (v->type != DOC_OBJECT && v->type != DOC_ARRAY)
        buf_printf(arg, "%s=%s;", v->path, v->text);
    return 0;
}

static void expect_values(enum doc_format format, const char *source,
                          const char *want)
{
    struct doc *d = docs_parse(format, source);
    struct buf b = {0};

    assert_int_equal(doc_each(d, collect, &b), 0);
    assert_string_equal(buf_str(&b), want);
    buf_free(&b);
    doc_free(d);
}

static void every_format_has_values(void **state)
{
    (void)state;
    expect_values(DOC_JSON5,
                  "{a: [1, {b: 'x'}], 'c.d': {\"\": true}, e: {}, '\\n': 0}",
                  "a[0]=1;a[1].b=x;[\"c.d\"][\"\"]=true;[\"\\u000a\"]=0;");
    expect_values(DOC_JSON5, " 'only' ", "=only;");
    expect_values(DOC_JSONL, "{\"a\":1}\n\nbroken\n[2]\n", "[0].a=1;[3][0]=2;");
    expect_values(DOC_YAML, "a: &x 1\nb: [*x, 'y']\nc:\n- d: ~\n",
                  "a=1;b[0]=1;b[1]=y;c[0].d=~;");
    expect_values(DOC_YAML, "--- a\n--- {b: c}\n", "[0]=a;[1].b=c;");
    expect_values(DOC_YAML, "", "=;");
    expect_values(DOC_ENV, "A=1 # c\nexport B='x y'\nA=2\n", "A=1;B=x y;A=2;");
    expect_values(DOC_UNIT,
                  "[Service]\nType=simple\nExecStart=-/bin/a \"b c\"\n"
                  "Environment=X=1 'Y=2 3'\nEnvironment=X=4\n",
                  "Service.Type[0]=simple;Service.ExecStart[0][0]=/bin/a;"
                  "Service.ExecStart[0][1]=b c;Service.Environment[0].X=1;"
                  "Service.Environment[0].Y=2 3;Service.Environment[1].X=4;");
    expect_values(DOC_CRONTAB, "P=/bin\n* * * * * a%b\n",
                  "line 1 env P=/bin;line 2 schedule=* * * * *;line 2=a\nb;");
    expect_values(DOC_CRONTAB_SYSTEM, "@daily jo a b\n",
                  "line 1 schedule=@daily;line 1 user=jo;line 1=a b;");
    expect_values(DOC_TEXT, "a\n\n b\r\nc", "line 1=a;line 3= b;line 4=c;");
}

static int stop_at(void *arg, struct doc *d, const struct doc_value *v)
{
    (void)d;
    return strcmp(v->path, arg) == 0 ? 42 : 0;
}

static void a_walk_can_end_early(void **state)
{
    struct doc *d = docs_parse(DOC_JSON5, "{a: {b: 1}, c: 2}");

    (void)state;
    assert_int_equal(doc_each(d, stop_at, (void *)(uintptr_t) "a.b"), 42);
    assert_int_equal(doc_each(d, stop_at, (void *)(uintptr_t) "a.x"), 0);
    doc_free(d);
}

static void spans_and_lines_are_of_the_source(void **state)
{
    static const char source[] = "\xef\xbb\xbf{\r\n  \"\xe6\xbc\xa2\": "
                                 "\"v\",\r\n  b: [1]}";
    struct doc *d = docs_parse(DOC_JSON5, source);
    struct doc_value v;

    (void)state;
    assert_true(doc_find(d, "\xe6\xbc\xa2", &v));
    assert_int_equal(v.line, 2);
    assert_memory_equal(source + v.start, "\"v\"", 3);
    assert_int_equal(v.end - v.start, 3);
    assert_string_equal(v.key, "\xe6\xbc\xa2");
    assert_true(doc_find(d, "b[0]", &v));
    assert_int_equal(v.line, 3);
    assert_null(v.key);
    assert_false(doc_find(d, "b[1]", &v));
    assert_false(doc_find(d, "x", &v));
    assert_false(doc_find(d, "b.*", &v));
    assert_false(doc_find(d, "b[", &v));
    doc_free(d);
}

/* libyaml counts characters, and not the BOM. */
static void yaml_spans_are_bytes(void **state)
{
    static const char source[] = "\xef\xbb\xbf\xe6\xbc\xa2: \xf0\x9f\xa6\x9e\n"
                                 "b: \"\xe6\xbc\xa2 x\" # \xc3\xa9\nc: d\n";
    struct doc *d = docs_parse(DOC_YAML, source);
    struct doc_value v;

    (void)state;
    assert_true(doc_find(d, "\xe6\xbc\xa2", &v));
    assert_memory_equal(source + v.start, "\xf0\x9f\xa6\x9e\n", 5);
    assert_true(doc_find(d, "b", &v));
    assert_memory_equal(source + v.start, "\"\xe6\xbc\xa2 x\"", 7);
    assert_int_equal(v.end - v.start, 7);
    assert_true(doc_find(d, "c", &v));
    assert_memory_equal(source + v.start, "d\n", 2);
    assert_int_equal(v.line, 3);
    doc_free(d);
}

/* Long enough for several steps of the table of characters. */
static void yaml_spans_hold_far_into_a_file(void **state)
{
    struct buf b = {0};
    struct doc *d;
    struct doc_value v;

    (void)state;
    for (int i = 0; i < 2000; i++)
        buf_printf(&b, "k%d: \xe6\xbc\xa2%d\n", i, i);
    d = docs_parse(DOC_YAML, buf_str(&b));
    for (int i = 0; i < 2000; i += 7) {
        char path[16];

        snprintf(path, sizeof(path), "k%d", i);
        assert_true(doc_find(d, path, &v));
        assert_int_equal(v.end - v.start, v.len);
        assert_memory_equal(b.data + v.start, v.text, v.len);
    }
    doc_free(d);
    buf_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(patterns_fit_whole_paths),
        cmocka_unit_test(every_format_has_values),
        cmocka_unit_test(a_walk_can_end_early),
        cmocka_unit_test(spans_and_lines_are_of_the_source),
        cmocka_unit_test(yaml_spans_are_bytes),
        cmocka_unit_test(yaml_spans_hold_far_into_a_file),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
