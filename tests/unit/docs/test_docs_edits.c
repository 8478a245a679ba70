/* SPDX-License-Identifier: MIT */
/* Edits and the exact bytes they make. */
#include "docs_help.h"

#include <string.h>

/* A document, a list of edits in words, the result. */
struct step {
    const char *verb, *path, *a, *b;
};

struct edit_case {
    enum doc_format format;
    const char *source;
    struct step steps[6];
    const char *want;
};

#define SET(path, text)                                                        \
    {                                                                          \
        "set", path, text, NULL                                                \
    }
#define RAW(path, raw)                                                         \
    {                                                                          \
        "raw", path, raw, NULL                                                 \
    }
#define KEY(path, key)                                                         \
    {                                                                          \
        "key", path, key, NULL                                                 \
    }
#define INS(path, key, json)                                                   \
    {                                                                          \
        "insert", path, key, json                                              \
    }
#define DEL(path)                                                              \
    {                                                                          \
        "remove", path, NULL, NULL                                             \
    }

static void run(const struct edit_case *c)
{
    struct doc *d = docs_parse(c->format, c->source);

    docs_expect(d, c->source);
    for (size_t i = 0; i < 6 && c->steps[i].verb; i++) {
        const struct step *s = &c->steps[i];

        if (strcmp(s->verb, "set") == 0)
            docs_set(d, s->path, s->a);
        else if (strcmp(s->verb, "raw") == 0)
            docs_raw(d, s->path, s->a);
        else if (strcmp(s->verb, "key") == 0)
            docs_key(d, s->path, s->a);
        else if (strcmp(s->verb, "insert") == 0)
            docs_insert(d, s->path, s->a, s->b);
        else
            docs_remove(d, s->path);
    }
    docs_expect(d, c->want);
    /* all undone: the source again */
    for (size_t i = 0; i < doc_edit_count(d); i++)
        doc_edit_undo(d, i);
    docs_expect(d, c->source);
    doc_free(d);
}

static void run_all(const struct edit_case *cases, size_t count)
{
    for (size_t i = 0; i < count; i++)
        run(&cases[i]);
}

#define RUN(cases) run_all(cases, sizeof(cases) / sizeof((cases)[0]))

static void json_values_keep_their_quotes(void **state)
{
    static const struct edit_case cases[] = {
        {DOC_JSON5,
         "{a: 'x'}",
         {SET("a", "it's \"q\"\n")},
         "{a: 'it\\'s \"q\"\\n'}"},
        {DOC_JSON5,
         "{a: \"x\"}",
         {SET("a", "it's \"q\"\\")},
         "{a: \"it's \\\"q\\\"\\\\\"}"},
        {DOC_JSON5, "{a: 1, b: 'x'}", {SET("a", "t")}, "{a: 't', b: 'x'}"},
        {DOC_JSON5, "{\"a\": 1}", {SET("a", "t")}, "{\"a\": \"t\"}"},
        {DOC_JSON5,
         "[1, 'x', null]",
         {RAW("[0]", "-2.5e3"), RAW("[1]", "true"), RAW("[2]", "0")},
         "[-2.5e3, true, 0]"},
        /* what was written in ASCII stays so */
        {DOC_JSON5,
         "[\"\\u4e2d\", \"\xe4\xb8\xad\"]",
         {SET("[0]", "\xe6\x96\x87\xf0\x9f\xa6\x9e"),
          SET("[1]", "\xe6\x96\x87")},
         "[\"\\u6587\\ud83e\\udd9e\", \"\xe6\x96\x87\"]"},
        {DOC_JSON5,
         "{a: 1, 'b': 2, \"c\": 3, d: 4}",
         {KEY("a", "x"), KEY("b", "it's"), KEY("c", "z"), KEY("d", "d e")},
         "{x: 1, 'it\\'s': 2, \"z\": 3, \"d e\": 4}"},
        {DOC_JSON5,
         "// c\n{a: \"1\", /* d */ b: \"2\"} // e\n",
         {SET("b", "3"), SET("b", "4")},
         "// c\n{a: \"1\", /* d */ b: \"4\"} // e\n"},
    };

    (void)state;
    RUN(cases);
}

