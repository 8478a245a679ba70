/* SPDX-License-Identifier: MIT */
/* Members put into and taken out of { } and [ ], in JSON5 and in YAML flow
 * style. A removed member takes its line with it when it has one of its own,
 * otherwise its comma and blanks; a new one stands behind the last in the
 * same way as that one, and the last comma stays there or not as it was. */
#include "agent/adapt/docs/doc_internal.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"

/* One container being laid out. */
struct flow {
    struct render *r;
    struct doc *d;
    uint32_t id;
    bool yaml;
    bool trailing;     /* a comma behind the last member */
    uint32_t survivor; /* the last member that stays, NONE */
    struct edit **inserts;
    size_t insert_count;
};

/* How a line goes on behind a member. */
enum tail { TAIL_EOL, TAIL_COMMENT, TAIL_MORE };

/* Blanks and comments that end on this line; *at: the line's end, or what
 * stands there instead. */
static enum tail tail_of(const struct flow *f, size_t off, size_t *at)
{
    const struct doc *d = f->d;
    enum tail kind = TAIL_EOL;

    for (;;) {
        size_t end;

        off = skip_blanks(d, off);
        *at = off;
        if (off >= d->len || d->src[off] == '\n' || d->src[off] == '\r')
            return kind;
        if (d->src[off] == '#' && f->yaml) {
            *at = line_end(d, off);
            return TAIL_COMMENT;
        }
        if (f->yaml || d->src[off] != '/')
            return TAIL_MORE;
        end = line_end(d, off);
        if (d->src[off + 1] == '*') {
            const uint8_t *close =
                memmem(d->src + off + 2, end - off - 2, "*/", 2);

            if (!close)
                return TAIL_MORE;
            off = (size_t)(close - d->src) + 2;
            kind = TAIL_COMMENT;
            continue;
        }
        *at = end;
        return TAIL_COMMENT;
    }
}

/* Where the comma behind a member is, NONE. */
static uint32_t comma_of(const struct flow *f, uint32_t c)
{
    const struct doc_node *n = &f->d->nodes[c];
    size_t at;

    if (!f->yaml)
        return n->comma;
    at = yaml_skip(f->d, n->end);
    return at < f->d->len && f->d->src[at] == ',' ? (uint32_t)at : NONE;
}

static void remove_one(struct flow *f, uint32_t c)
{
    struct doc *d = f->d;
    uint32_t comma = comma_of(f, c);
    size_t a = d->nodes[c].from, at;
    size_t b = comma != NONE ? comma + 1 : d->nodes[c].end;
    enum tail tail = tail_of(f, b, &at);
    bool first = is_first_on_line(d, a);

    if (first && tail != TAIL_MORE) {
        a = line_start(d, a);
        b = line_next(d, at);
    } else if (first || (tail == TAIL_MORE && comma != NONE)) {
        b = skip_blanks(d, b);
    } else {
        a = skip_blanks_back(d, a);
    }
    patch_add(f->r, a, b, NULL, 0);
}

static void add_member(const struct flow *f, const struct edit *ed,
                       enum style key_style, const char *colon,
                       const char *indent, const char *unit, struct buf *b)
{
    if (ed->key && f->yaml) {
        yaml_key(b, ed->key, strlen(ed->key), true);
        buf_add_str(b, colon);
    } else if (ed->key) {
        json_key(b, ed->key, strlen(ed->key), key_style);
        buf_add_str(b, colon);
    }
    if (f->yaml)
        yaml_flow_value(b, ed->want, 0);
    else
        json_emit(b, ed->want, 0, key_style, indent, unit);
}

/* What stands between key and value in the member before, ": " if that is
 * more than blanks. */
