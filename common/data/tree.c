/* SPDX-License-Identifier: MIT */
/* Writing trees. What Go does to text stands here twice: strconv.Quote for
 * the body of a name, then encoding/json for every string. */
#include "common/data/tree.h"

#include <string.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/data/printable.h"
#include "common/data/tree_mode.h"

/* One code point of UTF-8 at `p`; 0 when the bytes are not well-formed. */
static size_t utf8_next(const uint8_t *p, size_t len, uint32_t *out)
{
    size_t n = p[0] < 0x80    ? 1
               : p[0] < 0xc2  ? 0
               : p[0] < 0xe0  ? 2
               : p[0] < 0xf0  ? 3
               : p[0] <= 0xf4 ? 4
                              : 0;

    if (n == 0 || n > len || (n > 1 && !utf8_is_valid(p, n)))
        return 0;
    *out = n == 1 ? p[0] : p[0] & (0xffu >> (n + 1));
    for (size_t i = 1; i < n; i++)
        *out = *out << 6 | (p[i] & 0x3f);
    return n;
}

static bool is_printable(uint32_t c)
{
    size_t low = 0, high = ARRAY_LEN(printable_ranges);

    while (low < high) {
        size_t mid = low + (high - low) / 2;

        if (c > printable_ranges[mid].last)
            low = mid + 1;
        else if (c < printable_ranges[mid].first)
            high = mid;
        else
            return true;
    }
    return false;
}

/* The inside of a JSON string as encoding/json writes it (HTML escaping on).
 * Bytes that are not UTF-8 become U+FFFD, escaped. */
static void add_json_text(struct buf *out, const void *text, size_t len)
{
    const uint8_t *p = text;

    for (size_t i = 0; i < len;) {
        size_t run = i, n;
        uint32_t c = 0;

        while (i < len && p[i] >= 0x20 && p[i] < 0x80 &&
               !strchr("\"\\<>&", p[i]))
            i++;
        buf_add(out, p + run, i - run);
        if (i == len)
            break;
        n = utf8_next(p + i, len - i, &c);
        if (n == 0) {
            buf_add_str(out, "\\ufffd");
            i++;
            continue;
        }
        if (c == '"' || c == '\\') {
            buf_add_byte(out, '\\');
            buf_add_byte(out, (uint8_t)c);
        } else if (c == '\n') {
            buf_add_str(out, "\\n");
        } else if (c == '\r') {
            buf_add_str(out, "\\r");
        } else if (c == '\t') {
            buf_add_str(out, "\\t");
        } else if (c < 0x20 || c == '<' || c == '>' || c == '&' ||
                   c == 0x2028 || c == 0x2029) {
            buf_printf(out, "\\u%04x", c);
        } else {
            buf_add(out, p + i, n);
        }
        i += n;
    }
}

/* The body of strconv.Quote: what a name becomes before it is JSON. */
static void add_quoted(struct buf *out, const uint8_t *p, size_t len)
{
    static const char from[] = "\a\b\f\n\r\t\v\"\\", to[] = "abfnrtv\"\\";

    for (size_t i = 0; i < len;) {
        const char *at;
        uint32_t c = 0;
        size_t n = utf8_next(p + i, len - i, &c);

        if (n == 0) {
            buf_printf(out, "\\x%02x", p[i++]);
            continue;
        }
        at = c && c < 0x80 ? strchr(from, (int)c) : NULL;
        if (at) {
            buf_add_byte(out, '\\');
            buf_add_byte(out, (uint8_t)to[at - from]);
        } else if (c < 0x20 || c == 0x7f) {
            buf_printf(out, "\\x%02x", c);
        } else if (c < 0x7f || is_printable(c)) {
            buf_add(out, p + i, n);
        } else if (c < 0x10000) {
            buf_printf(out, "\\u%04x", c);
        } else {
            buf_printf(out, "\\U%08x", c);
        }
        i += n;
    }
}

static void add_name(struct buf *out, const char *name, size_t len)
{
    struct buf quoted = {0};
    bool plain = true;

    for (size_t i = 0; plain && i < len; i++) {
        uint8_t c = (uint8_t)name[i];

        plain = c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
    }
    if (plain) {
        add_json_text(out, name, len);
        return;
    }
    add_quoted(&quoted, (const uint8_t *)name, len);
    add_json_text(out, quoted.data, quoted.len);
    buf_free(&quoted);
}