static void json_members_are_put_in_like_their_neighbours(void **state)
{
    static const struct edit_case cases[] = {
        {DOC_JSON5, "{\"a\":1}", {INS("", "b", "2")}, "{\"a\":1,\"b\":2}"},
        {DOC_JSON5,
         "{ a: 1 }",
         {INS("", "b", "[1, {\"c\": 2}]")},
         "{ a: 1, b: [1, {c: 2}] }"},
        {DOC_JSON5,
         "{a: 1,}",
         {INS("", "b", "2"), INS("", "c", "3")},
         "{a: 1, b: 2, c: 3,}"},
        {DOC_JSON5, "{}", {INS("", "b", "2")}, "{\"b\": 2}"},
        {DOC_JSON5, "{}\n", {INS("", "b", "2")}, "{\n  \"b\": 2\n}\n"},
        {DOC_JSON5,
         "{\n  a: 1 // one\n}\n",
         {INS("", "b", "2")},
         "{\n  a: 1, // one\n  b: 2\n}\n"},
        {DOC_JSON5,
         "{\n\t\"a\": 1, // one\n\t// end\n}\n",
         {INS("", "b", "{\"c\": [true]}")},
         "{\n\t\"a\": 1, // one\n\t\"b\": {\n\t\t\"c\": [\n\t\t\ttrue\n\t\t]"
         "\n\t},\n\t// end\n}\n"},
        {DOC_JSON5,
         "{\r\n    a: {},\r\n    b: []\r\n}",
         {INS("a", "x", "1"), INS("b", NULL, "\"y\""), INS("", "c", "2")},
         "{\r\n    a: {\r\n        x: 1\r\n    },\r\n    b: [\r\n        "
         "\"y\"\r\n    ],\r\n    c: 2\r\n}"},
        {DOC_JSON5,
         "{\n  a: {\n    // only this\n  }\n}",
         {INS("a", "x", "1")},
         "{\n  a: {\n    // only this\n    x: 1\n  }\n}"},
        {DOC_JSON5,
         "{a: {/* c */}}",
         {INS("a", "x", "1")},
         "{a: {/* c */ x: 1}}"},
        {DOC_JSON5,
         "{a: [1, 2],\n b: [1,\n 2]}",
         {INS("a", NULL, "3"), INS("b", NULL, "3")},
         "{a: [1, 2, 3],\n b: [1,\n 2, 3]}"},
        {DOC_JSON5, "{'a' : 1}", {INS("", "b", "2")}, "{'a' : 1, 'b' : 2}"},
        {DOC_JSON5,
         "{a: 1}",
         {INS("", "b-c", "\"\\u00e9\"")},
         "{a: 1, \"b-c\": \"\xc3\xa9\"}"},
    };

    (void)state;
    RUN(cases);
}

static void json_members_go_with_their_comma(void **state)
{
    static const struct edit_case cases[] = {
        {DOC_JSON5,
         "{\"a\":1,\"b\":2,\"c\":3}",
         {DEL("a")},
         "{\"b\":2,\"c\":3}"},
        {DOC_JSON5,
         "{\"a\":1,\"b\":2,\"c\":3}",
         {DEL("b")},
         "{\"a\":1,\"c\":3}"},
        {DOC_JSON5,
         "{\"a\":1,\"b\":2,\"c\":3}",
         {DEL("c")},
         "{\"a\":1,\"b\":2}"},
        {DOC_JSON5,
         "{\"a\":1,\"b\":2,\"c\":3}",
         {DEL("b"), DEL("c")},
         "{\"a\":1}"},
        {DOC_JSON5, "{ a: 1, b: 2 }", {DEL("a"), DEL("b")}, "{  }"},
        {DOC_JSON5, "{ a: 1, b: 2, }", {DEL("b")}, "{ a: 1, }"},
        {DOC_JSON5,
         "{\n  a: 1, // one\n  b: 2, // two\n  c: 3 // three\n}",
         {DEL("c")},
         "{\n  a: 1, // one\n  b: 2 // two\n}"},
        {DOC_JSON5,
         "{\n  a: 1, // one\n  b: {\n    x: 1\n  },\n  c: 3\n}",
         {DEL("b")},
         "{\n  a: 1, // one\n  c: 3\n}"},
        {DOC_JSON5, "[\n  1,\n  2,\n]\n", {DEL("[0]"), DEL("[1]")}, "[\n]\n"},
        {DOC_JSON5, "[1, 2, 3]", {DEL("[2]"), INS("", NULL, "4")}, "[1, 2, 4]"},
        {DOC_JSON5,
         "[1, 2]",
         {DEL("[0]"), DEL("[1]"), INS("", NULL, "4"), INS("", NULL, "5")},
         "[4, 5]"},
        {DOC_JSON5,
         "{a: {b: 1, c: 'x'}, d: 2}",
         {SET("a.c", "y"), DEL("a.b"), RAW("d", "3"), INS("a", "e", "4")},
         "{a: {c: 'y', e: 4}, d: 3}"},
        /* a removal swallows what was set below */
        {DOC_JSON5, "{a: {b: 1}, c: 2}", {RAW("a.b", "5"), DEL("a")}, "{c: 2}"},
    };

    (void)state;
    RUN(cases);
}

