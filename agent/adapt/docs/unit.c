/* SPDX-License-Identifier: MIT */
/* systemd units (systemd.syntax(7), systemd.service(5)): sections of
 * `key=value` lines that a backslash carries on; words with quotes and C
 * escapes in Exec lines, Environment= and lists of paths. The tree is
 * section / key / line / word, so a section or key that comes again goes on
 * where it began. */
#include "agent/adapt/docs/doc_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"

#define UNIT_KEYS_MAX 4096 /* of one section, and sections */

/* A value without its continuations, and where its bytes come from. */
struct logical {
    struct buf text;
    uint32_t *from; /* offset of each byte */
    size_t cap;
    size_t next;  /* the line behind it */
    bool goes_on; /* the source ended before it did */
};

enum words { WORDS_NONE, WORDS_EXEC, WORDS_ENV, WORDS_PATHS };

static enum words words_of(const char *key)
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
static bool read_entry(const struct doc *d, size_t at, struct logical *l)
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
    buf_add_byte(b, '\\');
    (*at)++;
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
static size_t sign_len(enum words kind, const char *p, size_t index)
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
        at += sign_len(kind, p + at, index);
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
    kind = words_of(d->nodes[list].key);
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

        if (!read_entry(d, at, &l))
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

/* --- writing --------------------------------------------------------------- */

/* Is the % or $ at `p` (before `end`) a live one of the old value? */
static bool stays(const struct doc *d, const struct doc_node *n, const char *p,
                  const char *end)
{
    if (p + 1 >= end)
        return false;
    for (size_t i = n->start; i + 1 < n->end; i++) {
        if (d->src[i] != (uint8_t)*p)
            continue;
        if (d->src[i + 1] == d->src[i])
            i++;
        else if (*p == '$' || d->src[i + 1] == (uint8_t)p[1])
            return true;
    }
    return false;
}

/* The text with % and $ doubled where they are meant as themselves. */
static void double_signs(const struct doc *d, const struct doc_node *n,
                         bool exec, const char *p, size_t len, struct buf *b)
{
    for (size_t i = 0; i < len; i++) {
        buf_add_byte(b, (uint8_t)p[i]);
        if ((p[i] == '%' || (exec && p[i] == '$')) &&
            !(n && stays(d, n, p + i, p + len)))
            buf_add_byte(b, (uint8_t)p[i]);
    }
}

static void put_word(enum style style, const char *p, size_t len, struct buf *b)
{
    char quote = style == STYLE_SINGLE ? '\'' : '"';
    bool bare = style == STYLE_BARE && len > 0;

    for (size_t i = 0; i < len; i++)
        bare = bare && (unsigned char)p[i] > ' ' && p[i] != 0x7f &&
               !strchr("\"'\\", p[i]);
    /* a lone ; would end the command */
    if (bare && !(len == 1 && *p == ';')) {
        buf_add(b, p, len);
        return;
    }
    buf_add_byte(b, (uint8_t)quote);
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)p[i];

        if (c == (unsigned char)quote || c == '\\')
            buf_add_byte(b, '\\');
        if (c == '\n')
            buf_add_str(b, "\\n");
        else if (c < ' ' || c == 0x7f)
            buf_printf(b, "\\x%02x", c);
        else
            buf_add_byte(b, c);
    }
    buf_add_byte(b, (uint8_t)quote);
}

static int unit_encode(struct doc *d, const struct doc_node *n, struct edit *ed,
                       struct error *e)
{
    const struct doc_node *up = &d->nodes[n->parent];
    /* section / key / line / word: a line's parent has a key itself */
    bool word = up->key == NULL;
    enum words kind = WORDS_NONE;
    struct buf text = {0};

    ed->start = n->start;
    ed->end = n->end;
    if (word)
        kind = words_of(d->nodes[up->parent].key);
    /* it would be read as a sign, quoted or not */
    if (ed->len &&
        (word ? sign_len(kind, ed->text, n->index) != 0
              : strcmp(up->key, "EnvironmentFile") == 0 && *ed->text == '-'))
        return error_set(e, OCM_E_UNSUPPORTED,
                         "line %u: this value may not begin with '%c'", n->line,
                         *ed->text);
    if (word && n->key)
        buf_printf(&text, "%s=", n->key);
    double_signs(d, n, kind == WORDS_EXEC, ed->text, ed->len, &text);
    if (word) {
        put_word((enum style)n->style, (const char *)text.data, text.len,
                 &ed->bytes);
    } else if (text.len && (strcspn(buf_str(&text), "\r\n") < text.len ||
                            strchr(" \t", text.data[0]) ||
                            strchr(" \t\\", text.data[text.len - 1]))) {
        buf_wipe(&text);
        return error_set(e, OCM_E_UNSUPPORTED,
                         "line %u: a unit has no way to write this value",
                         n->line);
    } else {
        buf_add(&ed->bytes, text.data, text.len);
    }
    buf_wipe(&text);
    return 0;
}

