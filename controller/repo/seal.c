/* SPDX-License-Identifier: MIT */
#include "controller/repo/seal.h"

#include <nettle/ctr.h>
#include <string.h>

#include "common/base/error.h"
#include "common/base/secret.h"

void seal_init(struct seal *s, const struct seal_secret *secret)
{
    uint8_t mac[POLY1305_AES_KEY_SIZE];

    memcpy(mac, secret->mac_k, 16);
    memcpy(mac + 16, secret->mac_r, 16);
    aes256_set_encrypt_key(&s->enc, secret->enc);
    poly1305_aes_set_key(&s->mac, mac);
    secret_wipe(mac, sizeof(mac));
}

static void crypt(const struct seal *s, const uint8_t *nonce, size_t len,
                  uint8_t *out, const uint8_t *in)
{
    uint8_t counter[AES_BLOCK_SIZE];

    memcpy(counter, nonce, sizeof(counter));
    ctr_crypt(&s->enc, (nettle_cipher_func *)aes256_encrypt, AES_BLOCK_SIZE,
              counter, len, out, in);
}

static void tag_of(const struct seal *s, const uint8_t *nonce,
                   const uint8_t *cipher, size_t len, uint8_t *tag)
{
    struct poly1305_aes_ctx mac = s->mac;

    poly1305_aes_set_nonce(&mac, nonce);
    poly1305_aes_update(&mac, len, cipher);
    poly1305_aes_digest(&mac, SEAL_TAG_LEN, tag);
}

void seal_bytes(const struct seal *s, const void *p, size_t len, uint8_t *out)
{
    uint8_t *cipher = out + SEAL_NONCE_LEN;

    secret_random(out, SEAL_NONCE_LEN);
    crypt(s, out, len, cipher, p);
    tag_of(s, out, cipher, len, cipher + len);
}

void seal_add(const struct seal *s, struct buf *out, const void *p, size_t len)
{
    seal_bytes(s, p, len, buf_reserve(out, len + SEAL_OVERHEAD));
    out->len += len + SEAL_OVERHEAD;
}

int seal_open(const struct seal *s, uint8_t *p, size_t len)
{
    uint8_t tag[SEAL_TAG_LEN], *cipher;

    if (len < SEAL_OVERHEAD)
        return OCM_E_DAMAGED;
    cipher = p + SEAL_NONCE_LEN;
    len -= SEAL_OVERHEAD;
    tag_of(s, p, cipher, len, tag);
    if (!secret_equal(tag, cipher + len, SEAL_TAG_LEN))
        return OCM_E_DAMAGED;
    crypt(s, p, len, cipher, cipher);
    return 0;
}
