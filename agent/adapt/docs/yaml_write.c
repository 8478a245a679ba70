/* SPDX-License-Identifier: MIT */
/* YAML as text: scalars in the style they had, new values in flow style. */
#include "agent/adapt/docs/doc_internal.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"

#define PLAIN_KEY_MAX 1000 /* a simple key ends within 1024 characters */

/* --- places ---------------------------------------------------------------- */

size_t yaml_skip(const struct doc *d, size_t off)
{
    for (;;) {
        while (off < d->len && strchr(" \t\r\n", d->src[off]))
            off++;
        if (off >= d->len || d->src[off] != '#' ||
            (off > d->body && !strchr(" \t\r\n", d->src[off - 1])))
            return off;
        off = line_end(d, off);
    }
}

/* What libyaml takes for the name of an anchor. */
static bool is_letter(uint8_t c)
{
    return c == '-' || c == '_' || (c >= '0' && c <= '9') ||
           ((c | 32) >= 'a' && (c | 32) <= 'z');
}

/* Behind one `&anchor` or `!tag`. */
size_t yaml_property_end(const struct doc *d, size_t off)
{
    if (d->src[off] == '!' && d->src[off + 1] == '<') {
        while (off < d->len && d->src[off] != '>')
            off++;
        return off < d->len ? off + 1 : off;
    }
    if (d->src[off] == '&') { /* the letters libyaml takes */
        off++;
        while (off < d->len &&
               (d->src[off] == '-' || d->src[off] == '_' ||
                (d->src[off] >= '0' && d->src[off] <= '9') ||
                ((d->src[off] | 32) >= 'a' && (d->src[off] | 32) <= 'z')))
            off++;
        return off;
    }
    while (off < d->len && !strchr(" \t\r\n,[]{}", d->src[off]))
        off++;
    return off;
}

size_t yaml_skip_properties(const struct doc *d, size_t off, size_t end)
{
    while (off < end && (d->src[off] == '&' || d->src[off] == '!'))
        off = yaml_skip(d, yaml_property_end(d, off));
    return off < end ? off : end;
}

/* --- scalars --------------------------------------------------------------- */

/* May stand in YAML unescaped, a line end is not among them. */
static bool is_printable(uint32_t cp)
{
    return (cp >= 0x20 && cp < 0x7f) ||
           (cp >= 0xa0 && cp < 0xd800 && cp != 0x2028 && cp != 0x2029) ||
           (cp >= 0xe000 && cp < 0xfffe && cp != 0xfeff) || cp >= 0x10000;
}

static bool all_printable(const char *p, size_t len, const char *also)
{
    uint32_t cp;

    for (size_t i = 0; i < len;) {
        i += utf8_take((const uint8_t *)p + i, len - i, &cp);
        if (!is_printable(cp) && !(cp && cp < 0x80 && strchr(also, (int)cp)))
            return false;
    }
    return true;
}

static bool is_plain(const char *p, size_t len, bool flow)
{
    bool old;

    if (len == 0 || strchr(" -?:,[]{}#&*!|>'\"%@`", *p) || p[len - 1] == ' ' ||
        p[len - 1] == ':' || !all_printable(p, len, ""))
        return false;
    if (yaml_plain_type(p, len, &old) != DOC_STRING || old)
        return false;
    if (memmem(p, len, ": ", 2) || memmem(p, len, " #", 2))
        return false;
    for (size_t i = 0; i < len && flow; i++) {
        if (strchr(",[]{}", p[i]))
            return false;
    }
    return true;
}

static void put_double(struct buf *b, const char *p, size_t len)
{
    uint32_t cp;

    buf_add_byte(b, '"');
    for (size_t i = 0; i < len;) {
        size_t n = utf8_take((const uint8_t *)p + i, len - i, &cp);

        if (cp == '"' || cp == '\\')
            buf_printf(b, "\\%c", (int)cp);
        else if (cp == '\n')
            buf_add_str(b, "\\n");
        else if (cp == '\t')
            buf_add_str(b, "\\t");
        else if (cp == '\r')
            buf_add_str(b, "\\r");
        else if (is_printable(cp))
            buf_add(b, p + i, n);
        else if (cp < 0x100)
            buf_printf(b, "\\x%02x", cp);
        else
            buf_printf(b, "\\u%04x", cp);
        i += n;
    }
    buf_add_byte(b, '"');
}