/* The words of an inserted array, or NAME=value ones of an object. */
static int add_json_words(const struct doc *json, bool exec, struct buf *b,
                          struct error *e)
{
    const struct doc_node *root = &json->nodes[0];

    for (uint32_t c = root->first; c != NONE; c = json->nodes[c].next) {
        const struct doc_node *n = &json->nodes[c];
        struct buf word = {0};

        if (n->type == DOC_OBJECT || n->type == DOC_ARRAY ||
            memchr(n->text, 0, n->len))
            return error_set(e, OCM_E_INVALID, "a word must be a text");
        if (c != root->first)
            buf_add_byte(b, ' ');
        if (n->key)
            buf_printf(&word, "%s=", n->key);
        double_signs(json, NULL, exec, n->text, n->len, &word);
        put_word(STYLE_BARE, (const char *)word.data, word.len, b);
        buf_wipe(&word);
    }
    return 0;
}

static int unit_insert(struct doc *d, struct edit *ed, struct doc **json,
                       struct error *e)
{
    const char *section = ed->section ? ed->section : d->nodes[ed->node].key;
    const struct doc_node *v = &(*json)->nodes[0];
    struct buf whole = {0};
    int rc = 0;

    if (!section || !*section || section[strcspn(section, "[].\"\r\n")] ||
        (ed->node != NONE && d->nodes[ed->node].parent != 0))
        return error_set(e, OCM_E_NOTFOUND,
                         "a unit takes new keys in a section");
    if (!ed->key || !*ed->key || ed->key[strcspn(ed->key, "=\r\n [#;")])
        return error_set(e, OCM_E_INVALID, "'%s' is no key of a unit",
                         ed->key ? ed->key : "");
    buf_printf(&ed->bytes, "%s=", ed->key);
    if (v->type == DOC_OBJECT || v->type == DOC_ARRAY)
        rc = add_json_words(*json, words_of(ed->key) == WORDS_EXEC, &ed->bytes,
                            e);
    else if (v->type != DOC_NULL)
        buf_add(&ed->bytes, v->text, v->len);
    if (rc == 0 && (memchr(ed->bytes.data, '\n', ed->bytes.len) ||
                    memchr(ed->bytes.data, '\r', ed->bytes.len) ||
                    memchr(ed->bytes.data, 0, ed->bytes.len) ||
                    ed->bytes.data[ed->bytes.len - 1] == '\\'))
        rc = error_set(e, OCM_E_UNSUPPORTED,
                       "a unit has no way to write this line");
    if (rc == 0) {
        buf_printf(&whole, "[%s]\n", section);
        buf_add(&whole, ed->bytes.data, ed->bytes.len);
        rc = doc_parse(DOC_UNIT, whole.data, whole.len, &ed->want, e);
    }
    buf_wipe(&whole);
    return rc;
}

/* --- layout ---------------------------------------------------------------- */

static void remove_line(struct render *r, uint32_t line)
{
    const struct doc *d = r->d;

    patch_add(r, line_start(d, d->nodes[line].from), d->nodes[line].behind,
              NULL, 0);
}

static void remove_list(struct render *r, uint32_t list)
{
    for (uint32_t c = r->d->nodes[list].first; c != NONE;
         c = r->d->nodes[c].next)
        remove_line(r, c);
}

/* Every part of the file under a header of this name. */
static void remove_section(struct render *r, uint32_t section)
{
    const struct doc *d = r->d;
    const struct doc_node *n = &d->nodes[section];
    struct logical l = {0};
    bool inside = false;
    size_t from = 0, at = d->body;

    for (; at < d->len; at = l.next) {
        if (!read_entry(d, at, &l) || l.text.data[0] != '[')
            continue;
        if (inside)
            patch_add(r, from, at, NULL, 0);
        inside = l.text.len == n->key_len + 2 &&
                 memcmp(l.text.data + 1, n->key, n->key_len) == 0;
        from = at;
    }
    if (inside)
        patch_add(r, from, d->len, NULL, 0);
    free(l.from);
    buf_wipe(&l.text);
}

