/* SPDX-License-Identifier: MIT */
/* YAML as text: scalars in the style they had, members put into and taken out
 * of block containers (flow ones: flow.c). */
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
static size_t property_end(const struct doc *d, size_t off)
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
        off = yaml_skip(d, property_end(d, off));
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
        has_place = memchr(d->src + n->key_end, ':', n->start - n->key_end);
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

int yaml_encode(struct doc *d, const struct doc_node *n, struct edit *ed,
                struct error *e)
{
    enum style style = (enum style)n->style;
    bool flow = in_flow(d, n);
    int rc;

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
    if (n->style == STYLE_EMPTY && !n->alias) {
        rc = begin_empty(d, n, &ed->bytes, e);
        if (rc != 0)
            return rc;
    } else if (n->start > d->body && is_letter(d->src[n->start - 1])) {
        buf_add_byte(&ed->bytes, ' '); /* `&x:v` is an anchor and a text */
    }
    if (ed->type != DOC_STRING) {
        buf_add(&ed->bytes, ed->text, ed->len);
        return 0;
    }
    if (style == STYLE_LITERAL || style == STYLE_FOLDED) {
        if (put_literal(d, n, ed->text, ed->len, &ed->bytes))
            return 0;
        style = STYLE_DOUBLE;
    }
    if (style == STYLE_EMPTY || n->alias)
        style = STYLE_BARE;
    if (style == STYLE_BARE && !is_plain(ed->text, ed->len, flow))
        style = usual_quote(d);
    put_scalar(&ed->bytes, style, ed->text, ed->len, flow);
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
    put_scalar(&ed->bytes,
               style == STYLE_SINGLE || style == STYLE_DOUBLE ? style
                                                              : STYLE_BARE,
               ed->key, len, in_flow(d, n));
    return 0;
}

/* --- new values ------------------------------------------------------------ */

void yaml_flow_key(struct buf *b, const char *key, size_t len)
{
    put_scalar(b, STYLE_BARE, key, len, true);
}

static void put_json_scalar(struct buf *b, const struct doc_node *n, bool flow)
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
        put_json_scalar(b, n, true);
        return;
    }
    buf_add_byte(b, object ? '{' : '[');
    for (uint32_t c = n->first; c != NONE; c = w->nodes[c].next) {
        if (c != n->first)
            buf_add_str(b, ", ");
        if (object) {
            yaml_flow_key(b, w->nodes[c].key, w->nodes[c].key_len);
            buf_add_str(b, ": ");
        }
        yaml_flow_value(b, w, c);
    }
    buf_add_byte(b, object ? '}' : ']');
}

static void put_spaces(struct buf *b, size_t count)
{
    for (; count > 0; count--)
        buf_add_byte(b, ' ');
}

/* A value behind `key:` or `-` of a line indented by `indent`. */
static void put_block(struct buf *b, const struct doc *d, const struct doc *w,
                      uint32_t id, size_t indent)
{
    const struct doc_node *n = &w->nodes[id];
    const char *unit = indent_unit(d);
    size_t step = *unit == '\t' ? 2 : strlen(unit);

    /* what stands in a list stays on its line */
    if (n->first == NONE ||
        (n->parent != NONE && w->nodes[n->parent].type == DOC_ARRAY)) {
        buf_add_byte(b, ' ');
        if (n->type == DOC_OBJECT || n->type == DOC_ARRAY)
            yaml_flow_value(b, w, id);
        else
            put_json_scalar(b, n, false);
        return;
    }
    for (uint32_t c = n->first; c != NONE; c = w->nodes[c].next) {
        buf_add_str(b, d->eol);
        put_spaces(b, indent + step);
        if (n->type == DOC_OBJECT) {
            put_scalar(b, STYLE_BARE, w->nodes[c].key, w->nodes[c].key_len,
                       false);
            buf_add_byte(b, ':');
        } else {
            buf_add_byte(b, '-');
        }
        put_block(b, d, w, c, indent + step);
    }
}

/* --- layout of block containers --------------------------------------------- */

/* Where a member begins: its key, or the dash of an item, which stands
 * behind the item before (`prev`, NONE for the first). */
static size_t member_from(const struct doc *d, uint32_t c, uint32_t prev)
{
    const struct doc_node *up = &d->nodes[d->nodes[c].parent];

    if (up->type == DOC_OBJECT)
        return d->nodes[c].from;
    return prev == NONE ? up->start : yaml_skip(d, d->nodes[prev].end);
}

