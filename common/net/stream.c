/* SPDX-License-Identifier: MIT */
/* The workers' side of a stream: calls that may block. They only touch queues
 * and marks under the channel's lock and wake the loop, which does the I/O. */
#include "common/net/stream.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/net/channel_internal.h"
#include "common/net/envelope.h"

/* With the lock held. */
static void cancel_locked(struct stream *s)
{
    if (s->cancelled)
        return;
    s->cancelled = true;
    stream_drop_inbox(s);
    stream_drop_outbox(s);
    uv_cond_broadcast(&s->changed);
    if (s->in_table && s->id && !stream_wire_over(s)) {
        s->cancel_due = true;
        stream_mark_ready(s);
        stream_wake_loop(s->ch);
    }
}

/* Waits */

/* Milliseconds that a wait may take; -1: for ever, 0: it is over. */
static int64_t time_left(const struct stream *s, int64_t until_ms)
{
    int64_t end = until_ms;
    int64_t left;

    if (s->deadline_ms && (!end || s->deadline_ms < end))
        end = s->deadline_ms;
    if (!end)
        return -1;
    left = end - clock_monotonic_ms();
    return left > 0 ? left : 0;
}

/* Wait for a change, with the lock held. */
static int wait_change(struct stream *s, int64_t until_ms, const char *what,
                       struct error *e)
{
    int64_t left = time_left(s, until_ms);

    if (left == 0)
        return error_set(e, OCM_E_TIMEOUT, "%s took too long", what);
    if (left < 0)
        uv_cond_wait(&s->changed, &s->ch->lock);
    else
        uv_cond_timedwait(&s->changed, &s->ch->lock, (uint64_t)left * 1000000u);
    return 0;
}

static int dead(const struct stream *s, struct error *e)
{
    if (e)
        *e = s->ch->dead_error;
    return s->ch->dead_error.code;
}

/* Why nothing can be sent any more; 0: it can. */
static int send_state(const struct stream *s, struct error *e)
{
    if (s->cancelled || s->cancel_seen)
        return error_set(e, OCM_E_CANCELLED, "the conversation was cancelled");
    if (s->ch->dead)
        return dead(s, e);
    if (s->end_due)
        return error_set(e, OCM_E_INVALID, "sending after the end");
    if (time_left(s, 0) == 0)
        return error_set(e, OCM_E_TIMEOUT, "the conversation took too long");
    return 0;
}

/* Sending */

/* Queue `b`, which begins with the head's room, once there is room. */
static int enqueue(struct stream *s, enum frame_kind kind, struct buf *b,
                   bool last, struct error *e)
{
    struct channel *ch = s->ch;
    int rc;

    uv_mutex_lock(&ch->lock);
    rc = send_state(s, e);
    while (rc == 0 && s->out_bytes >= STREAM_OUTBOX) {
        rc = wait_change(s, 0, "sending", e);
        if (rc == 0)
            rc = send_state(s, e);
    }
    if (rc == 0) {
        s->out_bytes += b->len;
        queue_push(&s->outbox, kind, b);
        s->end_due = last;
        stream_mark_ready(s);
        stream_wake_loop(ch);
    }
    uv_mutex_unlock(&ch->lock);
    buf_free(b);
    return rc;
}

static int send_message(struct stream *s, const Ocm__Envelope *msg, bool last,
                        struct error *e)
{
    struct buf b = {0};
    int rc = frame_pack(msg, &b, e);

    return rc < 0 ? rc : enqueue(s, FRAME_CONTROL, &b, last, e);
}

int stream_send(struct stream *s, const Ocm__Envelope *msg, struct error *e)
{
    return send_message(s, msg, false, e);
}

void stream_data_begin(struct buf *b)
{
    buf_reserve(b, FRAME_HEAD_LEN);
    b->len = FRAME_HEAD_LEN;
}

size_t stream_data_len(const struct buf *b)
{
    return b->len - FRAME_HEAD_LEN;
}

int stream_send_data(struct stream *s, struct buf *b, struct error *e)
{
    size_t len = b->len < FRAME_HEAD_LEN ? 0 : stream_data_len(b);

    if (len == 0 || len > FRAME_MAX_DATA) {
        buf_free(b);
        return error_set(e, OCM_E_LIMIT, "a DATA frame of %zu bytes", len);
    }
    return enqueue(s, FRAME_DATA, b, false, e);
}

