/* SPDX-License-Identifier: MIT */
/* Every difference between mbedTLS 2.28 (Debian 12) and 3.6 (Debian 13), so
 * that no other file asks for a version. Sources: the headers of both and
 * the 3.0 migration guide.
 *
 * Randomness is the kernel's, through libsodium: safe in every thread and
 * after fork, so that no DRBG of mbedTLS is seeded, shared or copied. */
#ifndef COMMON_NET_TLS_COMPAT_H
#define COMMON_NET_TLS_COMPAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <mbedtls/version.h>
#include <mbedtls/ecp.h>
#include <mbedtls/oid.h>
#include <mbedtls/pk.h>
#include <mbedtls/ssl.h>
#include <mbedtls/ssl_ciphersuites.h>
#include <mbedtls/x509_crt.h>
#include <mbedtls/x509_csr.h>

#include "common/base/secret.h"

#if MBEDTLS_VERSION_NUMBER >= 0x03000000
#define COMPAT_MBEDTLS_3 1
#include <psa/crypto.h>
#else
#define COMPAT_MBEDTLS_3 0
#endif

static inline int compat_rng(void *ctx, unsigned char *out, size_t len)
{
    (void)ctx;
    secret_random(out, len);
    return 0;
}

/* Before anything else of the library; may be called again. */
static inline bool compat_init(void)
{
#if COMPAT_MBEDTLS_3
    return psa_crypto_init() == PSA_SUCCESS;
#else
    return true;
#endif
}

/* `len` counts the NUL that ends PEM text. */
static inline int compat_parse_key(mbedtls_pk_context *pk,
                                   const unsigned char *pem, size_t len)
{
#if COMPAT_MBEDTLS_3
    return mbedtls_pk_parse_key(pk, pem, len, NULL, 0, compat_rng, NULL);
#else
    return mbedtls_pk_parse_key(pk, pem, len, NULL, 0);
#endif
}

static inline int compat_check_pair(const mbedtls_pk_context *pub,
                                    const mbedtls_pk_context *key)
{
#if COMPAT_MBEDTLS_3
    return mbedtls_pk_check_pair(pub, key, compat_rng, NULL);
#else
    return mbedtls_pk_check_pair(pub, key);
#endif
}

static inline bool compat_is_p256(const mbedtls_pk_context *pk)
{
    if (mbedtls_pk_get_type(pk) != MBEDTLS_PK_ECKEY)
        return false;
#if COMPAT_MBEDTLS_3
    return mbedtls_ecp_keypair_get_group_id(mbedtls_pk_ec(*pk)) ==
           MBEDTLS_ECP_DP_SECP256R1;
#else
    return mbedtls_pk_ec(*pk)->grp.id == MBEDTLS_ECP_DP_SECP256R1;
#endif
}

static inline bool compat_has_eku(const mbedtls_x509_crt *crt)
{
#if COMPAT_MBEDTLS_3
    return mbedtls_x509_crt_has_ext_type(
               crt, MBEDTLS_X509_EXT_EXTENDED_KEY_USAGE) != 0;
#else
    return (crt->ext_types & MBEDTLS_X509_EXT_EXTENDED_KEY_USAGE) != 0;
#endif
}

static inline bool compat_is_ca(const mbedtls_x509_crt *crt)
{
#if COMPAT_MBEDTLS_3
    return mbedtls_x509_crt_get_ca_istrue(crt) == 1; /* < 0: not said */
#else
    return crt->ca_istrue != 0;
#endif
}

/* The signature of a request, which no accessor of either version gives. */
static inline mbedtls_x509_buf compat_csr_sig(const mbedtls_x509_csr *csr)
{
#if COMPAT_MBEDTLS_3
    return csr->MBEDTLS_PRIVATE(sig);
#else
    return csr->sig;
#endif
}

static inline mbedtls_md_type_t compat_csr_md(const mbedtls_x509_csr *csr)
{
#if COMPAT_MBEDTLS_3
    return csr->MBEDTLS_PRIVATE(sig_md);
#else
    return csr->sig_md;
#endif
}