static void json_lines_stay_lines(void **state)
{
    static const struct edit_case cases[] = {
        {DOC_JSONL,
         "{\"a\":\"x\"}\nbroken {\n{\"a\":\"y\"}",
         {SET("[2].a", "z"), INS("[0]", "b", "[]")},
         "{\"a\":\"x\",\"b\":[]}\nbroken {\n{\"a\":\"z\"}"},
        {DOC_JSONL,
         "{\"a\":1}\r\n{\"a\":2}\r\n",
         {DEL("[0]"), INS("", NULL, "{\"a\":3}")},
         "{\"a\":2}\r\n{\"a\": 3}\r\n"},
    };

    (void)state;
    RUN(cases);
}

static void yaml_scalars_keep_their_style(void **state)
{
    static const struct edit_case cases[] = {
        {DOC_YAML,
         "a: x # c\nb: 'x'\nc: \"x\"\n",
         {SET("a", "/srv/y z"), SET("b", "it's"), SET("c", "q\"\n")},
         "a: /srv/y z # c\nb: 'it''s'\nc: \"q\\\"\\n\"\n"},
        /* a text that would read as something else is quoted */
        {DOC_YAML,
         "a: x\nb: y\nc: z\nd: w\ne: v\n",
         {SET("a", "yes"), SET("b", "12"), SET("c", "a: b"), SET("d", ""),
          SET("e", "x #y")},
         "a: \"yes\"\nb: \"12\"\nc: \"a: b\"\nd: \"\"\ne: \"x #y\"\n"},
        {DOC_YAML, "a: x\nb: 'y'\n", {SET("a", "- x")}, "a: '- x'\nb: 'y'\n"},
        {DOC_YAML,
         "a: 1\nb: x\n",
         {RAW("a", "2"), RAW("b", "null")},
         "a: 2\nb: null\n"},
        {DOC_YAML,
         "a:\nb:\n-\n- x\n",
         {SET("a", "v"), SET("b[0]", "w")},
         "a: v\nb:\n- w\n- x\n"},
        {DOC_YAML,
         "a: [x, y]\n",
         {SET("a[0]", "p,q"), SET("a[1]", "z")},
         "a: [\"p,q\", z]\n"},
        {DOC_YAML,
         "a: |  # c\n    one\n    two\n\nb: 1\n",
         {SET("a", "eins\n\n zwei\n")},
         "a: |  # c\n    eins\n\n     zwei\n\nb: 1\n"},
        {DOC_YAML,
         "a: |\n  one\nb: >-\n  x\n  y\n",
         {SET("a", "no end"), SET("b", "p\nq")},
         "a: |-\n  no end\nb: |-\n  p\n  q\n"},
        {DOC_YAML, "a: |\n  one\n", {SET("a", " edge")}, "a: \" edge\"\n"},
        {DOC_YAML,
         "a: &x v\nb: *x\nc: *x\n",
         {SET("a", "w"), SET("c", "u")},
         "a: &x w\nb: *x\nc: u\n"},
        {DOC_YAML, "a: !!str 1\n", {SET("a", "2")}, "a: !!str \"2\"\n"},
        {DOC_YAML,
         "a: 1\n'b': 2\n",
         {KEY("a", "x"), KEY("b", "y")},
         "x: 1\n'y': 2\n"},
        {DOC_YAML,
         "a: long\n  text\nb: 1\n",
         {SET("a", "short")},
         "a: short\nb: 1\n"},
    };

    (void)state;
    RUN(cases);
}

