/* SPDX-License-Identifier: MIT */
/* JSON Lines: documents of many lines, and streams of any length. */
#include "agent/adapt/docs/doc_internal.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "common/base/files.h"

#define READ_BYTES ((size_t)256 * 1024)

/* Take back what a broken line has added. */
static void drop_nodes(struct doc *d, size_t count, uint32_t last)
{
    d->count = count;
    d->nodes[0].last = last;
    if (last == NONE)
        d->nodes[0].first = NONE;
    else
        d->nodes[last].next = NONE;
}

static int jsonl_parse(struct doc *d, struct error *e)
{
    uint32_t root = doc_add(d, NONE, e), line = 0;

    d->nodes[root].type = DOC_ARRAY;
    d->nodes[root].end = (uint32_t)d->len;
    d->nodes[root].line = 1;
    for (size_t at = d->body; at < d->len; at = line_next(d, at), line++) {
        size_t end = line_end(d, at), pos = at, count = d->count;
        uint32_t last = d->nodes[root].last;
        struct error own = {0};
        int rc;

        if (skip_blanks(d, at) == end)
            continue;
        rc = utf8_all(d->src + at, end - at)
                 ? json_parse_value(d, root, &pos, end, true, &own)
                 : doc_error_at(d, at, &own, OCM_E_INVALID, "no valid UTF-8");
        if (rc == OCM_E_LIMIT && d->count >= DOC_VALUES_MAX)
            return error_set(e, rc, "%s", own.text);
        if (rc != 0) {
            doc_add_problem(d, line + d->first_line + 1, own.text);
            drop_nodes(d, count, last);
            continue;
        }
        last = d->nodes[root].last;
        d->nodes[last].index = line + (uint32_t)d->first_line;
    }
    d->nodes[root].count = line;
    return 0;
}

static int jsonl_lay_out(struct render *r, uint32_t container, struct error *e)
{
    return container == 0 ? lines_lay_out(r, container, e)
                          : flow_lay_out(r, container, false);
}

static int jsonl_insert(struct doc *d, struct edit *ed, struct doc **json,
                        struct error *e)
{
    if (ed->node == 0)
        json_emit(&ed->bytes, *json, 0, STYLE_DOUBLE, NULL, NULL);
    return json5_insert(d, ed, json, e);
}

const struct doc_ops jsonl_ops = {
    .name = "a JSON Lines document",
    .binary = true,
    .typed = true,
    .max = DOC_MAX_BYTES,
    .parse = jsonl_parse,
    .encode = json5_encode,
    .encode_key = json5_encode_key,
    .insert = jsonl_insert,
    .lay_out = jsonl_lay_out,
};

/* --- streams ---------------------------------------------------------------- */

/* A window of the input: bytes [at, b.len) are not written yet. */
struct window {
    struct buf b;
    size_t at;
    bool ended;    /* fd_in is at its end */
    bool overlong; /* inside a line beyond DOC_LINE_MAX_BYTES */
};

static int fill(const struct doc_jsonl *s, struct window *w, struct error *e)
{
    ssize_t n;

    if (w->at) {
        buf_consume(&w->b, w->at);
        w->at = 0;
    }
    do
        n = read(s->fd_in, buf_reserve(&w->b, READ_BYTES), READ_BYTES);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return error_errno(e, "cannot read");
    w->b.len += (size_t)n;
    w->ended = n == 0;
    return 0;
}

static int put(const struct doc_jsonl *s, const void *p, size_t len,
               struct error *e)
{
    int rc = s->fd_out < 0 ? 0 : fd_write_all(s->fd_out, p, len);

    return rc == 0 ? 0 : error_set(e, rc, "cannot write: %s", strerror(-rc));
}

static void count_broken(struct doc_jsonl *s)
{
    if (s->broken++ == 0)
        s->first_broken = s->lines;
}

/* One line with its end. */
static int do_line(struct doc_jsonl *s, const uint8_t *p, size_t len,
                   struct error *e)
{
    struct buf out = {0};
    struct doc *d;
    int rc;

    if (s->wants && !s->wants(s->arg, (const char *)p, len))
        return put(s, p, len, e);
    rc = doc_parse_at(DOC_JSONL, p, len, s->lines - 1, &d, e);
    if (rc != 0 || d->problem_count) {
        doc_free(d);
        count_broken(s);
        return put(s, p, len, e);
    }
    rc = d->nodes[0].first == NONE ? 0 : s->on_line(s->arg, d, e);
    if (rc == 0 && d->edit_count) {
        rc = doc_render(d, &out, e);
        if (rc == 0 && (out.len != len || memcmp(out.data, p, len) != 0))
            s->edited++;
        if (rc == 0)
            rc = put(s, out.data, out.len, e);
    } else if (rc == 0) {
        rc = put(s, p, len, e);
    }
    buf_wipe(&out);
    doc_free(d);
    return rc;
}

/* A part of a line that is too long to look into. */
static int pass_on(struct doc_jsonl *s, struct window *w, size_t len,
                   bool complete, struct error *e)
{
    int rc = put(s, w->b.data + w->at, len, e);

    if (!w->overlong)
        count_broken(s);
    w->overlong = !complete;
    w->at += len;
    return rc;
}

/* Every complete line in the window, and an incomplete one at the end. */
static int do_window(struct doc_jsonl *s, struct window *w, struct error *e)
{
    int rc = 0;

    while (rc == 0 && w->at < w->b.len) {
        const uint8_t *p = w->b.data + w->at;
        size_t left = w->b.len - w->at;
        const uint8_t *nl = memchr(p, '\n', left);
        size_t len = nl ? (size_t)(nl - p) + 1 : left;

        if (!nl && !w->ended && len <= DOC_LINE_MAX_BYTES)
            break;
        if (!w->overlong)
            s->lines++;
        if (w->overlong || len > DOC_LINE_MAX_BYTES) {
            rc = pass_on(s, w, len, nl != NULL, e);
            continue;
        }
        w->at += len;
        rc = do_line(s, p, len, e);
    }
    return rc;
}

int doc_jsonl_stream(struct doc_jsonl *s, struct error *e)
{
    struct window w = {0};
    int rc = 0;

    s->lines = s->edited = s->broken = s->first_broken = 0;
    while (rc == 0 && !w.ended) {
        rc = fill(s, &w, e);
        if (rc == 0)
            rc = do_window(s, &w, e);
    }
    buf_wipe(&w.b);
    return rc;
}
