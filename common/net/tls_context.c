/* SPDX-License-Identifier: MIT */
/* TLS policy in one place. Two judges: the library during the handshake
 * (chain, name, dates, curve, and our verify callback for roles), and
 * tls_context_judge after it (what the certificate says; on a join, the one
 * CA that the token names). */
#include "common/net/tls_context.h"

#include <mbedtls/oid.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/files.h"
#include "common/base/mem.h"
#include "common/net/tls_context_internal.h"
#include "common/net/x509_internal.h"

#define TLS_FILE_MAX (64u * 1024)
#define NODE_URI_PREFIX "ocm://node/"

/* ECDSA on P-256 with SHA-256, nothing else. */
static const mbedtls_x509_crt_profile profile = {
    .allowed_mds = MBEDTLS_X509_ID_FLAG(MBEDTLS_MD_SHA256),
    .allowed_pks = MBEDTLS_X509_ID_FLAG(MBEDTLS_PK_ECKEY) |
                   MBEDTLS_X509_ID_FLAG(MBEDTLS_PK_ECDSA),
    .allowed_curves = MBEDTLS_X509_ID_FLAG(MBEDTLS_ECP_DP_SECP256R1),
    .rsa_min_bitlen = 0,
};

/* Roles are part of trust: the CA itself, or a certificate made for the other
 * end, proves nothing about the peer. The library accepts both when the
 * extension is absent, hence this. */
static uint32_t leaf_flags(const mbedtls_x509_crt *crt, bool peer_is_client)
{
    char uri[sizeof(((struct tls_peer *)0)->uri)];
    const char *eku =
        peer_is_client ? MBEDTLS_OID_CLIENT_AUTH : MBEDTLS_OID_SERVER_AUTH;
    size_t eku_len = peer_is_client ? MBEDTLS_OID_SIZE(MBEDTLS_OID_CLIENT_AUTH)
                                    : MBEDTLS_OID_SIZE(MBEDTLS_OID_SERVER_AUTH);
    uint32_t flags = 0;

    if (compat_is_ca(crt))
        flags |= MBEDTLS_X509_BADCERT_KEY_USAGE;
    if (!compat_has_eku(crt) ||
        mbedtls_x509_crt_check_extended_key_usage(crt, eku, eku_len) != 0)
        flags |= MBEDTLS_X509_BADCERT_EXT_KEY_USAGE;
    if (peer_is_client &&
        (!x509_uri(crt, uri, sizeof(uri)) ||
         strncmp(uri, NODE_URI_PREFIX, strlen(NODE_URI_PREFIX)) != 0))
        flags |= MBEDTLS_X509_BADCERT_OTHER;
    return flags;
}

static int on_verify(void *arg, mbedtls_x509_crt *crt, int depth,
                     uint32_t *flags)
{
    const struct tls_context *c = arg;

    if (depth == 0)
        *flags |= leaf_flags(crt, c->role == TLS_SERVER);
    return 0;
}

void tls_verify_text(uint32_t flags, char *out, size_t cap)
{
    static const struct {
        uint32_t flag;
        const char *text;
    } texts[] = {
        {MBEDTLS_X509_BADCERT_EXPIRED, "it has expired"},
        {MBEDTLS_X509_BADCERT_FUTURE, "it is not valid yet (check the clocks)"},
        {MBEDTLS_X509_BADCERT_REVOKED, "it is revoked"},
        {MBEDTLS_X509_BADCERT_CN_MISMATCH, "it is for another name"},
        {MBEDTLS_X509_BADCERT_NOT_TRUSTED, "it is not of our CA"},
        {MBEDTLS_X509_BADCERT_MISSING, "there is none"},
        {MBEDTLS_X509_BADCERT_KEY_USAGE, "its key usage does not fit"},
        {MBEDTLS_X509_BADCERT_EXT_KEY_USAGE, "it is for another role"},
        {MBEDTLS_X509_BADCERT_OTHER, "it names no node"},
        {MBEDTLS_X509_BADCERT_BAD_MD | MBEDTLS_X509_BADCERT_BAD_PK |
             MBEDTLS_X509_BADCERT_BAD_KEY,
         "its algorithms are not ours"},
    };

    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        if (flags & texts[i].flag) {
            snprintf(out, cap, "%s", texts[i].text);
            return;
        }
    }
    snprintf(out, cap, "it did not verify (flags 0x%x)", flags);
}

