/* SPDX-License-Identifier: MIT */
/* Env files in two dialects. dotenv (the `dotenv` package of Node, its LINE
 * expression): quotes ' " `, no escapes but \n and \r in double quotes, `#`
 * ends a bare value. systemd (EnvironmentFile=, parse_env_file): quotes may
 * be joined, a backslash escapes, `#` and `;` comment only whole lines. */
#include "agent/adapt/docs/doc_internal.h"

#include <string.h>

#include "common/base/mem.h"

/* A value as found: its span, quoting and decoded text. */
struct found {
    size_t start, end;
    enum style style;
    struct buf text;
};

static bool is_blank(uint8_t c)
{
    return c == ' ' || c == '\t';
}

static bool is_name(uint8_t c, bool dotenv)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
           (c >= '0' && c <= '9') || (dotenv && (c == '.' || c == '-'));
}

static bool is_name_all(const char *name, bool dotenv)
{
    if (!*name || (!dotenv && *name >= '0' && *name <= '9'))
        return false;
    for (; *name; name++) {
        if (!is_name((uint8_t)*name, dotenv))
            return false;
    }
    return true;
}

/* --- dotenv ---------------------------------------------------------------- */

/* Behind a closing quote: blanks, then the line's end or a comment. */
static bool may_close(const struct doc *d, size_t off)
{
    off = skip_blanks(d, off);
    return off >= d->len || d->src[off] == '\n' || d->src[off] == '\r' ||
           d->src[off] == '#';
}

/* The quote that closes the one at `from`, as the greedy expression finds
 * it: the first without a backslash, else one with; 0 when there is none. */
static size_t closing_quote(const struct doc *d, size_t from)
{
    uint8_t quote = d->src[from];
    size_t at = from + 1;

    while (at < d->len && d->src[at] != quote)
        at += d->src[at] == '\\' && at + 1 < d->len && d->src[at + 1] == quote
                  ? 2
                  : 1;
    if (at < d->len && may_close(d, at + 1))
        return at;
    for (at = at < d->len ? at : d->len; at-- > from + 1;) {
        if (d->src[at] == quote && may_close(d, at + 1))
            return at;
    }
    return 0;
}

static void read_dotenv(const struct doc *d, size_t at, struct found *f)
{
    size_t close = 0, end;
    uint8_t c = d->src[at];

    if (at < d->len && (c == '"' || c == '\'' || c == '`'))
        close = closing_quote(d, at);
    f->start = at;
    if (!close) {
        end = at;
        while (end < d->len && !strchr("#\r\n", d->src[end]))
            end++;
        f->end = end > at ? skip_blanks_back(d, end) : at;
        if (f->end < at)
            f->end = at;
        f->style = STYLE_BARE;
        buf_add(&f->text, d->src + at, f->end - at);
        return;
    }
    f->end = close + 1;
    f->style = c == '"' ? STYLE_DOUBLE : c == '`' ? STYLE_BACK : STYLE_SINGLE;
    for (size_t i = at + 1; i < close; i++) {
        uint8_t next = d->src[i + 1];

        if (d->src[i] == '\r') { /* line ends become \n before all else */
            buf_add_byte(&f->text, '\n');
            i += next == '\n' && i + 1 < close;
        } else if (c == '"' && d->src[i] == '\\' && i + 1 < close &&
                   (next == 'n' || next == 'r')) {
            buf_add_byte(&f->text, next == 'n' ? '\n' : '\r');
            i++;
        } else {
            buf_add_byte(&f->text, d->src[i]);
        }
    }
}

/* --- systemd --------------------------------------------------------------- */

