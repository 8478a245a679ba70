/* SPDX-License-Identifier: MIT */
/* Realistic files of every format: rendered as they are they are the same
 * bytes; every value can be set, alone and all at once, and taken out. */
#include "docs_help.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"

static struct doc *parse(enum doc_format format, const char *path,
                         const struct buf *bytes)
{
    struct error e = {0};
    struct doc *d;

    if (doc_parse(format, bytes->data, bytes->len, &d, &e) != 0)
        fail_msg("%s: %s", path, e.text);
    return d;
}

static void render(struct doc *d, const char *path, const char *what,
                   struct buf *out)
{
    struct error e = {0};

    buf_clear(out);
    if (doc_render(d, out, &e) != 0)
        fail_msg("%s, %s: %s", path, what, e.text);
}

static void same(enum doc_format format, const char *path,
                 const struct buf *bytes)
{
    struct doc *d = parse(format, path, bytes);
    struct buf out = {0};

    render(d, path, "as it is", &out);
    assert_int_equal(out.len, bytes->len);
    assert_memory_equal(out.data, bytes->data, bytes->len);
    buf_free(&out);
    doc_free(d);
}

static void rendered_files_are_the_same(void **state)
{
    (void)state;
    docs_each_file(same);
}

/* --- every value set to something else --------------------------------------- */

struct walk {
    const char *path;
    const char *prefix;
    size_t set;
};

static int set_prefixed(void *arg, struct doc *d, const struct doc_value *v)
{
    struct walk *w = arg;
    struct error e = {0};
    char *text;
    int rc;

    if (v->type == DOC_OBJECT || v->type == DOC_ARRAY || v->alias)
        return 0;
    text = mem_printf("%s%s", w->prefix, v->text);
    rc = doc_set_string(d, v, text, strlen(text), &e);
    free(text);
    /* some texts have no spelling in some places; bytes that are no UTF-8
     * have none anywhere but in lines */
    if (rc == 0)
        w->set++;
    else if (rc != OCM_E_UNSUPPORTED)
        fail_msg("%s, %s: %s", w->path, v->path, e.text);
    return 0;
}

static void set_all(enum doc_format format, const char *path,
                    const struct buf *bytes)
{
    static const char *const prefixes[] = {
        "",   "x",  "/srv/new/", "it's \"", "# ",           "a: b ",
        "%d", "$x", "\\",        " ",       "\xe6\xbc\xa2", "a\nb"};
    struct buf out = {0};

    for (size_t i = 0; i < ARRAY_LEN(prefixes); i++) {
        struct doc *d = parse(format, path, bytes);
        struct walk w = {.path = path, .prefix = prefixes[i]};

        doc_each(d, set_prefixed, &w);
        if (i < 3)
            assert_true(w.set > 0);
        render(d, path, prefixes[i], &out);
        doc_free(d);
    }
    buf_free(&out);
}

static void every_value_can_be_set(void **state)
{
    (void)state;
    docs_each_file(set_all);
}

/* --- every value taken out, one at a time ------------------------------------ */

static int gather(void *arg, struct doc *d, const struct doc_value *v)
{
    (void)d;
    buf_add(arg, v->path, strlen(v->path) + 1);
    return 0;
}

static void remove_each(enum doc_format format, const char *path,
                        const struct buf *bytes)
{
    struct doc *d = parse(format, path, bytes);
    struct buf paths = {0}, out = {0};
    size_t removed = 0;

    doc_each(d, gather, &paths);
    doc_free(d);
    for (size_t at = 0; at < paths.len;) {
        const char *one = (const char *)paths.data + at;
        struct error e = {0};
        int rc;

        at += strlen(one) + 1;
        if (!*one)
            continue;
        d = parse(format, path, bytes);
        rc = doc_remove(d, one, &e);
        /* refused: what an alias needs, the program of a command, ... */
        if (rc == 0) {
            if (doc_render(d, &out, &e) != 0)
                fail_msg("%s without %s: %s", path, one, e.text);
            assert_true(out.len < bytes->len || format == DOC_YAML);
            removed++;
        } else if (format != DOC_YAML && format != DOC_UNIT) {
            fail_msg("%s without %s: %s", path, one, e.text);
        }
        buf_clear(&out);
        doc_free(d);
    }
    assert_true(removed > 0);
    buf_free(&paths);
    buf_free(&out);
}

static void every_value_can_be_taken_out(void **state)
{
    (void)state;
    docs_each_file(remove_each);
}

/* --- all members of all containers taken out, and new ones put in ------------- */

static int replace_members(void *arg, struct doc *d, const struct doc_value *v)
{
    struct walk *w = arg;
    struct error e = {0};
    int rc = 0;

    if ((v->type != DOC_OBJECT && v->type != DOC_ARRAY) || v->alias)
        return 0;
    rc = doc_insert(d, v->path, v->type == DOC_OBJECT ? "zz" : NULL,
                    "{\"new\": [1, \"x: y\"]}", &e);
    if (rc == 0)
        w->set++;
    else if (rc != OCM_E_UNSUPPORTED)
        fail_msg("%s, %s: %s", w->path, v->path, e.text);
    return 0;
}

static void fill_all(enum doc_format format, const char *path,
                     const struct buf *bytes)
{
    struct walk w = {.path = path};
    struct buf out = {0};
    struct doc *d;

    if (format != DOC_JSON5 && format != DOC_JSONL && format != DOC_YAML)
        return;
    d = parse(format, path, bytes);
    doc_each(d, replace_members, &w);
    assert_true(w.set > 0);
    render(d, path, "filled", &out);
    doc_free(d);
    buf_free(&out);
}

static void every_container_takes_a_member(void **state)
{
    (void)state;
    docs_each_file(fill_all);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rendered_files_are_the_same),
        cmocka_unit_test(every_value_can_be_set),
        cmocka_unit_test(every_value_can_be_taken_out),
        cmocka_unit_test(every_container_takes_a_member),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
