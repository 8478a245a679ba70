/* SPDX-License-Identifier: MIT */
/* Places in the source: characters, lines, indentation. */
#include "agent/adapt/docs/doc_internal.h"

#include <string.h>

size_t utf8_take(const uint8_t *p, size_t len, uint32_t *cp)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t n;

    if (len == 0)
        return 0;
    if (p[0] < 0x80) {
        *cp = p[0];
        return 1;
    }
    if (p[0] < 0xc2 || p[0] > 0xf4)
        return 0;
    n = p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
    if (len < n)
        return 0;
    *cp = p[0] & (0x7fu >> n);
    for (size_t i = 1; i < n; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return 0;
        *cp = *cp << 6 | (p[i] & 0x3f);
    }
    return *cp >= least[n] && *cp <= 0x10ffff ? n : 0;
}

void utf8_put(struct buf *b, uint32_t cp)
{
    if (cp < 0x80) {
        buf_add_byte(b, (uint8_t)cp);
        return;
    }
    if (cp < 0x800) {
        buf_add_byte(b, (uint8_t)(0xc0 | cp >> 6));
    } else {
        if (cp < 0x10000) {
            buf_add_byte(b, (uint8_t)(0xe0 | cp >> 12));
        } else {
            buf_add_byte(b, (uint8_t)(0xf0 | cp >> 18));
            buf_add_byte(b, (uint8_t)(0x80 | (cp >> 12 & 0x3f)));
        }
        buf_add_byte(b, (uint8_t)(0x80 | (cp >> 6 & 0x3f)));
    }
    buf_add_byte(b, (uint8_t)(0x80 | (cp & 0x3f)));
}

bool utf8_all(const void *p, size_t len)
{
    const uint8_t *s = p;
    uint32_t cp;

    while (len > 0) {
        size_t n = utf8_take(s, len, &cp);

        if (n == 0)
            return false;
        s += n;
        len -= n;
    }
    return true;
}

static bool is_end(uint8_t c)
{
    return c == '\n' || c == '\r';
}

size_t line_start(const struct doc *d, size_t off)
{
    while (off > d->body && !is_end(d->src[off - 1]))
        off--;
    return off;
}

size_t line_end(const struct doc *d, size_t off)
{
    while (off < d->len && !is_end(d->src[off]))
        off++;
    return off;
}

size_t line_next(const struct doc *d, size_t off)
{
    off = line_end(d, off);
    if (off + 1 < d->len && d->src[off] == '\r' && d->src[off + 1] == '\n')
        return off + 2;
    return off < d->len ? off + 1 : off;
}

size_t skip_blanks(const struct doc *d, size_t off)
{
    while (off < d->len && (d->src[off] == ' ' || d->src[off] == '\t'))
        off++;
    return off;
}

size_t skip_blanks_back(const struct doc *d, size_t off)
{
    while (off > d->body && (d->src[off - 1] == ' ' || d->src[off - 1] == '\t'))
        off--;
    return off;
}

bool is_first_on_line(const struct doc *d, size_t off)
{
    off = skip_blanks_back(d, off);
    return off == d->body || is_end(d->src[off - 1]);
}

void add_indent_of(const struct doc *d, size_t off, struct buf *b)
{
    size_t at = line_start(d, off);

    buf_add(b, d->src + at, skip_blanks(d, at) - at);
}

/* What the first member that stands on a line of its own has more than the
 * line of its container. */
const char *indent_unit(const struct doc *d)
{
    for (size_t i = 1; i < d->count; i++) {
        const struct doc_node *n = &d->nodes[i];
        size_t at, own, outer;

        if (!is_first_on_line(d, n->from))
            continue;
        at = line_start(d, n->from);
        if (d->src[at] == '\t')
            return "\t";
        own = n->from - at;
        at = line_start(d, d->nodes[n->parent].from);
        outer = skip_blanks(d, at) - at;
        if (own > outer && own - outer <= 8)
            return &"        "[8 - (own - outer)];
    }
    return "  ";
}
