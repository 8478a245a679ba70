/* SPDX-License-Identifier: MIT */
/* A channel's life: TLS ready -> on_open -> frames both ways -> the end.
 *
 * channel_close: streams are told -> what is queued and has credit is sent ->
 * the Error for the peer -> close_notify -> TLS closed -> on_closed. A fault
 * of the peer takes the same way without the queued frames; a connection that
 * is cut, or silent past its keep-alive, comes in at "TLS closed". */
#include "common/net/channel.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/net/channel_internal.h"

static void on_timer(uv_timer_t *timer);

static uint64_t now(const struct channel *ch)
{
    return uv_now(ch->timer.loop);
}

/* Handles */

static void on_handle_closed(uv_handle_t *h)
{
    struct channel *ch = h->data;

    if (--ch->open_handles == 0)
        channel_unref(ch); /* the loop's */
}

/* Keep-alive and the greeting's time limit, on one timer */

static void schedule(struct channel *ch)
{
    uint64_t t = now(ch), due;

    if (ch->pinged_at)
        due = t + (uint64_t)ch->dead_ms / 4 + 1;
    else
        due = ch->heard_at + (uint64_t)ch->silence_ms;
    if (!ch->allowed && ch->opened_at + (uint64_t)ch->hello_ms < due)
        due = ch->opened_at + (uint64_t)ch->hello_ms;
    uv_timer_start(&ch->timer, on_timer, due > t ? due - t : 1, 0);
}

static void send_ping(struct channel *ch)
{
    ch->ping_due = true;
    channel_pump(ch);
}

/* Dead: asked, no byte since, and what we sent does not move either. On a
 * slow link the PING stands behind megabytes, which are a sign of life. */
static bool is_dead(struct channel *ch)
{
    uint64_t acked = tls_stream_acked(ch->tls);

    if (acked != ch->acked) {
        ch->acked = acked;
        ch->moved_at = now(ch);
    }
    return now(ch) - ch->moved_at >= (uint64_t)ch->dead_ms;
}

static void keep_alive(struct channel *ch)
{
    if (ch->paused) {
        /* we do not listen, so we cannot judge; but the peer must hear us */
        ch->heard_at = now(ch);
        send_ping(ch);
    } else if (ch->pinged_at) {
        if (is_dead(ch)) {
            ch->closing = true;
            ch->status = OCM_E_TIMEOUT;
            snprintf(ch->why, sizeof(ch->why),
                     "the peer does not answer any more");
            tls_stream_abort(ch->tls, ch->status, ch->why);
        }
    } else if (now(ch) - ch->heard_at >= (uint64_t)ch->silence_ms) {
        ch->pinged_at = ch->moved_at = now(ch);
        ch->acked = tls_stream_acked(ch->tls);
        send_ping(ch);
    }
}

static void on_timer(uv_timer_t *timer)
{
    struct channel *ch = timer->data;

    if (!ch->tls)
        return;
    if (ch->closing) { /* the last frames took too long */
        tls_stream_close(ch->tls);
        return;
    }
    if (!ch->allowed && now(ch) - ch->opened_at >= (uint64_t)ch->hello_ms) {
        channel_fail(ch, OCM_E_TIMEOUT, "no greeting in time");
        return;
    }
    keep_alive(ch);
    if (!ch->closing)
        schedule(ch);
}

void channel_set_keepalive(struct channel *ch, int64_t silence_ms)
{
    ch->silence_ms = silence_ms > 0 ? silence_ms : CHANNEL_KEEPALIVE_MS;
    if (ch->up && !ch->closing)
        schedule(ch);
}

void channel_set_waits(struct channel *ch, int64_t dead_ms, int64_t hello_ms)
{
    ch->dead_ms = dead_ms;
    ch->hello_ms = hello_ms;
    if (ch->up && !ch->closing)
        schedule(ch);
}

void channel_allow_streams(struct channel *ch)
{
    ch->allowed = true;
}

/* Events of TLS */

static void on_ready(struct tls_stream *t, void *arg)
{
    struct channel *ch = arg;

    (void)t;
    ch->up = true;
    ch->opened_at = ch->heard_at = now(ch);
    schedule(ch);
    ch->h->on_open(ch, ch->arg);
    channel_pump(ch);
}

static void on_drain(struct tls_stream *t, void *arg)
{
    struct channel *ch = arg;

    (void)t;
    ch->blocked = false;
    channel_pump(ch);
}

/* Waits end now; what was received already can still be taken. */
void channel_tell_streams(struct channel *ch)
{
    uv_mutex_lock(&ch->lock);
    if (!ch->dead) {
        ch->dead = true;
        error_set(&ch->dead_error, OCM_E_CLOSED, "the connection closed%s%s",
                  *ch->why ? ": " : "", ch->why);
        for (struct stream *s = ch->streams; s; s = s->next)
            uv_cond_broadcast(&s->changed);
    }
    uv_mutex_unlock(&ch->lock);
}

static void drop_streams(struct channel *ch)
{
    struct stream *s, *gone = NULL;

    uv_mutex_lock(&ch->lock);
    while ((s = ch->streams) != NULL) {
        if (stream_leave(s)) {
            s->next = gone;
            gone = s;
        }
    }
    ch->async_closed = true;
    uv_mutex_unlock(&ch->lock);
    while ((s = gone) != NULL) {
        gone = s->next;
        stream_delete(s);
    }
}

