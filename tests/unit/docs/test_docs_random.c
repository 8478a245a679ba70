/* SPDX-License-Identifier: MIT */
/* Random documents, random edits; what comes out holds what was asked for
 * (doc_render checks that itself), and an independent parser - JSON.parse of
 * Node, PyYAML - finds in it the same as ours. The seed is fixed and printed
 * with every failure. */
#include "docs_help.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/files.h"
#include "common/base/mem.h"

#define DOCUMENTS 150

static uint32_t seed;

static uint32_t roll(uint32_t sides)
{
    seed = seed * 1664525u + 1013904223u;
    return (seed >> 8) % sides;
}

static const char *pick(const char *const *from, uint32_t count)
{
    return from[roll(count)];
}

/* Not a number, not a word that YAML 1.1 reads as something else. */
static const char *const words[] = {
    "alpha",     "/home/jo/.openclaw",
    "it's",      "say \"hi\"",
    "a b  c",    "\xe6\xbc\xa2\xe5\xad\x97",
    "x.y",       "#hash",
    "a: b",      "${TOKEN}",
    "C:\\dir",   "-dash",
    "tail ",     " lead",
    "[brackets", "{braces",
    "*star",     "&and",
    "100%",      "\xf0\x9f\xa6\x9e",
    "~/x",       "a,b",
    "a #b",
};
static const char *const spicy[] = {
    "",       "yes",  "null",     "12",   "0x1f",       "1.5",
    "a\nb",   "a\tb", "~",        "\x01", "- x",        "? y",
    "text\n", "1:30", "\xc2\x85", "off",  "2001-01-01", "\xe2\x80\xa8",
    "%d",     "@at",  "`tick",    "|",    ">",
};

static const char *any_text(void)
{
    return roll(2) ? pick(words, ARRAY_LEN(words))
                   : pick(spicy, ARRAY_LEN(spicy));
}

static void put_quoted(struct buf *b, const char *s)
{
    buf_add_byte(b, '"');
    for (; *s; s++) {
        unsigned char c = (unsigned char)*s;

        if (c == '"' || c == '\\')
            buf_add_byte(b, '\\');
        if (c < ' ')
            buf_printf(b, "\\u%04x", c);
        else
            buf_add_byte(b, c);
    }
    buf_add_byte(b, '"');
}

static void put_blank(struct buf *b)
{
    static const char *const blanks[] = {"", " ", "\n", "\n  ", "\t"};

    buf_add_str(b, pick(blanks, ARRAY_LEN(blanks)));
}

static void put_json_scalar(struct buf *b)
{
    static const char *const others[] = {"true", "false", "null", "0",
                                         "-17",  "2.5",   "1e3"};

    if (roll(2))
        put_quoted(b, any_text());
    else
        buf_add_str(b, pick(others, ARRAY_LEN(others)));
}

static void put_json(struct buf *b, int depth)
{
    bool object = roll(2);
    uint32_t count = roll(5);

    if (depth > 0 && (depth > 4 || roll(3) == 0)) {
        put_json_scalar(b);
        return;
    }
    buf_add_byte(b, object ? '{' : '[');
    for (uint32_t i = 0; i < count; i++) {
        if (i)
            buf_add_byte(b, ',');
        put_blank(b);
        if (object) {
            char *key = mem_printf("%s%u", pick(words, ARRAY_LEN(words)), i);

            put_quoted(b, key);
            free(key);
            put_blank(b);
            buf_add_byte(b, ':');
            put_blank(b);
        }
        put_json(b, depth + 1);
        put_blank(b);
    }
    buf_add_byte(b, object ? '}' : ']');
}

static void put_yaml_scalar(struct buf *b, int indent, bool flow)
{
    static const char *const plain[] = {"plain", "two words",   "/a/b", "12",
                                        "-2.5",  "true",        "null", "~",
                                        "x-y_z", "http://h:1/p"};
    const char *s;

    switch (roll(flow ? 3 : 5)) {
    case 0:
        buf_add_str(b, pick(plain, ARRAY_LEN(plain)));
        break;
    case 1:
        s = any_text();
        buf_add_byte(b, '"');
        for (; *s; s++) {
            unsigned char c = (unsigned char)*s;

            if (c == '"' || c == '\\')
                buf_printf(b, "\\%c", c);
            else if (c < ' ')
                buf_printf(b, "\\x%02x", c);
            else
                buf_add_byte(b, c);
        }
        buf_add_byte(b, '"');
        break;
    case 2:
        buf_add_str(b, "'it''s here'");
        break;
    case 3:
        buf_printf(b, "|%s\n%*sline one\n\n%*s  line two",
                   roll(2) ? "" : "-  # c", indent + 2, "", indent + 2, "");
        break;
    default:
        buf_printf(b, ">\n%*sfolded\n%*stext\n", indent + 2, "", indent + 2,
                   "");
        break;
    }
}

