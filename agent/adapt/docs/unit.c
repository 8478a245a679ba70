/* SPDX-License-Identifier: MIT */
/* systemd units (systemd.syntax(7), systemd.service(5)): sections of
 * `key=value` lines that a backslash carries on; words with quotes and C
 * escapes in Exec lines, Environment= and lists of paths. The tree is
 * section / key / line / word, so a section or key that comes again goes on
 * where it began. */
#include "agent/adapt/docs/unit_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"

#define UNIT_KEYS_MAX 4096 /* of one section, and sections */

enum words unit_words(const char *key)
{
    static const char *const paths[] = {
        "ReadWritePaths",      "ReadOnlyPaths",
        "InaccessiblePaths",   "ExecPaths",
        "NoExecPaths",         "BindPaths",
        "BindReadOnlyPaths",   "PassEnvironment",
        "UnsetEnvironment",    "ReadWriteDirectories",
        "ReadOnlyDirectories",
    };

    if (strcmp(key, "Environment") == 0)
        return WORDS_ENV;
    if (strncmp(key, "Exec", 4) == 0 && strcmp(key, "ExecPaths") != 0 &&
        strcmp(key, "ExecSearchPath") != 0)
        return WORDS_EXEC;
    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        if (strcmp(key, paths[i]) == 0)
            return WORDS_PATHS;
    }
    return WORDS_NONE;
}

static void logical_add(struct logical *l, uint8_t c, size_t from)
{
    l->from = mem_grow(l->from, &l->cap, l->text.len + 1, sizeof(*l->from));
    l->from[l->text.len] = (uint32_t)from;
    buf_add_byte(&l->text, c);
}

static bool is_comment(const struct doc *d, size_t at)
{
    return d->src[at] == '#' || d->src[at] == ';';
}

/* The line at `at` and those it goes on to; comments between are not part of
 * it. */
static void read_logical(const struct doc *d, size_t at, struct logical *l)
{
    bool more = true;

    buf_clear(&l->text);
    while (more && at < d->len) {
        size_t end = line_end(d, at), p = skip_blanks(d, at);

        l->next = line_next(d, at);
        at = l->next;
        if (l->text.len && p < end && is_comment(d, p))
            continue;
        more = false;
        for (; p < end; p++) {
            bool escape = d->src[p] == '\\';

            if (escape && p + 1 == end) {
                logical_add(l, ' ', p);
                more = true;
                break;
            }
            logical_add(l, d->src[p], p);
            if (escape) {
                p++;
                logical_add(l, d->src[p], p);
            }
        }
    }
    l->goes_on = more;
    while (l->text.len && strchr(" \t", l->text.data[l->text.len - 1]))
        l->text.len--;
    buf_str(&l->text);
}

/* The section or key at `at`; false for empty lines and comments. */
bool unit_read_entry(const struct doc *d, size_t at, struct logical *l)
{
    size_t p = skip_blanks(d, at);

    l->next = line_next(d, at);
    if (p == line_end(d, at) || is_comment(d, p))
        return false;
    read_logical(d, at, l);
    return l->text.len > 0;
}

/* %% and (in Exec lines) $$ as the one character they mean. */
static void add_decoded(struct buf *b, const char *p, size_t len, bool exec)
{
    for (size_t i = 0; i < len; i++) {
        buf_add_byte(b, (uint8_t)p[i]);
        if ((p[i] == '%' || (exec && p[i] == '$')) && i + 1 < len &&
            p[i + 1] == p[i])
            i++;
    }
}

static uint32_t add_value(struct doc *d, uint32_t parent, enum doc_type type,
                          size_t start, size_t end, struct error *e)
{
    uint32_t id = doc_add(d, parent, e);
    struct doc_node *n;

    if (id == NONE)
        return NONE;
    n = &d->nodes[id];
    n->type = (uint8_t)type;
    n->from = n->start = (uint32_t)start;
    n->end = (uint32_t)end;
    n->line = doc_line_at(d, start);
    return id;
}