static void on_tls_closed(struct tls_stream *t, int status, const char *why,
                          void *arg)
{
    struct channel *ch = arg;

    (void)t;
    ch->tls = NULL;
    if (!ch->closing) {
        ch->closing = true;
        ch->status = status;
        snprintf(ch->why, sizeof(ch->why), "%s", why);
    }
    channel_tell_streams(ch);
    drop_streams(ch);
    queue_clear(&ch->control);
    frame_reader_fini(&ch->reader);
    buf_free(&ch->cur);
    buf_free(&ch->stage);
    buf_free(&ch->goodbye);
    uv_close((uv_handle_t *)&ch->wake, on_handle_closed);
    uv_close((uv_handle_t *)&ch->timer, on_handle_closed);
    if (!*ch->why)
        snprintf(ch->why, sizeof(ch->why), "%s",
                 ch->status ? error_text(ch->status) : "closed by this end");
    ch->h->on_closed(ch, ch->status, ch->why, ch->arg);
}

static const struct tls_handler tls_handler = {
    .on_ready = on_ready,
    .on_readable = channel_on_readable,
    .on_drain = on_drain,
    .on_closed = on_tls_closed,
};

/* Workers have queued something, or taken something. */
static void on_wake(uv_async_t *async)
{
    struct channel *ch = async->data;
    struct error fault;

    uv_mutex_lock(&ch->lock);
    fault = ch->fault;
    uv_mutex_unlock(&ch->lock);
    if (fault.code)
        channel_fail(ch, OCM_E_PROTOCOL, "%s", fault.text);
    channel_maybe_resume(ch);
    channel_pump(ch);
}

/* For the owner */

struct channel *channel_new(struct tls_stream *tls, bool even,
                            const struct channel_handler *h, void *arg)
{
    uv_loop_t *loop = tls_stream_loop(tls);
    struct channel *ch = mem_zalloc(sizeof(*ch));
    int rc;

    atomic_init(&ch->refs, 2); /* the caller's and the loop's */
    ch->tls = tls;
    ch->h = h;
    ch->arg = arg;
    ch->even = even;
    ch->next_id = even ? 2 : 1;
    ch->silence_ms = CHANNEL_KEEPALIVE_MS;
    ch->dead_ms = CHANNEL_DEAD_MS;
    ch->hello_ms = CHANNEL_HELLO_MS;
    rc = uv_mutex_init(&ch->lock);
    assert(rc == 0); /* fails only without memory */
    rc = uv_async_init(loop, &ch->wake, on_wake);
    assert(rc == 0); /* the loop made its descriptors at the first one */
    uv_timer_init(loop, &ch->timer);
    ch->wake.data = ch->timer.data = ch;
    ch->open_handles = 2;
    tls_stream_set_handler(tls, &tls_handler, ch);
    return ch;
}

struct channel *channel_ref(struct channel *ch)
{
    atomic_fetch_add(&ch->refs, 1);
    return ch;
}

void channel_unref(struct channel *ch)
{
    if (!ch || atomic_fetch_sub(&ch->refs, 1) != 1)
        return;
    uv_mutex_destroy(&ch->lock);
    free(ch);
}

struct tls_stream *channel_tls(struct channel *ch)
{
    return ch->tls;
}

static int pack_error(int code, const char *text, struct buf *out)
{
    Ocm__Envelope m = OCM__ENVELOPE__INIT;
    Ocm__Error body = OCM__ERROR__INIT;

    body.code = (char *)error_name(code ? code : OCM_E_CLOSED);
    body.text = (char *)text;
    m.body_case = OCM__ENVELOPE__BODY_ERROR;
    m.error = &body;
    return frame_pack(&m, out, NULL);
}

void channel_send_control(struct channel *ch, const Ocm__Envelope *m)
{
    struct error e = {0};
    struct buf b = {0};

    if (ch->closing)
        return;
    if (frame_pack(m, &b, &e) < 0) {
        channel_fail(ch, e.code, "%s", e.text);
        return;
    }
    ch->control_bytes += b.len;
    queue_push(&ch->control, FRAME_CONTROL, &b);
    if (ch->control_bytes > CHANNEL_CONTROL_MAX)
        channel_fail(ch, OCM_E_LIMIT, "the peer does not read");
    else
        channel_pump(ch);
}

struct stream *channel_open_stream(struct channel *ch, struct error *e)
{
    struct stream *s = NULL;

    uv_mutex_lock(&ch->lock);
    if (ch->dead) {
        if (e)
            *e = ch->dead_error;
    } else if (ch->live[true] >= CHANNEL_MAX_STREAMS ||
               ch->objects[true] >= CHANNEL_MAX_OBJECTS) {
        error_set(e, OCM_E_BUSY, "%d conversations are open already",
                  CHANNEL_MAX_STREAMS);
    } else {
        s = stream_new(ch, true);
    }
    uv_mutex_unlock(&ch->lock);
    return s;
}

void channel_finish_close(struct channel *ch)
{
    tls_stream_close(ch->tls);
}

static void begin_close(struct channel *ch, int code, const char *why,
                        bool hard)
{
    if (ch->closing || !ch->tls)
        return;
    ch->closing = true;
    ch->hard = hard;
    ch->status = code;
    snprintf(ch->why, sizeof(ch->why), "%s", why ? why : "");
    text_clean(ch->why);
    if (why)
        pack_error(code, ch->why, &ch->goodbye);
    channel_tell_streams(ch);
    if (!ch->up) {
        tls_stream_close(ch->tls);
        return;
    }
    uv_timer_start(&ch->timer, on_timer, CHANNEL_FLUSH_MS, 0);
    channel_pump(ch);
}

void channel_close(struct channel *ch, int code, const char *why)
{
    begin_close(ch, code, why, false);
}

void channel_fail(struct channel *ch, int code, const char *fmt, ...)
{
    char why[160];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(why, sizeof(why), fmt, ap);
    va_end(ap);
    begin_close(ch, code, why, true);
}
