/* SPDX-License-Identifier: MIT */
#include "common/base/secret.h"

#include <malloc.h>
#include <sodium.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "common/base/log.h"

void secret_init(void)
{
    struct rlimit none = {0, 0};

    if (sodium_init() < 0) {
        log_error("no source of randomness");
        abort();
    }
    setrlimit(RLIMIT_CORE, &none);
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}

void secret_random(void *p, size_t len)
{
    randombytes_buf(p, len);
}

void secret_random_text(char *out, size_t count)
{
    static const char digits[] = "abcdefghijklmnopqrstuvwxyz234567";

    randombytes_buf(out, count);
    for (size_t i = 0; i < count; i++)
        out[i] = digits[(uint8_t)out[i] & 31];
    out[count] = 0;
}

bool secret_equal(const void *a, const void *b, size_t len)
{
    return sodium_memcmp(a, b, len) == 0;
}

void secret_wipe(void *p, size_t len)
{
    if (len)
        sodium_memzero(p, len);
}

void secret_free_str(char *s)
{
    if (s)
        secret_wipe(s, strlen(s));
    free(s);
}

void secret_free(void *p)
{
    if (p)
        secret_wipe(p, malloc_usable_size(p));
    free(p);
}