/* `serial` is big endian, positive, at most 20 bytes. */
static inline int compat_set_serial(mbedtls_x509write_cert *crt,
                                    unsigned char *serial, size_t len)
{
#if COMPAT_MBEDTLS_3
    return mbedtls_x509write_crt_set_serial_raw(crt, serial, len);
#else
    mbedtls_mpi n;
    int rc;

    mbedtls_mpi_init(&n);
    rc = mbedtls_mpi_read_binary(&n, serial, len);
    if (rc == 0)
        rc = mbedtls_x509write_crt_set_serial(crt, &n);
    mbedtls_mpi_free(&n);
    return rc;
#endif
}

/* TLS 1.2 or newer; `only_12` keeps 1.3 out as well. */
static inline void compat_set_versions(mbedtls_ssl_config *conf, bool only_12)
{
#if COMPAT_MBEDTLS_3
    mbedtls_ssl_conf_min_tls_version(conf, MBEDTLS_SSL_VERSION_TLS1_2);
    if (only_12)
        mbedtls_ssl_conf_max_tls_version(conf, MBEDTLS_SSL_VERSION_TLS1_2);
#if defined(MBEDTLS_SSL_PROTO_TLS1_3)
    mbedtls_ssl_conf_tls13_key_exchange_modes(
        conf, MBEDTLS_SSL_TLS1_3_KEY_EXCHANGE_MODE_EPHEMERAL);
#endif
#else
    (void)only_12;
    mbedtls_ssl_conf_min_version(conf, MBEDTLS_SSL_MAJOR_VERSION_3,
                                 MBEDTLS_SSL_MINOR_VERSION_3);
#endif
}

/* P-256 alone, for key exchange and signatures. */
static inline void compat_set_groups(mbedtls_ssl_config *conf)
{
#if COMPAT_MBEDTLS_3
    static const uint16_t groups[] = {MBEDTLS_SSL_IANA_TLS_GROUP_SECP256R1,
                                      MBEDTLS_SSL_IANA_TLS_GROUP_NONE};
    static const uint16_t algs[] = {MBEDTLS_TLS1_3_SIG_ECDSA_SECP256R1_SHA256,
                                    MBEDTLS_TLS1_3_SIG_NONE};

    mbedtls_ssl_conf_groups(conf, groups);
    mbedtls_ssl_conf_sig_algs(conf, algs);
#else
    static const mbedtls_ecp_group_id curves[] = {MBEDTLS_ECP_DP_SECP256R1,
                                                  MBEDTLS_ECP_DP_NONE};
    static const int hashes[] = {MBEDTLS_MD_SHA256, MBEDTLS_MD_NONE};

    mbedtls_ssl_conf_curves(conf, curves);
    mbedtls_ssl_conf_sig_hashes(conf, hashes);
#endif
}

/* The suites that TLS 1.3 adds to a list, in the order of preference. */
#if COMPAT_MBEDTLS_3 && defined(MBEDTLS_SSL_PROTO_TLS1_3)
#define COMPAT_TLS13_AES                                                       \
    MBEDTLS_TLS1_3_AES_128_GCM_SHA256, MBEDTLS_TLS1_3_AES_256_GCM_SHA384,
#define COMPAT_TLS13_CHACHA MBEDTLS_TLS1_3_CHACHA20_POLY1305_SHA256,
#else
#define COMPAT_TLS13_AES
#define COMPAT_TLS13_CHACHA
#endif

/* A ticket that came between records: nothing of ours, go on at once. */
static inline bool compat_is_ticket(int rc)
{
#if defined(MBEDTLS_ERR_SSL_RECEIVED_NEW_SESSION_TICKET)
    return rc == MBEDTLS_ERR_SSL_RECEIVED_NEW_SESSION_TICKET;
#else
    (void)rc;
    return false;
#endif
}

#endif
