/* SPDX-License-Identifier: MIT */
#include "common/data/json_scan.h"

#include <string.h>

#include "common/base/text.h"

void scan_init(struct json_scan *s, const void *p, size_t len)
{
    *s = (struct json_scan){.start = p, .p = p, .end = (const uint8_t *)p};
    if (len)
        s->end += len;
}

void scan_bad(struct json_scan *s, const char *what)
{
    if (!s->bad)
        s->bad = what;
}

static void skip_space(struct json_scan *s)
{
    while (s->p < s->end &&
           (*s->p == ' ' || *s->p == '\n' || *s->p == '\r' || *s->p == '\t'))
        s->p++;
}

/* The next byte that is not white space; 0 at the end or after an error. */
static uint8_t peek(struct json_scan *s)
{
    if (s->bad)
        return 0;
    skip_space(s);
    return s->p < s->end ? *s->p : 0;
}

static bool take(struct json_scan *s, uint8_t c, const char *what)
{
    if (peek(s) != c) {
        scan_bad(s, what);
        return false;
    }
    s->p++;
    return true;
}

static void enter(struct json_scan *s)
{
    if (s->depth >= JSON_SCAN_DEPTH_MAX) {
        scan_bad(s, "nested too deeply");
        return;
    }
    s->depth++;
    s->begun &= ~(1ull << s->depth);
}

void scan_object(struct json_scan *s)
{
    if (take(s, '{', "expected an object"))
        enter(s);
}

void scan_array(struct json_scan *s)
{
    if (take(s, '[', "expected an array"))
        enter(s);
}

/* One more element before `close`? Takes the comma between elements. */
static bool more(struct json_scan *s, uint8_t close)
{
    uint64_t bit;

    if (s->bad)
        return false;
    bit = 1ull << s->depth;
    if (peek(s) == close) {
        s->p++;
        s->depth--;
        return false;
    }
    if ((s->begun & bit) && !take(s, ',', "expected a comma"))
        return false;
    s->begun |= bit;
    return true;
}

bool scan_item(struct json_scan *s)
{
    return more(s, ']');
}

static bool hex4(struct json_scan *s, uint32_t *out)
{
    uint8_t b[2];

    if (s->end - s->p < 4 || !hex_decode((const char *)s->p, 4, b, 2)) {
        scan_bad(s, "broken \\u escape");
        return false;
    }
    s->p += 4;
    *out = (uint32_t)b[0] << 8 | b[1];
    return true;
}

static size_t utf8_encode(uint32_t c, uint8_t out[4])
{
    if (c < 0x80) {
        out[0] = (uint8_t)c;
        return 1;
    }
    if (c < 0x800) {
        out[0] = (uint8_t)(0xc0 | c >> 6);
        out[1] = (uint8_t)(0x80 | (c & 0x3f));
        return 2;
    }
    if (c < 0x10000) {
        out[0] = (uint8_t)(0xe0 | c >> 12);
        out[1] = (uint8_t)(0x80 | (c >> 6 & 0x3f));
        out[2] = (uint8_t)(0x80 | (c & 0x3f));
        return 3;
    }
    out[0] = (uint8_t)(0xf0 | c >> 18);
    out[1] = (uint8_t)(0x80 | (c >> 12 & 0x3f));
    out[2] = (uint8_t)(0x80 | (c >> 6 & 0x3f));
    out[3] = (uint8_t)(0x80 | (c & 0x3f));
    return 4;
}

/* Behind a backslash: the bytes it stands for. */
static size_t escape(struct json_scan *s, uint8_t out[4])
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    uint32_t c, low;
    const char *at;

    if (s->p >= s->end)
        goto bad;
    if (*s->p != 'u') {
        at = memchr(from, *s->p, sizeof(from) - 1);
        if (!at)
            goto bad;
        s->p++;
        out[0] = (uint8_t)to[at - from];
        return 1;
    }
    s->p++;
    if (!hex4(s, &c))
        return 0;
    if (c >= 0xdc00 && c < 0xe000)
        goto bad;
    if (c >= 0xd800 && c < 0xdc00) {
        if (s->end - s->p < 2 || s->p[0] != '\\' || s->p[1] != 'u')
            goto bad;
        s->p += 2;
        if (!hex4(s, &low))
            return 0;
        if (low < 0xdc00 || low >= 0xe000)
            goto bad;
        c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
    }
    return utf8_encode(c, out);
bad:
    scan_bad(s, "broken escape in a string");
    return 0;
}

/* Decoded bytes go to `out`, or, when it is NULL, to s->key as far as they
 * fit. */
