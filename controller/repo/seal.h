/* SPDX-License-Identifier: MIT */
/* restic's authenticated encryption, under every byte of the repository:
 * nonce (16) || AES-256-CTR || Poly1305-AES tag (16). Source: restic
 * doc/design.rst, "Keys, Encryption and MAC". */
#ifndef CONTROLLER_REPO_SEAL_H
#define CONTROLLER_REPO_SEAL_H

#include <nettle/aes.h>
#include <nettle/poly1305.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/buf.h"

#define SEAL_NONCE_LEN 16
#define SEAL_TAG_LEN 16
#define SEAL_OVERHEAD (SEAL_NONCE_LEN + SEAL_TAG_LEN)

/* The three parts of a key, as scrypt gives them in a row and as the key file
 * of the master key names them. */
struct seal_secret {
    uint8_t enc[32];
    uint8_t mac_k[16];
    uint8_t mac_r[16];
};

/* A key made ready. Read-only after seal_init: shared by all threads. */
struct seal {
    struct aes256_ctx enc;
    struct poly1305_aes_ctx mac;
};

void seal_init(struct seal *s, const struct seal_secret *secret);

/* Write len + SEAL_OVERHEAD bytes to `out`, under a fresh random nonce. `out`
 * and `p` do not overlap. */
void seal_bytes(const struct seal *s, const void *p, size_t len, uint8_t *out);
void seal_add(const struct seal *s, struct buf *out, const void *p, size_t len);

/* Authenticate and decrypt in place: the plaintext then stands at
 * p + SEAL_NONCE_LEN and has len - SEAL_OVERHEAD bytes. OCM_E_DAMAGED, with
 * the bytes as they were, when it is not ours or was changed. */
int seal_open(const struct seal *s, uint8_t *p, size_t len);

#endif
