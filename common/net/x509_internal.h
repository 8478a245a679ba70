/* SPDX-License-Identifier: MIT */
/* Reading parsed certificates; for tls_context and x509. */
#ifndef COMMON_NET_X509_INTERNAL_H
#define COMMON_NET_X509_INTERNAL_H

#include "common/net/tls_compat.h"

/* The one URI of the subject's alternative names, printable ASCII only.
 * false when there is none, more than one, or it does not fit `cap`. */
bool x509_uri(const mbedtls_x509_crt *crt, char *out, size_t cap);

/* Seconds since 1970. */
int64_t x509_seconds(const mbedtls_x509_time *t);

#endif
