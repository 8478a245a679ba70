/* SPDX-License-Identifier: MIT */
/* JSON5 as text: strings, keys and values in the style of a document. */
#include "agent/adapt/docs/doc_internal.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"

bool json_is_raw(const char *raw, enum doc_type *type)
{
    const char *p = raw;

    *type = DOC_BOOL;
    if (strcmp(raw, "true") == 0 || strcmp(raw, "false") == 0)
        return true;
    *type = DOC_NULL;
    if (strcmp(raw, "null") == 0)
        return true;
    *type = DOC_NUMBER;
    p += *p == '-';
    if (*p < '0' || *p > '9' || (*p == '0' && p[1] >= '0' && p[1] <= '9'))
        return false;
    p += strspn(p, "0123456789");
    if (*p == '.') {
        size_t n = strspn(++p, "0123456789");

        if (n == 0)
            return false;
        p += n;
    }
    if (*p == 'e' || *p == 'E') {
        size_t n;

        p++;
        p += *p == '+' || *p == '-';
        n = strspn(p, "0123456789");
        if (n == 0)
            return false;
        p += n;
    }
    return *p == 0;
}

static void put_escape(struct buf *b, uint32_t cp)
{
    if (cp >= 0x10000) {
        cp -= 0x10000;
        buf_printf(b, "\\u%04x\\u%04x", 0xd800 + (cp >> 10),
                   0xdc00 + (cp & 0x3ff));
    } else {
        buf_printf(b, "\\u%04x", cp);
    }
}

void json_quote(struct buf *b, const char *p, size_t len, char quote,
                bool ascii)
{
    static const char from[] = "\b\f\n\r\t", to[] = "bfnrt";
    const uint8_t *s = (const uint8_t *)p;
    const char *at;
    uint32_t cp;

    buf_add_byte(b, (uint8_t)quote);
    for (size_t i = 0; i < len;) {
        size_t n = utf8_take(s + i, len - i, &cp);

        if (cp == (uint8_t)quote || cp == '\\') {
            buf_add_byte(b, '\\');
            buf_add_byte(b, (uint8_t)cp);
        } else if (cp && cp < ' ' && (at = strchr(from, (int)cp)) != NULL) {
            buf_add_byte(b, '\\');
            buf_add_byte(b, (uint8_t)to[at - from]);
        } else if (cp < ' ' || cp == 0x2028 || cp == 0x2029 ||
                   (cp >= 0xd800 && cp < 0xe000) || (ascii && cp >= 0x80)) {
            put_escape(b, cp);
        } else {
            buf_add(b, s + i, n);
        }
        i += n;
    }
    buf_add_byte(b, (uint8_t)quote);
}

static bool is_bare_key(const char *p, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        bool digit = p[i] >= '0' && p[i] <= '9';
        char low = (char)(p[i] | 32);

        if (!(low >= 'a' && low <= 'z') && p[i] != '_' && p[i] != '$' &&
            !(digit && i > 0))
            return false;
    }
    return len > 0;
}

void json_key(struct buf *b, const char *p, size_t len, enum style style)
{
    if (style == STYLE_BARE && is_bare_key(p, len))
        buf_add(b, p, len);
    else
        json_quote(b, p, len, style == STYLE_SINGLE ? '\'' : '"', false);
}

static void emit_scalar(struct buf *b, const struct doc_node *n)
{
    if (n->type == DOC_STRING)
        json_quote(b, n->text, n->len, '"', false);
    else
        buf_add(b, n->text, n->len);
}

void json_emit(struct buf *b, const struct doc *w, uint32_t id,
               enum style key_style, const char *indent, const char *unit)
{
    const struct doc_node *n = &w->nodes[id];
    bool object = n->type == DOC_OBJECT;
    char *deeper;

    if (!object && n->type != DOC_ARRAY) {
        emit_scalar(b, n);
        return;
    }
    buf_add_byte(b, object ? '{' : '[');
    deeper = indent ? mem_printf("%s%s", indent, unit) : NULL;
    for (uint32_t c = n->first; c != NONE; c = w->nodes[c].next) {
        if (c != n->first)
            buf_add_str(b, indent ? "," : ", ");
        if (indent)
            buf_add_str(b, deeper);
        if (object) {
            json_key(b, w->nodes[c].key, w->nodes[c].key_len, key_style);
            buf_add_str(b, ": ");
        }
        json_emit(b, w, c, key_style, deeper, unit);
    }
    if (indent && n->first != NONE)
        buf_add_str(b, indent);
    buf_add_byte(b, object ? '}' : ']');
    free(deeper);
}

/* --- the format ----------------------------------------------------------- */

static int json5_parse(struct doc *d, struct error *e)
{
    size_t pos = d->body;

    return json_parse_value(d, NONE, &pos, d->len, false, e);
}

/* The quote of the document's strings where the old value had none. */
static enum style usual_quote(const struct doc *d)
{
    for (size_t i = 0; i < d->count; i++) {
        if (d->nodes[i].type == DOC_STRING)
            return (enum style)d->nodes[i].style;
    }
    return STYLE_DOUBLE;
}

/* Escapes for all but ASCII, when that is how the old text was written. */
static bool was_ascii(const struct doc *d, const struct doc_node *n)
{
    bool wide = false;

    for (size_t i = 0; i < n->len; i++)
        wide = wide || (unsigned char)n->text[i] >= 0x80;
    for (size_t i = n->start; i < n->end; i++) {
        if (d->src[i] >= 0x80)
            return false;
    }
    return wide;
}

int json5_encode(struct doc *d, const struct doc_node *n, struct edit *ed,
                 struct error *e)
{
    enum style style =
        n->type == DOC_STRING ? (enum style)n->style : usual_quote(d);

    (void)e;
    ed->start = n->start;
    ed->end = n->end;
    if (ed->type == DOC_STRING)
        json_quote(&ed->bytes, ed->text, ed->len,
                   style == STYLE_SINGLE ? '\'' : '"', was_ascii(d, n));
    else
        buf_add(&ed->bytes, ed->text, ed->len);
    return 0;
}

int json5_encode_key(struct doc *d, const struct doc_node *n, struct edit *ed,
                     struct error *e)
{
    (void)d;
    (void)e;
    ed->start = n->key_start;
    ed->end = n->key_end;
    json_key(&ed->bytes, ed->key, strlen(ed->key), (enum style)n->key_style);
    return 0;
}

int json5_insert(struct doc *d, struct edit *ed, struct doc **json,
                 struct error *e)
{
    (void)d;
    (void)e;
    ed->want = *json;
    *json = NULL;
    return 0;
}

static int json5_lay_out(struct render *r, uint32_t container, struct error *e)
{
    (void)e;
    return flow_lay_out(r, container, false);
}

const struct doc_ops json5_ops = {
    .name = "a JSON5 document",
    .utf8 = true,
    .typed = true,
    .max = DOC_CONFIG_MAX_BYTES,
    .parse = json5_parse,
    .encode = json5_encode,
    .encode_key = json5_encode_key,
    .insert = json5_insert,
    .lay_out = json5_lay_out,
};
