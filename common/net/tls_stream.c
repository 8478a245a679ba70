/* SPDX-License-Identifier: MIT */
/* One TLS connection. Ciphertext that arrives lies in the loop's shared read
 * buffer while it is decrypted; ciphertext to send collects in `out` and goes
 * to the kernel as one uv_write at a time.
 *
 * Happy path: connect -> handshake -> judge the peer -> on_ready -> pump on
 * every event: on_readable, flush, on_drain -> tls_stream_close: close_notify
 * -> flush -> shutdown -> the peer's end -> handles closed -> on_closed(0).
 *
 * A peer that is refused gets its alert on the same way out. Transport errors
 * and aborts close the handles at once. A handshake or a close that takes too
 * long ends by the one timer. on_closed comes from the close callback, always.
 *
 * f_send takes everything and never says WANT_WRITE; the bound is kept in
 * tls_stream_write. See PROTOCOL.md, "TLS". */
#include "common/net/tls_stream.h"

#include <linux/sockios.h>
#include <mbedtls/error.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "common/base/buf.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/net/tls_context_internal.h"

#define READ_BYTES (64u * 1024)
#define RECORD_BYTES 16384u /* plaintext of a full record */
#define NAME_BYTES 254      /* a DNS name and NUL */
/* Alerts and the like come on top of the high-water mark: a peer that makes
 * us answer without ever reading ends here. */
#define OUT_MAX_BYTES (TLS_OUT_HIGH_WATER + 256u * 1024)

enum tls_state {
    TLS_CONNECTING,
    TLS_HANDSHAKE,
    TLS_OPEN,
    TLS_CLOSING,  /* close_notify or alert on its way to the kernel */
    TLS_SHUTDOWN, /* FIN sent, waiting for the peer's */
    TLS_DEAD,     /* handles closing */
};

struct tls_stream {
    uv_tcp_t tcp;
    uv_timer_t timer; /* of the handshake, then of the close */
    uv_timer_t kick;  /* at 0 ms: a pump from the loop */
    uv_connect_t connect;
    uv_write_t write;
    uv_shutdown_t shutdown;
    unsigned open_handles;

    mbedtls_ssl_context ssl;
    struct tls_context *ctx;
    const struct tls_handler *h;
    void *arg;
    struct tls_peer peer;
    char name[NAME_BYTES]; /* client: the name to expect */
    char address[64];

    enum tls_state state;
    bool reading, paused, pumping;
    bool may_read;   /* plaintext may be there */
    bool want_drain; /* a write took less than asked */
    bool writing, shutting, eof;

    const uint8_t *in; /* ciphertext to decrypt: shared buffer or `rest` */
    size_t in_len;
    struct buf rest;          /* what a paused owner left */
    struct buf out, inflight; /* ciphertext to send; what the kernel takes */
    uint64_t given;           /* ciphertext given to uv_write, ever */

    int status; /* for on_closed */
    char why[160];
};

/* One read buffer per loop, that is per thread: plaintext and ciphertext
 * leave it before the callback returns. */
static _Thread_local uint8_t *read_buffer;
static _Thread_local size_t read_buffer_users;

static void pump(struct tls_stream *t);

static void set_reason(struct tls_stream *t, int status, const char *why)
{
    if (t->state >= TLS_CLOSING)
        return; /* the first reason stands */
    t->status = status;
    snprintf(t->why, sizeof(t->why), "%s", why);
}

/* Handles */

static void on_handle_closed(uv_handle_t *h)
{
    struct tls_stream *t = h->data;

    if (--t->open_handles > 0)
        return;
    mbedtls_ssl_free(&t->ssl);
    tls_context_unref(t->ctx);
    buf_free(&t->rest);
    buf_free(&t->out);
    buf_free(&t->inflight);
    if (--read_buffer_users == 0) {
        free(read_buffer);
        read_buffer = NULL;
    }
    if (t->h)
        t->h->on_closed(t, t->status, t->why, t->arg);
    free(t);
}

static void destroy(struct tls_stream *t)
{
    if (t->state == TLS_DEAD)
        return;
    t->state = TLS_DEAD;
    uv_close((uv_handle_t *)&t->tcp, on_handle_closed);
    uv_close((uv_handle_t *)&t->timer, on_handle_closed);
    uv_close((uv_handle_t *)&t->kick, on_handle_closed);
}

