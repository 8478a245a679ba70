/* SPDX-License-Identifier: MIT */
/* What the formats of lines share: whole lines go, new ones come at the end;
 * and plain text, the simplest of them. */
#include "agent/adapt/docs/doc_internal.h"

#include <string.h>

/* Does the document end in a line that a backslash carries on? */
static bool goes_on(const struct doc *d)
{
    size_t at = d->len;

    if (d->format != DOC_ENV_SYSTEMD)
        return d->goes_on;
    while (at > d->body && (d->src[at - 1] == '\n' || d->src[at - 1] == '\r'))
        at--;
    return at > d->body && d->src[at - 1] == '\\';
}

void lines_put(struct render *r, size_t off, struct buf *lines)
{
    const struct doc *d = r->d;
    size_t at = line_next(d, off);
    struct buf b = {0};

    if (at == d->len && goes_on(d))
        buf_add_str(&b, d->eol);
    if (at == line_end(d, off)) { /* the last line has no end */
        buf_add_str(&b, d->eol);
        buf_add(&b, lines->data, lines->len);
    } else {
        buf_add(&b, lines->data, lines->len);
        buf_add_str(&b, d->eol);
    }
    buf_wipe(lines);
    patch_take(r, at, at, &b);
}

/* Above the comments that stand right above a line and are about it. */
static size_t above_comments(const struct doc *d, size_t at)
{
    while (at > d->body) {
        size_t up = at - 1;

        if (up > d->body && d->src[up] == '\n' && d->src[up - 1] == '\r')
            up--;
        up = line_start(d, up);
        if (d->src[skip_blanks(d, up)] != '#')
            break;
        at = up;
    }
    return at;
}

/* New lines of `before`, or (NONE) of the end of the document. */
static void put_lines(struct render *r, uint32_t before)
{
    struct doc *d = r->d;
    size_t at = before == NONE
                    ? d->len
                    : above_comments(d, line_start(d, d->nodes[before].from));
    bool open = at == d->len && d->len > d->body &&
                d->src[d->len - 1] != '\n' && d->src[d->len - 1] != '\r';
    struct edit *ed;
    struct buf b = {0};
    size_t i = 0;

    if (before == NONE && goes_on(d))
        buf_add_str(&b, d->eol);
    while ((ed = next_insert(d, 0, &i)) != NULL) {
        uint32_t place = d->ops->place ? d->ops->place(d, ed) : NONE;

        if (place != before)
            continue;
        if (open)
            buf_add_str(&b, d->eol);
        buf_add(&b, ed->bytes.data, ed->bytes.len);
        if (!open)
            buf_add_str(&b, d->eol);
    }
    if (b.len)
        patch_take(r, at, at, &b);
}

int lines_lay_out(struct render *r, uint32_t container, struct error *e)
{
    struct doc *d = r->d;
    uint32_t before = NONE;

    (void)e;
    for (uint32_t c = d->nodes[container].first; c != NONE;
         c = d->nodes[c].next) {
        size_t a = line_start(d, d->nodes[c].from);

        /* the values of one line go together */
        if (d->nodes[c].gone &&
            (before == NONE || d->nodes[before].line != d->nodes[c].line))
            patch_add(r, a, line_next(d, d->nodes[c].end), NULL, 0);
        before = c;
    }
    put_lines(r, NONE);
    if (d->ops->place) {
        struct edit any = {.key = (char *)"x"};
        uint32_t place = d->ops->place(d, &any);

        if (place != NONE)
            put_lines(r, place);
    }
    return 0;
}

int lines_scalar(const struct doc *json, const char **text, size_t *len,
                 struct error *e)
{
    const struct doc_node *n = &json->nodes[0];

    if (n->type == DOC_OBJECT || n->type == DOC_ARRAY)
        return error_set(e, OCM_E_INVALID,
                         "the new value must be a text, not an object");
    *text = n->type == DOC_NULL ? "" : n->text;
    *len = n->type == DOC_NULL ? 0 : n->len;
    return 0;
}

int lines_insert(struct doc *d, struct edit *ed, const char *line, size_t len,
                 struct error *e)
{
    int rc;

    buf_clear(&ed->bytes);
    buf_add(&ed->bytes, line, len);
    rc = doc_parse(d->format, line, len, &ed->want, e);
    if (rc != 0)
        return rc;
    if (ed->want->nodes[0].first == NONE || doc_problem_count(ed->want))
        return error_set(e, OCM_E_INVALID, "the new line says nothing");
    return 0;
}

/* --- plain text ----------------------------------------------------------- */

static int text_parse(struct doc *d, struct error *e)
{
    uint32_t root = doc_add(d, NONE, e), line = 0;

    d->nodes[root].type = DOC_OBJECT;
    d->nodes[root].end = (uint32_t)d->len;
    d->nodes[root].line = 1;
    for (size_t at = d->body; at < d->len; at = line_next(d, at)) {
        size_t end = line_end(d, at);
        struct doc_node *n;
        uint32_t id;

        line++;
        if (end == at)
            continue;
        id = doc_add(d, root, e);
        if (id == NONE)
            return OCM_E_LIMIT;
        n = &d->nodes[id];
        n->part = PART_LINE;
        n->line = line;
        n->from = n->start = (uint32_t)at;
        n->end = (uint32_t)end;
        doc_node_text(d, id, d->src + at, end - at);
    }
    return 0;
}

static bool one_line(const char *text, size_t len)
{
    return len > 0 && !memchr(text, '\n', len) && !memchr(text, '\r', len);
}

static int text_encode(struct doc *d, const struct doc_node *n, struct edit *ed,
                       struct error *e)
{
    (void)d;
    if (!one_line(ed->text, ed->len))
        return error_set(e, OCM_E_UNSUPPORTED,
                         "line %u: a line must be one line, not empty",
                         n->line);
    ed->start = n->start;
    ed->end = n->end;
    buf_add(&ed->bytes, ed->text, ed->len);
    return 0;
}

static int text_insert(struct doc *d, struct edit *ed, struct doc **json,
                       struct error *e)
{
    const char *text;
    size_t len;
    int rc = lines_scalar(*json, &text, &len, e);

    if (rc != 0)
        return rc;
    if (ed->key || !one_line(text, len))
        return error_set(e, OCM_E_UNSUPPORTED,
                         "a text takes new lines without a key, one at a time");
    return lines_insert(d, ed, text, len, e);
}

const struct doc_ops text_ops = {
    .name = "a text",
    .binary = true,
    .by_line = true,
    .max = DOC_MAX_BYTES,
    .parse = text_parse,
    .encode = text_encode,
    .insert = text_insert,
    .lay_out = lines_lay_out,
};
