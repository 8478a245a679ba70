/* SPDX-License-Identifier: MIT */
/* Frames that arrive: head -> judged against the stream's state and window ->
 * payload decrypted into its own buffer -> queued for the user. Frames of a
 * stream that we have left already are late, not wrong: they are dropped. */
#include <string.h>

#include "common/net/channel_internal.h"
#include "common/net/envelope.h"

enum fate {
    FATE_KNOWN, /* in the table */
    FATE_NEW,   /* the peer's next */
    FATE_LATE,  /* it is over */
    FATE_WRONG, /* it never was */
};

/* With the lock held. */
static struct stream *look_up(struct channel *ch, uint32_t id, enum fate *fate)
{
    bool peers = ((id & 1) == 0) != ch->even;
    struct stream *s;

    for (s = ch->streams; s; s = s->next) {
        if (s->id == id) {
            *fate = FATE_KNOWN;
            return s;
        }
    }
    if (peers)
        *fate = id > ch->peer_last ? FATE_NEW : FATE_LATE;
    else
        *fate = id < ch->next_id ? FATE_LATE : FATE_WRONG;
    return NULL;
}

/* May this frame come at all? Before its payload is allocated. With the lock
 * held; returns what is wrong, or NULL. */
static const char *judge(struct channel *ch, const struct frame_head *h)
{
    enum fate fate;
    struct stream *s = look_up(ch, h->stream, &fate);

    if (fate == FATE_WRONG)
        return "a frame for a stream that was never opened";
    if (fate == FATE_NEW) {
        if (h->kind != FRAME_CONTROL)
            return "a stream that does not begin with a message";
        if (!ch->allowed)
            return "a stream before the greeting";
        if (ch->live[false] >= CHANNEL_MAX_STREAMS ||
            ch->objects[false] >= CHANNEL_MAX_OBJECTS)
            return "too many streams";
    }
    if (!s)
        return NULL;
    if (s->end_seen && h->kind != FRAME_CREDIT && h->kind != FRAME_CANCEL)
        return "a frame after the end of its stream";
    if (h->kind == FRAME_DATA) {
        if ((int64_t)h->len > s->window && s->window != STREAM_WINDOW)
            return "more data than the window allows";
        s->window -= (int64_t)h->len;
    }
    return NULL;
}

static bool head_passes(struct channel *ch)
{
    const struct frame_head *h = &ch->reader.head;
    const char *wrong;

    if (!ch->allowed && h->len > CHANNEL_GREETING_MAX) {
        channel_fail(ch, OCM_E_LIMIT, "a greeting of %u bytes", h->len);
        return false;
    }
    if (h->stream == 0)
        return true;
    uv_mutex_lock(&ch->lock);
    wrong = judge(ch, h);
    uv_mutex_unlock(&ch->lock);
    if (wrong)
        channel_fail(ch, OCM_E_PROTOCOL, "%s (stream %u)", wrong, h->stream);
    return wrong == NULL;
}

static void open_stream(struct channel *ch, uint32_t id)
{
    struct error e = {0};
    Ocm__Envelope *first =
        envelope_unpack(ch->reader.payload.data, ch->reader.payload.len, &e);
    struct stream *s;

    if (!first) {
        channel_fail(ch, e.code, "%s", e.text);
        return;
    }
    uv_mutex_lock(&ch->lock);
    ch->peer_last = id;
    s = stream_new(ch, false);
    s->id = id;
    uv_mutex_unlock(&ch->lock);
    ch->h->on_stream(ch, s, first, ch->arg);
}

/* Queue the payload for the user of `s`, with the lock held. */
static void push(struct channel *ch, struct stream *s)
{
    struct buf *b = &ch->reader.payload;
    size_t len = b->len;

    if (s->cancelled)
        return;
    if (s->user_closed) {
        /* we have ended and drain: the peer must not wait for credit */
        if (ch->reader.head.kind == FRAME_DATA) {
            s->credit_due += (uint32_t)len;
            stream_mark_ready(s);
        }
        return;
    }
    if (ch->reader.head.kind == FRAME_DATA) {
        s->pieces++;
    } else {
        s->messages++;
        s->message_bytes += len;
    }
    ch->inbox_bytes += len;
    stream_account(s);
    queue_push(&s->inbox, ch->reader.head.kind, b);
    uv_cond_broadcast(&s->changed);
}

/* With the lock held; returns what is wrong, or NULL. */
static const char *take_credit(struct channel *ch, struct stream *s)
{
    uint32_t n = read_u32be(ch->reader.payload.data);

    if (n == 0 || (int64_t)n > STREAM_WINDOW - s->credit)
        return "credit that was never used";
    s->credit += n;
    stream_mark_ready(s);
    return NULL;
}