static void on_timeout(uv_timer_t *timer)
{
    struct tls_stream *t = timer->data;

    if (t->state < TLS_CLOSING) {
        set_reason(t, OCM_E_TIMEOUT, "no TLS connection in time");
    } else if (t->state == TLS_CLOSING && t->status == 0) {
        t->status = OCM_E_TIMEOUT;
        snprintf(t->why, sizeof(t->why),
                 "the peer did not take our last bytes "
                 "in time");
    }
    destroy(t);
}

static void on_kick(uv_timer_t *timer)
{
    pump(timer->data);
}

static void kick(struct tls_stream *t)
{
    if (t->state != TLS_DEAD)
        uv_timer_start(&t->kick, on_kick, 0, 0);
}

/* Transport: the two callbacks of the library */

static int f_send(void *arg, const unsigned char *p, size_t len)
{
    struct tls_stream *t = arg;

    if (t->out.len + len > OUT_MAX_BYTES || len > INT32_MAX)
        return MBEDTLS_ERR_SSL_INTERNAL_ERROR;
    buf_add(&t->out, p, len);
    return (int)len;
}

static int f_recv(void *arg, unsigned char *p, size_t len)
{
    struct tls_stream *t = arg;

    if (t->in_len == 0)
        return MBEDTLS_ERR_SSL_WANT_READ;
    if (len > t->in_len)
        len = t->in_len;
    if (len > INT32_MAX)
        len = INT32_MAX;
    memcpy(p, t->in, len);
    t->in += len;
    t->in_len -= len;
    if (t->in_len == 0)
        buf_free(&t->rest);
    return (int)len;
}

/* What a return code of the library means; the only place that knows. */
enum verdict { GO_ON, AGAIN, WAIT, PEER_CLOSED, BROKEN };

static enum verdict classify(int rc)
{
    if (rc > 0)
        return GO_ON;
    if (rc == MBEDTLS_ERR_SSL_WANT_READ || rc == MBEDTLS_ERR_SSL_WANT_WRITE)
        return WAIT;
    if (compat_is_ticket(rc))
        return AGAIN;
    if (rc == MBEDTLS_ERR_SSL_PEER_CLOSE_NOTIFY)
        return PEER_CLOSED;
    return BROKEN; /* 0 is the end of the transport: truncation */
}

static void describe(struct tls_stream *t, int rc, char *out, size_t cap)
{
    uint32_t flags;
    char text[100];

    switch (rc) {
    case MBEDTLS_ERR_X509_CERT_VERIFY_FAILED:
        flags = mbedtls_ssl_get_verify_result(&t->ssl);
        tls_verify_text(flags, text, sizeof(text));
        snprintf(out, cap, "the peer's certificate was refused: %s", text);
        break;
    case MBEDTLS_ERR_SSL_FATAL_ALERT_MESSAGE:
        snprintf(out, cap, "the peer refused us (TLS alert)");
        break;
    case MBEDTLS_ERR_SSL_INVALID_MAC:
        /* a server of mbedTLS 3 sends the alert that refuses a client of TLS
         * 1.3 under keys which that client has just put away */
        snprintf(out, cap,
                 "the peer refused us, or the line alters data (a record "
                 "does not verify)");
        break;
    default:
        mbedtls_strerror(rc, text, sizeof(text));
        snprintf(out, cap, "TLS: %s", text);
    }
}

/* Sending */

static size_t queued(const struct tls_stream *t)
{
    return t->out.len + (t->writing ? t->inflight.len : 0);
}

static void on_write(uv_write_t *req, int status)
{
    struct tls_stream *t = CONTAINER_OF(req, struct tls_stream, write);

    t->writing = false;
    if (t->state == TLS_DEAD)
        return;
    if (status < 0) {
        set_reason(t, status, uv_strerror(status));
        destroy(t);
        return;
    }
    pump(t);
    if (t->state != TLS_DEAD && queued(t) == 0) {
        buf_free(&t->out); /* idle: no memory held */
        buf_free(&t->inflight);
    }
}

static void flush(struct tls_stream *t)
{
    struct buf old = t->inflight;
    uv_buf_t b;
    int rc;

    if (t->writing || t->out.len == 0 || t->state == TLS_DEAD)
        return;
    t->inflight = t->out;
    t->out = old;
    buf_clear(&t->out);
    b = uv_buf_init((char *)t->inflight.data, (unsigned)t->inflight.len);
    t->writing = true;
    t->given += t->inflight.len;
    rc = uv_write(&t->write, (uv_stream_t *)&t->tcp, &b, 1, on_write);
    if (rc < 0) {
        t->writing = false;
        set_reason(t, rc, uv_strerror(rc));
        destroy(t);
    }
}

/* Ending */