int stream_send_error(struct stream *s, const struct error *why)
{
    Ocm__Envelope m = OCM__ENVELOPE__INIT;
    Ocm__Error body = OCM__ERROR__INIT;

    body.code = (char *)error_name(why->code ? why->code : OCM_E_FAILED);
    body.text = (char *)why->text;
    if (!*body.text)
        body.text = (char *)error_text(why->code);
    m.body_case = OCM__ENVELOPE__BODY_ERROR;
    m.error = &body;
    return send_message(s, &m, true, NULL);
}

int stream_send_progress(struct stream *s, const Ocm__Progress *p)
{
    Ocm__Envelope m = OCM__ENVELOPE__INIT;

    m.body_case = OCM__ENVELOPE__BODY_PROGRESS;
    m.progress = (Ocm__Progress *)p;
    return stream_send(s, &m, NULL);
}

int stream_send_log(struct stream *s, const char *level, const char *fmt, ...)
{
    Ocm__Envelope m = OCM__ENVELOPE__INIT;
    Ocm__LogLine body = OCM__LOG_LINE__INIT;
    char text[ERROR_TEXT_MAX];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    text_clean(text);
    body.level = (char *)level;
    body.text = text;
    m.body_case = OCM__ENVELOPE__BODY_LOG_LINE;
    m.log_line = &body;
    return stream_send(s, &m, NULL);
}

int stream_end(struct stream *s, struct error *e)
{
    int rc;

    uv_mutex_lock(&s->ch->lock);
    if (s->end_due && !s->cancelled && !s->cancel_seen && !s->ch->dead)
        rc = 0; /* said already, or by an Error */
    else
        rc = send_state(s, e);
    if (rc == 0 && !s->end_due && !s->id && !s->outbox.head)
        rc = error_set(e, OCM_E_INVALID, "ending before the first message");
    if (rc == 0 && !s->end_due) {
        s->end_due = true;
        stream_mark_ready(s);
        stream_wake_loop(s->ch);
    }
    uv_mutex_unlock(&s->ch->lock);
    return rc;
}

/* Receiving */

/* The next thing, with the lock held: 1 and an item, 1 and NULL at the end,
 * 0: wait, or a code. */
static int next_item(struct stream *s, struct item **out, struct error *e)
{
    *out = NULL;
    if (s->peer_error.code) {
        if (e)
            *e = s->peer_error;
        return s->peer_error.code;
    }
    if (s->cancelled)
        return error_set(e, OCM_E_CANCELLED, "the conversation was cancelled");
    *out = queue_pop(&s->inbox);
    if (*out) {
        stream_account_taken(s, *out);
        if ((*out)->kind == FRAME_DATA && !s->end_seen &&
            (s->credit_due >= STREAM_WINDOW / 8 || s->pieces == 0)) {
            stream_mark_ready(s);
            stream_wake_loop(s->ch);
        }
        return 1;
    }
    if (s->end_seen)
        return 1;
    return s->ch->dead ? dead(s, e) : 0;
}

/* A message of the peer that cannot be parsed ends the connection. */
static int report_fault(struct stream *s, const struct error *why)
{
    struct channel *ch = s->ch;

    uv_mutex_lock(&ch->lock);
    if (!ch->fault.code)
        ch->fault = *why;
    stream_wake_loop(ch);
    uv_mutex_unlock(&ch->lock);
    return OCM_E_PROTOCOL;
}

/* The peer's Error becomes ours. */
static int take_error(struct stream *s, const Ocm__Error *m, struct error *e)
{
    struct error why = {0};

    error_set(&why, error_code_of_name(m->code), "%s", m->text);
    uv_mutex_lock(&s->ch->lock);
    s->peer_error = why;
    uv_mutex_unlock(&s->ch->lock);
    if (e)
        *e = why;
    return why.code;
}

static int deliver(struct stream *s, struct item *item, struct stream_item *out,
                   struct error *e)
{
    struct error why = {0};
    int rc = 0;