static void put(struct json_scan *s, struct buf *out, size_t *key_len,
                const uint8_t *p, size_t n)
{
    size_t room = JSON_SCAN_KEY_MAX - *key_len;

    if (out) {
        buf_add(out, p, n);
        return;
    }
    n = n < room ? n : room;
    memcpy(s->key + *key_len, p, n);
    *key_len += n;
}

/* What stands behind the opening quote, the closing one included. */
static void string_body(struct json_scan *s, struct buf *out)
{
    size_t key_len = 0;

    while (!s->bad) {
        const uint8_t *run = s->p;
        uint8_t four[4];

        while (s->p < s->end && *s->p >= 0x20 && *s->p != '"' && *s->p != '\\')
            s->p++;
        if (s->p >= s->end || *s->p < 0x20) {
            scan_bad(s, "string without end");
            return;
        }
        if (s->p > run) {
            if (!utf8_is_valid(run, (size_t)(s->p - run))) {
                scan_bad(s, "string is not UTF-8");
                return;
            }
            put(s, out, &key_len, run, (size_t)(s->p - run));
        }
        if (*s->p++ == '"')
            break;
        put(s, out, &key_len, four, escape(s, four));
    }
    if (!out)
        s->key[key_len] = 0;
}

const char *scan_key(struct json_scan *s)
{
    if (!more(s, '}') || !take(s, '"', "expected a key"))
        return NULL;
    string_body(s, NULL);
    if (!take(s, ':', "expected a colon"))
        return NULL;
    return s->key;
}

void scan_string(struct json_scan *s, struct buf *out)
{
    if (take(s, '"', "expected a string"))
        string_body(s, out);
}

uint64_t scan_u64(struct json_scan *s)
{
    const uint8_t *first;
    uint64_t v = 0;

    if (peek(s) < '0' || *s->p > '9') {
        scan_bad(s, "expected a whole number");
        return 0;
    }
    for (first = s->p; s->p < s->end && *s->p >= '0' && *s->p <= '9'; s->p++) {
        uint64_t digit = (uint64_t)(*s->p - '0');

        if (v > (UINT64_MAX - digit) / 10) {
            scan_bad(s, "number too large");
            return 0;
        }
        v = v * 10 + digit;
    }
    if ((*first == '0' && s->p - first > 1) ||
        (s->p < s->end && strchr(".eE", *s->p) && *s->p))
        scan_bad(s, "expected a whole number");
    return v;
}

static bool word(struct json_scan *s, const char *w)
{
    size_t n = strlen(w);

    if (peek(s) != (uint8_t)w[0] || (size_t)(s->end - s->p) < n ||
        memcmp(s->p, w, n) != 0)
        return false;
    s->p += n;
    return true;
}

bool scan_null(struct json_scan *s)
{
    return word(s, "null");
}

/* -?int[.frac][e[+-]int], checked only as far as its characters go */
static void skip_number(struct json_scan *s)
{
    const uint8_t *first = s->p;

    while (s->p < s->end &&
           ((*s->p >= '0' && *s->p <= '9') || *s->p == '-' || *s->p == '+' ||
            *s->p == '.' || *s->p == 'e' || *s->p == 'E'))
        s->p++;
    if (s->p == first)
        scan_bad(s, "expected a value");
}

/* A loop, not a recursion: `open` has one bit per level, 1 for an object. */
void scan_skip(struct json_scan *s)
{
    int floor = s->depth;
    uint64_t open = 0;

    do {
        uint8_t c = peek(s);

        if (c == '{' || c == '[') {
            s->p++;
            enter(s);
            open =
                c == '{' ? open | 1ull << s->depth : open & ~(1ull << s->depth);
        } else if (c == '"') {
            s->p++;
            string_body(s, NULL);
        } else if (!word(s, "true") && !word(s, "false") && !word(s, "null")) {
            skip_number(s);
        }
        /* on to the next value: close all levels that end here */
        while (!s->bad && s->depth > floor) {
            if (open & 1ull << s->depth ? scan_key(s) != NULL : scan_item(s))
                break;
        }
    } while (!s->bad && s->depth > floor);
}

int scan_end(struct json_scan *s, struct error *e)
{
    if (!s->bad) {
        skip_space(s);
        if (s->p != s->end)
            scan_bad(s, "bytes behind the end");
    }
    if (!s->bad)
        return 0;
    return error_set(e, OCM_E_DAMAGED, "JSON: %s at byte %zu", s->bad,
                     (size_t)(s->p - s->start));
}