/* Leave by the front door: what is in `out` first, then FIN. */
static void leave(struct tls_stream *t, int status, const char *why)
{
    if (t->state >= TLS_CLOSING)
        return;
    set_reason(t, status, why);
    if (t->state == TLS_CONNECTING) {
        destroy(t);
        return;
    }
    t->state = TLS_CLOSING;
    uv_timer_start(&t->timer, on_timeout, TLS_CLOSE_MS, 0);
    kick(t);
}

static void fail(struct tls_stream *t, int rc)
{
    char why[160];

    describe(t, rc, why, sizeof(why));
    if (t->state == TLS_HANDSHAKE)
        log_info("tls_refused peer=%s reason=\"%s\"", t->address, why);
    leave(t, OCM_E_TLS, why);
}

static void on_shutdown(uv_shutdown_t *req, int status)
{
    struct tls_stream *t = CONTAINER_OF(req, struct tls_stream, shutdown);

    t->shutting = false;
    if (t->state != TLS_DEAD && (t->eof || status < 0))
        destroy(t);
}

/* After our FIN the peer's bytes are still read and thrown away: closing over
 * unread ones would send a reset, which can overtake our last alert. */
static void try_shutdown(struct tls_stream *t)
{
    if (t->state != TLS_CLOSING || t->writing || t->out.len > 0)
        return;
    t->state = TLS_SHUTDOWN;
    t->shutting = true;
    if (uv_shutdown(&t->shutdown, (uv_stream_t *)&t->tcp, on_shutdown) < 0)
        destroy(t);
}

/* Receiving */

static void on_alloc(uv_handle_t *h, size_t suggested, uv_buf_t *b)
{
    (void)h;
    (void)suggested;
    if (!read_buffer)
        read_buffer = mem_alloc(READ_BYTES);
    *b = uv_buf_init((char *)read_buffer, READ_BYTES);
}

static void on_transport_end(struct tls_stream *t, int status)
{
    t->eof = true;
    if (t->state == TLS_CLOSING && status == UV_EOF)
        return; /* a half-closed peer still takes our last bytes */
    if (t->state == TLS_SHUTDOWN && t->shutting)
        return;
    if (status == UV_EOF)
        set_reason(t, status,
                   t->state == TLS_OPEN
                       ? "the connection was cut"
                       : "the peer went away during the TLS handshake");
    else
        set_reason(t, status, uv_strerror(status));
    destroy(t);
}

static void on_read(uv_stream_t *s, ssize_t n, const uv_buf_t *b)
{
    struct tls_stream *t = s->data;

    if (n == 0)
        return;
    if (n < 0) {
        on_transport_end(t, (int)n);
        return;
    }
    if (t->state >= TLS_CLOSING)
        return;
    t->in = (const uint8_t *)b->base;
    t->in_len = (size_t)n;
    t->may_read = true;
    pump(t);
}

/* Bytes that the owner did not want yet leave the shared buffer. */
static void keep_rest(struct tls_stream *t)
{
    if (t->in_len > 0 && t->state >= TLS_CLOSING) {
        t->in_len = 0;
        buf_free(&t->rest);
    }
    if (t->in_len > 0 && !t->rest.data) {
        buf_add(&t->rest, t->in, t->in_len);
        t->in = t->rest.data;
    }
}

static void update_reading(struct tls_stream *t)
{
    bool want;

    switch (t->state) {
    case TLS_HANDSHAKE:
    case TLS_CLOSING:
    case TLS_SHUTDOWN:
        want = !t->eof;
        break;
    case TLS_OPEN:
        want = !t->paused && t->in_len == 0;
        break;
    default:
        want = false;
    }
    if (want == t->reading || t->state == TLS_DEAD)
        return;
    t->reading = want;
    if (want)
        uv_read_start((uv_stream_t *)&t->tcp, on_alloc, on_read);
    else
        uv_read_stop((uv_stream_t *)&t->tcp);
}

/* The pump */

static void handshake(struct tls_stream *t)
{
    struct error e = {0};
    enum verdict v;
    int rc;

    do {
        rc = mbedtls_ssl_handshake(&t->ssl);
        v = rc == 0 ? GO_ON : classify(rc);
    } while (v == AGAIN);
    if (v == WAIT)
        return;
    if (v != GO_ON) {
        fail(t, rc);
        return;
    }
    rc = tls_context_judge(t->ctx, &t->ssl, t->name, &t->peer, &e);
    if (rc < 0) {
        log_info("tls_refused peer=%s reason=\"%s\"", t->address, e.text);
        mbedtls_ssl_send_alert_message(&t->ssl, MBEDTLS_SSL_ALERT_LEVEL_FATAL,
                                       MBEDTLS_SSL_ALERT_MSG_BAD_CERT);
        leave(t, rc, e.text);
        return;
    }
    t->state = TLS_OPEN;
    t->may_read = true; /* data may have come with the last flight */
    uv_timer_stop(&t->timer);
    t->h->on_ready(t, t->arg);
}