static void yaml_members_come_and_go(void **state)
{
    static const struct edit_case cases[] = {
        {DOC_YAML,
         "a:\n  b: 1 # c\nd: 2\n",
         {INS("a", "x", "\"y z\"")},
         "a:\n  b: 1 # c\n  x: y z\nd: 2\n"},
        {DOC_YAML,
         "a:\n  b:\n    c: 1",
         {INS("a.b", "d", "2"), INS("a", "e", "3"), INS("", "f", "4")},
         "a:\n  b:\n    c: 1\n    d: 2\n  e: 3\nf: 4"},
        {DOC_YAML,
         "a:\n    b: 1\n",
         {INS("", "new", "{\"x\": [1, {\"z\": []}], \"z\": \"no\"}")},
         "a:\n    b: 1\nnew:\n    x:\n        - 1\n        - {z: []}\n    z: "
         "\"no\"\n"},
        {DOC_YAML,
         "a:\n- x\n- y\n",
         {INS("a", NULL, "\"z\""), DEL("a[0]")},
         "a:\n- y\n- z\n"},
        {DOC_YAML,
         "a: {b: 1}\nc: []\nd: {}\n",
         {INS("a", "x", "\"p,q\""), INS("c", NULL, "1"), INS("d", "e", "2")},
         "a: {b: 1, x: \"p,q\"}\nc: [1]\nd: {e: 2}\n"},
        {DOC_YAML,
         "a:\n  - b: 1\n    c: 2\n  - d: 3\n",
         {DEL("a[0].b"), INS("a[1]", "e", "4")},
         "a:\n  - c: 2\n  - d: 3\n    e: 4\n"},
        {DOC_YAML,
         "a:\n  # note\n  b: 1\nc: 2\n",
         {DEL("a.b")},
         "a: {}\n  # note\nc: 2\n"},
        {DOC_YAML, "a:\n- b\nc: 1\n", {DEL("a[0]")}, "a: []\nc: 1\n"},
        {DOC_YAML,
         "a: 1\nb: |\n  text\n\nc: 3\n",
         {DEL("b")},
         "a: 1\n\nc: 3\n"},
        {DOC_YAML,
         "a: 1\nb: 2\n",
         {DEL("a"), DEL("b"), INS("", "c", "3")},
         "c: 3\n"},
        {DOC_YAML,
         "a: 1\r\nb: 2\r\n",
         {INS("", "c", "3"), DEL("a")},
         "b: 2\r\nc: 3\r\n"},
        {DOC_YAML, "a: [1, 2, 3]\n", {DEL("a[2]")}, "a: [1, 2]\n"},
        {DOC_YAML,
         "---\na: 1\n...\n",
         {INS("", "b", "2")},
         "---\na: 1\nb: 2\n...\n"},
    };

    (void)state;
    RUN(cases);
}

static void env_values_keep_their_quotes(void **state)
{
    static const struct edit_case cases[] = {
        {DOC_ENV,
         "A=x # c\nB=\"y\"\nC='z'\n",
         {SET("A", "/srv/x y"), SET("B", "p\nq"), SET("C", "it's")},
         "A=/srv/x y # c\nB=\"p\\nq\"\nC=\"it's\"\n"},
        {DOC_ENV,
         "A=x\nB=y\n",
         {SET("A", "a#b"), SET("B", "' \" x#")},
         "A='a#b'\nB=`' \" x#`\n"},
        {DOC_ENV,
         "A=1\nA=2\nB=3",
         {SET("A", "5"), INS("", "C", "\"\"")},
         "A=1\nA=5\nB=3\nC="},
        {DOC_ENV, "A=1\n# c\nA=2\nB=3\n", {DEL("A")}, "# c\nB=3\n"},
        {DOC_ENV,
         "export A=1\r\n",
         {INS("", "B", "7"), KEY("A", "Z")},
         "export Z=1\r\nexport B=7\r\n"},
        {DOC_ENV, "", {INS("", "A", "true")}, "A=true\n"},
        {DOC_ENV_SYSTEMD,
         "A=x\nB=\"y\"\nC='z'\n",
         {SET("A", "b\\c"), SET("B", "$x \"q\""), SET("C", "it's")},
         "A='b\\c'\nB=\"\\$x \\\"q\\\"\"\nC=\"it's\"\n"},
        {DOC_ENV_SYSTEMD, "A=x y \n; c\n", {SET("A", "# z")}, "A=# z \n; c\n"},
    };

    (void)state;
    RUN(cases);
}