    if (!item) {
        out->kind = STREAM_END;
        return 0;
    }
    if (item->kind == FRAME_DATA) {
        out->kind = STREAM_DATA;
        out->data = buf_take(&item->b);
        free(item);
        return 0;
    }
    out->kind = STREAM_MESSAGE;
    out->message = envelope_unpack(item->b.data, item->b.len, &why);
    buf_free(&item->b);
    free(item);
    if (!out->message) {
        if (e)
            *e = why;
        return report_fault(s, &why);
    }
    if (out->message->body_case == OCM__ENVELOPE__BODY_ERROR) {
        rc = take_error(s, out->message->error, e);
        stream_item_free(out);
    }
    return rc;
}

int stream_recv(struct stream *s, int timeout_ms, struct stream_item *out,
                struct error *e)
{
    int64_t until = timeout_ms < 0 ? 0 : clock_monotonic_ms() + timeout_ms;
    struct item *item;
    int rc;

    memset(out, 0, sizeof(*out));
    uv_mutex_lock(&s->ch->lock);
    while ((rc = next_item(s, &item, e)) == 0) {
        rc = wait_change(s, until, "waiting for the peer", e);
        if (rc < 0)
            break;
    }
    uv_mutex_unlock(&s->ch->lock);
    return rc < 0 ? rc : deliver(s, item, out, e);
}

void stream_item_free(struct stream_item *item)
{
    stream_message_free(item->message);
    buf_free(&item->data);
    *item = (struct stream_item){0};
}

int stream_expect(struct stream *s, Ocm__Envelope__BodyCase want,
                  int timeout_ms, Ocm__Envelope **out, struct error *e)
{
    struct stream_item item;
    const char *got;
    int rc;

    *out = NULL;
    for (;;) {
        rc = stream_recv(s, timeout_ms, &item, e);
        if (rc < 0)
            return rc;
        if (item.kind != STREAM_MESSAGE || item.message->body_case == want)
            break;
        if (item.message->body_case != OCM__ENVELOPE__BODY_PROGRESS &&
            item.message->body_case != OCM__ENVELOPE__BODY_LOG_LINE)
            break;
        stream_item_free(&item);
    }
    if (item.kind == STREAM_MESSAGE && item.message->body_case == want) {
        *out = item.message;
        return 0;
    }
    got = item.kind == STREAM_DATA  ? "DATA"
          : item.kind == STREAM_END ? "the end"
                                    : envelope_name(item.message->body_case);
    rc = error_set(e, OCM_E_PROTOCOL, "expected a %s message, got %s",
                   envelope_name(want), got);
    stream_item_free(&item);
    return rc;
}

void stream_message_free(Ocm__Envelope *m)
{
    if (m)
        ocm__envelope__free_unpacked(m, NULL); /* malloc'd, as free expects */
}

/* Breaking off */

void stream_cancel(struct stream *s)
{
    uv_mutex_lock(&s->ch->lock);
    cancel_locked(s);
    uv_mutex_unlock(&s->ch->lock);
}

bool stream_cancelled(const struct stream *s)
{
    bool is;

    uv_mutex_lock(&s->ch->lock);
    is = s->cancelled || (s->cancel_seen && !s->end_seen);
    uv_mutex_unlock(&s->ch->lock);
    return is;
}

void stream_set_deadline(struct stream *s, int64_t from_now_ms)
{
    uv_mutex_lock(&s->ch->lock);
    s->deadline_ms = from_now_ms ? clock_monotonic_ms() + from_now_ms : 0;
    uv_cond_broadcast(&s->changed);
    uv_mutex_unlock(&s->ch->lock);
}

uint32_t stream_id(const struct stream *s)
{
    uint32_t id;

    uv_mutex_lock(&s->ch->lock);
    id = s->id;
    uv_mutex_unlock(&s->ch->lock);
    return id;
}

/* Whoever has ended may close before its last frames have left: they still
 * go, and CANCEL follows them only when the peer has not ended by then. */
void stream_close(struct stream *s)
{
    bool gone;

    if (!s)
        return;
    uv_mutex_lock(&s->ch->lock);
    s->user_closed = true;
    if (s->in_table) {
        stream_drop_inbox(s);
        if (!s->end_due)
            cancel_locked(s);
        else if (s->end_sent && !stream_wire_over(s))
            s->cancel_due = true;
        stream_mark_ready(s);
        stream_wake_loop(s->ch);
        gone = stream_settle(s);
    } else {
        gone = true;
    }
    uv_mutex_unlock(&s->ch->lock);
    if (gone)
        stream_delete(s);
}