static bool has_input(struct tls_stream *t)
{
    return t->in_len > 0 || mbedtls_ssl_get_bytes_avail(&t->ssl) > 0;
}

/* Run after every event. Every callback may have closed us. */
static void pump(struct tls_stream *t)
{
    if (t->pumping || t->state == TLS_DEAD || t->state == TLS_CONNECTING)
        return;
    t->pumping = true;
    if (t->state == TLS_HANDSHAKE)
        handshake(t);
    if (t->state == TLS_OPEN && !t->paused && t->may_read) {
        t->may_read = false;
        t->h->on_readable(t, t->arg);
        if (t->state == TLS_OPEN && has_input(t)) {
            t->may_read = true;
            if (!t->paused)
                kick(t);
        }
    }
    flush(t);
    if (t->state == TLS_OPEN && t->want_drain &&
        queued(t) < TLS_OUT_HIGH_WATER) {
        t->want_drain = false;
        t->h->on_drain(t, t->arg);
        flush(t);
    }
    try_shutdown(t);
    keep_rest(t);
    update_reading(t);
    t->pumping = false;
}

/* For the owner */

ssize_t tls_stream_read(struct tls_stream *t, void *p, size_t len)
{
    enum verdict v;
    int rc;

    if (t->state != TLS_OPEN)
        return t->state < TLS_OPEN ? 0 : OCM_E_CLOSED;
    do {
        rc = mbedtls_ssl_read(&t->ssl, p, len);
        v = classify(rc);
    } while (v == AGAIN);
    if (v == GO_ON)
        return rc;
    if (v == WAIT)
        return 0;
    if (v == PEER_CLOSED) {
        mbedtls_ssl_close_notify(&t->ssl);
        leave(t, 0, "the peer closed the connection");
    } else {
        fail(t, rc);
    }
    return OCM_E_CLOSED;
}

size_t tls_stream_write(struct tls_stream *t, const void *p, size_t len)
{
    size_t taken = 0;

    if (t->state != TLS_OPEN)
        return 0;
    while (taken < len && queued(t) < TLS_OUT_HIGH_WATER) {
        size_t n = len - taken > RECORD_BYTES ? RECORD_BYTES : len - taken;
        int rc = mbedtls_ssl_write(&t->ssl, (const uint8_t *)p + taken, n);
        enum verdict v = classify(rc);

        if (v == AGAIN)
            continue;
        if (v != GO_ON) { /* f_send never blocks: not even WAIT can be */
            fail(t, rc);
            return taken;
        }
        taken += (size_t)rc;
    }
    if (taken < len)
        t->want_drain = true;
    if (!t->pumping)
        flush(t);
    return taken;
}

void tls_stream_pause(struct tls_stream *t)
{
    t->paused = true;
    if (!t->pumping)
        update_reading(t);
}

void tls_stream_resume(struct tls_stream *t)
{
    if (!t->paused)
        return;
    t->paused = false;
    t->may_read = true;
    kick(t); /* what was left is read before the socket is */
}

void tls_stream_close(struct tls_stream *t)
{
    if (t->state == TLS_OPEN)
        mbedtls_ssl_close_notify(&t->ssl);
    leave(t, 0, "closed");
}

void tls_stream_abort(struct tls_stream *t, int status, const char *why)
{
    set_reason(t, status, why);
    destroy(t);
}

void tls_stream_set_handler(struct tls_stream *t, const struct tls_handler *h,
                            void *arg)
{
    t->h = h;
    t->arg = arg;
}

const struct tls_peer *tls_stream_peer(const struct tls_stream *t)
{
    return &t->peer;
}

const char *tls_stream_address(const struct tls_stream *t)
{
    return t->address;
}

uv_loop_t *tls_stream_loop(const struct tls_stream *t)
{
    return t->tcp.loop;
}

uint64_t tls_stream_acked(const struct tls_stream *t)
{
    uint64_t waiting =
        uv_stream_get_write_queue_size((const uv_stream_t *)&t->tcp);
    int fd, unacked = 0;

    if (t->state == TLS_DEAD ||
        uv_fileno((const uv_handle_t *)&t->tcp, &fd) != 0 ||
        ioctl(fd, SIOCOUTQ, &unacked) != 0)
        unacked = 0;
    return t->given - waiting - (uint64_t)unacked;
}