/* A quoted part from its quote on; the offset behind it, 0: never closed. */
static size_t read_quoted(const struct doc *d, size_t at, struct buf *text)
{
    uint8_t quote = d->src[at++];

    for (; at < d->len && d->src[at] != quote; at++) {
        uint8_t next;

        if (quote == '\'' || d->src[at] != '\\' || at + 1 >= d->len) {
            buf_add_byte(text, d->src[at]);
            continue;
        }
        next = d->src[++at];
        if (!strchr("\"\\`$\n", next))
            buf_add_byte(text, '\\');
        if (next != '\n')
            buf_add_byte(text, next);
    }
    return at < d->len ? at + 1 : 0;
}

/* A bare part up to the line's end, blanks at its end not counted. */
static size_t read_bare(const struct doc *d, size_t at, struct buf *text)
{
    size_t keep = text->len, end = at;

    while (at < d->len && d->src[at] != '\n' && d->src[at] != '\r') {
        if (d->src[at] == '\\') {
            at++;
            if (at >= d->len) { /* says nothing at the very end */
                end = at;
                keep = text->len;
                break;
            }
            if (d->src[at] != '\n' && d->src[at] != '\r')
                buf_add_byte(text, d->src[at]);
            else if (d->src[at] == '\r' && d->src[at + 1] == '\n')
                at++;
            at++;
            keep = text->len;
            end = at;
            continue;
        }
        buf_add_byte(text, d->src[at]);
        if (!is_blank(d->src[at++])) {
            keep = text->len;
            end = at;
        }
    }
    text->len = keep;
    return end;
}

static int read_systemd(const struct doc *d, size_t at, struct found *f,
                        struct error *e)
{
    size_t parts = 0;

    f->start = f->end = at;
    f->style = STYLE_BARE;
    for (;;) {
        uint8_t c;

        at = skip_blanks(d, at);
        c = at < d->len ? d->src[at] : '\n';
        if (c == '\n' || c == '\r')
            break;
        parts++;
        if (c == '"' || c == '\'') {
            f->style = c == '"' ? STYLE_DOUBLE : STYLE_SINGLE;
            f->end = read_quoted(d, at, &f->text);
            if (!f->end)
                return doc_error_at(d, at, e, OCM_E_INVALID,
                                    "the quote is never closed");
            at = f->end;
            continue;
        }
        f->end = read_bare(d, at, &f->text);
        f->style = STYLE_BARE;
        break;
    }
    if (parts > 1)
        f->style = STYLE_BARE;
    return 0;
}

/* --- both ------------------------------------------------------------------ */

/* The name and the sign behind it; the offset of the value, 0: no
 * assignment. */
static size_t read_name(const struct doc *d, size_t at, bool dotenv,
                        size_t *name, size_t *name_end)
{
    at = skip_blanks(d, at);
    if (dotenv && d->len - at > 7 && memcmp(d->src + at, "export", 6) == 0 &&
        is_blank(d->src[at + 6]))
        at = skip_blanks(d, at + 6);
    *name = at;
    while (at < d->len && is_name(d->src[at], dotenv))
        at++;
    *name_end = at;
    if (at == *name ||
        (!dotenv && d->src[*name] >= '0' && d->src[*name] <= '9'))
        return 0;
    if (dotenv && d->src[at] == ':' && is_blank(d->src[at + 1]))
        return skip_blanks(d, at + 1);
    at = skip_blanks(d, at);
    return at < d->len && d->src[at] == '=' ? skip_blanks(d, at + 1) : 0;
}

/* The end of a line that a backslash may carry on (systemd's comments). */
static size_t comment_next(const struct doc *d, size_t at, bool dotenv)
{
    for (;;) {
        size_t end = line_end(d, at);

        if (dotenv || end == at || d->src[end - 1] != '\\')
            return line_next(d, end);
        at = line_next(d, end);
        if (at >= d->len)
            return at;
    }
}

static int add_assignment(struct doc *d, size_t from, size_t name,
                          size_t name_end, const struct found *f,
                          struct error *e)
{
    uint32_t id = doc_add(d, 0, e);
    struct doc_node *n;

