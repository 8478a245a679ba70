/* SPDX-License-Identifier: MIT */
/* Any bytes as the beginning of a package: a manifest within its limits, or
 * refused with a reason; and never one that the wrong key has signed. */
#include <assert.h>
#include <sodium.h>
#include <string.h>

#include "common/release/manifest.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What was understood says the same when it is written again. */
static void check(const struct manifest *m)
{
    uint8_t public[RELEASE_KEY_LEN], secret[RELEASE_SECRET_LEN];
    static const uint8_t seed[crypto_sign_SEEDBYTES] = {1};
    struct manifest again;
    struct buf b = {0};

    assert(version_is_valid(m->version) && m->arch[0]);
    assert(m->size > 0 && m->size <= RELEASE_MAX_BYTES);
    assert(m->protocol_min >= 1 && m->protocol_max >= m->protocol_min);
    crypto_sign_seed_keypair(public, secret, seed);
    manifest_sign(m, secret, &b);
    assert(b.len <= MANIFEST_MAX && manifest_length(b.data, b.len) == b.len);
    assert(manifest_verify(b.data, b.len, public, NULL) == 0);
    assert(manifest_parse(b.data, b.len, &again, NULL) == 0);
    assert(memcmp(m, &again, sizeof(again)) == 0);
    buf_free(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t key[RELEASE_KEY_LEN] = {7};
    size_t len = manifest_length(data, size);
    struct error e = {0};
    struct manifest m;

    if (sodium_init() < 0)
        return 0;
    assert(len <= size && len <= MANIFEST_MAX);
    assert(manifest_verify(data, size, key, NULL) < 0);
    if (manifest_parse(data, len ? len : size, &m, &e) == 0)
        check(&m);
    else
        assert(e.code != 0 && e.text[0] != 0);
    return 0;
}
