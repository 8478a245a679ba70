/* SPDX-License-Identifier: MIT */
/* The signed description of one agent binary: PROTOCOL.md, "Upgrade". Who
 * passes a package on needs manifest_parse alone; who runs what it describes
 * calls manifest_verify first. A package is a manifest with its binary right
 * behind it. */
#ifndef COMMON_RELEASE_MANIFEST_H
#define COMMON_RELEASE_MANIFEST_H

#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/error.h"
#include "common/data/digest.h"
#include "common/release/version.h"

#define MANIFEST_MAX 4096
#define MANIFEST_ARCH_MAX 31
#define RELEASE_MAX_BYTES (256u * 1024 * 1024) /* of a binary */
#define RELEASE_KEY_LEN 32                     /* public half, Ed25519 */
#define RELEASE_SECRET_LEN 64                  /* libsodium's secret key */

struct manifest {
    char version[VERSION_MAX_LEN + 1];
    char arch[MANIFEST_ARCH_MAX + 1]; /* uname -m */
    uint64_t size;                    /* of the binary */
    struct id sha256;                 /* of the binary */
    uint32_t protocol_min, protocol_max;
};

/* Where the manifest ends that `p` begins with: the length up to the end of
 * its signature line, or 0 when there is none within MANIFEST_MAX bytes. */
size_t manifest_length(const void *p, size_t len);

/* Exactly one manifest, signature line included. The text is judged, the
 * signature is not: nothing of it is to be believed yet. OCM_E_INVALID. */
int manifest_parse(const void *p, size_t len, struct manifest *out,
                   struct error *e);

/* Was exactly this text signed by the owner of `key`? OCM_E_AUTH. */
int manifest_verify(const void *p, size_t len,
                    const uint8_t key[RELEASE_KEY_LEN], struct error *e);

/* The text and its signature, appended to `out`. For the tool that signs. */
void manifest_sign(const struct manifest *m,
                   const uint8_t secret[RELEASE_SECRET_LEN], struct buf *out);

#endif