static void put_yaml_flow(struct buf *b, int depth)
{
    bool object = roll(2);
    uint32_t count = roll(4);

    if (depth > 2 || roll(3) == 0) {
        put_yaml_scalar(b, 0, true);
        return;
    }
    buf_add_byte(b, object ? '{' : '[');
    for (uint32_t i = 0; i < count; i++) {
        if (i)
            buf_add_str(b, roll(2) ? ", " : " , ");
        if (object)
            buf_printf(b, "k%u: ", i);
        put_yaml_flow(b, depth + 1);
    }
    if (count && roll(4) == 0)
        buf_add_byte(b, ',');
    buf_add_byte(b, object ? '}' : ']');
}

static void end_line(struct buf *b)
{
    static const char *const ends[] = {"\n", "\n", "\n", "\n\n",
                                       "\n# comment\n"};

    if (b->len && b->data[b->len - 1] != '\n')
        buf_add_str(b, pick(ends, ARRAY_LEN(ends)));
}

static void put_yaml(struct buf *b, int indent, int depth, bool on_line)
{
    bool object = roll(3) != 0;
    uint32_t count = 1 + roll(4);

    for (uint32_t i = 0; i < count; i++) {
        if (i || !on_line)
            buf_printf(b, "%*s", indent, "");
        if (object) {
            char *key = mem_printf("%s%u", roll(2) ? "key" : "\xe9\x94\xae", i);

            if (roll(4))
                buf_printf(b, "%s:", key);
            else
                buf_printf(b, "'%s' :", key);
            free(key);
        } else {
            buf_add_byte(b, '-');
        }
        switch (depth > 3 ? roll(4) : roll(8)) {
        case 0:
            break; /* null */
        case 1:
            buf_add_byte(b, ' ');
            put_yaml_flow(b, 0);
            if (roll(3) == 0)
                buf_add_str(b, "  # note");
            break;
        case 2:
        case 3:
            buf_add_byte(b, ' ');
            put_yaml_scalar(b, indent, false);
            break;
        default:
            if (!object && roll(2)) {
                buf_add_byte(b, ' ');
                put_yaml(b, indent + 2, depth + 1, true);
            } else {
                buf_add_byte(b, '\n');
                put_yaml(b, indent + 2, depth + 1, false);
            }
            break;
        }
        end_line(b);
    }
}

/* --- edits -------------------------------------------------------------------- */

static int count_values(void *arg, struct doc *d, const struct doc_value *v)
{
    (void)d;
    (void)v;
    (*(uint32_t *)arg)++;
    return 0;
}

struct nth {
    uint32_t left;
    char *path;
};

static int take_nth(void *arg, struct doc *d, const struct doc_value *v)
{
    struct nth *n = arg;

    (void)d;
    if (n->left-- > 0)
        return 0;
    n->path = mem_strdup(v->path);
    return 1;
}

static void edit_one(struct doc *d, const char *path)
{
    static const char *const raws[] = {"7", "-1.5", "true", "null"};
    static const char *const inserts[] = {
        "\"text: x\"", "3", "{}", "[]",
        "{\"a\": [1, {\"b\": \"yes\"}], \"c d\": null}"};
    struct doc_value v;
    const char *text = any_text();
    char *key = mem_printf("%s_%u", pick(words, ARRAY_LEN(words)), roll(99));

    assert_true(doc_find(d, path, &v));
    switch (roll(6)) {
    case 0:
    case 1:
        doc_set_string(d, &v, text, strlen(text), NULL);
        break;
    case 2:
        doc_set_raw(d, &v, pick(raws, ARRAY_LEN(raws)), NULL);
        break;
    case 3:
        doc_set_key(d, &v, key, NULL);
        break;
    case 4:
        doc_insert(d, path, v.type == DOC_OBJECT ? key : NULL,
                   pick(inserts, ARRAY_LEN(inserts)), NULL);
        break;
    default:
        doc_remove(d, path, NULL);
        break;
    }
    free(key);
}

/* --- what is in a document, in words ------------------------------------------- */

struct teller {
    struct buf *out;
    char *open[DOC_DEPTH_MAX + 8]; /* paths of open containers */
    char close[DOC_DEPTH_MAX + 8];
    size_t depth;
};

static void put_hex(struct buf *b, char kind, const char *p, size_t len)
{
    buf_add_byte(b, (uint8_t)kind);
    for (size_t i = 0; i < len; i++)
        buf_printf(b, "%02x", (unsigned char)p[i]);
    buf_add_byte(b, '\n');
}

static bool is_in(const char *path, const char *container)
{
    size_t len = strlen(container);

    return len == 0 || (strncmp(path, container, len) == 0 &&
                        (path[len] == '.' || path[len] == '['));
}

static void close_one(struct teller *t)
{
    t->depth--;
    free(t->open[t->depth]);
    buf_printf(t->out, "%c\n", t->close[t->depth]);
}