static void units_keep_their_signs(void **state)
{
    static const struct edit_case cases[] = {
        {DOC_UNIT,
         "[Service]\nExecStart=-/bin/a \\\n  --port 1 # x\nUser=jo\n",
         {SET("Service.ExecStart[0][0]", "/opt/my node/a"),
          SET("Service.ExecStart[0][2]", "2"), SET("Service.User[0]", "ann")},
         "[Service]\nExecStart=-\"/opt/my node/a\" \\\n  --port 2 # x\n"
         "User=ann\n"},
        {DOC_UNIT,
         "[Service]\nEnvironment=PATH=%h/a:/b \"C=50%%\"\n",
         {SET("Service.Environment[0].PATH", "%h/n:/100%/b"),
          SET("Service.Environment[0].C", "1% \"q\"")},
         "[Service]\nEnvironment=PATH=%h/n:/100%%/b \"C=1%% \\\"q\\\"\"\n"},
        {DOC_UNIT,
         "[Service]\nExecStart=/bin/a $HOME $$x\nExecStop=/bin/b x\n",
         {SET("Service.ExecStart[0][1]", "$HOME/y"),
          SET("Service.ExecStop[0][1]", "a$b")},
         "[Service]\nExecStart=/bin/a $HOME/y $$x\nExecStop=/bin/b a$$b\n"},
        {DOC_UNIT,
         "[Service]\nEnvironment=A=1 B=2\nEnvironment=C=3\n",
         {DEL("Service.Environment[0].A"), DEL("Service.Environment[1].C")},
         "[Service]\nEnvironment=B=2\n"},
        {DOC_UNIT,
         "[Unit]\nAfter=x\n\n[Service]\nType=simple",
         {INS("Unit", "Wants", "\"y.service\""),
          INS("Service", "Environment", "{\"A\": \"b c\", \"P\": \"1%\"}"),
          INS("Install", "WantedBy", "\"default.target\"")},
         "[Unit]\nAfter=x\nWants=y.service\n\n[Service]\nType=simple\n"
         "Environment=\"A=b c\" P=1%%\n\n[Install]\n"
         "WantedBy=default.target\n"},
        {DOC_UNIT,
         "[A]\nx=1\n[B]\ny=2\n[A]\nx=3\nz=4\n",
         {DEL("A.x"), INS("B", "y", "\"5\"")},
         "[A]\n[B]\ny=2\ny=5\n[A]\nz=4\n"},
        {DOC_UNIT,
         "[A]\nx=1\n# c\n[B]\ny=2\n[A]\nz=4\n",
         {DEL("A")},
         "[B]\ny=2\n"},
        {DOC_UNIT,
         "[Service]\nReadWritePaths=-/a /b\n",
         {SET("Service.ReadWritePaths[0][0]", "/c d"),
          DEL("Service.ReadWritePaths[0][1]")},
         "[Service]\nReadWritePaths=-\"/c d\"\n"},
    };

    (void)state;
    RUN(cases);
}

static void crontabs_mind_their_percent_signs(void **state)
{
    static const struct edit_case cases[] = {
        {DOC_CRONTAB,
         "A=x\n\n# c\n0 3 * * *  tar $(date +\\%F)%in\n",
         {SET("line 4", "cp $(date +%d) x\nto stdin"),
          SET("line 4 schedule", "@daily"), SET("line 1 env A", "y z")},
         "A=y z\n\n# c\n@daily  cp $(date +\\%d) x%to stdin\n"},
        {DOC_CRONTAB,
         "# about\n* * * * * a\n@daily b\n",
         {INS("", "PATH", "\"/bin\""), INS("", NULL, "\"@reboot c\""),
          DEL("line 3")},
         "PATH=/bin\n# about\n* * * * * a\n@reboot c\n"},
        {DOC_CRONTAB_SYSTEM,
         "@daily jo a\n",
         {SET("line 1 user", "ann")},
         "@daily ann a\n"},
    };

    (void)state;
    RUN(cases);
}

