/* SPDX-License-Identifier: MIT */
/* The controller's own certificate authority (EC P-256), made at the first
 * start: <state>/ca/ca.key, ca.pem (ten years), server.pem (ours: key and
 * certificate, a year, made anew in its last third). */
#ifndef CONTROLLER_CA_H
#define CONTROLLER_CA_H

#include <stdbool.h>

#include "common/base/buf.h"
#include "common/base/error.h"
#include "common/data/digest.h"
#include "common/net/tls_context.h"

struct ca;

/* Load, or make what is missing. A CA certificate without its key, or the
 * other way round, is an error, never a reason for a new one; but for a key
 * that a first start which was killed has left alone. */
int ca_open(const char *state_dir, const char *controller_name, struct ca **out,
            struct error *e);
void ca_close(struct ca *ca);

/* Loop thread, before a handshake: make our own certificate anew when it is in
 * its last third. True when it was: contexts that ca_tls made have the former
 * one. A failure is logged, and tried again an hour later. */
bool ca_renew_server(struct ca *ca);

const struct id *ca_fingerprint(const struct ca *ca);
const struct buf *ca_certificate(const struct ca *ca); /* DER */

/* TLS for the agents' port (certificates required) or the join port. */
struct tls_context *ca_tls(const struct ca *ca, enum tls_role role,
                           struct error *e);

/* A client certificate for a node: the URI SAN is "ocm://node/<node_id>", the
 * common name the node id; of the CSR only the key counts. Any thread. */
int ca_issue(const struct ca *ca, const char *node_id, const uint8_t *csr,
             size_t csr_len, int64_t days, struct buf *cert_der,
             struct id *fingerprint, int64_t *not_after, struct error *e);

#endif