    if (id == NONE)
        return OCM_E_LIMIT;
    n = &d->nodes[id];
    n->type = DOC_STRING;
    n->style = (uint8_t)f->style;
    n->from = (uint32_t)from;
    n->line = doc_line_at(d, from);
    n->key_start = (uint32_t)name;
    n->key_end = (uint32_t)name_end;
    n->start = (uint32_t)f->start;
    n->end = (uint32_t)f->end;
    doc_node_key(d, id, d->src + name, name_end - name);
    doc_node_text(d, id, f->text.data, f->text.len);
    return 0;
}

static int env_parse(struct doc *d, struct error *e)
{
    bool dotenv = d->format == DOC_ENV;
    uint32_t root = doc_add(d, NONE, e);
    struct found f = {0};
    int rc = 0;

    d->nodes[root].type = DOC_OBJECT;
    d->nodes[root].end = (uint32_t)d->len;
    d->nodes[root].line = 1;
    for (size_t at = d->body; at < d->len && rc == 0;) {
        size_t name, name_end, value, text = skip_blanks(d, at);
        uint8_t c = d->src[text];

        if (text == line_end(d, at) || c == '#' || (c == ';' && !dotenv)) {
            at = comment_next(d, at, dotenv);
            continue;
        }
        value = read_name(d, at, dotenv, &name, &name_end);
        if (!value) {
            doc_add_problem(d, doc_line_at(d, at), "no NAME=value");
            at = line_next(d, at);
            continue;
        }
        buf_clear(&f.text);
        if (dotenv)
            read_dotenv(d, value, &f);
        else
            rc = read_systemd(d, value, &f, e);
        if (rc == 0)
            rc = add_assignment(d, at, name, name_end, &f, e);
        at = line_next(d, f.end);
    }
    buf_wipe(&f.text);
    return rc;
}

static const char quotes[] = {
    [STYLE_DOUBLE] = '"', [STYLE_SINGLE] = '\'', [STYLE_BACK] = '`'};

static void write_as(enum style style, bool dotenv, const char *text,
                     size_t len, struct buf *b)
{
    if (style == STYLE_BARE) {
        buf_add(b, text, len);
        return;
    }
    buf_add_byte(b, (uint8_t)quotes[style]);
    for (size_t i = 0; i < len; i++) {
        char c = text[i];

        if (style == STYLE_DOUBLE && dotenv && (c == '\n' || c == '\r')) {
            buf_add_str(b, c == '\n' ? "\\n" : "\\r");
            continue;
        }
        if (style == STYLE_DOUBLE && !dotenv && c && strchr("\"\\`$", c))
            buf_add_byte(b, '\\');
        buf_add_byte(b, (uint8_t)c);
    }
    buf_add_byte(b, (uint8_t)quotes[style]);
}

/* Does this spelling read as `text` and leave alone what follows? Asked of
 * the reader itself, so no rule is written down twice. */
static bool reads_as(enum doc_format format, const struct buf *spelling,
                     const char *text, size_t len)
{
    static const char rest[] = "\nB='x'\nC=\"y\"\nD=`z`\n";
    struct buf b = {0};
    struct doc *d = NULL;
    bool same = false;

    buf_add_str(&b, "A=");
    buf_add(&b, spelling->data, spelling->len);
    buf_add_str(&b, rest);
    if (doc_parse(format, b.data, b.len, &d, NULL) == 0 && d->count == 5) {
        const struct doc_node *n = &d->nodes[1];

        same = n->len == len && memcmp(n->text, text, len) == 0 &&
               n->end == 2 + spelling->len;
    }
    doc_free(d);
    buf_wipe(&b);
    return same;
}

/* What depends on the text behind it is out: a quote that would wait for any
 * later one to close it, or one behind a backslash. */
static bool may_spell(enum style style, bool dotenv, const char *text,
                      size_t len)
{
    if (style == STYLE_BARE)
        return len == 0 || !strchr("\"'`", *text);
    if (!dotenv)
        return style != STYLE_BACK;
    return (len == 0 || text[len - 1] != '\\') &&
           !memchr(text, quotes[style], len);
}

