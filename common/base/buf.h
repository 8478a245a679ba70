/* SPDX-License-Identifier: MIT */
/* A growable run of bytes, the one buffer of the house. */
#ifndef COMMON_BASE_BUF_H
#define COMMON_BASE_BUF_H

#include <stddef.h>
#include <stdint.h>

/* `{0}` is a valid empty buffer. The bytes belong to the struct; pointers
 * into them are borrowed until the next call that may grow it. */
struct buf {
    uint8_t *data;
    size_t len; /* bytes used */
    size_t cap; /* bytes allocated */
};

void buf_free(struct buf *b);  /* back to {0} */
void buf_wipe(struct buf *b);  /* zero the bytes, then free */
void buf_clear(struct buf *b); /* len = 0, memory kept */

/* Make room for `more` bytes behind len and return where they go. */
uint8_t *buf_reserve(struct buf *b, size_t more);

void buf_add(struct buf *b, const void *p, size_t len);
void buf_add_str(struct buf *b, const char *s);
void buf_add_byte(struct buf *b, uint8_t byte);
void buf_add_decimal(struct buf *b, uint64_t v);
void buf_add_u16be(struct buf *b, uint16_t v);
void buf_add_u32be(struct buf *b, uint32_t v);
void buf_add_u32le(struct buf *b, uint32_t v);
void buf_printf(struct buf *b, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* Drop `len` bytes at the front (a memmove). */
void buf_consume(struct buf *b, size_t len);

/* The bytes as a string: a NUL is put behind them, not counted in len. */
char *buf_str(struct buf *b);

/* Move the content of `b` out; `b` becomes {0}. */
struct buf buf_take(struct buf *b);

uint16_t read_u16be(const uint8_t *p);
uint32_t read_u32be(const uint8_t *p);
uint32_t read_u32le(const uint8_t *p);
uint64_t read_u64le(const uint8_t *p);
void write_u16be(uint8_t *p, uint16_t v);
void write_u32be(uint8_t *p, uint32_t v);
void write_u32le(uint8_t *p, uint32_t v);

#endif