static uint32_t child_before(const struct doc *d, uint32_t c)
{
    uint32_t prev = NONE, i = d->nodes[d->nodes[c].parent].first;

    for (; i != c; i = d->nodes[i].next)
        prev = i;
    return prev;
}

static size_t column_of(const struct doc *d, size_t off)
{
    size_t column = 0;

    for (size_t i = line_start(d, off); i < off; i++)
        column += (d->src[i] & 0xc0) != 0x80;
    return column;
}

static void add_member(struct buf *b, const struct doc *d,
                       const struct edit *ed, size_t column)
{
    if (ed->key) {
        put_scalar(b, STYLE_BARE, ed->key, strlen(ed->key), false);
        buf_add_byte(b, ':');
        put_block(b, d, ed->want, 0, column);
        return;
    }
    buf_add_str(b, "- ");
    yaml_flow_value(b, ed->want, 0);
}

/* All members gone, none new: {} or [] in their place, beside the key where
 * there is one. */
static void collapse(struct render *r, uint32_t container)
{
    const struct doc *d = r->d;
    const struct doc_node *n = &d->nodes[container];
    const char *empty = n->type == DOC_OBJECT ? "{}" : "[]";
    size_t first = member_from(d, n->first, NONE), head, next;

    if (n->key_start == NONE || !is_first_on_line(d, first)) {
        patch_add(r, first, n->end, empty, 2);
        return;
    }
    head = yaml_skip(d, n->key_end) + 1;
    for (;;) {
        next = yaml_skip(d, head);
        if (d->src[next] != '&' && d->src[next] != '!')
            break;
        head = property_end(d, next);
    }
    patch_add(r, head, head, n->type == DOC_OBJECT ? " {}" : " []", 3);
    patch_add(r, line_start(d, first), line_next(d, n->end), NULL, 0);
}

/* Members that go, all but `slot`. The first one may stand behind a dash on
 * the line: what follows moves up to its place. */
static void remove_members(struct render *r, uint32_t container, uint32_t slot)
{
    const struct doc *d = r->d;
    uint32_t c = d->nodes[container].first, prev = NONE;
    size_t from = member_from(d, c, NONE);

    if (d->nodes[c].gone && c != slot && !is_first_on_line(d, from)) {
        for (; d->nodes[c].gone && c != slot; c = d->nodes[c].next)
            prev = c;
        patch_add(r, from, member_from(d, c, prev), NULL, 0);
    }
    for (; c != NONE; prev = c, c = d->nodes[c].next) {
        if (!d->nodes[c].gone || c == slot)
            continue;
        from = member_from(d, c, prev);
        patch_add(r, line_start(d, from), line_next(d, d->nodes[c].end), NULL,
                  0);
    }
}

static void lay_out_block(struct render *r, uint32_t container)
{
    struct doc *d = r->d;
    const struct doc_node *n = &d->nodes[container];
    uint32_t like = NONE, slot = NONE;
    struct edit *ed;
    struct buf b = {0};
    size_t i = 0, column = column_of(d, member_from(d, n->first, NONE));

    for (uint32_t c = n->first; c != NONE; c = d->nodes[c].next)
        like = d->nodes[c].gone ? like : c;
    ed = next_insert(d, container, &i);
    if (like == NONE && !ed) {
        collapse(r, container);
        return;
    }
    if (like == NONE)
        like = slot = n->last;
    remove_members(r, container, slot);
    if (slot != NONE) {
        add_member(&b, d, ed, column);
        patch_take(r, member_from(d, slot, child_before(d, slot)),
                   d->nodes[slot].end, &b);
        ed = next_insert(d, container, &i);
    }
    for (; ed; ed = next_insert(d, container, &i)) {
        if (b.len)
            buf_add_str(&b, d->eol);
        put_spaces(&b, column);
        add_member(&b, d, ed, column);
    }
    if (b.len)
        lines_put(r, d->nodes[like].end, &b);
}

int yaml_lay_out(struct render *r, uint32_t container, struct error *e)
{
    const struct doc_node *n = &r->d->nodes[container];

    if (n->style == STYLE_FLOW)
        return flow_lay_out(r, container, true);
    (void)e;
    lay_out_block(r, container);
    return 0;
}
