/* SPDX-License-Identifier: MIT */
/* Paths of values: written, followed, and matched against patterns. */
#include "agent/adapt/docs/doc_internal.h"

#include <string.h>

#include "common/base/text.h"

enum seg_kind {
    SEG_END,
    SEG_KEY,
    SEG_INDEX,     /* [3] */
    SEG_ANY_INDEX, /* [] or [*] */
    SEG_ANY,       /* * */
    SEG_DEEP,      /* ** */
    SEG_BROKEN,
};

/* A segment of a path or pattern, borrowed from it. */
struct seg {
    enum seg_kind kind;
    const char *p, *end; /* of a key; quoted: between the quotes */
    bool quoted;
    uint32_t index;
};

static bool needs_quotes(const char *key, size_t len)
{
    if (len == 0)
        return true;
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)key[i];

        if (c <= ' ' || c == 0x7f || strchr(".[]\"*\\", c))
            return true;
    }
    return false;
}

void path_add_key(struct buf *path, const char *key, size_t len)
{
    if (!needs_quotes(key, len)) {
        if (path->len)
            buf_add_byte(path, '.');
        buf_add(path, key, len);
        return;
    }
    buf_add_str(path, "[\"");
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)key[i];

        if (c == '"' || c == '\\')
            buf_add_byte(path, '\\');
        if (c < ' ')
            buf_printf(path, "\\u%04x", c);
        else
            buf_add_byte(path, c);
    }
    buf_add_str(path, "\"]");
}

/* "line 4 env PATH": the name is never quoted, names of variables hold
 * nothing that a path has a use for. */
static void add_line(const struct doc_node *n, struct buf *path)
{
    static const char *const names[] = {"", " schedule", " user", " env "};

    buf_printf(path, "line %u%s", n->line, names[n->part]);
    if (n->part == PART_ENV)
        buf_add(path, n->key, n->key_len);
}

void path_add(const struct doc *d, uint32_t node, struct buf *path)
{
    const struct doc_node *n = &d->nodes[node];

    if (n->parent == NONE)
        return;
    if (n->part != PART_NONE)
        add_line(n, path);
    else if (n->key)
        path_add_key(path, n->key, n->key_len);
    else
        buf_printf(path, "[%u]", n->index);
}

void path_of(const struct doc *d, uint32_t node, struct buf *path)
{
    uint32_t chain[DOC_DEPTH_MAX + 8];
    size_t depth = 0;

    for (uint32_t n = node; n != NONE; n = d->nodes[n].parent)
        chain[depth++] = n;
    while (depth-- > 0)
        path_add(d, chain[depth], path);
}

static bool take_bracket(const char **at, struct seg *s)
{
    const char *p = *at + 1;

    if (*p == '"') {
        s->kind = SEG_KEY;
        s->quoted = true;
        s->p = ++p;
        while (*p && *p != '"')
            p += *p == '\\' && p[1] ? 2 : 1;
        s->end = p;
        if (*p != '"' || p[1] != ']')
            return false;
        *at = p + 2;
        return true;
    }
    if (*p == ']' || (*p == '*' && p[1] == ']')) {
        s->kind = SEG_ANY_INDEX;
        *at = p + (*p == ']' ? 1 : 2);
        return true;
    }
    s->kind = SEG_INDEX;
    s->index = 0;
    if (*p < '0' || *p > '9')
        return false;
    for (; *p >= '0' && *p <= '9'; p++) {
        if (s->index > (NONE - 10) / 10)
            return false;
        s->index = s->index * 10 + (uint32_t)(*p - '0');
    }
    *at = p + 1;
    return *p == ']';
}

/* The segment at *at, which moves behind it and behind a dot. */
static struct seg take_seg(const char **at)
{
    struct seg s = {.kind = SEG_END};
    const char *p = *at;

    if (!*p)
        return s;
    if (*p == '[') {
        if (!take_bracket(at, &s)) {
            s.kind = SEG_BROKEN;
            return s;
        }
    } else {
        s.kind = SEG_KEY;
        s.p = p;
        while (*p && *p != '.' && *p != '[')
            p++;
        s.end = p;
        if (s.end - s.p == 1 && *s.p == '*')
            s.kind = SEG_ANY;
        if (s.end - s.p == 2 && strncmp(s.p, "**", 2) == 0)
            s.kind = SEG_DEEP;
        *at = p;
    }
    if (**at == '.')
        (*at)++;
    return s;
}

