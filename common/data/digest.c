/* SPDX-License-Identifier: MIT */
#include "common/data/digest.h"

#include <nettle/hmac.h>
#include <string.h>

#include "common/base/text.h"

void digest_init(struct digest *d)
{
    sha256_init(&d->ctx);
}

void digest_add(struct digest *d, const void *p, size_t len)
{
    sha256_update(&d->ctx, len, p);
}

struct id digest_end(struct digest *d)
{
    struct id id;

    sha256_digest(&d->ctx, ID_LEN, id.b);
    return id;
}

struct id digest_of(const void *p, size_t len)
{
    struct digest d;

    digest_init(&d);
    digest_add(&d, p, len);
    return digest_end(&d);
}

bool id_equal(const struct id *a, const struct id *b)
{
    return memcmp(a->b, b->b, ID_LEN) == 0;
}

bool id_is_zero(const struct id *a)
{
    static const struct id zero;

    return id_equal(a, &zero);
}

int id_compare(const struct id *a, const struct id *b)
{
    return memcmp(a->b, b->b, ID_LEN);
}

void id_hex(const struct id *a, char out[ID_HEX_LEN + 1])
{
    hex_encode(a->b, ID_LEN, out);
}

bool id_parse(const char *hex, struct id *out)
{
    return hex_decode(hex, strlen(hex), out->b, ID_LEN);
}

struct id digest_hmac(const void *key, size_t key_len, const void *p,
                      size_t len)
{
    struct hmac_sha256_ctx ctx;
    struct id id;

    hmac_sha256_set_key(&ctx, key_len, key);
    hmac_sha256_update(&ctx, len, p);
    hmac_sha256_digest(&ctx, ID_LEN, id.b);
    explicit_bzero(&ctx, sizeof(ctx));
    return id;
}
