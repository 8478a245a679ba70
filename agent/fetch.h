/* SPDX-License-Identifier: MIT */
/* Fetch: blobs of the conversation's snapshot from the controller, as the
 * source that apply reads from. Ids announced with `want` are asked for in
 * batches ahead of the reading, so that the wire is never idle and memory is
 * bounded by the stream's window. */
#ifndef AGENT_FETCH_H
#define AGENT_FETCH_H

#include "agent/apply/apply.h"
#include "common/net/stream.h"

struct fetch;

/* `s` is borrowed; one thread. */
struct fetch *fetch_new(struct stream *s);
void fetch_free(struct fetch *f);

/* Reads must follow the order of the announcements; one that was not
 * announced is asked for on the spot, when nothing announced is pending. */
struct apply_source fetch_source(struct fetch *f);
uint64_t fetch_bytes(const struct fetch *f); /* stored bytes received */

#endif