/* The certificate of the chain that carries the pinned fingerprint. */
static const mbedtls_x509_crt *find_pinned(const struct tls_context *c,
                                           const mbedtls_x509_crt *chain)
{
    for (; chain; chain = chain->next) {
        struct id id = digest_of(chain->raw.p, chain->raw.len);

        if (id_equal(&id, &c->ca_fingerprint))
            return chain;
    }
    return NULL;
}

/* On a join the CA comes from the peer itself and is trusted only because it
 * is the very one that the token names; the leaf must then be signed by it
 * and made for servers. */
static int judge_join(const struct tls_context *c,
                      const mbedtls_x509_crt *chain, const char *name,
                      struct error *e)
{
    const mbedtls_x509_crt *pinned = find_pinned(c, chain);
    mbedtls_x509_crt ca, leaf;
    uint32_t flags = 0;
    char why[80];
    int rc;

    if (!pinned)
        return error_set(e, OCM_E_TLS,
                         "the controller does not have the CA that the join "
                         "token names: wrong address, or an old token");
    mbedtls_x509_crt_init(&ca);
    mbedtls_x509_crt_init(&leaf);
    rc = mbedtls_x509_crt_parse_der(&ca, pinned->raw.p, pinned->raw.len);
    if (rc == 0)
        rc = mbedtls_x509_crt_parse_der(&leaf, chain->raw.p, chain->raw.len);
    if (rc == 0)
        rc = mbedtls_x509_crt_verify_with_profile(&leaf, &ca, NULL, &profile,
                                                  name && *name ? name : NULL,
                                                  &flags, NULL, NULL);
    flags |= leaf_flags(chain, false);
    mbedtls_x509_crt_free(&leaf);
    mbedtls_x509_crt_free(&ca);
    if (rc == 0 && flags == 0)
        return 0;
    tls_verify_text(flags, why, sizeof(why));
    return error_set(e, OCM_E_TLS, "the controller's certificate: %s", why);
}

int tls_context_judge(const struct tls_context *c,
                      const mbedtls_ssl_context *ssl, const char *name,
                      struct tls_peer *peer, struct error *e)
{
    const mbedtls_x509_crt *crt = mbedtls_ssl_get_peer_cert(ssl);
    int rc;

    memset(peer, 0, sizeof(*peer));
    if (c->role == TLS_JOIN_SERVER)
        return 0;
    if (!crt)
        return error_set(e, OCM_E_TLS, "the peer has no certificate");
    if (c->role == TLS_JOIN_CLIENT) {
        rc = judge_join(c, crt, name, e);
        if (rc < 0)
            return rc;
    }
    peer->fingerprint = digest_of(crt->raw.p, crt->raw.len);
    peer->not_after = x509_seconds(&crt->valid_to);
    if (!x509_uri(crt, peer->uri, sizeof(peer->uri)))
        peer->uri[0] = 0;
    return 0;
}

static int load_pem(const char *path, struct buf *pem, struct error *e)
{
    int rc = file_read(path, TLS_FILE_MAX, pem, e);

    if (rc == 0)
        buf_str(pem);
    return rc;
}

static int load_certs(mbedtls_x509_crt *crt, const char *path, struct error *e)
{
    struct buf pem = {0};
    int rc = load_pem(path, &pem, e);

    if (rc == 0 && mbedtls_x509_crt_parse(crt, pem.data, pem.len + 1) != 0)
        rc = error_set(e, OCM_E_INVALID, "%s holds no PEM certificate", path);
    buf_free(&pem);
    return rc;
}

static int load_key(struct tls_context *c, const struct tls_files *files,
                    struct error *e)
{
    struct buf pem = {0};
    int rc = load_pem(files->key, &pem, e);

    if (rc == 0 && compat_parse_key(&c->key, pem.data, pem.len + 1) != 0)
        rc = error_set(e, OCM_E_INVALID, "%s holds no PEM private key",
                       files->key);
    if (rc == 0 && (!compat_is_p256(&c->key) ||
                    compat_check_pair(&c->own.pk, &c->key) != 0))
        rc = error_set(e, OCM_E_INVALID,
                       "the key %s does not belong to the certificate %s",
                       files->key, files->cert);
    buf_wipe(&pem);
    return rc;
}

static int load(struct tls_context *c, const struct tls_files *f,
                struct error *e)
{
    int rc = 0;