static char *colon_of(const struct flow *f, uint32_t like)
{
    const struct doc_node *n = like == NONE ? NULL : &f->d->nodes[like];
    const char *p;
    size_t len;

    if (!n || n->key_end == NONE || n->start <= n->key_end)
        return mem_strdup(": ");
    p = (const char *)f->d->src + n->key_end;
    len = n->start - n->key_end;
    if (strspn(p, " \t") + strcspn(p, " \t") < len && memchr(p, '\n', len))
        return mem_strdup(": ");
    for (size_t i = 0; i < len; i++) {
        if (p[i] != ' ' && p[i] != '\t' && p[i] != ':')
            return mem_strdup(": ");
    }
    if (f->yaml && (len < 2 || memchr(p, ' ', len) == NULL))
        return mem_strdup(": ");
    return mem_strndup(p, len);
}

/* The key style of a member, or of any in the document. */
static enum style key_style_of(const struct flow *f, uint32_t like)
{
    if (like != NONE && f->d->nodes[like].key_end != NONE)
        return (enum style)f->d->nodes[like].key_style;
    for (size_t i = 0; i < f->d->count; i++) {
        if (f->d->nodes[i].key_end != NONE)
            return (enum style)f->d->nodes[i].key_style;
    }
    return STYLE_DOUBLE;
}

/* Line end and indentation for a member that stands like `like`. */
static char *line_like(const struct flow *f, uint32_t like)
{
    const struct doc *d = f->d;
    size_t at = d->nodes[like].from;
    struct buf b = {0};

    buf_add_str(&b, d->eol);
    add_indent_of(d, at, &b);
    /* the first member beside its bracket: the line is that of the outside */
    if (line_start(d, at) == line_start(d, d->nodes[f->id].start))
        buf_add_str(&b, indent_unit(d));
    return buf_str(&b);
}

/* A blank between members? As behind the first comma, or as behind ':'. */
static const char *gap_of(const struct flow *f, const char *colon)
{
    const struct doc_node *n = &f->d->nodes[f->id];
    uint32_t comma = n->count > 1 ? comma_of(f, n->first) : NONE;
    uint8_t next = comma == NONE ? 0 : f->d->src[comma + 1];

    if (comma != NONE && next != '\n' && next != '\r')
        return next == ' ' || next == '\t' ? " " : "";
    return colon[strlen(colon) - 1] == ' ' ? " " : "";
}

/* New members behind `like`, which stays or has become the first of them
 * (`skip` 1). */
static void append_members(struct flow *f, uint32_t like, size_t skip)
{
    struct doc *d = f->d;
    uint32_t comma = comma_of(f, like);
    size_t anchor = comma != NONE ? comma + 1 : d->nodes[like].end, at;
    bool own_line = tail_of(f, anchor, &at) != TAIL_MORE;
    enum style style = key_style_of(f, like);
    char *colon = colon_of(f, like), *indent = line_like(f, like);
    const char *gap = gap_of(f, colon);
    struct buf b = {0};

    if (skip >= f->insert_count)
        goto out;
    if (comma == NONE && own_line)
        patch_add(f->r, anchor, anchor, ",", 1);
    else if (comma == NONE)
        buf_add_byte(&b, ',');
    for (size_t i = skip; i < f->insert_count; i++) {
        if (i > skip)
            buf_add_byte(&b, ',');
        buf_add_str(&b, own_line ? indent : gap);
        add_member(f, f->inserts[i], style, colon, own_line ? indent : NULL,
                   indent_unit(d), &b);
    }
    if (f->trailing)
        buf_add_byte(&b, ',');
    patch_take(f->r, own_line ? at : anchor, own_line ? at : anchor, &b);
out:
    free(colon);
    free(indent);
}

/* The last member's place for the first new one: all others go. */
static void replace_last(struct flow *f)
{
    struct doc *d = f->d;
    uint32_t last = d->nodes[f->id].last;
    enum style style = key_style_of(f, last);
    char *colon = colon_of(f, last), *indent = line_like(f, last);
    bool own_line = is_first_on_line(d, d->nodes[last].from);
    struct buf b = {0};

    add_member(f, f->inserts[0], style, colon, own_line ? indent : NULL,
               indent_unit(d), &b);
    patch_take(f->r, d->nodes[last].from, d->nodes[last].end, &b);
    free(colon);
    free(indent);
}

