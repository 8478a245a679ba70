/* SPDX-License-Identifier: MIT */
/* A TLS connection over uv_tcp_t: two byte queues and one pump. Loop thread
 * only. Owner callbacks never run inside a call that the owner makes. There is
 * no free: the stream lives until on_closed has returned. */
#ifndef COMMON_NET_TLS_STREAM_H
#define COMMON_NET_TLS_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "common/net/tls_context.h"

#define TLS_HANDSHAKE_MS 15000
#define TLS_CLOSE_MS 5000
#define TLS_OUT_HIGH_WATER (256u * 1024) /* ciphertext waiting for the kernel */

struct tls_stream;

struct tls_handler {
    void (*on_ready)(struct tls_stream *t, void *arg);
    /* Plaintext is there: call tls_stream_read until it gives 0. */
    void (*on_readable)(struct tls_stream *t, void *arg);
    /* There is room again after tls_stream_write took less than asked. */
    void (*on_drain)(struct tls_stream *t, void *arg);
    /* Exactly once, last. 0: clean end by close_notify; UV_EOF: cut off. */
    void (*on_closed)(struct tls_stream *t, int status, const char *why,
                      void *arg);
};

/* Server side: takes the next connection of `listener`. NULL and a libuv code
 * in *rc when there is none. */
struct tls_stream *tls_stream_accept(uv_stream_t *listener,
                                     struct tls_context *ctx,
                                     const struct tls_handler *h, void *arg,
                                     int *rc);
/* Client side: dials `addr`; expects a certificate for `expect_name`, which
 * only TLS_JOIN_CLIENT may leave out (NULL). A connection that fails is told
 * by on_closed; NULL and a code in *rc only for what can be seen at once. */
struct tls_stream *tls_stream_dial(uv_loop_t *loop, struct tls_context *ctx,
                                   const struct sockaddr *addr,
                                   const char *expect_name,
                                   const struct tls_handler *h, void *arg,
                                   int *rc);

/* Set once, before the first callback can come (i.e. right after creation). */
void tls_stream_set_handler(struct tls_stream *t, const struct tls_handler *h,
                            void *arg);

/* Decrypted bytes straight into `p`; 0: nothing now; < 0: closed. */
ssize_t tls_stream_read(struct tls_stream *t, void *p, size_t len);
/* How many bytes were taken: less than `len` above TLS_OUT_HIGH_WATER. */
size_t tls_stream_write(struct tls_stream *t, const void *p, size_t len);

void tls_stream_pause(struct tls_stream *t); /* stop reading: TCP pushes back */
void tls_stream_resume(struct tls_stream *t);

void tls_stream_close(struct tls_stream *t); /* close_notify, flush, close */
void tls_stream_abort(struct tls_stream *t, int status, const char *why);

/* The peer's certificate; valid after on_ready. */
const struct tls_peer *tls_stream_peer(const struct tls_stream *t);

/* "192.0.2.1:4711" or "[2001:db8::1]:4711"; "?" before the connection. */
const char *tls_stream_address(const struct tls_stream *t);
uv_loop_t *tls_stream_loop(const struct tls_stream *t);

/* Ciphertext of ours that the peer's kernel has acknowledged: grows as long
 * as a slow link still moves. */
uint64_t tls_stream_acked(const struct tls_stream *t);

#endif
