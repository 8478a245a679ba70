/* SPDX-License-Identifier: MIT */
/* TLS policy: our key and certificate, the CA that we trust, TLS 1.2 or newer
 * with ECDHE-ECDSA and an AEAD only, client certificates required (but on the
 * join port), no tickets, no renegotiation. Built once, immutable, counted. */
#ifndef COMMON_NET_TLS_CONTEXT_H
#define COMMON_NET_TLS_CONTEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/error.h"
#include "common/data/digest.h"

struct tls_context;

/* What a verified certificate says. */
struct tls_peer {
    struct id fingerprint; /* SHA-256 of the DER certificate */
    char uri[128];         /* the URI SAN, "ocm://node/<id>"; "" when none */
    int64_t not_after;     /* seconds since 1970 */
};

enum tls_role {
    TLS_SERVER,      /* controller, agents' port: requires a certificate */
    TLS_JOIN_SERVER, /* controller, join port: asks for none */
    TLS_CLIENT,      /* agent */
    TLS_JOIN_CLIENT, /* agent without a certificate yet: trusts the one CA
                        whose fingerprint the token carries */
};

struct tls_files {
    const char *key;  /* PEM, our private key; NULL: TLS_JOIN_CLIENT */
    const char *cert; /* PEM, our certificate (may be followed by the CA) */
    const char *ca;   /* PEM, the CA; NULL: TLS_JOIN_CLIENT */
    const struct id *ca_fingerprint; /* SHA-256 of the CA's DER */
};

/* Reads the files now. The first one in a process also makes it ignore SIGPIPE
 * (unless it has a handler). NULL with a reason that names the file. */
struct tls_context *tls_context_new(enum tls_role role,
                                    const struct tls_files *files,
                                    struct error *e);
struct tls_context *tls_context_ref(struct tls_context *c);
void tls_context_unref(struct tls_context *c);

#endif
