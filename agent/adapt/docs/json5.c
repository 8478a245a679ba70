/* SPDX-License-Identifier: MIT */
/* JSON5 (spec.json5.org) and, in `strict`, JSON (RFC 8259): a loop over the
 * bytes that keeps the span of every value; nesting is the chain of parents,
 * so nothing recurses. Any letter beyond ASCII passes in unquoted keys. */
#include "agent/adapt/docs/doc_internal.h"

#include <stdio.h>
#include <string.h>

#include "common/base/mem.h"

struct lexer {
    struct doc *d;
    const uint8_t *s;
    size_t pos, end;
    bool strict;
    struct buf text; /* of the string being decoded */
    struct error *e;
};

#define fail(x, off, ...)                                                      \
    doc_error_at((x)->d, off, (x)->e, OCM_E_INVALID, __VA_ARGS__)

static int peek(const struct lexer *x)
{
    return x->pos < x->end ? x->s[x->pos] : -1;
}

/* What stands at `off`, for a message. */
static const char *found(const struct lexer *x, size_t off, char out[24])
{
    uint32_t cp = 0;

    if (off >= x->end)
        return "the end";
    if (utf8_take(x->s + off, x->end - off, &cp) == 1 && cp > ' ' && cp < 0x7f)
        snprintf(out, 24, "'%c'", (int)cp);
    else
        snprintf(out, 24, "U+%04X", cp);
    return out;
}

static bool is_wide_space(uint32_t cp)
{
    return cp == 0xa0 || cp == 0xfeff || cp == 0x1680 || cp == 0x2028 ||
           cp == 0x2029 || cp == 0x202f || cp == 0x205f || cp == 0x3000 ||
           (cp >= 0x2000 && cp <= 0x200a);
}

static int skip_comment(struct lexer *x)
{
    size_t from = x->pos;

    if (x->pos + 1 >= x->end ||
        (x->s[x->pos + 1] != '/' && x->s[x->pos + 1] != '*'))
        return fail(x, from, "'/' begins nothing");
    if (x->s[x->pos + 1] == '/') {
        while (x->pos < x->end && x->s[x->pos] != '\n' &&
               x->s[x->pos] != '\r' &&
               !(x->end - x->pos >= 3 && x->s[x->pos] == 0xe2 &&
                 x->s[x->pos + 1] == 0x80 && (x->s[x->pos + 2] & 0xfe) == 0xa8))
            x->pos++;
        return 0;
    }
    for (x->pos += 2; x->pos + 1 < x->end; x->pos++) {
        if (x->s[x->pos] == '*' && x->s[x->pos + 1] == '/') {
            x->pos += 2;
            return 0;
        }
    }
    return fail(x, from, "the comment never ends");
}

/* White space and comments. */
static int skip(struct lexer *x)
{
    for (;;) {
        int c = peek(x);
        uint32_t cp;

        if (c == ' ' || c == '\n' || c == '\t' || c == '\r') {
            x->pos++;
        } else if (x->strict || c == -1) {
            return 0;
        } else if (c == '\v' || c == '\f') {
            x->pos++;
        } else if (c == '/') {
            int rc = skip_comment(x);

            if (rc != 0)
                return rc;
        } else if (c >= 0x80) {
            size_t n = utf8_take(x->s + x->pos, x->end - x->pos, &cp);

            if (n == 0 || !is_wide_space(cp))
                return 0;
            x->pos += n;
        } else {
            return 0;
        }
    }
}

static int hex4(const struct lexer *x, size_t at, size_t digits, uint32_t *out)
{
    *out = 0;
    for (size_t i = 0; i < digits; i++) {
        int c = at + i < x->end ? x->s[at + i] : -1;

        if (c >= '0' && c <= '9')
            *out = *out << 4 | (uint32_t)(c - '0');
        else if ((c | 32) >= 'a' && (c | 32) <= 'f')
            *out = *out << 4 | (uint32_t)((c | 32) - 'a' + 10);
        else
            return -1;
    }
    return 0;
}

