/* SPDX-License-Identifier: MIT */
/* A stream: one conversation on a channel, used from one thread that may
 * block (a worker) while the loop does the I/O. Sending waits for room and
 * for the peer's credit; receiving waits for the next item. When the channel
 * dies or the stream is cancelled, every wait ends at once. */
#ifndef COMMON_NET_STREAM_H
#define COMMON_NET_STREAM_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/error.h"
#include "proto/ocm.pb-c.h"

struct stream;

#define STREAM_WINDOW (8u * 1024 * 1024) /* unread DATA bytes a peer may send */
#define STREAM_OUTBOX (4u * 1024 * 1024) /* queued bytes before send waits */

enum stream_kind {
    STREAM_MESSAGE, /* `message` is set */
    STREAM_DATA,    /* `data` is set */
    STREAM_END,     /* the peer has said all: nothing follows */
};

/* One received item. Give it back with stream_item_free. */
struct stream_item {
    enum stream_kind kind;
    Ocm__Envelope *message; /* owned; freed with the capped allocator */
    struct buf data;        /* owned: payload only, from offset 0 */
};

/* Packs `msg` now; the caller keeps it. Waits while STREAM_OUTBOX bytes are
 * queued. OCM_E_CLOSED, OCM_E_CANCELLED. */
int stream_send(struct stream *s, const Ocm__Envelope *msg, struct error *e);

/* Begin a DATA frame in an empty `b`: room for the frame's head is put in
 * front, so that the payload is never copied again. */
void stream_data_begin(struct buf *b);
/* Payload bytes in a frame begun so. */
size_t stream_data_len(const struct buf *b);
/* Move `b` (begun with stream_data_begin) to the peer; `b` becomes {0}, also
 * on failure. Waits while STREAM_OUTBOX bytes are queued, which wait for the
 * peer's credit. 1 to FRAME_MAX_DATA payload bytes, else OCM_E_LIMIT. */
int stream_send_data(struct stream *s, struct buf *b, struct error *e);

/* Wait for the next item at most `timeout_ms` (< 0: the stream's deadline
 * only). OCM_E_TIMEOUT, OCM_E_CLOSED, OCM_E_CANCELLED, OCM_E_PROTOCOL. An
 * Error message of the peer comes back as its code with its text in `e`, not
 * as an item. Taking a DATA item returns its credit. */
int stream_recv(struct stream *s, int timeout_ms, struct stream_item *out,
                struct error *e);
void stream_item_free(struct stream_item *item);

/* Wait for a message of one kind; anything else is OCM_E_PROTOCOL (Progress
 * and LogLine are skipped, and each gives the peer `timeout_ms` again). The
 * envelope is owned by the caller: free with stream_message_free. */
int stream_expect(struct stream *s, Ocm__Envelope__BodyCase want,
                  int timeout_ms, Ocm__Envelope **out, struct error *e);
void stream_message_free(Ocm__Envelope *m);

/* Convenience senders. An Error also ends our side: nothing follows it. */
int stream_send_error(struct stream *s, const struct error *why);
int stream_send_progress(struct stream *s, const Ocm__Progress *p);
int stream_send_log(struct stream *s, const char *level, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* We have said all; the peer's items can still be received. Again is fine;
 * before the first stream_send it is OCM_E_INVALID. */
int stream_end(struct stream *s, struct error *e);

/* Any thread: break the conversation off. Waits end with OCM_E_CANCELLED, the
 * peer gets CANCEL. Idempotent. */
void stream_cancel(struct stream *s);
bool stream_cancelled(const struct stream *s);

/* Everything must be over by then (monotonic ms from now); 0: never. */
void stream_set_deadline(struct stream *s, int64_t from_now_ms);

/* 0 until the first frame has left: ids rise in the order of sending. */
uint32_t stream_id(const struct stream *s);

/* The user's last call: drops the reference. Without a stream_end (or an
 * Error) before it, the conversation is cancelled and what is queued is lost.
 * After one, what is queued is still sent by the loop, and the peer can read
 * it; its own further sends end with OCM_E_CANCELLED. NULL is fine. */
void stream_close(struct stream *s);

#endif
