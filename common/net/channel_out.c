/* SPDX-License-Identifier: MIT */
/* Frames that leave. Streams that have something to send stand in a queue;
 * each gives one frame and goes to its end, so that a bulk stream holds up
 * the others for one frame at most. Large payloads go to TLS from where they
 * lie; small frames are gathered into whole records first. */
#include <stdlib.h>

#include "common/net/channel_internal.h"

#define RECORD_BYTES 16384u

/* Make `cur` the frame that `b` holds behind the head's room. */
static void send_buf(struct channel *ch, enum frame_kind kind, uint32_t stream,
                     struct buf *b)
{
    struct frame_head head = {
        .len = (uint32_t)(b->len - FRAME_HEAD_LEN),
        .kind = kind,
        .stream = stream,
    };

    frame_encode(b->data, &head);
    ch->cur = buf_take(b);
    ch->cur_off = 0;
}

static void send_small(struct channel *ch, enum frame_kind kind,
                       uint32_t stream, const void *p, size_t len)
{
    struct buf b = {0};

    stream_data_begin(&b);
    buf_add(&b, p, len);
    send_buf(ch, kind, stream, &b);
}

/* A frame longer than the window passes when the window is untouched. */
static bool has_credit(const struct stream *s, size_t len)
{
    return s->credit >= (int64_t)len || s->credit == STREAM_WINDOW;
}

/* Tell the peer what was read: at once when the user has caught up, else in
 * portions. */
static bool credit_is_due(const struct stream *s)
{
    if (s->credit_due == 0 || s->end_seen || s->cancelled || s->cancel_seen)
        return false;
    return s->credit_due >= STREAM_WINDOW / 8 || s->pieces == 0;
}

static void emit_item(struct channel *ch, struct stream *s)
{
    struct item *item = queue_pop(&s->outbox);
    size_t len = item->b.len - FRAME_HEAD_LEN;

    if (!s->id) {
        s->id = ch->next_id;
        ch->next_id += 2;
    }
    s->out_bytes -= item->b.len;
    if (item->kind == FRAME_DATA)
        s->credit -= (int64_t)len;
    send_buf(ch, item->kind, s->id, &item->b);
    free(item);
    uv_cond_broadcast(&s->changed);
}

/* The next frame of `s` into `cur`; false when none may go now. */
static bool emit(struct channel *ch, struct stream *s)
{
    const struct item *item = s->outbox.head;
    uint8_t credit[FRAME_CREDIT_LEN];

    /* At the end of a channel only what was said before goes out: the peer is
     * to hear why the connection closes, not that its streams broke. */
    if (s->cancel_due && !ch->closing) {
        s->cancel_due = false;
        s->cancel_sent = true;
        send_small(ch, FRAME_CANCEL, s->id, NULL, 0);
        return true;
    }
    if (credit_is_due(s)) {
        write_u32be(credit, s->credit_due);
        s->window += s->credit_due;
        s->credit_due = 0;
        send_small(ch, FRAME_CREDIT, s->id, credit, sizeof(credit));
        return true;
    }
    if (item) {
        if (item->kind == FRAME_DATA &&
            !has_credit(s, item->b.len - FRAME_HEAD_LEN))
            return false; /* CREDIT makes it ready again */
        emit_item(ch, s);
        return true;
    }
    if (s->end_due && !s->end_sent && !s->cancelled && !s->cancel_seen) {
        s->end_sent = true;
        if (s->user_closed && !s->end_seen)
            s->cancel_due = true;
        send_small(ch, FRAME_END, s->id, NULL, 0);
        return true;
    }
    return false;
}

static bool next_of_streams(struct channel *ch)
{
    struct stream *s, *gone = NULL;
    bool found = false;

    uv_mutex_lock(&ch->lock);
    while (!found && (s = ch->ready_head) != NULL) {
        ch->ready_head = s->next_ready;
        s->ready = false;
        found = emit(ch, s);
        if (found)
            stream_mark_ready(s);
    }
    if (found && stream_settle(s))
        gone = s;
    uv_mutex_unlock(&ch->lock);
    if (gone)
        stream_delete(gone);
    return found;
}

static bool next_frame(struct channel *ch)
{
    static const uint8_t ping[FRAME_PING_LEN] = "ocm ping";
    struct item *item;

    if (!ch->hard) {
        if (ch->pong_due) {
            ch->pong_due = false;
            send_small(ch, FRAME_PONG, 0, ch->pong, sizeof(ch->pong));
            return true;
        }
        if (ch->ping_due) {
            ch->ping_due = false;
            send_small(ch, FRAME_PING, 0, ping, sizeof(ping));
            return true;
        }
        item = queue_pop(&ch->control);
        if (item) {
            ch->control_bytes -= item->b.len;
            send_buf(ch, FRAME_CONTROL, 0, &item->b);
            free(item);
            return true;
        }
        if (next_of_streams(ch))
            return true;
    }
    if (ch->closing && ch->goodbye.len > 0) {
        send_buf(ch, FRAME_CONTROL, 0, &ch->goodbye);
        return true;
    }
    return false;
}

/* Give TLS up to `end`; false when it takes no more now. */
static bool put(struct channel *ch, const struct buf *b, size_t *off,
                size_t end)
{
    *off += tls_stream_write(ch->tls, b->data + *off, end - *off);
    ch->blocked = *off < end;
    return !ch->blocked;
}

/* Move the next bytes of `cur`; false when TLS is full. */
static bool move(struct channel *ch)
{
    size_t left = ch->cur.len - ch->cur_off;
    size_t room = RECORD_BYTES - ch->stage.len;

    if (ch->stage.len == 0 && left >= RECORD_BYTES) {
        if (!put(ch, &ch->cur, &ch->cur_off,
                 ch->cur_off + left - left % RECORD_BYTES))
            return false;
    } else {
        if (left > room)
            left = room;
        buf_add(&ch->stage, ch->cur.data + ch->cur_off, left);
        ch->cur_off += left;
    }
    if (ch->cur_off == ch->cur.len) {
        buf_free(&ch->cur);
        ch->cur_off = 0;
    }
    return true;
}

void channel_pump(struct channel *ch)
{
    if (!ch->up || !ch->tls || ch->blocked)
        return;
    for (;;) {
        bool more = ch->cur.len > 0 || next_frame(ch);

        if (ch->stage.len == RECORD_BYTES || ch->stage_off > 0 ||
            (!more && ch->stage.len > 0)) {
            if (!put(ch, &ch->stage, &ch->stage_off, ch->stage.len))
                return;
            buf_clear(&ch->stage);
            ch->stage_off = 0;
        } else if (!more) {
            break;
        } else if (!move(ch)) {
            return;
        }
    }
    buf_free(&ch->stage);
    if (ch->closing)
        channel_finish_close(ch);
}