static void text_changes_by_the_line(void **state)
{
    static const struct edit_case cases[] = {
        {DOC_TEXT,
         "one\r\n\r\ntwo\r\nthree",
         {SET("line 3", "2"), DEL("line 1"), INS("", NULL, "\"four\"")},
         "\r\n2\r\nthree\r\nfour"},
        {DOC_TEXT, "\xff raw\nx\n", {SET("line 2", "y")}, "\xff raw\ny\n"},
    };

    (void)state;
    RUN(cases);
}

/* --- what is refused, and the list of edits ----------------------------------- */

static void refused(struct doc *d, const char *path, const char *text, int code)
{
    struct error e = {0};
    struct doc_value v;

    assert_true(doc_find(d, path, &v));
    assert_int_equal(doc_set_string(d, &v, text, strlen(text), &e), code);
    assert_true(e.text[0] != 0);
}

static void what_cannot_be_is_refused(void **state)
{
    struct doc *d = docs_parse(DOC_JSON5, "{a: {b: 1}, c: [2]}");
    struct doc_value v;

    (void)state;
    refused(d, "a", "x", OCM_E_INVALID);
    refused(d, "a.b", "\xff", OCM_E_INVALID);
    assert_true(doc_find(d, "a.b", &v));
    assert_int_equal(doc_set_raw(d, &v, "0x10", NULL), OCM_E_INVALID);
    assert_int_equal(doc_set_raw(d, &v, "1 ", NULL), OCM_E_INVALID);
    assert_int_equal(doc_set_raw(d, &v, "\"x\"", NULL), OCM_E_INVALID);
    assert_int_equal(doc_insert(d, "", "a", "1", NULL), OCM_E_EXISTS);
    assert_int_equal(doc_insert(d, "x", "a", "1", NULL), OCM_E_NOTFOUND);
    assert_int_equal(doc_insert(d, "a.b", "a", "1", NULL), OCM_E_NOTFOUND);
    assert_int_equal(doc_insert(d, "a", NULL, "1", NULL), OCM_E_INVALID);
    assert_int_equal(doc_insert(d, "c", "k", "1", NULL), OCM_E_INVALID);
    assert_int_equal(doc_insert(d, "", "n", "{", NULL), OCM_E_INVALID);
    assert_int_equal(doc_insert(d, "", "n", "NaN", NULL), OCM_E_INVALID);
    docs_insert(d, "", "n", "1");
    assert_int_equal(doc_insert(d, "", "n", "1", NULL), OCM_E_EXISTS);
    assert_int_equal(doc_set_key(d, &v, "b", NULL), 0);
    assert_int_equal(doc_remove(d, "", NULL), OCM_E_INVALID);
    assert_int_equal(doc_remove(d, "zz", NULL), OCM_E_NOTFOUND);
    docs_remove(d, "a");
    assert_int_equal(doc_remove(d, "a", NULL), OCM_E_NOTFOUND);
    assert_int_equal(doc_remove(d, "a.b", NULL), OCM_E_NOTFOUND);
    refused(d, "a.b", "x", OCM_E_INVALID);
    assert_int_equal(doc_insert(d, "a", "z", "1", NULL), OCM_E_INVALID);
    /* the key is free again */
    docs_insert(d, "", "a", "3");
    docs_expect(d, "{c: [2], n: 1, a: 3}");
    doc_free(d);

    d = docs_parse(DOC_YAML, "a: &x 1\nb: *x\nc: !!int 3\n--- z\n");
    assert_int_equal(doc_remove(d, "[0].a", NULL), OCM_E_INVALID);
    assert_int_equal(doc_remove(d, "[1]", NULL), OCM_E_UNSUPPORTED);
    refused(d, "[0].c", "x", OCM_E_UNSUPPORTED);
    docs_remove(d, "[0].b");
    docs_remove(d, "[0].a");
    docs_expect(d, "c: !!int 3\n--- z\n");
    doc_free(d);

    d = docs_parse(DOC_CRONTAB, "A='x'\n0 3 * * * c\n");
    refused(d, "line 2 schedule", "not a schedule", OCM_E_UNSUPPORTED);
    refused(d, "line 1 env A", "a\nb", OCM_E_UNSUPPORTED);
    refused(d, "line 2", "\\\nx", OCM_E_UNSUPPORTED);
    assert_int_equal(doc_insert(d, "", NULL, "\"nonsense\"", NULL),
                     OCM_E_INVALID);
    doc_free(d);

    d = docs_parse(DOC_UNIT, "[S]\nUser=jo\nExecStart=/a b\n");
    refused(d, "S.User[0]", "a\nb", OCM_E_UNSUPPORTED);
    refused(d, "S.User[0]", "a\\", OCM_E_UNSUPPORTED);
    assert_int_equal(doc_remove(d, "S.ExecStart[0][0]", NULL),
                     OCM_E_UNSUPPORTED);
    doc_free(d);

    d = docs_parse(DOC_ENV, "A=1\n");
    refused(d, "A", "'\"`#", OCM_E_UNSUPPORTED);
    assert_int_equal(doc_insert(d, "", "B C", "1", NULL), OCM_E_INVALID);
    doc_free(d);
}

