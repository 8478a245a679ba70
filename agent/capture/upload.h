/* SPDX-License-Identifier: MIT */
/* The far end of the pipeline: a thread that compresses blobs and hands them
 * to `put`, in the order they were added, while the caller reads on. What is
 * in flight is bounded: UPLOAD_RING bytes and UPLOAD_ITEMS blobs; the caller
 * waits when either is full. */
#ifndef AGENT_CAPTURE_UPLOAD_H
#define AGENT_CAPTURE_UPLOAD_H

#include <stdint.h>

#include "common/base/error.h"
#include "common/data/blob.h"

#define UPLOAD_RING (6u * 1024 * 1024) /* holds at least one CHUNK_MAX */
#define UPLOAD_ITEMS 512u

typedef int upload_put_fn(void *arg, const struct blob *b, struct error *e);

struct upload;

/* Starts the thread. NULL when none could be made (`e` says why). */
struct upload *upload_new(int zstd_level, upload_put_fn *put, void *arg,
                          struct error *e);

/* Queue a blob. The bytes are copied, except for one larger than the ring,
 * for which the call waits until it was put. Returns 0, or the code and text
 * of a `put` that failed (of this blob or an earlier one). */
int upload_add(struct upload *u, enum blob_type type, const struct id *id,
               const void *p, size_t len, struct error *e);

/* Wait until all is put; the same returns. */
int upload_drain(struct upload *u, struct error *e);

/* Stored bytes put so far; exact after upload_drain. */
uint64_t upload_bytes(struct upload *u);

/* Drop what still waits (a `put` under way is waited for) and end. */
void upload_free(struct upload *u);

#endif
