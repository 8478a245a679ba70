/* SPDX-License-Identifier: MIT */
/* SHA-256 and the ids made of it. A blob's id is the SHA-256 of its
 * plaintext, as in restic's format. */
#ifndef COMMON_DATA_DIGEST_H
#define COMMON_DATA_DIGEST_H

#include <nettle/sha2.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ID_LEN 32
#define ID_HEX_LEN 64

struct id {
    uint8_t b[ID_LEN];
};

struct digest {
    struct sha256_ctx ctx;
};

void digest_init(struct digest *d);
void digest_add(struct digest *d, const void *p, size_t len);
struct id digest_end(struct digest *d);
struct id digest_of(const void *p, size_t len);

bool id_equal(const struct id *a, const struct id *b);
bool id_is_zero(const struct id *a);
int id_compare(const struct id *a, const struct id *b);
void id_hex(const struct id *a, char out[ID_HEX_LEN + 1]);
bool id_parse(const char *hex, struct id *out); /* exactly 64 digits */

/* HMAC-SHA-256: keyed fingerprints of secrets, derived values. */
struct id digest_hmac(const void *key, size_t key_len, const void *p,
                      size_t len);

#endif
