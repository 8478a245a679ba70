/* SPDX-License-Identifier: MIT */
#include "common/base/text.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/mem.h"

bool text_to_i64(const char *s, int64_t min, int64_t max, int64_t *out)
{
    char *end;
    long long v;

    if (!((*s >= '0' && *s <= '9') || (*s == '-' && s[1])))
        return false;
    errno = 0;
    v = strtoll(s, &end, 10);
    if (errno || *end || v < min || v > max)
        return false;
    *out = v;
    return true;
}

/* A number followed by one of the units; the factor of "" is units[0]. */
static bool with_unit(const char *s, const char *const *names,
                      const int64_t *factors, int64_t *out)
{
    char *end;
    long long v;

    if (*s < '0' || *s > '9')
        return false;
    errno = 0;
    v = strtoll(s, &end, 10);
    if (errno)
        return false;
    for (size_t i = 0; names[i]; i++) {
        if (strcmp(end, names[i]) == 0) {
            if (v > INT64_MAX / factors[i])
                return false;
            *out = v * factors[i];
            return true;
        }
    }
    return false;
}

bool text_to_ms(const char *s, int64_t *out_ms)
{
    static const char *const names[] = {"", "s", "ms", "m", "h", "d", NULL};
    static const int64_t factors[] = {1000, 1000, 1, 60000, 3600000, 86400000};

    return with_unit(s, names, factors, out_ms);
}

bool text_to_bytes(const char *s, int64_t *out)
{
    static const char *const names[] = {"", "K", "M", "G", "T", NULL};
    static const int64_t factors[] = {1, 1LL << 10, 1LL << 20, 1LL << 30,
                                      1LL << 40};

    return with_unit(s, names, factors, out);
}