static void remove_words(struct render *r, uint32_t line)
{
    const struct doc *d = r->d;
    bool any = false, kept = false;

    for (uint32_t c = d->nodes[line].first; c != NONE; c = d->nodes[c].next)
        any = any || !d->nodes[c].gone;
    if (!any) { /* an empty value would reset the lines before */
        remove_line(r, line);
        return;
    }
    for (uint32_t c = d->nodes[line].first; c != NONE; c = d->nodes[c].next) {
        size_t a = d->nodes[c].from, b = d->nodes[c].end;

        if (!d->nodes[c].gone) {
            kept = true;
            continue;
        }
        if (kept)
            a = skip_blanks_back(d, a);
        else
            b = skip_blanks(d, b);
        patch_add(r, a, b, NULL, 0);
    }
}

static uint32_t last_line(const struct doc *d, uint32_t list)
{
    uint32_t last = NONE;

    for (uint32_t c = d->nodes[list].first; c != NONE; c = d->nodes[c].next) {
        if (!doc_is_gone(d, c))
            last = c;
    }
    return last;
}

/* The line a new one of `key` goes behind: the last of that key, else the
 * last of the section; NONE: its header. */
static uint32_t line_before(const struct doc *d, uint32_t section,
                            const char *key)
{
    uint32_t list = doc_child(d, section, key, strlen(key)), best = NONE;

    if (list != NONE)
        best = last_line(d, list);
    if (best != NONE)
        return best;
    for (uint32_t c = d->nodes[section].first; c != NONE;
         c = d->nodes[c].next) {
        uint32_t last = last_line(d, c);

        if (last != NONE &&
            (best == NONE || d->nodes[last].from > d->nodes[best].from))
            best = last;
    }
    return best;
}

static void put_line(struct render *r, size_t behind, const struct edit *ed)
{
    struct buf b = {0};

    buf_add(&b, ed->bytes.data, ed->bytes.len);
    lines_put(r, behind, &b);
}

/* Sections that are not there yet, at the end. */
static void put_sections(struct render *r)
{
    struct doc *d = r->d;
    const char *section = NULL;
    const struct edit *ed;
    struct buf b = {0};
    size_t i = 0;

    if (d->len > d->body && d->src[d->len - 1] != '\n' &&
        d->src[d->len - 1] != '\r')
        buf_add_str(&b, d->eol);
    while ((ed = next_insert(d, NONE, &i)) != NULL) {
        if (!section || strcmp(section, ed->section) != 0) {
            if (section || d->len > d->body)
                buf_add_str(&b, d->eol);
            buf_printf(&b, "[%s]%s", ed->section, d->eol);
        }
        section = ed->section;
        buf_add(&b, ed->bytes.data, ed->bytes.len);
        buf_add_str(&b, d->eol);
    }
    patch_take(r, d->len, d->len, &b);
}

static int unit_may_remove(struct doc *d, uint32_t id, struct error *e)
{
    const struct doc_node *n = &d->nodes[id], *up = &d->nodes[n->parent];

    if (up->key == NULL && up->parent != NONE && n->index == 0 &&
        up->count > 1 && words_of(d->nodes[up->parent].key) == WORDS_EXEC)
        return error_set(e, OCM_E_UNSUPPORTED,
                         "line %u: the program of a command cannot be removed",
                         n->line);
    return 0;
}

static int unit_lay_out(struct render *r, uint32_t container, struct error *e)
{
    struct doc *d = r->d;
    const struct edit *ed;
    size_t i = 0;
    bool words;

    (void)e;
    if (container == NONE) {
        put_sections(r);
        return 0;
    }
    words = container != 0 && d->nodes[container].key == NULL;
    if (words) {
        remove_words(r, container);
        return 0;
    }
    for (uint32_t c = d->nodes[container].first; c != NONE;
         c = d->nodes[c].next) {
        if (!d->nodes[c].gone)
            continue;
        if (container == 0)
            remove_section(r, c);
        else if (d->nodes[container].parent == 0)
            remove_list(r, c);
        else
            remove_line(r, c);
    }
    while ((ed = next_insert(d, container, &i)) != NULL) {
        uint32_t before = line_before(d, container, ed->key);

        put_line(r,
                 before == NONE ? d->nodes[container].end
                                : d->nodes[before].behind - 1,
                 ed);
    }
    return 0;
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