/* The next decoded byte of a key; -1 at its end. */
static int next_char(struct seg *s)
{
    uint8_t byte;

    if (s->p >= s->end)
        return -1;
    if (s->quoted && *s->p == '\\' && s->end - s->p >= 2) {
        if (s->p[1] == 'u' && s->end - s->p >= 6 &&
            hex_decode(s->p + 4, 2, &byte, 1)) {
            s->p += 6;
            return byte;
        }
        s->p++;
    }
    return (unsigned char)*s->p++;
}

/* Key against key; a `*` of a pattern without quotes fits any part. */
static bool key_fits(struct seg pattern, struct seg key)
{
    struct seg star = {.kind = SEG_END}, retry = key;
    bool has_star = false;

    for (;;) {
        struct seg before = pattern;
        int p = next_char(&pattern), k;

        if (p == '*' && !before.quoted) {
            has_star = true;
            star = pattern;
            retry = key;
            continue;
        }
        k = next_char(&key);
        if (p == k) {
            if (p == -1)
                return true;
            continue;
        }
        if (!has_star || k == -1)
            return false;
        next_char(&retry);
        key = retry;
        pattern = star;
    }
}

static bool seg_fits(struct seg pattern, struct seg s)
{
    switch (pattern.kind) {
    case SEG_ANY:
        return true;
    case SEG_ANY_INDEX:
        return s.kind == SEG_INDEX;
    case SEG_INDEX:
        return s.kind == SEG_INDEX && s.index == pattern.index;
    case SEG_KEY:
        return s.kind == SEG_KEY && key_fits(pattern, s);
    default:
        return false;
    }
}

bool doc_pattern_match(const char *pattern, const char *path)
{
    const char *deep = NULL, *retry = NULL;

    for (;;) {
        const char *before = path;
        struct seg p = take_seg(&pattern), s;

        if (p.kind == SEG_DEEP) {
            deep = pattern;
            retry = path;
            continue;
        }
        s = take_seg(&path);
        if (p.kind == SEG_BROKEN || s.kind == SEG_BROKEN)
            return false;
        if (p.kind == SEG_END && s.kind == SEG_END)
            return true;
        if (p.kind != SEG_END && s.kind != SEG_END && seg_fits(p, s))
            continue;
        /* `**` takes one segment more */
        if (!deep || !*before || !*retry)
            return false;
        take_seg(&retry);
        path = retry;
        pattern = deep;
    }
}

/* A `*` in a path is written in quotes, so a bare one finds nothing. */
static bool child_fits(const struct doc *d, const struct doc_node *c,
                       struct seg s)
{
    struct buf name = {0};
    struct seg own = {.kind = SEG_KEY};
    bool fits;

    (void)d;
    if (s.kind == SEG_INDEX)
        return c->part == PART_NONE && !c->key && c->index == s.index;
    if (s.kind != SEG_KEY)
        return false;
    if (c->part == PART_NONE) {
        if (!c->key)
            return false;
        own.p = c->key;
        own.end = c->key + c->key_len;
        own.quoted = false;
        for (;;) {
            int a = next_char(&own), b = next_char(&s);

            if (a != b)
                return false;
            if (a == -1)
                return true;
        }
    }
    add_line(c, &name);
    fits = name.len == (size_t)(s.end - s.p) &&
           memcmp(name.data, s.p, name.len) == 0;
    buf_free(&name);
    return fits;
}

uint32_t path_find(const struct doc *d, const char *path)
{
    uint32_t at = 0;

    for (;;) {
        struct seg s = take_seg(&path);
        uint32_t found = NONE;

        if (s.kind == SEG_END)
            return at;
        for (uint32_t c = d->nodes[at].first; c != NONE; c = d->nodes[c].next) {
            if (!child_fits(d, &d->nodes[c], s))
                continue;
            /* of an env file's repeated names the last one counts */
            found = c;
            if (d->format != DOC_ENV && d->format != DOC_ENV_SYSTEMD)
                break;
        }
        if (found == NONE)
            return NONE;
        at = found;
    }
}