/* Are the members around this empty container on lines of their own? */
static bool is_spread(const struct flow *f)
{
    const struct doc *d = f->d;

    if (f->yaml || d->format == DOC_JSONL)
        return false;
    return memchr(d->src, '\n', d->len) != NULL &&
           is_first_on_line(d, d->nodes[f->id].from);
}

/* Members for a container that has none: between the brackets, or behind the
 * comments that are there. */
static void fill_empty(struct flow *f)
{
    struct doc *d = f->d;
    size_t open = d->nodes[f->id].start + 1, close = d->nodes[f->id].end - 1;
    bool bare = true, spread = is_spread(f);
    enum style style = key_style_of(f, NONE);
    struct buf outer = {0}, inner = {0}, b = {0};

    for (size_t i = open; i < close; i++)
        bare = bare && strchr(" \t\r\n", d->src[i]) != NULL;
    if (!bare)
        spread = is_first_on_line(d, close);
    buf_add_str(&outer, d->eol);
    add_indent_of(d, bare ? open : close, &outer);
    buf_add(&inner, outer.data, outer.len);
    buf_add_str(&inner, indent_unit(d));
    for (size_t i = 0; i < f->insert_count; i++) {
        if (i > 0)
            buf_add_str(&b, spread ? "," : ", ");
        if (spread)
            buf_add_str(&b, buf_str(&inner));
        else if (i == 0 && !bare)
            buf_add_byte(&b, ' ');
        add_member(f, f->inserts[i], style, ": ",
                   spread ? buf_str(&inner) : NULL, indent_unit(d), &b);
    }
    if (spread && bare)
        buf_add(&b, outer.data, outer.len);
    if (bare) {
        patch_take(f->r, open, close, &b);
    } else if (spread) {
        /* behind the last comment's line */
        size_t at = line_start(d, close);

        at -=
            at >= 2 && d->src[at - 1] == '\n' && d->src[at - 2] == '\r' ? 2 : 1;
        patch_take(f->r, at, at, &b);
    } else {
        patch_take(f->r, close, close, &b);
    }
    buf_wipe(&outer);
    buf_wipe(&inner);
}

static void lay_out(struct flow *f)
{
    struct doc *d = f->d;
    const struct doc_node *n = &d->nodes[f->id];
    uint32_t slot = NONE;

    f->survivor = NONE;
    for (uint32_t c = n->first; c != NONE; c = d->nodes[c].next) {
        if (!d->nodes[c].gone)
            f->survivor = c;
    }
    f->trailing = n->last != NONE && comma_of(f, n->last) != NONE;
    if (n->last == NONE) {
        fill_empty(f);
        return;
    }
    if (f->survivor == NONE && f->insert_count)
        slot = n->last;
    for (uint32_t c = n->first; c != NONE; c = d->nodes[c].next) {
        if (d->nodes[c].gone && c != slot)
            remove_one(f, c);
    }
    if (slot != NONE)
        replace_last(f);
    if (f->insert_count) {
        append_members(f, slot != NONE ? slot : f->survivor, slot != NONE);
    } else if (f->survivor != NONE && f->survivor != n->last && !f->trailing) {
        uint32_t comma = comma_of(f, f->survivor);

        patch_add(f->r, comma, comma + 1, NULL, 0);
    }
}

int flow_lay_out(struct render *r, uint32_t container, bool yaml)
{
    struct flow f = {.r = r, .d = r->d, .id = container, .yaml = yaml};
    struct edit *ed;
    size_t i = 0, cap = 0;

    while ((ed = next_insert(r->d, container, &i)) != NULL) {
        f.inserts = mem_grow(f.inserts, &cap, f.insert_count + 1,
                             sizeof(struct edit *));
        f.inserts[f.insert_count++] = ed;
    }
    lay_out(&f);
    free(f.inserts);
    return 0;
}
