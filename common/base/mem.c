/* SPDX-License-Identifier: MIT */
#include "common/base/mem.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/log.h"

static void *checked(void *p, size_t len)
{
    if (!p && len) {
        log_error("out of memory (%zu bytes)", len);
        abort();
    }
    return p;
}

void *mem_alloc(size_t len)
{
    return checked(malloc(len ? len : 1), len);
}

void *mem_zalloc(size_t len)
{
    return checked(calloc(1, len ? len : 1), len);
}

void *mem_array(size_t count, size_t len)
{
    return checked(calloc(count ? count : 1, len ? len : 1), count);
}

void *mem_realloc(void *p, size_t len)
{
    return checked(realloc(p, len ? len : 1), len);
}

void *mem_grow(void *p, size_t *cap, size_t need, size_t len)
{
    size_t n = *cap;

    if (need <= n)
        return p;
    while (n < need) {
        if (n > SIZE_MAX / 2 / len)
            checked(NULL, SIZE_MAX);
        n = n ? n * 2 : 8;
    }
    *cap = n;
    return mem_realloc(p, n * len);
}

char *mem_strdup(const char *s)
{
    return s ? mem_dup(s, strlen(s) + 1) : NULL;
}

char *mem_strndup(const char *s, size_t len)
{
    char *copy = mem_alloc(len + 1);

    if (len)
        memcpy(copy, s, len);
    copy[len] = 0;
    return copy;
}

void *mem_dup(const void *p, size_t len)
{
    void *copy = mem_alloc(len);

    if (len)
        memcpy(copy, p, len);
    return copy;
}

char *mem_printf(const char *fmt, ...)
{
    char *s = NULL;
    va_list ap;

    va_start(ap, fmt);
    if (vasprintf(&s, fmt, ap) < 0)
        s = checked(NULL, 1);
    va_end(ap);
    return s;
}