/* \uXXXX with x->pos at its 'u'; two halves of a pair become one. */
static int take_unicode(struct lexer *x)
{
    uint32_t cp, low;

    if (hex4(x, x->pos + 1, 4, &cp) != 0)
        return fail(x, x->pos - 1, "\\u needs four hex digits");
    x->pos += 5;
    if (cp >= 0xd800 && cp < 0xdc00 && x->pos + 1 < x->end &&
        x->s[x->pos] == '\\' && x->s[x->pos + 1] == 'u' &&
        hex4(x, x->pos + 2, 4, &low) == 0 && low >= 0xdc00 && low < 0xe000) {
        cp = 0x10000 + ((cp - 0xd800) << 10) + (low - 0xdc00);
        x->pos += 6;
    }
    utf8_put(&x->text, cp);
    return 0;
}

/* The escape whose backslash has been taken. */
static int take_escape(struct lexer *x)
{
    static const char from[] = "bfnrt\"\\/", to[] = "\b\f\n\r\t\"\\/";
    int c = peek(x);
    const char *at = c > 0 ? strchr(from, c) : NULL;
    uint32_t cp;

    if (at) {
        buf_add_byte(&x->text, (uint8_t)to[at - from]);
        x->pos++;
        return 0;
    }
    if (c == 'u')
        return take_unicode(x);
    if (x->strict || c == -1 || (c >= '1' && c <= '9'))
        return fail(x, x->pos - 1, "unknown escape");
    if (c == 'x') {
        if (hex4(x, x->pos + 1, 2, &cp) != 0)
            return fail(x, x->pos - 1, "\\x needs two hex digits");
        utf8_put(&x->text, cp);
        x->pos += 3;
        return 0;
    }
    if (c == '0') {
        x->pos++;
        if (peek(x) >= '0' && peek(x) <= '9')
            return fail(x, x->pos - 2, "an octal escape");
        buf_add_byte(&x->text, 0);
        return 0;
    }
    if (c == 'v') {
        buf_add_byte(&x->text, '\v');
        x->pos++;
        return 0;
    }
    if (c == '\r') { /* the line goes on */
        x->pos += x->pos + 1 < x->end && x->s[x->pos + 1] == '\n' ? 2 : 1;
        return 0;
    }
    if (c == '\n') {
        x->pos++;
        return 0;
    }
    x->pos += utf8_take(x->s + x->pos, x->end - x->pos, &cp);
    if (cp != 0x2028 && cp != 0x2029)
        utf8_put(&x->text, cp);
    return 0;
}

/* A string from its quote on into x->text. */
static int take_string(struct lexer *x)
{
    size_t from = x->pos;
    int quote = x->s[x->pos++], rc;

    buf_clear(&x->text);
    for (;;) {
        size_t run = x->pos;

        while (x->pos < x->end && x->s[x->pos] != quote &&
               x->s[x->pos] != '\\' && x->s[x->pos] >= ' ')
            x->pos++;
        buf_add(&x->text, x->s + run, x->pos - run);
        if (peek(x) == -1 || peek(x) == '\n' || peek(x) == '\r')
            return fail(x, from, "the string never ends");
        if (peek(x) == quote) {
            x->pos++;
            return 0;
        }
        if (peek(x) == '\\') {
            x->pos++;
            rc = take_escape(x);
            if (rc != 0)
                return rc;
            continue;
        }
        if (x->strict)
            return fail(x, x->pos, "a control character in a string");
        buf_add_byte(&x->text, x->s[x->pos++]);
    }
}

static bool is_name(const struct lexer *x, bool first)
{
    int c = peek(x);
    uint32_t cp;

    if ((c | 32) >= 'a' && (c | 32) <= 'z')
        return true;
    if (c == '_' || c == '$' || c == '\\')
        return true;
    if (c >= '0' && c <= '9')
        return !first;
    return c >= 0x80 && utf8_take(x->s + x->pos, x->end - x->pos, &cp) != 0 &&
           !is_wide_space(cp);
}

/* An unquoted key into x->text. */
static int take_name(struct lexer *x)
{
    char what[24];
    int rc;

    buf_clear(&x->text);
    if (!is_name(x, true))
        return fail(x, x->pos, "a key is expected, not %s",
                    found(x, x->pos, what));
    while (is_name(x, x->text.len == 0)) {
        uint32_t cp;

        if (peek(x) != '\\') {
            size_t n = utf8_take(x->s + x->pos, x->end - x->pos, &cp);

            buf_add(&x->text, x->s + x->pos, n);
            x->pos += n;
            continue;
        }
        x->pos++;
        if (peek(x) != 'u')
            return fail(x, x->pos - 1, "only \\uXXXX may stand in a bare key");
        rc = take_unicode(x);
        if (rc != 0)
            return rc;
    }
    return 0;
}