static void put_single(struct buf *b, const char *p, size_t len)
{
    buf_add_byte(b, '\'');
    for (size_t i = 0; i < len; i++) {
        if (p[i] == '\'')
            buf_add_byte(b, '\'');
        buf_add_byte(b, (uint8_t)p[i]);
    }
    buf_add_byte(b, '\'');
}

static void put_scalar(struct buf *b, enum style style, const char *p,
                       size_t len, bool flow)
{
    if (style == STYLE_BARE && is_plain(p, len, flow))
        buf_add(b, p, len);
    else if (style == STYLE_SINGLE && all_printable(p, len, ""))
        put_single(b, p, len);
    else
        put_double(b, p, len);
}

/* The quotes this document uses, for a plain text that needs some. */
static enum style usual_quote(const struct doc *d)
{
    for (size_t i = 0; i < d->count; i++) {
        if (d->nodes[i].style == STYLE_SINGLE)
            return STYLE_SINGLE;
        if (d->nodes[i].style == STYLE_DOUBLE)
            return STYLE_DOUBLE;
    }
    return STYLE_DOUBLE;
}

static bool in_flow(const struct doc *d, const struct doc_node *n)
{
    return n->parent != NONE && d->nodes[n->parent].style == STYLE_FLOW;
}

/* A `|` block with the header's comment and the indentation it had; false
 * when that cannot hold the text. */
static bool put_literal(const struct doc *d, const struct doc_node *n,
                        const char *p, size_t len, struct buf *b)
{
    size_t head_end = line_end(d, n->start), body = line_next(d, n->start);
    size_t head = n->start + 1, indent, ends = 0;

    while (len > ends && p[len - 1 - ends] == '\n')
        ends++;
    if (ends > 1 || len == ends || strchr(" \t\n", *p) ||
        p[len - 1 - ends] == ' ' || p[len - 1 - ends] == '\t' ||
        !all_printable(p, len, "\n\t"))
        return false;
    for (; head < head_end && strchr("+-0123456789", d->src[head]); head++) {
        if (d->src[head] >= '0' && d->src[head] <= '9')
            return false;
    }
    while (body < n->end && skip_blanks(d, body) == line_end(d, body))
        body = line_next(d, body);
    indent = skip_blanks(d, body) - body;
    if (body >= n->end || indent == 0)
        return false;
    buf_add_str(b, ends ? "|" : "|-");
    buf_add(b, d->src + head, head_end - head);
    for (size_t at = 0; at < len - ends; at++) {
        size_t line = at;

        while (at < len - ends && p[at] != '\n')
            at++;
        buf_add_str(b, d->eol);
        if (at > line)
            buf_add(b, d->src + body, indent);
        buf_add(b, p + line, at - line);
    }
    if (ends && n->end == d->len)
        buf_add_str(b, d->eol);
    return true;
}

/* An empty value stands behind its ':', '-' or properties, without a blank. */
static int begin_empty(const struct doc *d, const struct doc_node *n,
                       struct buf *b, struct error *e)
{
    bool has_place;

    if (n->key_start != NONE)
        has_place = yaml_skip(d, n->key_end) < n->start &&
                    d->src[yaml_skip(d, n->key_end)] == ':';
    else
        has_place =
            n->from < n->start || (n->parent != NONE && n->start > d->body &&
                                   d->nodes[n->parent].style == STYLE_BLOCK &&
                                   d->src[n->start - 1] == '-');
    if (!has_place)
        return error_set(e, OCM_E_UNSUPPORTED,
                         "line %u: there is no place for a value", n->line);
    if (!strchr(" \t\r\n", d->src[n->start - 1]))
        buf_add_byte(b, ' ');
    return 0;
}

