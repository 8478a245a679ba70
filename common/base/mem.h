/* SPDX-License-Identifier: MIT */
/* Allocation that ends the process when memory is out: every size that comes
 * from outside is compared with a named limit before it gets here. */
#ifndef COMMON_BASE_MEM_H
#define COMMON_BASE_MEM_H

#include <stddef.h>

void *mem_alloc(size_t len);               /* uninitialised, never NULL */
void *mem_zalloc(size_t len);              /* zeroed */
void *mem_array(size_t count, size_t len); /* zeroed; overflow checked */
void *mem_realloc(void *p, size_t len);
/* Grow `p` (an array of `*cap` elements of `len` bytes) to hold `need`. */
void *mem_grow(void *p, size_t *cap, size_t need, size_t len);
char *mem_strdup(const char *s); /* NULL stays NULL */
char *mem_strndup(const char *s, size_t len);
void *mem_dup(const void *p, size_t len);
char *mem_printf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#define CONTAINER_OF(ptr, type, member)                                        \
    ((type *)(void *)((char *)(ptr)-offsetof(type, member)))
#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

#endif
