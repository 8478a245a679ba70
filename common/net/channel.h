/* SPDX-License-Identifier: MIT */
/* A channel: typed conversations over one TLS connection. It owns framing,
 * credit, keep-alive and the table of open streams. Handshake rules (Hello,
 * Welcome, who may open what) belong to its owner: session or link.
 *
 * Threads: everything here is for the loop thread, but channel_open_stream,
 * channel_ref and channel_unref, which any thread may call. */
#ifndef COMMON_NET_CHANNEL_H
#define COMMON_NET_CHANNEL_H

#include "common/net/stream.h"
#include "common/net/tls_stream.h"

#define CHANNEL_MAX_STREAMS 64
#define CHANNEL_KEEPALIVE_MS 30000 /* silence before PING */
#define CHANNEL_DEAD_MS 20000      /* no answer to PING: closed */
#define CHANNEL_HELLO_MS 20000     /* on_open to channel_allow_streams */

struct channel;

struct channel_handler {
    /* TLS is up and the peer's certificate passed. May close the channel. */
    void (*on_open)(struct channel *ch, void *arg);
    /* A message on stream 0. Borrowed for the call. */
    void (*on_control)(struct channel *ch, const Ocm__Envelope *m, void *arg);
    /* The peer opened a stream with `first` (owned by the callee, free with
     * stream_message_free). The callee owns `s` and must stream_close it,
     * usually at the end of a worker. */
    void (*on_stream)(struct channel *ch, struct stream *s,
                      Ocm__Envelope *first, void *arg);
    /* Exactly once, last. `why` is one line, never empty. Streams have been
     * told. */
    void (*on_closed)(struct channel *ch, int status, const char *why,
                      void *arg);
};

/* Take over a fresh tls_stream (either end). `even`: our stream ids are even
 * (controller). The caller holds one reference. */
struct channel *channel_new(struct tls_stream *tls, bool even,
                            const struct channel_handler *h, void *arg);

/* Until this is called every peer-opened stream is a protocol error: first
 * Hello and Welcome must have passed. A channel that has not got so far
 * CHANNEL_HELLO_MS after on_open is closed with OCM_E_TIMEOUT, so that nobody
 * holds a connection without saying who it is; on the join port this bounds
 * the whole conversation. */
void channel_allow_streams(struct channel *ch);
void channel_set_keepalive(struct channel *ch, int64_t silence_ms);

/* Send on stream 0. */
void channel_send_control(struct channel *ch, const Ocm__Envelope *m);

/* Any thread. NULL with OCM_E_CLOSED or OCM_E_BUSY (CHANNEL_MAX_STREAMS). The
 * first stream_send opens it at the peer. */
struct stream *channel_open_stream(struct channel *ch, struct error *e);

/* End the connection: `why` goes to the peer as Error on stream 0 when it is
 * not NULL, what is queued is flushed (bounded by a timer), then on_closed. */
void channel_close(struct channel *ch, int code, const char *why);

struct channel *channel_ref(struct channel *ch);
void channel_unref(struct channel *ch);

/* NULL from on_closed on. */
struct tls_stream *channel_tls(struct channel *ch);

#endif