static void put_value(const struct doc *d, const struct doc_node *n,
                      struct edit *ed)
{
    enum style style = (enum style)n->style;
    bool flow = in_flow(d, n);

    if (ed->type != DOC_STRING) {
        buf_add(&ed->bytes, ed->text, ed->len);
        return;
    }
    if (style == STYLE_LITERAL || style == STYLE_FOLDED) {
        if (put_literal(d, n, ed->text, ed->len, &ed->bytes))
            return;
        style = STYLE_DOUBLE;
    }
    if (style == STYLE_EMPTY || n->alias)
        style = STYLE_BARE;
    if (style == STYLE_BARE && !is_plain(ed->text, ed->len, flow))
        style = usual_quote(d);
    put_scalar(&ed->bytes, style, ed->text, ed->len, flow);
}

int yaml_encode(struct doc *d, const struct doc_node *n, struct edit *ed,
                struct error *e)
{
    int rc = 0;

    ed->start = n->start;
    ed->end = n->end;
    for (size_t i = 0; i + 2 < ed->len; i++) {
        if ((uint8_t)ed->text[i] == 0xed && (uint8_t)ed->text[i + 1] >= 0xa0)
            return error_set(e, OCM_E_UNSUPPORTED,
                             "line %u: YAML has no lone surrogates", n->line);
    }
    if (n->tagged && ed->type != (enum doc_type)n->type)
        return error_set(e, OCM_E_UNSUPPORTED,
                         "line %u: the value's tag says another type", n->line);
    /* neighbours that only the old spelling could bear: `&x:v`, `"v"#` */
    if (n->style == STYLE_EMPTY && !n->alias)
        rc = begin_empty(d, n, &ed->bytes, e);
    else if (n->start > d->body && is_letter(d->src[n->start - 1]))
        buf_add_byte(&ed->bytes, ' ');
    if (rc != 0)
        return rc;
    put_value(d, n, ed);
    if (n->end < d->len && !strchr(" \t\r\n,]}", d->src[n->end]))
        buf_add_byte(&ed->bytes, ' ');
    return 0;
}

int yaml_encode_key(struct doc *d, const struct doc_node *n, struct edit *ed,
                    struct error *e)
{
    size_t len = strlen(ed->key);
    enum style style = (enum style)n->key_style;

    ed->start = n->key_start;
    ed->end = n->key_end;
    if (len > PLAIN_KEY_MAX / 4 || ed->start == ed->end)
        return error_set(e, OCM_E_UNSUPPORTED, "line %u: no place for this key",
                         n->line);
    if (ed->start > d->body && is_letter(d->src[ed->start - 1]))
        buf_add_byte(&ed->bytes, ' ');
    put_scalar(&ed->bytes,
               style == STYLE_SINGLE || style == STYLE_DOUBLE ? style
                                                              : STYLE_BARE,
               ed->key, len, in_flow(d, n));
    return 0;
}

/* --- new values ------------------------------------------------------------ */

void yaml_key(struct buf *b, const char *key, size_t len, bool flow)
{
    put_scalar(b, STYLE_BARE, key, len, flow);
}

void yaml_scalar(struct buf *b, const struct doc_node *n, bool flow)
{
    if (n->type == DOC_STRING)
        put_scalar(b, STYLE_BARE, n->text, n->len, flow);
    else
        buf_add(b, n->text, n->len);
}

void yaml_flow_value(struct buf *b, const struct doc *w, uint32_t id)
{
    const struct doc_node *n = &w->nodes[id];
    bool object = n->type == DOC_OBJECT;

    if (!object && n->type != DOC_ARRAY) {
        yaml_scalar(b, n, true);
        return;
    }
    buf_add_byte(b, object ? '{' : '[');
    for (uint32_t c = n->first; c != NONE; c = w->nodes[c].next) {
        if (c != n->first)
            buf_add_str(b, ", ");
        if (object) {
            yaml_key(b, w->nodes[c].key, w->nodes[c].key_len, true);
            buf_add_str(b, ": ");
        }
        yaml_flow_value(b, w, c);
    }
    buf_add_byte(b, object ? '}' : ']');
}