    if (c->role == TLS_JOIN_CLIENT) {
        if (!f->ca_fingerprint)
            return error_set(e, OCM_E_INVALID, "no CA fingerprint to trust");
        c->ca_fingerprint = *f->ca_fingerprint;
        return 0;
    }
    if (!f->key || !f->cert || !f->ca)
        return error_set(e, OCM_E_INVALID, "TLS needs key, certificate and CA");
    rc = load_certs(&c->ca, f->ca, e);
    if (rc == 0)
        rc = load_certs(&c->own, f->cert, e);
    if (rc == 0)
        rc = load_key(c, f, e);
    /* A joining node knows the CA by its fingerprint only: send it along. */
    if (rc == 0 && c->role == TLS_JOIN_SERVER && !c->own.next)
        rc = load_certs(&c->own, f->ca, e);
    return rc;
}

static int set_policy(struct tls_context *c, struct error *e)
{
    bool server = tls_role_is_server(c->role);
    mbedtls_ssl_config *conf = &c->conf;

    if (mbedtls_ssl_config_defaults(
            conf, server ? MBEDTLS_SSL_IS_SERVER : MBEDTLS_SSL_IS_CLIENT,
            MBEDTLS_SSL_TRANSPORT_STREAM, MBEDTLS_SSL_PRESET_DEFAULT) != 0)
        return error_set(e, OCM_E_TLS, "TLS cannot be configured");
    /* On a join the chain is judged after the handshake, which the library
     * offers for TLS 1.2 only. */
    compat_set_versions(conf, c->role == TLS_JOIN_CLIENT);
    compat_set_groups(conf);
    mbedtls_ssl_conf_ciphersuites(conf, tls_suites(c->role));
    mbedtls_ssl_conf_cert_profile(conf, &profile);
    mbedtls_ssl_conf_rng(conf, compat_rng, NULL);
    mbedtls_ssl_conf_renegotiation(conf, MBEDTLS_SSL_RENEGOTIATION_DISABLED);
    mbedtls_ssl_conf_legacy_renegotiation(conf,
                                          MBEDTLS_SSL_LEGACY_BREAK_HANDSHAKE);
    if (!server)
        mbedtls_ssl_conf_session_tickets(conf,
                                         MBEDTLS_SSL_SESSION_TICKETS_DISABLED);
    switch (c->role) {
    case TLS_SERVER:
    case TLS_CLIENT:
        mbedtls_ssl_conf_authmode(conf, MBEDTLS_SSL_VERIFY_REQUIRED);
        mbedtls_ssl_conf_ca_chain(conf, &c->ca, NULL);
        mbedtls_ssl_conf_verify(conf, on_verify, c);
        break;
    case TLS_JOIN_SERVER:
        mbedtls_ssl_conf_authmode(conf, MBEDTLS_SSL_VERIFY_NONE);
        break;
    case TLS_JOIN_CLIENT:
        mbedtls_ssl_conf_authmode(conf, MBEDTLS_SSL_VERIFY_OPTIONAL);
        return 0;
    }
    if (mbedtls_ssl_conf_own_cert(conf, &c->own, &c->key) != 0)
        return error_set(e, OCM_E_TLS, "TLS does not take our certificate");
    return 0;
}

/* libuv writes to sockets without MSG_NOSIGNAL: a peer that has gone away
 * would end the process. */
static void ignore_broken_pipes(void)
{
    struct sigaction old;

    if (sigaction(SIGPIPE, NULL, &old) == 0 && old.sa_handler == SIG_DFL)
        signal(SIGPIPE, SIG_IGN);
}

struct tls_context *tls_context_new(enum tls_role role,
                                    const struct tls_files *files,
                                    struct error *e)
{
    struct tls_context *c;

    ignore_broken_pipes();
    if (!compat_init()) {
        error_set(e, OCM_E_TLS, "the TLS library cannot be started");
        return NULL;
    }
    c = mem_zalloc(sizeof(*c));
    atomic_init(&c->refs, 1);
    c->role = role;
    mbedtls_ssl_config_init(&c->conf);
    mbedtls_x509_crt_init(&c->own);
    mbedtls_x509_crt_init(&c->ca);
    mbedtls_pk_init(&c->key);
    if (load(c, files, e) < 0 || set_policy(c, e) < 0) {
        tls_context_unref(c);
        return NULL;
    }
    return c;
}

struct tls_context *tls_context_ref(struct tls_context *c)
{
    atomic_fetch_add(&c->refs, 1);
    return c;
}

void tls_context_unref(struct tls_context *c)
{
    if (!c || atomic_fetch_sub(&c->refs, 1) != 1)
        return;
    mbedtls_ssl_config_free(&c->conf);
    mbedtls_x509_crt_free(&c->own);
    mbedtls_x509_crt_free(&c->ca);
    mbedtls_pk_free(&c->key);
    free(c);
}
