/* SPDX-License-Identifier: MIT */
/* Secrets: random ones, comparing, wiping, masking, and a process that does
 * not leak them in core dumps. */
#ifndef COMMON_BASE_SECRET_H
#define COMMON_BASE_SECRET_H

#include <stdbool.h>
#include <stddef.h>

/* Call once at start of a daemon: seeds libsodium, forbids core dumps and
 * ptrace by others (PR_SET_DUMPABLE 0). Aborts when there is no randomness. */
void secret_init(void);

void secret_random(void *p, size_t len);
/* `count` characters of [a-z2-7] into out[count + 1]. 5 bits each. */
void secret_random_text(char *out, size_t count);
bool secret_equal(const void *a, const void *b, size_t len); /* constant time */
void secret_wipe(void *p, size_t len);
void secret_free_str(char *s); /* wipe, then free; NULL is fine */
/* The same for anything that malloc gave, as long as malloc made it. For
 * libraries that take an allocator: their trees of values hold secrets. */
void secret_free(void *p);

#endif
