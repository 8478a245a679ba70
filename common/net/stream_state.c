/* SPDX-License-Identifier: MIT */
/* A stream's state, apart from what its users call: queues, its place in the
 * channel's table, and the count of what is unread. */
#include <stdlib.h>

#include "common/base/mem.h"
#include "common/net/channel_internal.h"
#include "common/net/envelope.h"

/* Queues */

void queue_push(struct item_queue *q, enum frame_kind kind, struct buf *b)
{
    struct item *item = mem_zalloc(sizeof(*item));

    item->kind = kind;
    item->b = buf_take(b);
    if (!q->head)
        q->tail = &q->head;
    *q->tail = item;
    q->tail = &item->next;
}

struct item *queue_pop(struct item_queue *q)
{
    struct item *item = q->head;

    if (item)
        q->head = item->next;
    return item;
}

void queue_clear(struct item_queue *q)
{
    struct item *item;

    while ((item = queue_pop(q)) != NULL) {
        buf_free(&item->b);
        free(item);
    }
}

int frame_pack(const Ocm__Envelope *m, struct buf *out, struct error *e)
{
    int rc;

    buf_reserve(out, FRAME_HEAD_LEN);
    out->len = FRAME_HEAD_LEN;
    rc = envelope_pack(m, out, e);
    if (rc < 0)
        buf_free(out);
    return rc;
}

/* Life; the lock is held */

struct stream *stream_new(struct channel *ch, bool local)
{
    struct stream *s = mem_zalloc(sizeof(*s));

    s->ch = channel_ref(ch);
    uv_cond_init(&s->changed);
    s->local = local;
    s->credit = s->window = STREAM_WINDOW;
    s->in_table = s->live = true;
    s->next = ch->streams;
    ch->streams = s;
    ch->objects[local]++;
    ch->live[local]++;
    return s;
}

void stream_wake_loop(struct channel *ch)
{
    if (!ch->async_closed)
        uv_async_send(&ch->wake);
}

void stream_mark_ready(struct stream *s)
{
    struct channel *ch = s->ch;

    if (s->ready || !s->in_table)
        return;
    s->ready = true;
    s->next_ready = NULL;
    if (ch->ready_head)
        ch->ready_tail->next_ready = s;
    else
        ch->ready_head = s;
    ch->ready_tail = s;
}

static void unready(struct stream *s)
{
    struct channel *ch = s->ch;
    struct stream *before = NULL;

    if (!s->ready)
        return;
    for (struct stream *i = ch->ready_head; i != s; i = i->next_ready)
        before = i;
    if (before)
        before->next_ready = s->next_ready;
    else
        ch->ready_head = s->next_ready;
    if (ch->ready_tail == s)
        ch->ready_tail = before;
    s->ready = false;
}

bool stream_leave(struct stream *s)
{
    struct channel *ch = s->ch;
    struct stream **at = &ch->streams;

    while (*at != s)
        at = &(*at)->next;
    *at = s->next;
    unready(s);
    if (s->live)
        ch->live[s->local]--;
    ch->objects[s->local]--;
    s->live = s->in_table = false;
    stream_drop_outbox(s);
    uv_cond_broadcast(&s->changed);
    return s->user_closed;
}

bool stream_wire_over(const struct stream *s)
{
    if (s->id == 0) /* the peer never heard of it */
        return s->cancelled;
    return s->cancel_sent || s->cancel_seen || (s->end_sent && s->end_seen);
}

bool stream_settle(struct stream *s)
{
    if (!s->in_table || !stream_wire_over(s))
        return false;
    if (s->live) {
        s->live = false;
        s->ch->live[s->local]--;
    }
    return s->user_closed && stream_leave(s);
}

void stream_delete(struct stream *s)
{
    struct channel *ch = s->ch;

    queue_clear(&s->inbox);
    queue_clear(&s->outbox);
    uv_cond_destroy(&s->changed);
    free(s);
    channel_unref(ch);
}

void stream_account(struct stream *s)
{
    struct channel *ch = s->ch;
    bool full = s->messages >= STREAM_MAX_MESSAGES ||
                s->message_bytes >= STREAM_MAX_MESSAGE_BYTES ||
                s->pieces >= STREAM_MAX_PIECES;
    bool low = s->messages <= STREAM_MAX_MESSAGES / 2 &&
               s->message_bytes <= STREAM_MAX_MESSAGE_BYTES / 2 &&
               s->pieces <= STREAM_MAX_PIECES / 2;

    if (!s->over && full) {
        s->over = true;
        ch->over++;
    } else if (s->over && low) {
        s->over = false;
        ch->over--;
    }
}

void stream_account_taken(struct stream *s, const struct item *item)
{
    struct channel *ch = s->ch;
    bool was_full = ch->over > 0 || ch->inbox_bytes > CHANNEL_INBOX_MAX / 2;

    if (item->kind == FRAME_CONTROL) {
        s->messages--;
        s->message_bytes -= item->b.len;
    } else {
        s->pieces--;
        s->credit_due += (uint32_t)item->b.len;
    }
    ch->inbox_bytes -= item->b.len;
    stream_account(s);
    if (was_full && ch->over == 0 && ch->inbox_bytes <= CHANNEL_INBOX_MAX / 2)
        stream_wake_loop(ch);
}

void stream_drop_inbox(struct stream *s)
{
    struct item *item;

    while ((item = queue_pop(&s->inbox)) != NULL) {
        stream_account_taken(s, item);
        buf_free(&item->b);
        free(item);
    }
}

void stream_drop_outbox(struct stream *s)
{
    queue_clear(&s->outbox);
    s->out_bytes = 0;
}