static void take_cancel(struct stream *s)
{
    s->cancel_seen = true;
    s->cancel_due = false;
    if (!s->end_seen) {
        s->cancelled = true;
        stream_drop_inbox(s);
    }
    stream_drop_outbox(s);
    uv_cond_broadcast(&s->changed);
}

/* A complete frame of a stream. */
static void take_stream_frame(struct channel *ch)
{
    const struct frame_head *h = &ch->reader.head;
    const char *wrong = NULL;
    struct stream *s, *gone = NULL;
    enum fate fate;

    uv_mutex_lock(&ch->lock);
    s = look_up(ch, h->stream, &fate);
    if (s) {
        switch (h->kind) {
        case FRAME_CREDIT:
            wrong = take_credit(ch, s);
            break;
        case FRAME_END:
            s->end_seen = true;
            uv_cond_broadcast(&s->changed);
            break;
        case FRAME_CANCEL:
            take_cancel(s);
            break;
        default:
            push(ch, s);
        }
        if (stream_settle(s))
            gone = s;
    }
    uv_mutex_unlock(&ch->lock);
    if (gone)
        stream_delete(gone);
    if (wrong)
        channel_fail(ch, OCM_E_PROTOCOL, "%s (stream %u)", wrong, h->stream);
    else if (fate == FATE_NEW)
        open_stream(ch, h->stream);
}

static void take_control(struct channel *ch)
{
    struct error e = {0};
    Ocm__Envelope *m =
        envelope_unpack(ch->reader.payload.data, ch->reader.payload.len, &e);

    if (!m) {
        channel_fail(ch, e.code, "%s", e.text);
        return;
    }
    ch->h->on_control(ch, m, ch->arg);
    stream_message_free(m);
}

static void take_frame(struct channel *ch)
{
    if (ch->reader.head.stream != 0) {
        take_stream_frame(ch);
        return;
    }
    switch (ch->reader.head.kind) {
    case FRAME_PING:
        /* the newest is answered: a flood of them leaves one */
        memcpy(ch->pong, ch->reader.payload.data, sizeof(ch->pong));
        ch->pong_due = true;
        break;
    case FRAME_PONG:
        break; /* that something came is all that counts */
    default:
        take_control(ch);
    }
}

/* A slow user stops the reading of the whole connection once its messages
 * pass the bound; DATA is held back by its window before that. */
static void maybe_pause(struct channel *ch)
{
    bool full;

    uv_mutex_lock(&ch->lock);
    full = ch->over > 0 || ch->inbox_bytes > CHANNEL_INBOX_MAX;
    uv_mutex_unlock(&ch->lock);
    if (full && ch->tls) {
        ch->paused = true;
        tls_stream_pause(ch->tls);
    }
}

void channel_maybe_resume(struct channel *ch)
{
    bool low;

    if (!ch->paused || !ch->tls)
        return;
    uv_mutex_lock(&ch->lock);
    low = ch->over == 0 && ch->inbox_bytes <= CHANNEL_INBOX_MAX / 2;
    uv_mutex_unlock(&ch->lock);
    if (low) {
        ch->paused = false;
        ch->heard_at = uv_now(tls_stream_loop(ch->tls));
        tls_stream_resume(ch->tls);
    }
}

/* Nothing is expected any more, but TLS wants to be read. */
static void discard(struct tls_stream *t)
{
    uint8_t junk[4096];

    while (tls_stream_read(t, junk, sizeof(junk)) > 0)
        ;
}

void channel_on_readable(struct tls_stream *t, void *arg)
{
    struct channel *ch = arg;
    struct error e = {0};

    while (!ch->closing && !ch->paused) {
        size_t room;
        uint8_t *p = frame_reader_room(&ch->reader, &room);
        ssize_t n = tls_stream_read(t, p, room);
        int rc;

        if (n < 0)
            channel_tell_streams(ch); /* on_closed follows; waits end now */
        if (n <= 0)
            break;
        ch->heard_at = uv_now(tls_stream_loop(t));
        ch->pinged_at = 0;
        rc = frame_reader_put(&ch->reader, (size_t)n, &e);
        if (rc < 0) {
            channel_fail(ch, rc, "%s", e.text);
            break;
        }
        if (rc == FRAME_HEAD_READY) {
            if (!head_passes(ch))
                break;
            if (ch->reader.head.len == 0)
                rc = FRAME_DONE;
        }
        if (rc == FRAME_DONE) {
            take_frame(ch);
            maybe_pause(ch);
        }
    }
    if (ch->closing && ch->tls)
        discard(t);
    channel_pump(ch);
}