static void edits_are_listed_and_undone(void **state)
{
    struct doc *d = docs_parse(DOC_JSON5, "{a: 'x', b: [1, 2]}");
    struct doc_edit ed;
    struct doc_value v;
    size_t len;

    (void)state;
    docs_set(d, "a", "y");
    docs_insert(d, "b", NULL, "3");
    docs_remove(d, "b[0]");
    docs_key(d, "a", "z");
    docs_set(d, "a", "w");
    assert_int_equal(doc_edit_count(d), 5);
    doc_edit_at(d, 0, &ed);
    assert_true(ed.undone); /* by the second set */
    assert_string_equal(ed.path, "a");
    doc_edit_at(d, 1, &ed);
    assert_int_equal(ed.kind, DOC_EDIT_INSERT);
    assert_string_equal(ed.path, "b[2]");
    assert_string_equal(ed.new_text, "3");
    doc_edit_at(d, 2, &ed);
    assert_int_equal(ed.kind, DOC_EDIT_REMOVE);
    assert_string_equal(ed.old_text, "1");
    doc_edit_at(d, 3, &ed);
    assert_int_equal(ed.kind, DOC_EDIT_KEY);
    assert_string_equal(ed.old_text, "a");
    assert_string_equal(ed.new_text, "z");
    doc_edit_at(d, 4, &ed);
    assert_string_equal(ed.old_text, "x");
    assert_string_equal(ed.new_text, "w");
    assert_int_equal(ed.line, 1);
    assert_true(doc_find(d, "a", &v));
    assert_string_equal(v.text, "x");
    assert_string_equal(doc_text_after(d, &v, &len), "w");
    assert_int_equal(len, 1);
    assert_true(doc_find(d, "b[0]", &v));
    assert_null(doc_text_after(d, &v, &len));
    docs_expect(d, "{z: 'w', b: [2, 3]}");
    doc_edit_undo(d, 2);
    docs_expect(d, "{z: 'w', b: [1, 2, 3]}");
    doc_edit_undo(d, 4);
    doc_edit_undo(d, 4);
    docs_expect(d, "{z: 'x', b: [1, 2, 3]}");
    doc_free(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(json_values_keep_their_quotes),
        cmocka_unit_test(json_members_are_put_in_like_their_neighbours),
        cmocka_unit_test(json_members_go_with_their_comma),
        cmocka_unit_test(json_lines_stay_lines),
        cmocka_unit_test(yaml_scalars_keep_their_style),
        cmocka_unit_test(yaml_members_come_and_go),
        cmocka_unit_test(env_values_keep_their_quotes),
        cmocka_unit_test(units_keep_their_signs),
        cmocka_unit_test(crontabs_mind_their_percent_signs),
        cmocka_unit_test(text_changes_by_the_line),
        cmocka_unit_test(what_cannot_be_is_refused),
        cmocka_unit_test(edits_are_listed_and_undone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