static void add_base64(struct buf *out, const uint8_t *p, size_t len)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                 "abcdefghijklmnopqrstuvwxyz0123456789+/";

    for (size_t i = 0; i < len; i += 3) {
        size_t left = len - i;
        uint32_t v = (uint32_t)p[i] << 16 |
                     (left > 1 ? (uint32_t)p[i + 1] << 8 : 0) |
                     (left > 2 ? p[i + 2] : 0);

        buf_add_byte(out, (uint8_t)digits[v >> 18]);
        buf_add_byte(out, (uint8_t)digits[v >> 12 & 63]);
        buf_add_byte(out, left > 1 ? (uint8_t)digits[v >> 6 & 63] : '=');
        buf_add_byte(out, left > 2 ? (uint8_t)digits[v & 63] : '=');
    }
}

static void add_key(struct buf *out, const char *key)
{
    buf_add(out, ",\"", 2);
    buf_add_str(out, key);
    buf_add(out, "\":", 2);
}

static void add_text(struct buf *out, const char *key, const char *text)
{
    if (!text || !*text)
        return;
    add_key(out, key);
    buf_add_byte(out, '"');
    add_json_text(out, text, strlen(text));
    buf_add_byte(out, '"');
}

static void add_number(struct buf *out, const char *key, uint64_t v)
{
    if (!v)
        return;
    add_key(out, key);
    buf_add_decimal(out, v);
}

static void add_time(struct buf *out, const char *key, int64_t ns)
{
    char text[CLOCK_TEXT_MAX];

    clock_format(ns, text);
    add_text(out, key, text);
}

static void add_id(struct buf *out, const struct id *id)
{
    char hex[ID_HEX_LEN + 1];

    id_hex(id, hex);
    buf_add_byte(out, '"');
    buf_add(out, hex, ID_HEX_LEN);
    buf_add_byte(out, '"');
}

static void add_link(struct buf *out, const char *target)
{
    size_t len = target ? strlen(target) : 0;

    add_text(out, "linktarget", target);
    /* restic 0.17 and later keep the bytes beside the lossy text */
    if (len && !utf8_is_valid(target, len)) {
        buf_add_str(out, ",\"linktarget_raw\":\"");
        add_base64(out, (const uint8_t *)target, len);
        buf_add_byte(out, '"');
    }
}

static void add_xattrs(struct buf *out, const struct tree_node *n)
{
    if (n->xattr_count == 0)
        return;
    buf_add_str(out, ",\"extended_attributes\":[");
    for (size_t i = 0; i < n->xattr_count; i++) {
        const struct tree_xattr *x = &n->xattrs[i];

        buf_add_str(out, i ? ",{\"name\":\"" : "{\"name\":\"");
        add_json_text(out, x->name, strlen(x->name));
        buf_add_str(out, "\",\"value\":\"");
        add_base64(out, x->value, x->value_len);
        buf_add_str(out, "\"}");
    }
    buf_add_byte(out, ']');
}

static void add_content(struct buf *out, const struct tree_node *n)
{
    if (n->type != TREE_FILE) {
        buf_add_str(out, ",\"content\":null");
        return;
    }
    buf_add_str(out, ",\"content\":[");
    for (size_t i = 0; i < n->content_count; i++) {
        if (i)
            buf_add_byte(out, ',');
        add_id(out, &n->content[i]);
    }
    buf_add_byte(out, ']');
}

void tree_begin(struct buf *out)
{
    buf_add_str(out, "{\"nodes\":[");
}

void tree_add(struct buf *out, const struct tree_node *n)
{
    buf_add_str(out, out->data[out->len - 1] == '[' ? "{\"name\":\""
                                                    : ",{\"name\":\"");
    add_name(out, n->name, n->name_len);
    buf_add_byte(out, '"');
    add_text(out, "type", tree_type_name(n->type));
    add_number(out, "mode", tree_mode_to_go(n->type, n->mode));
    add_time(out, "mtime", n->mtime_ns);
    add_time(out, "atime", n->atime_ns);
    add_time(out, "ctime", n->ctime_ns);
    add_key(out, "uid");
    buf_add_decimal(out, n->uid);
    add_key(out, "gid");
    buf_add_decimal(out, n->gid);
    add_text(out, "user", n->user);
    add_text(out, "group", n->group);
    add_number(out, "inode", n->inode);
    add_number(out, "device_id", n->device_id);
    add_number(out, "size", n->size);
    add_number(out, "links", n->links);
    add_link(out, n->linktarget);
    add_xattrs(out, n);
    add_number(out, "device", n->device);
    add_content(out, n);
    if (n->type == TREE_DIR) {
        buf_add_str(out, ",\"subtree\":");
        add_id(out, &n->subtree);
    }
    buf_add_byte(out, '}');
}

void tree_end(struct buf *out)
{
    buf_add_str(out, "]}\n");
}