/* Beginning */

static void set_address(struct tls_stream *t)
{
    struct sockaddr_storage addr;
    int len = sizeof(addr);
    char text[INET6_ADDRSTRLEN];

    snprintf(t->address, sizeof(t->address), "?");
    if (uv_tcp_getpeername(&t->tcp, (struct sockaddr *)&addr, &len) != 0)
        return;
    if (addr.ss_family == AF_INET6) {
        struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&addr;

        uv_ip6_name(in6, text, sizeof(text));
        snprintf(t->address, sizeof(t->address), "[%s]:%u", text,
                 ntohs(in6->sin6_port));
    } else {
        struct sockaddr_in *in = (struct sockaddr_in *)&addr;

        uv_ip4_name(in, text, sizeof(text));
        snprintf(t->address, sizeof(t->address), "%s:%u", text,
                 ntohs(in->sin_port));
    }
}

static void begin_handshake(struct tls_stream *t)
{
    uv_tcp_nodelay(&t->tcp, 1); /* the channel coalesces by itself */
    set_address(t);
    t->state = TLS_HANDSHAKE;
    kick(t);
}

static void on_connect(uv_connect_t *req, int status)
{
    struct tls_stream *t = CONTAINER_OF(req, struct tls_stream, connect);

    if (t->state == TLS_DEAD)
        return;
    if (status < 0) {
        set_reason(t, status, uv_strerror(status));
        destroy(t);
        return;
    }
    begin_handshake(t);
}

/* Fails only when the library refuses the set-up: then nobody hears of it. */
static struct tls_stream *stream_new(uv_loop_t *loop, struct tls_context *ctx,
                                     const struct tls_handler *h, void *arg,
                                     int *rc)
{
    struct tls_stream *t = mem_zalloc(sizeof(*t));

    t->ctx = tls_context_ref(ctx);
    t->h = h;
    t->arg = arg;
    snprintf(t->address, sizeof(t->address), "?");
    mbedtls_ssl_init(&t->ssl);
    *rc = uv_tcp_init(loop, &t->tcp);
    if (*rc == 0 && mbedtls_ssl_setup(&t->ssl, &ctx->conf) != 0)
        *rc = UV_ENOMEM;
    mbedtls_ssl_set_bio(&t->ssl, t, f_send, f_recv, NULL);
    uv_timer_init(loop, &t->timer);
    uv_timer_init(loop, &t->kick);
    t->tcp.data = t->timer.data = t->kick.data = t;
    t->open_handles = 3;
    read_buffer_users++;
    uv_timer_start(&t->timer, on_timeout, TLS_HANDSHAKE_MS, 0);
    return t;
}

static struct tls_stream *give_up(struct tls_stream *t)
{
    t->h = NULL;
    destroy(t);
    return NULL;
}

struct tls_stream *tls_stream_accept(uv_stream_t *listener,
                                     struct tls_context *ctx,
                                     const struct tls_handler *h, void *arg,
                                     int *rc)
{
    struct tls_stream *t = stream_new(listener->loop, ctx, h, arg, rc);

    if (*rc == 0)
        *rc = uv_accept(listener, (uv_stream_t *)&t->tcp);
    if (*rc < 0)
        return give_up(t);
    begin_handshake(t);
    return t;
}

struct tls_stream *tls_stream_dial(uv_loop_t *loop, struct tls_context *ctx,
                                   const struct sockaddr *addr,
                                   const char *expect_name,
                                   const struct tls_handler *h, void *arg,
                                   int *rc)
{
    struct tls_stream *t;

    if (!expect_name)
        expect_name = "";
    if (strlen(expect_name) >= NAME_BYTES ||
        (!*expect_name && ctx->role != TLS_JOIN_CLIENT)) {
        *rc = UV_EINVAL;
        return NULL;
    }
    t = stream_new(loop, ctx, h, arg, rc);
    if (*rc < 0)
        return give_up(t);
    memcpy(t->name, expect_name, strlen(expect_name) + 1);
    if (mbedtls_ssl_set_hostname(&t->ssl, *t->name ? t->name : NULL) != 0) {
        *rc = UV_EINVAL;
        return give_up(t);
    }
    *rc = uv_tcp_connect(&t->connect, &t->tcp, addr, on_connect);
    if (*rc < 0)
        return give_up(t);
    return t;
}
