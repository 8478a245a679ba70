/* SPDX-License-Identifier: MIT */
/* Any bytes as a document of FUZZ_FORMAT. What parses must render as it was,
 * its values must be where they say, and edits chosen by the bytes must come
 * out as asked for: a failing self-check is a bug of the writer. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/adapt/docs/doc.h"

#define FUZZ_EDITS 4

static uint32_t seed;

static uint32_t roll(uint32_t sides)
{
    seed = seed * 1664525u + 1013904223u;
    return (seed >> 8) % sides;
}

struct chosen {
    size_t len;    /* of the source */
    bool dangling; /* dotenv: a quote that any later one may close */
    uint32_t count, want;
    char *path;
    struct doc_value value;
};

static int look(void *arg, struct doc *d, const struct doc_value *v)
{
    struct chosen *c = arg;

    (void)d;
    if (v->start > v->end || v->end > c->len || v->line == 0 ||
        strlen(v->text) > v->len)
        abort();
    if (FUZZ_FORMAT == DOC_ENV && v->end - v->start == v->len && v->len &&
        strchr("\"'`", *v->text))
        c->dangling = true;
    if (c->count++ == c->want) {
        free(c->path);
        c->path = strdup(v->path);
        c->value = *v;
    }
    return 0;
}

/* Half of the document's values are edited where they stand, as a walk would
 * do it; a path finds its value again unless it is repeated. */
static void edit_one(struct doc *d, size_t len, uint32_t values)
{
    static const char *const texts[] = {
        "x",       "",        "/srv/new path", "it's \"q\"",
        "%h $x\\", "a: b #c", "\xe6\xbc\xa2",  "two\nlines\n",
        "`tick`",  "- 1",     "null",          "'"};
    static const char *const jsons[] = {"1", "\"x y\"", "{\"a\": [\"b\"]}",
                                        "[\"p\", \"q r\"]", "null"};
    struct chosen c = {.len = len, .want = roll(values)};
    const char *text = texts[roll(12)];

    doc_each(d, look, &c);
    c.value.path = c.path;
    switch (roll(6)) {
    case 0:
    case 1:
        doc_set_string(d, &c.value, text, strlen(text), NULL);
        break;
    case 2:
        doc_set_raw(d, &c.value, "-1.5", NULL);
        break;
    case 3:
        doc_set_key(d, &c.value, roll(2) ? "key_1" : "k e:y", NULL);
        break;
    case 4:
        doc_insert(d, c.path, roll(2) ? "New" : NULL, jsons[roll(5)], NULL);
        break;
    default:
        doc_remove(d, c.path, NULL);
        break;
    }
    free(c.path);
}

static void say_edits(struct doc *d, const struct error *e)
{
    fprintf(stderr, "%s\n", e->text);
    for (size_t i = 0; i < doc_edit_count(d); i++) {
        struct doc_edit ed;

        doc_edit_at(d, i, &ed);
        fprintf(stderr, "edit %d of %s: '%s' -> '%s'%s\n", (int)ed.kind,
                ed.path, ed.old_text, ed.new_text, ed.undone ? " undone" : "");
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct chosen c = {.len = size, .want = UINT32_MAX};
    struct error e = {0};
    struct buf out = {0};
    struct doc *d;

    /* a mark inside would become that of the file when it comes first */
    if (size > 3 && memmem(data + 1, size - 1, "\xef\xbb\xbf", 3))
        return 0;
    /* a line end of \r alone could find its \n when a word between goes */
    for (size_t i = 0; i < size && FUZZ_FORMAT == DOC_UNIT; i++) {
        if (data[i] == '\r' && (i + 1 == size || data[i + 1] != '\n'))
            return 0;
    }
    if (size > 64 * 1024 || doc_parse(FUZZ_FORMAT, data, size, &d, &e) != 0)
        return 0;
    if (doc_render(d, &out, &e) != 0 || out.len != size ||
        (size && memcmp(out.data, data, size) != 0))
        abort();
    doc_each(d, look, &c);
    seed = (uint32_t)size;
    for (size_t i = 0; i < size; i++)
        seed = seed * 31 + data[i];
    for (int i = 0; i < FUZZ_EDITS; i++)
        edit_one(d, size, c.count);
    buf_clear(&out);
    /* YAML has corners where only the old spelling stands (a `|` or a tab in
     * the first column): refused, which is what the self-check is for */
    if (doc_render(d, &out, &e) != 0 && !c.dangling &&
        FUZZ_FORMAT != DOC_YAML) {
        say_edits(d, &e);
        abort();
    }
    buf_free(&out);
    doc_free(d);
    return 0;
}