void hex_encode(const uint8_t *p, size_t len, char *out)
{
    static const char digits[] = "0123456789abcdef";

    for (size_t i = 0; i < len; i++) {
        out[2 * i] = digits[p[i] >> 4];
        out[2 * i + 1] = digits[p[i] & 15];
    }
    out[2 * len] = 0;
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

bool hex_decode(const char *s, size_t len_of_s, uint8_t *out, size_t len)
{
    if (len_of_s != 2 * len)
        return false;
    for (size_t i = 0; i < len; i++) {
        int hi = hex_value(s[2 * i]), lo = hex_value(s[2 * i + 1]);

        if (hi < 0 || lo < 0)
            return false;
        out[i] = (uint8_t)(hi << 4 | lo);
    }
    return true;
}

bool name_is_valid(const char *s)
{
    size_t len = strlen(s);

    if (len == 0 || len > NAME_MAX_LEN || s[0] == '-' || s[len - 1] == '-')
        return false;
    for (; *s; s++) {
        if (!((*s >= 'a' && *s <= 'z') || (*s >= '0' && *s <= '9') ||
              *s == '-'))
            return false;
    }
    return true;
}

/* Bytes of the code point at `s`, 0 when it is NUL or not well-formed. */
static size_t utf8_len(const uint8_t *s, const uint8_t *end)
{
    uint32_t c = *s, min;
    size_t len;

    if (c == 0)
        return 0;
    if (c < 0x80)
        return 1;
    if (c >= 0xc2 && c < 0xe0) {
        len = 2, min = 0x80, c &= 0x1f;
    } else if (c >= 0xe0 && c < 0xf0) {
        len = 3, min = 0x800, c &= 0x0f;
    } else if (c >= 0xf0 && c < 0xf5) {
        len = 4, min = 0x10000, c &= 0x07;
    } else {
        return 0;
    }
    for (size_t i = 1; i < len; i++) {
        if (s + i >= end || (s[i] & 0xc0) != 0x80)
            return 0;
        c = c << 6 | (s[i] & 0x3f);
    }
    if (c < min || c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
        return 0;
    return len;
}

bool utf8_is_valid(const void *p, size_t len)
{
    const uint8_t *s = p, *end = s + len;

    while (s < end) {
        size_t n = utf8_len(s, end);

        if (n == 0)
            return false;
        s += n;
    }
    return true;
}

/* Bytes of the code point at `s`, 0 when it is nothing to be shown. */
static size_t shown_len(const uint8_t *s, const uint8_t *end)
{
    size_t n = *s < 0x20 || *s == 0x7f ? 0 : utf8_len(s, end);

    if (n == 2 && s[0] == 0xc2 && s[1] < 0xa0) /* C1: U+0080 to U+009F */
        return 0;
    if (n == 3 && s[0] == 0xe2 &&
        ((s[1] == 0x80 && s[2] >= 0xaa && s[2] <= 0xae) || /* U+202A to 202E */
         (s[1] == 0x81 && s[2] >= 0xa6 && s[2] <= 0xa9)))  /* U+2066 to 2069 */
        return 0;
    return n;
}

void text_clean(char *text)
{
    uint8_t *s = (uint8_t *)text, *end = s + strlen(text);

    while (s < end) {
        size_t n = shown_len(s, end);

        if (n == 0)
            *s++ = '?';
        else
            s += n;
    }
}

void text_escape(struct buf *out, const void *p, size_t len)
{
    const uint8_t *s = p, *end = s + len;

    while (s < end) {
        size_t n = shown_len(s, end);

        if (n == 0)
            buf_printf(out, "\\x%02x", *s++);
        else
            buf_add(out, s, n), s += n;
    }
}

bool text_has_prefix(const char *s, const char *prefix)
{
    return strncmp(s, prefix, strlen(prefix)) == 0;
}

bool text_has_suffix(const char *s, const char *suffix)
{
    size_t len = strlen(s), n = strlen(suffix);

    return len >= n && strcmp(s + len - n, suffix) == 0;
}

bool path_is_below(const char *path, const char *root)
{
    size_t len = strlen(root);

    if (len == 1 && root[0] == '/')
        return path[0] == '/';
    return strncmp(path, root, len) == 0 &&
           (path[len] == 0 || path[len] == '/');
}

char *path_join(const char *dir, const char *name)
{
    if (!*dir)
        return mem_strdup(name);
    if (!*name)
        return mem_strdup(dir);
    if (text_has_suffix(dir, "/"))
        return mem_printf("%s%s", dir, name);
    return mem_printf("%s/%s", dir, name);
}

char *path_clean(const char *path)
{
    char *out, *end;

    if (path[0] != '/')
        return NULL;
    out = mem_alloc(strlen(path) + 2);
    end = out;
    while (*path) {
        size_t len;

        while (*path == '/')
            path++;
        len = strcspn(path, "/");
        if (len == 0 || (len == 1 && path[0] == '.')) {
            /* nothing */
        } else if (len == 2 && path[0] == '.' && path[1] == '.') {
            while (end > out && *--end != '/')
                ;
        } else {
            *end++ = '/';
            memcpy(end, path, len);
            end += len;
        }
        path += len;
    }
    if (end == out)
        *end++ = '/';
    *end = 0;
    return out;
}

bool path_is_safe(const char *path, size_t len)
{
    size_t start = 0;

    if (len == 0 || memchr(path, 0, len))
        return false;
    for (size_t i = 0; i <= len; i++) {
        if (i < len && path[i] != '/')
            continue;
        if (i == start || (i - start == 1 && path[start] == '.') ||
            (i - start == 2 && path[start] == '.' && path[start + 1] == '.'))
            return false;
        start = i + 1;
    }
    return true;
}

void text_of_bytes(uint64_t bytes, char *out, size_t cap)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    double v = (double)bytes;
    size_t u = 0;

    while (v >= 1024 && u + 1 < ARRAY_LEN(units)) {
        v /= 1024;
        u++;
    }
    snprintf(out, cap, u == 0 || v >= 100 ? "%.0f %s" : "%.1f %s", v, units[u]);
}
