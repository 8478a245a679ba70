/* SPDX-License-Identifier: MIT */
/* What tls_stream needs of a tls_context. */
#ifndef COMMON_NET_TLS_CONTEXT_INTERNAL_H
#define COMMON_NET_TLS_CONTEXT_INTERNAL_H

#include <stdatomic.h>

#include "common/net/tls_compat.h"
#include "common/net/tls_context.h"

struct tls_context {
    atomic_uint refs;
    enum tls_role role;
    mbedtls_ssl_config conf; /* immutable once built; shared by connections */
    mbedtls_x509_crt own;    /* what we send */
    mbedtls_x509_crt ca;     /* what we trust */
    mbedtls_pk_context key;
    struct id ca_fingerprint; /* TLS_JOIN_CLIENT: the CA we trust */
};

static inline bool tls_role_is_server(enum tls_role role)
{
    return role == TLS_SERVER || role == TLS_JOIN_SERVER;
}

/* After the handshake: everything that the library does not check by itself,
 * and what the peer's certificate says. `name` is the one that a client
 * expects. OCM_E_TLS when the peer is refused. */
int tls_context_judge(const struct tls_context *c,
                      const mbedtls_ssl_context *ssl, const char *name,
                      struct tls_peer *peer, struct error *e);

/* One line for the flags of a failed verification. */
void tls_verify_text(uint32_t flags, char *out, size_t cap);

/* The suites of the house, fastest on this machine first; 0-terminated. The
 * self-test runs once, at the first use. */
const int *tls_suites(enum tls_role role);

#endif