static size_t digits(const struct lexer *x, size_t at)
{
    size_t n = 0;

    while (at + n < x->end && x->s[at + n] >= '0' && x->s[at + n] <= '9')
        n++;
    return n;
}

static bool has_word(const struct lexer *x, size_t at, const char *word)
{
    size_t len = strlen(word);

    return x->end - at >= len && memcmp(x->s + at, word, len) == 0;
}

/* Bytes of the number at `at`, 0 when it is none. */
static size_t number_len(const struct lexer *x, size_t at)
{
    size_t p = at, whole, fraction = 0;

    if (p < x->end && (x->s[p] == '-' || (x->s[p] == '+' && !x->strict)))
        p++;
    if (!x->strict) {
        if (has_word(x, p, "Infinity"))
            return p + 8 - at;
        if (has_word(x, p, "NaN"))
            return p + 3 - at;
        if (has_word(x, p, "0x") || has_word(x, p, "0X")) {
            uint32_t v;
            size_t n = 0;

            while (hex4(x, p + 2 + n, 1, &v) == 0)
                n++;
            return n ? p + 2 + n - at : 0;
        }
    }
    whole = digits(x, p);
    if (whole > 1 && x->s[p] == '0')
        return 0;
    p += whole;
    if (p < x->end && x->s[p] == '.') {
        fraction = digits(x, p + 1);
        p += 1 + fraction;
        if (x->strict && (fraction == 0 || whole == 0))
            return 0;
    }
    if (whole == 0 && fraction == 0)
        return 0;
    if (p < x->end && (x->s[p] | 32) == 'e') {
        size_t n;

        p++;
        if (p < x->end && (x->s[p] == '+' || x->s[p] == '-'))
            p++;
        n = digits(x, p);
        if (n == 0)
            return 0;
        p += n;
    }
    return p - at;
}

static int take_scalar(struct lexer *x, uint32_t id)
{
    static const struct {
        const char *word;
        uint8_t type;
    } words[] = {{"true", DOC_BOOL}, {"false", DOC_BOOL}, {"null", DOC_NULL}};
    struct doc_node *n = &x->d->nodes[id];
    size_t from = x->pos;
    char what[24];
    int c = peek(x);

    if (c == '"' || (c == '\'' && !x->strict)) {
        int rc = take_string(x);

        if (rc != 0)
            return rc;
        n->type = DOC_STRING;
        n->style = c == '"' ? STYLE_DOUBLE : STYLE_SINGLE;
        doc_node_text(x->d, id, x->text.data, x->text.len);
    } else {
        size_t len = number_len(x, from);

        n->type = DOC_NUMBER;
        for (size_t i = 0; i < ARRAY_LEN(words) && len == 0; i++) {
            if (has_word(x, from, words[i].word)) {
                len = strlen(words[i].word);
                n->type = words[i].type;
            }
        }
        if (len == 0)
            return fail(x, from, "a value is expected, not %s",
                        found(x, from, what));
        x->pos += len;
        if (is_name(x, false))
            return fail(x, x->pos, "%s in the middle of a value",
                        found(x, x->pos, what));
        doc_node_text(x->d, id, x->s + from, len);
    }
    x->d->nodes[id].end = (uint32_t)x->pos;
    return 0;
}

/* key and ':' of a member of `id`, which is made for it. */
static int take_key(struct lexer *x, uint32_t id)
{
    struct doc_node *n = &x->d->nodes[id];
    size_t from = x->pos;
    char what[24];
    int c = peek(x), rc;

    if (c == '"' || (c == '\'' && !x->strict)) {
        n->key_style = c == '"' ? STYLE_DOUBLE : STYLE_SINGLE;
        rc = take_string(x);
    } else if (x->strict) {
        return fail(x, from, "a key in double quotes is expected, not %s",
                    found(x, from, what));
    } else {
        n->key_style = STYLE_BARE;
        rc = take_name(x);
    }
    if (rc != 0)
        return rc;
    doc_node_key(x->d, id, x->text.data, x->text.len);
    n->key_start = (uint32_t)from;
    n->key_end = (uint32_t)x->pos;
    rc = skip(x);
    if (rc != 0)
        return rc;
    if (peek(x) != ':')
        return fail(x, x->pos, "':' is expected behind the key, not %s",
                    found(x, x->pos, what));
    x->pos++;
    return skip(x);
}