static int tell(void *arg, struct doc *d, const struct doc_value *v)
{
    struct teller *t = arg;

    (void)d;
    /* containers that `v` is not in have ended */
    while (t->depth && !is_in(v->path, t->open[t->depth - 1]))
        close_one(t);
    if (v->key)
        put_hex(t->out, 'K', v->key, strlen(v->key));
    switch (v->type) {
    case DOC_STRING:
        put_hex(t->out, 'S', v->text, v->len);
        break;
    case DOC_NUMBER:
        buf_printf(t->out, "N%lld\n", llround(strtod(v->text, NULL) * 1000));
        break;
    case DOC_BOOL:
        buf_add_str(t->out, *v->text == 't' ? "T\n" : "F\n");
        break;
    case DOC_NULL:
        buf_add_str(t->out, "Z\n");
        break;
    default:
        buf_printf(t->out, "%c\n", v->type == DOC_OBJECT ? '{' : '[');
        t->close[t->depth] = v->type == DOC_OBJECT ? '}' : ']';
        t->open[t->depth++] = mem_strdup(v->path);
        break;
    }
    return 0;
}

static void say(enum doc_format format, const struct buf *text, struct buf *out)
{
    struct teller t = {.out = out};
    struct error e = {0};
    struct doc *d;

    if (doc_parse(format, text->data, text->len, &d, &e) != 0)
        fail_msg("%s", e.text);
    doc_each(d, tell, &t);
    while (t.depth)
        close_one(&t);
    doc_free(d);
}

/* --- the test ------------------------------------------------------------------ */

static void make(enum doc_format format, uint32_t n, const char *dir)
{
    struct buf source = {0}, out = {0}, said = {0};
    struct error e = {0};
    uint32_t values = 0, edits;
    struct doc *d;
    char *path;

    seed = n * 7919 + (format == DOC_YAML);
    if (format == DOC_YAML)
        put_yaml(&source, 0, 0, false);
    else
        put_json(&source, 0);
    if (doc_parse(format, source.data, source.len, &d, &e) != 0)
        fail_msg("document %u: %s\n%s", n, e.text, buf_str(&source));
    doc_each(d, count_values, &values);
    edits = roll(6);
    for (uint32_t i = 0; i < edits; i++) {
        struct nth pos = {.left = roll(values)};

        doc_each(d, take_nth, &pos);
        edit_one(d, pos.path);
        free(pos.path);
    }
    if (doc_render(d, &out, &e) != 0) {
        for (size_t i = 0; i < doc_edit_count(d); i++) {
            struct doc_edit ed;

            doc_edit_at(d, i, &ed);
            print_message("edit %d of %s: '%s' -> '%s'\n", (int)ed.kind,
                          ed.path, ed.old_text, ed.new_text);
        }
        fail_msg("document %u: %s\n%s", n, e.text, buf_str(&source));
    }
    doc_free(d);
    say(format, &out, &said);
    path = mem_printf("%s/%u.%s", dir, n, format == DOC_YAML ? "yaml" : "json");
    assert_int_equal(file_write(path, out.data, out.len, 0600, &e), 0);
    free(path);
    path = mem_printf("%s/%u.want", dir, n);
    assert_int_equal(file_write(path, said.data, said.len, 0600, &e), 0);
    free(path);
    buf_free(&source);
    buf_free(&out);
    buf_free(&said);
}

static void compare(const char *dir, const char *kind)
{
    for (uint32_t n = 0; n < DOCUMENTS; n++) {
        char *want = mem_printf("%s/%u.want", dir, n);
        char *said = mem_printf("%s/%u.said", dir, n);
        char *text = mem_printf("%s/%u.%s", dir, n, kind);
        struct buf a = {0}, b = {0}, c = {0};

        assert_int_equal(file_read(want, DOC_MAX_BYTES, &a, NULL), 0);
        assert_int_equal(file_read(said, DOC_MAX_BYTES, &b, NULL), 0);
        assert_int_equal(file_read(text, DOC_MAX_BYTES, &c, NULL), 0);
        if (a.len != b.len || memcmp(a.data, b.data, a.len) != 0)
            fail_msg("document %u:\n%s\nours:\n%s\ntheirs:\n%s", n, buf_str(&c),
                     buf_str(&a), buf_str(&b));
        buf_free(&a);
        buf_free(&b);
        buf_free(&c);
        free(want);
        free(said);
        free(text);
    }
}

static void try_all(enum doc_format format, const char *kind, const char *probe,
                    const char *judge)
{
    char dir[] = "/tmp/ocm-docs-XXXXXX";
    bool judged = system(probe) == 0;
    char *run;

    assert_non_null(mkdtemp(dir));
    for (uint32_t n = 0; n < DOCUMENTS; n++)
        make(format, n, dir);
    if (judged) {
        run = mem_printf("%s %s", judge, dir);
        assert_int_equal(system(run), 0);
        free(run);
        compare(dir, kind);
    }
    assert_int_equal(tree_remove(dir, NULL), 0);
    if (!judged) {
        print_message("no independent parser of %s here\n", kind);
        skip();
    }
}

static void json_agrees_with_node(void **state)
{
    (void)state;
    try_all(DOC_JSON5, "json", "node --version >/dev/null 2>&1",
            "node " DOCS_TESTS "/judge.js");
}

static void yaml_agrees_with_python(void **state)
{
    (void)state;
    try_all(DOC_YAML, "yaml", "python3 -c 'import yaml' >/dev/null 2>&1",
            "python3 " DOCS_TESTS "/judge.py");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(json_agrees_with_node),
        cmocka_unit_test(yaml_agrees_with_python),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
