/* SPDX-License-Identifier: MIT */
/* Which cipher suite comes first: AES-GCM is several times faster than
 * ChaCha20-Poly1305 where the processor has AES instructions, and several
 * times slower where it has none. A short self-test decides. */
#include <mbedtls/chachapoly.h>
#include <mbedtls/gcm.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "common/base/mem.h"
#include "common/net/tls_context_internal.h"

#define PROBE_BYTES 16384 /* one record */
#define PROBE_ROUNDS 8

#define SUITES_AES                                                             \
    COMPAT_TLS13_AES MBEDTLS_TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,          \
        MBEDTLS_TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384
#define SUITES_CHACHA                                                          \
    COMPAT_TLS13_CHACHA                                                        \
    MBEDTLS_TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256

static const int aes_first[] = {SUITES_AES, SUITES_CHACHA, 0};
static const int chacha_first[] = {SUITES_CHACHA, SUITES_AES, 0};
static const int chacha_only[] = {SUITES_CHACHA, 0};

static const int *server_suites = aes_first;
static const int *client_suites = aes_first;

/* Nanoseconds for the probe; the fastest round counts, so that a busy
 * machine does not decide by chance. */
static uint64_t time_aes(uint8_t *p)
{
    uint64_t best = UINT64_MAX;
    uint8_t key[16] = {1}, iv[12] = {2}, tag[16];
    mbedtls_gcm_context gcm;

    mbedtls_gcm_init(&gcm);
    if (mbedtls_gcm_setkey(&gcm, MBEDTLS_CIPHER_ID_AES, key, 128) != 0)
        goto out;
    for (int i = 0; i < PROBE_ROUNDS; i++) {
        uint64_t from = uv_hrtime(), took;

        if (mbedtls_gcm_crypt_and_tag(&gcm, MBEDTLS_GCM_ENCRYPT, PROBE_BYTES,
                                      iv, sizeof(iv), NULL, 0, p, p,
                                      sizeof(tag), tag) != 0)
            break;
        took = uv_hrtime() - from;
        best = took < best ? took : best;
    }
out:
    mbedtls_gcm_free(&gcm);
    return best;
}

static uint64_t time_chacha(uint8_t *p)
{
    uint64_t best = UINT64_MAX;
    uint8_t key[32] = {1}, iv[12] = {2}, tag[16];
    mbedtls_chachapoly_context ctx;

    mbedtls_chachapoly_init(&ctx);
    if (mbedtls_chachapoly_setkey(&ctx, key) != 0)
        goto out;
    for (int i = 0; i < PROBE_ROUNDS; i++) {
        uint64_t from = uv_hrtime(), took;

        if (mbedtls_chachapoly_encrypt_and_tag(&ctx, PROBE_BYTES, iv, NULL, 0,
                                               p, p, tag) != 0)
            break;
        took = uv_hrtime() - from;
        best = took < best ? took : best;
    }
out:
    mbedtls_chachapoly_free(&ctx);
    return best;
}

static void choose(void)
{
    uint8_t *p = mem_zalloc(PROBE_BYTES);
    uint64_t aes = time_aes(p), chacha = time_chacha(p);

    free(p);
    if (chacha < aes)
        server_suites = client_suites = chacha_first;
    /* The server's order wins: a small board without AES instructions gets
     * what it needs only by offering nothing else. */
    if (chacha < aes / 2)
        client_suites = chacha_only;
}

const int *tls_suites(enum tls_role role)
{
    static uv_once_t once = UV_ONCE_INIT;

    uv_once(&once, choose);
    return tls_role_is_server(role) ? server_suites : client_suites;
}