/* The old style when it can hold the text, else the first that can. */
static int spell(enum doc_format format, enum style old, const char *text,
                 size_t len, struct buf *b, struct error *e)
{
    enum style order[] = {old, STYLE_SINGLE, STYLE_DOUBLE, STYLE_BACK,
                          STYLE_BARE};
    bool dotenv = format == DOC_ENV;

    /* raw line ends only where there is no other way */
    if (dotenv && old != STYLE_DOUBLE && memchr(text, '\n', len)) {
        order[1] = STYLE_DOUBLE;
        order[2] = STYLE_SINGLE;
    }
    for (size_t i = 0; i < ARRAY_LEN(order); i++) {
        if (!may_spell(order[i], dotenv, text, len))
            continue;
        buf_clear(b);
        write_as(order[i], dotenv, text, len, b);
        if (reads_as(format, b, text, len))
            return 0;
    }
    buf_clear(b);
    return error_set(e, OCM_E_UNSUPPORTED,
                     "an env file has no way to write this value");
}

static int env_encode(struct doc *d, const struct doc_node *n, struct edit *ed,
                      struct error *e)
{
    int rc;

    ed->start = n->start;
    ed->end = n->end;
    rc = spell(d->format, (enum style)n->style, ed->text, ed->len, &ed->bytes,
               e);
    return rc == 0 ? 0 : error_prefix(e, "line %u, %s", n->line, n->key);
}

static int env_encode_key(struct doc *d, const struct doc_node *n,
                          struct edit *ed, struct error *e)
{
    if (!is_name_all(ed->key, d->format == DOC_ENV))
        return error_set(e, OCM_E_INVALID, "'%s' is no name of a variable",
                         ed->key);
    ed->start = n->key_start;
    ed->end = n->key_end;
    buf_add_str(&ed->bytes, ed->key);
    return 0;
}

static bool is_exported(const struct doc *d, size_t from)
{
    from = skip_blanks(d, from);
    return d->len - from > 6 && memcmp(d->src + from, "export", 6) == 0 &&
           is_blank(d->src[from + 6]);
}

static int env_insert(struct doc *d, struct edit *ed, struct doc **json,
                      struct error *e)
{
    struct buf line = {0}, value = {0};
    uint32_t last = d->nodes[0].last;
    const char *text;
    size_t len;
    int rc = lines_scalar(*json, &text, &len, e);

    if (rc != 0)
        return rc;
    if (!ed->key || !is_name_all(ed->key, d->format == DOC_ENV))
        return error_set(e, OCM_E_INVALID, "'%s' is no name of a variable",
                         ed->key ? ed->key : "");
    if (last != NONE && is_exported(d, d->nodes[last].from))
        buf_add_str(&line, "export ");
    rc = spell(d->format, STYLE_BARE, text, len, &value, e);
    if (rc == 0) {
        buf_printf(&line, "%s=", ed->key);
        buf_add(&line, value.data, value.len);
        rc = lines_insert(d, ed, (const char *)line.data, line.len, e);
    }
    buf_wipe(&line);
    buf_wipe(&value);
    return rc;
}

const struct doc_ops env_ops = {
    .name = "an env file",
    .by_line = true,
    .max = DOC_CONFIG_MAX_BYTES,
    .parse = env_parse,
    .encode = env_encode,
    .encode_key = env_encode_key,
    .insert = env_insert,
    .lay_out = lines_lay_out,
};

const struct doc_ops env_systemd_ops = {
    .name = "an env file",
    .by_line = true,
    .max = DOC_CONFIG_MAX_BYTES,
    .parse = env_parse,
    .encode = env_encode,
    .encode_key = env_encode_key,
    .insert = env_insert,
    .lay_out = lines_lay_out,
};