/* The next member or element of `up`, up to where its value begins. */
static int begin_value(struct lexer *x, uint32_t up, uint32_t *id)
{
    size_t from = x->pos;
    struct doc_node *n;
    int rc;

    *id = doc_add(x->d, up, x->e);
    if (*id == NONE)
        return OCM_E_LIMIT;
    x->d->nodes[*id].from = (uint32_t)from;
    x->d->nodes[*id].line = doc_line_at(x->d, from);
    if (up != NONE && x->d->nodes[up].type == DOC_OBJECT) {
        rc = take_key(x, *id);
        if (rc != 0)
            return rc;
    }
    n = &x->d->nodes[*id];
    n->start = (uint32_t)x->pos;
    return 0;
}

static int close_container(struct lexer *x, uint32_t id)
{
    struct doc_node *n = &x->d->nodes[id];

    x->pos++;
    n->end = (uint32_t)x->pos;
    x->d->depth--;
    return n->type == DOC_OBJECT ? doc_check_keys(x->d, id, x->e) : 0;
}

/* Behind a value of `*up`: a comma, or the ends of containers. When all is
 * read *up is `base`; otherwise another value follows. */
static int after_value(struct lexer *x, uint32_t *up, uint32_t base)
{
    char what[24];
    int rc;

    while (*up != base) {
        struct doc_node *n = &x->d->nodes[*up];
        int close = n->type == DOC_OBJECT ? '}' : ']';

        rc = skip(x);
        if (rc != 0)
            return rc;
        if (peek(x) == ',' && n->last != NONE &&
            x->d->nodes[n->last].comma == NONE) {
            x->d->nodes[n->last].comma = (uint32_t)x->pos++;
            rc = skip(x);
            if (rc != 0 || peek(x) != close)
                return rc;
            if (x->strict)
                return fail(x, x->d->nodes[n->last].comma,
                            "a comma behind the last value");
        }
        if (peek(x) != close)
            return fail(x, x->pos, "',' or '%c' is expected, not %s", close,
                        found(x, x->pos, what));
        rc = close_container(x, *up);
        if (rc != 0)
            return rc;
        *up = n->parent;
    }
    return 0;
}

static int parse_tree(struct lexer *x, uint32_t base)
{
    uint32_t up = base, id;
    int rc;

    do {
        int c;

        rc = begin_value(x, up, &id);
        if (rc != 0)
            return rc;
        c = peek(x);
        if (c == '{' || c == '[') {
            if (x->d->depth++ >= DOC_DEPTH_MAX)
                return doc_error_at(x->d, x->pos, x->e, OCM_E_LIMIT,
                                    "nested deeper than %d", DOC_DEPTH_MAX);
            x->d->nodes[id].type = c == '{' ? DOC_OBJECT : DOC_ARRAY;
            x->d->nodes[id].style = STYLE_FLOW;
            x->pos++;
            up = id;
            rc = skip(x);
            if (rc != 0)
                return rc;
            if (peek(x) != (c == '{' ? '}' : ']'))
                continue;
        } else {
            rc = take_scalar(x, id);
            if (rc != 0)
                return rc;
        }
        rc = after_value(x, &up, base);
        if (rc != 0)
            return rc;
    } while (up != base);
    return 0;
}

int json_parse_value(struct doc *d, uint32_t parent, size_t *pos, size_t end,
                     bool strict, struct error *e)
{
    struct lexer x = {
        .d = d, .s = d->src, .pos = *pos, .end = end, .strict = strict, .e = e};
    char what[24];
    int rc = skip(&x);

    d->depth = 0;
    if (rc == 0)
        rc = parse_tree(&x, parent);
    if (rc == 0)
        rc = skip(&x);
    if (rc == 0 && x.pos < end)
        rc = fail(&x, x.pos, "%s behind the end of the document",
                  found(&x, x.pos, what));
    *pos = x.pos;
    buf_wipe(&x.text);
    return rc;
}