static void take_c_escape(const struct logical *l, size_t *at, struct buf *b)
{
    static const char from[] = "abfnrtvs\\\"'", to[] = "\a\b\f\n\r\t\v \\\"'";
    const char *p = (const char *)l->text.data + *at + 1;
    size_t left = l->text.len - *at - 1, digits = 2, base = 16, skip = 1;
    const char *known = left && *p ? strchr(from, *p) : NULL;
    char number[9], *end;
    unsigned long v;

    if (known) {
        buf_add_byte(b, (uint8_t)to[known - from]);
        *at += 2;
        return;
    }
    if (left && *p >= '0' && *p <= '7') {
        digits = 3;
        base = 8;
        skip = 0;
    } else if (left && (*p == 'u' || *p == 'U')) {
        digits = *p == 'u' ? 4 : 8;
    } else if (!left || *p != 'x') {
        digits = 0;
    }
    if (digits && left >= skip + digits) {
        memcpy(number, p + skip, digits);
        number[digits] = 0;
        v = strtoul(number, &end, (int)base);
        if (!*end && number[0] != '-' && number[0] != '+' && number[0] != ' ' &&
            v && v <= (digits < 4 ? 0xff : 0x10ffff)) {
            if (digits < 4)
                buf_add_byte(b, (uint8_t)v);
            else
                utf8_put(b, (uint32_t)v);
            *at += 1 + skip + digits;
            return;
        }
    }
    /* unknown: systemd refuses the line, here it stays as it is */
    buf_add_byte(b, '\\');
    (*at)++;
    if (left) {
        buf_add_byte(b, (uint8_t)*p);
        (*at)++;
    }
}

/* The word at *at into `b`, quotes and escapes taken off; *at moves behind
 * it. False: a quote is never closed. */
static bool take_word(const struct logical *l, size_t *at, enum style *style,
                      struct buf *b)
{
    const char *p = (const char *)l->text.data;
    size_t from = *at, closed = 0;
    char quote = 0;

    *style = STYLE_BARE;
    while (*at < l->text.len) {
        char c = p[*at];

        if (c == '\\') {
            take_c_escape(l, at, b);
            continue;
        }
        if (quote ? c == quote : (c == '"' || c == '\'')) {
            if (*at == from)
                *style = c == '"' ? STYLE_DOUBLE : STYLE_SINGLE;
            closed = quote ? *at + 1 : closed;
            quote = quote ? 0 : c;
            (*at)++;
            continue;
        }
        if (!quote && (c == ' ' || c == '\t'))
            break;
        buf_add_byte(b, (uint8_t)c);
        (*at)++;
    }
    if (closed != *at)
        *style = STYLE_BARE;
    return quote == 0;
}

/* One word as a child of its line. `text` is decoded but for % and $. */
static int add_word(struct doc *d, uint32_t line, enum words kind,
                    const struct logical *l, size_t from, size_t a, size_t b,
                    enum style style, const struct buf *text, struct error *e)
{
    const char *p = (const char *)text->data;
    const char *equal =
        kind == WORDS_ENV && text->len ? memchr(p, '=', text->len) : NULL;
    size_t skip = equal ? (size_t)(equal - p) + 1 : 0;
    struct buf value = {0};
    uint32_t id =
        add_value(d, line, DOC_STRING, l->from[a], l->from[b - 1] + 1, e);

    if (id == NONE)
        return OCM_E_LIMIT;
    d->nodes[id].from = l->from[from];
    d->nodes[id].style = (uint8_t)style;
    if (equal)
        doc_node_key(d, id, p, skip - 1);
    add_decoded(&value, p + skip, text->len - skip, kind == WORDS_EXEC);
    doc_node_text(d, id, value.data, value.len);
    buf_wipe(&value);
    return 0;
}

/* Signs before a command or path that are not part of it: they stay out of
 * the span. */
size_t unit_sign_len(enum words kind, const char *p, size_t index)
{
    if (kind == WORDS_EXEC && index == 0)
        return strspn(p, "-@:+!|");
    return kind == WORDS_PATHS ? strspn(p, "-+") : 0;
}

static int add_words(struct doc *d, uint32_t line, enum words kind,
                     const struct logical *l, size_t at, struct error *e)
{
    const char *p = (const char *)l->text.data;
    struct buf text = {0};
    int rc = 0;

    for (size_t index = 0; rc == 0; index++) {
        enum style style;
        size_t from, a;

        while (at < l->text.len && (p[at] == ' ' || p[at] == '\t'))
            at++;
        if (at >= l->text.len)
            break;
        from = at;
        at += unit_sign_len(kind, p + at, index);
        a = at;
        buf_clear(&text);
        buf_reserve(&text, 1);
        if (!take_word(l, &at, &style, &text))
            rc = doc_error_at(d, l->from[a], e, OCM_E_INVALID,
                              "the quote is never closed");
        else if (at > a)
            rc = add_word(d, line, kind, l, from, a, at, style, &text, e);
    }
    buf_wipe(&text);
    return rc;
}

