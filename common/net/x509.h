/* SPDX-License-Identifier: MIT */
/* Keys, requests and certificates (EC P-256). The CA writes subject, SAN and
 * EKU from its own data, never from the request: of a CSR only the public key
 * and the proof of possession are used. */
#ifndef COMMON_NET_X509_H
#define COMMON_NET_X509_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/error.h"
#include "common/data/digest.h"

/* A new EC P-256 key as PEM. */
int x509_key_new(struct buf *pem, struct error *e);
/* A CSR (DER) for a key. */
int x509_request(const struct buf *key_pem, struct buf *csr_der,
                 struct error *e);

enum x509_use { X509_CA, X509_SERVER, X509_CLIENT };

struct x509_order {
    enum x509_use use;
    const char
        *common_name; /* ours: "OCM CA ...", the controller's or node's name */
    const char *dns_name;          /* SAN for X509_SERVER, else NULL */
    const char *uri;               /* SAN for X509_CLIENT: "ocm://node/<id>" */
    int64_t not_before, not_after; /* seconds since 1970 */
};

/* Self-signed CA for its key. */
int x509_ca_new(const struct buf *ca_key_pem, const struct x509_order *o,
                struct buf *cert_der, struct error *e);
/* Sign the public key of a CSR (checked: signature, EC P-256). */
int x509_sign(const struct buf *ca_key_pem, const struct buf *ca_cert_der,
              const uint8_t *csr_der, size_t csr_len,
              const struct x509_order *o, struct buf *cert_der,
              struct error *e);

struct x509_info {
    struct id fingerprint;
    char common_name[128];
    char uri[128];
    int64_t not_before, not_after;
};
int x509_inspect(const uint8_t *der, size_t len, struct x509_info *out,
                 struct error *e);

/* Is the certificate for this key? OCM_E_INVALID when not. */
int x509_fits(const struct buf *key_pem, const struct buf *cert_der,
              struct error *e);

void x509_to_pem(const struct buf *der, struct buf *pem);
int x509_from_pem(const struct buf *pem, struct buf *der, struct error *e);

#endif
