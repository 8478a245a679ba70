/* SPDX-License-Identifier: MIT */
#include "common/base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"

void buf_free(struct buf *b)
{
    free(b->data);
    *b = (struct buf){0};
}

void buf_wipe(struct buf *b)
{
    if (b->data)
        explicit_bzero(b->data, b->cap);
    buf_free(b);
}

void buf_clear(struct buf *b)
{
    b->len = 0;
}

uint8_t *buf_reserve(struct buf *b, size_t more)
{
    b->data = mem_grow(b->data, &b->cap, b->len + more + 1, 1);
    return b->data + b->len;
}

void buf_add(struct buf *b, const void *p, size_t len)
{
    uint8_t *to = buf_reserve(b, len);

    if (len)
        memcpy(to, p, len);
    b->len += len;
}

void buf_add_str(struct buf *b, const char *s)
{
    buf_add(b, s, strlen(s));
}

void buf_add_byte(struct buf *b, uint8_t byte)
{
    *buf_reserve(b, 1) = byte;
    b->len++;
}

void buf_add_decimal(struct buf *b, uint64_t v)
{
    char digits[20];
    size_t at = sizeof(digits);

    do
        digits[--at] = (char)('0' + v % 10);
    while ((v /= 10) > 0);
    buf_add(b, digits + at, sizeof(digits) - at);
}

void buf_add_u16be(struct buf *b, uint16_t v)
{
    write_u16be(buf_reserve(b, 2), v);
    b->len += 2;
}

void buf_add_u32be(struct buf *b, uint32_t v)
{
    write_u32be(buf_reserve(b, 4), v);
    b->len += 4;
}

void buf_add_u32le(struct buf *b, uint32_t v)
{
    write_u32le(buf_reserve(b, 4), v);
    b->len += 4;
}

void buf_printf(struct buf *b, const char *fmt, ...)
{
    va_list ap, again;
    int n;

    va_start(ap, fmt);
    va_copy(again, ap);
    n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    if (n > 0) {
        vsnprintf((char *)buf_reserve(b, (size_t)n), (size_t)n + 1, fmt, again);
        b->len += (size_t)n;
    }
    va_end(again);
}

void buf_consume(struct buf *b, size_t len)
{
    memmove(b->data, b->data + len, b->len - len);
    b->len -= len;
}

char *buf_str(struct buf *b)
{
    *buf_reserve(b, 1) = 0;
    return (char *)b->data;
}

struct buf buf_take(struct buf *b)
{
    struct buf out = *b;

    *b = (struct buf){0};
    return out;
}

uint16_t read_u16be(const uint8_t *p)
{
    return (uint16_t)(p[0] << 8 | p[1]);
}

uint32_t read_u32be(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 |
           p[3];
}

uint32_t read_u32le(const uint8_t *p)
{
    return (uint32_t)p[3] << 24 | (uint32_t)p[2] << 16 | (uint32_t)p[1] << 8 |
           p[0];
}

uint64_t read_u64le(const uint8_t *p)
{
    return (uint64_t)read_u32le(p + 4) << 32 | read_u32le(p);
}

void write_u16be(uint8_t *p, uint16_t v)
{
    p[0] = (uint8_t)(v >> 8);
    p[1] = (uint8_t)v;
}

void write_u32be(uint8_t *p, uint32_t v)
{
    p[0] = (uint8_t)(v >> 24);
    p[1] = (uint8_t)(v >> 16);
    p[2] = (uint8_t)(v >> 8);
    p[3] = (uint8_t)v;
}

void write_u32le(uint8_t *p, uint32_t v)
{
    p[3] = (uint8_t)(v >> 24);
    p[2] = (uint8_t)(v >> 16);
    p[1] = (uint8_t)(v >> 8);
    p[0] = (uint8_t)v;
}