/* The child `key` of `up`, made when it is new. */
static uint32_t group(struct doc *d, uint32_t up, enum doc_type type,
                      const char *key, size_t len, size_t start, size_t end,
                      struct error *e)
{
    uint32_t id = doc_child(d, up, key, len);

    if (id != NONE)
        return id;
    if (d->nodes[up].count >= UNIT_KEYS_MAX) {
        error_set(e, OCM_E_LIMIT, "more than %d keys", UNIT_KEYS_MAX);
        return NONE;
    }
    id = add_value(d, up, type, start, end, e);
    if (id != NONE)
        doc_node_key(d, id, key, len);
    return id;
}

/* key=value at the logical line `l`. */
static int add_line(struct doc *d, uint32_t section, const struct logical *l,
                    struct error *e)
{
    const char *p = (const char *)l->text.data;
    size_t key = strcspn(p, "="), value = key + 1, last = l->text.len;
    size_t from = l->from[0], start, end;
    struct buf text = {0};
    uint32_t list, id;
    enum words kind;
    int rc = 0;

    while (key > 0 && (p[key - 1] == ' ' || p[key - 1] == '\t'))
        key--;
    while (value < last && (p[value] == ' ' || p[value] == '\t'))
        value++;
    list = group(d, section, DOC_ARRAY, p, key, from, from + key, e);
    if (list == NONE)
        return OCM_E_LIMIT;
    kind = unit_words(d->nodes[list].key);
    /* `EnvironmentFile=-path`: may be missing */
    if (strcmp(d->nodes[list].key, "EnvironmentFile") == 0 && p[value] == '-')
        value++;
    end = l->from[last - 1] + 1;
    start = value < last ? l->from[value] : end;
    id = add_value(d, list,
                   kind == WORDS_ENV    ? DOC_OBJECT
                   : kind != WORDS_NONE ? DOC_ARRAY
                                        : DOC_STRING,
                   start, end, e);
    if (id == NONE)
        return OCM_E_LIMIT;
    d->nodes[id].from = (uint32_t)from;
    d->nodes[id].line = doc_line_at(d, from);
    d->nodes[id].behind = (uint32_t)l->next;
    if (kind != WORDS_NONE)
        return add_words(d, id, kind, l, value, e);
    add_decoded(&text, p + value, last > value ? last - value : 0, false);
    doc_node_text(d, id, text.data, text.len);
    buf_wipe(&text);
    return rc;
}

static int unit_parse(struct doc *d, struct error *e)
{
    uint32_t root = doc_add(d, NONE, e), section = NONE;
    struct logical l = {0};
    int rc = 0;

    d->nodes[root].type = DOC_OBJECT;
    d->nodes[root].end = (uint32_t)d->len;
    d->nodes[root].line = 1;
    for (size_t at = d->body; at < d->len && rc == 0; at = l.next) {
        size_t p = skip_blanks(d, at);
        const char *s;

        if (!unit_read_entry(d, at, &l))
            continue;
        d->goes_on = l.goes_on;
        s = (const char *)l.text.data;
        if (s[0] == '[') {
            if (l.text.len < 3 || s[l.text.len - 1] != ']' ||
                l.next != line_next(d, at))
                rc = doc_error_at(d, p, e, OCM_E_INVALID,
                                  "the name of a section ends with ']'");
            else
                section = group(d, root, DOC_OBJECT, s + 1, l.text.len - 2, p,
                                l.from[l.text.len - 1] + 1, e);
            if (rc == 0 && section == NONE)
                rc = OCM_E_LIMIT;
        } else if (s[0] == '=' || !memchr(s, '=', l.text.len)) {
            rc = doc_error_at(d, p, e, OCM_E_INVALID, "no key=value");
        } else if (section == NONE) {
            rc = doc_error_at(d, p, e, OCM_E_INVALID,
                              "a key before the first [section]");
        } else {
            rc = add_line(d, section, &l, e);
        }
    }
    free(l.from);
    buf_wipe(&l.text);
    return rc;
}

const struct doc_ops unit_ops = {
    .name = "a unit",
    .max = DOC_CONFIG_MAX_BYTES,
    .parse = unit_parse,
    .encode = unit_encode,
    .may_remove = unit_may_remove,
    .insert = unit_insert,
    .lay_out = unit_lay_out,
};
