/* SPDX-License-Identifier: MIT */
/* Envelopes to bytes and back. What comes from a peer is walked over the raw
 * bytes first, allocating nothing: field and depth limits, UTF-8, known enum
 * values; only then does protobuf-c see it, with an allocator that has a cap
 * (protobuf-c alone turns 1 MiB into 52). */
#ifndef COMMON_NET_ENVELOPE_H
#define COMMON_NET_ENVELOPE_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/error.h"
#include "proto/ocm.pb-c.h"

#define ENVELOPE_MAX_FIELDS 100000 /* on all levels together */
#define ENVELOPE_MAX_UNKNOWN 64    /* fields of a newer peer */
#define ENVELOPE_MAX_DEPTH 8
#define ENVELOPE_MAX_GROWTH 8            /* heap bytes per packed byte */
#define ENVELOPE_HEAP_FLOOR (64u * 1024) /* granted to the smallest one */

/* Append the packed form. OCM_E_LIMIT above FRAME_MAX_CONTROL bytes. */
int envelope_pack(const Ocm__Envelope *m, struct buf *out, struct error *e);

/* A message owned by the caller: free with stream_message_free. NULL with
 * OCM_E_PROTOCOL or OCM_E_LIMIT in `e`. Any thread. */
Ocm__Envelope *envelope_unpack(const uint8_t *p, size_t len, struct error *e);

/* "Hello", "BackupRequest": for messages to people; never NULL. */
const char *envelope_name(Ocm__Envelope__BodyCase body);

#endif
